//! The listening socket: bound, accepted from, and emptied before it closes.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use super::tasks::Stage;
use super::{Limits, Reception, Serve};

/// Connections the kernel may hold ready for us: a burst of reconnecting clients while a core is busy for a moment.
const BACKLOG: i32 = 4_096;

/// Without file descriptors or memory `accept` fails at once; this long we let connections end, instead of spinning.
const PAUSE: Duration = Duration::from_millis(50);

/// A peer that has silently gone is noticed after about two minutes, also while a provider is still thinking.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));

/// With `reuse_port` each core binds the same address and the kernel deals the connections out.
pub fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(reuse_port)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Set on each socket, not inherited: a peer may be connected before we have seen the listener.
fn prepare(stream: &TcpStream, limits: &Limits) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(limits.unsent_bytes)?;
    Ok(())
}

impl<S: Serve> Reception<S> {
    /// Accepts until closed, then takes what the kernel had already accepted for us, and gives the port back.
    /// Fails only before the first connection.
    pub async fn serve(&self, listener: std::net::TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut in_trouble = false;
        while self.tasks.stage() == Stage::Open {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.tasks.draining() => break,
            };
            match accepted {
                Ok((stream, address)) => {
                    in_trouble = false;
                    self.take_socket(stream, address);
                }
                Err(error) => self.accept_failed(&error, &mut in_trouble).await,
            }
        }
        self.empty(&listener.into_std()?);
        Ok(())
    }

    /// Takes in one accepted socket: where the kernel does not deal connections out, one acceptor does.
    pub fn take_socket(&self, stream: TcpStream, address: SocketAddr) {
        let setup = self.setup.load();
        match prepare(&stream, &setup.limits) {
            Ok(()) => self.take(stream, address),
            // The peer has gone already.
            Err(_) => setup.counts.accept_failures.add(),
        }
    }

    /// These peers are connected as far as they know; closing the socket first would reset them.
    fn empty(&self, listener: &std::net::TcpListener) {
        for _ in 0..BACKLOG {
            match listener.accept() {
                Ok((stream, address)) => {
                    if stream.set_nonblocking(true).is_ok()
                        && let Ok(stream) = TcpStream::from_std(stream)
                    {
                        self.take_socket(stream, address);
                    }
                }
                Err(error) if is_the_peers_own(&error) => (),
                Err(_) => return,
            }
        }
    }

    /// Never the end of listening. Said once, until a connection is accepted again.
    async fn accept_failed(&self, error: &io::Error, in_trouble: &mut bool) {
        self.setup.load().counts.accept_failures.add();
        if is_the_peers_own(error) {
            return;
        }
        if !std::mem::replace(in_trouble, true) {
            tracing::warn!(%error, "can't accept connections; raise the limit of open files or lower [limits] connections");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The connection broke before we took it; the listener is well.
fn is_the_peers_own(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}
