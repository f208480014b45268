//! Many calls on one connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyway::attempt::client::{Broken, ClientSettings, Destination, Http2};
use keyway::domain::failure::Failure;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::peer::{Peer, plain};
use super::{HELLO, SOON, ask, asks_whole, client, client_with, whole};

/// A body that a test feeds; its sender fails once the client has gone.
struct Fed(mpsc::Receiver<Bytes>);
type Feed = mpsc::Sender<Bytes>;

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|fed| fed.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A real HTTP/2 server whose answers are fed by the test.
struct Server {
    to: Destination,
    connections: Arc<AtomicUsize>,
    feeds: mpsc::UnboundedReceiver<Feed>,
}

async fn server_with(streams: u32) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = plain(listener.local_addr().unwrap().port(), Http2::PriorKnowledge);
    let connections = Arc::new(AtomicUsize::new(0));
    let (fed, feeds) = mpsc::unbounded_channel();
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Relaxed);
            let fed = fed.clone();
            let answers = service_fn(move |request: Request<Incoming>| answer_fed(request, fed.clone()));
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(streams);
            tokio::spawn(builder.serve_connection(TokioIo::new(socket), answers));
        }
    });
    Server { to, connections, feeds }
}

async fn answer_fed(request: Request<Incoming>, fed: mpsc::UnboundedSender<Feed>) -> Result<Response<Fed>, Infallible> {
    assert!(request.headers().get("host").is_none());
    assert_eq!(request.uri().path(), "/v1/chat");
    let sent = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(sent, "{\"model\":\"m\"}");
    let (feed, body) = mpsc::channel(16);
    let _ = fed.send(feed);
    Ok(Response::new(Fed(body)))
}

#[tokio::test]
async fn calls_share_a_connection_up_to_the_peers_limit_and_then_open_another() {
    let mut server = server_with(2).await;
    let client = client();
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(ask(&client, &server.to).await.unwrap());
    }
    assert_eq!(server.connections.load(Relaxed), 3);
    for answer in answers {
        let feed = server.feeds.recv().await.unwrap();
        feed.send(Bytes::from("hello")).await.unwrap();
        drop(feed);
        assert_eq!(whole(answer).await.unwrap(), "hello");
    }
    assert!(ask(&client, &server.to).await.unwrap().reused);
    assert_eq!(server.connections.load(Relaxed), 3);
}

#[tokio::test]
async fn calls_that_come_at_once_wait_for_one_connection() {
    let server = server_with(100).await;
    let client = client();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (client, to) = (client.clone(), server.to.clone());
        calls.spawn(async move { ask(&client, &to).await.unwrap().status.as_u16() });
    }
    assert_eq!(calls.join_all().await, [200; 20]);
    assert_eq!(server.connections.load(Relaxed), 1);
}

#[tokio::test]
async fn an_answer_let_go_resets_its_stream_and_leaves_the_others() {
    let mut server = server_with(100).await;
    let client = client();
    let (left, gone) = (ask(&client, &server.to).await.unwrap(), ask(&client, &server.to).await.unwrap());
    let (kept, lost) = (server.feeds.recv().await.unwrap(), server.feeds.recv().await.unwrap());
    drop(gone);
    let unsent = async { while lost.send(Bytes::from("x")).await.is_ok() {} };
    timeout(Duration::from_secs(1), unsent).await.expect("the server hears within a second");
    kept.send(Bytes::from("hello")).await.unwrap();
    drop(kept);
    assert_eq!(whole(left).await.unwrap(), "hello");
}

#[tokio::test]
async fn readers_that_stall_do_not_stall_the_others_and_bound_what_is_sent() {
    let mut server = server_with(100).await;
    let client = client();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(ask(&client, &server.to).await.unwrap());
        let feed = server.feeds.recv().await.unwrap();
        tokio::spawn(async move { while feed.send(Bytes::from(vec![0; 16_384])).await.is_ok() {} });
    }
    let live = ask(&client, &server.to).await.unwrap();
    let feed = server.feeds.recv().await.unwrap();
    tokio::spawn(async move {
        for _ in 0..1024 {
            feed.send(Bytes::from(vec![0; 1024])).await.unwrap();
        }
    });
    assert_eq!(whole(live).await.unwrap().len(), 1 << 20);
    drop(stalled);
}

