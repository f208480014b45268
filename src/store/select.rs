//! A part of a directory that is in memory. Pure; what the database's queries must agree with.

use std::collections::HashSet;
use std::hash::Hash;

use super::part::{Holder, Need, Page, Part, Place};
use crate::domain::directory::Directory;
use crate::domain::entity::{Credential, Grant, Identity, Model, Org, Owner, Provider, Route, Token, User, Workspace};
use crate::domain::id::Id;

/// The rows of `whole` that `part` needs, in the order they stand in.
pub(super) fn select(whole: &Directory, part: &Part) -> Directory {
    if part.needs().contains(&Need::Everything) {
        return whole.clone();
    }
    let mut wanted = Wanted::new(whole);
    part.needs().iter().for_each(|need| wanted.add(need));
    wanted.bring_along();
    wanted.rows()
}

/// Ids of the rows that go along.
struct Wanted<'a> {
    whole: &'a Directory,
    orgs: HashSet<Id<Org>>,
    workspaces: HashSet<Id<Workspace>>,
    users: HashSet<Id<User>>,
    tokens: HashSet<Id<Token>>,
    providers: HashSet<Id<Provider>>,
    models: HashSet<Id<Model>>,
    credentials: HashSet<Id<Credential>>,
    routes: HashSet<Id<Route>>,
    identities: HashSet<Id<Identity>>,
}

impl<'a> Wanted<'a> {
    fn new(whole: &'a Directory) -> Self {
        Self {
            whole,
            orgs: HashSet::new(),
            workspaces: HashSet::new(),
            users: HashSet::new(),
            tokens: HashSet::new(),
            providers: HashSet::new(),
            models: HashSet::new(),
            credentials: HashSet::new(),
            routes: HashSet::new(),
            identities: HashSet::new(),
        }
    }

    fn add(&mut self, need: &Need) {
        let whole = self.whole;
        let living_org = |org: &&Org| org.deleted_at.is_none();
        let living = |workspace: &&Workspace| workspace.deleted_at.is_none();
        match need {
            // Asked for alone, before.
            Need::Everything => {}
            Need::OwnedBy(owner) => self.owned_by(*owner),
            Need::Org(id) => drop(self.orgs.insert(*id)),
            Need::OrgNamed(name) => {
                let named = whole.orgs.iter().filter(living_org).filter(|one| is_same_name(&one.name, name));
                self.orgs.extend(named.map(|one| one.id));
            }
            Need::Orgs(page) => self.orgs.extend(paged(whole.orgs.iter().filter(living_org).map(|one| one.id), page)),
            Need::Workspace(id) => drop(self.workspaces.insert(*id)),
            Need::WorkspaceNamed(name) => {
                let named = whole.workspaces.iter().filter(living).filter(|one| is_same_name(&one.name, name));
                self.workspaces.extend(named.map(|one| one.id));
            }
            Need::Workspaces(org, page) => {
                let of = whole.workspaces.iter().filter(living).filter(|one| org.is_none_or(|org| one.org == org));
                self.workspaces.extend(paged(of.map(|one| one.id), page));
            }
            Need::User(id) => self.users_with_places(whole.users.iter().filter(|one| one.id == *id)),
            Need::UserEmailed(email) => {
                self.users_with_places(whole.users.iter().filter(|one| is_same_name(&one.email, email)));
            }
            Need::Users(place, page) => {
                let of = whole.users.iter().filter(|one| place.is_none_or(|place| is_in(whole, one, place)));
                let ids: HashSet<_> = paged(of.map(|one| one.id), page).into_iter().collect();
                self.users_with_places(whole.users.iter().filter(|one| ids.contains(&one.id)));
            }
            Need::Token(id) => drop(self.tokens.insert(*id)),
            Need::TokenHash(hash) => {
                self.tokens.extend(whole.tokens.iter().filter(|one| one.hash == *hash).map(|one| one.id));
            }
            Need::Tokens(holder, page) => {
                let of = whole.tokens.iter().filter(|one| match holder {
                    Holder::Workspace(id) => one.workspace == *id,
                    Holder::User(id) => one.user == Some(*id),
                });
                self.tokens.extend(paged(of.map(|one| one.id), page));
            }
            Need::Provider(id) => self.provider(*id),
            Need::Model(id) => drop(self.models.insert(*id)),
            Need::Route(id) => drop(self.routes.insert(*id)),
            Need::Credential(id) => self.credential(*id),
            Need::Credentials(page) => self.credentials.extend(paged(whole.credentials.iter().map(|one| one.id), page)),
            Need::Identity(id) => drop(self.identities.insert(*id)),
            Need::Numbered(number) => self.numbered(*number),
        }
    }

