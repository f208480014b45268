//! Takes out of a stream the one event that we asked for and the client did not: usage without a choice.
//!
//! Reads in, reads out; all else stays byte for byte. Holds back nothing but an incomplete event, and that bounded.

use bytes::{Bytes, BytesMut};

use super::events::is_usage_only;
use crate::protocol::splice::Pieces;
use crate::protocol::sse::Ends;

/// A usage event is some hundred bytes long. What outgrows this is none, and goes on unheld.
const HELD_LIMIT_BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
pub struct UsageFilter {
    ends: Ends,
    held: BytesMut,
    /// The event in progress has outgrown the limit.
    is_passing: bool,
    /// The last event was taken out, so what still belongs to it goes too.
    has_dropped: bool,
}

impl UsageFilter {
    /// What of this read, and of what was held, goes on.
    pub fn push(&mut self, read: Bytes) -> Pieces {
        let mut out = Pieces::default();
        let mut at = self.ends.enter(&read);
        // The LF of a CRLF that was cut in two: of the event in progress if there is one, else of the one before.
        let is_within = self.is_passing || !self.held.is_empty();
        let mut start = if is_within { 0 } else { at };
        let mut kept = if self.has_dropped { start } else { 0 };
        while let Some(end) = self.ends.next(&read, at) {
            self.has_dropped = self.is_to_drop(&read[start..end]);
            if self.has_dropped {
                out.push(read.slice(kept..start));
                kept = end;
                self.held.clear();
            }
            out.push(self.held.split().freeze());
            self.is_passing = false;
            (start, at) = (end, end);
        }
        out.push(read.slice(kept..start));
        self.hold(read.slice(start..), &mut out);
        out
    }

    /// Every byte so far has gone on, and whole events without usage may go by.
    pub fn holds_nothing(&self) -> bool {
        self.held.is_empty() && !self.is_passing && !self.has_dropped
    }

    /// The stream's end: an incomplete event goes on as it is.
    pub fn finish(&mut self) -> Bytes {
        self.held.split().freeze()
    }

    fn is_to_drop(&mut self, piece: &[u8]) -> bool {
        if self.is_passing {
            return false;
        }
        if self.held.is_empty() {
            return is_usage_only(piece);
        }
        // Judged as a whole, held apart: if it stays, the read's own bytes follow what was held.
        let held = self.held.len();
        self.held.extend_from_slice(piece);
        let is_usage = is_usage_only(&self.held);
        self.held.truncate(held);
        is_usage
    }

    fn hold(&mut self, piece: Bytes, out: &mut Pieces) {
        if self.is_passing || self.held.len() + piece.len() > HELD_LIMIT_BYTES {
            self.is_passing = true;
            out.push(self.held.split().freeze());
            out.push(piece);
        } else {
            self.held.extend_from_slice(&piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n";
    const FIRST: &[u8] = b"data: {\"choices\":[],\"usage\":null,\"prompt_filter_results\":[]}\r\n\r\n";
    const USAGE: &[u8] = b"data: {\"choices\": [ ],\"usage\":{\"prompt_tokens\":1}}\r\n\r\n";
    const BOTH: &[u8] = b"data:{\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}\r\r";
    const REST: &[u8] = b": still here\n\ndata: [DONE]\n\n";

    fn filtered<'a>(reads: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut filter = UsageFilter::default();
        let mut out = Vec::new();
        for read in reads {
            let pieces = filter.push(Bytes::copy_from_slice(read));
            out.extend(pieces.into_iter().flatten());
        }
        out.extend(filter.finish());
        out
    }

    #[test]
    fn only_usage_without_a_choice_is_taken_out() {
        let all = [FIRST, TEXT, BOTH, USAGE, REST].concat();
        assert_eq!(filtered([all.as_slice()].into_iter()), [FIRST, TEXT, BOTH, REST].concat());
    }

    #[test]
    fn a_read_without_usage_goes_on_as_the_same_bytes() {
        let read = Bytes::from([TEXT, TEXT].concat());
        let out: Vec<Bytes> = UsageFilter::default().push(read.clone()).into_iter().collect();
        assert_eq!((out.len(), out[0].as_ptr()), (1, read.as_ptr()));
    }

    #[test]
    fn whole_events_may_go_by_while_nothing_is_held_nor_was_just_taken_out() {
        let mut filter = UsageFilter::default();
        let mut holds_nothing = |read: &'static [u8]| {
            filter.push(Bytes::from_static(read));
            filter.holds_nothing()
        };
        assert!(holds_nothing(TEXT) && !holds_nothing(&TEXT[..9]) && holds_nothing(&TEXT[9..]));
        assert!(!holds_nothing(USAGE) && holds_nothing(REST));
    }

    #[test]
    fn an_event_too_large_to_hold_passes() {
        let mut filter = UsageFilter::default();
        assert!(filter.push(Bytes::from_static(b"data: {\"choices\":[],\"usage\":{")).is_empty());
        let out = filter.push(Bytes::from(vec![b' '; HELD_LIMIT_BYTES]));
        assert_eq!(out.len(), HELD_LIMIT_BYTES + 29);
        assert_eq!(filter.push(Bytes::from_static(b"}}\n\ndata: x\n\n")).len(), 13);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bytes(
            events in proptest::collection::vec(prop_oneof![
                Just(TEXT), Just(FIRST), Just(USAGE), Just(BOTH), Just(REST), Just(b"x\r".as_slice()),
            ], 0..8),
            size in 1..90usize,
        ) {
            let all = events.concat();
            prop_assert_eq!(filtered(all.chunks(size)), filtered([all.as_slice()].into_iter()));
        }

        #[test]
        fn nothing_else_is_ever_lost(reads in proptest::collection::vec(any::<Vec<u8>>(), 0..8)) {
            prop_assert_eq!(filtered(reads.iter().map(Vec::as_slice)), reads.concat());
        }
    }
}
