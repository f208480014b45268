//! How much a caller may ask at once and in a minute, and how much the gateway takes in all.
//!
//! Takes who asks, with the limits the snapshot has now, and the moment; gives a permit, or the refusal. Counts stand in
//! memory and are shared by all cores. All limits are checked before any is used up, so a refusal costs nothing.
//! Where several replicas share the ledger, each holds a part of a limit (`share`), which grows when a call needs more.
//! Requests in a minute are counted in a sliding window: in no 60 seconds does anybody get more than the limit. It must
//! never know what a call is about.
//!
//! An entity without limits costs nothing and is not counted; calls that were in flight before it got a limit are
//! not counted against it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::budgets::{Budgets, Grown, Lacking};
use super::minute::Minute;
use super::share::{Growth, Share};
use crate::domain::entity::{Model, Org, Token, User, Workspace};
use crate::domain::id::Id;
use crate::domain::limits::Limits;
use crate::domain::map::Map;
use crate::domain::refusal::Refusal;

/// Locks the accounts are spread over, so that cores seldom meet.
const SHARDS: usize = 16;
/// Accounts of one shard, 131,072 in all (about 65 MiB): entities with limits that are busy within one minute. Where all
/// are, a new one is refused, for forgetting another's count would lift that one's limit.
const ACCOUNTS_PER_SHARD: usize = 8_192;
/// How often a call looks again after a part has grown: twice for both limits of each of whose they are.
const TRIES: usize = 4 * 4;

/// How often a full shard is searched for idle accounts, so that a full one is not searched for every call.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What others hold of a limit may come back at any moment, so whoever is refused for it may try again soon.
const SHORT: Duration = Duration::from_secs(1);

/// Everybody whose limits hold for a call, from the narrowest to the widest.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    pub token: (Id<Token>, &'a Limits),
    pub user: Option<(Id<User>, &'a Limits)>,
    pub workspace: (Id<Workspace>, &'a Limits),
    pub org: (Id<Org>, &'a Limits),
}

#[derive(Debug)]
pub struct Limiter {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    accounts: Map<Uuid, Arc<Account>>,
    swept_at: Option<Instant>,
}

#[derive(Debug)]
struct Account {
    counts: Mutex<Counts>,
    /// Whoever asks for more: one at a time, for the next may find enough.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Counts {
    minute: Minute,
    in_flight: u32,
    /// Of the requests and of the parallel calls that several replicas share.
    shares: [Share; 2],
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Requests,
    Parallel,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Requests, Self::Parallel];

    /// As ledger and metrics call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Parallel => "parallel",
        }
    }
}

/// What stands in a call's way.
enum Stop {
    Refused(Refusal),
    /// This replica's part of a limit is too small, of whom of those who were asked.
    Lacks(usize, Kind),
}

/// The call's places among the parallel ones; dropping it frees them.
#[derive(Debug, Default)]
#[must_use = "the places are freed when the permit is dropped"]
pub struct Permit {
    accounts: [Option<Arc<Account>>; 4],
}

/// What the `x-ratelimit-*` headers say: of whoever has least left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    pub limit: u32,
    pub left: u32,
    /// Until the whole limit is there again, if nothing more is asked.
    pub reset: Duration,
}

/// One line of what is asked: who, and the limits that hold.
struct Line {
    of: &'static str,
    id: Uuid,
    account: Arc<Account>,
    per_minute: Option<u32>,
    parallel: Option<u32>,
}

type Lines = [Option<Line>; 4];
type Admission = Result<(Permit, Option<Remaining>), Refusal>;
/// Waits for a larger part of a limit.
type Growing<'a> = Pin<Box<dyn Future<Output = Admission> + Send + 'a>>;

fn permit(lines: Lines) -> Permit {
    Permit { accounts: lines.map(|line| line.map(|line| line.account)) }
}

