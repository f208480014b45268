//! What every call owes and leaves behind: admission, reservation, settlement, exactly once each.
//!
//! Takes callers, calls and what came of them; gives permits, refusals and one record per exchange. It must never know
//! how a provider was reached, nor hold a client up.

pub mod budgets;
pub mod capacity;
mod entry;
mod ids;
pub mod journal;
pub mod limit;
mod line;
mod minute;
pub mod pricing;
mod record;
mod records;
mod runs;
mod share;
mod tally;

pub use line::{LineFormat, write_line};
pub use record::{Outcome, Record};
pub use records::{Records, Settled};
pub use runs::Runs;
pub use tally::{CoreMeter, Families};

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use self::budgets::{Budgets, Length, Reservation, RunReservation};
use self::capacity::{Capacity, Place};
use self::limit::{Asking, Limiter, Permit, Remaining};
use self::pricing::Pricing;
use self::records::Ticket;
use crate::domain::call::Call;
use crate::domain::money::Nanodollars;
use crate::domain::protocol::{Operation, Protocol};
use crate::domain::refusal::Refusal;
use crate::domain::run::Run;
use crate::domain::time::Timestamp;
use crate::domain::trail::{Answerer, Trail};
use crate::domain::usage::{Basis, Usage};
use crate::resolve::{Plan, Target};
use crate::snapshot::Caller;
use crate::store::ledger::Away;

/// What to do about a model that has no price.
const UNPRICED_REMEDY: &str = "its provider's admin can state its prices";

/// What all cores share.
pub struct Meter {
    pub limiter: Limiter,
    pub capacity: Arc<Capacity>,
    pub records: Records,
    pub pricing: Pricing,
    pub runs: Runs,
    pub budgets: Budgets,
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
    /// Never ends by itself: on this core's own thread, lets answers go whose exchanges are written down.
    pub async fn lets_go(&self) {
        self.meter.records.cry(self.index).await;
    }

