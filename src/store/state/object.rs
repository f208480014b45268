//! An object that lies at a provider under a shared credential, and whose it is.

use bytes::Bytes;

use crate::domain::entity::{Credential, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;

/// Objects of each kind that a workspace may have on record. The oldest go: they stay at the provider, where only the
/// platform can reach them.
pub(super) const OBJECTS_MAX: u32 = 100_000;

/// How long a response and its items are on record: providers keep them for 30 days.
pub(super) const RESPONSES_KEPT_DAYS: i64 = 30;

/// A deleted object's line is kept this long, so that whoever asks what became of it can be told.
pub(super) const DELETED_KEPT_DAYS: i64 = 7;

/// A provider's description of an object. A batch with all its metadata has 10 KiB; what is longer is not kept, and its
/// list shows what we know ourselves.
pub(super) const SHOWN_LIMIT_BYTES: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    File,
    Batch,
    Response,
    /// A part of a response, which a later call may name.
    Item,
    Conversation,
}

impl ObjectKind {
    /// As rows keep it: never change one.
    pub(super) const fn number(self) -> i16 {
        match self {
            Self::File => 0,
            Self::Batch => 1,
            Self::Response => 2,
            Self::Item => 3,
            Self::Conversation => 4,
        }
    }

    pub(super) const fn of_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::File),
            1 => Some(Self::Batch),
            2 => Some(Self::Response),
            3 => Some(Self::Item),
            4 => Some(Self::Conversation),
            _ => None,
        }
    }
}

/// One line of the record. A lookup always takes the workspace, so none finds another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub workspace: Id<Workspace>,
    pub id: String,
    pub provider: Id<Provider>,
    /// `None` where the provider needs no key.
    pub credential: Option<Id<Credential>>,
    pub kind: ObjectKind,
    /// A file's.
    pub purpose: Option<String>,
    /// What the provider last said of it, for lists.
    pub shown: Option<Bytes>,
    pub created_at: Timestamp,
}

/// A page of a workspace's objects at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    pub workspace: Id<Workspace>,
    pub provider: Id<Provider>,
    pub kind: ObjectKind,
    pub purpose: Option<String>,
    /// Those behind this one in the list's order; an id that is not on record begins at the beginning.
    pub after: Option<String>,
    pub order: Order,
    pub limit: u32,
}

/// By the moment of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}
