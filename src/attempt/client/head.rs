//! Heads of HTTP/1.1: a request's into bytes, an answer's out of them. Pure; what could be read in two ways is refused, or the
//! last on its connection.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::body::Head;
use super::framing::Framing;
use super::{ANSWER_HEADERS, HEAD_LIMIT_BYTES, REBUILT};
use crate::domain::failure::Failure;
use crate::listen::Chunks;

/// How a request's body is marked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Nothing,
    Length(u64),
    Chunks,
}

/// An answer's head, and what it says of the bytes behind it.
pub(super) struct AnswerHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Another call may follow on the connection.
    pub(super) stays: bool,
}

/// Most heads of requests fit.
const HEAD_BYTES: usize = 512;

/// The head as it goes out.
pub(super) fn written(head: &Head, host: &HeaderValue, extent: Extent) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES);
    for part in [head.method.as_str(), " ", head.path.as_str(), " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    line(&mut out, &HOST, host.as_bytes());
    for (name, value) in &head.headers {
        if *name != HOST && !REBUILT.contains(name) {
            line(&mut out, name, value.as_bytes());
        }
    }
    match extent {
        Extent::Nothing => {}
        Extent::Length(length) => line(&mut out, &CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes()),
        Extent::Chunks => line(&mut out, &TRANSFER_ENCODING, b"chunked"),
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn line(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Takes the head that these bytes begin with; none if it is not all there. Its values stay where they lie.
pub(super) fn taken(unread: &mut Bytes, method: &Method) -> Result<Option<AnswerHead>, Failure> {
    let mut room = [const { MaybeUninit::uninit() }; ANSWER_HEADERS];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut answer, unread, &mut room);
    let garbage = |why: &str| Failure::Garbage(why.into());
    let length = match parsed.map_err(|error| garbage(flaw(error)))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if unread.len() < HEAD_LIMIT_BYTES => return Ok(None),
        httparse::Status::Partial => HEAD_LIMIT_BYTES + 1,
    };
    if length > HEAD_LIMIT_BYTES {
        return Err(garbage("the head is too large"));
    }
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| garbage("the head is malformed"))?;
    let mut headers = HeaderMap::with_capacity(answer.headers.len());
    for header in answer.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(unread.slice_ref(header.value));
        let (Ok(name), Ok(value)) = (name, value) else { return Err(garbage("the head is malformed")) };
        headers.append(name, value);
    }
    let is_1_0 = answer.version == Some(0);
    unread.advance(length);
    let framing = framing(status, &headers, method).map_err(garbage)?;
    let is_framed_twice = headers.contains_key(TRANSFER_ENCODING) && (headers.contains_key(CONTENT_LENGTH) || is_1_0);
    let stays = if is_1_0 { says(&headers, b"keep-alive") } else { !says(&headers, b"close") };
    let stays = stays && !is_framed_twice && framing != Framing::UntilClose;
    Ok(Some(AnswerHead { status, headers, framing, stays }))
}

const fn flaw(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::TooManyHeaders => "the head has too many headers",
        _ => "the head is malformed",
    }
}

fn framing(status: StatusCode, headers: &HeaderMap, method: &Method) -> Result<Framing, &'static str> {
    if status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *method == Method::HEAD
    {
        return Ok(Framing::NONE);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
        return if is_chunked { Ok(Framing::Chunks(Chunks::START)) } else { Err("its transfer coding is unknown") };
    }
    let mut length = None;
    // A list says what as many lines would; equal doubles are harmless.
    for stated in headers.get_all(CONTENT_LENGTH).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
    {
        let stated = digits(stated.trim_ascii()).ok_or("its length is not valid")?;
        if length.replace(stated).is_some_and(|before| before != stated) {
            return Err("it has two lengths");
        }
    }
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

fn digits(text: &[u8]) -> Option<u64> {
    let all = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| all)?.parse().ok()
}

/// Does `Connection` say this?
fn says(headers: &HeaderMap, word: &[u8]) -> bool {
    let said = headers.get_all(CONNECTION).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    said.map(<[u8]>::trim_ascii).any(|said| said.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<Option<AnswerHead>, Failure> {
        taken(&mut Bytes::from(head.to_string()), &Method::POST)
    }

    #[track_caller]
    fn framed(head: &str, framing: Framing, stays: bool) {
        let answer = read(head).unwrap().unwrap();
        assert_eq!((answer.framing, answer.stays), (framing, stays), "{head:?}");
    }

    #[test]
    fn a_head_says_where_its_body_ends_and_whether_another_may_follow() {
        let chunks = Framing::Chunks(Chunks::START);
        framed("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), true);
        framed("HTTP/1.1 200\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n", Framing::Length(5), false);
        framed("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), true);
        framed("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", chunks, true);
        framed("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", chunks, false);
        framed("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose, false);
        framed("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), false);
        framed("HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n", Framing::Length(5), true);
        framed("HTTP/1.1 204 No Content\r\n\r\n", Framing::NONE, true);
        framed("\r\nHTTP/1.1 304 X\r\ncontent-length: 5\r\n\r\n", Framing::NONE, true);
        let mut of_head = Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHTTP/1.1");
        assert_eq!(taken(&mut of_head, &Method::HEAD).unwrap().unwrap().framing, Framing::NONE);
        assert_eq!(of_head, "HTTP/1.1");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_garbage() {
        let (large, many) = ("x".repeat(HEAD_LIMIT_BYTES), "x: y\r\n".repeat(ANSWER_HEADERS + 1));
        for lines in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: +5\r\n",
            "content-length: \r\n",
            "content-length: 5,\r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: identity\r\n",
            "content-length : 5\r\n",
            "x: y\r\n folded\r\n",
            "x: a\0b\r\n",
            "no colon\r\n",
            &many,
            &format!("x: {large}\r\n"),
        ] {
            let head = read(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
            assert!(matches!(head, Err(Failure::Garbage(_))), "{lines:.40}");
        }
        for head in
            ["SSH-2.0-x\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n"]
        {
            assert!(matches!(read(head), Err(Failure::Garbage(_))), "{head}");
        }
        assert!(matches!(read(&format!("HTTP/1.1 200 OK\r\nx: {large}")), Err(Failure::Garbage(_))), "without an end");
    }

    #[test]
    fn a_head_that_is_cut_anywhere_is_not_all_there() {
        let head = "HTTP/1.1 200 OK\r\nX-A: b\r\ncontent-length: 5\r\n\r\n";
        for cut in 0..head.len() {
            let mut unread = Bytes::copy_from_slice(&head.as_bytes()[..cut]);
            assert!(taken(&mut unread, &Method::POST).unwrap().is_none() && unread.len() == cut, "{cut}");
        }
        assert_eq!(read(head).unwrap().unwrap().headers["x-a"], "b");
    }

    #[test]
    fn host_and_framing_are_ours_to_write() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "evil"), ("content-length", "9"), ("connection", "close"), ("x-a", "b")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let head = Head { method: Method::POST, path: "/v1?x=y".parse().unwrap(), headers };
        let host = HeaderValue::from_static("api.test");
        let begins = "POST /v1?x=y HTTP/1.1\r\nhost: api.test\r\nx-a: b\r\n";
        for (extent, ends) in [
            (Extent::Nothing, "\r\n"),
            (Extent::Length(7), "content-length: 7\r\n\r\n"),
            (Extent::Chunks, "transfer-encoding: chunked\r\n\r\n"),
        ] {
            let out = String::from_utf8(written(&head, &host, extent)).unwrap();
            assert_eq!(out, format!("{begins}{ends}"));
        }
    }
}
