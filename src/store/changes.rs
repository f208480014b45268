//! What a change touched, so that whoever keeps copies knows which to let go. Pure.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::difference::Difference;
use crate::domain::directory::Directory;
use crate::domain::entity::{Org, Owner, User, Workspace};
use crate::domain::id::Id;
use crate::domain::token::TokenHash;

/// Changes that are remembered one by one. Whoever lags further behind reads everything anew, as after a start; at one
/// change a second this is almost three hours.
pub(super) const CHANGES_KEPT: u64 = 10_000;

/// More ids than this in one change are not listed: reading everything anew is no dearer then.
const TOUCHED_MAX: usize = 1_000;

/// What is different from an earlier version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The version this leads to.
    pub version: u64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    These(Touched),
    /// Too much to list, too long ago, or another directory altogether.
    Everything,
}

/// Whatever is kept of these must be read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Touched {
    /// Something that the platform owns.
    pub platform: bool,
    /// The orgs' own rows: features, gates, limits.
    pub orgs: BTreeSet<Id<Org>>,
    /// The workspaces' rows, or something they own.
    pub workspaces: BTreeSet<Id<Workspace>>,
    /// The users' rows, or something they own.
    pub users: BTreeSet<Id<User>>,
    pub tokens: BTreeSet<TokenHash>,
}

impl What {
    /// `before` and `after` are the part that the difference was taken of.
    pub(super) fn of(difference: &Difference, before: &Directory, after: &Directory) -> Self {
        let mut touched = Touched::default();
        touched.orgs.extend(difference.orgs.touched().map(|one| one.id));
        touched.workspaces.extend(difference.workspaces.touched().map(|one| one.id));
        touched.users.extend(difference.users.touched().map(|one| one.id));
        touched.tokens.extend(difference.tokens.touched().map(|one| one.hash));
        difference.providers.touched().for_each(|one| touched.owner(one.owner));
        difference.credentials.touched().for_each(|one| touched.owner(one.owner));
        difference.routes.touched().for_each(|one| touched.owner(one.owner));
        difference.identities.touched().for_each(|one| touched.owner(one.owner));
        let provider = |id| after.providers.iter().chain(&before.providers).find(|one| one.id == id);
        for model in difference.models.touched() {
            // A model whose provider the rule did not see could be anybody's.
            let Some(provider) = provider(model.provider) else { return Self::Everything };
            touched.owner(provider.owner);
        }
        Self::These(touched).bounded()
    }

    fn bounded(self) -> Self {
        match &self {
            Self::These(touched) if touched.len() > TOUCHED_MAX => Self::Everything,
            Self::These(_) | Self::Everything => self,
        }
    }

    fn and(self, later: Self) -> Self {
        match (self, later) {
            (Self::These(mut all), Self::These(later)) => {
                all.extend(later);
                Self::These(all)
            }
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
        }
    }

    pub(super) fn nothing() -> Self {
        Self::These(Touched::default())
    }

    /// All of these changes as one.
    pub(super) fn together(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::nothing(), Self::and)
    }
}

impl Touched {
    fn owner(&mut self, owner: Owner) {
        match owner {
            Owner::Platform => self.platform = true,
            Owner::Workspace(id) => drop(self.workspaces.insert(id)),
            Owner::User(id) => drop(self.users.insert(id)),
        }
    }

    fn extend(&mut self, other: Self) {
        self.platform |= other.platform;
        self.orgs.extend(other.orgs);
        self.workspaces.extend(other.workspaces);
        self.users.extend(other.users);
        self.tokens.extend(other.tokens);
    }

    fn len(&self) -> usize {
        self.orgs.len() + self.workspaces.len() + self.users.len() + self.tokens.len()
    }
}

/// The newest changes, for a store in memory.
#[derive(Debug, Default)]
pub(super) struct ChangeLog {
    /// The version and what led to it, oldest first and without a gap.
    changes: VecDeque<(u64, What)>,
}

impl ChangeLog {
    pub(super) fn push(&mut self, version: u64, what: What) {
        self.changes.push_back((version, what));
        if self.changes.len() as u64 > CHANGES_KEPT {
            self.changes.pop_front();
        }
    }

    pub(super) fn since(&self, since: u64, version: u64) -> Changes {
        let newer = self.changes.iter().filter(|(version, _)| *version > since).map(|(_, what)| what.clone());
        Changes::of(since, version, newer.collect())
    }
}

impl Changes {
    /// `newer` are the changes after `since` that are still known; a missing one makes it everything.
    pub(super) fn of(since: u64, version: u64, newer: Vec<What>) -> Self {
        let complete = version.checked_sub(since) == Some(newer.len() as u64);
        let what = if complete { What::together(newer) } else { What::Everything };
        Self { version, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entity::{Model, Provider};
    use crate::domain::time::Timestamp;

    fn org(name: &str) -> Org {
        Org::new(Id::declared("org", name), name, Timestamp(0))
    }

    fn touching(name: &str) -> What {
        let orgs = [Id::declared("org", name)].into();
        What::These(Touched { orgs, ..Touched::default() })
    }

    #[test]
    fn a_change_names_the_rows_it_touched_and_not_those_it_only_saw() {
        let before = Directory { orgs: vec![org("a"), org("b")], ..Directory::default() };
        let mut after = before.clone();
        after.orgs[1].features.byok = false;
        assert_eq!(What::of(&Difference::between(&before, &after), &before, &after), touching("b"));
    }

    #[test]
    fn a_model_touches_its_provider_s_owner() {
        let url = "https://api.example.com".parse().unwrap();
        let preset = &crate::domain::preset::PRESETS[0];
        let provider = Provider::new(Id::random(), Owner::Platform, "p", preset, url, Timestamp(0));
        let model = Model::new(Id::random(), provider.id, "m", Timestamp(0));
        let before = Directory { providers: vec![provider], ..Directory::default() };
        let after = Directory { models: vec![model.clone()], ..before.clone() };
        let platform = What::These(Touched { platform: true, ..Touched::default() });
        assert_eq!(What::of(&Difference::between(&before, &after), &before, &after), platform);
        let (before, after) = (Directory::default(), Directory { models: vec![model], ..Directory::default() });
        assert_eq!(What::of(&Difference::between(&before, &after), &before, &after), What::Everything);
    }

    #[test]
    fn whoever_lags_too_far_behind_or_comes_from_elsewhere_reads_everything() {
        let mut log = ChangeLog::default();
        for version in 1..=CHANGES_KEPT + 1 {
            log.push(version, touching("a"));
        }
        let version = CHANGES_KEPT + 1;
        assert_eq!(log.since(version, version).what, What::nothing());
        assert_eq!(log.since(version - 2, version), Changes { version, what: touching("a") });
        assert_eq!(log.since(1, version).what, touching("a"));
        assert_eq!(log.since(0, version).what, What::Everything);
        assert_eq!(log.since(version + 1, version).what, What::Everything);
    }

    #[test]
    fn a_change_that_touches_too_much_to_list_is_everything() {
        let orgs = (0..TOUCHED_MAX + 1).map(|_| Id::random()).collect();
        assert_eq!(What::These(Touched { orgs, ..Touched::default() }).bounded(), What::Everything);
    }
}
