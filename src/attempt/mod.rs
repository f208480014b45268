//! Tries a plan: the next target on failure, one retry budget, one deadline, at most a few attempts.
//!
//! Takes a plan and a call, gives a reply or the refusal that the last failure means. It must never know the client's
//! connection, nor write to it: what it gives is committed by being returned.

pub mod breaker;
pub mod budget;
pub mod client;
mod estimate;
mod gate;
mod once;
pub mod parallel;
mod places;
pub mod probe;
mod process;
mod reply;
mod request;
mod round;
pub mod sign;
mod tap;
mod translation;
mod upload;
mod window;

pub use process::Programs;
pub use reply::{Reply, ReplyBody, Rest};
pub use tap::{HearsEnd, HearsItem, Tap};

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use self::breaker::{Admission, Breakers, Permit, Shut, TargetKeys};
use self::budget::RetryBudget;
use self::client::Client;
use self::parallel::Parallel;
use self::round::Round;
use self::sign::Signer;
use crate::domain::call::Call;
use crate::domain::refusal::Refusal;
use crate::domain::trail::{Attempt, End, Spent, Trail};
use crate::hands::Hands;
use crate::resolve::{Plan, Target};
use crate::snapshot::Caller;
use crate::store::seal::Keyring;
use crate::store::state::State;

/// What the operator may set about attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub max: usize,
    /// Over all attempts, until commit.
    pub deadline: Duration,
    pub answer_limit_bytes: usize,
    /// Calls in flight to one address; one more goes to the next target.
    pub per_address: u32,
    /// What a stream may say without content before it is committed as it is.
    pub held_events: u64,
    pub held_bytes: usize,
}

/// What all cores share.
pub struct Attempts {
    pub breakers: Arc<Breakers>,
    pub parallel: Arc<Parallel>,
    pub keyring: Arc<Keyring>,
    pub programs: Programs,
    pub settings: ArcSwap<Settings>,
}

/// What one core has to itself.
pub struct Core {
    pub client: Client,
    pub signer: Signer,
    pub budget: Mutex<RetryBudget>,
}

impl Core {
    pub fn new(client: Client, budget: RetryBudget, state: State) -> Self {
        Self { client, signer: Signer::new(state), budget: Mutex::new(budget) }
    }

    /// One core writes it, so the lock is never waited for.
    fn budget<T>(&self, now: Instant, ask: impl FnOnce(&mut RetryBudget, Instant) -> T) -> T {
        ask(&mut self.budget.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

/// What one call's attempts came to, with the time its providers took.
pub struct Outcome {
    pub result: Result<Box<Reply>, Refusal>,
    pub waited: Duration,
    pub ended: Instant,
}

impl Attempts {
    /// Runs the plan. The trail gets a line for every target that was tried or skipped.
    pub async fn run(
        &self,
        core: &Core,
        hands: &Hands,
        caller: &Caller,
        plan: &Plan<'_>,
        call: &Call,
        trail: &mut Trail,
    ) -> Outcome {
        let settings = **self.settings.load();
        let run = Run { attempts: self, core, hands, caller, call, settings: &settings };
        let mut round = Round::new(&settings, call, Instant::now());
        core.budget(round.now, RetryBudget::called);
        for target in plan.targets() {
            if let Some(why) = round.skips(target) {
                trail.push(skipped(target, why));
                continue;
            }
            if round.is_over() {
                break;
            }
            match self.breakers.admit(run.keys(target), round.now) {
                // Only what really goes out is a retry; a probe's place goes back with the permit.
                Admission::Pass(_) if round.tried > 0 && !core.budget(round.now, RetryBudget::retry) => break,
                Admission::Pass(permit) => {
                    if let Some(reply) = run.once(target, permit, &mut round, trail).await {
                        return round.done(Ok(reply));
                    }
                }
                Admission::Shut(shut) => {
                    trail.push(skipped(target, shut_name(shut)));
                    round.found_shut(target, shut);
                }
            }
        }
        // Boxed, for it is rare and large, and would be moved with every call.
        Box::pin(run.last_resort(round, trail)).await
    }
}

/// What every attempt of one call needs.
struct Run<'r> {
    attempts: &'r Attempts,
    core: &'r Core,
    /// For bodies that take long to translate.
    hands: &'r Hands,
    caller: &'r Caller,
    call: &'r Call,
    settings: &'r Settings,
}

impl Run<'_> {
    /// Whose breakers a target passes.
    fn keys<'p>(&self, target: &Target<'p>) -> TargetKeys<'p> {
        TargetKeys {
            workspace: self.caller.workspace(),
            address: &target.base_url().address,
            model: target.counted_model().map(|model| &**model),
            credential: target.credential.map(|one| one.credential.saved()),
        }
    }

    /// One attempt, its end told to the breakers, the trail and the round.
    async fn once<'p>(
        &self,
        target: &'p Target<'p>,
        permit: Permit<'_>,
        round: &mut Round<'p>,
        trail: &mut Trail,
    ) -> Option<Box<Reply>> {
        let began = round.now;
        let tried = once::once(self, target, round.deadline(), began).await;
        let now = tried.as_ref().map_or_else(|_| Instant::now(), |reply| reply.at);
        round.has_tried(now, tried.as_ref().map_or_else(|failed| failed.failure.went_out(), |_| true));
        match tried {
            Ok(reply) => {
                permit.succeeded(now);
                trail.push(line(target, End::Answered { status: reply.status.as_u16() }, now - began));
                Some(reply)
            }
            Err(failed) => {
                permit.failed(&failed.failure, now);
                let spent = failed.spent.as_deref().map(|usage| {
                    let (provider, priced) = (target.provider.provider.id, target.priced());
                    Box::new(Spent { provider, usage: *usage, priced })
                });
                trail.push(Attempt { spent, ..line(target, End::Failed(failed.failure.clone()), now - began) });
                round.failed(target, failed);
                None
            }
        }
    }

    /// If breakers hold all that is left, one attempt goes to the target whose breaker closes soonest.
    async fn last_resort(&self, mut round: Round<'_>, trail: &mut Trail) -> Outcome {
        if let Some(target) = round.soonest_open()
            && let Admission::Pass(permit) = self.attempts.breakers.force(self.keys(target), round.now)
            && let Some(reply) = self.once(target, permit, &mut round, trail).await
        {
            return round.done(Ok(reply));
        }
        let result = round.last_word();
        round.done(result)
    }
}

fn line(target: &Target<'_>, end: End, took: Duration) -> Attempt {
    let (provider, model) = (target.provider.name.clone(), target.named_model());
    Attempt { provider, model, scope: target.scope(), end, took, spent: None }
}

fn skipped(target: &Target<'_>, why: &'static str) -> Attempt {
    line(target, End::Skipped(why), Duration::ZERO)
}

const fn shut_name(shut: Shut) -> &'static str {
    match shut {
        Shut::Open { .. } => "breaker open",
        Shut::Rejected { .. } => "credential rejected",
        Shut::Held { .. } => "held by Retry-After",
    }
}
