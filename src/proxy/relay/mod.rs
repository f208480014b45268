//! Gives the client the answer: the provider's bytes as they come, with a tap that reads usage.
//!
//! Takes a committed reply (or one still to come) and its exchange, gives the response's body. The exchange is settled
//! before the last frame goes out, or when the client hangs up. Nothing here starts another attempt.

mod clock;
mod events;
mod passing;
mod waiting;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use self::events::Events;
use self::passing::Passing;
use self::waiting::{Waited, Waiting};
use super::Settings;
use super::answer::Attempting;
use crate::attempt::{Reply, ReplyBody};
use crate::domain::protocol::Protocol;
use crate::domain::usage::Basis;
use crate::meter::{Exchange, Outcome};
use crate::protocol;

/// The body of a response to the client.
pub struct RelayBody(Part);

enum Part {
    /// Our own words, or all of the provider's.
    Whole {
        bytes: Bytes,
        exchange: Option<Exchange>,
    },
    Passing(Box<Passing>),
    Events(Box<Events>),
    Waiting(Box<Waiting>),
    /// The last words are given; what follows is a cut.
    Breaking {
        is_flushed: bool,
    },
    Done,
}

/// What a part has for the client.
enum Next {
    Data(Bytes),
    Last(Bytes),
    /// It ends before its end, after these words if any.
    Broken(Option<Bytes>),
    Cut,
    /// Another part goes on.
    Became(Part),
}

/// Why a body ends before its end: the connection is cut, so that nobody takes it for whole.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub struct Aborted;

impl RelayBody {
    /// A body that belongs to no exchange, or to one that is settled already.
    pub(super) fn ours(bytes: Bytes) -> Self {
        Self(Part::Whole { bytes, exchange: None })
    }

    /// Our own words to an exchange.
    pub(super) fn refusal(bytes: Bytes, exchange: Option<Exchange>) -> Self {
        Self(Part::Whole { bytes, exchange })
    }

    /// Waits until what is here whole is on record, so that head and body can go out in one write.
    pub(super) async fn settled(&mut self) {
        if let Part::Whole { exchange: Some(exchange), .. } = &mut self.0 {
            poll_fn(|cx| exchange.poll_settle(cx)).await;
        }
    }

    pub(super) fn reply(reply: Box<Reply>, exchange: Exchange, client: Protocol, settings: &Settings) -> Self {
        Self(Part::reply(reply, exchange, client, settings))
    }

    /// A stream whose provider is still being waited for.
    pub(super) fn waiting(attempting: Attempting, client: Protocol, settings: &Settings) -> Self {
        Self(Part::Waiting(Box::new(Waiting::new(attempting, client, settings))))
    }
}

impl Part {
    fn reply(reply: Box<Reply>, mut exchange: Exchange, client: Protocol, settings: &Settings) -> Self {
        let Reply { status, body, from, at, .. } = *reply;
        exchange.has_reply(from, at);
        let outcome = Outcome::of_status(status);
        match body {
            ReplyBody::Whole(bytes) => {
                match protocol::usage_of_whole(client, &bytes) {
                    Some(usage) => exchange.reports(usage, Basis::Reported),
                    None => exchange.reckons_by(bytes.len()),
                }
                exchange.ends(outcome);
                Self::Whole { bytes, exchange: Some(exchange) }
            }
            ReplyBody::Passing { first, rest } => {
                Self::Passing(Box::new(Passing::new(first, rest, client, outcome, exchange, settings)))
            }
            ReplyBody::Events { held, tap, rest } => {
                Self::Events(Box::new(Events::new(held, tap, rest, client, exchange, settings)))
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        match self {
            Self::Whole { bytes, exchange } => {
                if let Some(exchange) = exchange {
                    ready!(exchange.poll_settle(cx));
                }
                Poll::Ready(Next::Last(std::mem::take(bytes)))
            }
            Self::Passing(passing) => passing.poll(cx),
            Self::Events(events) => events.poll(cx),
            Self::Waiting(waiting) => waiting.poll(cx).map(|waited| match waited {
                Waited::Comment(bytes) => Next::Data(bytes),
                Waited::Came(part) => Next::Became(part),
                Waited::Refused(event) => Next::Broken(Some(event)),
            }),
            Self::Breaking { is_flushed } => {
                if std::mem::replace(is_flushed, true) {
                    return Poll::Ready(Next::Cut);
                }
                // hyper drops what it has not yet written when a body fails, and writes only when a body has to wait.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Done => Poll::Ready(Next::Last(Bytes::new())),
        }
    }
}

impl Body for RelayBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        loop {
            let (part, frame) = match ready!(self.0.poll(cx)) {
                Next::Data(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Next::Became(part) => (part, None),
                Next::Last(bytes) => (Part::Done, (!bytes.is_empty()).then_some(Ok(Frame::data(bytes)))),
                Next::Broken(words) => {
                    (Part::Breaking { is_flushed: false }, words.map(|words| Ok(Frame::data(words))))
                }
                Next::Cut => (Part::Done, Some(Err(Aborted))),
            };
            self.0 = part;
            match (&self.0, frame) {
                (_, Some(frame)) => return Poll::Ready(Some(frame)),
                (Part::Done, None) => return Poll::Ready(None),
                (_, None) => {}
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Part::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Part::Whole { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Part::Passing(passing) => passing.size_hint(),
            Part::Done => SizeHint::with_exact(0),
            Part::Events(_) | Part::Waiting(_) | Part::Breaking { .. } => SizeHint::default(),
        }
    }
}

/// What is ready goes out as one write; a single piece is not copied.
fn gathered(pieces: &mut Vec<Bytes>) -> Bytes {
    if pieces.len() < 2 {
        return pieces.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces.drain(..) {
        all.extend_from_slice(&piece);
    }
    all.freeze()
}
