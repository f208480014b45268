//! One breaker: closed, open, half open. Outcomes and moments in, admissions out.
//!
//! Pure: no clock, no lock, no randomness of its own (the jitter is drawn from a seed). It knows neither what it guards
//! nor what a failure was; it only knows in how many workspaces the failures were seen.

use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use crate::domain::entity::Workspace;
use crate::domain::id::Id;

use super::super::window::{Counts, Window};

/// How long after its open time a breaker that nobody asks is kept: then it is forgotten, for what it guards is most
/// likely gone, and a map of breakers must not grow by what is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);

/// Whose failures open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opens {
    /// One workspace's own breaker.
    ByOne,
    /// The shared one: a single workspace must not close it for the others.
    ByTwo,
}

/// Marks one admission, so that only the probe's own outcome decides.
pub(super) type Ticket = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Pass,
    /// The one call whose outcome decides.
    Probe,
    Shut {
        until: Instant,
        rejected: bool,
    },
}

/// The trade's three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Closed,
    Open,
    HalfOpen,
}

impl Phase {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { probe: Option<Ticket>, since: Instant },
}

/// Whose outcome it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct By {
    pub(super) workspace: Id<Workspace>,
    pub(super) ticket: Ticket,
    /// Sent although the breaker was open, because nothing else was left.
    pub(super) forced: bool,
}

#[derive(Debug)]
pub(super) struct Breaker {
    opens: Opens,
    state: State,
    /// The provider refused the credential itself; only a success clears it.
    rejected: bool,
    /// Failures since the last success.
    run: u32,
    run_began: Instant,
    last_failure: Instant,
    window: Window,
    /// The last two workspaces that saw a failure, and when.
    seen_by: [Option<(Id<Workspace>, Instant)>; 2],
    /// Draws the jitter, anew at each opening.
    seed: u64,
}

impl Breaker {
    pub(super) fn new(opens: Opens, seed: u64, settings: &Settings, now: Instant) -> Self {
        Self {
            opens,
            state: State::Closed,
            rejected: false,
            run: 0,
            run_began: now,
            last_failure: now,
            window: Window::new(settings.window, now),
            seen_by: [None; 2],
            seed,
        }
    }

    pub(super) fn admit(&mut self, ticket: Ticket, now: Instant) -> Gate {
        match self.state {
            State::Closed => Gate::Pass,
            State::Open { until } if now < until => Gate::Shut { until, rejected: self.rejected },
            State::HalfOpen { probe: Some(_), .. } => Gate::Shut { until: now, rejected: self.rejected },
            State::Open { .. } | State::HalfOpen { probe: None, .. } => {
                self.state = State::HalfOpen { probe: Some(ticket), since: now };
                Gate::Probe
            }
        }
    }

    /// What `admit` would say of a call that takes no probe's place.
    pub(super) fn is_rejected(&self) -> bool {
        self.rejected && self.state != State::Closed
    }

    pub(super) fn succeeded(&mut self, by: By, settings: &Settings, now: Instant) {
        match self.state {
            State::Closed => {
                self.run = 0;
                self.window.count(Counts { all: 1, marked: 0 }, now);
            }
            // A call from before the opening says nothing of now.
            State::Open { .. } if !by.forced => {}
            State::HalfOpen { probe, .. } if probe != Some(by.ticket) && !by.forced => {}
            State::Open { .. } | State::HalfOpen { .. } => {
                *self = Self::new(self.opens, self.seed.wrapping_add(1), settings, now);
            }
        }
    }

