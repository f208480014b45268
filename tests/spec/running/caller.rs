//! A client: one HTTP/1.1 connection that is kept.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) struct Caller {
    sender: SendRequest<Full<Bytes>>,
    token: String,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Under which the exchange is on record.
    pub(super) id: String,
    pub(super) body: String,
}

impl Caller {
    pub(super) async fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(super) async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, token: String::new() }
    }

    pub(super) fn with_token(self, token: &str) -> Self {
        Self { token: token.to_string(), ..self }
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.whole(Method::GET, path, String::new()).await.unwrap()
    }

    /// A chat completion for a model, whole.
    pub(super) async fn chat(&mut self, model: &str) -> Result<Answer, hyper::Error> {
        self.whole(Method::POST, "/v1/chat/completions", body(model, false)).await
    }

    /// A call that is part of a run, which another run began.
    pub(super) async fn chat_of_run(&mut self, model: &str, run: &str, parent: &str) -> Answer {
        self.of_run(model, |request| request.header("x-keyway-run", run).header("x-keyway-parent-run", parent)).await
    }

    pub(super) async fn chat_in_run(&mut self, model: &str, run: &str) -> Answer {
        self.of_run(model, |request| request.header("x-keyway-run", run)).await
    }

    async fn of_run(&mut self, model: &str, naming: impl FnOnce(request::Builder) -> request::Builder) -> Answer {
        let request = naming(Self::request(Method::POST, "/v1/chat/completions", &self.token));
        let request = request.body(Full::new(body(model, false).into())).unwrap();
        self.sender.ready().await.unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let (status, id) = (response.status().as_u16(), String::new());
        Answer { status, id, body: text(response.into_body()).await.unwrap() }
    }

    pub(super) async fn says(&mut self, bytes: usize) -> Answer {
        let body = body("default", false).replace("Hello", &"x".repeat(bytes));
        self.whole(Method::POST, "/v1/chat/completions", body).await.unwrap()
    }

    /// A chat completion that streams: back once its head is here.
    pub(super) async fn stream(&mut self, model: &str) -> Incoming {
        let response = self.send(Method::POST, "/v1/chat/completions", body(model, true)).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body()
    }

    pub(super) async fn asks(&mut self, method: Method, path: &str, body: &str) -> Answer {
        self.whole(method, path, body.to_string()).await.unwrap()
    }

    async fn whole(&mut self, method: Method, path: &str, body: String) -> Result<Answer, hyper::Error> {
        let response = self.send(method, path, body).await?;
        let status = response.status().as_u16();
        let id = response.headers().get("x-keyway-request-id").map(|id| id.to_str().unwrap().to_string());
        Ok(Answer { status, id: id.unwrap_or_default(), body: text(response.into_body()).await? })
    }

    fn request(method: Method, path: &str, token: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(path).header("host", "keyway.test");
        let request = request.header("authorization", format!("Bearer {token}"));
        request.header("content-type", "application/json")
    }

    async fn send(&mut self, method: Method, path: &str, body: String) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        let request = Self::request(method, path, &self.token).body(Full::new(body.into())).unwrap();
        timeout(Duration::from_secs(30), self.sender.send_request(request)).await.expect("an answer in time")
    }
}

/// A body to its end; an error if it breaks off.
pub(super) async fn text(body: Incoming) -> Result<String, hyper::Error> {
    let collected = timeout(Duration::from_secs(30), body.collect()).await.expect("a body in time")?;
    Ok(String::from_utf8(collected.to_bytes().to_vec()).unwrap())
}

fn body(model: &str, stream: bool) -> String {
    format!("{{\"model\":\"{model}\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}")
}