    fn owned_by(&mut self, owner: Owner) {
        let whole = self.whole;
        self.owner(owner);
        let providers = whole.providers.iter().filter(|one| one.owner == owner && one.deleted_at.is_none());
        let own: HashSet<_> = providers.map(|one| one.id).collect();
        let models = whole.models.iter().filter(|one| own.contains(&one.provider) && one.deleted_at.is_none());
        self.models.extend(models.map(|one| one.id));
        self.providers.extend(own);
        let routes = whole.routes.iter().filter(|one| one.owner == owner && one.deleted_at.is_none());
        self.routes.extend(routes.map(|one| one.id));
        let credentials = whole.credentials.iter().filter(|one| one.owner == owner && one.deleted_at.is_none());
        self.credentials.extend(credentials.map(|one| one.id));
        self.identities.extend(whole.identities.iter().filter(|one| one.owner == owner).map(|one| one.id));
    }

    fn owner(&mut self, owner: Owner) {
        match owner {
            Owner::Platform => {}
            Owner::Workspace(id) => drop(self.workspaces.insert(id)),
            Owner::User(id) => drop(self.users.insert(id)),
        }
    }

    fn users_with_places(&mut self, users: impl Iterator<Item = &'a User>) {
        for user in users {
            self.users.insert(user.id);
            self.orgs.extend(user.org_roles.keys());
            self.workspaces.extend(user.workspace_roles.keys());
        }
    }

    fn provider(&mut self, id: Id<Provider>) {
        self.providers.insert(id);
        let models = self.whole.models.iter().filter(|one| one.provider == id && one.deleted_at.is_none());
        self.models.extend(models.map(|one| one.id));
    }

    fn credential(&mut self, id: Id<Credential>) {
        self.credentials.insert(id);
        for credential in self.whole.credentials.iter().filter(|one| one.id == id) {
            if let Grant::Workspaces(granted) = &credential.grant {
                self.workspaces.extend(granted);
            }
        }
    }

    fn numbered(&mut self, number: u32) {
        let (whole, number) = (self.whole, Some(number));
        whole.providers.iter().filter(|one| one.number == number).for_each(|one| self.provider(one.id));
        self.models.extend(whole.models.iter().filter(|one| one.number == number).map(|one| one.id));
        self.routes.extend(whole.routes.iter().filter(|one| one.number == number).map(|one| one.id));
        whole.credentials.iter().filter(|one| one.number == number).for_each(|one| self.credential(one.id));
    }

    /// Each kind before the kinds that it brings.
    fn bring_along(&mut self) {
        let whole = self.whole;
        for token in whole.tokens.iter().filter(|one| self.tokens.contains(&one.id)) {
            self.workspaces.insert(token.workspace);
            self.users.extend(token.user);
        }
        for model in whole.models.iter().filter(|one| self.models.contains(&one.id)) {
            self.providers.insert(model.provider);
        }
        for route in whole.routes.iter() {
            if self.routes.contains(&route.id) {
                self.providers.insert(route.target.provider);
                self.owner(route.owner);
            }
        }
        for credential in &whole.credentials {
            if self.credentials.contains(&credential.id) {
                self.providers.insert(credential.provider);
                self.owner(credential.owner);
            }
        }
        for identity in &whole.identities {
            if self.identities.contains(&identity.id) {
                self.owner(identity.owner);
            }
        }
        for provider in &whole.providers {
            if self.providers.contains(&provider.id) {
                self.owner(provider.owner);
            }
        }
        for workspace in whole.workspaces.iter().filter(|one| self.workspaces.contains(&one.id)) {
            self.orgs.insert(workspace.org);
        }
    }