/// A peer that speaks HTTP/2 by hand: the script gets the connection's number and each request on it.
async fn peer_that(
    script: impl Fn(
        usize,
        usize,
        &mut h2::server::Connection<tokio::net::TcpStream, Bytes>,
        h2::server::SendResponse<Bytes>,
    ) + Copy
    + Send
    + 'static,
) -> (Peer, Destination) {
    let peer = Peer::plays(move |number, talk| async move {
        let mut connection = h2::server::handshake(talk.socket).await.unwrap();
        let mut calls = 0;
        while let Some(Ok((_, respond))) = connection.accept().await {
            calls += 1;
            script(number, calls, &mut connection, respond);
        }
    })
    .await;
    let to = Destination { http2: Http2::PriorKnowledge, ..peer.destination() };
    (peer, to)
}

fn says_hello(mut respond: h2::server::SendResponse<Bytes>) {
    respond.send_response(Response::new(()), false).unwrap().send_data(Bytes::from("hello"), true).unwrap();
}

#[tokio::test]
async fn a_refused_stream_goes_out_once_more_on_a_new_connection() {
    let (peer, to) = peer_that(|number, _, _, mut respond| match number {
        1 => respond.send_reset(h2::Reason::REFUSED_STREAM),
        _ => says_hello(respond),
    })
    .await;
    assert_eq!(asks_whole(&client(), &to).await, "hello");
    peer.had_connections(2);

    let (peer, to) = peer_that(|_, _, _, mut respond| respond.send_reset(h2::Reason::REFUSED_STREAM)).await;
    assert_eq!(ask(&client(), &to).await.err(), Some(Failure::Reset));
    peer.had_connections(2);
}

#[tokio::test]
async fn any_other_reset_is_not_sent_again() {
    let (peer, to) = peer_that(|_, _, _, mut respond| respond.send_reset(h2::Reason::INTERNAL_ERROR)).await;
    assert_eq!(ask(&client(), &to).await.err(), Some(Failure::Reset));
    peer.had_connections(1);
}

#[tokio::test]
async fn after_a_goodbye_the_next_call_opens_a_new_connection() {
    let (peer, to) = peer_that(|number, calls, connection, respond| {
        says_hello(respond);
        if (number, calls) == (1, 1) {
            connection.graceful_shutdown();
        }
    })
    .await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(asks_whole(&client, &to).await, "hello");
    }
    peer.had_connections(2);
}

#[tokio::test]
async fn a_connection_on_which_nothing_runs_is_closed_like_any_other() {
    let (ended, mut end) = mpsc::channel(1);
    let peer = Peer::plays(move |_, talk| {
        let ended = ended.clone();
        async move {
            let mut connection = h2::server::handshake(talk.socket).await.unwrap();
            while let Some(Ok((_, respond))) = connection.accept().await {
                says_hello(respond);
            }
            ended.send(()).await.unwrap();
        }
    })
    .await;
    let to = Destination { http2: Http2::PriorKnowledge, ..peer.destination() };
    let settings = ClientSettings { pool_idle: Duration::from_millis(100), ..ClientSettings::default() };
    let client = client_with(settings);
    assert_eq!(asks_whole(&client, &to).await, "hello");
    timeout(SOON, end.recv()).await.expect("closed soon after it came to rest");
}

#[tokio::test]
async fn a_stream_reset_in_mid_answer_is_cut_whatever_the_reason() {
    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL] {
        let (_peer, to) = peer_that(move |_, _, _, mut respond| {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from("hel"), false).unwrap();
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                stream.send_reset(reason);
            });
        })
        .await;
        let failure = match ask(&client(), &to).await {
            Ok(answer) => whole(answer).await.err(),
            Err(_) => Some(Broken::Cut),
        };
        assert_eq!(failure, Some(Broken::Cut), "{reason}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_speak_http2_is_found_out_before_a_request_is_sent() {
    let peer = Peer::says(HELLO).await;
    let to = Destination { http2: Http2::PriorKnowledge, ..peer.destination() };
    let failure = timeout(SOON, ask(&client(), &to)).await.unwrap().err();
    assert!(matches!(failure, Some(Failure::Garbage(_))), "{failure:?}");
}

#[tokio::test]
async fn ending_the_client_ends_its_connections() {
    let server = server_with(100).await;
    let client = client();
    let answer = ask(&client, &server.to).await.unwrap();
    assert_eq!(client.counts().open.load(Relaxed), 1);
    client.abort();
    assert_eq!(whole(answer).await, Err(Broken::Cut));
    assert_eq!(client.counts().open.load(Relaxed), 0);
}
