//! The data plane's threads: one single-threaded runtime per core, each with a listener of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Trouble;
use crate::listen::{self, Counts, Drained, Reception, Setup};
use crate::proxy::Proxy;

/// How often a core wipes what it no longer needs.
const SWEEP: Duration = Duration::from_secs(30);

/// The processors we may use.
pub(super) fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One listener per core on one address; the kernel deals connections out among them. Port 0 is drawn once.
pub(super) fn bind(address: SocketAddr, cores: usize) -> Result<Vec<TcpListener>, Trouble> {
    let wrong = |error| Trouble::Bind { address, error };
    // Without sharing first, so that another process on the port is an error and not a silent partner.
    if address.port() != 0 {
        drop(listen::bind(address, false).map_err(wrong)?);
    }
    let first = listen::bind(address, true).map_err(wrong)?;
    let drawn = first.local_addr().map_err(wrong)?;
    let mut listeners = vec![first];
    for _ in 1..cores {
        listeners.push(listen::bind(drawn, true).map_err(wrong)?);
    }
    Ok(listeners)
}

/// The running threads.
pub(super) struct DataPlane<S> {
    address: SocketAddr,
    receptions: Vec<Reception<S>>,
    counts: Vec<Arc<Counts>>,
    threads: Mutex<Vec<JoinHandle<usize>>>,
    drain: watch::Sender<Option<Duration>>,
}

impl DataPlane<Proxy> {
    /// Returns when every core accepts connections.
    pub(super) fn start(proxies: &[Proxy], listeners: Vec<TcpListener>, setup: &Setup) -> Result<Self, Trouble> {
        let address = listeners[0].local_addr().map_err(Trouble::Runtime)?;
        let (drain, draining) = watch::channel(None);
        let mut plane = Self { address, receptions: Vec::new(), counts: Vec::new(), threads: Mutex::default(), drain };
        let mut threads = Vec::new();
        for (index, (proxy, listener)) in proxies.iter().zip(listeners).enumerate() {
            let setup = setup.another_core();
            plane.counts.push(setup.counts.clone());
            let reception = Reception::new(proxy.clone(), setup);
            plane.receptions.push(reception.clone());
            threads.push(start(index, proxy.clone(), listener, reception, draining.clone())?);
        }
        plane.threads = Mutex::new(threads);
        Ok(plane)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn counts(&self) -> &[Arc<Counts>] {
        &self.counts
    }

    /// New connections take this setup from now on.
    pub(super) fn change(&self, setup: &Setup) {
        for reception in &self.receptions {
            reception.change(setup);
        }
    }

    /// Accepts no more connections and waits for what is in progress, at most `limit` or until told to hurry; says how
    /// many connections were cut then.
    pub(super) async fn drain(&self, limit: Duration, hurry: impl Future<Output = ()>) -> usize {
        self.drain.send_replace(Some(limit));
        for reception in &self.receptions {
            reception.close();
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut joined =
            tokio::task::spawn_blocking(move || threads.into_iter().filter_map(|thread| thread.join().ok()).sum());
        tokio::select! {
            cut = &mut joined => return cut.unwrap_or(0),
            () = hurry => {}
        }
        self.drain.send_replace(Some(Duration::ZERO));
        joined.await.unwrap_or(0)
    }
}

fn start(
    index: usize,
    proxy: Proxy,
    listener: TcpListener,
    reception: Reception<Proxy>,
    draining: watch::Receiver<Option<Duration>>,
) -> Result<JoinHandle<usize>, Trouble> {
    let (started, has_started) = mpsc::channel();
    let thread = std::thread::Builder::new().name(format!("core-{index}")).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = started.send(Err(error));
                return 0;
            }
        };
        let _ = started.send(Ok(()));
        runtime.block_on(core(proxy, listener, reception, draining))
    });
    let thread = thread.map_err(Trouble::Runtime)?;
    match has_started.recv() {
        Ok(Err(error)) => Err(Trouble::Runtime(error)),
        Ok(Ok(())) | Err(_) => Ok(thread),
    }
}

/// One core's life: accept until closed, then finish.
async fn core(
    proxy: Proxy,
    listener: TcpListener,
    reception: Reception<Proxy>,
    mut draining: watch::Receiver<Option<Duration>>,
) -> usize {
    // Until the thread ends: calls are settled to the last.
    let meter = proxy.meter.clone();
    tokio::spawn(async move { meter.lets_go().await });
    tokio::select! {
        served = reception.serve(listener) => {
            if let Err(error) = served {
                tracing::error!(%error, "a core can't accept connections; restart the gateway");
            }
        }
        () = sweep(&proxy) => {}
    }
    let limit = draining.wait_for(Option::is_some).await.ok().and_then(|limit| *limit).unwrap_or_default();
    draining.mark_unchanged();
    let drained = tokio::select! {
        drained = reception.drain(limit) => drained,
        // Told a second time: somebody can't wait.
        Ok(()) = draining.changed() => reception.drain(Duration::ZERO).await,
    };
    match drained {
        Drained::Finished => 0,
        Drained::Cut(cut) => cut,
    }
}

/// Never ends by itself.
async fn sweep(proxy: &Proxy) {
    loop {
        tokio::time::sleep(SWEEP).await;
        proxy.core.signer.forget_expired(Instant::now());
    }
}
