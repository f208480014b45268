//! What is wrong with a request's head, before the service may see it. Pure: a head in, a fault or nothing out.

use std::net::Ipv6Addr;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Version};

use super::scan::FramingFault;

/// Why a request is refused here. The service gives the refusal its shape, for only it knows the client's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    #[error("the request names no host")]
    HostMissing,
    #[error("the request names its host twice")]
    HostRepeated,
    #[error("the request's host is not valid")]
    HostInvalid,
    #[error("the request line and `Host` name different hosts")]
    HostDiffers,
    #[error("the request has both `Content-Length` and `Transfer-Encoding`")]
    LengthAndCoding,
    #[error("the request has more than one `Content-Length`")]
    LengthRepeated,
    #[error("the request's `Content-Length` is not valid")]
    LengthInvalid,
    #[error("the request has a transfer coding other than `chunked`")]
    CodingUnknown,
    #[error("the request's framing is not valid")]
    Framing,
    #[error("the method is not allowed")]
    Method,
    #[error("the path is not valid")]
    Path,
    /// All requests this process may answer at once are being answered.
    #[error("the gateway is answering as many requests as it may; try again shortly")]
    AtCapacity,
    /// Behind a trusted proxy the address shows itself only now.
    #[error("this address holds too many connections that have shown no valid token")]
    TooManyFromAddress,
    /// Not the client's fault: the service broke while answering.
    #[error("the gateway failed to answer")]
    Panicked,
}

impl HeadFault {
    /// Where a request ends is in doubt, or who it was meant for: nothing behind it is read.
    pub(super) const fn ends_connection(self) -> bool {
        match self {
            Self::Method | Self::Path | Self::AtCapacity | Self::TooManyFromAddress | Self::Panicked => false,
            Self::HostMissing | Self::HostRepeated | Self::HostInvalid | Self::HostDiffers => true,
            Self::LengthAndCoding | Self::LengthRepeated | Self::LengthInvalid => true,
            Self::CodingUnknown | Self::Framing => true,
        }
    }
}

impl From<FramingFault> for HeadFault {
    fn from(fault: FramingFault) -> Self {
        match fault {
            FramingFault::LengthAndCoding => Self::LengthAndCoding,
            FramingFault::LengthRepeated => Self::LengthRepeated,
            FramingFault::LengthUnreadable => Self::LengthInvalid,
            FramingFault::CodingRepeated => Self::CodingUnknown,
            FramingFault::LineEnd | FramingFault::Folded | FramingFault::Chunks => Self::Framing,
        }
    }
}

/// What `Allow` says beside a 405.
pub const ALLOWED_METHODS: &str = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS";

/// The lines that matter here, found in one walk over all.
#[derive(Default)]
pub(super) struct Lines<'a> {
    host: Option<&'a HeaderValue>,
    host_repeated: bool,
    coding: Option<&'a HeaderValue>,
    coding_repeated: bool,
    has_length: bool,
    /// The client sends its body only if it is told to go on.
    pub(super) expects_word: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut lines = Self::default();
        for (name, value) in headers {
            if name == HOST {
                lines.host_repeated = lines.host.replace(value).is_some();
            } else if name == TRANSFER_ENCODING {
                lines.coding_repeated = lines.coding.replace(value).is_some();
            } else if name == CONTENT_LENGTH {
                lines.has_length = true;
            } else if name == EXPECT {
                lines.expects_word = true;
            }
        }
        lines
    }
}

pub(super) fn check(head: &Parts, lines: &Lines<'_>) -> Result<(), HeadFault> {
    check_method(&head.method)?;
    check_host(head, lines)?;
    check_coding(lines)?;
    check_path(head)
}

fn check_method(method: &Method) -> Result<(), HeadFault> {
    match *method {
        Method::GET | Method::POST | Method::PUT | Method::PATCH => Ok(()),
        Method::DELETE | Method::HEAD | Method::OPTIONS => Ok(()),
        _ => Err(HeadFault::Method),
    }
}

/// HTTP/1.1 must name exactly one host; HTTP/2 names it in `:authority`, and a `Host` beside that must agree.
fn check_host(head: &Parts, lines: &Lines<'_>) -> Result<(), HeadFault> {
    if lines.host_repeated {
        return Err(HeadFault::HostRepeated);
    }
    let host = lines.host.map(HeaderValue::as_bytes);
    if host.is_some_and(|host| !is_plain_host(host)) {
        return Err(HeadFault::HostInvalid);
    }
    match (head.uri.authority().map(Authority::as_str), host) {
        (None, None) if head.version == Version::HTTP_10 => Ok(()),
        (None, None) => Err(HeadFault::HostMissing),
        (Some(_), None) if head.version == Version::HTTP_11 => Err(HeadFault::HostMissing),
        (Some(named), None) => is_plain_host(named.as_bytes()).then_some(()).ok_or(HeadFault::HostInvalid),
        (Some(named), Some(host)) if !named.as_bytes().eq_ignore_ascii_case(host) => Err(HeadFault::HostDiffers),
        (_, Some(_)) => Ok(()),
    }
}

/// A name or an address and perhaps a port: no user, no percent coding, nothing a log or a rule could misread.
fn is_plain_host(host: &[u8]) -> bool {
    let end = match host.first() {
        Some(b'[') => host.iter().position(|byte| *byte == b']').map_or(0, |at| at + 1),
        _ => host.iter().position(|byte| !is_of_a_name(*byte)).unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_readable = match name {
        [b'[', address @ .., b']'] => text(address).is_some_and(|text| text.parse::<Ipv6Addr>().is_ok()),
        _ => !name.is_empty(),
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit) && text(digits).is_some_and(is_port),
        _ => false,
    };
    is_readable && port_fits
}

