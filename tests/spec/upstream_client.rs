//! What the client towards providers promises, against scripted peers.

#![expect(clippy::unwrap_used, reason = "a panic in a test's own helper is the report too")]

mod http2;
mod network;
mod peer;
mod pipes;

use std::future::poll_fn;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use keyway::attempt::client::{
    Answer, Broken, Client, ClientSettings, Destination, Head, Network, Outgoing, Recipe, authorities,
};
use keyway::domain::address::Egress;
use keyway::domain::failure::Failure;
use keyway::domain::id::Id;
use keyway::protocol::splice::Pieces;
use peer::Peer;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Longer than anything here should take, shorter than anyone waits for a test.
const SOON: Duration = Duration::from_secs(5);

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// May call 127.0.0.1, in plain text too.
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
    let mut pieces = Pieces::from(Bytes::from("{\"model\":"));
    pieces.push(Bytes::from("\"m\"}"));
    Outgoing::from(pieces)
}

/// A request that is held whole.
struct Held(Head, Outgoing);

impl Recipe for Held {
    fn goes_by_once(&self) -> bool {
        matches!(self.1, Outgoing::Streamed(_))
    }

    fn request(&mut self) -> (Head, Outgoing) {
        (self.0.clone(), self.1.again().unwrap_or_else(|| std::mem::replace(&mut self.1, Outgoing::EMPTY)))
    }
}

async fn sent(client: &Client, to: &Destination, head: Head, body: Outgoing) -> Result<Answer, Failure> {
    client.send(to, &mut Held(head, body)).await
}

async fn ask(client: &Client, to: &Destination) -> Result<Answer, Failure> {
    timeout(SOON, sent(client, to, post(), body())).await.expect("an answer in time")
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
    sent(&client(), &peer.destination(), head, body()).await.unwrap();
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
async fn no_call_is_lost_on_connections_that_the_peer_closes_after_each_answer() {
    let peer = Peer::says_once(HELLO).await;
    let client = client();
    for _ in 0..50 {
        assert_eq!(asks_whole(&client, &peer.destination()).await, "hello");
    }
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

#[tokio::test]
async fn what_lies_behind_an_answer_ends_the_connection() {
    let peer = Peer::says("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n").await;
    let client = client();
    for _ in 0..2 {
        assert_eq!(asks_whole(&client, &peer.destination()).await, "hello");
    }
    peer.had_connections(2);
}

/// The peer is a thread, and this one blocks until it wrote: the bytes are in the kernel, and the runtime has not heard.
async fn hears_an_extra_answer(is_asking: bool) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = peer::plain(listener.local_addr().unwrap().port(), Default::default());
    let (go, going) = std::sync::mpsc::channel();
    let (wrote, written) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        let _ = first.read(&mut [0; 4096]).unwrap();
        first.write_all(HELLO.as_bytes()).unwrap();
        going.recv().unwrap();
        first.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen").unwrap();
        wrote.send(()).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        let _ = second.read(&mut [0; 4096]).unwrap();
        second.write_all(HELLO.as_bytes()).unwrap();
        // Nothing of the second call came here: it was not even written.
        first.read(&mut [0; 4096]).unwrap_or(0)
    });
    let client = client();
    assert_eq!(asks_whole(&client, &to).await, "hello");
    let late = tokio::spawn(async move {
        go.send(()).unwrap();
        written.recv().unwrap();
    });
    if is_asking {
        // The call goes first, and lets the others go before its request.
        assert_eq!(asks_whole(&client, &to).await, "hello");
        late.await.unwrap();
    } else {
        late.await.unwrap();
        assert_eq!(asks_whole(&client, &to).await, "hello");
    }
    assert_eq!(thread.join().unwrap(), 0);
}

#[tokio::test]
async fn a_late_extra_answer_is_never_the_next_calls_answer() {
    hears_an_extra_answer(false).await;
    hears_an_extra_answer(true).await;
}

