//! A client of the gateway: one connection per call, over a pipe or a socket.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyway::listen::Reception;
use keyway::proxy::Proxy;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Bytes in flight between client and gateway.
const PIPE: usize = 16 * 1024;
/// Longer than any promise here allows; a test that waits for this has failed.
const PATIENCE: Duration = Duration::from_secs(3_600);

trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

#[derive(Clone)]
pub(crate) struct Client {
    reception: Reception<Proxy>,
    address: Option<SocketAddr>,
    token: String,
    is_http2: bool,
}

impl Client {
    pub(super) fn new(reception: Reception<Proxy>, address: Option<SocketAddr>, token: &str) -> Self {
        Self { reception, address, token: token.into(), is_http2: false }
    }

    pub(crate) fn over_http2(&self) -> Self {
        Self { is_http2: true, ..self.clone() }
    }

    /// A chat completion of this model.
    pub(crate) fn asks(&self, model: &str) -> Ask {
        let model = serde_json::to_string(model).unwrap();
        self.posts(
            "/v1/chat/completions",
            format!("{{\"model\":{model},\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}"),
        )
    }

    pub(crate) fn posts(&self, path: &str, body: impl Into<Bytes>) -> Ask {
        self.sends("POST", path, body).header("content-type", "application/json")
    }

    pub(crate) fn gets(&self, path: &str) -> Ask {
        self.sends("GET", path, "")
    }

