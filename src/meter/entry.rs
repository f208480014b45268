//! From a settled exchange to what the ledger keeps of it: priced, and in words. Done off a call's way.

use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::fmt::Hyphenated;

use super::pricing::Pricing;
use super::record::{Outcome, Record};
use crate::domain::entity::Scope;
use crate::domain::ledger::{Entry, From, PricedBy, Tried};
use crate::domain::money::Nanodollars;
use crate::domain::protocol::Metered;
use crate::domain::trail::{Answerer, Attempt, End};
use crate::domain::usage::{Basis, Usage, units_of};

/// Units of one bucket of one exchange. No model reads or writes a thousandth of it; a provider that says more is wrong, and
/// must not carry everybody's sums beyond what a column holds.
const UNITS_MAX: u64 = 10_000_000_000;

/// What one exchange may cost: ten thousand dollars. Beyond it nothing is believed.
const COST_MAX: i64 = 10_000 * 1_000_000_000;

/// Where a user's id is written out.
pub(super) type UserText = [u8; Hyphenated::LENGTH];
pub(super) const NOBODY: UserText = [0; Hyphenated::LENGTH];

/// A record's entry. What it says in words stands in the record and in `user`.
pub(super) fn entry<'r>(record: &'r Record, pricing: &Pricing, user: &'r mut UserText) -> Entry<'r> {
    let (usage, basis, priced) = charged(record, pricing);
    let (basis, cost, priced_by) = match priced {
        None if basis == Basis::Nothing => (basis, Some(Nanodollars(0)), PricedBy::Nobody),
        Some((Some(cost), by)) => (basis, Some(cost), by),
        None | Some((None, _)) => {
            pricing.missing.fetch_add(1, Ordering::Relaxed);
            (Basis::Unpriced, None, PricedBy::Nobody)
        }
    };
    let attempts: Vec<Tried<'_>> =
        record.trail.attempts().iter().map(|attempt| tried(attempt, record, pricing)).collect();
    let overhead = attempts.iter().filter_map(|tried| tried.cost).fold(0_i64, |sum, cost| sum.saturating_add(cost.0));
    let by_id = |user: &'r mut UserText| Some(&*record.user?.uuid().hyphenated().encode_lower(user));
    Entry {
        id: record.id,
        began_at: record.began_at,
        org: record.org,
        workspace: record.workspace,
        token: record.token,
        user: record.asserted.as_deref().or_else(|| by_id(user)),
        run: record.run.as_ref().map(|run| &*run.name),
        parent_run: record.run.as_ref().and_then(|run| run.parent.as_deref()),
        protocol: record.protocol.name(),
        operation: record.operation.name(),
        delivery: record.delivery.name(),
        from: record.from.as_ref().map(|from| From {
            provider: &from.provider,
            provider_id: from.provider_id,
            model: &from.model,
            scope: from.scope.map(Scope::name),
            credential: from.credential,
        }),
        outcome: record.outcome.name(),
        refusal: record.refusal,
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
    let usage = believable(usage);
    let from = record.from.as_ref().filter(|_| basis != Basis::Nothing);
    let cost = |from: &Answerer| {
        let (cost, by) = pricing.cost(&from.priced, (from.provider_id, &from.model), record.began_at, &usage);
        (cost.filter(|cost| is_believable(*cost)), by)
    };
    (usage, basis, from.map(cost))
}

/// What was used, and how that is known. Where nobody said, it is reckoned from what went by.
fn used(record: &Record) -> (Usage, Basis) {
    let metered = record.operation.metered();
    // What counts a text's tokens answers with a number of them, and has used none.
    if metered != Metered::Nothing && matches!(record.basis, Basis::Reported | Basis::Partial) {
        return (record.usage, record.basis);
    }
    // A provider's refusal costs nothing, nor does a call that reached none.
    let was_answered = matches!(record.outcome, Outcome::Served | Outcome::CutOff | Outcome::ClientLeft);
    match metered {
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

fn believable(usage: Usage) -> Usage {
    let units = |units: u64| units.min(UNITS_MAX);
    Usage {
        input: units(usage.input),
        cache_read: units(usage.cache_read),
        cache_write_5m: units(usage.cache_write_5m),
        cache_write_1h: units(usage.cache_write_1h),
        output: units(usage.output),
        reasoning: units(usage.reasoning),
        audio_input: units(usage.audio_input),
        audio_output: units(usage.audio_output),
        cost: usage.cost.filter(|cost| is_believable(*cost)),
    }
}

fn is_believable(cost: Nanodollars) -> bool {
    (0..=COST_MAX).contains(&cost.0)
}

fn tried<'r>(attempt: &'r Attempt, record: &Record, pricing: &Pricing) -> Tried<'r> {
    let (end, status, why) = match &attempt.end {
        End::Answered { status } => ("answered", Some(*status), None),
        End::Failed(failure) => (failure.name(), None, None),
        End::Skipped(why) => ("skipped", None, Some(*why)),
    };
    let spent = attempt.spent.as_ref().map(|spent| (spent, believable(spent.usage)));
    Tried {
        provider: &attempt.provider,
        model: &attempt.model,
        scope: attempt.scope.map(Scope::name),
        end,
        status,
        why,
        took_us: micros(attempt.took),
        usage: spent.map(|(_, usage)| usage),
        cost: spent.and_then(|(spent, usage)| {
            let subject = (spent.provider, &*attempt.model);
            let cost = pricing.cost(&spent.priced, subject, record.began_at, &usage).0;
            cost.filter(|cost| is_believable(*cost))
        }),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::pricing::tests::{pricing, stated};
    use super::super::record::tests::record;
    use super::*;
    use crate::domain::prices::Unpriced;
    use crate::domain::protocol::Operation;

    fn booked(record: &Record) -> Entry<'_> {
        entry(record, &pricing(Unpriced::Allow), Box::leak(Box::new(NOBODY)))
    }

    /// A served call that used this, at a dollar a million.
    fn served(usage: Usage) -> Record {
        let mut record = record();
        (record.outcome, record.usage, record.basis) = (Outcome::Served, usage, Basis::Reported);
        if let Some(from) = &mut record.from {
            from.priced = stated("1");
        }
        record
    }

    #[test]
    fn what_no_call_can_have_used_or_cost_is_not_believed() {
        let wild = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        let wild = served(wild);
        let wild = booked(&wild);
        assert_eq!((wild.usage.input, wild.usage.output), (UNITS_MAX, UNITS_MAX));
        assert_eq!((wild.basis, wild.cost), (Basis::Unpriced, None), "twenty thousand dollars");
        let said = served(Usage { input: 1_000_000, cost: Some(Nanodollars(i64::MAX)), ..Usage::default() });
        let said = booked(&said);
        assert_eq!((said.cost, said.priced_by), (Some(Nanodollars(1_000_000_000)), PricedBy::Stated));
    }

    #[test]
    fn to_count_tokens_costs_nothing_whatever_number_is_the_answer() {
        let mut counting = record();
        (counting.outcome, counting.operation) = (Outcome::Served, Operation::CountTokens);
        (counting.usage, counting.basis) = (Usage { input: 2_095, ..Usage::default() }, Basis::Reported);
        let booked = booked(&counting);
        assert_eq!((booked.basis, booked.cost, booked.usage), (Basis::Nothing, Some(Nanodollars(0)), Usage::default()));
    }

    #[test]
    fn what_was_refused_used_nothing_and_costs_nothing() {
        let mut refused = record();
        (refused.from, refused.outcome) = (None, Outcome::Refused);
        (refused.basis, refused.usage) = (Basis::Nothing, Usage::default());
        let booked = booked(&refused);
        assert_eq!((booked.basis, booked.cost, booked.usage), (Basis::Nothing, Some(Nanodollars(0)), Usage::default()));
    }
}
