//! The same client over pipes in memory: time moves at once, and every byte is counted.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{future, io};

use http_body_util::BodyExt;
use keyway::attempt::client::{Client, ClientSettings, Connect, Connecting, Http2, Link, Stream};
use keyway::domain::address::Address;
use keyway::domain::failure::Failure;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::{HELLO, SOON, ask, asks_whole, peer::plain};

/// Bytes in flight in a pipe.
const PIPE: usize = 4_096;

/// Hands the other end of each new pipe to the test.
struct Pipes {
    opened: mpsc::UnboundedSender<DuplexStream>,
    writes: Arc<AtomicUsize>,
}

impl Connect for Pipes {
    fn connect<'a>(&'a self, _: &'a Address, _: Http2) -> Connecting<'a> {
        let (ours, theirs) = duplex(PIPE);
        self.opened.send(theirs).unwrap();
        let stream = Counted { pipe: ours, writes: self.writes.clone() };
        Box::pin(future::ready(Ok(Link { stream: Box::new(stream), http2: false })))
    }
}

/// A pipe that takes several slices in one write, as a socket does.
struct Counted {
    pipe: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl Stream for Counted {
    fn is_quiet(&self) -> bool {
        true
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Relaxed);
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, &slices.iter().flat_map(|slice| slice.to_vec()).collect::<Vec<_>>())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

type Ends = Arc<Mutex<Vec<Instant>>>;

/// Each pipe's peer answers every read with these bytes; when it sees the end, it notes the time.
fn client_whose_peers_say(answer: &'static str) -> (Client, Arc<AtomicUsize>, Ends) {
    let (opened, mut pipes) = mpsc::unbounded_channel::<DuplexStream>();
    let writes = Arc::new(AtomicUsize::new(0));
    let ends = Ends::default();
    let noted = ends.clone();
    tokio::spawn(async move {
        while let Some(mut pipe) = pipes.recv().await {
            let noted = noted.clone();
            tokio::spawn(async move {
                while let Ok(1..) = pipe.read(&mut [0; PIPE]).await {
                    pipe.write_all(answer.as_bytes()).await.unwrap();
                }
                noted.lock().unwrap().push(Instant::now());
            });
        }
    });
    let client = Client::new(ClientSettings::default(), Arc::new(Pipes { opened, writes: writes.clone() }));
    (client, writes, ends)
}

#[tokio::test(start_paused = true)]
async fn a_small_request_goes_out_in_one_write() {
    let (client, writes, _) = client_whose_peers_say(HELLO);
    for calls in 1..=3 {
        asks_whole(&client, &plain(1, Http2::Offered)).await;
        assert_eq!(writes.load(Relaxed), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_rests_for_20_seconds_is_closed_then_and_not_later() {
    let (client, _, ends) = client_whose_peers_say(HELLO);
    let start = Instant::now();
    asks_whole(&client, &plain(1, Http2::Offered)).await;
    tokio::time::sleep(Duration::from_secs(19)).await;
    assert!(ask(&client, &plain(1, Http2::Offered)).await.unwrap().reused, "still there, and dropped with its body");
    asks_whole(&client, &plain(1, Http2::Offered)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let closed: Vec<_> = ends.lock().unwrap().iter().map(|end| (*end - start).as_secs()).collect();
    assert_eq!(closed, [19, 39]);
    assert_eq!((client.counts().open.load(Relaxed), client.tasks()), (0, 0), "and the sweep sleeps for good");
}

#[tokio::test(start_paused = true)]
async fn closing_what_is_idle_leaves_nothing_open() {
    let (client, _, _) = client_whose_peers_say(HELLO);
    asks_whole(&client, &plain(1, Http2::Offered)).await;
    client.close_idle();
    assert_eq!((client.counts().open.load(Relaxed), client.counts().idle.load(Relaxed)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stops_the_peer_from_sending() {
    let (opened, mut pipes) = mpsc::unbounded_channel();
    let connect = Pipes { opened, writes: Arc::default() };
    let client = Client::new(ClientSettings::default(), Arc::new(connect));
    let to = plain(1, Http2::Offered);
    let endless = async {
        let mut pipe = pipes.recv().await.unwrap();
        assert_ne!(pipe.read(&mut [0; PIPE]).await.unwrap(), 0);
        pipe.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n").await.unwrap();
        let mut sent = 0;
        while let Ok(Ok(written)) = timeout(SOON, pipe.write(&[b'x'; 1024])).await {
            sent += written;
        }
        (sent, pipe)
    };
    let reading = async {
        let mut answer = ask(&client, &to).await.unwrap();
        answer.body.frame().await.unwrap().unwrap();
        answer
    };
    let ((sent, _pipe), _answer) = tokio::join!(endless, reading);
    assert!(sent < 256 * 1024, "{sent}");
}

/// A connector that never gets anywhere.
struct Nowhere;

impl Connect for Nowhere {
    fn connect<'a>(&'a self, _: &'a Address, _: Http2) -> Connecting<'a> {
        Box::pin(future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_connection_is_given_up() {
    let client = Client::new(ClientSettings::default(), Arc::new(Nowhere));
    let start = Instant::now();
    let to = plain(1, Http2::PriorKnowledge);
    let failure = super::sent(&client, &to, super::post(), super::body()).await.err();
    assert_eq!((failure, start.elapsed()), (Some(Failure::ConnectTimedOut), Duration::from_secs(10)));
}
