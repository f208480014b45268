//! Providers that do as they are told and note what they hear, over pipes or sockets.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use keyway::attempt::client::{Connect, Connecting, Http2, Link, Stream};
use keyway::domain::address::Address;
use keyway::domain::failure::Failure;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex, split};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::answer::{Answer, Step};

/// Bytes in flight in a pipe.
const PIPE: usize = 16 * 1024;

/// What a provider heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// As it came; our header names are in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// When the gateway hung up before the answer was over.
    pub(crate) left_at: Option<Instant>,
}

impl Heard {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[derive(Clone, Copy, Debug, Default)]
enum Door {
    #[default]
    Open,
    Refuses,
    Hangs,
}

#[derive(Debug, Default)]
struct State {
    door: Mutex<Door>,
    /// The last answer is given again and again.
    script: Mutex<VecDeque<Answer>>,
    heard: Mutex<Vec<Heard>>,
    written: AtomicUsize,
}

/// One provider, as a test sees it.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    name: String,
    state: Arc<State>,
}

impl Provider {
    /// One on a port of its own, with its scheme, host and port.
    pub(crate) fn on_loopback(name: &str) -> (Self, String) {
        let provider = Self { name: name.to_string(), state: Arc::default() };
        let host = listens(&provider);
        (provider, host)
    }

    /// From now on this, whatever was said before.
    pub(crate) fn answers(&self, answer: Answer) -> &Self {
        *self.state.script.lock().unwrap() = [answer].into();
        self
    }

    /// And then this, from then on.
    pub(crate) fn then(&self, answer: Answer) -> &Self {
        self.state.script.lock().unwrap().push_back(answer);
        self
    }

    pub(crate) fn refuses_connections(&self) {
        *self.state.door.lock().unwrap() = Door::Refuses;
    }

    pub(crate) fn takes_no_connections(&self) {
        *self.state.door.lock().unwrap() = Door::Hangs;
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.state.heard.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.heard.lock().unwrap().len()
    }

    /// What it heard last.
    pub(crate) fn last(&self) -> Heard {
        self.heard().pop().unwrap_or_else(|| panic!("{} was not called", self.name))
    }

    pub(crate) fn was_not_called(&self) {
        assert_eq!(self.calls(), 0, "{} was called", self.name);
    }

    pub(crate) fn was_called(&self, times: usize) {
        assert_eq!(self.calls(), times, "calls of {}", self.name);
    }

    /// Bytes of answers that the gateway has taken, or a pipe holds.
    pub(crate) fn written(&self) -> usize {
        self.state.written.load(Relaxed)
    }

    /// Waits until it has heard so many requests.
    pub(crate) async fn hears(&self, requests: usize) {
        let heard = async {
            while self.calls() < requests {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(Duration::from_secs(5), heard).await.is_ok(), "{} heard {}", self.name, self.calls());
    }

    /// How long after `since` the gateway hung up on the last request; it is a failure if it has not within 2 s.
    pub(crate) async fn was_left_after(&self, since: Instant) -> Duration {
        let left = async {
            loop {
                if let Some(at) = self.last().left_at {
                    return at.saturating_duration_since(since);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(2), left).await.unwrap_or_else(|_| panic!("{} was not left", self.name))
    }
}

/// All providers of a world.
#[derive(Clone, Debug)]
pub(super) struct Providers {
    all: Arc<BTreeMap<String, (String, Provider)>>,
}

impl Providers {
    pub(super) fn new(names: &[String], on_loopback: bool) -> Self {
        let provider = |name: &String| {
            let provider = Provider { name: name.clone(), state: Arc::default() };
            let host = if on_loopback { listens(&provider) } else { format!("https://{name}.example") };
            (name.clone(), (host, provider))
        };
        Self { all: Arc::new(names.iter().map(provider).collect()) }
    }

    pub(super) fn host(&self, name: &str) -> &str {
        &self.all[name].0
    }

    pub(super) fn named(&self, name: &str) -> Provider {
        self.all[name].1.clone()
    }
}

/// Serves a provider on a port of its own; a refusing one resets what the kernel has accepted.
fn listens(provider: &Provider) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (listener, state) = (TcpListener::from_std(listener).unwrap(), provider.state.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let socket = SockRef::from(&stream).try_clone().unwrap();
            let reset = move || socket.set_linger(Some(Duration::ZERO)).unwrap();
            tokio::spawn(attends(state.clone(), stream, reset));
        }
    });
    format!("http://{address}")
}

