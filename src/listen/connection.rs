//! One connection, from its first byte: PROXY line, TLS, HTTP/1.1 or HTTP/2, its requests, its end.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BytesMut;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::alarm::Alarm;
use super::body::Reader;
use super::desk::Desk;
use super::ear::Ear;
use super::guest::Guest;
use super::io::{Io, Timer};
use super::peer::{Peer, is_trusted};
use super::proxy_line::{self, ProxyLine};
use super::tasks::{Stage, StageWatch, Tasks};
use super::wire::{Http, Wire};
use super::{Limits, Reception, Serve, Setup};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most heads fit, so that they are read at once; an idle connection keeps no more.
const FIRST_READ_BYTES: usize = 1_024;

/// Once a drain has begun, a connection whose peer has said nothing yet is kept this long: its request may be on the way.
const FIRST_WORD_IN_DRAIN: Duration = Duration::from_secs(1);

/// A stream of bytes in both directions: a socket, or a pipe in memory.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// One connection's way through the reception, with the setup that held when it came.
struct Visit<S> {
    service: S,
    setup: Arc<Setup>,
    tasks: Tasks,
}

impl<S: Serve> Reception<S> {
    /// Takes in one connection, or closes it at once when there is no room. Must be called on the core's own runtime.
    pub fn take(&self, stream: impl Stream, address: SocketAddr) {
        let visit = Visit { service: self.service.clone(), setup: self.setup.load_full(), tasks: self.tasks.clone() };
        let (setup, counts) = (&visit.setup, &visit.setup.counts);
        let Ok(slot) = setup.turnstile.connection() else { return counts.refused_full.add() };
        let guest = Guest::new(counts.clone(), slot, self.tasks.hold());
        if setup.proxy_protocol && is_trusted(&setup.trusted_proxies, address.ip()) {
            self.tasks.spawn(async move { visit.meet_behind_proxy(stream, address, guest).await });
        } else if let Some(peer) = visit.peer(address) {
            self.tasks.spawn(async move { visit.meet(stream, peer, guest).await });
        }
    }
}

impl<S: Serve> Visit<S> {
    fn peer(&self, address: SocketAddr) -> Option<Peer> {
        let Setup { turnstile, trusted_proxies, counts, tls, .. } = &*self.setup;
        let peer = Peer::new(address, tls.is_some(), trusted_proxies.clone(), turnstile.clone(), self.tasks.clone());
        if !peer.is_via_proxy() && peer.takes_a_place(address.ip()).is_err() {
            counts.refused_address.add();
            return None;
        }
        Some(peer)
    }

    async fn meet_behind_proxy(self, mut stream: impl Stream, proxy: SocketAddr, guest: Guest) {
        match timeout(self.setup.limits.head, read_proxy_line(&mut stream)).await {
            Ok(Ok(client)) => {
                if let Some(peer) = self.peer(client.unwrap_or(proxy)) {
                    self.meet(stream, peer, guest).await;
                }
            }
            Ok(Err(_)) | Err(_) => guest.counts.proxy_line_failures.add(),
        }
    }

    async fn meet(self, stream: impl Stream, peer: Peer, guest: Guest) {
        let Some(tls) = &self.setup.tls else { return self.talk(stream, peer, guest, Offered::Plain).await };
        let acceptor = TlsAcceptor::from(tls.load_full());
        // Boxed, so that a connection without TLS does not keep the room of one with it.
        Box::pin(self.meet_secretly(acceptor, stream, peer, guest)).await;
    }

