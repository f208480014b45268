//! A part of the directory by one statement, so that it is one moment's and costs one round trip.

use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::types::{Json, Uuid};
use sqlx::{PgConnection, Row};

use super::link::answered;
use crate::domain::directory::Directory;
use crate::domain::entity::Owner;
use crate::domain::id::Id;
use crate::store::error::StoreError;
use crate::store::part::{Holder, Need, Page, Part, Place};

const PART: &str = include_str!("part.sql");
const EVERYTHING: &str = include_str!("everything.sql");

pub(super) async fn read(connection: &mut PgConnection, part: &Part) -> Result<Directory, StoreError> {
    let rows = match part.needs().contains(&Need::Everything) {
        true => answered(sqlx::query(EVERYTHING).fetch_all(connection)).await?,
        false => asked(part).fetch(connection).await?,
    };
    let mut directory = Directory::default();
    rows.iter().try_for_each(|row| put(&mut directory, row))?;
    Ok(directory)
}

/// The directory's own row.
#[derive(Deserialize)]
struct Numbers {
    version: u64,
    last_number: u32,
}

fn put(directory: &mut Directory, row: &PgRow) -> Result<(), StoreError> {
    let kind: &str = row.try_get(0)?;
    let Json(entity) = row.try_get::<Json<&RawValue>, _>(1)?;
    let text = entity.get();
    match kind {
        "directory" => {
            let numbers: Numbers = entity_of(kind, text)?;
            (directory.version, directory.last_number) = (numbers.version, numbers.last_number);
        }
        "org" => directory.orgs.push(entity_of(kind, text)?),
        "workspace" => directory.workspaces.push(entity_of(kind, text)?),
        "user" => directory.users.push(entity_of(kind, text)?),
        "token" => directory.tokens.push(entity_of(kind, text)?),
        "provider" => directory.providers.push(entity_of(kind, text)?),
        "model" => directory.models.push(entity_of(kind, text)?),
        "credential" => directory.credentials.push(entity_of(kind, text)?),
        "route" => directory.routes.push(entity_of(kind, text)?),
        "identity" => directory.identities.push(entity_of(kind, text)?),
        // Only the two statements above make rows.
        other => return Err(StoreError::Database(format!("it gave a row of the unknown kind {other}"))),
    }
    Ok(())
}

/// The parser's own message would repeat what it stumbled over.
pub(super) fn entity_of<'a, T: Deserialize<'a>>(kind: &str, text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::UnreadableRow { kind: kind.to_string(), column: error.column() })
}

/// The needs, sorted into the statement's arrays.
#[derive(Default)]
struct Asked {
    owners: Vec<Json<Owner>>,
    tokens: Vec<Uuid>,
    hashes: Vec<Vec<u8>>,
    tokens_of_workspace: PagesOf,
    tokens_of_user: PagesOf,
    providers: Vec<Uuid>,
    numbers: Vec<i32>,
    models: Vec<Uuid>,
    credentials: Vec<Uuid>,
    credential_pages: Pages,
    routes: Vec<Uuid>,
    identities: Vec<Uuid>,
    users: Vec<Uuid>,
    emails: Vec<String>,
    user_pages: Pages,
    users_of_org: PagesOf,
    users_of_workspace: PagesOf,
    workspaces: Vec<Uuid>,
    workspace_names: Vec<String>,
    workspace_pages: Pages,
    workspaces_of_org: PagesOf,
    orgs: Vec<Uuid>,
    org_names: Vec<String>,
    org_pages: Pages,
}

#[derive(Default)]
struct Pages {
    after: Vec<Uuid>,
    limit: Vec<i64>,
}

impl Pages {
    fn push<T>(&mut self, page: &Page<T>) {
        // No id is smaller than nil.
        self.after.push(page.after.map_or(Uuid::nil(), Id::uuid));
        self.limit.push(page.limit.into());
    }
}

/// Pages of what somebody has.
#[derive(Default)]
struct PagesOf {
    whose: Vec<Uuid>,
    pages: Pages,
}

impl PagesOf {
    fn push<T>(&mut self, whose: Uuid, page: &Page<T>) {
        self.whose.push(whose);
        self.pages.push(page);
    }
}