#[tokio::test]
async fn an_answer_shorter_than_it_said_is_cut() {
    for cut in [
        "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n50\r\nhello",
    ] {
        let peer = Peer::says_once(cut).await;
        let answer = ask(&client(), &peer.destination()).await.unwrap();
        assert_eq!(whole(answer).await, Err(Broken::Cut), "{cut}");
    }
    let peer = Peer::says_once("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n").await;
    let answer = ask(&client(), &peer.destination()).await.unwrap();
    assert_eq!(whole(answer).await, Err(Broken::Malformed));
}

/// With its first line gone before, such a chunk is as many bytes as a whole one without an end would be.
#[tokio::test]
async fn an_end_that_comes_with_the_rest_of_a_chunk_is_seen() {
    let looked = Arc::new(Notify::new());
    let waits = looked.clone();
    let peer = Peer::plays(move |_, mut talk| {
        let looked = waits.clone();
        async move {
            talk.hears().await;
            talk.says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n12c\r\n").await;
            looked.notified().await;
            talk.says(&format!("{}\r\n0\r\n\r\n", "x".repeat(300))).await;
            talk.sees_the_end().await;
        }
    })
    .await;
    let client = client();
    let mut answer = ask(&client, &peer.destination()).await.unwrap();
    assert!(poll_fn(|cx| Poll::Ready(answer.body.poll_piece(cx).is_pending())).await);
    looked.notify_one();
    assert_eq!(whole(answer).await.map(|text| text.len()), Ok(300));
}

#[tokio::test]
async fn a_connection_stays_whose_answer_in_chunks_ends_with_words_of_their_own() {
    let peer = Peer::plays(|_, mut talk| async move {
        while talk.hears().await.is_some() {
            talk.says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            talk.says("0\r\n\r\n").await;
        }
    })
    .await;
    let client = client();
    for reused in [false, true] {
        let answer = ask(&client, &peer.destination()).await.unwrap();
        assert_eq!(answer.reused, reused);
        assert_eq!(whole(answer).await.unwrap(), "hello");
    }
    peer.had_connections(1);
}

#[tokio::test]
async fn an_answer_with_two_framings_is_the_connections_last() {
    let peer =
        Peer::says("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .await;
    let client = client();
    for _ in 0..2 {
        assert_eq!(asks_whole(&client, &peer.destination()).await, "hello");
    }
    peer.had_connections(2);
}

#[tokio::test]
async fn each_way_of_not_answering_has_its_failure() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = ask(&client(), &peer::plain(port, Default::default())).await.err();
    assert_eq!(refused, Some(Failure::Unreachable("connection refused".into())));

    let reset = Peer::plays(|_, mut talk| async move {
        talk.hears().await;
        talk.resets();
    })
    .await;
    assert_eq!(ask(&client(), &reset.destination()).await.err(), Some(Failure::Reset));
    let silent = Peer::says_once("").await;
    assert_eq!(ask(&client(), &silent.destination()).await.err(), Some(Failure::Reset));

    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let interim = format!("{}{HELLO}", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(11));
    let switched = "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_string();
    for garbage in ["SSH-2.0-OpenSSH_9.9\r\n\r\n".to_string(), large, many, interim, switched] {
        let peer = Peer::says_once(garbage.clone()).await;
        let failure = ask(&client(), &peer.destination()).await.err();
        assert!(matches!(failure, Some(Failure::Garbage(_))), "{failure:?} for {:.40}", garbage);
    }
}

#[tokio::test]
async fn ten_interim_heads_are_passed_over() {
    let peer = Peer::says_once(format!("{}{HELLO}", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10))).await;
    assert_eq!(asks_whole(&client(), &peer.destination()).await, "hello");
}

