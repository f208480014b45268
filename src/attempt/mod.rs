//! Tries a plan: the next target on failure, one retry budget, one deadline, at most a few attempts.
//!
//! Takes a plan and a call, gives a reply or the refusal that the last failure means. It must never know the client's
//! connection, nor write to it: what it gives is committed by being returned.

pub mod breaker;
pub mod budget;
pub mod client;
mod gate;
mod once;
pub mod parallel;
mod reply;
mod request;
mod round;
pub mod sign;

pub use reply::{Reply, ReplyBody, Rest};

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use self::breaker::{Admission, Breakers};
use self::budget::RetryBudget;
use self::client::Client;
use self::once::Failed;
use self::parallel::Parallel;
use self::round::Round;
use self::sign::Signer;
use crate::domain::call::Call;
use crate::domain::failure::Failure;
use crate::domain::refusal::Refusal;
use crate::domain::trail::{Attempt, End, Trail};
use crate::resolve::{Plan, Target};
use crate::snapshot::Caller;
use crate::store::Keyring;

/// What the operator may set about attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub max: usize,
    /// Over all attempts, until commit.
    pub deadline: Duration,
    /// Between two events of a stream, or two pieces of a whole answer.
    pub idle: Duration,
    pub answer_limit_bytes: usize,
    /// How long a full provider or credential is waited for.
    pub parallel_wait: Duration,
}

/// What all cores share.
pub struct Attempts {
    pub breakers: Arc<Breakers>,
    pub budget: RetryBudget,
    pub parallel: Parallel,
    pub keyring: ArcSwap<Keyring>,
    pub settings: ArcSwap<Settings>,
}

/// What one core has to itself.
pub struct Core {
    pub index: usize,
    pub client: Client,
    pub signer: Signer,
}

/// One call's attempts, with the time its upstreams took.
pub struct Outcome {
    pub result: Result<Reply, Refusal>,
    pub waited: Duration,
}

impl Attempts {
    /// Runs the plan. The trail gets a line for every target that was tried or skipped.
    pub async fn run(&self, core: &Core, caller: &Caller, plan: &Plan, call: &Call, trail: &mut Trail) -> Outcome {
        let settings = self.settings.load_full();
        let started = Instant::now();
        let mut round = Round::new(&settings, call, started);
        self.budget.call(started);
        for target in plan.targets() {
            if let Some(why) = round.skips(target) {
                trail.push(skipped(target, why));
                continue;
            }
            if round.is_over(Instant::now()) || (round.tried > 0 && !self.budget.retry(Instant::now())) {
                break;
            }
            let pass = match self.breakers.admit(&breaker::TargetKeys::of(caller, target), Instant::now()) {
                Admission::Pass(pass) => pass,
                Admission::Open { until } => {
                    round.found_open(target, until);
                    trail.push(skipped(target, "open"));
                    continue;
                }
                Admission::Held { until } => {
                    round.found_held(target, until);
                    trail.push(skipped(target, "held"));
                    continue;
                }
            };
            match self.tried(core, target, call, &mut round, pass, trail).await {
                Ok(reply) => return round.done(Ok(reply)),
                Err(()) if round.is_stopped() => break,
                Err(()) => {}
            }
        }
        self.last_resort(core, caller, call, round, trail).await
    }

    /// If breakers hold all that is left, one attempt goes to the target whose breaker closes soonest.
    async fn last_resort(&self, core: &Core, caller: &Caller, call: &Call, mut round: Round<'_>, trail: &mut Trail) -> Outcome {
        if let Some(target) = round.soonest_open() {
            let pass = self.breakers.force(&breaker::TargetKeys::of(caller, target));
            if let Ok(reply) = self.tried(core, target, call, &mut round, pass, trail).await {
                return round.done(Ok(reply));
            }
        }
        let refusal = round.refusal(Instant::now());
        round.done(refusal)
    }

    /// One attempt, its end told to the breakers, the trail and the round.
    async fn tried<'p>(
        &self,
        core: &Core,
        target: &'p Target,
        call: &Call,
        round: &mut Round<'p>,
        pass: breaker::Pass,
        trail: &mut Trail,
    ) -> Result<Reply, ()> {
        let began = Instant::now();
        let tried = once::once(self, core, target, call, round.deadline()).await;
        let now = Instant::now();
        round.waited += now - began;
        round.tried += 1;
        match tried {
            Ok(reply) => {
                pass.succeeded(now);
                let status = reply.status.as_u16();
                trail.push(line(target, End::Answered { status }, now - began));
                Ok(reply)
            }
            Err(failed) => {
                pass.failed(&failed.failure, now);
                trail.push(line(target, End::Failed(failed.failure.clone()), now - began));
                round.failed(target, failed);
                Err(())
            }
        }
    }
}

fn line(target: &Target, end: End, took: Duration) -> Attempt {
    let scope = target.credential.as_ref().map(|one| one.scope());
    Attempt { provider: target.provider.name.clone(), model: target.model_id.clone(), scope, end, took }
}

fn skipped(target: &Target, why: &'static str) -> Attempt {
    line(target, End::Skipped(why), Duration::ZERO)
}
