//! Long lists in pages: the things behind the last one seen, in the order of their ids, so that a page costs the same
//! wherever it lies and nothing is shown twice or left out while others come and go.

use uuid::Uuid;

use crate::domain::id::Id;
use crate::store::part;

/// Things on a page if nobody says how many, and at most.
pub const PAGE_DEFAULT: u32 = 50;
pub const PAGE_MAX: u32 = 200;

/// Which page is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub after: Option<Uuid>,
    pub limit: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self { after: None, limit: PAGE_DEFAULT }
    }
}

impl Page {
    /// The store's rows that make the page, and one more, which says that there is another page.
    pub(super) fn rows<T>(self) -> part::Page<T> {
        part::Page { after: self.after.map(Id::from_uuid), limit: self.limit.saturating_add(1) }
    }
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    pub items: Vec<T>,
    /// The last one's id, if there are more behind it.
    pub next: Option<Uuid>,
}

impl<T> Paged<T> {
    /// Cuts a page out of all there are; `shown` makes what a reader sees of those that are on it.
    pub fn of<A>(all: impl Iterator<Item = (Uuid, A)>, page: Page, shown: impl FnMut(A) -> T) -> Self {
        let mut behind: Vec<(Uuid, A)> = all.filter(|(id, _)| page.after.is_none_or(|after| *id > after)).collect();
        behind.sort_unstable_by_key(|(id, _)| *id);
        let limit = page.limit as usize;
        let next = if behind.len() > limit { limit.checked_sub(1).map(|last| behind[last].0) } else { None };
        behind.truncate(limit);
        Self { items: behind.into_iter().map(|(_, one)| one).map(shown).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_show_everything_once() {
        let all: Vec<Uuid> = (0..7).map(Uuid::from_u128).collect();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = Paged::of(all.iter().rev().map(|id| (*id, *id)), Page { after, limit: 3 }, |id| id);
            assert!(page.items.len() <= 3);
            seen.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }
}
