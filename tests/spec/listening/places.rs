//! How many may be inside at once, and who they are.

use keyway::listen::HeadFault;

use super::*;

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(timeout(Duration::from_millis(300), stream.read(&mut [0; 1])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn an_address_without_a_token_has_few_places_and_a_token_gives_one_back() {
    let door = Door::with(Limits { connections_per_address: 2, ..short() }).open();
    let (mut one, _two) = (door.connect().await, door.connect().await);
    assert!(is_closed(&mut door.connect().await).await);
    assert_eq!(door.setup.counts.refused_address.read(), 1);
    send(&mut one, get("/prove")).await;
    hears(&mut one, "0 bytes").await;
    let mut three = door.connect().await;
    assert!(!is_closed(&mut three).await);
    assert!(is_closed(&mut door.connect().await).await);
    drop((one, _two, three));
    door.is_empty_within(Duration::from_secs(1)).await;
    door.still_answers().await;
}

#[tokio::test]
async fn all_places_taken_closes_the_next_at_once() {
    let door = Door::with(Limits { connections: 2, ..short() }).open();
    let (one, two) = (door.connect().await, door.connect().await);
    assert!(is_closed(&mut door.connect().await).await);
    assert_eq!(door.setup.counts.refused_full.read(), 1);
    drop((one, two));
    door.is_empty_within(Duration::from_secs(1)).await;
    door.still_answers().await;
}

#[tokio::test]
async fn one_request_too_many_is_refused_not_queued() {
    let door = Door::with(Limits { requests_in_flight: 1, ..short() }).open();
    let mut busy = door.connect().await;
    send(&mut busy, get("/hang")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(door.says(get("/echo")).await.statuses(), [503]);
    assert_eq!(door.faults(), [HeadFault::AtCapacity]);
    drop(busy);
    door.is_empty_within(Duration::from_secs(2)).await;
    door.still_answers().await;
}

#[tokio::test]
async fn a_trusted_proxy_says_for_whom_it_speaks() {
    let mut setup = Setup::new(Limits { connections_per_address: 1, ..short() });
    setup.trusted_proxies = ["127.0.0.0/8".parse().unwrap()].into();
    let door = Door::of(setup).open();
    let mut held = Vec::new();
    for (address, status) in [("198.51.100.1", "200"), ("198.51.100.2", "200"), ("198.51.100.1", "503")] {
        let mut stream = door.connect().await;
        send(&mut stream, format!("GET /who HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, {address}\r\n\r\n")).await;
        hears(&mut stream, &format!("HTTP/1.1 {status}")).await;
        held.push(stream);
    }
    assert_eq!(door.faults(), [HeadFault::TooManyFromAddress]);
}

#[tokio::test]
async fn a_proxy_line_names_the_client_and_its_absence_ends_the_connection() {
    let mut setup = Setup::new(short());
    setup.trusted_proxies = ["127.0.0.0/8".parse().unwrap()].into();
    setup.proxy_protocol = true;
    let door = Door::of(setup).open();
    let heard =
        door.says([b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n".as_slice(), get("/who").as_bytes()].concat()).await;
    assert!(heard.text.ends_with("192.0.2.7"), "{heard:?}");
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\xc0\0\x02\x01\0\x50\0\x50";
    let heard = door.says([second, get("/who").as_bytes()].concat()).await;
    assert!(heard.text.ends_with("192.0.2.8"), "{heard:?}");
    for without in [get("/who"), "PROXY TCP4 192.".into()] {
        let heard = door.says(without).await;
        assert!(heard.closed && heard.text.is_empty(), "{heard:?}");
    }
    assert_eq!(door.setup.counts.proxy_line_failures.read(), 2);
}

#[tokio::test]
async fn accepted_sockets_send_at_once() {
    let listener = bind(([127, 0, 0, 1], 0).into(), true).unwrap();
    let again = bind(listener.local_addr().unwrap(), true);
    assert!(again.is_ok(), "two cores share one port");
    let taken = bind(([127, 0, 0, 1], 0).into(), false).unwrap();
    assert!(bind(taken.local_addr().unwrap(), false).is_err(), "without sharing a port has one listener");
}
