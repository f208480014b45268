//! How each credential fares, in memory: what calls ask and note without waiting for anything.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use serde::Serialize;

use crate::domain::entity::{Credential, SavedCredential};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;

/// Credentials in trouble that are remembered, at some 60 bytes each. Beyond it newcomers are not: their trouble is found
/// again at each call, which costs an attempt and nothing else.
pub const TROUBLED_MAX: usize = 100_000;

/// How a credential fares, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum CredentialState {
    /// Nothing speaks against it.
    #[default]
    Ok,
    /// The provider does not take the key.
    Rejected { at: Timestamp },
    /// The key's account has nothing left to spend.
    QuotaExhausted { at: Timestamp },
    /// No key of the keyring opens it.
    Undecryptable { at: Timestamp },
    /// Its provider's address is no longer the one it was entered for; its holder must confirm.
    AddressChanged { at: Timestamp },
}

impl CredentialState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected { .. } => "rejected",
            Self::QuotaExhausted { .. } => "quota_exhausted",
            Self::Undecryptable { .. } => "undecryptable",
            Self::AddressChanged { .. } => "address_changed",
        }
    }

    /// `None` where nothing speaks against it.
    pub const fn at(self) -> Option<Timestamp> {
        match self {
            Self::Ok => None,
            Self::Rejected { at }
            | Self::QuotaExhausted { at }
            | Self::Undecryptable { at }
            | Self::AddressChanged { at } => Some(at),
        }
    }

    /// As a row keeps it. A word that a newer version wrote says nothing to this one.
    pub(super) fn read(name: &str, at: Timestamp) -> Self {
        match name {
            "rejected" => Self::Rejected { at },
            "quota_exhausted" => Self::QuotaExhausted { at },
            "undecryptable" => Self::Undecryptable { at },
            "address_changed" => Self::AddressChanged { at },
            _ => Self::Ok,
        }
    }

    /// The same trouble, whenever it was noted?
    fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// Only what is not `Ok`, so that a healthy installation's calls never take the lock.
#[derive(Debug, Default)]
pub(super) struct Board {
    troubled: RwLock<HashMap<Id<Credential>, (Timestamp, CredentialState)>>,
    count: AtomicUsize,
}

impl Board {
    pub(super) fn of(&self, credential: SavedCredential) -> CredentialState {
        if self.is_clear() {
            return CredentialState::Ok;
        }
        let troubled = self.troubled.read().unwrap_or_else(PoisonError::into_inner);
        let known = troubled.get(&credential.id).filter(|(saved_at, _)| *saved_at == credential.at);
        known.map_or(CredentialState::Ok, |(_, state)| *state)
    }

    /// Is everything well, as far as is known?
    pub(super) fn is_clear(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Is this news? The same trouble again is none: it began when it was first noted.
    pub(super) fn note(&self, credential: SavedCredential, state: CredentialState) -> bool {
        if !self.would_be_news(credential, state) {
            return false;
        }
        let mut troubled = self.troubled.write().unwrap_or_else(PoisonError::into_inner);
        if state == CredentialState::Ok {
            troubled.remove(&credential.id);
        } else if troubled.len() < TROUBLED_MAX || troubled.contains_key(&credential.id) {
            troubled.insert(credential.id, (credential.at, state));
        } else {
            return false;
        }
        self.count.store(troubled.len(), Ordering::Relaxed);
        true
    }

    fn would_be_news(&self, credential: SavedCredential, state: CredentialState) -> bool {
        if self.is_clear() {
            return state != CredentialState::Ok;
        }
        let troubled = self.troubled.read().unwrap_or_else(PoisonError::into_inner);
        match troubled.get(&credential.id) {
            None => state != CredentialState::Ok,
            // A call that began before its credential was saved anew speaks of the old one.
            Some((saved_at, known)) => *saved_at < credential.at || *saved_at == credential.at && !known.is_like(state),
        }
    }

    /// What the database knows stands in place of what was known, but for what was noted here and is not written yet.
    pub(super) fn replace(
        &self,
        rows: Vec<(SavedCredential, CredentialState)>,
        is_unwritten: impl Fn(Id<Credential>) -> bool,
    ) {
        let mut troubled = self.troubled.write().unwrap_or_else(PoisonError::into_inner);
        troubled.retain(|id, _| is_unwritten(*id));
        for (credential, state) in rows.into_iter().take(TROUBLED_MAX) {
            if !is_unwritten(credential.id) {
                troubled.insert(credential.id, (credential.at, state));
            }
        }
        self.count.store(troubled.len(), Ordering::Relaxed);
    }

    /// All that are not `Ok`, in the order of their ids.
    pub(super) fn troubled(&self) -> Vec<(SavedCredential, CredentialState)> {
        let troubled = self.troubled.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            troubled.iter().map(|(id, (at, state))| (SavedCredential { id: *id, at: *at }, *state)).collect();
        all.sort_unstable_by_key(|(credential, _)| *credential);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REJECTED: CredentialState = CredentialState::Rejected { at: Timestamp(5) };

    fn saved(at: i64) -> SavedCredential {
        SavedCredential { id: Id::random(), at: Timestamp(at) }
    }

    #[test]
    fn a_credential_is_ok_until_something_is_noted_and_again_when_it_works() {
        let (board, one) = (Board::default(), saved(1));
        assert_eq!(board.of(one), CredentialState::Ok);
        assert!(!board.note(one, CredentialState::Ok), "that it works is no news");
        assert!(board.note(one, REJECTED));
        assert_eq!((board.of(one), board.of(saved(1))), (REJECTED, CredentialState::Ok));
        assert!(!board.note(one, CredentialState::Rejected { at: Timestamp(9) }), "it began earlier");
        assert_eq!(board.troubled(), [(one, REJECTED)]);
        assert!(board.note(one, CredentialState::Ok));
        assert!(board.is_clear() && board.troubled().is_empty());
    }

    #[test]
    fn a_credential_that_was_saved_anew_begins_anew() {
        let (board, old) = (Board::default(), saved(1));
        let new = SavedCredential { at: Timestamp(2), ..old };
        board.note(old, REJECTED);
        assert_eq!(board.of(new), CredentialState::Ok);
        assert!(board.note(new, CredentialState::QuotaExhausted { at: Timestamp(7) }));
        assert!(!board.note(old, REJECTED), "a late word about the old key");
        assert_eq!(board.of(new).name(), "quota_exhausted");
        assert!(board.note(new, CredentialState::Ok) && board.is_clear());
    }

    #[test]
    fn beyond_its_bound_it_keeps_what_it_knows() {
        let board = Board::default();
        let all: Vec<_> = (0..=TROUBLED_MAX).map(|_| saved(1)).collect();
        for one in &all {
            board.note(*one, REJECTED);
        }
        assert_eq!(board.troubled().len(), TROUBLED_MAX);
        assert_eq!(board.of(all[TROUBLED_MAX]), CredentialState::Ok);
        board.note(all[0], CredentialState::Undecryptable { at: Timestamp(6) });
        assert_eq!(board.of(all[0]).name(), "undecryptable");
    }

    #[test]
    fn what_another_replica_wrote_is_taken_up_but_not_over_what_is_still_to_be_written_here() {
        let (board, here, gone, there) = (Board::default(), saved(1), saved(1), saved(1));
        board.note(here, REJECTED);
        board.note(gone, REJECTED);
        board.replace(vec![(there, REJECTED)], |id| id == here.id);
        let known: Vec<_> = board.troubled().into_iter().map(|(one, _)| one.id).collect();
        assert!(known.len() == 2 && known.contains(&here.id) && known.contains(&there.id));
    }
}
