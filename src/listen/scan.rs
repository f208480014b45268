//! Follows an HTTP/1.1 connection's bytes as they pass and says where heads begin and end, and what is wrong with
//! their framing. Bytes in, verdict out; any split of the bytes gives the same verdict.
//!
//! hyper mends what we want refused: it drops a `Content-Length` beside a `Transfer-Encoding` and folds equal
//! doubles before anybody sees them. This scan reads line starts only and never alters a byte. Where it cannot
//! follow, the next head counts as faulty, so that nothing unchecked is served.

use memchr::memchr;

use super::chunks::Chunks;

#[derive(Debug)]
pub(super) struct Scan {
    at: At,
    /// The beginning of a line whose end has not come yet. Names and lengths that matter are far shorter.
    line: Vec<u8>,
    last: u8,
    head: Framing,
    heads: u64,
    faulty: Option<(u64, FramingFault)>,
}

/// Of a line, what is kept while its end is awaited: `Transfer-Encoding: chunked` or a length of 20 digits fit well.
const LINE_KEPT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Between requests; empty lines are skipped here as hyper skips them.
    Between,
    Head,
    Body(u64),
    Chunks(Chunks),
    /// A fault was found, or the connection speaks another protocol now.
    Off,
}

#[derive(Clone, Copy, Debug, Default)]
struct Framing {
    lengths: u8,
    length: u64,
    codings: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FramingFault {
    LengthAndCoding,
    LengthRepeated,
    LengthUnreadable,
    CodingRepeated,
    LineEnd,
    Folded,
    Chunks,
}

impl Scan {
    pub(super) const fn new() -> Self {
        Self {
            at: At::Between,
            line: Vec::new(),
            last: 0,
            head: Framing { lengths: 0, length: 0, codings: 0 },
            heads: 0,
            faulty: None,
        }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.at != At::Off {
            bytes = self.step(bytes);
        }
    }

    /// How many heads have ended.
    pub(super) const fn heads(&self) -> u64 {
        self.heads
    }

    /// A head has begun and not ended.
    pub(super) fn is_in_head(&self) -> bool {
        self.at == At::Head
    }

    /// The peer owes us the rest of something.
    pub(super) fn is_unfinished(&self) -> bool {
        !matches!(self.at, At::Between)
    }

    /// Which head, counted from one, is faulty, and how. Nothing behind it is served.
    pub(super) const fn faulty(&self) -> Option<(u64, FramingFault)> {
        self.faulty
    }

    fn step<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match self.at {
            At::Between => self.between(bytes),
            At::Head => self.lines(bytes),
            At::Body(left) => {
                let here = within(left, bytes);
                let left = left - here as u64;
                self.at = if left == 0 { At::Between } else { At::Body(left) };
                &bytes[here..]
            }
            At::Chunks(chunks) => self.chunks(chunks, bytes),
            At::Off => &[],
        }
    }

    fn between<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(start) = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')) else { return &[] };
        self.head = Framing::default();
        self.at = At::Head;
        &bytes[start..]
    }

    fn chunks<'a>(&mut self, mut chunks: Chunks, bytes: &'a [u8]) -> &'a [u8] {
        let Ok(passed) = chunks.pass(bytes) else {
            self.fault(FramingFault::Chunks);
            return &[];
        };
        let here = within(chunks.data(), &bytes[passed..]);
        chunks.took(here as u64);
        self.at = if chunks.has_ended() { At::Between } else { At::Chunks(chunks) };
        &bytes[passed + here..]
    }

    fn lines<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while self.at == At::Head {
            let Some(end) = memchr(b'\n', bytes) else {
                self.keep(bytes);
                return &[];
            };
            let line = &bytes[..end];
            bytes = &bytes[end + 1..];
            if self.line.is_empty() {
                self.end_of_line(&line[..line.len().min(LINE_KEPT)], line.last().copied());
            } else {
                self.keep(line);
                let mut line = std::mem::take(&mut self.line);
                self.end_of_line(&line, Some(self.last));
                line.clear();
                self.line = line;
            }
        }
        bytes
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = LINE_KEPT - self.line.len();
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        self.last = piece.last().copied().unwrap_or(self.last);
    }

    /// The line's first bytes, and its last.
    fn end_of_line(&mut self, line: &[u8], last: Option<u8>) {
        if last != Some(b'\r') {
            return self.fault(FramingFault::LineEnd);
        }
        match line[0] {
            b'\r' if line.len() == 1 => self.end_of_head(),
            b' ' | b'\t' => self.fault(FramingFault::Folded),
            b'c' | b'C' | b't' | b'T' => self.header(line),
            _ => (),
        }
    }

    fn header(&mut self, line: &[u8]) {
        if let Some(value) = value_of(b"content-length", line) {
            self.head.lengths = self.head.lengths.saturating_add(1);
            match digits(value).filter(|_| line.len() < LINE_KEPT) {
                Some(length) => self.head.length = length,
                None => self.fault(FramingFault::LengthUnreadable),
            }
        } else if value_of(b"transfer-encoding", line).is_some() {
            self.head.codings = self.head.codings.saturating_add(1);
        }
    }

    fn end_of_head(&mut self) {
        let Framing { lengths, length, codings } = self.head;
        match (lengths, codings) {
            (0, 0) => self.next_after_head(At::Between),
            (1, 0) => self.next_after_head(if length == 0 { At::Between } else { At::Body(length) }),
            (0, 1) => self.next_after_head(At::Chunks(Chunks::START)),
            (0, _) => self.fault(FramingFault::CodingRepeated),
            (_, 0) => self.fault(FramingFault::LengthRepeated),
            _ => self.fault(FramingFault::LengthAndCoding),
        }
    }

    fn next_after_head(&mut self, at: At) {
        self.heads += 1;
        self.at = at;
    }

    /// Within a head it is that head which is faulty, within a body the one that would come next.
    fn fault(&mut self, fault: FramingFault) {
        self.faulty = Some((self.heads + 1, fault));
        self.at = At::Off;
    }
}

