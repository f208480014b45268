//! A scripted peer on loopback, down to the byte.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use keyway::attempt::client::{Destination, Http2};
use keyway::domain::address::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A peer whose every connection follows one script.
pub(super) struct Peer {
    pub(super) at: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection of a peer. The script gets its number, counted from 1.
pub(super) struct Talk {
    pub(super) socket: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    pub(super) async fn plays<F: Future<Output = ()> + Send + 'static>(
        script: impl Fn(usize, Talk) -> F + Send + 'static,
    ) -> Self {
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
    pub(super) async fn says(answer: &'static str) -> Self {
        Self::plays(move |_, mut talk| async move {
            while talk.hears().await.is_some() {
                talk.says(answer).await;
            }
        })
        .await
    }

    /// Answers the first request with these bytes and hangs up.
    pub(super) async fn says_once(answer: impl Into<String>) -> Self {
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

    pub(super) fn destination(&self) -> Destination {
        plain(self.at.port(), Http2::Offered)
    }

    pub(super) fn had_connections(&self, number: usize) {
        assert_eq!(self.connections.load(Relaxed), number, "connections");
    }
}

impl Talk {
    /// One whole request, head and body as text; `None` when the client hung up.
    pub(super) async fn hears(&mut self) -> Option<String> {
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

    pub(super) async fn says(&mut self, text: &str) {
        let _ = self.socket.write_all(text.as_bytes()).await;
    }

    /// Answers as soon as the request begins.
    pub(super) async fn says_after_a_byte(&mut self, text: &str) {
        let _ = self.socket.read(&mut [0]).await;
        self.says(text).await;
    }

    /// Until the client closes, however it does it.
    pub(super) async fn sees_the_end(&mut self) {
        while let Ok(1..) = self.socket.read(&mut [0; 1024]).await {}
    }

    pub(super) fn resets(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn whole_request(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).unwrap().to_ascii_lowercase();
    let length =
        text.split("content-length: ").nth(1).map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    (read.len() >= head + length).then_some(head + length)
}

pub(super) fn plain(port: u16, http2: Http2) -> Destination {
    let address = Address { tls: false, host: "127.0.0.1".into(), port };
    Destination { address: address.into(), credential: None, http2 }
}