/// Hands out pipes to the provider that a host's first word names.
pub(super) struct Wires(pub(super) Providers);

impl Connect for Wires {
    fn connect<'a>(&'a self, address: &'a Address, _: Http2) -> Connecting<'a> {
        let name = address.host.split('.').next().unwrap_or_default();
        let state = self.0.named(name).state;
        let door = *state.door.lock().unwrap();
        Box::pin(async move {
            match door {
                Door::Refuses => Err(Failure::Unreachable("connection refused".into())),
                Door::Hangs => std::future::pending().await,
                Door::Open => {
                    let (pipe, theirs) = duplex(PIPE);
                    let is_reset = Arc::new(AtomicBool::new(false));
                    let flag = is_reset.clone();
                    tokio::spawn(attends(state, theirs, move || flag.store(true, Relaxed)));
                    Ok(Link { stream: Box::new(Wire { pipe, is_reset }), http2: false })
                }
            }
        })
    }
}

/// A pipe that can be reset, as a socket can.
struct Wire {
    pipe: DuplexStream,
    is_reset: Arc<AtomicBool>,
}

impl Stream for Wire {
    fn is_quiet(&self) -> bool {
        true
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_reset.load(Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// One connection's life: a request, its answer, the next request.
async fn attends(state: Arc<State>, stream: impl AsyncRead + AsyncWrite, resets: impl Fn()) {
    let (mut reader, mut writer) = split(stream);
    let mut read = Vec::new();
    while let Some(heard) = request(&mut reader, &mut read).await {
        let number = {
            let mut all = state.heard.lock().unwrap();
            all.push(heard);
            all.len() - 1
        };
        let answer = next_answer(&state);
        let goes_on = tokio::select! {
            // First, for a peer that has gone also ends the playing: which of the two is noted must not be luck.
            biased;
            () = hangs_up(&mut reader, &mut read) => {
                state.heard.lock().unwrap()[number].left_at = Some(Instant::now());
                false
            }
            goes_on = plays(&state, &mut writer, answer, &resets) => goes_on,
        };
        if !goes_on {
            return;
        }
    }
}

fn next_answer(state: &State) -> Answer {
    let mut script = state.script.lock().unwrap();
    match script.len() {
        0 => Answer::whole("hello"),
        1 => script[0].clone(),
        _ => script.pop_front().unwrap(),
    }
}

async fn plays(state: &State, writer: &mut (impl AsyncWrite + Unpin), answer: Answer, resets: &impl Fn()) -> bool {
    for step in answer.0 {
        match step {
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Close => return false,
            Step::Reset => {
                resets();
                return false;
            }
            Step::Hang => std::future::pending().await,
            Step::Bytes(bytes) => {
                for piece in bytes.chunks(1_024) {
                    if writer.write_all(piece).await.is_err() {
                        return false;
                    }
                    state.written.fetch_add(piece.len(), Relaxed);
                }
            }
        }
    }
    true
}

/// Ready when the gateway has hung up; what it says meanwhile is kept.
async fn hangs_up(reader: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) {
    while let Ok(1..) = reader.read_buf(read).await {}
}

async fn request(reader: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> Option<Heard> {
    loop {
        if let Some((heard, length)) = whole_request(read) {
            read.drain(..length);
            return Some(heard);
        }
        if !matches!(reader.read_buf(read).await, Ok(1..)) {
            return None;
        }
    }
}

/// Requests have a length: the gateway holds every body before it sends one.
fn whole_request(read: &[u8]) -> Option<(Heard, usize)> {
    let head = read.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = String::from_utf8(read[..head].to_vec()).unwrap();
    let lower = text.to_ascii_lowercase();
    let length =
        lower.split("content-length: ").nth(1).map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    if read.len() < head + length {
        return None;
    }
    let heard = Heard { head: text, body: read[head..head + length].to_vec(), left_at: None };
    Some((heard, head + length))
}
