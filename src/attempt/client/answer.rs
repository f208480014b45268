//! What comes back: status, headers, and a body that is read as fast as its reader reads it.
//!
//! Dropped before its end it cancels the call: the HTTP/1.1 connection closes, the HTTP/2 stream is reset. Read to its
//! exact end it gives the HTTP/1.1 connection back to the pool.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::{Pool, Site};
use super::shared::Lease;
use super::single::Single;
use crate::domain::entity::Credential;
use crate::domain::failure::Failure;
use crate::domain::id::Id;

/// An answer's head, and its body to come.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: AnswerBody,
    /// Whether the connection had served before.
    pub reused: bool,
}

/// Why a body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("the provider closed the connection before its answer was complete")]
    Cut,
    #[error("the provider's answer is not framed as HTTP says")]
    Malformed,
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Cut => Self::BrokeOff,
            Broken::Malformed => Self::Garbage(broken.to_string()),
        }
    }
}

/// Pieces as they arrive. Poll it until it says `None` or `is_end_stream`, else the connection is closed.
pub struct AnswerBody(Carrier);

enum Carrier {
    Single(Box<Single>, Home),
    Shared {
        incoming: Incoming,
        _place: Lease,
    },
    /// The answer has ended, or broke.
    Done,
}

/// Where an HTTP/1.1 connection goes when its answer has ended.
pub(super) struct Home {
    pub(super) pool: Arc<Pool>,
    pub(super) site: Arc<Site>,
    pub(super) credential: Option<Id<Credential>>,
}

impl AnswerBody {
    pub(super) fn single(single: Box<Single>, home: Home) -> Self {
        let mut body = Self(Carrier::Single(single, home));
        body.may_have_ended();
        body
    }

    pub(super) fn shared(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self(Carrier::Shared { incoming, _place: lease });
        body.may_have_ended();
        body
    }

    /// An answer that has ended gives its connection, or its place on one, back.
    fn may_have_ended(&mut self) {
        let has_ended = match &self.0 {
            Carrier::Single(single, _) => single.framing().has_ended(),
            Carrier::Shared { incoming, .. } => incoming.is_end_stream(),
            Carrier::Done => false,
        };
        if has_ended
            && let Carrier::Single(mut single, home) = std::mem::replace(&mut self.0, Carrier::Done)
            && single.comes_to_rest()
        {
            Pool::keep(&home.pool, &home.site, home.credential, single);
        }
    }

    /// The next piece as it arrived.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let polled = match &mut self.0 {
            Carrier::Single(single, _) => ready!(single.poll_piece(cx)),
            Carrier::Shared { incoming, .. } => ready!(poll_piece(incoming, cx)),
            Carrier::Done => return Poll::Ready(None),
        };
        if matches!(polled, None | Some(Ok(_))) {
            self.may_have_ended();
        }
        if matches!(polled, None | Some(Err(_))) {
            self.0 = Carrier::Done;
        }
        Poll::Ready(polled)
    }
}

/// Trailers are passed over: nobody asked for any.
fn poll_piece(body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
    loop {
        return Poll::Ready(match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => Some(Ok(piece)),
                Err(_) => continue,
            },
            Some(Err(_)) => Some(Err(Broken::Cut)),
            // hyper takes a reset with NO_ERROR for an end; without the end's flag it is a cut.
            None => (!body.is_end_stream()).then_some(Err(Broken::Cut)),
        });
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.get_mut().poll_piece(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Carrier::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Carrier::Single(single, _) => single.framing().length().map(SizeHint::with_exact).unwrap_or_default(),
            Carrier::Shared { incoming, .. } => incoming.size_hint(),
            Carrier::Done => SizeHint::with_exact(0),
        }
    }
}
