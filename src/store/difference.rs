//! What a rule did to the part it was given: rows added, changed and removed, of each kind. Pure.

use std::collections::HashMap;

use super::error::StoreError;
use super::rows::Row;
use crate::domain::directory::Directory;
use crate::domain::entity::{Credential, Identity, Model, Org, Provider, Route, Token, User, Workspace};

#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) last_number: u32,
    pub(super) orgs: Rows<Org>,
    pub(super) workspaces: Rows<Workspace>,
    pub(super) users: Rows<User>,
    pub(super) tokens: Rows<Token>,
    pub(super) providers: Rows<Provider>,
    pub(super) models: Rows<Model>,
    pub(super) credentials: Rows<Credential>,
    pub(super) routes: Rows<Route>,
    pub(super) identities: Rows<Identity>,
}

/// One kind's.
#[derive(Debug)]
pub(super) struct Rows<T> {
    pub(super) added: Vec<T>,
    pub(super) changed: Vec<Changed<T>>,
    pub(super) removed: Vec<T>,
}

#[derive(Debug)]
pub(super) struct Changed<T> {
    pub(super) old: T,
    pub(super) new: T,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { added: Vec::new(), changed: Vec::new(), removed: Vec::new() }
    }
}

impl Difference {
    pub(super) fn between(before: &Directory, after: &Directory) -> Self {
        Self {
            last_number: after.last_number,
            orgs: Rows::between(before, after),
            workspaces: Rows::between(before, after),
            users: Rows::between(before, after),
            tokens: Rows::between(before, after),
            providers: Rows::between(before, after),
            models: Rows::between(before, after),
            credentials: Rows::between(before, after),
            routes: Rows::between(before, after),
            identities: Rows::between(before, after),
        }
    }

    /// Puts it into the whole from which the part was taken.
    pub(super) fn apply(self, whole: &mut Directory) -> Result<(), StoreError> {
        whole.last_number = self.last_number;
        self.orgs.apply(whole)?;
        self.workspaces.apply(whole)?;
        self.users.apply(whole)?;
        self.tokens.apply(whole)?;
        self.providers.apply(whole)?;
        self.models.apply(whole)?;
        self.credentials.apply(whole)?;
        self.routes.apply(whole)?;
        self.identities.apply(whole)
    }
}

impl<T> Rows<T> {
    /// Every row that is different now, as it was and as it is.
    pub(super) fn touched(&self) -> impl Iterator<Item = &T> {
        let changed = self.changed.iter().flat_map(|changed| [&changed.old, &changed.new]);
        self.added.iter().chain(&self.removed).chain(changed)
    }
}

impl<T: Row> Rows<T> {
    fn between(before: &Directory, after: &Directory) -> Self {
        let mut rows = Self::default();
        let mut old: HashMap<_, _> = T::of(before).iter().map(|row| (row.uuid(), row)).collect();
        for new in T::of(after) {
            match old.remove(&new.uuid()) {
                None => rows.added.push(new.clone()),
                Some(old) if old != new => rows.changed.push(Changed { old: old.clone(), new: new.clone() }),
                Some(_) => {}
            }
        }
        rows.removed.extend(T::of(before).iter().filter(|row| old.contains_key(&row.uuid())).cloned());
        rows
    }

    fn apply(self, whole: &mut Directory) -> Result<(), StoreError> {
        let rows = T::of_mut(whole);
        rows.retain(|row| !self.removed.iter().any(|removed| removed.uuid() == row.uuid()));
        for Changed { new, .. } in self.changed {
            if let Some(row) = rows.iter_mut().find(|row| row.uuid() == new.uuid()) {
                *row = new;
            }
        }
        for new in self.added {
            if rows.iter().any(|row| row.uuid() == new.uuid()) {
                return Err(StoreError::Taken { kind: T::KIND });
            }
            rows.push(new);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Id;
    use crate::domain::time::Timestamp;

    fn orgs(names: &[&str]) -> Directory {
        let org = |name: &&str| Org::new(Id::declared("org", name), name, Timestamp(0));
        Directory { orgs: names.iter().map(org).collect(), ..Directory::default() }
    }

    fn names(directory: &Directory) -> Vec<&str> {
        directory.orgs.iter().map(|org| org.name.as_str()).collect()
    }

    #[test]
    fn what_changed_in_a_part_changes_in_the_whole_and_nothing_else_does() {
        let (before, mut after) = (orgs(&["b", "c"]), orgs(&["b", "d"]));
        after.orgs[0].name = "bb".into();
        after.last_number = 5;
        let mut whole = orgs(&["a", "b", "c", "e"]);
        Difference::between(&before, &after).apply(&mut whole).unwrap();
        assert_eq!((names(&whole), whole.last_number), (vec!["a", "bb", "e", "d"], 5));
    }

    #[test]
    fn a_row_that_was_overlooked_is_not_written_over() {
        let mut whole = orgs(&["a"]);
        let result = Difference::between(&orgs(&[]), &orgs(&["a"])).apply(&mut whole);
        assert!(matches!(result, Err(StoreError::Taken { kind: "org" })));
    }
}
