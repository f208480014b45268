//! HTTP/2 floods end in an error for their sender; everybody else is answered.

use keyway::listen::Http2Limits;

use super::ends::{http2_client, request};
use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET`, `http`, authority `x` and this path, by HPACK's static table.
fn head(path: &str) -> Vec<u8> {
    let literal = |index: u8, text: &str| [&[index, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x82, 0x86], literal(0x04, path), literal(0x01, "x")].concat()
}

struct Flood {
    stream: TcpStream,
}

impl Flood {
    async fn at(door: &Door) -> Self {
        let mut stream = door.connect().await;
        send(&mut stream, [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        Self { stream }
    }

    /// Sends up to `times` rounds while reading what comes back. Says whether the connection was ended.
    async fn sends(self, times: u32, round: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Ended {
        let (mut read, mut write) = self.stream.into_split();
        let sender = tokio::spawn(async move {
            for nth in 0..times {
                if write.write_all(&round(nth)).await.is_err() {
                    break;
                }
            }
            write
        });
        let mut bytes = Vec::new();
        let closed = loop {
            match timeout(Duration::from_secs(2), read.read_buf(&mut bytes)).await {
                Ok(Ok(0) | Err(_)) => break true,
                Ok(Ok(_)) => (),
                Err(_) => break false,
            }
        };
        sender.abort();
        Ended { closed, went_away: frames(&bytes).any(|kind| kind == GOAWAY) }
    }
}

#[derive(Debug)]
struct Ended {
    closed: bool,
    went_away: bool,
}

fn frames(mut bytes: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_first_chunk::<9>()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        bytes = rest.get(length..)?;
        Some(head[3])
    })
}

fn stream_of(nth: u32) -> u32 {
    2 * nth + 1
}

fn narrow() -> Door {
    let http2 = Http2Limits { idle_chatter_bytes: 64 << 10, ..Http2Limits::default() };
    Door::with(Limits { http2, ..short() }).open()
}

async fn ends(what: &str, times: u32, round: impl Fn(u32) -> Vec<u8> + Send + 'static) {
    let door = narrow();
    let ended = Flood::at(&door).await.sends(times, round).await;
    assert!(ended.closed || ended.went_away, "{what}: {ended:?} {:?}", door.setup.counts);
    let since = std::time::Instant::now();
    let (mut client, connection) = http2_client(door.connect().await).await;
    let connection = tokio::spawn(connection);
    assert_eq!(client.send_request(request("/echo")).await.unwrap().status(), 200, "{what}");
    assert!(since.elapsed() < Duration::from_secs(1), "{what}: others waited {:?}", since.elapsed());
    drop(client);
    connection.await.unwrap();
    door.is_empty_within(Duration::from_secs(3)).await;
}

#[tokio::test]
async fn streams_opened_and_reset_in_one_breath_end_the_connection() {
    ends("rapid reset", 2_000, |nth| {
        let id = stream_of(nth);
        [frame(HEADERS, END_STREAM | END_HEADERS, id, &head("/hang")), frame(RESET, 0, id, &8u32.to_be_bytes())]
            .concat()
    })
    .await;
}

#[tokio::test]
async fn requests_given_up_one_by_one_end_an_unproven_connection() {
    let door = narrow();
    let (client, connection) = http2_client(door.connect().await).await;
    let connection = tokio::spawn(connection);
    for nth in 0..200 {
        let mut one = client.clone();
        if one.ready().await.is_err() {
            break;
        }
        let _ = timeout(Duration::from_millis(2), one.send_request(request("/hang"))).await;
        assert!(nth < 190, "the connection goes on");
    }
    connection.await.unwrap();
    assert_eq!(door.setup.counts.floods.read(), 1);
}

#[tokio::test]
async fn floods_of_frames_that_bring_nothing_end_the_connection() {
    ends("settings", 20_000, |_| frame(SETTINGS, 0, 0, &[])).await;
    ends("pings", 20_000, |_| frame(PING, 0, 0, &[0; 8])).await;
    ends("priorities", 20_000, |nth| frame(PRIORITY, 0, stream_of(nth), &[0, 0, 0, 0, 1])).await;
    ends("windows", 20_000, |_| frame(WINDOW, 0, 0, &1u32.to_be_bytes())).await;
}

#[tokio::test]
async fn empty_data_is_a_flood_too() {
    ends("empty data", 30_000, |nth| {
        let open = frame(HEADERS, END_HEADERS, 1, &head("/echo"));
        if nth == 0 { open } else { frame(DATA, 0, 1, &[]) }
    })
    .await;
}

#[tokio::test]
async fn a_head_without_end_or_beyond_all_size_ends_the_connection() {
    ends("continuations", 20_000, |nth| match nth {
        0 => frame(HEADERS, END_STREAM, 1, &head("/echo")),
        _ => frame(CONTINUATION, 0, 1, &[&[0x40, 1, b'a', 100], [b'b'; 100].as_slice()].concat()),
    })
    .await;
    // One large field put into the table once, then named 4,000 times in each of many heads.
    ends("a header bomb", 400, |nth| {
        let field = [&[0x40, 1, b'a', 127, 0x81, 0x1e], vec![b'b'; 4_000].as_slice()].concat();
        let block =
            if nth == 0 { [head("/hang"), field].concat() } else { [head("/hang"), vec![0xbe; 8_000]].concat() };
        frame(HEADERS, END_STREAM | END_HEADERS, stream_of(nth), &block)
    })
    .await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_the_rest_answered() {
    let door = Door::with(Limits::default()).open();
    let mut flood = Flood::at(&door).await;
    for nth in 0..150 {
        send(&mut flood.stream, frame(HEADERS, END_STREAM | END_HEADERS, stream_of(nth), &head("/hang"))).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(door.setup.counts.requests_in_flight() <= 100);
    door.still_answers().await;
    drop(flood);
    door.is_empty_within(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_stream_nobody_reads_holds_little_and_is_reset() {
    let door = Door::with(Limits { write_stall: Duration::from_millis(500), ..Limits::default() }).open();
    let (mut client, connection) = http2_client(door.connect().await).await;
    tokio::spawn(connection);
    let unread = client.send_request(request("/endless")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(door.notes.bytes_given.load(Relaxed) < 6 << 20);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(door.setup.counts.write_timeouts.read(), 1);
    assert_eq!(client.send_request(request("/echo")).await.unwrap().status(), 200);
    drop(unread);
}

#[tokio::test]
async fn an_http2_head_is_checked_like_any_other() {
    let door = Door::with(Limits::default()).open();
    let (mut client, connection) = http2_client(door.connect().await).await;
    tokio::spawn(connection);
    for (uri, host) in [("http://x/a/../b", None), ("http://x//a", None), ("http://x/a", Some("y"))] {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let response = client.send_request(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 400, "{uri} {host:?}");
    }
    let trace = Request::builder().method("TRACE").uri("http://x/").body(Full::default()).unwrap();
    assert_eq!(client.send_request(trace).await.unwrap().status(), 405);
    assert!(door.served().is_empty());
}
