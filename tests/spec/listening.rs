//! What a peer may send, how long it may take, and what it hears when it goes too far.

mod ends;
mod floods;
mod malformed;
mod places;
mod secured;
mod waits;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use keyway::listen::{BodyFault, HeadFault, Limits, Peer, Reception, RequestBody, Serve, Setup, bind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

type TestBody = UnsyncBoxBody<Bytes, BodyFault>;

/// A service that does what the path says and notes what it saw.
#[derive(Clone, Default)]
struct Spy(Arc<Notes>);

#[derive(Default)]
struct Notes {
    /// Requests that arrived whole, as `METHOD path`.
    served: Mutex<Vec<String>>,
    faults: Mutex<Vec<HeadFault>>,
    given_up: AtomicUsize,
    bytes_given: AtomicUsize,
}

impl Serve for Spy {
    type Body = TestBody;

    async fn call(&self, mut request: Request<RequestBody>, peer: Arc<Peer>) -> Response<TestBody> {
        let line = format!("{} {}", request.method(), request.uri().path());
        match request.uri().path() {
            "/ignore" => return answer(200, "ignored"),
            "/panic" => panic!("as asked"),
            "/prove" => peer.has_shown_a_token(),
            "/later" => tokio::time::sleep(Duration::from_secs(50)).await,
            "/hang" => return self.hang().await,
            "/endless" => return Response::new(Paced::endless(self.0.clone()).boxed_unsync()),
            "/paced" => return Response::new(Paced::slowly(self.0.clone()).boxed_unsync()),
            "/large" => return answer(200, "x".repeat(4 << 20)),
            "/who" => return answer(200, peer.address(request.headers()).to_string()),
            "/socket" => {
                let upgrade = hyper::upgrade::on(&mut request);
                peer.spawn(async move {
                    let mut socket = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
                    let mut word = [0; 4];
                    while socket.read_exact(&mut word).await.is_ok() {
                        socket.write_all(&word).await.unwrap();
                    }
                });
                let response = Response::builder().status(101).header("upgrade", "x").header("connection", "upgrade");
                return response.body(Full::default().map_err(|never| match never {}).boxed_unsync()).unwrap();
            }
            _ => (),
        }
        match request.into_body().collect().await {
            Ok(body) => {
                self.0.served.lock().unwrap().push(line);
                answer(200, format!("{} bytes", body.to_bytes().len()))
            }
            Err(BodyFault::TimedOut) => answer(408, "too slow"),
            Err(BodyFault::Broken) => answer(400, "broken"),
        }
    }

    fn refuse(&self, fault: HeadFault, _: Option<&Parts>) -> Response<TestBody> {
        self.0.faults.lock().unwrap().push(fault);
        let status = match fault {
            HeadFault::Method => 405,
            HeadFault::AtCapacity | HeadFault::TooManyFromAddress => 503,
            HeadFault::Panicked => 500,
            _ => 400,
        };
        answer(status, fault.to_string())
    }
}

impl Spy {
    async fn hang(&self) -> Response<TestBody> {
        struct GivenUp(Arc<Notes>);
        impl Drop for GivenUp {
            fn drop(&mut self) {
                self.0.given_up.fetch_add(1, Relaxed);
            }
        }
        let _noticed = GivenUp(self.0.clone());
        std::future::pending().await
    }
}

fn answer(status: u16, text: impl Into<Bytes>) -> Response<TestBody> {
    let mut response = Response::new(Full::new(text.into()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// Frames of 16 KiB: without end, or three with a pause before each.
struct Paced {
    notes: Arc<Notes>,
    left: usize,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

const PAUSE: Duration = Duration::from_millis(100);

impl Paced {
    fn endless(notes: Arc<Notes>) -> Self {
        Self { notes, left: usize::MAX, pause: None }
    }

    fn slowly(notes: Arc<Notes>) -> Self {
        Self { notes, left: 3, pause: Some(Box::pin(tokio::time::sleep(PAUSE))) }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            pause.as_mut().reset(tokio::time::Instant::now() + PAUSE);
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.notes.bytes_given.fetch_add(16 << 10, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; 16 << 10])))))
    }
}

