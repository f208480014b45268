//! Where an answer's body ends among a connection's bytes. Bytes in, pieces out, wherever the reads were cut.

use bytes::{Buf, Bytes};

use crate::listen::{Chunks, Malformed};

/// How what is left of a body is marked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunks(Chunks),
    /// It ends with its connection.
    UntilClose,
}

impl Framing {
    pub(super) const NONE: Self = Self::Length(0);

    /// The next piece, and the marks around it, taken from what was read. Nothing: it has ended, or more must be read.
    pub(super) fn take(&mut self, unread: &mut Bytes) -> Result<Option<Bytes>, Malformed> {
        let piece = match self {
            Self::Length(left) => {
                let piece = split(unread, *left);
                *left -= piece.len() as u64;
                piece
            }
            Self::Chunks(chunks) => {
                unread.advance(chunks.pass(unread)?);
                let piece = split(unread, chunks.data());
                chunks.took(piece.len() as u64);
                // A chunk's end comes with it, and often the body's. What is wrong behind a piece is found by the next look.
                if let Ok(passed) = chunks.pass(unread) {
                    unread.advance(passed);
                }
                piece
            }
            Self::UntilClose => std::mem::take(unread),
        };
        if unread.is_empty() {
            // An empty rest would keep the room that it lay in.
            *unread = Bytes::new();
        }
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    pub(super) const fn has_ended(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunks(chunks) => chunks.has_ended(),
            Self::UntilClose => false,
        }
    }

    /// What is left, where that was said beforehand.
    pub(super) const fn length(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunks(_) | Self::UntilClose => None,
        }
    }
}

fn split(unread: &mut Bytes, at_most: u64) -> Bytes {
    unread.split_to(usize::try_from(at_most).unwrap_or(usize::MAX).min(unread.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut framing: Framing, bytes: &'static [u8]) -> (Vec<Bytes>, bool, Bytes) {
        let (mut unread, mut pieces) = (Bytes::from_static(bytes), Vec::new());
        while let Some(piece) = framing.take(&mut unread).unwrap() {
            pieces.push(piece);
        }
        (pieces, framing.has_ended(), unread)
    }

    #[test]
    fn a_body_ends_where_its_framing_says_and_what_follows_stays() {
        let (pieces, has_ended, unread) = all(Framing::Length(5), b"hellonext");
        assert_eq!((pieces, has_ended, unread), (vec![Bytes::from("hello")], true, Bytes::from("next")));
        let (pieces, has_ended, unread) = all(Framing::Chunks(Chunks::START), b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nnext");
        assert_eq!((pieces.concat(), has_ended, unread), (b"hello".to_vec(), true, Bytes::from("next")));
        let (pieces, has_ended, unread) = all(Framing::UntilClose, b"hello");
        assert_eq!((pieces.concat(), has_ended, unread), (b"hello".to_vec(), false, Bytes::new()));
    }

    #[test]
    fn the_end_is_known_with_the_last_piece_and_a_fault_behind_it_by_the_next_look() {
        let mut framing = Framing::Chunks(Chunks::START);
        framing.take(&mut Bytes::from_static(b"2\r\nhe\r\n0\r\n\r\n")).unwrap().unwrap();
        assert!(framing.has_ended());
        let (mut framing, mut unread) = (Framing::Chunks(Chunks::START), Bytes::from_static(b"2\r\nheX"));
        assert_eq!(framing.take(&mut unread), Ok(Some(Bytes::from("he"))));
        assert_eq!(framing.take(&mut unread), Err(Malformed));
    }
}