    pub(crate) fn sends(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Ask {
        let head = Request::builder().method(method).uri(path).header("host", "gateway.example");
        let mut request = head.body(body.into()).unwrap();
        let token = format!("Bearer {}", self.token).parse().unwrap();
        request.headers_mut().insert("authorization", token);
        Ask { client: self.clone(), request }
    }

    /// The client that says who it is in no header, or in another.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    /// Sends exactly these bytes, `TOKEN` in them replaced, and hears all until the end or a minute of silence.
    pub(crate) async fn raw(&self, bytes: &str) -> String {
        let mut pipe = self.connects().await;
        pipe.write_all(bytes.replace("TOKEN", &self.token).as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        while let Ok(Ok(1..)) = timeout(Duration::from_secs(60), pipe.read_buf(&mut heard)).await {}
        String::from_utf8(heard).unwrap()
    }

    /// Sends these bytes, and hangs up a moment later.
    pub(crate) async fn leaves_after(&self, bytes: &str) {
        let mut pipe = self.connects().await;
        pipe.write_all(bytes.replace("TOKEN", &self.token).as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    /// Asks for a socket for Responses; the head's status where none is opened.
    pub(crate) async fn opens_socket(&self) -> Result<Socket, u16> {
        let pipe = self.connects().await;
        let request = Request::get("ws://gateway.example/v1/responses")
            .header("host", "gateway.example")
            .header("authorization", format!("Bearer {}", self.token))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        match client_async(request.body(()).unwrap(), pipe).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    async fn connects(&self) -> Box<dyn Pipe> {
        if let Some(address) = self.address {
            return Box::new(TcpStream::connect(address).await.unwrap());
        }
        let (ours, theirs) = duplex(PIPE);
        self.reception.take(theirs, ([127, 0, 0, 1], 4_711).into());
        Box::new(ours)
    }
}

/// An open socket. Dropping it hangs up.
pub(crate) struct Socket(WebSocketStream<Box<dyn Pipe>>);

impl Socket {
    pub(crate) async fn says(&mut self, message: &Value) {
        self.sends(Message::text(message.to_string())).await;
    }

    pub(crate) async fn sends(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// The gateway may hang up before all of it is said.
    pub(crate) async fn tries(&mut self, message: &Value) -> Result<(), Error> {
        self.0.send(Message::text(message.to_string())).await
    }

    /// The next message, pings passed over; `None` once the socket is closed.
    pub(crate) async fn hears(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.unwrap()?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// All messages up to an answer's end.
    pub(crate) async fn hears_all(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(message) = self.hears().await {
            let kind = message["type"].as_str().unwrap_or_default().to_string();
            // The error of a stream is followed by its response.
            let is_last = message.get("status").is_some()
                || ["response.completed", "response.incomplete", "response.failed"].contains(&&*kind);
            all.push(message);
            if is_last {
                break;
            }
        }
        all
    }

    /// Anything that comes, as it comes.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(PATIENCE, self.0.next()).await.unwrap()
    }
}

/// A request that is sent when it is awaited.
pub(crate) struct Ask {
    client: Client,
    request: Request<Bytes>,
}

impl Ask {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.request.headers_mut().remove(name);
        self
    }

    /// The same call as a stream.
    pub(crate) fn streamed(mut self) -> Self {
        let body = std::str::from_utf8(self.request.body()).unwrap();
        *self.request.body_mut() = body.replacen('{', "{\"stream\":true,", 1).into();
        self
    }

    /// Sends it and waits for the head.
    pub(crate) async fn begins(self) -> Live {
        let asked = Instant::now();
        let pipe = self.client.connects().await;
        let request = self.request.map(Full::new);
        let (answer, connection) = match self.client.is_http2 {
            false => over_http1(pipe, request).await,
            true => over_http2(pipe, request).await,
        };
        let (head, body) = answer.into_parts();
        Live {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            heard: Vec::new(),
            asked,
            pieces: Vec::new(),
            broken: false,
            connection,
        }
    }
}

async fn over_http1(pipe: Box<dyn Pipe>, request: Request<Full<Bytes>>) -> (Response<Incoming>, JoinHandle<()>) {
    let (mut sender, connection) = http1::handshake(TokioIo::new(pipe)).await.unwrap();
    let connection = tokio::spawn(async move { drop(connection.await) });
    (timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap(), connection)
}

async fn over_http2(pipe: Box<dyn Pipe>, mut request: Request<Full<Bytes>>) -> (Response<Incoming>, JoinHandle<()>) {
    let path = request.uri().path_and_query().unwrap().as_str();
    *request.uri_mut() = format!("http://gateway.example{path}").parse().unwrap();
    request.headers_mut().remove("host");
    let settings = http2::Builder::new(TokioExecutor::new()).initial_stream_window_size(64 * 1024).clone();
    let (mut sender, connection) = settings.handshake(TokioIo::new(pipe)).await.unwrap();
    let connection = tokio::spawn(async move { drop(connection.await) });
    (timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap(), connection)
}

impl IntoFuture for Ask {
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.begins().await.rest().await })
    }
}

/// An answer that is still coming. Dropping it hangs up.
pub(crate) struct Live {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    heard: Vec<u8>,
    asked: Instant,
    pieces: Vec<(Duration, Bytes)>,
    broken: bool,
    connection: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Live {
    /// Reads until this has come.
    pub(crate) async fn hears(&mut self, text: &str) -> &mut Self {
        while !String::from_utf8_lossy(&self.heard).contains(text) {
            assert!(self.piece().await, "ended before {text:?}: {:?}", String::from_utf8_lossy(&self.heard));
        }
        self
    }

    /// Since the call was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.asked.elapsed()
    }

    /// All that is still to come.
    pub(crate) async fn rest(mut self) -> Reply {
        while self.piece().await {}
        Reply {
            status: self.status,
            headers: std::mem::take(&mut self.headers),
            bytes: std::mem::take(&mut self.heard),
            pieces: std::mem::take(&mut self.pieces),
            broken: self.broken,
            took: self.asked.elapsed(),
        }
    }

    async fn piece(&mut self) -> bool {
        match timeout(PATIENCE, self.body.frame()).await.unwrap() {
            None => false,
            Some(Err(_)) => {
                self.broken = true;
                false
            }
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                self.heard.extend_from_slice(&data);
                self.pieces.push((self.asked.elapsed(), data));
                true
            }
        }
    }
}

/// A whole answer, or as much of it as came before it was cut.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
    /// Each piece, with the time since the call was made.
    pub(crate) pieces: Vec<(Duration, Bytes)>,
    /// The connection was cut before the body's end.
    pub(crate) broken: bool,
    pub(crate) took: Duration,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// What was said, whole or in events.
    pub(crate) fn says(&self) -> String {
        let text = self.text();
        let contents = |text: &str| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            let choice = &value["choices"][0];
            let said = choice["message"]["content"].as_str().or(choice["delta"]["content"].as_str());
            said.unwrap_or_default().to_string()
        };
        match text.contains("data: ") {
            true => text.lines().filter_map(|line| line.strip_prefix("data: ")).map(contents).collect(),
            false => contents(&text),
        }
    }

    /// The code of the error it is, or ends with.
    pub(crate) fn code(&self) -> String {
        let text = self.text();
        let last = text.lines().rfind(|line| !line.is_empty() && !line.starts_with(':')).unwrap_or_default();
        let value: serde_json::Value = serde_json::from_str(last.trim_start_matches("data: ")).unwrap_or_default();
        value["error"]["code"].as_str().unwrap_or_default().to_string()
    }

    /// Served with a status of success, to its end.
    pub(crate) fn is_served(&self, text: &str) -> &Self {
        assert_eq!((self.status, self.broken, self.says().as_str()), (200, false, text), "{}", self.text());
        self
    }

    pub(crate) fn is_refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
        self
    }

    /// A stream that broke: its last word is an error event, its connection was cut, and it never said that it was done.
    pub(crate) fn breaks_off(&self, why: &str) -> &Self {
        let text = self.text();
        let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
        assert!(last.contains(why) && last.contains("\"error\""), "{text}");
        assert!(self.broken && !text.contains("[DONE]"), "broken: {}, {text}", self.broken);
        self
    }
}
