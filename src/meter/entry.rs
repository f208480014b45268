//! From a settled exchange to what the ledger keeps of it: priced, and in words. Done off a call's way.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::pricing::Pricing;
use super::record::{Outcome, Record};
use crate::domain::ledger::{Entry, From, PricedBy, Tried};
use crate::domain::money::Nanodollars;
use crate::domain::protocol::Metered;
use crate::domain::trail::{Answerer, Attempt, End};
use crate::domain::usage::{Basis, Usage, units_of};

/// A record's entry.
pub(super) fn entry(record: &Record, pricing: &Pricing) -> Entry {
    let (usage, basis, priced) = charged(record, pricing);
    let (basis, cost, priced_by) = match priced {
        None if basis == Basis::Nothing => (basis, Some(Nanodollars(0)), PricedBy::Nobody),
        Some((Some(cost), by)) => (basis, Some(cost), by),
        None | Some((None, _)) => {
            pricing.missing.fetch_add(1, Ordering::Relaxed);
            (Basis::Unpriced, None, PricedBy::Nobody)
        }
    };
    let attempts: Vec<Tried> = record.trail.attempts().iter().map(|attempt| tried(attempt, record, pricing)).collect();
    let overhead = attempts.iter().filter_map(|tried| tried.cost).fold(0_i64, |sum, cost| sum.saturating_add(cost.0));
    let (run, parent_run) = match &record.run {
        Some(run) => (Some(run.name.clone()), run.parent.clone()),
        None => (None, None),
    };
    Entry {
        id: record.id,
        began_at: record.began_at,
        org: record.org,
        workspace: record.workspace,
        token: record.token,
        user: record.asserted.clone().or_else(|| record.user.map(|user| user.to_string().into())),
        run,
        parent_run,
        protocol: record.protocol.name().into(),
        operation: record.operation.name().into(),
        delivery: record.delivery.name().into(),
        from: record.from.as_ref().map(|from| From {
            provider: from.provider.clone(),
            provider_id: from.provider_id,
            model: from.model.clone(),
            scope: from.scope.map(|scope| scope.name().into()),
            credential: from.credential,
        }),
        outcome: record.outcome.name().into(),
        refusal: record.refusal.map(Into::into),
        usage,
        basis,
        cost,
        priced_by,
        overhead_cost: Nanodollars(overhead),
        attempts,
        first_event_us: record.first_event.map(micros),
        total_us: micros(record.total),
        own_us: micros(record.overhead),
    }
}

/// What was used, how that is known, and what it costs.
pub(super) fn charged(record: &Record, pricing: &Pricing) -> (Usage, Basis, Option<(Option<Nanodollars>, PricedBy)>) {
    let (usage, basis) = used(record);
    let from = record.from.as_ref().filter(|_| basis != Basis::Nothing);
    let cost = |from: &Answerer| pricing.cost(&from.priced, (from.provider_id, &from.model), record.began_at, &usage);
    (usage, basis, from.map(cost))
}

/// What was used, and how that is known. Where nobody said, it is reckoned from what went by.
fn used(record: &Record) -> (Usage, Basis) {
    if record.basis == Basis::Reported || record.basis == Basis::Partial {
        return (record.usage, record.basis);
    }
    // A provider's refusal costs nothing, nor does a call that reached none.
    let was_answered = matches!(record.outcome, Outcome::Served | Outcome::CutOff | Outcome::ClientLeft);
    match record.operation.metered() {
        _ if record.from.is_none() || !was_answered => (Usage::default(), Basis::Nothing),
        Metered::Nothing => (Usage::default(), Basis::Nothing),
        Metered::Text => {
            let output = record.usage.output.max(units_of(record.answered_bytes));
            (Usage { input: units_of(record.asked_bytes), output, ..Usage::default() }, Basis::Estimated)
        }
        Metered::Media => {
            let flat =
                record.from.as_ref().and_then(|from| from.priced.stated.as_ref()?.at(record.began_at)?.per_request);
            // Priced by the call, its amounts need not be known.
            (Usage::default(), if flat.is_some() { Basis::Reported } else { Basis::Unpriced })
        }
    }
}

fn tried(attempt: &Attempt, record: &Record, pricing: &Pricing) -> Tried {
    let (end, status, why) = match &attempt.end {
        End::Answered { status } => ("answered", Some(*status), None),
        End::Failed(failure) => (failure.name(), None, None),
        End::Skipped(why) => ("skipped", None, Some((*why).into())),
    };
    let spent = attempt.spent.as_ref();
    Tried {
        provider: attempt.provider.clone(),
        model: attempt.model.clone(),
        scope: attempt.scope.map(|scope| scope.name().into()),
        end: end.into(),
        status,
        why,
        took_us: micros(attempt.took),
        usage: spent.map(|spent| spent.usage),
        cost: spent.and_then(|spent| {
            let subject = (spent.provider, &*attempt.model);
            pricing.cost(&spent.priced, subject, record.began_at, &spent.usage).0
        }),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