/// How many of these bytes lie within what is left.
fn within(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())
}

fn value_of<'a>(name: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let rest = start.eq_ignore_ascii_case(name).then_some(rest)?;
    Some(rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii())
}

fn digits(value: &[u8]) -> Option<u64> {
    let all = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| all)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &[u8]) -> Scan {
        let mut scan = Scan::new();
        scan.push(bytes);
        scan
    }

    #[track_caller]
    fn check(bytes: &str, heads: u64, faulty: Option<(u64, FramingFault)>) {
        let scan = whole(bytes.as_bytes());
        assert_eq!((scan.heads, scan.faulty), (heads, faulty), "{bytes:?}");
        for split in 0..bytes.len() {
            let mut scan = Scan::new();
            scan.push(&bytes.as_bytes()[..split]);
            scan.push(&bytes.as_bytes()[split..]);
            assert_eq!((scan.heads, scan.faulty), (heads, faulty), "{bytes:?} split at {split}");
        }
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn heads_are_found_behind_every_kind_of_body() {
        check(&format!("{GET}\r\n{GET}"), 2, None);
        check(&format!("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello{GET}"), 2, None);
        check(&format!("POST / HTTP/1.1\r\ncontent-length:0\r\n\r\n{GET}"), 2, None);
        check(
            &format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n{GET}"
            ),
            2,
            None,
        );
        let long = "y".repeat(300);
        check(&format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {long}\r\nTraceparent: {long}\r\n\r\n{GET}"), 2, None);
    }

    #[test]
    fn what_hyper_would_mend_is_named() {
        use FramingFault::*;
        check(
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            0,
            Some((1, LengthAndCoding)),
        );
        check(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH: 5\r\n\r\n",
            0,
            Some((1, LengthAndCoding)),
        );
        check("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 0, Some((1, LengthRepeated)));
        check("POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", 0, Some((1, LengthUnreadable)));
        check("POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", 0, Some((1, LengthUnreadable)));
        check(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            0,
            Some((1, CodingRepeated)),
        );
        check(&format!("{GET}GET / HTTP/1.1\nHost: x\r\n\r\n"), 1, Some((2, LineEnd)));
        check("GET / HTTP/1.1\r\nHost: x\r\n Folded: y\r\n\r\n", 0, Some((1, Folded)));
        let long = "y".repeat(300);
        check(&format!("GET / HTTP/1.1\r\nCookie: {long}\n\r\n"), 0, Some((1, LineEnd)));
    }

    #[test]
    fn behind_chunks_that_cannot_be_followed_nothing_is_served() {
        const POST: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for chunks in ["5\nhello\r\n", "x\r\n", "\r\n", "-5\r\n", "5\r\nhelloX", "00000000000000000005\r\n", "5;a\rb"] {
            check(&format!("{POST}{chunks}"), 1, Some((2, FramingFault::Chunks)));
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_verdict(bytes in "(GET / HTTP/1.1\r\n|Content-Length: [0-9]{1,2}|Transfer-Encoding: chunked|\r\n|\r|\n|[0-9a-f;]{1,3}|[ -~]{0,90}){0,24}", cuts in prop::collection::vec(1usize..40, 0..40)) {
            let expected = whole(bytes.as_bytes());
            let (mut scan, mut rest) = (Scan::new(), bytes.as_bytes());
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                scan.push(piece);
                rest = tail;
            }
            scan.push(rest);
            prop_assert_eq!((scan.heads, scan.faulty, scan.at), (expected.heads, expected.faulty, expected.at));
        }
    }
}