    fn rows(&self) -> Directory {
        let whole = self.whole;
        Directory {
            version: whole.version,
            last_number: whole.last_number,
            orgs: picked(&whole.orgs, &self.orgs, |one| one.id),
            workspaces: picked(&whole.workspaces, &self.workspaces, |one| one.id),
            users: picked(&whole.users, &self.users, |one| one.id),
            tokens: picked(&whole.tokens, &self.tokens, |one| one.id),
            providers: picked(&whole.providers, &self.providers, |one| one.id),
            models: picked(&whole.models, &self.models, |one| one.id),
            credentials: picked(&whole.credentials, &self.credentials, |one| one.id),
            routes: picked(&whole.routes, &self.routes, |one| one.id),
            identities: picked(&whole.identities, &self.identities, |one| one.id),
        }
    }
}

fn picked<T: Clone, I: Eq + Hash>(rows: &[T], wanted: &HashSet<I>, id: impl Fn(&T) -> I) -> Vec<T> {
    rows.iter().filter(|row| wanted.contains(&id(row))).cloned().collect()
}

fn paged<T>(ids: impl Iterator<Item = Id<T>>, page: &Page<T>) -> Vec<Id<T>> {
    let mut ids: Vec<_> = ids.filter(|id| page.after.is_none_or(|after| *id > after)).collect();
    ids.sort_unstable();
    ids.truncate(page.limit as usize);
    ids
}

