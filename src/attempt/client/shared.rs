//! One HTTP/2 connection to an address: carries as many calls at a time as its peer allows.
//!
//! Takes a stream, gives leases; each lease is one stream. The tasks behind it belong to the pool's `Tasks`.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::body::Outgoing;
use super::died::{Died, cause, failure_of};
use super::tasks::Tasks;
use super::wire::{Reads, Wire};
use super::{ANSWER_HEADERS, HEAD_LIMIT_BYTES};
use crate::domain::failure::Failure;

/// Calls at a time on one connection, whatever more the peer allows.
const STREAMS: usize = 128;

/// What a stream may send ahead of its reader: bounds the memory of a slow one.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// Room for every stream's window, so that a few slow readers can't stall the others.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS as u32;

/// A stream's unsent bytes that we hold beside the body itself.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A connection on which calls wait asks this often whether its peer is still there.
const PING_EVERY: Duration = Duration::from_secs(20);

/// A peer that is silent this long after a ping is gone.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Before the peer's SETTINGS came, no stream may open: the value that says so.
const UNSETTLED: usize = 0;

type Driver = http2::Connection<TokioIo<Wire>, Outgoing, Spawner>;

pub(super) struct Shared {
    sender: http2::SendRequest<Outgoing>,
    reads: Reads,
    /// What the peer allows now; published by the task that owns the connection.
    allowed: Arc<AtomicUsize>,
    in_flight: AtomicUsize,
    /// Takes no new call: its peer said goodbye, or it failed one.
    retired: AtomicBool,
    rested: Mutex<Instant>,
}

impl Shared {
    /// Connected means that the peer's SETTINGS are here: its limit is known, and it does speak HTTP/2.
    pub(super) async fn open(wire: Wire, reads: Reads, tasks: &Arc<Tasks>) -> Result<Arc<Self>, Failure> {
        let spawner = Spawner { tasks: tasks.clone(), moved: Arc::default(), settled: Arc::default() };
        let handshake = builder(&spawner).handshake(TokioIo::new(wire)).await;
        let (sender, mut driver) = handshake.map_err(|_| not_http2())?;
        settle(&mut driver, &spawner).await?;
        let allowed = Arc::new(AtomicUsize::new(driver.current_max_send_streams()));
        tasks.spawn(own(driver, allowed.clone()));
        let (in_flight, retired) = (AtomicUsize::new(0), AtomicBool::new(false));
        Ok(Arc::new(Self { sender, reads, allowed, in_flight, retired, rested: Mutex::new(Instant::now()) }))
    }

    /// One more stream, if the peer allows one.
    pub(super) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let room = self.in_flight.load(Relaxed) < self.allowed.load(Relaxed).min(STREAMS);
        (room && self.is_usable()).then(|| {
            self.in_flight.fetch_add(1, Relaxed);
            Lease(self.clone())
        })
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.retired.load(Relaxed) && !self.sender.is_closed()
    }

    /// Since when no call is on it; `None` while one is.
    pub(super) fn resting_since(&self) -> Option<Instant> {
        let resting = self.in_flight.load(Relaxed) == 0;
        resting.then(|| *self.rested.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

/// One stream's place on a connection; given back when dropped.
pub(super) struct Lease(Arc<Shared>);

impl Lease {
    /// Sends the request and waits for the answer's head. Dropping the wait resets the stream.
    pub(super) async fn ask(&self, request: Request<Outgoing>) -> Result<Response<Incoming>, Died> {
        let heard = self.0.reads.load(Relaxed);
        let mut sender = self.0.sender.clone();
        match sender.try_send_request(request).await {
            Ok(answer) => checked(answer),
            Err(mut error) => {
                let is_unsent = error.take_message().is_some();
                Err(if is_unsent { Died::unsent(Failure::Reset) } else { self.died(error.error(), heard) })
            }
        }
    }

    fn died(&self, error: &hyper::Error, heard: u64) -> Died {
        let cause = cause::<h2::Error>(error);
        // A reset is meant for the stream alone, all else for the connection: no further call goes out on it.
        if !cause.is_some_and(h2::Error::is_reset) {
            self.0.retired.store(true, Relaxed);
        }
        match cause {
            Some(cause) if is_refusal(cause) => Died::refused(),
            _ if self.0.reads.load(Relaxed) == heard => Died::unheard(Failure::Reset),
            Some(cause) if cause.is_library() && cause.reason() == Some(h2::Reason::PROTOCOL_ERROR) => {
                Died::of(Failure::Garbage("the answer breaks the rules of HTTP/2".into()))
            }
            _ => Died::of(failure_of(error)),
        }
    }
}

/// The peer did nothing with the call, and says so: it refused the stream, or said goodbye before it.
fn is_refusal(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Relaxed) == 1 {
            *self.0.rested.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Instant::now();
        }
    }
}

fn checked(answer: Response<Incoming>) -> Result<Response<Incoming>, Died> {
    if answer.headers().len() > ANSWER_HEADERS {
        return Err(Died::of(Failure::Garbage("the head has too many headers".into())));
    }
    Ok(answer)
}

fn builder(spawner: &Spawner) -> http2::Builder<Spawner> {
    let mut builder = http2::Builder::new(spawner.clone());
    builder
        .timer(TokioTimer::new())
        .initial_max_send_streams(UNSETTLED)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEAD_LIMIT_BYTES as u32)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

fn not_http2() -> Failure {
    Failure::Garbage("the peer does not speak HTTP/2".into())
}

/// Waits for the peer's SETTINGS. The wait for a connection bounds it.
async fn settle(driver: &mut Driver, spawner: &Spawner) -> Result<(), Failure> {
    loop {
        if poll_fn(|cx| Poll::Ready(Pin::new(&mut *driver).poll(cx))).await.is_ready() {
            return Err(not_http2());
        }
        if driver.current_max_send_streams() != UNSETTLED {
            spawner.settled.store(true, Relaxed);
            return Ok(());
        }
        spawner.moved.notified().await;
    }
}

/// Drives the connection and publishes what its peer allows: only its owner can ask.
async fn own(mut driver: Driver, allowed: Arc<AtomicUsize>) {
    poll_fn(|cx| {
        let driven = Pin::new(&mut driver).poll(cx);
        allowed.store(driver.current_max_send_streams(), Relaxed);
        driven.map(drop)
    })
    .await;
}

/// Runs hyper's own tasks among the pool's, and says when they moved until the connection is settled.
#[derive(Clone)]
struct Spawner {
    tasks: Arc<Tasks>,
    moved: Arc<Notify>,
    settled: Arc<AtomicBool>,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        let (moved, settled) = (self.moved.clone(), self.settled.clone());
        self.tasks.spawn(async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let polled = future.as_mut().poll(cx);
                if !settled.load(Relaxed) {
                    moved.notify_one();
                }
                polled
            })
            .await;
        });
    }
}
