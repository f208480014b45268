//! The needs of a part, sorted into arrays: the arguments of its statement.

use std::collections::HashMap;

use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::types::{Json, Uuid};

use crate::domain::entity::Owner;
use crate::domain::id::Id;
use crate::store::part::{Holder, Need, Page, Part, Place};

/// By the names under which the statement knows them.
#[derive(Default)]
pub(super) struct Asked(HashMap<&'static str, Wanted>);

/// What is asked for under one name, each of one form.
enum Wanted {
    Ids(Vec<Uuid>),
    Texts(Vec<String>),
    Hashes(Vec<Vec<u8>>),
    Numbers(Vec<i32>),
    Owners(Vec<Json<Owner>>),
    /// After which id, and how many.
    Pages(Vec<Uuid>, Vec<i64>),
    /// Whose, after which id, and how many.
    PagesOf(Vec<Uuid>, Vec<Uuid>, Vec<i64>),
}

/// Arrays that are ready to become arguments.
pub(super) struct Given {
    pub(super) arrays: Vec<Array>,
    /// Where they stand, once they do.
    pub(super) placeholders: String,
}

pub(super) enum Array {
    Ids(Vec<Uuid>),
    Texts(Vec<String>),
    Hashes(Vec<Vec<u8>>),
    Numbers(Vec<i32>),
    Limits(Vec<i64>),
    Owners(Vec<Json<Owner>>),
}

impl Array {
    pub(super) fn add_to(self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        match self {
            Self::Ids(ids) => arguments.add(ids),
            Self::Texts(texts) => arguments.add(texts),
            Self::Hashes(hashes) => arguments.add(hashes),
            Self::Numbers(numbers) => arguments.add(numbers),
            Self::Limits(limits) => arguments.add(limits),
            Self::Owners(owners) => arguments.add(owners),
        }
    }
}

impl Asked {
    pub(super) fn into_given(self) -> HashMap<&'static str, Given> {
        let given = |wanted| Given { arrays: arrays(wanted), placeholders: String::new() };
        self.0.into_iter().map(|(name, wanted)| (name, given(wanted))).collect()
    }

    fn id(&mut self, name: &'static str, id: Uuid) {
        if let Wanted::Ids(ids) = self.0.entry(name).or_insert(Wanted::Ids(Vec::new())) {
            ids.push(id);
        }
    }

    /// Names are compared as the tables keep them.
    fn text(&mut self, name: &'static str, text: &str) {
        if let Wanted::Texts(texts) = self.0.entry(name).or_insert(Wanted::Texts(Vec::new())) {
            texts.push(text.to_ascii_lowercase());
        }
    }

    fn page<T>(&mut self, name: &'static str, page: &Page<T>) {
        if let Wanted::Pages(after, limit) = self.0.entry(name).or_insert(Wanted::Pages(Vec::new(), Vec::new())) {
            after.push(beginning(page));
            limit.push(page.limit.into());
        }
    }

    fn page_of<T>(&mut self, name: &'static str, whose: Uuid, page: &Page<T>) {
        let none = || Wanted::PagesOf(Vec::new(), Vec::new(), Vec::new());
        if let Wanted::PagesOf(of, after, limit) = self.0.entry(name).or_insert_with(none) {
            of.push(whose);
            after.push(beginning(page));
            limit.push(page.limit.into());
        }
    }
}

/// No id is smaller than nil.
fn beginning<T>(page: &Page<T>) -> Uuid {
    page.after.map_or(Uuid::nil(), Id::uuid)
}

fn arrays(wanted: Wanted) -> Vec<Array> {
    match wanted {
        Wanted::Ids(ids) => vec![Array::Ids(ids)],
        Wanted::Texts(texts) => vec![Array::Texts(texts)],
        Wanted::Hashes(hashes) => vec![Array::Hashes(hashes)],
        Wanted::Numbers(numbers) => vec![Array::Numbers(numbers)],
        Wanted::Owners(owners) => vec![Array::Owners(owners)],
        Wanted::Pages(after, limit) => vec![Array::Ids(after), Array::Limits(limit)],
        Wanted::PagesOf(of, after, limit) => vec![Array::Ids(of), Array::Ids(after), Array::Limits(limit)],
    }
}

pub(super) fn asked(part: &Part) -> Asked {
    let mut asked = Asked::default();
    let (mut owners, mut hashes, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for need in part.needs() {
        match need {
            // Asked for by a statement of its own.
            Need::Everything => {}
            Need::OwnedBy(owner) => owners.push(Json(*owner)),
            Need::Org(id) => asked.id("orgs", id.uuid()),
            Need::OrgNamed(name) => asked.text("org_names", name),
            Need::Orgs(page) => asked.page("org_pages", page),
            Need::Workspace(id) => asked.id("workspaces", id.uuid()),
            Need::WorkspaceNamed(name) => asked.text("workspace_names", name),
            Need::Workspaces(None, page) => asked.page("workspace_pages", page),
            Need::Workspaces(Some(org), page) => asked.page_of("workspaces_of_org", org.uuid(), page),
            Need::User(id) => asked.id("users", id.uuid()),
            Need::UserEmailed(email) => asked.text("emails", email),
            Need::Users(None, page) => asked.page("user_pages", page),
            Need::Users(Some(Place::Org(org)), page) => asked.page_of("users_of_org", org.uuid(), page),
            Need::Users(Some(Place::Workspace(id)), page) => asked.page_of("users_of_workspace", id.uuid(), page),
            Need::Token(id) => asked.id("tokens", id.uuid()),
            Need::TokenHash(hash) => hashes.push(hash.0.to_vec()),
            Need::Tokens(Holder::Workspace(id), page) => asked.page_of("tokens_of_workspace", id.uuid(), page),
            Need::Tokens(Holder::User(id), page) => asked.page_of("tokens_of_user", id.uuid(), page),
            Need::Provider(id) => asked.id("providers", id.uuid()),
            Need::Model(id) => asked.id("models", id.uuid()),
            Need::Route(id) => asked.id("routes", id.uuid()),
            Need::Credential(id) => asked.id("credentials", id.uuid()),
            Need::Credentials(page) => asked.page("credential_pages", page),
            Need::Identity(id) => asked.id("identities", id.uuid()),
            // A number beyond a signed one is nobody's.
            Need::Numbered(number) => numbers.extend(i32::try_from(*number)),
        }
    }
    let lists = [
        ("owned_by", !owners.is_empty(), Wanted::Owners(owners)),
        ("hashes", !hashes.is_empty(), Wanted::Hashes(hashes)),
        ("numbers", !numbers.is_empty(), Wanted::Numbers(numbers)),
    ];
    asked.0.extend(lists.into_iter().filter(|(_, is_asked, _)| *is_asked).map(|(name, _, wanted)| (name, wanted)));
    asked
}
