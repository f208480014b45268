//! What one call's attempts have come to so far, and what is left to try. Decides; does nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::breaker::Shut;
use super::once::{Failed, Said};
use super::reply::{Reply, ReplyBody};
use super::{Outcome, Settings};
use crate::domain::call::{Call, CallBody};
use crate::domain::entity::{Credential, Scope};
use crate::domain::failure::{Failure, Next};
use crate::domain::id::Id;
use crate::domain::refusal::Refusal;
use crate::resolve::Target;

pub(super) struct Round<'p> {
    max: usize,
    /// Its body can't be sent a second time.
    goes_by_once: bool,
    deadline: Instant,
    /// The client's own time-out is what ends it, not ours.
    shortened: bool,
    /// The moment that is reckoned with: of the beginning, then of the last attempt's end.
    pub(super) now: Instant,
    pub(super) tried: usize,
    /// Time spent waiting for providers.
    pub(super) waited: Duration,
    /// Credentials that were refused or are used up: the plan's other targets with them are skipped.
    spent: Vec<Id<Credential>>,
    /// Set once the call proved too long for a model.
    longer_than: Option<u64>,
    stopped: bool,
    last: Option<(&'p Target<'p>, Failed)>,
    /// The target whose breaker closes soonest.
    open: Option<(&'p Target<'p>, Instant)>,
    /// The strictest reason why a target was not tried.
    shut: Option<(&'p Target<'p>, Shut)>,
}

impl<'p> Round<'p> {
    pub(super) fn new(settings: &Settings, call: &Call, now: Instant) -> Self {
        let allowed = call.allowed.filter(|allowed| *allowed < settings.deadline);
        let goes_by_once = matches!(call.body, CallBody::Upload(_));
        Self {
            max: if goes_by_once { 1 } else { settings.max },
            goes_by_once,
            deadline: now + allowed.unwrap_or(settings.deadline),
            shortened: allowed.is_some(),
            now,
            tried: 0,
            waited: Duration::ZERO,
            spent: Vec::new(),
            longer_than: None,
            stopped: false,
            last: None,
            open: None,
            shut: None,
        }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.deadline, is_clients: self.shortened }
    }

    /// Why a target is not worth trying any more, if it isn't.
    pub(super) fn skips(&self, target: &Target<'_>) -> Option<&'static str> {
        let credential = target.credential.map(|one| one.id());
        if credential.is_some_and(|id| self.spent.contains(&id)) {
            return Some("its credential was refused");
        }
        let longer = |length: u64| target.context_length().is_some_and(|context| context > length);
        match self.longer_than {
            Some(length) if !longer(length) => Some("its context is no longer"),
            _ => None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stopped || self.tried >= self.max || self.now >= self.deadline
    }

    /// A target had its turn, which was an attempt if a request went out. A body that goes by once is taken at the first turn.
    pub(super) fn has_tried(&mut self, ended: Instant, went_out: bool) {
        self.tried += usize::from(went_out || self.goes_by_once);
        self.waited += ended - self.now;
        self.now = ended;
    }

    pub(super) fn found_shut(&mut self, target: &'p Target<'p>, shut: Shut) {
        if let Shut::Open { until } = shut
            && self.open.is_none_or(|(_, soonest)| until < soonest)
        {
            self.open = Some((target, until));
        }
        // Of two of a kind the one that ends first, so that the client waits no longer than it must.
        if self.shut.is_none_or(|(_, known)| is_stricter(shut, known)) {
            self.shut = Some((target, shut));
        }
    }

    /// The open target to try when nothing was tried at all. One that `Retry-After` holds is never among them.
    pub(super) fn soonest_open(&mut self) -> Option<&'p Target<'p>> {
        self.open.take().filter(|_| self.tried == 0).map(|(target, _)| target)
    }

    pub(super) fn failed(&mut self, target: &'p Target<'p>, failed: Failed) {
        match failed.failure.next() {
            Next::OtherTarget => {}
            Next::OtherCredential => self.spent.extend(target.credential.map(|one| one.id())),
            Next::LongerContext => self.longer_than = Some(target.context_length().unwrap_or_default()),
            Next::Stop => self.stopped = true,
        }
        self.last = Some((target, failed));
    }

    /// What the client hears when nothing is left: the last failure, or why nothing was tried.
    pub(super) fn last_word(&mut self) -> Result<Box<Reply>, Refusal> {
        match (self.last.take(), self.shut) {
            (Some((target, failed)), _) => last_word(target, failed, self.now),
            (None, Some((target, shut))) => Err(why_shut(target, shut, self.now)),
            (None, None) => Err(Refusal::TimedOut),
        }
    }

    pub(super) fn done(&self, result: Result<Box<Reply>, Refusal>) -> Outcome {
        Outcome { result, waited: self.waited, ended: self.now }
    }
}

/// When a call must be over, and whose wish that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    pub(super) is_clients: bool,
}