fn is_same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn is_in(whole: &Directory, user: &User, place: Place) -> bool {
    match place {
        Place::Workspace(id) => user.workspace_roles.contains_key(&id),
        Place::Org(id) => {
            let of_org =
                |workspace: &Workspace| workspace.org == id && user.workspace_roles.contains_key(&workspace.id);
            user.org_roles.contains_key(&id) || whole.workspaces.iter().any(of_org)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::preset::PRESETS;
    use crate::domain::time::Timestamp;
    use crate::domain::token::TokenHash;
    use crate::store::seal::credential::tests::credential;

    /// Two orgs; `a` has the workspaces `one` and `two`, each with a token, the first with a provider and a key for it.
    fn whole() -> Directory {
        let orgs = ["a", "b"].map(|name| Org::new(id("org", name), name, Timestamp(0)));
        let workspaces =
            ["one", "two"].map(|name| Workspace::new(id("workspace", name), orgs[0].id, name, Timestamp(0)));
        let token = |one: &Workspace, fill| {
            let hash = TokenHash([fill; 32]);
            Token::new(Id::from_uuid(uuid::Uuid::from_u128(fill.into())), hash, one.id, "x", Timestamp(0))
        };
        let owner = Owner::Workspace(workspaces[0].id);
        let provider = |owner, name: &str| {
            let url = "https://api.example.com".parse().unwrap();
            Provider::new(id("provider", name), owner, name, &PRESETS[0], url, Timestamp(0))
        };
        let (own, shared) = (provider(owner, "own"), provider(Owner::Platform, "shared"));
        let models = [&own, &shared].map(|one| Model::new(Id::random(), one.id, "m", Timestamp(0)));
        let key = Credential { owner, provider: shared.id, number: Some(7), ..credential() };
        let mut user = User {
            id: id("user", "ada"),
            email: "ada@example.com".into(),
            name: String::new(),
            limits: Default::default(),
            platform_admin: false,
            disabled: false,
            org_roles: Default::default(),
            workspace_roles: Default::default(),
            created_at: Timestamp(0),
        };
        user.workspace_roles.insert(workspaces[1].id, crate::domain::permission::AccessRole::Member);
        Directory {
            version: 3,
            last_number: 7,
            tokens: vec![token(&workspaces[0], 1), token(&workspaces[1], 2)],
            orgs: orgs.into(),
            workspaces: workspaces.into(),
            users: vec![user],
            providers: vec![own, shared],
            models: models.into(),
            credentials: vec![key],
            ..Directory::default()
        }
    }

    fn id<T>(kind: &str, name: &str) -> Id<T> {
        Id::declared(kind, name)
    }

    /// The names of what comes, kind by kind.
    fn seen(needs: impl IntoIterator<Item = Need>) -> String {
        let part = select(&whole(), &Part::of(needs));
        assert_eq!((part.version, part.last_number), (3, 7));
        let orgs = part.orgs.iter().map(|one| format!("org {}", one.name));
        let workspaces = part.workspaces.iter().map(|one| format!("workspace {}", one.name));
        let users = part.users.iter().map(|one| one.email.clone());
        let tokens = part.tokens.iter().map(|one| format!("token {}", one.hash.0[0]));
        let providers = part.providers.iter().map(|one| format!("provider {}", one.name));
        let models = part.models.iter().map(|_| "model".to_string());
        let keys = part.credentials.iter().map(|_| "key".to_string());
        let all = orgs.chain(workspaces).chain(users).chain(tokens).chain(providers).chain(models).chain(keys);
        all.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn nothing_comes_that_was_not_asked_for() {
        assert_eq!(seen([]), "");
        assert_eq!(seen([Need::OrgNamed("B".into())]), "org b");
        assert_eq!(seen([Need::OrgNamed("c".into()), Need::Workspace(Id::random())]), "");
    }

    #[test]
    fn a_row_brings_what_it_can_t_be_judged_without() {
        assert_eq!(seen([Need::WorkspaceNamed("one".into())]), "org a, workspace one");
        assert_eq!(seen([Need::TokenHash(TokenHash([2; 32]))]), "org a, workspace two, token 2");
        assert_eq!(seen([Need::Numbered(7)]), "org a, workspace one, provider shared, key");
        assert_eq!(seen([Need::UserEmailed("Ada@example.com".into())]), "org a, workspace two, ada@example.com");
        assert_eq!(seen([Need::Provider(id("provider", "own"))]), "org a, workspace one, provider own, model");
    }

    #[test]
    fn an_owner_s_things_come_with_the_owner_and_nobody_else_s_do() {
        assert_eq!(seen([Need::OwnedBy(Owner::Platform)]), "provider shared, model");
        let one = Owner::Workspace(id("workspace", "one"));
        assert_eq!(seen([Need::OwnedBy(one)]), "org a, workspace one, provider own, provider shared, model, key");
        let two = Owner::Workspace(id("workspace", "two"));
        assert_eq!(seen([Need::OwnedBy(two)]), "org a, workspace two");
    }

    #[test]
    fn pages_follow_one_another_without_a_gap() {
        let whole = whole();
        let (mut after, mut ids) = (None, Vec::new());
        loop {
            let page = select(&whole, &Need::Orgs(Page { after, limit: 1 }).into());
            let Some(org) = page.orgs.first() else { break };
            assert_eq!(page.orgs.len(), 1);
            (after, ids) = (Some(org.id), [ids, vec![org.id]].concat());
        }
        assert!(ids.len() == 2 && ids.is_sorted());
    }

    #[test]
    fn users_are_found_where_they_have_a_role() {
        let of = |place| seen([Need::Users(Some(place), Page::first(10))]);
        assert!(of(Place::Workspace(id("workspace", "two"))).contains("ada"));
        assert!(of(Place::Org(id("org", "a"))).contains("ada"));
        assert_eq!(of(Place::Workspace(id("workspace", "one"))), "");
        assert_eq!(of(Place::Org(id("org", "b"))), "");
    }

    #[test]
    fn what_is_deleted_comes_by_its_id_only() {
        let mut whole = whole();
        whole.workspaces[0].deleted_at = Some(Timestamp(1));
        let count = |need: Need| select(&whole, &need.into()).workspaces.len();
        assert_eq!(count(Need::Workspace(id("workspace", "one"))), 1);
        assert_eq!(count(Need::WorkspaceNamed("one".into())), 0);
        assert_eq!(count(Need::Workspaces(None, Page::first(10))), 1);
    }
}
