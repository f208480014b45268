//! All that is known of one address, model or credential: the shared breaker, the workspaces' own, and a hold.
//!
//! Pure: events and moments in, answers out. It never knows how many others there are.

use tokio::time::Instant;

use super::circuit::{Breaker, By, Gate, Opens, Phase, Ticket};
use super::key::{Key, Subject};
use super::{Settings, Shut, Standing};
use crate::domain::entity::Workspace;
use crate::domain::id::Id;

/// Breakers that workspaces have of their own, per key. Where that many fail the shared one is open; the one that
/// recovered or failed longest ago makes room.
const WORKSPACES: usize = 32;

#[derive(Debug)]
pub(super) struct Entry {
    hash: u64,
    pub(super) key: Key,
    shared: Breaker,
    /// In the order they last failed.
    workspaces: Vec<(Id<Workspace>, Breaker)>,
    held_until: Option<Instant>,
    touched: Instant,
}

/// What one entry says of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Pass,
    Probe,
    Shut(Shut),
}

impl Entry {
    pub(super) fn new(hash: u64, key: Key, settings: &Settings, now: Instant) -> Self {
        let shared = Breaker::new(Opens::ByTwo, hash, settings, now);
        Self { hash, key, shared, workspaces: Vec::new(), held_until: None, touched: now }
    }

    pub(super) fn is(&self, hash: u64, subject: Subject<'_>) -> bool {
        self.hash == hash && self.key.subject() == subject
    }

    pub(super) fn admit(&mut self, workspace: Id<Workspace>, ticket: Ticket, now: Instant) -> Answer {
        self.touched = now;
        let shared = self.shared.admit(ticket, now);
        let own = self.own(workspace).map_or(Gate::Pass, |breaker| breaker.admit(ticket, now));
        let answers = [self.hold_at(now).map_or(Answer::Pass, Answer::Shut), answer(shared), answer(own)];
        let strictest = answers.into_iter().filter_map(Answer::shut).max();
        match strictest {
            Some(why) => {
                self.lost_by(workspace, ticket);
                Answer::Shut(why)
            }
            None if answers.contains(&Answer::Probe) => Answer::Probe,
            None => Answer::Pass,
        }
    }

    /// What stands even where a call has no other target left.
    pub(super) fn bars_even_the_last(&mut self, now: Instant) -> Option<Shut> {
        let rejected = self.shared.is_rejected().then(|| Shut::Rejected {
            // A rejected one is not closed, so it names a moment; `now` is what a probe in flight would name.
            until: self.shared.opens_until().unwrap_or(now).max(now),
        });
        self.hold_at(now).max(rejected)
    }

    pub(super) fn succeeded(&mut self, by: By, settings: &Settings, now: Instant) {
        self.touched = now;
        self.shared.succeeded(by, settings, now);
        if let Some(own) = self.own(by.workspace) {
            own.succeeded(by, settings, now);
        }
    }

    pub(super) fn failed(&mut self, by: By, settings: &Settings, now: Instant) {
        self.touched = now;
        self.shared.failed(by, settings, now);
        let mut own = match self.workspaces.iter().position(|(id, _)| *id == by.workspace) {
            Some(at) => self.workspaces.remove(at).1,
            None => Breaker::new(Opens::ByOne, self.hash ^ by.workspace.uuid().as_u64_pair().1, settings, now),
        };
        own.failed(by, settings, now);
        if self.workspaces.len() >= WORKSPACES {
            self.make_room(settings, now);
        }
        self.workspaces.push((by.workspace, own));
    }

    pub(super) fn reject(&mut self, by: By, settings: &Settings, now: Instant) {
        self.touched = now;
        self.shared.reject(by, settings, now);
    }

    pub(super) fn was_rejected(&mut self, until: Instant) {
        self.shared.was_rejected(until);
    }

    /// Never shortened: the later moment stands.
    pub(super) fn hold(&mut self, until: Instant) {
        self.held_until = self.held_until.max(Some(until));
    }

    pub(super) fn lost(&mut self, by: By) {
        self.lost_by(by.workspace, by.ticket);
    }

    pub(super) fn is_idle(&mut self, settings: &Settings, now: Instant) -> bool {
        self.workspaces.retain_mut(|(_, own)| !own.is_idle(settings, now));
        self.workspaces.is_empty() && self.hold_at(now).is_none() && self.shared.is_idle(settings, now)
    }

    /// Which entry is missed least: a closed one before an open one before a held one, then the longest untouched.
    pub(super) fn worth(&self, now: Instant) -> (bool, bool, Instant) {
        let is_shut = |breaker: &Breaker| breaker.phase(now) != Phase::Closed;
        let shut = is_shut(&self.shared) || self.workspaces.iter().any(|(_, own)| is_shut(own));
        (self.hold_at(now).is_some(), shut, self.touched)
    }

    pub(super) fn standings(&self, now: Instant, into: &mut Vec<Standing>) {
        let shared = (None, &self.shared);
        let own = self.workspaces.iter().map(|(id, breaker)| (Some(*id), breaker));
        into.extend(std::iter::once(shared).chain(own).map(|(workspace, breaker)| Standing {
            key: self.key.clone(),
            workspace,
            phase: breaker.phase(now),
            rejected: breaker.is_rejected(),
            until: breaker.opens_until(),
            held: false,
        }));
        let hold = self.hold_at(now).map(|hold| Standing {
            key: self.key.clone(),
            workspace: None,
            phase: Phase::Closed,
            rejected: false,
            until: Some(hold.until()),
            held: true,
        });
        into.extend(hold);
    }

    #[cfg(test)]
    pub(super) fn is_probed_by(&self, ticket: Ticket) -> bool {
        self.shared.is_probed_by(ticket)
    }

    fn own(&mut self, workspace: Id<Workspace>) -> Option<&mut Breaker> {
        self.workspaces.iter_mut().find(|(id, _)| *id == workspace).map(|(_, breaker)| breaker)
    }

    fn lost_by(&mut self, workspace: Id<Workspace>, ticket: Ticket) {
        self.shared.lost(ticket);
        if let Some(own) = self.own(workspace) {
            own.lost(ticket);
        }
    }

    fn hold_at(&self, now: Instant) -> Option<Shut> {
        self.held_until.filter(|until| now < *until).map(|until| Shut::Held { until })
    }

    fn make_room(&mut self, settings: &Settings, now: Instant) {
        self.workspaces.retain_mut(|(_, own)| !own.is_idle(settings, now));
        if self.workspaces.len() >= WORKSPACES {
            self.workspaces.remove(0);
        }
    }
}

impl Answer {
    fn shut(self) -> Option<Shut> {
        match self {
            Self::Shut(why) => Some(why),
            Self::Pass | Self::Probe => None,
        }
    }
}

fn answer(gate: Gate) -> Answer {
    match gate {
        Gate::Pass => Answer::Pass,
        Gate::Probe => Answer::Probe,
        Gate::Shut { until, rejected: true } => Answer::Shut(Shut::Rejected { until }),
        Gate::Shut { until, rejected: false } => Answer::Shut(Shut::Open { until }),
    }
}
