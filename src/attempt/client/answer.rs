//! What comes back: status, headers, and a body that is read as fast as its reader reads it.
//!
//! Dropped before its end it cancels the call: the HTTP/1.1 connection closes, the HTTP/2 stream is reset. Read to its
//! exact end it gives the HTTP/1.1 connection back to the pool.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::died::cause;
use super::pool::{Pool, Site};
use super::shared::Lease;
use super::single::{Single, poll_piece};
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
pub struct AnswerBody {
    incoming: Incoming,
    carrier: Carrier,
}

enum Carrier {
    Single(Box<Single>, Home),
    Shared {
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
    pub(super) fn single(incoming: Incoming, single: Box<Single>, home: Home) -> Self {
        let mut body = Self { incoming, carrier: Carrier::Single(single, home) };
        if body.incoming.is_end_stream() {
            body.ended();
        }
        body
    }

    pub(super) fn shared(incoming: Incoming, lease: Lease) -> Self {
        let carrier = if incoming.is_end_stream() { Carrier::Done } else { Carrier::Shared { _place: lease } };
        Self { incoming, carrier }
    }

    fn ended(&mut self) {
        if let Carrier::Single(mut single, home) = std::mem::replace(&mut self.carrier, Carrier::Done)
            && single.comes_to_rest()
        {
            Pool::keep(&home.pool, &home.site, home.credential, single);
        }
    }

    /// The next piece as it arrived.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let polled = match &mut self.carrier {
            Carrier::Single(single, _) => single.poll_piece(&mut self.incoming, cx),
            Carrier::Shared { .. } | Carrier::Done => poll_piece(&mut self.incoming, cx),
        };
        Poll::Ready(match ready!(polled) {
            Some(Ok(piece)) => {
                if self.incoming.is_end_stream() {
                    self.ended();
                }
                Some(Ok(piece))
            }
            Some(Err(error)) => {
                self.carrier = Carrier::Done;
                Some(Err(broken(&error)))
            }
            None => {
                let cut = matches!(self.carrier, Carrier::Shared { .. }) && !self.incoming.is_end_stream();
                self.ended();
                // hyper takes an HTTP/2 reset with NO_ERROR for an end; without the end's flag it is a cut.
                cut.then_some(Err(Broken::Cut))
            }
        })
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.get_mut().poll_piece(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

fn broken(error: &hyper::Error) -> Broken {
    match cause::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => Broken::Malformed,
        _ => Broken::Cut,
    }
}
