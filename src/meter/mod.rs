//! What every call owes and leaves behind: admission, reservation, settlement, exactly once each.
//!
//! Takes callers, calls and what came of them; gives permits, refusals and one record per exchange. It must never know
//! how a provider was reached, nor hold a client up.

pub mod capacity;
mod ids;
pub mod limit;
mod line;
mod minute;
mod record;
mod records;
mod tally;

pub use line::{LineFormat, write_line};
pub use record::{Outcome, Record};
pub use records::Records;
pub use tally::{CoreMeter, Families};

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use self::capacity::{Capacity, Place};
use self::limit::{Asking, Limiter, Permit, Remaining};
use crate::domain::call::Call;
use crate::domain::protocol::{Operation, Protocol};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::trail::{Answerer, Trail};
use crate::domain::usage::{Basis, Usage};
use crate::resolve::Plan;
use crate::snapshot::Caller;

/// What all cores share.
pub struct Meter {
    pub limiter: Limiter,
    pub capacity: Arc<Capacity>,
    pub records: Records,
}

/// A call as it is known before its body is read.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    pub id: Uuid,
    pub protocol: Protocol,
    pub operation: Operation,
    pub began: Instant,
    /// The same moment as calendars have it.
    pub at: Timestamp,
}

impl CoreMeter {
    /// Lets a call in, before a byte of its body is read. From here on it is on record. Beside it: what is left of the
    /// caller's requests in this minute, where a limit holds.
    pub fn admit(
        self: &Arc<Self>,
        caller: &Caller,
        opening: Opening,
    ) -> Result<(Exchange, Option<Remaining>), Refusal> {
        let place = self.meter.capacity.enter(caller.workspace())?;
        let (permit, remaining) = self.meter.limiter.admit(&asking(caller), opening.began)?;
        let exchange = Exchange {
            trail: Trail::default(),
            record: Some(Box::new(Record::opened(caller, opening))),
            began: opening.began,
            elsewhere: Duration::ZERO,
            core: self.clone(),
            _place: place,
            _permit: permit,
        };
        Ok((exchange, remaining))
    }
}

/// Everybody whose limits hold for a caller's call.
fn asking(caller: &Caller) -> Asking<'_> {
    let (view, token) = (caller.view(), caller.token());
    Asking {
        token: (token.id, &token.limits),
        user: caller.user().map(|user| (user.id, &user.limits)),
        workspace: (view.workspace.id, &view.workspace.limits),
        org: (view.org.id, &view.org.limits),
    }
}

/// One call on record. Settled exactly once: by whoever relays its last byte, or else when it is dropped because the
/// client has gone.
pub struct Exchange {
    trail: Trail,
    /// Gone once it is settled.
    record: Option<Box<Record>>,
    began: Instant,
    /// Time that was the client's or the providers', not ours.
    elsewhere: Duration,
    core: Arc<CoreMeter>,
    _place: Place,
    _permit: Permit,
}

impl Exchange {
    /// The body is here; for so long the client was waited for.
    pub fn has_read(&mut self, call: &Call, waited: Duration) {
        self.elsewhere += waited;
        self.note(|record| record.delivery = call.delivery);
    }

    /// Holds the plan against what the caller may still spend. A dear plan may come back cheaper, or not at all;
    /// without a ledger there is nothing to hold it against yet.
    pub fn reserve<'a>(&mut self, plan: Plan<'a>, _call: &Call) -> Result<Plan<'a>, Refusal> {
        Ok(plan)
    }

    /// Where the attempts write themselves down.
    pub const fn trail(&mut self) -> &mut Trail {
        &mut self.trail
    }

    pub const fn trail_so_far(&self) -> &Trail {
        &self.trail
    }

    /// The attempts have ended; this long they waited for providers.
    pub fn has_waited(&mut self, waited: Duration, ended: Instant) {
        self.elsewhere += waited;
        let overhead = ended.saturating_duration_since(self.began).saturating_sub(self.elsewhere);
        self.note(|record| record.overhead = overhead);
    }

    /// Somebody has answered, and when it was certain.
    pub fn has_reply(&mut self, from: Answerer, at: Instant) {
        let first_event = at.saturating_duration_since(self.began);
        self.note(|record| {
            record.from = Some(from);
            record.first_event = Some(first_event);
        });
    }

    /// What the provider says was used. A later word stands.
    pub fn reports(&mut self, usage: Usage, basis: Basis) {
        self.note(|record| (record.usage, record.basis) = (usage, basis));
    }

    pub fn ends(&mut self, outcome: Outcome) {
        self.note(|record| record.outcome = outcome);
    }

    /// Refused after it was let in.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.note(|record| {
            record.outcome = Outcome::of_refusal(refusal);
            record.refusal = Some(refusal.row().code);
        });
    }

    /// Ready when the record is safe. Awaited before the last frame goes out; at once as long as records are kept in
    /// memory only.
    pub fn poll_settle(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        self.settle();
        Poll::Ready(())
    }

    /// What is learned after the settlement comes too late to count.
    fn note(&mut self, write: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            write(record);
        }
    }

    fn settle(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        record.trail = std::mem::take(&mut self.trail);
        record.total = self.began.elapsed();
        record.at = record.at.after(record.total);
        self.core.settled(&record);
        self.core.meter.records.push(self.core.index, record);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.settle();
    }
}