impl Limiter {
    /// What replicas share of it, as ledger and metrics call it.
    pub(super) const PARTS: [&'static str; 2] = [Kind::Requests.name(), Kind::Parallel.name()];

    pub fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// A permit, and what is left where a limit of requests per minute holds.
    pub async fn admit(&self, asking: &Asking<'_>, now: Instant, budgets: &Budgets) -> Admission {
        let growing = match self.at_once(self.lines(asking, now)?, now, budgets) {
            Ok(admission) => return admission,
            Err(growing) => growing,
        };
        growing.await
    }

    /// Nearly every call is admitted or refused without a wait, and should not carry the room that one takes.
    fn at_once<'a>(&'a self, lines: Lines, now: Instant, budgets: &'a Budgets) -> Result<Admission, Growing<'a>> {
        match take(&lines, now, budgets.is_shared()) {
            Ok(remaining) => Ok(Ok((permit(lines), remaining))),
            Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
            Err(Stop::Lacks(..)) => Err(Box::pin(self.admitted(lines, now, budgets))),
        }
    }

    async fn admitted(&self, lines: Lines, now: Instant, budgets: &Budgets) -> Admission {
        let is_shared = budgets.is_shared();
        for _ in 0..TRIES {
            match take(&lines, now, is_shared) {
                Ok(remaining) => return Ok((permit(lines), remaining)),
                Err(Stop::Refused(refusal)) => return Err(refusal),
                Err(Stop::Lacks(at, kind)) => match &lines[at] {
                    Some(line) => line.grow(kind, now, budgets).await?,
                    None => return Err(Refusal::Internal),
                },
            }
        }
        Err(Refusal::AtCapacity("calls that want of one limit"))
    }

    /// Would there be a permit? What other replicas hold of a limit is not asked for that.
    pub fn look(&self, asking: &Asking<'_>, now: Instant) -> Result<(), Refusal> {
        match checked(&self.lines(asking, now)?, now, false).map(drop) {
            Err(Stop::Refused(refusal)) => Err(refusal),
            Ok(()) | Err(Stop::Lacks(..)) => Ok(()),
        }
    }

    /// All parts of shared limits that this replica holds, each with how much of it is in use.
    pub(super) fn each_share(&self, now: Instant, visit: &mut dyn FnMut(Uuid, &'static str, &mut Share, i64)) {
        for shard in &self.shards {
            let accounts: Vec<_> = lock(shard).accounts.iter().map(|(id, account)| (*id, account.clone())).collect();
            for (id, account) in accounts {
                let mut counts = account.counts();
                for kind in Kind::ALL {
                    let in_use = counts.in_use(kind, now);
                    visit(id, kind.name(), counts.share(kind), in_use);
                }
            }
        }
    }

    fn lines(&self, asking: &Asking<'_>, now: Instant) -> Result<Lines, Refusal> {
        Ok([
            self.line("token", asking.token.0.uuid(), asking.token.1, now)?,
            asking.user.map_or(Ok(None), |(user, limits)| self.line("user", user.uuid(), limits, now))?,
            self.line("workspace", asking.workspace.0.uuid(), asking.workspace.1, now)?,
            self.line("organisation", asking.org.0.uuid(), asking.org.1, now)?,
        ])
    }

    /// A permit of the model that a call goes to, which is known later than who asks.
    pub async fn admit_to(
        &self,
        model: Id<Model>,
        limits: &Limits,
        now: Instant,
        budgets: &Budgets,
    ) -> Result<Option<Permit>, Refusal> {
        let Some(line) = self.line("model", model.uuid(), limits, now)? else { return Ok(None) };
        let growing = match self.at_once([Some(line), None, None, None], now, budgets) {
            Ok(admission) => return admission.map(|(permit, _)| Some(permit)),
            Err(growing) => growing,
        };
        growing.await.map(|(permit, _)| Some(permit))
    }

    /// Accounts held now, for metrics.
    pub fn accounts(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).accounts.len()).sum()
    }

    fn line(&self, of: &'static str, id: Uuid, limits: &Limits, now: Instant) -> Result<Option<Line>, Refusal> {
        let (per_minute, parallel) = (limits.requests_per_minute, limits.parallel);
        if per_minute.is_none() && parallel.is_none() {
            return Ok(None);
        }
        let account = self.account(id, now)?;
        Ok(Some(Line { of, id, account, per_minute, parallel }))
    }

