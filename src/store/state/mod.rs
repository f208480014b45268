//! What traffic shows, as opposed to what people decided: so far, how each credential fares.
//!
//! Takes observations and answers questions about them. Losing it costs a few attempts that find out again, so it is
//! never waited for and never stops a call.
//!
//! `replays` keeps what was answered under an idempotency key.

pub mod replays;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::domain::entity::Credential;
use crate::domain::id::Id;
use crate::domain::time::Timestamp;

/// Credentials in trouble that are remembered, at some 50 bytes each. Beyond it newcomers are not: their trouble is found
/// again at each call, which costs an attempt and nothing else.
pub const TROUBLED_MAX: usize = 100_000;

/// How a credential fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    Undecryptable,
    /// Its provider's address is no longer the one it was entered for; its holder must confirm.
    AddressChanged,
}

/// Where observations are kept. Noting one neither waits nor fails: a kept one is written behind.
pub trait State: Send + Sync {
    fn note(&self, credential: Id<Credential>, state: CredentialState);

    fn credential(&self, credential: Id<Credential>) -> CredentialState;

    /// All that are not `Ok`, in the order of their ids.
    fn troubled(&self) -> Vec<(Id<Credential>, CredentialState)>;
}

/// State that lives as long as the process.
#[derive(Debug, Default)]
pub struct MemoryState {
    /// Only what is not `Ok`, so that a healthy installation's calls never take the lock.
    troubled: RwLock<HashMap<Id<Credential>, CredentialState>>,
    count: AtomicUsize,
}

impl State for MemoryState {
    fn note(&self, credential: Id<Credential>, state: CredentialState) {
        if self.credential(credential) == state {
            return;
        }
        let mut troubled = self.troubled.write().unwrap_or_else(PoisonError::into_inner);
        if state == CredentialState::Ok {
            troubled.remove(&credential);
        } else if troubled.len() < TROUBLED_MAX || troubled.contains_key(&credential) {
            troubled.insert(credential, state);
        }
        self.count.store(troubled.len(), Ordering::Release);
    }

    fn credential(&self, credential: Id<Credential>) -> CredentialState {
        if self.count.load(Ordering::Acquire) == 0 {
            return CredentialState::Ok;
        }
        let troubled = self.troubled.read().unwrap_or_else(PoisonError::into_inner);
        troubled.get(&credential).copied().unwrap_or_default()
    }

    fn troubled(&self) -> Vec<(Id<Credential>, CredentialState)> {
        let troubled = self.troubled.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = troubled.iter().map(|(id, state)| (*id, *state)).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REJECTED: CredentialState = CredentialState::Rejected { at: Timestamp(5) };

    #[test]
    fn a_credential_is_ok_until_something_is_noted_and_again_when_it_works() {
        let (state, id) = (MemoryState::default(), Id::random());
        assert_eq!(state.credential(id), CredentialState::Ok);
        state.note(id, REJECTED);
        assert_eq!(state.credential(id), REJECTED);
        assert_eq!(state.credential(Id::random()), CredentialState::Ok);
        assert_eq!(state.troubled(), [(id, REJECTED)]);
        state.note(id, CredentialState::Ok);
        assert_eq!(state.credential(id), CredentialState::Ok);
        assert_eq!(state.troubled(), []);
    }

    #[test]
    fn beyond_its_bound_it_keeps_what_it_knows() {
        let state = MemoryState::default();
        let ids: Vec<_> = (0..=TROUBLED_MAX).map(|_| Id::random()).collect();
        for id in &ids {
            state.note(*id, REJECTED);
        }
        assert_eq!(state.troubled().len(), TROUBLED_MAX);
        assert_eq!(state.credential(ids[TROUBLED_MAX]), CredentialState::Ok);
        state.note(ids[0], CredentialState::Undecryptable);
        assert_eq!(state.credential(ids[0]), CredentialState::Undecryptable);
    }
}
