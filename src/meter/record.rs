//! What is kept of one exchange. It can hold no prompt, no answer and no secret: it has no field for them.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use uuid::Uuid;

use super::Opening;
use crate::domain::entity::{Org, Token, User, Workspace};
use crate::domain::id::Id;
use crate::domain::protocol::{Delivery, Operation, Protocol};
use crate::domain::refusal::{Family, Refusal};
use crate::domain::run::Run;
use crate::domain::time::Timestamp;
use crate::domain::trail::{Answerer, Trail};
use crate::domain::usage::{Basis, Usage};
use crate::snapshot::Caller;

#[derive(Clone, Debug)]
pub struct Record {
    pub id: Uuid,
    pub began_at: Timestamp,
    /// When it was settled.
    pub at: Timestamp,
    pub org: Id<Org>,
    pub workspace: Id<Workspace>,
    pub workspace_name: Arc<str>,
    pub token: Id<Token>,
    pub user: Option<Id<User>>,
    /// The user whom a trusted front end named.
    pub asserted: Option<Arc<str>>,
    pub protocol: Protocol,
    pub operation: Operation,
    pub delivery: Delivery,
    pub run: Option<Run>,
    /// The length of the call's body.
    pub asked_bytes: u64,
    /// The length of a whole answer whose provider did not say what it used.
    pub answered_bytes: u64,
    pub from: Option<Answerer>,
    pub trail: Trail,
    pub usage: Usage,
    pub basis: Basis,
    pub outcome: Outcome,
    /// The code of the refusal, if it was one.
    pub refusal: Option<&'static str>,
    pub first_event: Option<Duration>,
    pub total: Duration,
    /// Spent in Keyway itself, until the answer was handed on.
    pub overhead: Duration,
}

impl Record {
    pub(super) fn opened(caller: &Caller, opening: Opening) -> Self {
        Self {
            id: opening.id,
            began_at: opening.at,
            at: opening.at,
            org: caller.view().org.id,
            workspace: caller.workspace(),
            workspace_name: caller.view().name.clone(),
            token: caller.token().id,
            user: caller.token().user,
            asserted: caller.asserted_user().cloned(),
            protocol: opening.protocol,
            operation: opening.operation,
            delivery: Delivery::Whole,
            run: None,
            asked_bytes: 0,
            answered_bytes: 0,
            from: None,
            trail: Trail::default(),
            usage: Usage::default(),
            basis: Basis::default(),
            outcome: Outcome::ClientLeft,
            refusal: None,
            first_event: None,
            total: Duration::ZERO,
            overhead: Duration::ZERO,
        }
    }
}

/// How an exchange ended. Until something else is known, the client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Served,
    /// The provider refused the call, and the client heard it.
    Rejected,
    /// No provider served it.
    Failed,
    /// We refused it.
    Refused,
    /// The provider's answer broke off.
    CutOff,
    ClientLeft,
}

impl Outcome {
    pub const ALL: [Self; 6] =
        [Self::Served, Self::Rejected, Self::Failed, Self::Refused, Self::CutOff, Self::ClientLeft];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::CutOff => "cut_off",
            Self::ClientLeft => "client_left",
        }
    }

    /// Of an answer that is passed on whole.
    pub fn of_status(status: StatusCode) -> Self {
        if status.is_success() {
            Self::Served
        } else if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            Self::Rejected
        } else {
            Self::Failed
        }
    }

    /// A refusal that stands for failed attempts is a failure of the exchange.
    pub(super) const fn of_refusal(refusal: &Refusal) -> Self {
        let row = refusal.row();
        match row.family {
            Family::Server if row.status == 502 || row.status == 504 => Self::Failed,
            Family::Quota => Self::Failed,
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::failure::Failure;
    use crate::domain::trail::{Attempt, End, Priced};

    /// A call that failed at its first provider.
    pub(in crate::meter) fn record() -> Record {
        let mut trail = Trail::default();
        let (provider, model) = ("a\"b".into(), "m".into());
        let end = End::Failed(Failure::TimedOut);
        trail.push(Attempt { provider, model, scope: None, end, took: Duration::ZERO, spent: None });
        Record {
            id: Uuid::nil(),
            began_at: Timestamp(0),
            at: Timestamp(1_774_137_600_007),
            org: Id::random(),
            workspace: Id::random(),
            workspace_name: "w".into(),
            token: Id::random(),
            user: None,
            asserted: None,
            protocol: Protocol::Chat,
            operation: Operation::ChatCompletions,
            delivery: Delivery::Whole,
            run: None,
            asked_bytes: 0,
            answered_bytes: 0,
            from: Some(Answerer {
                provider: "a\"b".into(),
                provider_id: Id::random(),
                model: "m".into(),
                is_registered: true,
                scope: None,
                credential: None,
                is_shared: false,
                priced: Priced::default(),
            }),
            trail,
            usage: Usage { input: 3, output: 1_234, ..Usage::default() },
            basis: Basis::Reported,
            outcome: Outcome::Failed,
            refusal: Some("timed_out"),
            first_event: None,
            total: Duration::from_micros(12_350),
            overhead: Duration::from_micros(77),
        }
    }
}
