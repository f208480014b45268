//! Changes a body in place: the client's bytes with a few ranges replaced, copied at most once.
//!
//! Pure. Takes a shared body and edits in order; gives the pieces to send. Knows nothing of JSON.

use std::ops::Range;

use bytes::Bytes;

/// Up to here one copy into one buffer is cheaper than sending several slices.
const COPY_LIMIT_BYTES: usize = 64 * 1024;

/// These bytes of the body become those. An empty range inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub at: Range<usize>,
    pub with: Bytes,
}

impl Edit {
    pub fn insert(at: usize, with: impl Into<Bytes>) -> Self {
        Self { at: at..at, with: with.into() }
    }
}

/// Bytes to be sent one behind the other. The usual single piece costs no allocation of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Pieces {
    /// The length of all pieces together: the `content-length`.
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.rest.push(piece);
        }
    }

    /// All in one piece. A single one is not copied.
    pub fn joined(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.first.clone();
        }
        let mut all = Vec::with_capacity(self.len());
        std::iter::once(&self.first).chain(&self.rest).for_each(|piece| all.extend_from_slice(piece));
        all.into()
    }
}

impl From<Bytes> for Pieces {
    fn from(first: Bytes) -> Self {
        Self { first, rest: Vec::new() }
    }
}

impl IntoIterator for Pieces {
    type Item = Bytes;
    type IntoIter =
        std::iter::Filter<std::iter::Chain<std::iter::Once<Bytes>, std::vec::IntoIter<Bytes>>, fn(&Bytes) -> bool>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.rest).filter(|piece| !piece.is_empty())
    }
}

/// Carries out the edits. They must be in order and must not overlap; what breaks that rule is left out, never a panic.
pub fn apply(body: &Bytes, edits: &[Edit]) -> Pieces {
    if edits.is_empty() {
        return body.clone().into();
    }
    if body.len() > COPY_LIMIT_BYTES { slices(body, edits) } else { copy(body, edits) }
}

fn copy(body: &Bytes, edits: &[Edit]) -> Pieces {
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut whole = Vec::with_capacity(body.len() + added);
    let behind = each(body, edits, |kept, edit| {
        whole.extend_from_slice(&body[kept]);
        whole.extend_from_slice(&edit.with);
    });
    whole.extend_from_slice(&body[behind..]);
    Bytes::from(whole).into()
}

fn slices(body: &Bytes, edits: &[Edit]) -> Pieces {
    let mut pieces = Pieces::default();
    let behind = each(body, edits, |kept, edit| {
        pieces.push(body.slice(kept));
        pieces.push(edit.with.clone());
    });
    pieces.push(body.slice(behind..));
    pieces
}

/// Gives what is kept before each edit; says where the last edit ended.
fn each(body: &Bytes, edits: &[Edit], mut take: impl FnMut(Range<usize>, &Edit)) -> usize {
    let mut behind = 0;
    for edit in edits {
        if edit.at.start < behind || edit.at.end < edit.at.start || edit.at.end > body.len() {
            continue;
        }
        take(behind..edit.at.start, edit);
        behind = edit.at.end;
    }
    behind
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(pieces: Pieces) -> Vec<u8> {
        let length = pieces.len();
        let whole: Vec<u8> = pieces.into_iter().flatten().collect();
        assert_eq!(whole.len(), length);
        whole
    }

    #[test]
    fn a_body_without_edits_is_the_same_buffer() {
        let body = Bytes::from_static(b"{}");
        let same = apply(&body, &[]).into_iter().next().unwrap();
        assert_eq!(same.as_ptr(), body.as_ptr());
    }

    #[test]
    fn a_small_body_becomes_one_piece_and_a_large_one_is_not_copied() {
        let edits = [Edit { at: 1..3, with: Bytes::from_static(b"xyz") }, Edit::insert(4, "!")];
        let small = apply(&Bytes::from_static(b"abcdef"), &edits);
        assert_eq!(small.clone().into_iter().count(), 1);
        assert_eq!(joined(small), b"axyzd!ef");
        let large = Bytes::from(vec![b'a'; 100_000]);
        let pieces: Vec<Bytes> = apply(&large, &edits).into_iter().collect();
        assert_eq!(pieces.len(), 5);
        assert_eq!(pieces[4].as_ptr(), large[4..].as_ptr());
    }

    proptest! {
        #[test]
        fn slices_and_copies_say_the_same_whatever_the_edits(
            body in proptest::collection::vec(any::<u8>(), 0..60),
            edits in proptest::collection::vec((0..70usize, 0..70usize, any::<Vec<u8>>()), 0..5),
        ) {
            let body = Bytes::from(body);
            let edits: Vec<Edit> =
                edits.into_iter().map(|(from, to, with)| Edit { at: from..to, with: with.into() }).collect();
            prop_assert_eq!(joined(slices(&body, &edits)), joined(copy(&body, &edits)));
        }
    }
}
