//! Which targets are worth trying now: the breakers of addresses, models and credentials, shared by all cores.
//!
//! Takes what a target is made of and the moment; gives a permit, or until when the target is shut. The permit takes the
//! outcome; dropped without one (the client left) it says nothing and frees the probe's place. A failure counts twice:
//! for the workspace that saw it, and for everybody, where two workspaces must have seen it. While nothing has failed
//! lately there are no entries, and asking costs one load of one number. It must never know how a call is made.

mod circuit;
mod entry;
mod key;

pub use circuit::Phase;
pub use key::{Key, TargetKeys};

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::domain::entity::{SavedCredential, Workspace};
use crate::domain::failure::Failure;
use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::store::state::{CredentialState, State};
use circuit::{By, Ticket};
use entry::Entry;
use key::{Subject, Verdict};

/// Locks the entries are spread over, so that cores seldom meet.
const SHARDS: usize = 64;
/// Entries of one shard, 4,096 in all: more addresses, models and credentials than fail at once where people look after
/// them. The one that was untouched longest makes room, closed ones first.
const ENTRIES_PER_SHARD: usize = 64;
/// How often entries that hold nothing any more are looked for, while there are entries at all.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// The longest hold that `Retry-After` may ask for; only there so that no sum overflows.
const LONGEST_HOLD: Duration = Duration::from_secs(365 * 24 * 3_600);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row that open a breaker.
    pub failures: u32,
    /// How long it stays open at most; up to a tenth less.
    pub open_for: Duration,
    /// The recent past in which a share of failing calls opens it too.
    pub window: Duration,
    /// Fewer calls than this in the window say nothing.
    pub least_calls: u32,
    pub failing_percent: u32,
}

impl Settings {
    pub const DEFAULT: Self = Self {
        failures: 3,
        open_for: Duration::from_secs(300),
        window: Duration::from_secs(10),
        least_calls: 20,
        failing_percent: 50,
    };
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[derive(Debug)]
pub struct Breakers {
    settings: ArcSwap<Settings>,
    shards: [Mutex<Vec<Entry>>; SHARDS],
    /// Entries in all shards. Zero is the healthy case, and the only thing it reads.
    entries: AtomicUsize,
    /// Seeded at start, so that replicas draw different jitter.
    hasher: RandomState,
    tickets: AtomicU64,
    began: Instant,
    /// Milliseconds after `began`.
    swept_at: AtomicU64,
    /// Where it is noted how credentials fare, for display and for the next start.
    state: Option<State>,
}

/// May the target be tried?
#[derive(Debug)]
pub enum Admission<'a> {
    Pass(Permit<'a>),
    Shut(Shut),
}

/// Why not, from the mildest to the strictest, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shut {
    /// A breaker is open. If nothing else is left, one attempt may be forced at the target that closes soonest.
    Open { until: Instant },
    /// The provider refused the credential; until then it is not shown again.
    Rejected { until: Instant },
    /// The provider said when to come back.
    Held { until: Instant },
}

impl Shut {
    pub const fn until(self) -> Instant {
        match self {
            Self::Open { until } | Self::Rejected { until } | Self::Held { until } => until,
        }
    }
}

/// Takes the outcome of one attempt.
#[derive(Debug)]
#[must_use = "an outcome that is not noted trips nothing and heals nothing"]
pub struct Permit<'a> {
    breakers: &'a Breakers,
    keys: TargetKeys<'a>,
    by: By,
    /// Does it hold a probe's place somewhere?
    probing: bool,
}

/// One breaker or hold, for metrics and health displays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub key: Key,
    /// `None` is the shared one.
    pub workspace: Option<Id<Workspace>>,
    pub phase: Phase,
    pub rejected: bool,
    /// When it probes next; for a hold, when it ends.
    pub until: Option<Instant>,
    pub held: bool,
}

