//! A part of the directory by one statement, so that it is one moment's and costs one round trip.
//!
//! The statement is put together out of what is asked for and nothing else: what `select.rs` does in memory. Each kind's ids
//! are gathered before the kinds that it brings along.

use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::types::Json;
use sqlx::{Arguments, AssertSqlSafe, PgConnection, Row, SqlSafeStr};

use super::asked::{Asked, Given, asked};
use super::link::answered;
use crate::domain::directory::Directory;
use crate::store::error::StoreError;
use crate::store::part::{Need, Part};

const EVERYTHING: &str = include_str!("everything.sql");
const NUMBERS: &str = "select 'directory' as kind, jsonb_build_object('version', version, 'last_number', last_number) as entity from directory";

pub(super) async fn read(connection: &mut PgConnection, part: &Part) -> Result<Directory, StoreError> {
    let rows = match part.needs().contains(&Need::Everything) {
        true => answered(sqlx::query(EVERYTHING).fetch_all(connection)).await?,
        false => {
            let (statement, arguments) = statement(asked(part))?;
            // Only the texts below are in it; whatever was asked for is an argument.
            let statement = AssertSqlSafe(statement).into_sql_str();
            answered(sqlx::query_with(statement, arguments).fetch_all(connection)).await?
        }
    };
    let mut directory = Directory::default();
    rows.iter().try_for_each(|row| put(&mut directory, row))?;
    Ok(directory)
}

/// Ids of rows, or owners: the union of all that its sources give.
struct Gathered {
    name: &'static str,
    column: &'static str,
    /// What something is gathered by, which is asked for or was gathered before, and how.
    sources: &'static [(&'static str, &'static str)],
}

