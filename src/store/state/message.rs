//! What the keeper is told and asked.

use tokio::sync::oneshot;

use super::board::CredentialState;
use super::notes::Used;
use super::object::{Object, Page};
use super::replays::{Begun, KeptAnswer, ReplayKey, RequestDigest};
use super::transcript::Transcript;
use crate::domain::entity::{Provider, SavedCredential, Workspace};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;

/// The state database did not answer, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state database can't be asked right now")]
pub struct Away;

pub(super) type Answer<T> = oneshot::Sender<Result<T, Away>>;

pub(super) enum Message {
    Note(Note),
    Ask(Ask),
    Close(oneshot::Sender<()>),
}

/// Nobody waits for these.
pub(super) enum Note {
    Credential(SavedCredential, CredentialState),
    Used(Used, Timestamp),
    Made(Box<Object>),
    Gone { workspace: Id<Workspace>, id: String, provider: Id<Provider>, at: Timestamp },
    Keep(Box<Transcript>),
}

pub(super) enum Ask {
    Find { workspace: Id<Workspace>, ids: Vec<String>, answer: Answer<Vec<Object>> },
    Record { objects: Vec<Object>, answer: Answer<()> },
    Page { page: Page, answer: Answer<Vec<Object>> },
    Transcript { workspace: Id<Workspace>, id: String, answer: Answer<Option<Transcript>> },
    Forget { workspace: Id<Workspace>, id: String, answer: Answer<bool> },
    LastUses { of: Vec<Used>, answer: Answer<Vec<(Used, Timestamp)>> },
    Begin { key: ReplayKey, request: RequestDigest, now: Timestamp, answer: Answer<Begun> },
    End { key: ReplayKey, kept: Option<KeptAnswer>, answer: Answer<()> },
}

impl Ask {
    pub(super) fn is_waited_for(&self) -> bool {
        !match self {
            Self::Find { answer, .. } | Self::Page { answer, .. } => answer.is_closed(),
            Self::Record { answer, .. } => answer.is_closed(),
            Self::Transcript { answer, .. } => answer.is_closed(),
            Self::Forget { answer, .. } => answer.is_closed(),
            Self::LastUses { answer, .. } => answer.is_closed(),
            Self::Begin { answer, .. } => answer.is_closed(),
            // Done or not, how it ended is worth a word.
            Self::End { .. } => false,
        }
    }
}