    fn account(&self, id: Uuid, now: Instant) -> Result<Arc<Account>, Refusal> {
        // The lower half of an id is as good as random.
        let mut shard = lock(&self.shards[id.as_u64_pair().1 as usize % SHARDS]);
        if let Some(account) = shard.accounts.get(&id) {
            return Ok(Arc::clone(account));
        }
        if shard.accounts.len() >= ACCOUNTS_PER_SHARD {
            shard.sweep(now);
        }
        if shard.accounts.len() >= ACCOUNTS_PER_SHARD {
            return Err(Refusal::AtCapacity("callers with limits in one minute"));
        }
        let account = Arc::new(Account::new(now));
        shard.accounts.insert(id, Arc::clone(&account));
        Ok(account)
    }
}

/// Takes of all lines or of none.
fn take(lines: &[Option<Line>; 4], now: Instant, is_shared: bool) -> Result<Option<Remaining>, Stop> {
    let mut counts = checked(lines, now, is_shared)?;
    let mut remaining: Option<Remaining> = None;
    for (line, counts) in lines.iter().zip(&mut counts) {
        if let (Some(line), Some(counts)) = (line, counts) {
            let left = line.take(counts, now);
            remaining = [remaining, left].into_iter().flatten().min_by_key(|remaining| remaining.left);
        }
    }
    Ok(remaining)
}

