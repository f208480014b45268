//! How listening ends: nobody who was let in is turned away.

use keyway::listen::Drained;

use super::*;

#[tokio::test]
async fn a_drain_finishes_what_has_begun_and_closes_what_is_idle() {
    let door = Door::with(Limits::default()).open();
    let (mut busy, mut idle) = (door.connect().await, door.connect().await);
    send(&mut idle, get("/echo")).await;
    hears(&mut idle, "0 bytes").await;
    send(&mut busy, get("/paced")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;

    let drain = tokio::spawn({
        let reception = door.reception.clone();
        async move { reception.drain(Duration::from_secs(5)).await }
    });
    let (busy, idle) = (heard(&mut busy).await, heard(&mut idle).await);
    assert!(busy.closed && busy.text.ends_with("0\r\n\r\n"), "cut at {} bytes", busy.text.len());
    assert!(idle.closed && idle.text.is_empty());
    assert_eq!(drain.await.unwrap(), Drained::Finished);
    assert!(TcpStream::connect(door.address).await.is_err());
    door.is_empty_within(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn who_has_just_connected_is_still_answered() {
    let door = Door::with(Limits::default()).open();
    let mut before: Vec<_> = Vec::new();
    for _ in 0..20 {
        before.push(door.connect().await);
    }
    door.reception.close();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for stream in &mut before {
        send(stream, get("/echo")).await;
        let heard = heard(stream).await;
        assert!(heard.closed && heard.statuses() == [200], "{heard:?}");
        assert!(heard.text.to_lowercase().contains("connection: close"), "{heard:?}");
    }
    assert_eq!(door.reception.drain(Duration::from_secs(3)).await, Drained::Finished);
}

#[tokio::test]
async fn at_the_deadline_the_rest_is_dropped_and_counted() {
    let door = Door::with(Limits::default()).open();
    let mut stream = door.connect().await;
    send(&mut stream, get("/hang")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let Drained::Cut(left) = door.reception.drain(Duration::from_millis(100)).await else { panic!("it hangs") };
    assert!(left > 0);
    assert_eq!(door.notes.given_up.load(Relaxed), 1);
    door.is_empty_within(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_drain_lets_http2_streams_finish() {
    let door = Door::with(Limits::default()).open();
    let (mut client, connection) = http2_client(door.connect().await).await;
    let connection = tokio::spawn(connection);
    let response = client.send_request(request("/paced")).await.unwrap();
    door.reception.close();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 3 * (16 << 10));
    assert_eq!(door.reception.drain(Duration::from_secs(2)).await, Drained::Finished);
    connection.await.unwrap();
}

#[tokio::test]
async fn an_upgraded_socket_keeps_its_place_until_it_ends() {
    let door = Door::with(Limits::default()).open();
    let mut stream = door.connect().await;
    send(&mut stream, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
    hears(&mut stream, "101 Switching Protocols").await;
    for word in ["ping", "\r\n\nG"] {
        send(&mut stream, word).await;
        hears(&mut stream, word).await;
    }
    assert_eq!(door.setup.turnstile.connections_open(), 1);
    drop(stream);
    door.is_empty_within(Duration::from_millis(500)).await;
    assert_eq!(door.reception.drain(Duration::from_secs(1)).await, Drained::Finished);
}

#[tokio::test]
async fn an_upgrade_nobody_takes_is_none() {
    let door = Door::with(Limits::default()).open();
    let asks = get("/one").replace("\r\n\r\n", "\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    let heard = door.says([asks, get("/two")].concat()).await;
    assert_eq!((heard.statuses(), heard.closed), (vec![200, 200], false), "{heard:?}");
    assert_eq!(door.served(), ["GET /one", "GET /two"]);
}

pub(super) async fn http2_client<B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> (hyper::client::conn::http2::SendRequest<B>, impl Future<Output = ()>) {
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    (client, async move { drop(connection.await) })
}

pub(super) fn request(path: &str) -> Request<Full<Bytes>> {
    Request::builder().uri(format!("http://x{path}")).body(Full::default()).unwrap()
}
