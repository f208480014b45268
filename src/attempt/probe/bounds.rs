//! How much may be asked at once, and what was just heard.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::subject::{Key, Subject};
use crate::domain::entity::{Owner, SavedCredential};
use crate::domain::found::FoundModel;
use crate::domain::protocol::Protocol;

/// Questions in flight. Each may hold an answer of 8 MiB.
const ASKING_MAX: usize = 16;

/// Of one owner: nobody takes all the places.
const ASKING_EACH: usize = 4;

/// How long a list is as good as new: long enough to look at what would change before changing it.
const KEPT: Duration = Duration::from_secs(60);

/// Lists kept, at some 100 KB each for the largest providers.
const KEPT_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Bounds(Arc<Mutex<Vec<Owner>>>);

/// A place among those who ask, given back when it is dropped.
pub(super) struct Place {
    all: Arc<Mutex<Vec<Owner>>>,
    owner: Owner,
}

impl Bounds {
    pub(super) fn take(&self, owner: Owner) -> Option<Place> {
        let mut asking = locked(&self.0);
        if asking.len() >= ASKING_MAX || asking.iter().filter(|one| **one == owner).count() >= ASKING_EACH {
            return None;
        }
        asking.push(owner);
        Some(Place { all: self.0.clone(), owner })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut asking = locked(&self.all);
        if let Some(at) = asking.iter().position(|one| *one == self.owner) {
            asking.swap_remove(at);
        }
    }
}

/// Whose list it is: all that decides what a provider says, the owner before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heading {
    owner: Owner,
    base_url: String,
    protocol: Protocol,
    credential: Option<SavedCredential>,
}

impl Heading {
    /// What is asked with a key that is kept nowhere is not kept either.
    fn of(subject: &Subject) -> Option<Self> {
        let credential = match &subject.key {
            Key::Entered(_) => return None,
            Key::None => None,
            Key::Stored(credential) => Some(credential.saved()),
        };
        let (owner, protocol) = (subject.owner, subject.protocol);
        Some(Self { owner, base_url: subject.base_url.to_string(), protocol, credential })
    }
}

struct Kept {
    heading: Heading,
    at: Instant,
    found: Arc<[FoundModel]>,
}

#[derive(Default)]
pub(super) struct Remembered(Mutex<Vec<Kept>>);

impl Remembered {
    pub(super) fn keep(&self, subject: &Subject, found: &Arc<[FoundModel]>) {
        let Some(heading) = Heading::of(subject) else { return };
        let mut kept = locked(&self.0);
        kept.retain(|one| one.heading != heading && one.at.elapsed() < KEPT);
        if kept.len() >= KEPT_MAX {
            // They stand in the order of their coming.
            kept.remove(0);
        }
        kept.push(Kept { heading, at: Instant::now(), found: found.clone() });
    }

    pub(super) fn find(&self, subject: &Subject) -> Option<Arc<[FoundModel]>> {
        let heading = Heading::of(subject)?;
        let kept = locked(&self.0);
        kept.iter().find(|one| one.heading == heading && one.at.elapsed() < KEPT).map(|one| one.found.clone())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Id;

    #[test]
    fn one_owner_takes_some_places_and_all_together_take_all_and_each_comes_back() {
        let bounds = Bounds::default();
        let owners: Vec<_> = (0..5).map(|_| Owner::Workspace(Id::random())).collect();
        let mut taken: Vec<_> = owners.iter().flat_map(|owner| (0..6).filter_map(|_| bounds.take(*owner))).collect();
        assert_eq!(taken.len(), ASKING_MAX, "four of four owners, and none for the fifth");
        assert!(bounds.take(Owner::Platform).is_none());
        taken.truncate(ASKING_MAX - 1);
        assert!(bounds.take(owners[0]).is_none(), "that one has four");
        assert!(bounds.take(Owner::Platform).is_some());
    }
}
