//! What we send: a request's head and its body. Bytes in, frames out; knows nothing of connections.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use http_body::{Body, Frame, SizeHint};

use crate::protocol::splice;

/// Method, path and headers of one upstream request. `Host`, `:authority` and all framing are rebuilt by the client.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: Method,
    pub path: PathAndQuery,
    pub headers: HeaderMap,
}

/// How a request is made. Its maps and bodies are given away with it, so it is made for each connection it goes out on.
pub trait Recipe {
    /// Once the request is made it can't be made again: what it is made of goes by while it is sent.
    fn goes_by_once(&self) -> bool;

    fn request(&mut self) -> (Head, Outgoing);
}

/// A body that is read elsewhere while we send it.
pub type Streamed = Pin<Box<dyn Body<Data = Bytes, Error = io::Error> + Send>>;

/// The body of one upstream request.
pub enum Outgoing {
    /// Held whole as a few shared slices: can be sent again.
    Whole(Pieces),
    /// Goes by while it is sent, so it can be sent once only.
    Streamed(Streamed),
}

impl Outgoing {
    pub const EMPTY: Self = Self::Whole(Pieces { first: None, behind: None, next: 0, left: 0 });

    /// A second copy to send again, if there can be one. Costs a reference count.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(pieces) => Some(Self::Whole(pieces.clone())),
            Self::Streamed(_) => None,
        }
    }
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::from(splice::Pieces::from(bytes))
    }
}

impl From<splice::Pieces> for Outgoing {
    fn from(pieces: splice::Pieces) -> Self {
        Self::Whole(Pieces::from(pieces))
    }
}

/// What is left to send of a body's slices, none of them empty. The usual one slice is held without an allocation.
#[derive(Clone)]
pub struct Pieces {
    first: Option<Bytes>,
    behind: Option<Arc<[Bytes]>>,
    next: usize,
    left: u64,
}

impl From<splice::Pieces> for Pieces {
    fn from(pieces: splice::Pieces) -> Self {
        let left = pieces.len() as u64;
        let mut slices = pieces.into_iter();
        let first = slices.next();
        let behind: Vec<Bytes> = slices.collect();
        Self { first, behind: (!behind.is_empty()).then(|| behind.into()), next: 0, left }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let slice = match self.first.take() {
            Some(first) => first,
            None => {
                let slice = self.behind.as_ref()?.get(self.next)?.clone();
                self.next += 1;
                slice
            }
        };
        self.left -= slice.len() as u64;
        Some(slice)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(pieces) => Poll::Ready(pieces.next().map(|slice| Ok(Frame::data(slice)))),
            Self::Streamed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(pieces) => pieces.left == 0,
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(pieces) => SizeHint::with_exact(pieces.left),
            Self::Streamed(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_know_their_length_and_can_be_sent_again() {
        let mut slices = splice::Pieces::default();
        ["ab", "", "c", "d"].into_iter().for_each(|slice| slices.push(Bytes::from(slice)));
        let mut first = Outgoing::from(slices);
        let second = first.again().unwrap();
        assert_eq!(first.size_hint().exact(), Some(4));
        let Outgoing::Whole(pieces) = &mut first else { unreachable!() };
        assert_eq!(pieces.by_ref().collect::<Vec<_>>(), ["ab", "c", "d"]);
        assert!(first.is_end_stream() && !second.is_end_stream());
    }
}
