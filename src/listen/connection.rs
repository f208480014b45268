//! One connection, from its first byte: PROXY line, TLS, HTTP/1.1 or HTTP/2, its requests, its end.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::header::{CONNECTION, EXPECT};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::body::{AnswerBody, Reader, RequestBody, drain};
use super::guest::Guest;
use super::head::{self, HeadFault};
use super::io::{Io, Timer, Wire};
use super::peer::{Peer, is_trusted};
use super::proxy_line::{self, ProxyLine};
use super::tasks::{Stage, StageWatch, Tasks};
use super::turnstile::RequestSlot;
use super::{Reception, Serve, Setup};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Once a drain has begun, a connection whose peer has said nothing yet is kept this long: its request may be on the way.
const FIRST_WORD_IN_DRAIN: Duration = Duration::from_secs(1);

/// A stream of bytes in both directions: a socket, or a pipe in memory.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

impl<S: Serve> Reception<S> {
    /// Takes in one connection, or closes it at once when there is no room. Must be called on the core's own runtime.
    pub fn take(&self, stream: impl Stream, address: SocketAddr) {
        let (setup, counts) = (&self.setup, &self.setup.counts);
        let Ok(slot) = setup.turnstile.connection() else { return counts.refused_full.add() };
        let guest = Guest::new(counts.clone(), slot, self.tasks.hold());
        if setup.proxy_protocol && is_trusted(&setup.trusted_proxies, address.ip()) {
            let me = self.clone();
            self.tasks.spawn(async move { me.meet_behind_proxy(stream, address, guest).await });
        } else if let Some(peer) = self.peer(address) {
            let me = self.clone();
            self.tasks.spawn(async move { me.meet(stream, peer, guest).await });
        }
    }

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
        match timeout(self.setup.limits.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let offered = if http2 { Offered::Http2 } else { Offered::Http1 };
                self.talk(stream, peer, guest, offered).await;
            }
            Ok(Err(_)) => guest.counts.handshake_failures.add(),
            Err(_) => guest.counts.handshake_timeouts.add(),
        }
    }

    async fn talk(self, mut stream: impl Stream, peer: Peer, guest: Guest, offered: Offered) {
        let mut ahead = BytesMut::new();
        let Ok(http2) = self.first_words(&mut stream, &mut ahead, offered).await else { return };
        let (wire, peer) = (Arc::<Wire>::default(), Arc::new(peer));
        let limits = &self.setup.limits;
        let readers = Readers::default();
        let desk = |readers| Desk {
            service: self.service.clone(),
            setup: self.setup.clone(),
            peer: peer.clone(),
            wire: wire.clone(),
            readers,
        };
        if http2 {
            let io = TokioIo::new(Io::http2(stream, ahead, wire.clone(), guest, limits));
            let streams = Streams { tasks: self.tasks.clone(), readers: readers.clone(), setup: self.setup.clone() };
            let connection = http2_settings(limits, streams).serve_connection(io, desk(Some(readers)));
            self.drive(connection, http2::Connection::graceful_shutdown).await;
        } else {
            let io = TokioIo::new(Io::http1(stream, ahead, wire.clone(), guest, limits));
            let connection = http1_settings(limits).serve_connection(io, desk(None)).with_upgrades();
            self.drive(connection, http1::UpgradeableConnection::graceful_shutdown).await;
        }
    }

    /// Waits for the peer to say something, and hears which HTTP it speaks.
    async fn first_words(&self, stream: &mut impl Stream, ahead: &mut BytesMut, offered: Offered) -> io::Result<bool> {
        let idle = timeout(self.setup.limits.idle, stream.read_buf(ahead));
        let read = tokio::select! {
            read = idle => read??,
            () = self.first_word_in_drain() => 0,
        };
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if offered != Offered::Plain {
            return Ok(offered == Offered::Http2);
        }
        let rest = async {
            while HTTP2_PREFACE.starts_with(ahead) && ahead.len() < HTTP2_PREFACE.len() {
                if stream.read_buf(ahead).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            Ok(ahead.starts_with(HTTP2_PREFACE))
        };
        timeout(self.setup.limits.head, rest).await?
    }

    async fn first_word_in_drain(&self) {
        self.tasks.draining().await;
        sleep(FIRST_WORD_IN_DRAIN).await;
    }

    /// Runs the connection to its end, which a drain or its age brings on gently: after the answers in progress.
    async fn drive<C: Future>(&self, connection: C, end_gently: impl Fn(Pin<&mut C>)) {
        let (mut connection, mut age) = (pin!(connection), pin!(sleep(self.setup.limits.connection_age)));
        let mut stage = StageWatch::new(self.tasks.clone());
        let (mut age_registered, mut ending) = (false, false);
        std::future::poll_fn(|cx| {
            // First of all hyper hears what has been said already; asked to end before that, it would not answer.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // A task keeps its waker, so the timer needs to see it once only.
            let old = if age_registered { age.is_elapsed() } else { age.as_mut().poll(cx).is_ready() };
            age_registered = true;
            if !ending && (old || stage.poll(cx) != Stage::Open) {
                ending = true;
                end_gently(connection.as_mut());
                return connection.as_mut().poll(cx).map(drop);
            }
            Poll::Pending
        })
        .await;
    }
}

/// What the handshake settled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offered {
    Plain,
    Http1,
    Http2,
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

fn http1_settings(limits: &super::Limits) -> http1::Builder {
    let mut settings = http1::Builder::new();
    settings
        // One limit for a silent connection and for a head that drips would be wrong for either; `Io` holds both.
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes)
        .half_close(false)
        // Answers to pipelined requests are rare; waiting to flush them would cost every other client.
        .pipeline_flush(false);
    settings
}

