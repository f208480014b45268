//! Frames a stream of server-sent events on its bytes, wherever the reads were cut.
//!
//! Pure. LF, CRLF and CR end a line and nothing else does. `Ends` finds where events end and keeps no bytes;
//! `Splitter` gives whole events, from the read itself where they lie whole in it. Knows nothing of what events say.

use std::borrow::Cow;

use memchr::memchr2;

/// Finds the ends of events without keeping a byte.
#[derive(Debug, Default)]
pub struct Ends {
    line_has_bytes: bool,
    event_has_bytes: bool,
    /// The last byte seen was a CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Ends {
    /// Begins a read. Says how many of its first bytes (0 or 1) still belong to what ended with the last one.
    pub fn enter(&mut self, read: &[u8]) -> usize {
        if read.is_empty() {
            return 0;
        }
        usize::from(std::mem::take(&mut self.after_cr) && read[0] == b'\n')
    }

    /// The place just behind the next event's blank line, looking from `from` on.
    pub fn next(&mut self, read: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let rest = read.get(at..)?;
            let length = match rest {
                [] => return None,
                // Every other line is the blank one that ends an event.
                [b'\n' | b'\r', ..] => Some(0),
                _ => memchr2(b'\n', b'\r', rest),
            };
            let Some(length) = length else {
                self.line_has_bytes |= !rest.is_empty();
                self.event_has_bytes |= !rest.is_empty();
                return None;
            };
            let is_blank = length == 0 && !self.line_has_bytes;
            at += length + 1;
            if rest[length] == b'\r' {
                self.after_cr = at == read.len();
                at += usize::from(read.get(at) == Some(&b'\n'));
            }
            self.line_has_bytes = false;
            self.event_has_bytes = !is_blank;
            if is_blank {
                return Some(at);
            }
        }
    }

    /// Is the stream between two events, so that something of our own may be put in?
    pub fn at_boundary(&self) -> bool {
        !self.event_has_bytes
    }
}

/// One event as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    Whole(&'a [u8]),
    /// Larger than the limit: its first and its last bytes.
    Cut {
        head: &'a [u8],
        tail: &'a [u8],
    },
}

/// What is kept of an event that is too large: enough for its type, and for the usage that stands at its end.
const HEAD_BYTES: usize = 1024;
const TAIL_BYTES: usize = 16 * 1024;

/// Gives each event once it is whole. Holds at most one incomplete event, and of a larger one only head and tail.
#[derive(Debug)]
pub struct Splitter {
    ends: Ends,
    held: Vec<u8>,
    /// Has the held event outgrown the limit?
    is_cut: bool,
    limit_bytes: usize,
    is_first: bool,
}

impl Splitter {
    pub fn new(limit_bytes: usize) -> Self {
        let limit_bytes = limit_bytes.max(HEAD_BYTES + TAIL_BYTES);
        Self { ends: Ends::default(), held: Vec::new(), is_cut: false, limit_bytes, is_first: true }
    }

    /// Takes a read; calls `each` at each event that ends in it, with where in the read it began (0 if before) and ended.
    pub fn push(&mut self, read: &[u8], mut each: impl FnMut(Block<'_>, usize, usize)) {
        let mut start = self.ends.enter(read);
        while let Some(end) = self.ends.next(read, start) {
            let piece = &read[start..end];
            if self.held.is_empty() {
                each(self.block(piece), start, end);
            } else {
                self.hold(piece);
                each(self.block(&self.held), 0, end);
                self.held.clear();
                self.is_cut = false;
            }
            self.is_first = false;
            start = end;
        }
        self.hold(&read[start..]);
        // A stream that once sent one large event must not keep its room for an hour.
        if self.held.is_empty() && self.held.capacity() > HEAD_BYTES {
            self.held = Vec::new();
        }
    }

    /// The event that the stream's end left without its blank line.
    pub fn finish(&mut self) -> Option<Block<'_>> {
        (!self.held.is_empty()).then(|| self.block(&self.held))
    }

    pub fn at_boundary(&self) -> bool {
        self.ends.at_boundary()
    }

    /// Every byte so far belongs to an event that has ended.
    pub const fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }

    fn block<'a>(&self, bytes: &'a [u8]) -> Block<'a> {
        let bytes = if self.is_first { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
        if self.is_cut || bytes.len() > self.limit_bytes {
            let (head, rest) = bytes.split_at(HEAD_BYTES.min(bytes.len()));
            return Block::Cut { head, tail: &rest[rest.len().saturating_sub(TAIL_BYTES)..] };
        }
        Block::Whole(bytes)
    }

    fn hold(&mut self, piece: &[u8]) {
        let kept = if self.is_cut { &piece[piece.len().saturating_sub(TAIL_BYTES)..] } else { piece };
        if self.held.len() + kept.len() <= self.limit_bytes {
            self.held.extend_from_slice(kept);
            return;
        }
        let head = HEAD_BYTES.saturating_sub(self.held.len()).min(kept.len());
        self.held.extend_from_slice(&kept[..head]);
        let tail = &kept[head..];
        let tail = &tail[tail.len().saturating_sub(TAIL_BYTES)..];
        let from_held = TAIL_BYTES - tail.len();
        let keep_from = self.held.len().saturating_sub(from_held).max(HEAD_BYTES);
        self.held.drain(HEAD_BYTES..keep_from);
        self.held.extend_from_slice(tail);
        self.is_cut = true;
    }
}