const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn is_port(digits: &str) -> bool {
    digits.parse::<u16>().is_ok()
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// `chunked` alone, once. hyper has taken away a `Content-Length` beside it; the scan of the bytes finds that.
fn check_coding(lines: &Lines<'_>) -> Result<(), HeadFault> {
    let Some(coding) = lines.coding else { return Ok(()) };
    if lines.coding_repeated || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Err(HeadFault::CodingUnknown);
    }
    if lines.has_length { Err(HeadFault::LengthAndCoding) } else { Ok(()) }
}

/// The route table matches exactly, so whatever could be read as another path is refused, not mended.
fn check_path(head: &Parts) -> Result<(), HeadFault> {
    if head.uri.scheme().is_some_and(|scheme| !matches!(scheme.as_str(), "http" | "https")) {
        return Err(HeadFault::Path);
    }
    let path = head.uri.path().as_bytes();
    let (mut last, mut has_coding, mut is_odd) = (0, false, path.first() != Some(&b'/'));
    for byte in path {
        is_odd |= matches!((last, *byte), (b'.', b'.') | (b'/', b'/')) || !byte.is_ascii_graphic() || *byte == b'\\';
        has_coding |= *byte == b'%';
        last = *byte;
    }
    if is_odd || (has_coding && has_denied_coding(path)) { Err(HeadFault::Path) } else { Ok(()) }
}

/// A coded dot, backslash or control byte, or a `%` that codes nothing. A coded slash stays: model ids have slashes.
fn has_denied_coding(path: &[u8]) -> bool {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'%').any(|(at, _)| {
        let pair = path.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.filter(|pair| !pair.starts_with('+')).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        byte.is_none_or(|byte| byte.is_ascii_control() || matches!(byte, b'.' | b'\\'))
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[track_caller]
    fn check_head(
        version: Version,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        expected: Result<(), HeadFault>,
    ) {
        let mut request = Request::builder().version(version).method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(check(&head, &Lines::of(&head.headers)), expected, "{method} {uri} {headers:?}");
    }

    #[test]
    fn a_host_is_named_once_and_plainly() {
        use HeadFault::*;
        let h1 = |headers: &[_], expected| check_head(Version::HTTP_11, "GET", "/", headers, expected);
        for host in ["x", "x.example:80", "127.0.0.1:8080", "[::1]:8080", "[::1]", "a_b"] {
            h1(&[("host", host)], Ok(()));
        }
        for host in ["", "a@b", "a/b", "a:b", "a:99999", "a:+1", "[x]", "a b", "a%2eb", "a,b", "[::1", "x:"] {
            h1(&[("host", host)], Err(HostInvalid));
        }
        h1(&[], Err(HostMissing));
        h1(&[("host", "x"), ("host", "x")], Err(HostRepeated));
        check_head(Version::HTTP_10, "GET", "/", &[], Ok(()));
        check_head(Version::HTTP_11, "GET", "http://x/", &[("host", "X")], Ok(()));
        check_head(Version::HTTP_11, "GET", "http://x/", &[("host", "y")], Err(HostDiffers));
        check_head(Version::HTTP_11, "GET", "http://x/", &[], Err(HostMissing));
        check_head(Version::HTTP_2, "GET", "http://x/", &[], Ok(()));
        check_head(Version::HTTP_2, "GET", "http://x/", &[("host", "y")], Err(HostDiffers));
        check_head(Version::HTTP_2, "GET", "http://u@x/", &[], Err(HostInvalid));
        check_head(Version::HTTP_11, "GET", "ftp://x/", &[("host", "x")], Err(Path));
    }

    #[test]
    fn only_written_methods_pass() {
        for method in ALLOWED_METHODS.split(", ") {
            check_head(Version::HTTP_11, method, "/", &[("host", "x")], Ok(()));
        }
        for method in ["TRACE", "CONNECT", "PROPFIND", "get"] {
            check_head(Version::HTTP_11, method, "/", &[("host", "x")], Err(HeadFault::Method));
        }
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_refused() {
        let path = |path, expected| check_head(Version::HTTP_11, "GET", path, &[("host", "x")], expected);
        for fine in [
            "/",
            "/v1/models/meta%2Fllama-3.1",
            "/v1beta/models/gemini:streamGenerateContent?alt=sse",
            "/a.b",
            "/x?//../",
        ] {
            path(fine, Ok(()));
        }
        for bad in [
            "/..", "/a/../b", "/%2e%2E/", "/a%2eb", "//a", "/a//b", "/%5c", "/%00", "/%7f", "/%", "/%4", "/%zz",
            "/%+1", "*",
        ] {
            path(bad, Err(HeadFault::Path));
        }
    }

    #[test]
    fn chunked_is_the_only_coding() {
        let coding = |headers: &[(&'static str, &'static str)], expected| {
            let mut with_host = vec![("host", "x")];
            with_host.extend(headers);
            check_head(Version::HTTP_11, "POST", "/", &with_host, expected);
        };
        coding(&[("transfer-encoding", "Chunked")], Ok(()));
        for value in ["gzip, chunked", "chunked, chunked", "identity", "xchunked", "chunked;q=1", ""] {
            coding(&[("transfer-encoding", value)], Err(HeadFault::CodingUnknown));
        }
        coding(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], Err(HeadFault::CodingUnknown));
        coding(&[("transfer-encoding", "chunked"), ("content-length", "1")], Err(HeadFault::LengthAndCoding));
    }
}
