//! What an attempt gives when it is good enough for the client.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::client::AnswerBody;
use super::parallel::Permit;
use crate::domain::entity::Scope;
use crate::domain::protocol::Protocol;
use crate::protocol::Watch;
use crate::resolve::Target;

/// A provider's answer, committed: nothing else will be tried.
pub struct Reply {
    pub status: StatusCode,
    /// Only what an allow-list lets through.
    pub headers: HeaderMap,
    pub body: ReplyBody,
    pub from: From,
    /// Held until the reply's last byte is gone.
    pub permits: Vec<Permit>,
}

/// Who answered.
#[derive(Clone, Debug)]
pub struct From {
    pub provider: Arc<str>,
    pub model: Arc<str>,
    pub scope: Option<Scope>,
    pub protocol: Protocol,
}

impl std::convert::From<&Target> for From {
    fn from(target: &Target) -> Self {
        Self {
            provider: target.provider.name.clone(),
            model: target.model_id.clone(),
            scope: target.credential.as_ref().map(|one| one.scope()),
            protocol: target.protocol(),
        }
    }
}

pub enum ReplyBody {
    /// All of it is here.
    Whole(Bytes),
    /// Its beginning is here, the rest passes through.
    Passing { first: Vec<Bytes>, rest: AnswerBody },
    /// A stream of events, held up to its first content.
    Events { held: Vec<Bytes>, watch: Box<Watch>, rest: AnswerBody },
}