fn http2_settings(limits: &super::Limits, streams: Streams) -> http2::Builder<Streams> {
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

/// Where hyper brings a connection's requests.
struct Desk<S> {
    service: S,
    setup: Arc<Setup>,
    peer: Arc<Peer>,
    wire: Arc<Wire>,
    /// HTTP/2 only.
    readers: Option<Readers>,
}

/// Boxed so that an idle connection does not keep the room of a whole request.
type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<AnswerBody<B>>, Infallible>> + Send>>;

impl<S: Serve> hyper::service::Service<Request<Incoming>> for Desk<S> {
    type Response = Response<AnswerBody<S::Body>>;
    type Error = Infallible;
    type Future = Answer<S::Body>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, incoming) = request.into_parts();
        let reader = self.readers.as_ref().map(Readers::next);
        let mut answering = self.begin(&incoming);
        let verdict = self.check(&head);
        let waits_for_continue = head.headers.contains_key(EXPECT);
        let (counts, stall) = (self.setup.counts.clone(), self.setup.limits.body_stall);
        let body = RequestBody::arriving(incoming, self.wire.clone(), counts, stall);
        let service = self.service.clone();
        Box::pin(async move {
            let mut response = match verdict {
                Ok(slot) => {
                    answering.slot = Some(slot);
                    answering.serve(&service, Request::from_parts(head, body)).await
                }
                Err(fault) => {
                    drop(body);
                    answering.refuse(&service, fault, &head)
                }
            };
            answering.settle_connection(&mut response, waits_for_continue).await;
            answering.answered = true;
            Ok(response.map(|body| AnswerBody::new(body, answering, reader)))
        })
    }
}

impl<S: Serve> Desk<S> {
    fn begin(&self, incoming: &Incoming) -> Answering {
        let wire = &self.wire;
        let http2 = self.readers.is_some();
        self.setup.counts.requests.add();
        wire.heads.store(wire.heads.load(Relaxed) + 1, Relaxed);
        wire.progress.fetch_add(1, Relaxed);
        if !http2 {
            wire.answering.store(true, Relaxed);
            wire.body_open.store(!incoming.is_end_stream(), Relaxed);
            wire.rest.open();
        }
        let (setup, peer) = (self.setup.clone(), self.peer.clone());
        Answering { wire: wire.clone(), setup, peer, http2, slot: None, answered: false }
    }

    fn check(&self, head: &Parts) -> Result<RequestSlot, HeadFault> {
        match self.wire.faulty.get() {
            Some((faulty, fault)) if *faulty <= self.wire.heads.load(Relaxed) => return Err((*fault).into()),
            _ => head::check(head)?,
        }
        if self.peer.is_via_proxy() {
            let placed = self.peer.takes_a_place(self.peer.address(&head.headers));
            placed.map_err(|_| HeadFault::TooManyFromAddress)?;
        }
        self.setup.turnstile.request().ok_or(HeadFault::AtCapacity)
    }
}

/// A panic while answering costs this request, not its connection's others.
async fn caught<T>(call: impl Future<Output = T>) -> Result<T, ()> {
    let mut call = pin!(call);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(())),
    })
    .await
}

/// From a request's head to the end of its answer, however that comes about.
pub(super) struct Answering {
    wire: Arc<Wire>,
    setup: Arc<Setup>,
    peer: Arc<Peer>,
    http2: bool,
    slot: Option<RequestSlot>,
    answered: bool,
}

impl Answering {
    async fn serve<S: Serve>(&self, service: &S, request: Request<RequestBody>) -> Response<S::Body> {
        let call = service.call(request, self.peer.clone());
        caught(call).await.unwrap_or_else(|()| {
            self.setup.counts.panics.add();
            service.refuse(HeadFault::Panicked, None)
        })
    }

    fn refuse<S: Serve>(&self, service: &S, fault: HeadFault, head: &Parts) -> Response<S::Body> {
        self.setup.counts.requests_refused.add();
        let mut response = service.refuse(fault, Some(head));
        if fault.ends_connection() {
            self.close_after(&mut response);
        }
        response
    }

    /// Whether the connection can go on after this answer, decided before the answer's head is out.
    async fn settle_connection<B>(&self, response: &mut Response<B>, waits_for_continue: bool) {
        let Setup { limits, .. } = &*self.setup;
        if let Some(rest) = self.wire.rest.close()
            // Told to go on, a client that waits would send only to be ignored.
            && (waits_for_continue || !drain(rest, limits.drain_bytes, limits.drain).await)
        {
            self.close_after(response);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.wire.upgraded.store(true, Relaxed);
        } else if self.peer.is_draining() && !self.http2 {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
    }

    /// What is left of the body will not be read, so no further request can be found behind it.
    fn close_after<B>(&self, response: &mut Response<B>) {
        self.wire.unread.store(true, Relaxed);
        if !self.http2 {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
    }

    pub(super) fn made_progress(&self) {
        self.wire.progress.fetch_add(1, Relaxed);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.wire.answering.store(false, Relaxed);
        self.setup.counts.requests_finished.add();
        if !self.answered && !self.peer.is_proven() {
            self.wire.abandoned.fetch_add(1, Relaxed);
        }
        self.slot.take();
    }
}

/// hyper asks the service for a future and hands that straight to the executor, in one breath; so what the one
/// leaves here is the other's.
#[derive(Clone, Default)]
struct Readers(Arc<Mutex<Option<Arc<Reader>>>>);

impl Readers {
    fn next(&self) -> Arc<Reader> {
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
    setup: Arc<Setup>,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (running, reader, setup) = (self.tasks.hold(), self.readers.take(), self.setup.clone());
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
                ready!(timer.poll(cx, setup.limits.write_stall));
                setup.counts.write_timeouts.add();
                Poll::Ready(())
            })
            .await;
            drop(running);
        });
    }
}
