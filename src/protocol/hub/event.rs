//! How an answer comes about: the events of Open Responses without what they repeat.
//!
//! The order that every decoder keeps and every encoder may count on:
//!
//! 1. `Created`, once, before everything else but a failure.
//! 2. Items are numbered from 0 in the order of their `ItemAdded`. Each gets an `ItemDone`, unless the stream fails.
//!    Several may be open at once: calls of tools come interleaved. No two of them are a message or reasoning.
//! 3. In an item one part is open at a time: `PartAdded`, `Delta`…, `PartDone`; the last is done before its item is. A
//!    message's parts are numbered from 0, and so are the summaries and the thoughts of reasoning, each for themselves.
//!    A call has `Arguments` instead. `State` belongs to reasoning.
//! 4. `Usage` at any time, each time all of it: the last counts.
//! 5. `Ended`, once, behind which nothing follows. A stream that was cut has none.

use super::item::Citation;
use super::opaque::Opaque;
use super::text::{Json, Quoted};
use crate::domain::failure::Failure;
use crate::domain::refusal::Family;
use crate::domain::usage::Usage;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    Created { model: Option<Quoted<'a>> },
    ItemAdded { item: usize, kind: ItemKind<'a> },
    PartAdded(Place),
    Delta { at: Place, text: Quoted<'a>, logprobs: Vec<Json<'a>> },
    Cited { at: Place, citation: Citation<'a> },
    PartDone(Place),
    Arguments { item: usize, text: Quoted<'a> },
    State { item: usize, state: Opaque<'a> },
    ItemDone { item: usize, done: Done },
    Usage(Usage),
    Ended(End<'a>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKind<'a> {
    Message,
    Reasoning,
    Call { call_id: Quoted<'a>, name: Quoted<'a> },
}

/// A part of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub item: usize,
    pub part: usize,
    pub kind: PartKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Of a message.
    Text,
    Refusal,
    /// Of reasoning.
    Summary,
    Thought,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Whole,
    /// The answer ended in the middle of it.
    CutShort,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// The model was done; which of the client's stop sequences it met, if it did and the provider says so.
    Completed {
        stop_sequence: Option<Quoted<'a>>,
    },
    Incomplete(Cause),
    Failed(Fault<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    MaxOutputTokens,
    ContextWindow,
    ContentFilter,
}

/// What a provider says of its failure, in a body or in the middle of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    /// What it means to the attempt loop.
    pub failure: Failure,
    pub message: Quoted<'a>,
    /// The provider's own word for it; clients may look for it.
    pub code: Option<Quoted<'a>>,
    /// The field of the request that is at fault.
    pub param: Option<Quoted<'a>>,
}

impl Event<'_> {
    /// The item that it is about, if it is about one.
    pub const fn item(&self) -> Option<usize> {
        match self {
            Self::ItemAdded { item, .. }
            | Self::Arguments { item, .. }
            | Self::State { item, .. }
            | Self::ItemDone { item, .. } => Some(*item),
            Self::PartAdded(at) | Self::PartDone(at) | Self::Delta { at, .. } | Self::Cited { at, .. } => Some(at.item),
            Self::Created { .. } | Self::Usage(_) | Self::Ended(_) => None,
        }
    }

    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Created { model } => Event::Created { model: model.map(Quoted::into_owned) },
            Self::ItemAdded { item, kind } => Event::ItemAdded { item, kind: kind.into_owned() },
            Self::PartAdded(at) => Event::PartAdded(at),
            Self::Delta { at, text, logprobs } => {
                let logprobs = logprobs.into_iter().map(Json::into_owned).collect();
                Event::Delta { at, text: text.into_owned(), logprobs }
            }
            Self::Cited { at, citation } => Event::Cited { at, citation: citation.into_owned() },
            Self::PartDone(at) => Event::PartDone(at),
            Self::Arguments { item, text } => Event::Arguments { item, text: text.into_owned() },
            Self::State { item, state } => Event::State { item, state: state.into_owned() },
            Self::ItemDone { item, done } => Event::ItemDone { item, done },
            Self::Usage(usage) => Event::Usage(usage),
            Self::Ended(end) => Event::Ended(end.into_owned()),
        }
    }

    /// Has the answer begun with it? What comes before may still become another target's answer.
    pub fn is_content(&self) -> bool {
        match self {
            Self::Delta { text, .. } | Self::Arguments { text, .. } => !text.is_empty(),
            Self::ItemAdded { kind: ItemKind::Call { .. }, .. } => true,
            Self::Created { .. }
            | Self::ItemAdded { .. }
            | Self::PartAdded(_)
            | Self::Cited { .. }
            | Self::PartDone(_)
            | Self::State { .. }
            | Self::ItemDone { .. }
            | Self::Usage(_)
            | Self::Ended(_) => false,
        }
    }
}

impl ItemKind<'_> {
    fn into_owned(self) -> ItemKind<'static> {
        match self {
            Self::Message => ItemKind::Message,
            Self::Reasoning => ItemKind::Reasoning,
            Self::Call { call_id, name } => ItemKind::Call { call_id: call_id.into_owned(), name: name.into_owned() },
        }
    }
}

