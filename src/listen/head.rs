//! What is wrong with a request's head, before the service may see it. Pure: a head in, a fault or nothing out.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Version};

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

pub(super) fn check(head: &Parts) -> Result<(), HeadFault> {
    check_method(&head.method)?;
    check_host(head)?;
    check_coding(head)?;
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
fn check_host(head: &Parts) -> Result<(), HeadFault> {
    let mut lines = head.headers.get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(HeadFault::HostRepeated);
    }
    let host = line.map(host).transpose()?;
    match (head.uri.authority(), host) {
        (None, None) if head.version == Version::HTTP_10 => Ok(()),
        (None, None) => Err(HeadFault::HostMissing),
        (Some(_), None) if head.version == Version::HTTP_11 => Err(HeadFault::HostMissing),
        (Some(named), None) => is_plain_host(named).then_some(()).ok_or(HeadFault::HostInvalid),
        (Some(named), Some(host)) if *named != host => Err(HeadFault::HostDiffers),
        (_, Some(_)) => Ok(()),
    }
}

fn host(line: &HeaderValue) -> Result<Authority, HeadFault> {
    let authority = Authority::try_from(line.as_bytes()).map_err(|_| HeadFault::HostInvalid)?;
    is_plain_host(&authority).then_some(authority).ok_or(HeadFault::HostInvalid)
}

/// A name or an address and perhaps a port: no user, no percent coding, nothing a log or a rule could misread.
fn is_plain_host(authority: &Authority) -> bool {
    let host = authority.host();
    let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let readable = match name {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')),
    };
    let port = authority.as_str()[host.len()..].strip_prefix(':');
    let port_fits = match port {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => authority.as_str().len() == host.len(),
    };
    !host.is_empty() && readable && port_fits
}

/// `chunked` alone, once. hyper has taken away a `Content-Length` beside it; the scan of the bytes finds that.
fn check_coding(head: &Parts) -> Result<(), HeadFault> {
    let mut lines = head.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(line) = lines.next() else { return Ok(()) };
    if lines.next().is_some() || !line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Err(HeadFault::CodingUnknown);
    }
    if head.headers.contains_key(CONTENT_LENGTH) { Err(HeadFault::LengthAndCoding) } else { Ok(()) }
}

/// The route table matches exactly, so whatever could be read as another path is refused, not mended.
fn check_path(head: &Parts) -> Result<(), HeadFault> {
    if head.uri.scheme().is_some_and(|scheme| !matches!(scheme.as_str(), "http" | "https")) {
        return Err(HeadFault::Path);
    }
    let path = head.uri.path().as_bytes();
    let starts = path.first() == Some(&b'/');
    let twisted = path.windows(2).any(|pair| matches!(pair, b".." | b"//"));
    let odd = path.iter().any(|byte| byte.is_ascii_control() || !byte.is_ascii() || *byte == b'\\');
    let coded = path.contains(&b'%') && has_denied_coding(path);
    if !starts || twisted || odd || coded { Err(HeadFault::Path) } else { Ok(()) }
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
        assert_eq!(check(&head), expected, "{method} {uri} {headers:?}");
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
