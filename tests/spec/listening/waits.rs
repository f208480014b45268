//! How long a peer may take, and what a slow one costs.

use tokio::time::Instant;

use super::ends::http2_client;
use super::*;

/// Reads to the end and says after how many seconds it came.
async fn ends_after(stream: &mut (impl AsyncRead + Unpin), since: Instant) -> (u64, String) {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    (since.elapsed().as_secs(), String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_head_must_end_ten_seconds_after_its_first_byte_however_it_drips() {
    let door = Door::with(Limits::default());
    let mut stream = door.pipe(4_096);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let since = Instant::now();
    let drips = async {
        for byte in get("/echo").into_bytes() {
            if stream.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        since.elapsed().as_secs()
    };
    let ended = drips.await;
    assert!((10..=11).contains(&ended), "ended after {ended} s");
    assert!(door.served().is_empty());
    assert_eq!(door.setup.counts.head_timeouts.read(), 1);
    door.is_empty_within(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_head_has_the_same_time_as_the_first() {
    let door = Door::with(Limits::default());
    let mut stream = door.pipe(4_096);
    send(&mut stream, get("/echo")).await;
    hears(&mut stream, "0 bytes").await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    send(&mut stream, "GET /echo HT").await;
    let (seconds, _) = ends_after(&mut stream, Instant::now()).await;
    assert_eq!(seconds, 10);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_kept_for_the_idle_time_only() {
    let door = Door::with(Limits::default());
    let mut fresh = door.pipe(4_096);
    let (seconds, _) = ends_after(&mut fresh, Instant::now()).await;
    assert_eq!(seconds, 75);
    let mut used = door.pipe(4_096);
    send(&mut used, get("/echo")).await;
    hears(&mut used, "0 bytes").await;
    let (seconds, _) = ends_after(&mut used, Instant::now()).await;
    assert_eq!(seconds, 75);
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_is_not_idle_whatever_lies_between_its_requests() {
    let door = Door::with(Limits::default());
    let mut stream = door.pipe(4_096);
    for _ in 0..5 {
        send(&mut stream, [&get("/echo"), "\r\n"].concat()).await;
        hears(&mut stream, "0 bytes").await;
        tokio::time::sleep(Duration::from_secs(40)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_is_a_408_after_thirty_seconds_and_a_dripping_one_is_read() {
    let door = Door::with(Limits::default());
    let mut stream = door.pipe(4_096);
    send(&mut stream, post("/echo", 3)).await;
    let since = Instant::now();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(29)).await;
        send(&mut stream, "x").await;
    }
    let (seconds, text) = ends_after(&mut stream, since).await;
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    // The answer comes 30 s after the last byte; the end, when the peer has had time to hear it.
    assert!((88..=91).contains(&seconds), "{seconds}");
    assert_eq!(door.setup.counts.body_timeouts.read(), 1);
    drop(stream);
    door.is_empty_within(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_http2_body_has_the_same_time() {
    let door = Door::with(Limits::default());
    let (mut client, connection) = http2_client(door.pipe(4_096)).await;
    tokio::spawn(connection);
    let request = Request::post("http://x/echo").header("content-length", "5").body(Never).unwrap();
    let since = Instant::now();
    let response = client.send_request(request).await.unwrap();
    assert_eq!((response.status().as_u16(), since.elapsed().as_secs()), (408, 30));
}

#[tokio::test(start_paused = true)]
async fn a_body_the_service_does_not_take_is_not_late() {
    let door = Door::with(Limits::default());
    let mut stream = door.pipe(4_096);
    let since = Instant::now();
    // The service takes nothing for 50 s, so neither can the peer send.
    send(&mut stream, [&post("/later", 100_000), "x".repeat(100_000).as_str()].concat()).await;
    assert_eq!(since.elapsed().as_secs(), 50);
    hears(&mut stream, "100000 bytes").await;
}

/// A body whose first byte never comes.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_answer_is_no_stall() {
    let door = Door::with(Limits::default());
    let mut stream = door.pipe(4_096);
    send(&mut stream, get("/hang")).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(door.setup.counts.requests_in_flight(), 1);
    drop(stream);
    door.is_empty_within(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stops_the_service_and_is_cut_after_a_minute() {
    let door = Door::with(Limits::default());
    let mut stream = door.pipe(1_024);
    send(&mut stream, get("/endless")).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let given = door.notes.bytes_given.load(Relaxed);
    assert!(given <= 64 << 10, "{given} bytes wait for a reader");
    let mut piece = [0; 512];
    stream.read_exact(&mut piece).await.unwrap();
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(door.setup.counts.requests_in_flight(), 1, "it took something 59 s ago");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(door.setup.counts.write_timeouts.read(), 1);
    door.is_empty_within(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn over_a_socket_too_a_slow_reader_costs_less_than_a_mebibyte() {
    let door = Door::with(Limits { write_stall: Duration::from_millis(700), ..Limits::default() }).open();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(door.address).await.unwrap();
    send(&mut stream, get("/endless")).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let given = door.notes.bytes_given.load(Relaxed);
    assert!(given < 1 << 20, "{given} bytes wait for a reader");
    door.is_empty_within(Duration::from_secs(3)).await;
}

#[tokio::test]
async fn a_peer_that_leaves_is_noticed_also_behind_bytes_it_sent_ahead() {
    let door = Door::with(Limits::default()).open();
    let behind = ["", "\r\n", "GET /next HTTP/1.1\r\nHo", &get("/next"), &get("/next").repeat(300)];
    for (nth, ahead) in behind.into_iter().enumerate() {
        let mut stream = door.connect().await;
        send(&mut stream, [&get("/hang"), ahead].concat()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(door.setup.counts.requests_in_flight(), 1, "{ahead:?}");
        drop(stream);
        door.is_empty_within(Duration::from_millis(500)).await;
        assert_eq!(door.notes.given_up.load(Relaxed), nth + 1, "{ahead:?}");
    }
    assert!(door.served().is_empty());
}

#[tokio::test]
async fn a_peer_that_leaves_is_noticed_also_while_nobody_takes_its_body() {
    let door = Door::with(Limits::default()).open();
    let mut stream = door.connect().await;
    send(&mut stream, post("/hang", 5) + "hello").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(door.setup.counts.requests_in_flight(), 1);
    drop(stream);
    door.is_empty_within(Duration::from_millis(500)).await;
    assert_eq!(door.notes.given_up.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_ends_after_the_answer_in_progress() {
    let door = Door::with(Limits { connection_age: Duration::from_millis(150), ..Limits::default() });
    let mut stream = door.pipe(1 << 20);
    send(&mut stream, get("/paced")).await;
    let heard = heard(&mut stream).await;
    assert!(heard.closed && heard.text.ends_with("0\r\n\r\n") && heard.text.len() > 3 * (16 << 10));
}