impl Deadline {
    /// The failure of a wait that ended at this deadline rather than at the provider's own time-out.
    pub(super) fn failure(self, now: Instant) -> Failure {
        if self.is_clients && now >= self.at { Failure::ClientTimedOut } else { Failure::TimedOut }
    }

    /// The failure of a wait for a place: no provider was asked, so none is to blame.
    pub(super) const fn failure_in_line(self) -> Failure {
        if self.is_clients { Failure::ClientTimedOut } else { Failure::Busy }
    }
}

fn is_stricter(shut: Shut, known: Shut) -> bool {
    match (shut, known) {
        (Shut::Held { until }, Shut::Held { until: earlier }) => until < earlier,
        _ => shut > known,
    }
}

fn why_shut(target: &Target<'_>, shut: Shut, now: Instant) -> Refusal {
    let (provider, scope) = (target.provider.name.to_string(), scope(target));
    match shut {
        Shut::Held { until } => Refusal::CredentialHeld { provider, retry_after: until.saturating_duration_since(now) },
        Shut::Rejected { .. } => Refusal::CredentialRejected { provider, scope },
        Shut::Open { .. } => {
            Refusal::ProviderFailed { provider, failure: "it has failed too often to be tried now".to_string() }
        }
    }
}

fn scope(target: &Target<'_>) -> Scope {
    target.scope().unwrap_or(Scope::Platform)
}

/// The provider's own words where they are an answer to the client, else ours about them.
fn last_word(target: &Target<'_>, failed: Failed, now: Instant) -> Result<Box<Reply>, Refusal> {
    let provider = target.provider.name.to_string();
    let scope = scope(target);
    match (failed.failure, failed.said) {
        (Failure::CredentialRefused { .. }, _) => Err(Refusal::CredentialRejected { provider, scope }),
        (Failure::QuotaExhausted { .. }, _) => Err(Refusal::QuotaExhausted { provider, scope }),
        (Failure::CredentialUnusable(why), _) => Err(Refusal::CredentialUnusable { provider, scope, why }),
        (Failure::TimedOut | Failure::ClientTimedOut | Failure::ConnectTimedOut, _) => Err(Refusal::TimedOut),
        (Failure::Untranslated, _) => Err(Refusal::AtCapacity("answers being translated")),
        (Failure::Busy, _) => Err(Refusal::ProviderBusy { provider }),
        (Failure::UploadBroken, _) => Err(Refusal::BodyBroken),
        (Failure::Unsayable(field), _) => Err(Refusal::FieldUnsupported { provider, field }),
        (Failure::Unreadable { field, why }, _) => Err(Refusal::FieldInvalid { field, why }),
        (Failure::Internal(_), _) => Err(Refusal::Internal),
        (Failure::RateLimited { retry_after }, None) => {
            Err(Refusal::CredentialHeld { provider, retry_after: retry_after.unwrap_or(Duration::from_secs(1)) })
        }
        (_, Some(said)) => Ok(passed_on(target, *said, now)),
        (failure, None) => Err(Refusal::ProviderFailed { provider, failure: failure.to_string() }),
    }
}

fn passed_on(target: &Target<'_>, said: Said, at: Instant) -> Box<Reply> {
    let Said { status, headers, body } = said;
    Box::new(Reply { status, headers, body: ReplyBody::Whole(body), from: target.answerer(), is_translated: false, at })
}
