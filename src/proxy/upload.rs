//! The rest of a form that is too large to be held, as it goes by: bounded, and watched for a second model.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use memchr::memmem;

use crate::listen::RequestBody;

/// How a field named `model` reads in a part's head. One behind the form's beginning would name the model a second
/// time, unseen by approvals and lists, so the upload is broken off there.
const NAMES: [&[u8]; 2] = [b"name=\"model\"", b"name=model"];
/// What the next piece is looked at together with: one byte less than the longest name.
const OVERLAP_BYTES: usize = 11;

pub(super) struct Passing {
    body: RequestBody,
    left_bytes: u64,
    /// The last bytes of what went by; `None` where no model is named.
    overlap: Option<Vec<u8>>,
}

impl Passing {
    pub(super) fn new(body: RequestBody, left_bytes: u64, names_model: bool) -> Self {
        Self { body, left_bytes, overlap: names_model.then(Vec::new) }
    }

    fn check(&mut self, piece: &[u8]) -> Result<(), io::Error> {
        self.left_bytes = self
            .left_bytes
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| io::Error::other("it is larger than it may be"))?;
        let Some(overlap) = &mut self.overlap else { return Ok(()) };
        overlap.extend_from_slice(&piece[..piece.len().min(OVERLAP_BYTES)]);
        if NAMES.iter().any(|name| memmem::find(overlap, name).is_some() || memmem::find(piece, name).is_some()) {
            return Err(io::Error::other("it names a model behind its beginning"));
        }
        if piece.len() > OVERLAP_BYTES {
            overlap.clear();
            overlap.extend_from_slice(&piece[piece.len() - OVERLAP_BYTES..]);
        }
        overlap.drain(..overlap.len().saturating_sub(OVERLAP_BYTES));
        Ok(())
    }
}

impl Body for Passing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match polled {
            Some(Ok(frame)) => Some(frame.data_ref().map_or(Ok(()), |piece| self.check(piece)).map(|()| frame)),
            Some(Err(fault)) => Some(Err(io::Error::other(fault))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
