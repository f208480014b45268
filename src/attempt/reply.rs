//! What an attempt gives when it is good enough for the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::breaker::{Admission, Breakers, TargetKeys};
use super::client::{AnswerBody, Broken};
use super::places::Places;
use super::process::Output;
use super::tap::Tap;
use crate::domain::address::Address;
use crate::domain::entity::{SavedCredential, Workspace};
use crate::domain::failure::Failure;
use crate::domain::id::Id;
use crate::domain::trail::Answerer;
use crate::resolve::Target;

/// A provider's answer, committed: nothing else will be tried.
pub struct Reply {
    pub status: StatusCode,
    /// Only what an allow-list lets through.
    pub headers: HeaderMap,
    pub body: ReplyBody,
    pub from: Answerer,
    /// It came in other words than the client's: what it is called in these lies at no provider.
    pub is_translated: bool,
    /// When it was committed.
    pub at: Instant,
}

/// What only a part of the replies have is boxed, so that the others move less.
pub enum ReplyBody {
    /// All of it is here.
    Whole(Bytes),
    /// Its beginning is here, the rest passes through.
    Passing { first: Vec<Bytes>, rest: Box<Rest> },
    /// A stream of events, held up to its first content.
    Events { held: Vec<Bytes>, tap: Box<Tap>, rest: Box<Rest> },
}

/// The rest of a provider's answer. It keeps its places among the parallel calls until it has ended, and what goes
/// wrong with it counts against the provider, though no other attempt can follow any more.
pub struct Rest {
    body: Source,
    _places: Places,
    accused: Accused,
}

impl Rest {
    pub(super) const fn new(body: Source, places: Places, accused: Accused) -> Self {
        Self { body, _places: places, accused }
    }

    /// The next piece as it arrived.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        self.body.poll_piece(cx)
    }

    /// The provider said nothing for longer than it may.
    pub fn fell_silent(&self) {
        self.accused.failed(&Failure::TimedOut);
    }

    /// The provider ended its answer, but not as its protocol ends one.
    pub fn ended_early(&self) {
        self.accused.failed(&Failure::BrokeOff);
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.poll_piece(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where an answer comes from.
pub(super) enum Source {
    Http(AnswerBody),
    Program(Box<Output>),
}

impl Source {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        match self {
            Self::Http(body) => body.poll_piece(cx),
            Self::Program(output) => output.poll_piece(cx),
        }
    }
}

impl Body for Source {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.get_mut().poll_piece(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http(body) => body.is_end_stream(),
            Self::Program(output) => output.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http(body) => body.size_hint(),
            Self::Program(_) => SizeHint::default(),
        }
    }
}

/// Whom a failure after the commit counts against.
pub(super) struct Accused {
    breakers: Arc<Breakers>,
    workspace: Id<Workspace>,
    address: Arc<Address>,
    model: Option<Arc<str>>,
    credential: Option<SavedCredential>,
}

impl Accused {
    pub(super) fn new(breakers: &Arc<Breakers>, workspace: Id<Workspace>, target: &Target<'_>) -> Self {
        Self {
            breakers: breakers.clone(),
            workspace,
            address: target.base_url().address.clone(),
            model: target.counted_model().cloned(),
            credential: target.credential.map(|one| one.credential.saved()),
        }
    }

    fn failed(&self, failure: &Failure) {
        let (now, address, model) = (Instant::now(), &*self.address, self.model.as_deref());
        let keys = TargetKeys { workspace: self.workspace, address, model, credential: self.credential };
        if let Admission::Pass(pass) = self.breakers.admit(keys, now) {
            pass.failed(failure, now);
        }
    }
}