/// In the order in which one needs another. `{name}` is where the arguments of that name stand.
const GATHERED: [Gathered; 14] = [
    Gathered { name: "owned", column: "owner", sources: &[("owned_by", "select unnest({owned_by})")] },
    Gathered {
        name: "tokens_needed",
        column: "id",
        sources: &[
            ("tokens", "select id from tokens where id = any ({tokens})"),
            ("hashes", "select id from tokens where hash = any ({hashes})"),
            (
                "tokens_of_workspace",
                "select found.id from unnest({tokens_of_workspace}) as page (workspace, after, n) cross join lateral (
                     select id from tokens where workspace = page.workspace and id > page.after order by id limit page.n
                 ) as found",
            ),
            (
                "tokens_of_user",
                "select found.id from unnest({tokens_of_user}) as page (holder, after, n) cross join lateral (
                     select id from tokens where holder = page.holder and id > page.after order by id limit page.n
                 ) as found",
            ),
        ],
    },
    Gathered {
        name: "providers_asked",
        column: "id",
        sources: &[
            ("owned", "select providers.id from owned join providers on providers.owner = owned.owner and not deleted"),
            ("providers", "select id from providers where id = any ({providers})"),
            ("numbers", "select id from providers where number = any ({numbers})"),
        ],
    },
    Gathered {
        name: "models_needed",
        column: "id",
        sources: &[
            (
                "providers_asked",
                "select models.id from providers_asked
                 join models on models.provider = providers_asked.id and not deleted",
            ),
            ("models", "select id from models where id = any ({models})"),
            ("numbers", "select id from models where number = any ({numbers})"),
        ],
    },
    Gathered {
        name: "credentials_asked",
        column: "id",
        sources: &[
            ("credentials", "select id from credentials where id = any ({credentials})"),
            ("numbers", "select id from credentials where number = any ({numbers})"),
        ],
    },
    Gathered {
        name: "credentials_needed",
        column: "id",
        sources: &[
            ("credentials_asked", "select id from credentials_asked"),
            (
                "owned",
                "select credentials.id from owned join credentials on credentials.owner = owned.owner and not deleted",
            ),
            (
                "credential_pages",
                "select found.id from unnest({credential_pages}) as page (after, n) cross join lateral (
                     select id from credentials where id > page.after order by id limit page.n
                 ) as found",
            ),
        ],
    },
    Gathered {
        name: "routes_needed",
        column: "id",
        sources: &[
            ("owned", "select routes.id from owned join routes on routes.owner = owned.owner and not deleted"),
            ("routes", "select id from routes where id = any ({routes})"),
            ("numbers", "select id from routes where number = any ({numbers})"),
        ],
    },
    Gathered {
        name: "identities_needed",
        column: "id",
        sources: &[
            ("owned", "select identities.id from owned join identities on identities.owner = owned.owner"),
            ("identities", "select id from identities where id = any ({identities})"),
        ],
    },
    Gathered {
        name: "providers_needed",
        column: "id",
        sources: &[
            ("providers_asked", "select id from providers_asked"),
            ("models_needed", "select models.provider from models_needed join models using (id)"),
            ("credentials_needed", "select credentials.provider from credentials_needed join credentials using (id)"),
            ("routes_needed", "select routes.provider from routes_needed join routes using (id)"),
        ],
    },
    Gathered {
        name: "owners",
        column: "owner",
        sources: &[
            ("owned", "select owner from owned"),
            ("providers_needed", "select providers.owner from providers_needed join providers using (id)"),
            ("credentials_needed", "select credentials.owner from credentials_needed join credentials using (id)"),
            ("routes_needed", "select routes.owner from routes_needed join routes using (id)"),
            ("identities_needed", "select identities.owner from identities_needed join identities using (id)"),
        ],
    },
    Gathered {
        name: "users_asked",
        column: "id",
        sources: &[
            ("users", "select id from users where id = any ({users})"),
            ("emails", "select id from users where email = any ({emails})"),
            (
                "user_pages",
                "select found.id from unnest({user_pages}) as page (after, n) cross join lateral (
                     select id from users where id > page.after order by id limit page.n
                 ) as found",
            ),
            (
                "users_of_org",
                "select found.id from unnest({users_of_org}) as page (org, after, n) cross join lateral (
                     select id from users
                     where id > page.after and (
                         entity -> 'org_roles' ? page.org::text
                         or entity -> 'workspace_roles' ?| array(select id::text from workspaces where org = page.org)
                     )
                     order by id limit page.n
                 ) as found",
            ),
            (
                "users_of_workspace",
                "select found.id from unnest({users_of_workspace}) as page (workspace, after, n) cross join lateral (
                     select id from users
                     where id > page.after and entity -> 'workspace_roles' ? page.workspace::text
                     order by id limit page.n
                 ) as found",
            ),
        ],
    },
    Gathered {
        name: "users_needed",
        column: "id",
        sources: &[
            ("users_asked", "select id from users_asked"),
            ("owners", "select (owner ->> 'user')::uuid from owners where owner ->> 'user' is not null"),
            (
                "tokens_needed",
                "select tokens.holder from tokens_needed join tokens using (id) where holder is not null",
            ),
        ],
    },
    Gathered {
        name: "workspaces_needed",
        column: "id",
        sources: &[
            ("workspaces", "select unnest({workspaces})"),
            ("workspace_names", "select id from workspaces where name = any ({workspace_names}) and not deleted"),
            (
                "workspace_pages",
                "select found.id from unnest({workspace_pages}) as page (after, n) cross join lateral (
                     select id from workspaces where id > page.after and not deleted order by id limit page.n
                 ) as found",
            ),
            (
                "workspaces_of_org",
                "select found.id from unnest({workspaces_of_org}) as page (org, after, n) cross join lateral (
                     select id from workspaces
                     where org = page.org and id > page.after and not deleted order by id limit page.n
                 ) as found",
            ),
            ("owners", "select (owner ->> 'workspace')::uuid from owners where owner ->> 'workspace' is not null"),
            ("tokens_needed", "select tokens.workspace from tokens_needed join tokens using (id)"),
            (
                "users_asked",
                "select role.workspace::uuid from users_asked join users using (id)
                     cross join lateral jsonb_object_keys(users.entity -> 'workspace_roles') as role (workspace)",
            ),
            (
                "credentials_asked",
                "select granted.workspace::uuid from credentials_asked join credentials using (id)
                     cross join lateral jsonb_array_elements_text(credentials.entity -> 'grant' -> 'workspaces')
                         as granted (workspace)",
            ),
        ],
    },
    Gathered {
        name: "orgs_needed",
        column: "id",
        sources: &[
            ("orgs", "select unnest({orgs})"),
            ("org_names", "select id from orgs where name = any ({org_names}) and not deleted"),
            (
                "org_pages",
                "select found.id from unnest({org_pages}) as page (after, n) cross join lateral (
                     select id from orgs where id > page.after and not deleted order by id limit page.n
                 ) as found",
            ),
            ("workspaces_needed", "select workspaces.org from workspaces_needed join workspaces using (id)"),
            (
                "users_asked",
                "select role.org::uuid from users_asked join users using (id)
                     cross join lateral jsonb_object_keys(users.entity -> 'org_roles') as role (org)",
            ),
        ],
    },
];