    /// Lets a call in, before a byte of its body is read. From here on it is on record. Beside it: what is left of the
    /// caller's requests in this minute, where a limit holds.
    pub async fn admit(
        self: &Arc<Self>,
        caller: &Caller,
        opening: Opening,
    ) -> Result<(Exchange, Option<Remaining>), Refusal> {
        let place = self.meter.capacity.enter(caller.workspace())?;
        let (permit, remaining) = self.meter.limiter.admit(&asking(caller), opening.began, &self.meter.budgets).await?;
        // The last of what can refuse, for its place goes back with the record.
        self.meter.records.admit(self.index)?;
        let exchange = Exchange {
            trail: Trail::default(),
            record: Some(Box::write(Box::new_uninit(), Record::opened(caller, opening))),
            began: opening.began,
            elsewhere: Duration::ZERO,
            ticket: None,
            bill: None,
            held: None,
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

/// Without the targets whose price nobody knows.
fn priced(plan: Plan<'_>, at: Timestamp) -> Result<Plan<'_>, Refusal> {
    let model = plan.first().model_id.to_string();
    let is_priced = |target: &Target<'_>| pricing::is_known(&target.priced(), target.model_id, at);
    plan.retain(is_priced).ok_or(Refusal::ModelUnpriced { model, remedy: UNPRICED_REMEDY })
}

impl Meter {
    /// Would this caller's call be let in now, as far as that is a matter of rates?
    pub fn admits(&self, caller: &Caller, now: Instant) -> Result<(), Refusal> {
        self.limiter.look(&asking(caller), now)
    }

    /// Tells other replicas what was spent of leases, and gives back what is not needed of them.
    pub async fn report_leases(&self) -> Result<(), Away> {
        self.budgets.report(&self.limiter).await
    }

    /// Gives all leases back, once no call can settle any more.
    pub async fn end_leases(&self) -> Result<(), Away> {
        self.budgets.end_leases(&self.limiter).await
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
    /// Settled, and the record is not written yet.
    ticket: Option<Ticket>,
    /// Whoever asked wants to know what it came to.
    bill: Option<Bill>,
    /// Where the plan's model or the callers' budgets have limits.
    held: Option<Box<Held>>,
    core: Arc<CoreMeter>,
    _place: Place,
    _permit: Permit,
}

/// What an exchange came to, once it is settled. Nobody may know what it costs.
#[derive(Clone, Debug, Default)]
pub struct Bill(Arc<OnceLock<Option<Nanodollars>>>);

impl Bill {
    pub fn cost(&self) -> Option<Nanodollars> {
        self.0.get().copied().flatten()
    }
}

/// What a call holds besides its place.
struct Held {
    _of_model: Option<Permit>,
    reserved: Option<Reservation>,
    of_runs: Option<RunReservation>,
}

impl Exchange {
    /// The body is here; for so long the client was waited for.
    pub fn has_read(&mut self, call: &Call, waited: Duration) {
        self.elsewhere += waited;
        self.note(|record| {
            record.delivery = call.delivery;
            record.run = call.run.clone();
            record.asked_bytes = call.body.length();
        });
    }

    /// Holds the plan against what the caller may still spend. A dear plan may come back cheaper, or not at all: now it
    /// loses the targets whose price nobody knows, where those are refused.
    pub async fn reserve<'a>(&mut self, plan: Plan<'a>, caller: &Caller, call: &Call) -> Result<Plan<'a>, Refusal> {
        let Self { core, record: Some(record), held, began, .. } = self else { return Ok(plan) };
        let (meter, at) = (&core.meter, record.began_at);
        if let Some(run) = &call.run
            && let Err(refusal) = meter.runs.enter(record.workspace, run)
        {
            // What is not believed is not written down either.
            record.run = Some(Run { name: run.name.clone(), parent: None });
            return Err(refusal);
        }
        let plan = match meter.pricing.blocks() {
            true => priced(plan, at)?,
            false => plan,
        };
        // A plan's first target stands for its model; whoever takes over for it is not held up by limits as well.
        let of_model = match plan.first().model {
            Some(entry) => meter.limiter.admit_to(entry.model.id, &entry.model.limits, *began, &meter.budgets).await?,
            None => None,
        };
        let length = Length::from(call);
        let of_runs = match &call.run {
            Some(run) => {
                let runs = (caller, run, &meter.runs);
                Box::pin(meter.budgets.guard(runs, &length, &plan, &meter.pricing, (at, *began))).await?
            }
            None => None,
        };
        let (plan, reserved) = meter.budgets.reserve(caller, &length, plan, &meter.pricing, (at, *began)).await?;
        if of_model.is_some() || reserved.is_some() || of_runs.is_some() {
            *held = Some(Box::new(Held { _of_model: of_model, reserved, of_runs }));
        }
        Ok(plan)
    }

    /// To be filled in when it is settled.
    pub fn bills(&mut self, bill: Bill) {
        self.bill = Some(bill);
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

    /// Nobody says what a whole answer of this length used.
    pub fn reckons_by(&mut self, answered_bytes: usize) {
        self.note(|record| record.answered_bytes = answered_bytes as u64);
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

    /// Ready when the record is safe, or late. Awaited before the last frame goes out; at once where there is no journal.
    pub fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(record) = self.settled() {
            self.ticket = self.core.meter.records.push(self.core.index, record, Some(cx.waker()));
            return if self.ticket.is_some() { Poll::Pending } else { Poll::Ready(()) };
        }
        let Some(ticket) = self.ticket else { return Poll::Ready(()) };
        let written = self.core.meter.records.poll_written(self.core.index, ticket, cx);
        if written.is_ready() {
            self.ticket = None;
        }
        written
    }

    /// What is learned after the settlement comes too late to count.
    fn note(&mut self, write: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            write(record);
        }
    }

    /// The whole record, once.
    fn settled(&mut self) -> Option<Box<Record>> {
        let mut record = self.record.take()?;
        record.trail = std::mem::take(&mut self.trail);
        record.total = self.began.elapsed();
        record.at = record.at.after(record.total);
        self.core.settled(&record);
        self.charge(&record);
        Some(record)
    }
}

impl Exchange {
    /// Tells what it came to whoever counts on it.
    fn charge(&mut self, record: &Record) {
        let (bill, held) = (self.bill.take(), self.held.as_mut());
        let (reserved, of_runs) = held.map_or((None, None), |held| (held.reserved.take(), held.of_runs.take()));
        if bill.is_none() && reserved.is_none() && of_runs.is_none() {
            return;
        }
        let (usage, basis, priced) = entry::charged(record, &self.core.meter.pricing);
        let cost = match basis {
            Basis::Nothing => Some(Nanodollars(0)),
            _ => priced.and_then(|(cost, _)| cost),
        };
        if let Some(reserved) = reserved {
            reserved.settle(&usage, cost);
        }
        if let Some(of_runs) = of_runs {
            of_runs.settle(cost);
        }
        if let Some(Bill(bill)) = bill {
            let _ = bill.set(cost);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(record) = self.settled() {
            self.core.meter.records.push(self.core.index, record, None);
        }
    }
}