/// What an event says: its name if it has one, and its data lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub name: Option<&'a [u8]>,
    pub data: Cow<'a, [u8]>,
}

/// Reads an event's lines; `None` where it has no data: a comment, an id, a blank line.
pub fn event(block: &[u8]) -> Option<Event<'_>> {
    let mut name = None;
    let mut data: Option<Cow<'_, [u8]>> = None;
    let mut rest = block;
    while !rest.is_empty() {
        let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..length];
        rest = rest.get(length + 1..).unwrap_or_default();
        if let Some(value) = field(line, b"data") {
            match &mut data {
                None => data = Some(Cow::Borrowed(value)),
                Some(joined) => {
                    let joined = joined.to_mut();
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                }
            }
        } else if let Some(value) = field(line, b"event") {
            name = Some(value);
        }
    }
    data.map(|data| Event { name, data })
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    if value.is_empty() {
        return Some(value);
    }
    let value = value.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ODD: &[u8] = b"\xef\xbb\xbf: hi\n\ndata: one\n\nevent:x\r\ndata:two\r\ndata: more\r\n\r\nid: 3\rdata\rdata: \xe2\x80\xa8\xf0\x9f\x98\x80\r\r\n\ndata: last";

    fn events(reads: &[&[u8]], limit_bytes: usize) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
        let mut splitter = Splitter::new(limit_bytes);
        let mut seen = Vec::new();
        let mut note = |block: Block<'_>| {
            let owned = match block {
                Block::Whole(bytes) => event(bytes).map(|event| (event.name.map(<[u8]>::to_vec), event.data.to_vec())),
                Block::Cut { head, tail } => Some((Some(b"cut".to_vec()), [head, tail].concat())),
            };
            seen.extend(owned);
        };
        for read in reads {
            splitter.push(read, |block, _, _| note(block));
        }
        if let Some(block) = splitter.finish() {
            note(block);
        }
        seen
    }

    #[test]
    fn every_line_end_comment_and_mark_is_understood() {
        let some = |text: &str| text.as_bytes().to_vec();
        assert_eq!(
            events(&[ODD], 1 << 20),
            [
                (None, some("one")),
                (Some(some("x")), some("two\nmore")),
                (None, some("\n\u{2028}😀")),
                (None, some("last")),
            ]
        );
    }

    #[test]
    fn the_places_given_are_those_of_the_read() {
        let mut splitter = Splitter::new(0);
        let mut places = Vec::new();
        splitter.push(b"data: a\n\ndata: b", |_, start, end| places.push((start, end)));
        assert!(!splitter.at_boundary());
        splitter.push(b"c\n\ndata: d\n\n", |_, start, end| places.push((start, end)));
        assert!(splitter.at_boundary());
        assert_eq!(places, [(0, 9), (0, 3), (3, 12)]);
    }

    #[test]
    fn a_line_end_cut_in_two_is_one() {
        assert_eq!(events(&[b"data: a\r\n\r", b"\ndata: b\r", b"\n\r\n"], 0), events(&[b"data: a\n\ndata: b\n\n"], 0));
    }

    #[test]
    fn an_event_over_the_limit_keeps_its_head_and_tail_only() {
        let mut long = b"data: begin".to_vec();
        long.resize(200_000, b'x');
        long.extend(b"end\n\ndata: next\n\n");
        for size in [1, 100, 7_000, 300_000] {
            let reads: Vec<&[u8]> = long.chunks(size).collect();
            let seen = events(&reads, 64 * 1024);
            assert_eq!(seen.len(), 2, "{size}");
            assert_eq!(seen[0].1.len(), HEAD_BYTES + TAIL_BYTES, "{size}");
            assert!(seen[0].1.starts_with(b"data: begin") && seen[0].1.ends_with(b"end\n\n"));
            assert_eq!(seen[1].1, b"next");
        }
    }

    #[test]
    fn what_is_held_stays_bounded() {
        let mut splitter = Splitter::new(0);
        for _ in 0..1_000 {
            splitter.push(&[b'x'; 1_000], |_, _, _| {});
            assert!(splitter.held.len() <= HEAD_BYTES + TAIL_BYTES);
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            text in proptest::collection::vec(prop_oneof![
                Just(b"data: x\n".to_vec()), Just(b"\n".to_vec()), Just(b"\r".to_vec()), Just(b"\r\n".to_vec()),
                Just(b":c".to_vec()), Just(b"data".to_vec()), Just(b"event: e\r".to_vec()), any::<Vec<u8>>(),
            ], 0..12),
            cuts in proptest::collection::vec(1..9usize, 1..20),
        ) {
            let text = text.concat();
            let (mut reads, mut rest, mut turn) = (Vec::new(), text.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (read, behind) = rest.split_at((*turn.next().unwrap()).min(rest.len()));
                reads.push(read);
                rest = behind;
            }
            prop_assert_eq!(events(&reads, 1 << 20), events(&[&text], 1 << 20));
        }
    }
}