    pub(super) fn failed(&mut self, by: By, settings: &Settings, now: Instant) {
        match self.state {
            State::Closed => {
                self.note_failure(by.workspace, settings, now);
                if self.must_open(settings, now) {
                    self.open(settings, now);
                }
            }
            State::HalfOpen { probe, .. } if probe == Some(by.ticket) => self.open(settings, now),
            // While it is open nothing makes it stay open longer: it recovers when it said it would.
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
    }

    /// The provider refused the credential: no further proof is needed.
    pub(super) fn reject(&mut self, by: By, settings: &Settings, now: Instant) {
        self.rejected = true;
        match self.state {
            State::Closed => self.open(settings, now),
            State::HalfOpen { .. } | State::Open { .. } => self.failed(by, settings, now),
        }
    }

    /// As a rejection of an earlier start left it.
    pub(super) fn was_rejected(&mut self, until: Instant) {
        self.rejected = true;
        self.state = State::Open { until };
    }

    /// The probe ended without an outcome: the next call may probe.
    pub(super) fn lost(&mut self, ticket: Ticket) {
        if let State::HalfOpen { probe, .. } = &mut self.state
            && *probe == Some(ticket)
        {
            *probe = None;
        }
    }

    pub(super) fn phase(&self, now: Instant) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Open { until } if now < until => Phase::Open,
            State::Open { .. } | State::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    #[cfg(test)]
    pub(super) fn is_probed_by(&self, ticket: Ticket) -> bool {
        matches!(self.state, State::HalfOpen { probe: Some(probe), .. } if probe == ticket)
    }

    /// When the next probe may go out, unless it is closed.
    pub(super) fn opens_until(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Open { until } | State::HalfOpen { since: until, .. } => Some(until),
        }
    }

    /// Holds nothing that a new breaker would not hold.
    pub(super) fn is_idle(&mut self, settings: &Settings, now: Instant) -> bool {
        match self.state {
            State::Closed => (self.run == 0 || self.run_is_over(settings, now)) && self.window.sums(now).marked == 0,
            State::Open { until } => now >= until + FORGOTTEN_AFTER,
            State::HalfOpen { probe, since } => probe.is_none() && now >= since + FORGOTTEN_AFTER,
        }
    }

    fn note_failure(&mut self, workspace: Id<Workspace>, settings: &Settings, now: Instant) {
        if self.run == 0 || self.run_is_over(settings, now) {
            (self.run, self.run_began) = (0, now);
        }
        self.run += 1;
        self.last_failure = now;
        self.window.count(Counts { all: 1, marked: 1 }, now);
        match &mut self.seen_by {
            [Some((last, at)), _] if *last == workspace => *at = now,
            seen_by => *seen_by = [Some((workspace, now)), seen_by[0]],
        }
    }

    /// Calls that come more seldom than a breaker's open time would not be spared by opening it.
    fn run_is_over(&self, settings: &Settings, now: Instant) -> bool {
        now.saturating_duration_since(self.last_failure) > settings.open_for
    }

    fn must_open(&mut self, settings: &Settings, now: Instant) -> bool {
        let recent = self.window.sums(now);
        let in_a_row = self.run >= settings.failures && self.were_enough(self.run_began);
        let many = recent.all >= settings.least_calls
            && u64::from(recent.marked) * 100 >= u64::from(recent.all) * u64::from(settings.failing_percent);
        in_a_row || many && self.were_enough(now.checked_sub(settings.window).unwrap_or(self.run_began))
    }

    /// Did enough workspaces see a failure since then?
    fn were_enough(&self, since: Instant) -> bool {
        let seen = self.seen_by.iter().flatten().filter(|(_, at)| *at >= since).count();
        match self.opens {
            Opens::ByOne => true,
            Opens::ByTwo => seen >= 2,
        }
    }

    fn open(&mut self, settings: &Settings, now: Instant) {
        self.seed = self.seed.wrapping_add(1);
        self.state = State::Open { until: now + jittered(settings.open_for, self.seed) };
        self.run = 0;
    }
}

