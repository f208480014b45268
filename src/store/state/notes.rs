//! What was noted and is not written yet: the last word on each thing, not each word.

use std::collections::HashMap;

use uuid::Uuid;

use super::board::CredentialState;
use crate::domain::entity::{Credential, SavedCredential, Token};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;

/// Tokens and credentials whose last use waits to be written, at some 40 bytes each. More than are used between two
/// writings; while the database is away what comes on top is not kept.
const USES_MAX: usize = 65_536;

/// What is used by a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Used {
    Token(Id<Token>),
    Credential(Id<Credential>),
}

impl Used {
    /// As rows keep it: never change one.
    pub(super) const fn kind(self) -> i16 {
        match self {
            Self::Token(_) => 0,
            Self::Credential(_) => 1,
        }
    }

    pub(super) const fn uuid(self) -> Uuid {
        match self {
            Self::Token(id) => id.uuid(),
            Self::Credential(id) => id.uuid(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Bounded by the board, which says what is news.
    credentials: HashMap<Id<Credential>, (SavedCredential, CredentialState)>,
    uses: HashMap<Used, Timestamp>,
}

impl Notes {
    pub(super) fn credential(&mut self, credential: SavedCredential, state: CredentialState) {
        self.credentials.insert(credential.id, (credential, state));
    }

    /// `false` if there is no room for it.
    pub(super) fn used(&mut self, used: Used, at: Timestamp) -> bool {
        let has_room = self.uses.len() < USES_MAX;
        match self.uses.get_mut(&used) {
            Some(last) => *last = at.max(*last),
            None if has_room => drop(self.uses.insert(used, at)),
            None => return false,
        }
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.credentials.is_empty() && self.uses.is_empty()
    }

    pub(super) fn concern(&self, credential: Id<Credential>) -> bool {
        self.credentials.contains_key(&credential)
    }

    pub(super) fn last_use(&self, used: Used) -> Option<Timestamp> {
        self.uses.get(&used).copied()
    }

    pub(super) fn credentials(&self) -> impl Iterator<Item = (SavedCredential, CredentialState)> {
        self.credentials.values().copied()
    }

    pub(super) fn uses(&self) -> impl Iterator<Item = (Used, Timestamp)> {
        self.uses.iter().map(|(used, at)| (*used, *at))
    }
}