/// The counts of all lines, none of which is at its limit.
fn checked(
    lines: &[Option<Line>; 4],
    now: Instant,
    is_shared: bool,
) -> Result<[Option<MutexGuard<'_, Counts>>; 4], Stop> {
    // Always in this order, from token to org, so that two calls never wait for each other.
    let mut counts = lines.each_ref().map(|line| line.as_ref().map(|line| line.account.counts()));
    for (at, (line, counts)) in lines.iter().zip(&mut counts).enumerate() {
        if let (Some(line), Some(counts)) = (line, counts) {
            line.check(counts, now).map_err(Stop::Refused)?;
            let lacking = Kind::ALL.into_iter().find(|kind| is_shared && line.lacks(*kind, counts, now).is_some());
            lacking.map_or(Ok(()), |kind| Err(Stop::Lacks(at, kind)))?;
        }
    }
    Ok(counts)
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Shard {
    fn sweep(&mut self, now: Instant) {
        if self.swept_at.is_some_and(|last| now < last + SWEEP_EVERY) {
            return;
        }
        self.swept_at = Some(now);
        // An account that a call is about to use is held by that call too.
        self.accounts.retain(|_, account| Arc::strong_count(account) > 1 || !account.counts().is_idle(now));
    }
}

impl Account {
    fn new(now: Instant) -> Self {
        let counts = Counts { minute: Minute::new(now), in_flight: 0, shares: Default::default() };
        Self { counts: Mutex::new(counts), asking: tokio::sync::Mutex::default() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    fn is_idle(&mut self, now: Instant) -> bool {
        self.in_flight == 0 && self.minute.count(now) == 0
    }

    fn in_use(&mut self, kind: Kind, now: Instant) -> i64 {
        i64::from(match kind {
            Kind::Requests => self.minute.count(now),
            Kind::Parallel => self.in_flight,
        })
    }

    const fn share(&mut self, kind: Kind) -> &mut Share {
        &mut self.shares[kind as usize]
    }
}

impl Line {
    fn check(&self, counts: &mut Counts, now: Instant) -> Result<(), Refusal> {
        if let Some(limit) = self.parallel
            && counts.in_flight >= limit
        {
            return Err(self.refusal(Kind::Parallel, limit, Duration::ZERO));
        }
        if let Some(limit) = self.per_minute
            && counts.minute.count(now) >= limit
        {
            return Err(self.refusal(Kind::Requests, limit, counts.minute.until_below(limit, now)));
        }
        Ok(())
    }

    const fn refusal(&self, kind: Kind, limit: u32, retry_after: Duration) -> Refusal {
        match kind {
            Kind::Requests => Refusal::RateLimited { of: self.of, limit, retry_after },
            Kind::Parallel => Refusal::ParallelLimited { of: self.of, limit },
        }
    }

    const fn limit(&self, kind: Kind) -> Option<u32> {
        match kind {
            Kind::Requests => self.per_minute,
            Kind::Parallel => self.parallel,
        }
    }

    /// What this replica's part of a limit is too small by for one call more.
    fn lacks(&self, kind: Kind, counts: &mut Counts, now: Instant) -> Option<Growth> {
        let (limit, in_use) = (i64::from(self.limit(kind)?), counts.in_use(kind, now));
        counts.share(kind).lacks(limit, in_use, 1)
    }

    /// Lets this replica's part of a limit grow, or says that others hold the rest.
    async fn grow(&self, kind: Kind, now: Instant, budgets: &Budgets) -> Result<(), Refusal> {
        let limit = self.limit(kind).unwrap_or(u32::MAX);
        let lacking = Lacking { of: self.of, holder: self.id, span: kind.name(), limit: i64::from(limit), now };
        let lacks = |open: &mut dyn FnMut(&mut Share, Option<Growth>)| {
            let mut counts = self.account.counts();
            let growth = self.lacks(kind, &mut counts, now);
            open(counts.share(kind), growth);
        };
        match budgets.grow(&lacking, &self.account.asking, &lacks).await? {
            Grown::Enough => Ok(()),
            Grown::Short => Err(self.refusal(kind, limit, SHORT)),
        }
    }

    fn take(&self, counts: &mut Counts, now: Instant) -> Option<Remaining> {
        counts.in_flight = counts.in_flight.saturating_add(1);
        let (count, reset) = counts.minute.add(1, now);
        self.per_minute.map(|limit| Remaining { limit, left: limit.saturating_sub(count), reset })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for account in self.accounts.iter().flatten() {
            let mut counts = account.counts();
            counts.in_flight = counts.in_flight.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct World {
        limiter: Limiter,
        budgets: Budgets,
        start: Instant,
        token: Limits,
        user: Limits,
        workspace: Limits,
        org: Limits,
    }

    fn world() -> World {
        let limits = Limits::default;
        World {
            limiter: Limiter::new(),
            budgets: Budgets::alone(),
            start: Instant::now(),
            token: limits(),
            user: limits(),
            workspace: limits(),
            org: limits(),
        }
    }

    fn per_minute(limit: u32) -> Limits {
        Limits { requests_per_minute: Some(limit), ..Limits::default() }
    }

    fn parallel(limit: u32) -> Limits {
        Limits { parallel: Some(limit), ..Limits::default() }
    }

    impl World {
        fn asks(&self, token: &str, seconds: f64) -> Result<Permit, Refusal> {
            self.admits(token, seconds).map(|(permit, _)| permit)
        }

        fn admits(&self, token: &str, seconds: f64) -> Result<(Permit, Option<Remaining>), Refusal> {
            let asking = Asking {
                token: (Id::declared("token", token), &self.token),
                user: Some((Id::declared("user", "ann"), &self.user)),
                workspace: (Id::declared("workspace", "acme"), &self.workspace),
                org: (Id::declared("org", "acme"), &self.org),
            };
            let at = self.start + Duration::from_secs_f64(seconds);
            let admitting = std::pin::pin!(self.limiter.admit(&asking, at, &self.budgets));
            match admitting.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
                std::task::Poll::Ready(admitted) => admitted,
                std::task::Poll::Pending => panic!("nobody shares the limits"),
            }
        }
    }

    #[test]
    fn without_limits_nothing_is_counted_or_kept() {
        let world = world();
        let (_permit, remaining) = world.admits("a", 0.0).unwrap();
        assert_eq!(remaining, None);
        assert_eq!(world.limiter.accounts(), 0);
    }

    #[test]
    fn the_call_after_the_last_one_of_the_minute_hears_when_to_come_back() {
        let world = World { token: per_minute(2), ..world() };
        drop(world.asks("a", 0.0).unwrap());
        drop(world.asks("a", 20.0).unwrap());
        let refusal = world.asks("a", 30.0).unwrap_err();
        let Refusal::RateLimited { of: "token", limit: 2, retry_after } = refusal else { panic!("{refusal:?}") };
        assert_eq!(retry_after, Duration::from_secs(31), "the second the first call fell into has passed wholly then");
        drop(world.asks("a", 61.0).unwrap());
        world.asks("a", 61.0).unwrap_err();
        drop(world.asks("b", 61.0).unwrap());
    }

    #[test]
    fn a_refusal_uses_up_nothing_of_any_limit() {
        let world = World { token: per_minute(1), workspace: per_minute(3), org: parallel(3), ..world() };
        drop(world.asks("a", 0.0).unwrap());
        for _ in 0..100 {
            world.asks("a", 0.0).unwrap_err();
        }
        drop(world.asks("b", 0.0).unwrap());
        let (_third, remaining) = world.admits("c", 0.0).unwrap();
        assert_eq!(remaining.unwrap().left, 0);
        let refusal = world.asks("d", 0.0).unwrap_err();
        assert!(matches!(refusal, Refusal::RateLimited { of: "workspace", limit: 3, .. }), "{refusal:?}");
    }

    #[test]
    fn parallel_calls_are_limited_until_a_permit_is_dropped() {
        let world = World { user: parallel(2), ..world() };
        let first = world.asks("a", 0.0).unwrap();
        let second = world.asks("b", 0.0).unwrap();
        assert_eq!(world.asks("c", 0.0).unwrap_err(), Refusal::ParallelLimited { of: "user", limit: 2 });
        drop(first);
        drop(world.asks("c", 0.0).unwrap());
        drop(second);
    }

    #[test]
    fn the_headers_speak_of_whoever_has_least_left() {
        let world = World { token: per_minute(100), org: per_minute(10), ..world() };
        let remaining = world.admits("a", 0.5).unwrap().1.unwrap();
        assert_eq!((remaining.limit, remaining.left), (10, 9));
        assert!(remaining.reset > Duration::from_secs(59) && remaining.reset <= Duration::from_secs(61));
    }

    #[test]
    fn a_limit_that_a_reload_changes_holds_from_the_next_call() {
        let mut world = World { token: per_minute(1), ..world() };
        drop(world.asks("a", 0.0).unwrap());
        world.asks("a", 0.0).unwrap_err();
        world.token = per_minute(3);
        drop(world.asks("a", 0.0).unwrap());
        world.token = per_minute(0);
        let refusal = world.asks("a", 1.0).unwrap_err();
        assert!(matches!(refusal, Refusal::RateLimited { limit: 0, retry_after, .. } if !retry_after.is_zero()));
    }

    #[test]
    fn idle_accounts_make_room_and_busy_ones_are_never_forgotten() {
        let world = World { token: per_minute(1), ..world() };
        let kept: Vec<_> = (0..SHARDS * ACCOUNTS_PER_SHARD * 2)
            .filter_map(|n| world.asks(&n.to_string(), 0.0).err())
            .take(1)
            .collect();
        assert!(matches!(kept[..], [Refusal::AtCapacity(_)]));
        assert!(world.limiter.accounts() <= SHARDS * ACCOUNTS_PER_SHARD);
        world.asks("0", 1.0).unwrap_err();
        for n in 0..1_000 {
            drop(world.asks(&format!("late-{n}"), 62.0 + f64::from(n) / 1_000.0).unwrap());
        }
    }

    proptest! {
        #[test]
        fn in_no_sixty_seconds_is_more_admitted_than_the_limit(waits in prop::collection::vec(0u64..9_000, 1..200), limit in 0u32..12) {
            let world = World { workspace: per_minute(limit), ..world() };
            let (mut at, mut admitted) = (0.0, Vec::new());
            for wait in waits {
                at += wait as f64 / 1_000.0;
                match world.asks("a", at) {
                    Ok(_) => admitted.push(at),
                    Err(Refusal::RateLimited { retry_after, .. }) if limit > 0 => {
                        let then = at + retry_after.as_secs_f64();
                        let recent = admitted.iter().filter(|call| **call > then - 60.0).count();
                        prop_assert!(recent < limit as usize, "after the wait there is room");
                    }
                    Err(_) => {}
                }
            }
            for (index, call) in admitted.iter().enumerate() {
                let within = admitted[index..].iter().filter(|later| **later < call + 60.0).count();
                prop_assert!(within <= limit as usize);
            }
        }
    }
}