/// Up to a tenth shorter, so that what opened together does not probe together; never longer, so that recovery takes
/// at most the time that was set.
fn jittered(open_for: Duration, seed: u64) -> Duration {
    // Fibonacci hashing: neighbouring seeds land far apart.
    let share = (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as u32;
    open_for - open_for / 10 * share / 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings::DEFAULT;

    struct Bench {
        breaker: Breaker,
        start: Instant,
        now: Instant,
        ours: Id<Workspace>,
        other: Id<Workspace>,
    }

    fn bench(opens: Opens) -> Bench {
        let start = Instant::now();
        let breaker = Breaker::new(opens, 7, &SETTINGS, start);
        Bench { breaker, start, now: start, ours: Id::random(), other: Id::random() }
    }

    impl Bench {
        fn at(&mut self, seconds: f64) -> &mut Self {
            self.now = self.start + Duration::from_secs_f64(seconds);
            self
        }

        fn by(&self, workspace: Id<Workspace>, ticket: Ticket) -> By {
            By { workspace, ticket, forced: false }
        }

        fn fails(&mut self, times: usize) -> &mut Self {
            self.fails_for(self.ours, times)
        }

        fn fails_for(&mut self, workspace: Id<Workspace>, times: usize) -> &mut Self {
            (0..times).for_each(|_| self.breaker.failed(self.by(workspace, 0), &SETTINGS, self.now));
            self
        }

        fn succeeds(&mut self, times: usize) -> &mut Self {
            (0..times).for_each(|_| self.breaker.succeeded(self.by(self.ours, 0), &SETTINGS, self.now));
            self
        }

        fn is(&self, phase: Phase) {
            assert_eq!(self.breaker.phase(self.now), phase);
        }
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_two_do_not() {
        bench(Opens::ByOne).fails(2).is(Phase::Closed);
        bench(Opens::ByOne).fails(2).succeeds(1).fails(2).is(Phase::Closed);
        bench(Opens::ByOne).fails(3).is(Phase::Open);
    }

    #[test]
    fn half_of_twenty_within_ten_seconds_opens_it() {
        let mut nineteen = bench(Opens::ByOne);
        for _ in 0..9 {
            nineteen.fails(1).succeeds(1);
        }
        nineteen.is(Phase::Closed);
        nineteen.fails(1).is(Phase::Closed);
        nineteen.succeeds(1).fails(1).is(Phase::Open);
    }

    #[test]
    fn failures_older_than_the_window_do_not_count_for_the_share() {
        let mut slow = bench(Opens::ByOne);
        for second in 0..60 {
            slow.at(f64::from(second)).fails(1).succeeds(1);
        }
        slow.at(61.0).fails(1).is(Phase::Closed);
    }

    #[test]
    fn a_run_of_failures_is_over_after_a_pause_longer_than_the_open_time() {
        bench(Opens::ByOne).fails(2).at(301.0).fails(2).is(Phase::Closed);
        bench(Opens::ByOne).fails(2).at(299.0).fails(1).is(Phase::Open);
    }

    #[test]
    fn it_stays_open_at_most_the_time_set_and_at_least_nine_tenths_of_it() {
        for seed in 0..1_000 {
            let open = jittered(SETTINGS.open_for, seed);
            assert!(open <= SETTINGS.open_for && open >= SETTINGS.open_for / 10 * 9);
        }
        assert_ne!(jittered(SETTINGS.open_for, 1), jittered(SETTINGS.open_for, 2));
    }

    #[test]
    fn then_one_call_probes_and_its_outcome_decides() {
        let mut bench = bench(Opens::ByOne);
        bench.fails(3).at(10.0);
        assert!(matches!(bench.breaker.admit(1, bench.now), Gate::Shut { .. }));
        bench.at(301.0);
        assert_eq!(bench.breaker.admit(1, bench.now), Gate::Probe);
        assert!(matches!(bench.breaker.admit(2, bench.now), Gate::Shut { rejected: false, .. }));
        bench.breaker.failed(bench.by(bench.ours, 2), &SETTINGS, bench.now);
        bench.is(Phase::HalfOpen);
        bench.breaker.failed(bench.by(bench.ours, 1), &SETTINGS, bench.now);
        bench.is(Phase::Open);
        bench.at(602.0);
        assert_eq!(bench.breaker.admit(3, bench.now), Gate::Probe);
        bench.breaker.succeeded(bench.by(bench.ours, 3), &SETTINGS, bench.now);
        bench.is(Phase::Closed);
        assert_eq!(bench.breaker.admit(4, bench.now), Gate::Pass);
    }

    #[test]
    fn a_probe_without_an_outcome_leaves_its_place_to_the_next_call() {
        let mut bench = bench(Opens::ByOne);
        bench.fails(3).at(301.0);
        assert_eq!(bench.breaker.admit(1, bench.now), Gate::Probe);
        bench.breaker.lost(9);
        assert!(matches!(bench.breaker.admit(2, bench.now), Gate::Shut { .. }));
        bench.breaker.lost(1);
        assert_eq!(bench.breaker.admit(2, bench.now), Gate::Probe);
    }

    #[test]
    fn late_outcomes_of_calls_from_before_neither_close_nor_prolong_it() {
        let mut bench = bench(Opens::ByOne);
        bench.fails(3);
        let until = bench.breaker.opens_until();
        bench.at(100.0).succeeds(5).fails(5).is(Phase::Open);
        assert_eq!(bench.breaker.opens_until(), until);
    }

    #[test]
    fn a_forced_call_that_succeeds_closes_it_at_once() {
        let mut bench = bench(Opens::ByOne);
        bench.fails(3).at(1.0);
        let forced = By { forced: true, ..bench.by(bench.ours, 5) };
        bench.breaker.succeeded(forced, &SETTINGS, bench.now);
        bench.is(Phase::Closed);
    }

    #[test]
    fn the_shared_one_needs_failures_of_two_workspaces() {
        bench(Opens::ByTwo).fails(1_000).is(Phase::Closed);
        let mut two = bench(Opens::ByTwo);
        let other = two.other;
        two.fails(2).fails_for(other, 1).is(Phase::Open);
    }

    #[test]
    fn a_failure_elsewhere_counts_only_within_the_run_or_the_window() {
        let mut bench = bench(Opens::ByTwo);
        let other = bench.other;
        bench.fails_for(other, 1).succeeds(1).at(60.0);
        bench.fails(1_000).is(Phase::Closed);
        bench.fails_for(other, 1).is(Phase::Open);
    }

    #[test]
    fn a_refused_credential_opens_it_at_once_and_success_heals() {
        let mut bench = bench(Opens::ByTwo);
        bench.breaker.reject(bench.by(bench.ours, 0), &SETTINGS, bench.now);
        assert!(matches!(bench.breaker.admit(1, bench.now), Gate::Shut { rejected: true, .. }));
        bench.at(301.0);
        assert_eq!(bench.breaker.admit(1, bench.now), Gate::Probe);
        bench.breaker.reject(bench.by(bench.ours, 1), &SETTINGS, bench.now);
        assert!(bench.breaker.is_rejected());
        bench.at(602.0);
        assert_eq!(bench.breaker.admit(2, bench.now), Gate::Probe);
        bench.breaker.succeeded(bench.by(bench.ours, 2), &SETTINGS, bench.now);
        assert!(!bench.breaker.is_rejected());
        bench.is(Phase::Closed);
    }

    #[test]
    fn one_that_nobody_asks_is_forgotten_in_the_end() {
        let mut closed = bench(Opens::ByOne);
        closed.fails(1).at(5.0);
        assert!(!closed.breaker.is_idle(&SETTINGS, closed.now));
        closed.at(301.0);
        assert!(closed.breaker.is_idle(&SETTINGS, closed.now));

        let mut open = bench(Opens::ByOne);
        open.fails(3).at(1_000.0);
        assert!(!open.breaker.is_idle(&SETTINGS, open.now));
        open.at(4_000.0);
        assert!(open.breaker.is_idle(&SETTINGS, open.now));
    }
}