#[tokio::test]
async fn a_peer_that_speaks_first_is_no_http_server() {
    let peer = Peer::plays(|_, mut talk| async move {
        talk.says("220 mail.example ESMTP\r\n").await;
        talk.sees_the_end().await;
    })
    .await;
    let failure = ask(&client(), &peer.destination()).await.err();
    assert!(matches!(failure, Some(Failure::Garbage(_))), "{failure:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let peer = Peer::says("HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    let client = client();
    for _ in 0..2 {
        let answer = ask(&client, &peer.destination()).await.unwrap();
        assert_eq!(answer.status.as_u16(), 307);
    }
    peer.had_connections(1);
}

#[tokio::test]
async fn two_credentials_never_share_a_connection() {
    let peer = Peer::says(HELLO).await;
    let client = client();
    let with = |credential| Destination { credential, ..peer.destination() };
    let (one, two) = (with(Some(Id::random())), with(Some(Id::random())));
    for to in [&one, &two, &with(None), &one, &two] {
        assert_eq!(asks_whole(&client, to).await, "hello");
    }
    peer.had_connections(3);
}

#[tokio::test]
async fn a_call_let_go_closes_its_connection_at_once() {
    let (seen, mut ends) = tokio::sync::mpsc::channel(2);
    let peer = Peer::plays(move |number, mut talk| {
        let seen = seen.clone();
        async move {
            talk.hears().await;
            if number == 2 {
                talk.says("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello").await;
            }
            talk.sees_the_end().await;
            seen.send(number).await.unwrap();
        }
    })
    .await;
    let client = client();
    let waiting = timeout(Duration::from_millis(50), sent(&client, &peer.destination(), post(), body())).await;
    assert!(waiting.is_err(), "there is no answer");
    assert_eq!(timeout(Duration::from_secs(1), ends.recv()).await.unwrap(), Some(1));

    let mut answer = ask(&client, &peer.destination()).await.unwrap();
    answer.body.frame().await.unwrap().unwrap();
    drop(answer);
    assert_eq!(timeout(Duration::from_secs(1), ends.recv()).await.unwrap(), Some(2));
    assert_eq!(client.counts().open.load(Relaxed), 0);
}

#[tokio::test]
async fn an_answer_that_came_before_the_request_was_out_ends_the_connection() {
    let peer = Peer::plays(|_, mut talk| async move {
        talk.says_after_a_byte(HELLO).await;
        talk.sees_the_end().await;
    })
    .await;
    let client = client();
    let huge = Outgoing::from(Bytes::from(vec![b'x'; 64 << 20]));
    let answer = timeout(SOON, sent(&client, &peer.destination(), post(), huge)).await.unwrap().unwrap();
    assert_eq!(whole(answer).await.unwrap(), "hello");
    assert_eq!(client.counts().idle.load(Relaxed), 0);
}

#[tokio::test]
async fn a_body_that_goes_by_once_is_sent_with_its_length_on_a_new_connection() {
    let peer = Peer::says(HELLO).await;
    let client = client();
    assert_eq!(asks_whole(&client, &peer.destination()).await, "hello");
    let streamed = http_body_util::Full::new(Bytes::from("streamed")).map_err(|never| match never {});
    let answer = sent(&client, &peer.destination(), post(), Outgoing::Streamed(Box::pin(streamed))).await;
    assert_eq!(whole(answer.unwrap()).await.unwrap(), "hello");
    peer.had_connections(2);
}

#[tokio::test]
async fn above_the_limit_the_connection_that_rested_longest_is_closed() {
    let peer = Peer::says(HELLO).await;
    let client = client_with(ClientSettings { idle_per_core: 2, ..ClientSettings::default() });
    let credentials = [Id::random(), Id::random(), Id::random()];
    let with = |credential| Destination { credential: Some(credential), ..peer.destination() };
    for credential in credentials {
        asks_whole(&client, &with(credential)).await;
    }
    assert_eq!(client.counts().idle.load(Relaxed), 2);
    for (credential, reused) in [(credentials[2], true), (credentials[1], true), (credentials[0], false)] {
        let answer = ask(&client, &with(credential)).await.unwrap();
        assert_eq!(answer.reused, reused);
        whole(answer).await.unwrap();
    }
}

/// Wake-ups that a body's own reader causes are held back; none that the socket causes may be.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_frame_is_slept_through_when_sockets_wake_from_other_threads() {
    let peer = Peer::plays(|_, mut talk| async move {
        talk.hears().await;
        talk.says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for _ in 0..500 {
            talk.says("1\r\nx\r\n").await;
            tokio::task::yield_now().await;
        }
        talk.says("0\r\n\r\n").await;
    })
    .await;
    let client = client();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (client, to) = (client.clone(), peer.destination());
        calls.spawn(async move { asks_whole(&client, &to).await.len() });
    }
    assert_eq!(calls.join_all().await, [500; 20]);
}
