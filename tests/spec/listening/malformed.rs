//! A malformed request is refused or its connection closed; neither it nor what it hides is ever served.

use keyway::listen::HeadFault;

use super::*;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// Each with what it is; `{S}` is a request hidden behind it.
const HEADS: &[(&str, &str)] = &[
    (
        "length and coding",
        "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
    ),
    (
        "coding and length",
        "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{S}",
    ),
    (
        "coding and a length of nothing",
        "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding twice",
        "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
    ),
    (
        "coding twice, one unknown",
        "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
    ),
    ("gzip, chunked", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{S}"),
    ("chunked, chunked", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n{S}"),
    ("chunked, identity", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{S}"),
    ("identity", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx{S}"),
    ("xchunked", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{S}"),
    ("chunked with a parameter", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n{S}"),
    ("chunked behind a tab", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{S}"),
    ("an empty coding", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n{S}"),
    ("a comma before chunked", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n{S}"),
    ("a space before the colon", "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{S}"),
    ("coding in HTTP/1.0", "POST /bad HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}"),
    ("two lengths", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy{S}"),
    ("one length twice", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx{S}"),
    ("a list of lengths", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\nx{S}"),
    ("a signed length", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx{S}"),
    ("a negative length", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nx{S}"),
    ("a hexadecimal length", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\nx{S}"),
    ("a length with a space", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 1 1\r\n\r\nx{S}"),
    ("an empty length", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n{S}"),
    ("a length beyond all numbers", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nx"),
    ("a length with letters", "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 1a\r\n\r\nx{S}"),
    ("lines that end in LF", "GET /bad HTTP/1.1\nHost: x\n\n"),
    ("one line that ends in LF", "GET /bad HTTP/1.1\r\nHost: x\nContent-Length: 1\r\n\r\nx"),
    ("lines that end in CR", "GET /bad HTTP/1.1\rHost: x\r\r"),
    ("a CR within a value", "GET /bad HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"),
    ("a folded line", "GET /bad HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
    ("a folded first line", "GET /bad HTTP/1.1\r\n Host: x\r\n\r\n"),
    ("a line without a colon", "GET /bad HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n"),
    ("a line without a name", "GET /bad HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n"),
    ("a name with a space", "GET /bad HTTP/1.1\r\nHost: x\r\na b: y\r\n\r\n"),
    ("a name with a control byte", "GET /bad HTTP/1.1\r\nHost: x\r\na\x01: y\r\n\r\n"),
    ("a name with a high byte", "GET /bad HTTP/1.1\r\nHost: x\r\n\u{e9}: y\r\n\r\n"),
    ("a value with NUL", "GET /bad HTTP/1.1\r\nHost: x\r\na: \0\r\n\r\n"),
    ("a value with a control byte", "GET /bad HTTP/1.1\r\nHost: x\r\na: \x01\r\n\r\n"),
    ("a value with DEL", "GET /bad HTTP/1.1\r\nHost: x\r\na: \x7f\r\n\r\n"),
    ("no host", "GET /bad HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET /bad HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    ("one host twice", "GET /bad HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    ("an empty host", "GET /bad HTTP/1.1\r\nHost:\r\n\r\n"),
    ("a host with a user", "GET /bad HTTP/1.1\r\nHost: a@x\r\n\r\n"),
    ("a host with a path", "GET /bad HTTP/1.1\r\nHost: x/y\r\n\r\n"),
    ("a host with a space", "GET /bad HTTP/1.1\r\nHost: x y\r\n\r\n"),
    ("a host with a wrong port", "GET /bad HTTP/1.1\r\nHost: x:y\r\n\r\n"),
    ("a list of hosts", "GET /bad HTTP/1.1\r\nHost: x, y\r\n\r\n"),
    ("a whole URI for another host", "GET http://y/bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a whole URI with a user", "GET http://a@x/bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a whole URI without a host", "GET http://x/bad HTTP/1.1\r\n\r\n"),
    ("another scheme", "GET file://x/bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("TRACE", "TRACE /bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("CONNECT", "CONNECT bad:443 HTTP/1.1\r\nHost: bad:443\r\n\r\n"),
    ("a method of its own", "FROB /bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a method in small letters", "post /bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a method with a control byte", "GE\x01T /bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("no method", " /bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("two spaces", "GET  /bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a tab for a space", "GET\t/bad\tHTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a space in the path", "GET /bad x HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("dots in the path", "GET /a/../bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("coded dots in the path", "GET /a/%2e%2E/bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("two slashes", "GET //bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a backslash", "GET /a\\bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a coded backslash", "GET /a%5cbad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a coded NUL", "GET /bad%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a coded line end", "GET /bad%0d%0aA:b HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a control byte in the path", "GET /bad\x01 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a path without a slash", "GET bad HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a star", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("HTTP/0.9", "GET /bad\r\n\r\n"),
    ("HTTP/1.2", "GET /bad HTTP/1.2\r\nHost: x\r\n\r\n"),
    ("HTTP/2.0", "GET /bad HTTP/2.0\r\nHost: x\r\n\r\n"),
    ("http/1.1", "GET /bad http/1.1\r\nHost: x\r\n\r\n"),
    ("HTTP/1.10", "GET /bad HTTP/1.10\r\nHost: x\r\n\r\n"),
    ("no HTTP at all", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03bad\r\n\r\n"),
    ("half an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
    ("an HTTP/2 preface and no frames", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /bad HTTP/1.1\r\nHost: x\r\n\r\n"),
];

const CHUNKS: &[(&str, &str)] = &[
    ("a size that is no number", "x\r\n{S}"),
    ("a size with a sign", "+5\r\nhello\r\n0\r\n\r\n{S}"),
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n{S}"),
    ("a size beyond all numbers", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n{S}"),
    ("a size that ends in LF", "5\nhello\r\n0\r\n\r\n{S}"),
    ("no size", "\r\nhello\r\n0\r\n\r\n{S}"),
    ("a chunk longer than it says", "5\r\nhello!\r\n0\r\n\r\n{S}"),
    ("a chunk without its end", "5\r\nhello0\r\n\r\n{S}"),
    ("a chunk that ends in LF", "5\r\nhello\n0\r\n\r\n{S}"),
    ("an extension with LF", "5;a\nb\r\nhello\r\n0\r\n\r\n{S}"),
];

#[tokio::test]
async fn a_malformed_head_is_refused_and_hides_nothing() {
    let door = Door::with(short()).open();
    for (what, bytes) in HEADS {
        let heard = door.says(bytes.replace("{S}", SMUGGLED)).await;
        let statuses = heard.statuses();
        assert!(statuses.len() <= 1, "{what}: {heard:?}");
        assert!(statuses.iter().all(|status| (400..500).contains(status)), "{what}: {heard:?}");
        assert!(heard.closed || statuses.len() == 1, "{what} was left hanging");
        assert!(door.served().is_empty(), "{what} was served: {:?}", door.served());
    }
    assert!(HEADS.len() + CHUNKS.len() >= 60);
    door.still_answers().await;
    door.is_empty_within(Duration::from_secs(3)).await;
}

#[tokio::test]
async fn a_malformed_body_is_a_400_and_the_connection_ends() {
    let door = Door::with(short()).open();
    for (what, chunks) in CHUNKS {
        let head = "POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let heard = door.says([head, &chunks.replace("{S}", SMUGGLED)].concat()).await;
        assert_eq!((heard.statuses(), heard.closed), (vec![400], true), "{what}: {heard:?}");
        assert!(door.served().is_empty(), "{what} was served: {:?}", door.served());
    }
    door.still_answers().await;
}

#[tokio::test]
async fn heads_larger_than_the_limits_are_refused() {
    let door = Door::with(short()).open();
    let many = "a: b\r\n".repeat(64);
    let wide = format!("a: {}\r\n", "b".repeat(33 << 10));
    let within = format!("{}a: {}\r\n", "a: b\r\n".repeat(40), "b".repeat(24 << 10));
    for (lines, expected) in [(many, 431), (wide, 431), (within, 200)] {
        let heard = door.says(format!("GET /echo HTTP/1.1\r\nHost: x\r\n{lines}\r\n")).await;
        assert_eq!(heard.statuses(), [expected], "{heard:?}");
    }
    let heard = door.says(get(&format!("/{}", "a".repeat(40 << 10)))).await;
    assert!(matches!(heard.statuses()[..], [414 | 431]), "{heard:?}");
}

#[tokio::test]
async fn requests_in_a_row_are_each_answered_until_one_is_malformed() {
    let door = Door::with(short()).open();
    let chunked =
        "POST /two HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n";
    let faulty = "POST /four HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx";
    let all = [&get("/one"), chunked, &post("/three", 5), "hello", faulty, &get("/five")].concat();
    let heard = door.says(all).await;
    assert_eq!((heard.statuses(), heard.closed), (vec![200, 200, 200, 400], true), "{heard:?}");
    assert_eq!(door.served(), ["GET /one", "POST /two", "POST /three"]);
    assert_eq!(door.faults(), [HeadFault::LengthRepeated]);
}

#[tokio::test]
async fn an_answer_before_the_body_drains_it_or_closes_the_connection() {
    let door = Door::with(short()).open();
    let small = [&post("/ignore", 60_000), "x".repeat(60_000).as_str(), &get("/next")].concat();
    let heard = door.says(small).await;
    assert_eq!((heard.statuses(), heard.closed), (vec![200, 200], false), "{heard:?}");

    let hidden = SMUGGLED.repeat(4_000);
    let heard = door.says([&post("/ignore", hidden.len()), hidden.as_str()].concat()).await;
    assert_eq!((heard.statuses(), heard.closed), (vec![200], true));
    assert!(heard.text.to_lowercase().contains("connection: close"), "{heard:?}");

    let waiting = post("/ignore", 10).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let heard = door.says(waiting).await;
    assert_eq!((heard.statuses(), heard.closed), (vec![200], true), "{heard:?}");
    assert_eq!(door.served(), ["GET /next"]);
}

#[tokio::test]
async fn a_panic_costs_its_own_request_only() {
    let door = Door::with(short()).open();
    let heard = door.says([get("/panic"), get("/next")].concat()).await;
    assert_eq!(heard.statuses(), [500, 200], "{heard:?}");
    assert_eq!(door.setup.counts.panics.read(), 1);
}