    async fn meet_secretly(&self, acceptor: TlsAcceptor, stream: impl Stream, peer: Peer, guest: Guest) {
        match timeout(self.setup.limits.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let chosen = if http2 { Http::Two } else { Http::One };
                self.talk(stream, peer, guest, Offered::Chosen(chosen)).await;
            }
            Ok(Err(_)) => guest.counts.handshake_failures.add(),
            Err(_) => guest.counts.handshake_timeouts.add(),
        }
    }

    async fn talk(&self, mut stream: impl Stream, peer: Peer, guest: Guest, offered: Offered) {
        let mut ahead = BytesMut::with_capacity(FIRST_READ_BYTES);
        // Boxed, so that its timers' room is free again once there are words.
        let Ok(http) = Box::pin(self.first_words(&mut stream, &mut ahead, offered)).await else { return };
        let (limits, readers) = (&self.setup.limits, Readers::default());
        let wire = Wire::new(self.setup.clone(), Arc::new(peer), http);
        let desk = Desk { service: self.service.clone(), wire: wire.clone(), readers: readers.clone() };
        match http {
            Http::One => {
                let io = TokioIo::new(Io::http1(stream, ahead, wire.clone(), guest));
                let connection = http1_settings(limits).serve_connection(io, desk).with_upgrades();
                self.drive(&wire.ear, Box::pin(connection), http1::UpgradeableConnection::graceful_shutdown).await;
            }
            Http::Two => {
                let io = TokioIo::new(Io::http2(stream, ahead, wire.clone(), guest));
                let streams = Streams { tasks: self.tasks.clone(), readers, wire: wire.clone() };
                let connection = http2_settings(limits, streams).serve_connection(io, desk);
                self.drive(&wire.ear, Box::pin(connection), http2::Connection::graceful_shutdown).await;
            }
        }
    }

    /// Waits for the peer to say something, and hears which HTTP it speaks.
    async fn first_words(&self, stream: &mut impl Stream, ahead: &mut BytesMut, offered: Offered) -> io::Result<Http> {
        let idle = timeout(self.setup.limits.idle, stream.read_buf(ahead));
        let read = tokio::select! {
            read = idle => read??,
            () = self.first_word_in_drain() => 0,
        };
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Offered::Chosen(http) = offered {
            return Ok(http);
        }
        let rest = async {
            while HTTP2_PREFACE.starts_with(ahead) && ahead.len() < HTTP2_PREFACE.len() {
                if stream.read_buf(ahead).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            Ok(if ahead.starts_with(HTTP2_PREFACE) { Http::Two } else { Http::One })
        };
        timeout(self.setup.limits.head, rest).await?
    }

    async fn first_word_in_drain(&self) {
        self.tasks.draining().await;
        sleep(FIRST_WORD_IN_DRAIN).await;
    }

    /// Runs the connection to its end, which a drain or its age brings on gently: after the answers in progress.
    ///
    /// It comes boxed, so that one of HTTP/1.1 does not keep the room of one of HTTP/2.
    async fn drive<C: Future>(&self, ear: &Arc<Ear>, mut connection: Pin<Box<C>>, end_gently: impl Fn(Pin<&mut C>)) {
        let mut age = Alarm::new(Instant::now() + self.setup.limits.connection_age);
        let mut stage = StageWatch::new(self.tasks.clone());
        let mut ending = false;
        let waker = Waker::from(ear.clone());
        std::future::poll_fn(|cx| {
            ear.open(cx);
            let mut heard = Context::from_waker(&waker);
            // First of all hyper hears what has been said already; asked to end before that, it would not answer.
            if connection.as_mut().poll(&mut heard).is_ready() {
                return Poll::Ready(());
            }
            if !ending && (age.poll(cx).is_ready() || stage.poll(cx) != Stage::Open) {
                ending = true;
                end_gently(connection.as_mut());
                return connection.as_mut().poll(&mut heard).map(drop);
            }
            Poll::Pending
        })
        .await;
    }
}

/// What the handshake settled.
#[derive(Clone, Copy)]
enum Offered {
    Plain,
    Chosen(Http),
}

/// Byte by byte, for what follows belongs to TLS or HTTP.
async fn read_proxy_line(stream: &mut impl Stream) -> io::Result<Option<SocketAddr>> {
    let mut line = Vec::new();
    loop {
        match proxy_line::parse(&line) {
            ProxyLine::Partial => line.push(stream.read_u8().await?),
            ProxyLine::Whole { client, .. } => return Ok(client),
            ProxyLine::Invalid => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

fn http1_settings(limits: &Limits) -> http1::Builder {
    let mut settings = http1::Builder::new();
    settings
        // One limit for a silent connection and for a head that drips would be wrong for either; `Io` holds both.
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes)
        // It would look for the peer's end with room for a whole head beside the one it holds; `Io` looks for less.
        .half_close(true)
        // Answers to pipelined requests are rare; waiting to flush them would cost every other client.
        .pipeline_flush(false);
    settings
}

fn http2_settings(limits: &Limits, streams: Streams) -> http2::Builder<Streams> {
    let own = &limits.http2;
    let mut settings = http2::Builder::new(streams);
    settings
        .timer(TokioTimer::new())
        .adaptive_window(false)
        .max_concurrent_streams(own.streams)
        .initial_stream_window_size(own.stream_window_bytes)
        .initial_connection_window_size(own.connection_window_bytes)
        .max_frame_size(own.frame_bytes)
        .max_header_list_size(own.header_list_bytes)
        .max_send_buf_size(own.send_buffer_bytes)
        .max_pending_accept_reset_streams(own.pending_reset_streams)
        .max_local_error_reset_streams(own.local_reset_streams)
        .keep_alive_interval(own.ping_interval)
        .keep_alive_timeout(own.ping_timeout);
    settings
}

/// hyper asks the service for a future and hands that straight to the executor, in one breath; so what the one
/// leaves here is the other's.
#[derive(Clone, Default)]
pub(super) struct Readers(Arc<Mutex<Option<Arc<Reader>>>>);

impl Readers {
    pub(super) fn next(&self) -> Arc<Reader> {
        let reader = Arc::<Reader>::default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader.clone());
        reader
    }

    fn take(&self) -> Option<Arc<Reader>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Runs each HTTP/2 stream as a task of its own, and ends one whose reader takes nothing for too long.
#[derive(Clone)]
struct Streams {
    tasks: Tasks,
    readers: Readers,
    wire: Arc<Wire>,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (running, reader, wire) = (self.tasks.hold(), self.readers.take(), self.wire.clone());
        // Owned by its connection: when that is dropped, the stream is reset and the task ends.
        tokio::spawn(async move {
            let (mut stream, mut timer, mut seen) = (pin!(stream), Timer::default(), None);
            std::future::poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let waiting = reader.as_ref().and_then(|reader| reader.waiting());
                if waiting.is_none() || waiting != seen {
                    timer.stop();
                    seen = waiting;
                }
                if waiting.is_none() {
                    return Poll::Pending;
                }
                ready!(timer.poll(cx, wire.limits().write_stall));
                wire.counts().write_timeouts.add();
                Poll::Ready(())
            })
            .await;
            drop(running);
        });
    }
}
