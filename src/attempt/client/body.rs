//! What we send: a request's head and its body. Bytes in, frames out; knows nothing of connections.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use http_body::{Body, Frame, SizeHint};

/// Method, path and headers of one upstream request. `Host`, `:authority` and all framing are rebuilt by the client.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: Method,
    pub path: PathAndQuery,
    pub headers: HeaderMap,
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
    pub fn empty() -> Self {
        Self::Whole(Pieces::default())
    }

    /// A second copy to send again, if there can be one. Costs a reference count.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(pieces) => Some(Self::Whole(pieces.clone())),
            Self::Streamed(_) => None,
        }
    }
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Pieces::from(vec![bytes]))
    }
}

impl From<Vec<Bytes>> for Outgoing {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self::Whole(Pieces::from(pieces))
    }
}

/// Slices of one body in their order, without empty ones.
#[derive(Clone, Default)]
pub struct Pieces {
    slices: Arc<[Bytes]>,
    next: usize,
    left: u64,
}

impl From<Vec<Bytes>> for Pieces {
    fn from(mut slices: Vec<Bytes>) -> Self {
        slices.retain(|slice| !slice.is_empty());
        let left = slices.iter().map(|slice| slice.len() as u64).sum();
        Self { slices: slices.into(), next: 0, left }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let slice = self.slices.get(self.next)?.clone();
        self.next += 1;
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
        let mut first = Outgoing::from(vec![Bytes::from("ab"), Bytes::new(), Bytes::from("c")]);
        let second = first.again().unwrap();
        assert_eq!(first.size_hint().exact(), Some(3));
        let Outgoing::Whole(pieces) = &mut first else { unreachable!() };
        assert_eq!(pieces.by_ref().collect::<Vec<_>>(), ["ab", "c"]);
        assert!(first.is_end_stream() && !second.is_end_stream());
    }
}