/// A kind, its table, and where the ids of its rows were gathered.
const KINDS: [(&str, &str, &str); 9] = [
    ("org", "orgs", "orgs_needed"),
    ("workspace", "workspaces", "workspaces_needed"),
    ("user", "users", "users_needed"),
    ("token", "tokens", "tokens_needed"),
    ("provider", "providers", "providers_needed"),
    ("model", "models", "models_needed"),
    ("credential", "credentials", "credentials_needed"),
    ("route", "routes", "routes_needed"),
    ("identity", "identities", "identities_needed"),
];

/// The text differs by what kinds of things are asked for, never by which: the database keeps its plan.
fn statement(asked: Asked) -> Result<(String, PgArguments), StoreError> {
    let mut given = asked.into_given();
    let mut arguments = PgArguments::default();
    let mut gathered: Vec<&str> = Vec::new();
    let mut with: Vec<String> = Vec::new();
    for Gathered { name, column, sources } in &GATHERED {
        let mut parts: Vec<String> = Vec::new();
        for (by, text) in *sources {
            if gathered.contains(by) {
                parts.push((*text).to_string());
            } else if let Some(given) = given.get_mut(by) {
                parts.push(text.replace(&format!("{{{by}}}"), placeholders(given, &mut arguments)?));
            }
        }
        if !parts.is_empty() {
            gathered.push(name);
            // Each once: a union leaves out what comes twice, also within one of its parts.
            let all = match parts.len() {
                1 => format!("select distinct * from ({}) as found", parts[0]),
                _ => parts.join(" union "),
            };
            with.push(format!("{name} ({column}) as ({all})"));
        }
    }
    let mut rows = vec![NUMBERS.to_string()];
    let kinds = KINDS.iter().filter(|(.., ids)| gathered.contains(ids));
    rows.extend(kinds.map(|(kind, table, ids)| format!("select '{kind}', entity from {ids} join {table} using (id)")));
    let with = if with.is_empty() { String::new() } else { format!("with {} ", with.join(", ")) };
    Ok((with + &rows.join(" union all "), arguments))
}

/// Where its arguments stand; they are added when it is first used.
fn placeholders<'a>(given: &'a mut Given, arguments: &mut PgArguments) -> Result<&'a str, StoreError> {
    if given.placeholders.is_empty() {
        let mut all = Vec::new();
        for array in std::mem::take(&mut given.arrays) {
            array.add_to(arguments).map_err(|error| StoreError::Unencodable(error.to_string()))?;
            all.push(format!("${}", arguments.len()));
        }
        given.placeholders = all.join(", ");
    }
    Ok(&given.placeholders)
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
        // Only the statements above make rows.
        other => return Err(StoreError::Database(format!("it gave a row of the unknown kind {other}"))),
    }
    Ok(())
}

/// The parser's own message would repeat what it stumbled over.
fn entity_of<'a, T: Deserialize<'a>>(kind: &str, text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::UnreadableRow { kind: kind.to_string(), column: error.column() })
}
