//! What an attempt gives when it is good enough for the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::client::{AnswerBody, Broken};
use super::parallel::Permits;
use crate::domain::trail::Answerer;
use crate::protocol::Watch;

/// A provider's answer, committed: nothing else will be tried.
pub struct Reply {
    pub status: StatusCode,
    /// Only what an allow-list lets through.
    pub headers: HeaderMap,
    pub body: ReplyBody,
    pub from: Answerer,
}

/// The rest of a provider's answer, which keeps its place among the parallel calls until it has ended.
pub struct Rest {
    body: AnswerBody,
    _permits: Permits,
}

impl Rest {
    pub(super) const fn new(body: AnswerBody, permits: Permits) -> Self {
        Self { body, _permits: permits }
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pub enum ReplyBody {
    /// All of it is here.
    Whole(Bytes),
    /// Its beginning is here, the rest passes through.
    Passing { first: Vec<Bytes>, rest: Rest },
    /// A stream of events, held up to its first content.
    Events { held: Vec<Bytes>, watch: Box<Watch>, rest: Rest },
}