fn asked(part: &Part) -> Asked {
    let mut asked = Asked::default();
    for need in part.needs() {
        match need {
            // Asked for by the other statement.
            Need::Everything => {}
            Need::OwnedBy(owner) => asked.owners.push(Json(*owner)),
            Need::Org(id) => asked.orgs.push(id.uuid()),
            Need::OrgNamed(name) => asked.org_names.push(name.to_ascii_lowercase()),
            Need::Orgs(page) => asked.org_pages.push(page),
            Need::Workspace(id) => asked.workspaces.push(id.uuid()),
            Need::WorkspaceNamed(name) => asked.workspace_names.push(name.to_ascii_lowercase()),
            Need::Workspaces(None, page) => asked.workspace_pages.push(page),
            Need::Workspaces(Some(org), page) => asked.workspaces_of_org.push(org.uuid(), page),
            Need::User(id) => asked.users.push(id.uuid()),
            Need::UserEmailed(email) => asked.emails.push(email.to_ascii_lowercase()),
            Need::Users(None, page) => asked.user_pages.push(page),
            Need::Users(Some(Place::Org(org)), page) => asked.users_of_org.push(org.uuid(), page),
            Need::Users(Some(Place::Workspace(id)), page) => asked.users_of_workspace.push(id.uuid(), page),
            Need::Token(id) => asked.tokens.push(id.uuid()),
            Need::TokenHash(hash) => asked.hashes.push(hash.0.to_vec()),
            Need::Tokens(Holder::Workspace(id), page) => asked.tokens_of_workspace.push(id.uuid(), page),
            Need::Tokens(Holder::User(id), page) => asked.tokens_of_user.push(id.uuid(), page),
            Need::Provider(id) => asked.providers.push(id.uuid()),
            Need::Model(id) => asked.models.push(id.uuid()),
            Need::Route(id) => asked.routes.push(id.uuid()),
            Need::Credential(id) => asked.credentials.push(id.uuid()),
            Need::Credentials(page) => asked.credential_pages.push(page),
            Need::Identity(id) => asked.identities.push(id.uuid()),
            // A number beyond a signed one is nobody's.
            Need::Numbered(number) => asked.numbers.extend(i32::try_from(*number)),
        }
    }
    asked
}

impl Asked {
    async fn fetch(self, connection: &mut PgConnection) -> Result<Vec<PgRow>, StoreError> {
        let query = sqlx::query(PART)
            .bind(self.owners)
            .bind(self.tokens)
            .bind(self.hashes)
            .bind(self.tokens_of_workspace.whose)
            .bind(self.tokens_of_workspace.pages.after)
            .bind(self.tokens_of_workspace.pages.limit)
            .bind(self.tokens_of_user.whose)
            .bind(self.tokens_of_user.pages.after)
            .bind(self.tokens_of_user.pages.limit)
            .bind(self.providers)
            .bind(self.numbers)
            .bind(self.models)
            .bind(self.credentials)
            .bind(self.credential_pages.after)
            .bind(self.credential_pages.limit)
            .bind(self.routes)
            .bind(self.identities)
            .bind(self.users)
            .bind(self.emails)
            .bind(self.user_pages.after)
            .bind(self.user_pages.limit)
            .bind(self.users_of_org.whose)
            .bind(self.users_of_org.pages.after)
            .bind(self.users_of_org.pages.limit)
            .bind(self.users_of_workspace.whose)
            .bind(self.users_of_workspace.pages.after)
            .bind(self.users_of_workspace.pages.limit)
            .bind(self.workspaces)
            .bind(self.workspace_names)
            .bind(self.workspace_pages.after)
            .bind(self.workspace_pages.limit)
            .bind(self.workspaces_of_org.whose)
            .bind(self.workspaces_of_org.pages.after)
            .bind(self.workspaces_of_org.pages.limit)
            .bind(self.orgs)
            .bind(self.org_names)
            .bind(self.org_pages.after)
            .bind(self.org_pages.limit);
        answered(query.fetch_all(connection)).await
    }
}
