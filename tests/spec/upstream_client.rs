//! What the client towards providers promises, against scripted peers on loopback.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use keyway::attempt::client::{Answer, Broken, Client, ClientSettings, Destination, Head, Http2, Network, Outgoing};
use keyway::attempt::client::authorities;
use keyway::domain::address::{Address, Egress};
use keyway::domain::failure::Failure;
use keyway::domain::id::Id;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here should take, shorter than anyone waits for a test.
const SOON: Duration = Duration::from_secs(5);

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A peer whose every connection follows one script.
struct Peer {
    at: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection of a peer. The script gets its number, counted from 1.
struct Talk {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    async fn plays<F: Future<Output = ()> + Send + 'static>(script: impl Fn(usize, Talk) -> F + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let number = count.fetch_add(1, Relaxed) + 1;
                tokio::spawn(script(number, Talk { socket, read: Vec::new() }));
            }
        });
        Self { at, connections, task }
    }

    /// Answers every request on every connection with the same bytes.
    async fn says(answer: &'static str) -> Self {
        Self::plays(move |_, mut talk| async move {
            while talk.hears().await.is_some() {
                talk.says(answer).await;
            }
        })
        .await
    }

    /// Answers the first request with these bytes and hangs up.
    async fn says_once(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::plays(move |_, mut talk| {
            let answer = answer.clone();
            async move {
                talk.hears().await;
                talk.says(&answer).await;
            }
        })
        .await
    }

    fn destination(&self) -> Destination {
        let address = Address { tls: false, host: "127.0.0.1".into(), port: self.at.port() };
        Destination { address, credential: None, http2: Http2::Offered }
    }

    fn had_connections(&self, number: usize) {
        assert_eq!(self.connections.load(Relaxed), number, "connections");
    }
}

impl Talk {
    /// One whole request, head and body as text; `None` when the client hung up.
    async fn hears(&mut self) -> Option<String> {
        loop {
            if let Some(whole) = whole_request(&self.read) {
                return Some(String::from_utf8(self.read.drain(..whole).collect()).unwrap());
            }
            let mut chunk = [0; 65_536];
            match self.socket.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.read.extend_from_slice(&chunk[..n]),
            }
        }
    }

    async fn says(&mut self, text: &str) {
        let _ = self.socket.write_all(text.as_bytes()).await;
    }

    /// Until the client closes, however it does it.
    async fn sees_the_end(&mut self) {
        while let Ok(1..) = self.socket.read(&mut [0; 1024]).await {}
    }

    fn resets(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn whole_request(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).unwrap().to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1).map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    (read.len() >= head + length).then_some(head + length)
}

fn client_with(settings: ClientSettings) -> Client {
    let egress = Egress { http: vec!["127.0.0.1".into()], ..Egress::default() };
    let network = Network::new(&settings, egress, authorities(None).unwrap());
    Client::new(settings, Arc::new(network))
}

fn client() -> Client {
    client_with(ClientSettings::default())
}

fn post() -> Head {
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, "application/json".parse().unwrap())]);
    Head { method: Method::POST, path: "/v1/chat".parse().unwrap(), headers }
}

fn body() -> Outgoing {
    Outgoing::from(vec![Bytes::from("{\"model\":"), Bytes::from("\"m\"}")])
}

async fn ask(client: &Client, to: &Destination) -> Result<Answer, Failure> {
    timeout(SOON, client.send(to, post(), body())).await.expect("an answer in time")
}

async fn whole(answer: Answer) -> Result<String, Broken> {
    let collected = timeout(SOON, answer.body.collect()).await.expect("a body in time")?;
    Ok(String::from_utf8(collected.to_bytes().to_vec()).unwrap())
}

async fn asks_whole(client: &Client, to: &Destination) -> String {
    whole(ask(client, to).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_connection_whose_answer_ended_carries_the_next_call() {
    let peer = Peer::says(HELLO).await;
    let client = client();
    for reused in [false, true, true] {
        let answer = ask(&client, &peer.destination()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.reused), (200, reused));
        assert_eq!(whole(answer).await.unwrap(), "hello");
    }
    peer.had_connections(1);
    assert_eq!(client.counts().idle.load(Relaxed), 1);
}

#[tokio::test]
async fn the_request_is_ours_host_and_length_and_nothing_else() {
    let (heard, mut request) = tokio::sync::mpsc::channel(1);
    let peer = Peer::plays(move |_, mut talk| {
        let heard = heard.clone();
        async move {
            heard.send(talk.hears().await.unwrap()).await.unwrap();
            talk.says(HELLO).await;
        }
    })
    .await;
    let mut head = post();
    for (name, value) in [("host", "evil"), ("content-length", "3"), ("transfer-encoding", "chunked"), ("te", "x")] {
        head.headers.insert(name, value.parse().unwrap());
    }
    client().send(&peer.destination(), head, body()).await.unwrap();
    let port = peer.at.port();
    let mut lines: Vec<String> = request.recv().await.unwrap().split("\r\n").map(str::to_string).collect();
    lines[1..4].sort();
    let wanted = [
        "POST /v1/chat HTTP/1.1",
        "content-length: 13",
        "content-type: application/json",
        &format!("host: 127.0.0.1:{port}"),
        "",
        "{\"model\":\"m\"}",
    ];
    assert_eq!(lines, wanted);
}

#[tokio::test]
async fn a_call_on_a_connection_that_died_meanwhile_goes_out_once_more() {
    let peer = Peer::plays(|number, mut talk| async move {
        talk.hears().await;
        talk.says(HELLO).await;
        // The first connection takes the second request and dies without a word.
        if number == 1 {
            talk.hears().await;
            talk.resets();
        }
    })
    .await;
    let client = client();
    assert_eq!(asks_whole(&client, &peer.destination()).await, "hello");
    assert_eq!(asks_whole(&client, &peer.destination()).await, "hello");
    peer.had_connections(2);
    assert_eq!(client.counts().resent.load(Relaxed), 1);
}

#[tokio::test]
async fn a_call_is_never_sent_a_third_time() {
    let peer = Peer::plays(|number, mut talk| async move {
        talk.hears().await;
        if number == 1 {
            talk.says(HELLO).await;
            talk.hears().await;
        }
        talk.resets();
    })
    .await;
    let client = client();
    assert_eq!(asks_whole(&client, &peer.destination()).await, "hello");
    assert_eq!(ask(&client, &peer.destination()).await.err(), Some(Failure::Reset));
    peer.had_connections(2);
}

#[tokio::test]
async fn a_call_whose_answer_had_begun_is_not_sent_again() {
    let peer = Peer::plays(|_, mut talk| async move {
        talk.hears().await;
        talk.says(HELLO).await;
        talk.hears().await;
        talk.says("HTTP/1.1 200").await;
    })
    .await;
    let client = client();
    assert_eq!(asks_whole(&client, &peer.destination()).await, "hello");
    assert_eq!(ask(&client, &peer.destination()).await.err(), Some(Failure::Reset));
    peer.had_connections(1);
}