impl Breakers {
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            shards: std::array::from_fn(|_| Mutex::default()),
            entries: AtomicUsize::new(0),
            hasher: RandomState::new(),
            tickets: AtomicU64::new(1),
            began: now,
            swept_at: AtomicU64::new(0),
            state: None,
        }
    }

    /// Notes in the state how credentials fare.
    #[must_use]
    pub fn noting(self, state: State) -> Self {
        Self { state: Some(state), ..self }
    }

    /// From the next decision on. What is open stays open as long as it was told to.
    pub fn set(&self, settings: Settings) {
        self.settings.store(settings.into());
    }

    pub fn admit<'a>(&'a self, keys: TargetKeys<'a>, now: Instant) -> Admission<'a> {
        if self.nothing_failed() {
            return Admission::Pass(self.permit(keys, 0));
        }
        self.sweep(now);
        let mut permit = self.permit(keys, self.tickets.fetch_add(1, Ordering::Relaxed));
        let mut shut: Option<Shut> = None;
        for subject in keys.subjects().into_iter().flatten() {
            let answer = self.find(subject, |entry| entry.admit(keys.workspace, permit.by.ticket, now));
            match answer {
                Some(entry::Answer::Shut(why)) => shut = shut.max(Some(why)),
                Some(entry::Answer::Probe) => permit.probing = true,
                Some(entry::Answer::Pass) | None => {}
            }
        }
        // Where one is shut, dropping the permit gives back the probe's places it took at the others.
        match shut {
            None => Admission::Pass(permit),
            Some(why) => Admission::Shut(why),
        }
    }

    /// One attempt although a breaker is open, because every target's is. A held or rejected credential stays shut.
    pub fn force<'a>(&'a self, keys: TargetKeys<'a>, now: Instant) -> Admission<'a> {
        let mut permit = self.permit(keys, 0);
        permit.by.forced = true;
        if self.nothing_failed() {
            return Admission::Pass(permit);
        }
        let barred = |subject| self.find(subject, |entry| entry.bars_even_the_last(now)).flatten();
        match keys.subjects().into_iter().flatten().filter_map(barred).max() {
            None => Admission::Pass(permit),
            Some(why) => Admission::Shut(why),
        }
    }

    /// Takes up what was known before a restart: a credential was rejected so long ago. Its breaker is open for what is
    /// left of its time, and then one call probes.
    pub fn was_rejected(&self, credential: SavedCredential, ago: Duration, now: Instant) {
        let until = now + self.settings.load().open_for.saturating_sub(ago);
        self.find_or_add(Subject::Credential(credential), now, |entry| entry.was_rejected(until));
    }

    /// A test outside of any call showed how a credential fares: it works, so nothing is held against it any more, or not.
    pub fn tested(&self, credential: SavedCredential, failure: Option<&Failure>, now: Instant) {
        match failure {
            None => {
                self.note_success(Some(credential));
                self.forget(credential);
            }
            Some(failure) => {
                self.note_failure(Some(credential), failure);
                if *failure == (Failure::CredentialRefused { status: 401 }) {
                    self.was_rejected(credential, Duration::ZERO, now);
                }
            }
        }
    }

    fn forget(&self, credential: SavedCredential) {
        let subject = Subject::Credential(credential);
        let hash = self.hasher.hash_one(subject);
        self.keep(&mut self.shard(hash), |entry| !entry.is(hash, subject));
    }

    /// All that is not as if it had never failed.
    pub fn standings(&self, now: Instant) -> Vec<Standing> {
        let mut standings = Vec::new();
        for shard in &self.shards {
            lock(shard).iter().for_each(|entry| entry.standings(now, &mut standings));
        }
        standings
    }

    fn note_success(&self, credential: Option<SavedCredential>) {
        let troubled = self.state.as_ref().filter(|state| !state.all_is_well());
        if let (Some(state), Some(credential)) = (troubled, credential) {
            state.note(credential, CredentialState::Ok);
        }
    }

    fn note_failure(&self, credential: Option<SavedCredential>, failure: &Failure) {
        let (Some(state), Some(credential)) = (&self.state, credential) else { return };
        let at = Timestamp::now();
        match failure {
            // A 403 may be about this call alone; a 401 says that the key is not known.
            Failure::CredentialRefused { status: 401 } => state.note(credential, CredentialState::Rejected { at }),
            Failure::QuotaExhausted { .. } => state.note(credential, CredentialState::QuotaExhausted { at }),
            _ => {}
        }
    }

    fn nothing_failed(&self) -> bool {
        self.entries.load(Ordering::Relaxed) == 0
    }

    fn permit<'a>(&'a self, keys: TargetKeys<'a>, ticket: Ticket) -> Permit<'a> {
        let by = By { workspace: keys.workspace, ticket, forced: false };
        Permit { breakers: self, keys, by, probing: false }
    }

    fn note(&self, subject: Subject<'_>, by: By, verdict: Verdict, now: Instant) {
        let settings = self.settings.load();
        match verdict {
            Verdict::Good => self.change(subject, now, |entry| entry.succeeded(by, &settings, now)),
            Verdict::Nothing => self.change(subject, now, |entry| entry.lost(by)),
            Verdict::Bad => self.find_or_add(subject, now, |entry| entry.failed(by, &settings, now)),
        }
    }

    /// Changes an entry where there is one, and drops it when it holds nothing any more.
    fn change(&self, subject: Subject<'_>, now: Instant, change: impl FnOnce(&mut Entry)) {
        let settings = self.settings.load();
        let hash = self.hasher.hash_one(subject);
        let mut shard = self.shard(hash);
        let Some(at) = shard.iter().position(|entry| entry.is(hash, subject)) else { return };
        change(&mut shard[at]);
        if shard[at].is_idle(&settings, now) {
            shard.swap_remove(at);
            self.entries.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn find<T>(&self, subject: Subject<'_>, ask: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let hash = self.hasher.hash_one(subject);
        self.shard(hash).iter_mut().find(|entry| entry.is(hash, subject)).map(ask)
    }

    fn find_or_add(&self, subject: Subject<'_>, now: Instant, change: impl FnOnce(&mut Entry)) {
        let settings = self.settings.load();
        let hash = self.hasher.hash_one(subject);
        let mut shard = self.shard(hash);
        if let Some(entry) = shard.iter_mut().find(|entry| entry.is(hash, subject)) {
            return change(entry);
        }
        if shard.len() >= ENTRIES_PER_SHARD {
            self.keep(&mut shard, |entry| !entry.is_idle(&settings, now));
        }
        if shard.len() >= ENTRIES_PER_SHARD
            && let Some(at) = (0..shard.len()).min_by_key(|at| shard[*at].worth(now))
        {
            shard.swap_remove(at);
            self.entries.fetch_sub(1, Ordering::Relaxed);
        }
        let mut entry = Entry::new(hash, subject.to_key(), &settings, now);
        change(&mut entry);
        shard.push(entry);
        self.entries.fetch_add(1, Ordering::Relaxed);
    }

    fn sweep(&self, now: Instant) {
        let at = u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        let last = self.swept_at.load(Ordering::Relaxed);
        let is_due = at >= last.saturating_add(SWEEP_EVERY.as_millis() as u64);
        if !is_due || self.swept_at.compare_exchange(last, at, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let settings = self.settings.load();
        for shard in &self.shards {
            self.keep(&mut lock(shard), |entry| !entry.is_idle(&settings, now));
        }
    }

    fn keep(&self, shard: &mut Vec<Entry>, keep: impl FnMut(&mut Entry) -> bool) {
        let before = shard.len();
        shard.retain_mut(keep);
        self.entries.fetch_sub(before - shard.len(), Ordering::Relaxed);
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Vec<Entry>> {
        lock(&self.shards[hash as usize % SHARDS])
    }
}

fn lock(shard: &Mutex<Vec<Entry>>) -> MutexGuard<'_, Vec<Entry>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Permit<'_> {
    /// The target answered as it should, up to its first content.
    pub fn succeeded(mut self, now: Instant) {
        self.probing = false;
        self.breakers.note_success(self.keys.credential);
        if self.breakers.nothing_failed() {
            return;
        }
        for subject in self.keys.subjects().into_iter().flatten() {
            self.breakers.note(subject, self.by, Verdict::Good, now);
        }
    }

    /// What the failure counts against is the failure's own table's to say.
    pub fn failed(mut self, failure: &Failure, now: Instant) {
        self.probing = false;
        self.breakers.note_failure(self.keys.credential, failure);
        for subject in self.keys.subjects().into_iter().flatten() {
            let verdict = subject.verdict(failure);
            if verdict == Verdict::Bad || !self.breakers.nothing_failed() {
                self.breakers.note(subject, self.by, verdict, now);
            }
            self.hold_or_reject(subject, failure, now);
        }
    }

    fn hold_or_reject(&self, subject: Subject<'_>, failure: &Failure, now: Instant) {
        let settings = self.breakers.settings.load();
        match (subject, failure) {
            (Subject::CredentialAndModel(..), Failure::RateLimited { retry_after: Some(wait) }) => {
                let until = now + (*wait).min(LONGEST_HOLD);
                self.breakers.find_or_add(subject, now, |entry| entry.hold(until));
            }
            // A 403 may be about this call alone; a 401 says that the key is not known.
            (Subject::Credential(_), Failure::CredentialRefused { status: 401 }) => {
                self.breakers.find_or_add(subject, now, |entry| entry.reject(self.by, &settings, now));
            }
            _ => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.probing {
            return;
        }
        for subject in self.keys.subjects().into_iter().flatten() {
            self.breakers.find(subject, |entry| entry.lost(self.by));
        }
    }
}

#[cfg(test)]
mod tests;
