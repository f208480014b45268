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
    pub records: Arc<Records>,
}

/// A call as it is known before its body is read.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    pub id: Uuid,
    pub protocol: Protocol,
    pub operation: Operation,
    pub began: Instant,
}

impl Meter {
    /// Lets a call in, before a byte of its body is read. From here on it is on record.
    pub fn admit(&self, core: &Arc<CoreMeter>, caller: &Caller, opening: Opening) -> Result<Exchange, Refusal> {
        let place = self.capacity.enter(caller.workspace())?;
        let permit = self.limiter.admit(&asking(caller), opening.began)?;
        Ok(Exchange {
            id: opening.id,
            trail: Trail::default(),
            record: Some(Box::new(Record::opened(caller, opening))),
            began: opening.began,
            elsewhere: Duration::ZERO,
            core: core.clone(),
            records: self.records.clone(),
            _place: place,
            permit,
        })
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
    id: Uuid,
    trail: Trail,
    /// Gone once it is settled.
    record: Option<Box<Record>>,
    began: Instant,
    /// Time that was the client's or the providers', not ours.
    elsewhere: Duration,
    core: Arc<CoreMeter>,
    records: Arc<Records>,
    _place: Place,
    permit: Permit,
}

impl Exchange {
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// What is left of the caller's requests in this minute, where a limit holds.
    pub const fn remaining(&self) -> Option<Remaining> {
        self.permit.remaining()
    }

    /// The body is here; how long it took was the client's doing.
    pub fn has_read(&mut self, call: &Call, took: Duration) {
        self.elsewhere += took;
        self.note(|record| record.delivery = call.delivery);
    }

    /// Holds the plan against what the caller may still spend. A dear plan may come back cheaper, or not at all;
    /// without a ledger there is nothing to hold it against yet.
    pub fn reserve(&mut self, plan: Plan, _call: &Call) -> Result<Plan, Refusal> {
        Ok(plan)
    }

    /// Where the attempts write themselves down.
    pub const fn trail(&mut self) -> &mut Trail {
        &mut self.trail
    }

    pub const fn trail_so_far(&self) -> &Trail {
        &self.trail
    }

    /// The attempts are over; this long they waited for providers.
    pub fn has_waited(&mut self, waited: Duration) {
        self.elsewhere += waited;
        let overhead = self.began.elapsed().saturating_sub(self.elsewhere);
        self.note(|record| record.overhead = overhead);
    }

    pub fn has_reply(&mut self, from: &Answerer) {
        let first_event = self.began.elapsed();
        self.note(|record| {
            record.from = Some(from.clone());
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
        record.at = Timestamp::now();
        self.core.settled(&record);
        self.records.push(self.core.index, record);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.settle();
    }
}
