//! Frames of an AWS event stream: bytes in, whole frames out, whichever way they were cut.
//!
//! `length of all, length of the headers, CRC of both | headers | payload | CRC of all before it`, numbers in network order.
//! A frame whose sums don't add up is the end of the stream: nothing behind it can be trusted.

use crate::protocol::hub::frames::EVENT_LIMIT_BYTES;

/// Lengths and their CRC.
const PRELUDE_BYTES: usize = 12;
/// The last CRC.
const CRC_BYTES: usize = 4;
/// Names and types are some hundred bytes long.
const HEADERS_LIMIT_BYTES: usize = 128 * 1024;

#[derive(Debug, Default)]
pub(super) struct Frames {
    held: Vec<u8>,
    is_broken: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Event {
        kind: &'a [u8],
        payload: &'a [u8],
    },
    /// The provider's own word that it failed.
    Exception {
        kind: &'a [u8],
        payload: &'a [u8],
    },
    /// It is larger than any answer.
    TooLarge,
    /// It is no frame, or was changed on its way.
    Broken,
}

impl Frames {
    /// Calls `each` at every frame that ends in this read.
    pub(super) fn push(&mut self, read: &[u8], mut each: impl FnMut(Frame<'_>)) {
        if self.is_broken {
            return;
        }
        let joined;
        let mut rest = if self.held.is_empty() {
            read
        } else {
            self.held.extend_from_slice(read);
            joined = std::mem::take(&mut self.held);
            &joined[..]
        };
        while let Some(taken) = take(rest) {
            match taken {
                Ok((frame, behind)) => {
                    rest = behind;
                    if let Some(frame) = frame {
                        each(frame);
                    }
                }
                Err(broken) => {
                    self.is_broken = true;
                    return each(broken);
                }
            }
        }
        self.held.extend_from_slice(rest);
    }
}

type Taken<'a> = Result<(Option<Frame<'a>>, &'a [u8]), Frame<'a>>;

/// The first frame, and what lies behind it; `None` while it is not whole. Frames of other kinds say nothing.
fn take(bytes: &[u8]) -> Option<Taken<'_>> {
    let prelude = bytes.get(..PRELUDE_BYTES)?;
    let (length, headers) = (number(prelude, 0), number(prelude, 4));
    if crc32fast::hash(&prelude[..8]) != number(prelude, 8) as u32 {
        return Some(Err(Frame::Broken));
    }
    if length > EVENT_LIMIT_BYTES + HEADERS_LIMIT_BYTES || headers > HEADERS_LIMIT_BYTES {
        return Some(Err(Frame::TooLarge));
    }
    if length < PRELUDE_BYTES + headers + CRC_BYTES {
        return Some(Err(Frame::Broken));
    }
    let frame = bytes.get(..length)?;
    let (whole, crc) = frame.split_at(length - CRC_BYTES);
    if crc32fast::hash(whole) != number(crc, 0) as u32 {
        return Some(Err(Frame::Broken));
    }
    let (headers, payload) = whole[PRELUDE_BYTES..].split_at(headers);
    let Some(headers) = Headers::read(headers) else { return Some(Err(Frame::Broken)) };
    Some(Ok((headers.frame(payload), &bytes[length..])))
}

/// A number of 32 bits that stands there.
fn number(bytes: &[u8], at: usize) -> usize {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).unwrap_or_default();
    u32::from_be_bytes(four) as usize
}

#[derive(Default)]
struct Headers<'a> {
    message_type: &'a [u8],
    kind: &'a [u8],
}

impl<'a> Headers<'a> {
    fn read(mut rest: &'a [u8]) -> Option<Self> {
        let mut headers = Self::default();
        while let Some((name_length, behind)) = rest.split_first() {
            let (name, behind) = behind.split_at_checked(usize::from(*name_length))?;
            let (kind, behind) = behind.split_first()?;
            let (value, behind) = behind.split_at_checked(value_length(*kind, behind)?)?;
            match name {
                b":message-type" => headers.message_type = value.get(2..)?,
                b":event-type" | b":exception-type" | b":error-code" => headers.kind = value.get(2..)?,
                _ => {}
            }
            rest = behind;
        }
        Some(headers)
    }

    fn frame(self, payload: &'a [u8]) -> Option<Frame<'a>> {
        match self.message_type {
            b"event" => Some(Frame::Event { kind: self.kind, payload }),
            b"exception" | b"error" => Some(Frame::Exception { kind: self.kind, payload }),
            _ => None,
        }
    }
}

/// How long a value of this type is, its own length included where it has one.
fn value_length(kind: u8, value: &[u8]) -> Option<usize> {
    Some(match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        6 | 7 => 2 + usize::from(u16::from_be_bytes(value.get(..2)?.try_into().ok()?)),
        9 => 16,
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame as the provider writes it.
    pub(in super::super) fn written(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut head = Vec::new();
        for (name, value) in headers {
            head.push(name.len() as u8);
            head.extend_from_slice(name.as_bytes());
            head.push(7);
            head.extend_from_slice(&(value.len() as u16).to_be_bytes());
            head.extend_from_slice(value.as_bytes());
        }
        let length = PRELUDE_BYTES + head.len() + payload.len() + CRC_BYTES;
        let mut frame = [(length as u32).to_be_bytes(), (head.len() as u32).to_be_bytes()].concat();
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame.extend_from_slice(&head);
        frame.extend_from_slice(payload);
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame
    }

    pub(in super::super) fn event(kind: &str, payload: &str) -> Vec<u8> {
        let headers = [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
        written(&headers, payload.as_bytes())
    }

    fn seen<'a>(reads: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        let (mut frames, mut seen) = (Frames::default(), Vec::new());
        reads.for_each(|read| frames.push(read, |frame| seen.push(format!("{frame:?}"))));
        seen
    }

    #[test]
    fn a_frame_of_the_published_vectors_is_read() {
        // An empty frame and one with a payload but without headers, from AWS' own test vectors.
        let empty = [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
        assert_eq!(take(&empty).unwrap(), Ok((None, &[][..])));
        let mut payload = vec![0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a];
        payload.extend_from_slice(b"{'foo':'bar'}");
        payload.extend_from_slice(&[0xc3, 0x65, 0x39, 0x36]);
        assert_eq!(take(&payload).unwrap(), Ok((None, &[][..])));
    }

    #[test]
    fn what_was_changed_on_its_way_ends_the_stream() {
        let whole = event("messageStart", r#"{"role":"assistant"}"#);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            changed.extend_from_slice(&whole);
            let seen = seen([changed.as_slice()].into_iter());
            assert!(seen.len() < 2 && seen.iter().all(|frame| frame == "Broken"), "{at}: {seen:?}");
        }
        let mut large = [(40_u32 << 20).to_be_bytes(), 0_u32.to_be_bytes()].concat();
        large.extend_from_slice(&crc32fast::hash(&large).to_be_bytes());
        assert_eq!(take(&large), Some(Err(Frame::TooLarge)));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(size in 1..60usize, count in 0..5usize) {
            let all = event("contentBlockDelta", r#"{"delta":{"text":"é"}}"#).repeat(count);
            prop_assert_eq!(seen(all.chunks(size)), seen([all.as_slice()].into_iter()));
            prop_assert_eq!(seen(all.chunks(size)).len(), count);
        }

        #[test]
        fn no_bytes_make_it_panic(reads in proptest::collection::vec(any::<Vec<u8>>(), 0..6), head in any::<Vec<u8>>()) {
            seen(reads.iter().map(Vec::as_slice));
            Headers::read(&head);
        }
    }
}