impl Fault<'_> {
    /// The family of errors that it belongs to, in a client's eyes.
    pub const fn family(&self) -> Family {
        match self.failure {
            Failure::CallRejected(_) | Failure::ContextTooLong | Failure::Unsayable(_) | Failure::Unreadable { .. } => {
                Family::InvalidRequest
            }
            Failure::ModelUnknown => Family::NotFound,
            Failure::RateLimited { .. } => Family::RateLimit,
            Failure::QuotaExhausted { .. } => Family::Quota,
            // The client's own key is fine, and the rest is the provider's trouble or ours.
            Failure::CredentialRefused { .. }
            | Failure::Unreachable(_)
            | Failure::ConnectTimedOut
            | Failure::AddressDenied(_)
            | Failure::Reset
            | Failure::Garbage(_)
            | Failure::TimedOut
            | Failure::ClientTimedOut
            | Failure::Overloaded(_)
            | Failure::ErrorUnderSuccess
            | Failure::BrokeOff
            | Failure::AnswerTooLarge { .. }
            | Failure::Untranslated
            | Failure::Busy
            | Failure::CredentialUnusable(_)
            | Failure::UploadBroken
            | Failure::Internal(_) => Family::Server,
        }
    }
}

impl Fault<'_> {
    /// The status that an answer goes with which is this error.
    pub const fn status(&self) -> u16 {
        match self.failure {
            Failure::CallRejected(status) => status,
            Failure::ContextTooLong | Failure::Unsayable(_) | Failure::Unreadable { .. } => 400,
            Failure::ModelUnknown => 404,
            Failure::RateLimited { .. } | Failure::QuotaExhausted { .. } => 429,
            Failure::TimedOut | Failure::ClientTimedOut | Failure::ConnectTimedOut => 504,
            Failure::Overloaded(status @ 500..=504) => status,
            // What only some vendors say.
            Failure::Overloaded(_) => 503,
            Failure::CredentialRefused { .. }
            | Failure::Unreachable(_)
            | Failure::AddressDenied(_)
            | Failure::Reset
            | Failure::Garbage(_)
            | Failure::ErrorUnderSuccess
            | Failure::BrokeOff
            | Failure::AnswerTooLarge { .. }
            | Failure::Untranslated
            | Failure::Busy
            | Failure::CredentialUnusable(_)
            | Failure::UploadBroken
            | Failure::Internal(_) => 502,
        }
    }
}

impl<'a> Fault<'a> {
    /// A failure that we found ourselves: the provider sent what its protocol does not allow.
    pub const fn found(failure: Failure, message: &'static str) -> Self {
        Self { failure, message: Quoted::plain(message), code: None, param: None }
    }

    pub fn into_owned(self) -> Fault<'static> {
        let Self { failure, message, code, param } = self;
        Fault {
            failure,
            message: message.into_owned(),
            code: code.map(Quoted::into_owned),
            param: param.map(Quoted::into_owned),
        }
    }
}

impl End<'_> {
    pub fn into_owned(self) -> End<'static> {
        match self {
            Self::Completed { stop_sequence } => {
                End::Completed { stop_sequence: stop_sequence.map(Quoted::into_owned) }
            }
            Self::Incomplete(cause) => End::Incomplete(cause),
            Self::Failed(fault) => End::Failed(fault.into_owned()),
        }
    }
}

/// Where a decoder's events go.
pub type Sink<'s> = dyn FnMut(Event<'_>) + 's;