/// A reception with its spy, over a loopback socket or pipes.
struct Door {
    address: SocketAddr,
    reception: Reception<Spy>,
    setup: Setup,
    notes: Arc<Notes>,
}

impl Door {
    fn of(setup: Setup) -> Self {
        let spy = Spy::default();
        let notes = spy.0.clone();
        let reception = Reception::new(spy, setup.clone());
        Self { address: ([127, 0, 0, 1], 1).into(), reception, setup, notes }
    }

    fn with(limits: Limits) -> Self {
        Self::of(Setup::new(limits))
    }

    /// On a port of its own; call within the runtime.
    fn open(mut self) -> Self {
        let listener = bind(([127, 0, 0, 1], 0).into(), true).unwrap();
        self.address = listener.local_addr().unwrap();
        let reception = self.reception.clone();
        tokio::spawn(async move { reception.serve(listener).await.unwrap() });
        self
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A pipe in memory, for tests that move the clock.
    fn pipe(&self, room: usize) -> tokio::io::DuplexStream {
        let (client, server) = tokio::io::duplex(room);
        self.reception.take(server, self.address);
        client
    }

    /// Sends these bytes on a connection of their own and hears what comes, until the end or half a second of silence.
    async fn says(&self, bytes: impl AsRef<[u8]>) -> Heard {
        let mut stream = self.connect().await;
        // What is refused early may not be taken to its end.
        let _ = stream.write_all(bytes.as_ref()).await;
        heard(&mut stream).await
    }

    async fn still_answers(&self) {
        let heard = self.says(get("/echo")).await;
        assert!(heard.text.starts_with("HTTP/1.1 200"), "{heard:?}");
    }

    fn served(&self) -> Vec<String> {
        self.notes.served.lock().unwrap().clone()
    }

    fn faults(&self) -> Vec<HeadFault> {
        self.notes.faults.lock().unwrap().clone()
    }

    /// Nothing is left behind: no connection, no request, no address.
    async fn is_empty_within(&self, limit: Duration) {
        let turnstile = &self.setup.turnstile;
        let counts = &self.setup.counts;
        let empty = async {
            while turnstile.connections_open() + turnstile.requests_open() + turnstile.unproven_addresses() > 0
                || counts.connections_open() + counts.requests_in_flight() > 0
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let seen = timeout(limit, empty).await;
        assert!(seen.is_ok(), "left: {turnstile:?} {counts:?}");
    }
}

#[derive(Debug)]
struct Heard {
    text: String,
    closed: bool,
}

impl Heard {
    fn statuses(&self) -> Vec<u16> {
        let lines = self.text.split("HTTP/1.").skip(1);
        lines.filter_map(|line| line.get(2..5)?.parse().ok()).collect()
    }
}

async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> Heard {
    let mut bytes = Vec::new();
    let mut piece = [0; 4_096];
    let closed = loop {
        match timeout(Duration::from_millis(500), stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => break true,
            Ok(Ok(n)) => bytes.extend_from_slice(&piece[..n]),
            Err(_) => break false,
        }
    };
    Heard { text: String::from_utf8_lossy(&bytes).into_owned(), closed }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).await.unwrap();
}

/// Reads until this has come.
async fn hears(stream: &mut (impl AsyncRead + Unpin), text: &str) {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        let n = stream.read_buf(&mut bytes).await.unwrap();
        assert!(n > 0, "closed before {text:?}: {:?}", String::from_utf8_lossy(&bytes));
    }
}

fn short() -> Limits {
    Limits {
        head: Duration::from_millis(250),
        body_stall: Duration::from_millis(250),
        drain: Duration::from_millis(50),
        linger: Duration::from_millis(250),
        ..Limits::default()
    }
}
