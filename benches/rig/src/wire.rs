//! The least HTTP/1.1 the rig needs, by hand, so that what measures costs less than what is measured.
//!
//! Takes a socket, gives heads and decoded pieces of bodies. Trusts its peers to be well meaning, not to be right:
//! a wrong frame is an error. Must never know what the bytes mean.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One read's most; also the longest head, for a head is parsed where it lies.
const BUFFER_BYTES: usize = 64 << 10;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A request's or an answer's head, as far as the rig cares.
#[derive(Default)]
pub struct Head {
    /// The first line's second word: a request's path or an answer's status.
    pub second: String,
    pub authorization: String,
    pub body: Body,
    pub closes: bool,
}

/// What is left of a body.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Body {
    #[default]
    Done,
    Length(u64),
    /// Bytes left of the present chunk; `fresh` before the first one, which no line end precedes.
    Chunk {
        left: u64,
        fresh: bool,
    },
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0 }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next head, or none if the peer has closed between two messages.
    pub async fn head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(length) = find(&self.buffer[self.start..self.end], b"\r\n\r\n") {
                let head = parse_head(&self.buffer[self.start..self.start + length])?;
                self.start += length + 4;
                return Ok(Some(head));
            }
            let empty = self.start == self.end;
            if self.fill().await? == 0 {
                return if empty { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The next piece of the body as it comes from the socket, decoded; none at its end.
    pub async fn piece(&mut self, body: &mut Body) -> Result<Option<&[u8]>> {
        loop {
            match *body {
                Body::Done | Body::Length(0) => return Ok(None),
                Body::Chunk { left: 0, fresh } => *body = self.next_chunk(fresh).await?,
                Body::Length(left) | Body::Chunk { left, .. } => {
                    if self.start == self.end {
                        self.must_fill().await?;
                    }
                    let taken = (self.end - self.start).min(usize::try_from(left).unwrap_or(usize::MAX));
                    body.take(taken as u64);
                    let from = self.start;
                    self.start += taken;
                    return Ok(Some(&self.buffer[from..from + taken]));
                }
            }
        }
    }

    async fn next_chunk(&mut self, fresh: bool) -> Result<Body> {
        if !fresh && !self.line().await?.is_empty() {
            return Err(bad("a chunk is longer than it said"));
        }
        let line = self.line().await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let left = u64::from_str_radix(digits, 16).map_err(|_| bad("a chunk's length is no number"))?;
        if left > 0 {
            return Ok(Body::Chunk { left, fresh: false });
        }
        while !self.line().await?.is_empty() {} // trailers: each turn takes a line, and the peer's end of file ends it
        Ok(Body::Done)
    }

    async fn line(&mut self) -> Result<&str> {
        loop {
            if let Some(length) = find(&self.buffer[self.start..self.end], b"\r\n") {
                let from = self.start;
                self.start += length + 2;
                return std::str::from_utf8(&self.buffer[from..from + length]).map_err(|_| bad("a line is no text"));
            }
            self.must_fill().await?;
        }
    }

    async fn must_fill(&mut self) -> Result<()> {
        if self.fill().await? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    async fn fill(&mut self) -> Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            return Err(bad("a head or line fills the whole buffer"));
        }
        let read = self.stream.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read)
    }
}

impl Body {
    fn take(&mut self, taken: u64) {
        match self {
            Self::Length(left) | Self::Chunk { left, .. } => *left -= taken,
            Self::Done => {}
        }
    }
}

/// The first place of a short `needle`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(step) = hay.get(from..)?.iter().position(|byte| byte == first) {
        from += step + 1;
        if hay[from..].starts_with(rest) {
            return Some(from - 1);
        }
    }
    None
}

fn parse_head(bytes: &[u8]) -> Result<Head> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad("a head is no text"))?;
    let mut lines = text.split("\r\n");
    let second =
        lines.next().and_then(|line| line.split(' ').nth(1)).ok_or_else(|| bad("a first line is too short"))?;
    let mut head = Head { second: second.to_owned(), ..Head::default() };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.body = Body::Length(value.parse().map_err(|_| bad("a content length is no number"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            head.body = Body::Chunk { left: 0, fresh: true };
        } else if name.eq_ignore_ascii_case("authorization") {
            value.clone_into(&mut head.authorization);
        } else if name.eq_ignore_ascii_case("connection") {
            head.closes = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(head)
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_how_its_body_is_framed() {
        let head = parse_head(b"POST /v1 HTTP/1.1\r\nContent-Length: 12\r\nauthorization: Bearer k").expect("a head");
        assert_eq!((head.second.as_str(), head.body), ("/v1", Body::Length(12)));
        assert_eq!(head.authorization, "Bearer k");
        let head = parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close").expect("a head");
        assert!(head.closes && head.body == Body::Chunk { left: 0, fresh: true });
    }

    #[test]
    fn a_needle_is_found_after_a_false_start() {
        assert_eq!(find(b"\r\r\n\r\n", b"\r\n\r\n"), Some(1));
        assert_eq!(find(b"abc", b"cd"), None);
    }
}
