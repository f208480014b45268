//! Declared routes: the targets of roles and aliases.

use super::model::model_name;
use super::{Declaring, PRIORITIES, PRIORITY, WEIGHTS};
use crate::config::read::Value;
use crate::config::table::Table;
use crate::domain::entity::{Owner, Route, RouteKind, RouteTarget};
use crate::domain::id::Id;
use crate::domain::model_name;

pub(super) fn route(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let role = table.get("role", |value| route_name(value, declaring));
    let alias = table.get("alias", |value| route_name(value, declaring));
    let provider = table.required("provider", "\"openai\"", |value| declaring.providers.find(value));
    let model = table.get("model", |value| {
        let name = model_name(value)?.value;
        declaring.warn_of_unlisted(value, provider?, &name);
        Some(name)
    });
    let priority = table.number("priority", PRIORITY, PRIORITIES);
    let weight = table.number("weight", 1, WEIGHTS);
    let notes = table.get("notes", Value::text);
    let (kind, name) = one_of(table, role, alias)?;
    let provider = provider?;
    let id = Id::declared("route", &format!("{kind:?}/{name}/{provider}/{}", model.as_deref().unwrap_or("")));
    let both_kinds = |other: &Route| other.name == name && other.kind != kind;
    if declaring.directory.routes.iter().any(|other| other.id == id) {
        let what = format!("there are two [[route]] from `{name}` to the same model");
        table.reader.problem(table.at, what, "remove one of them".into());
    } else if declaring.directory.routes.iter().any(both_kinds) {
        let what = format!("`{name}` is both a role and an alias, and the role would always win");
        table.reader.problem(table.at, what, "rename one of them".into());
    }
    declaring.directory.routes.push(Route {
        id,
        number: None,
        owner: Owner::Platform,
        name,
        kind,
        target: RouteTarget { provider, model },
        priority,
        weight,
        notes,
        created_at: declaring.now,
        deleted_at: None,
        declared: true,
    });
    Some(())
}

/// A role's or an alias' name: nothing that would be read as something else before.
fn route_name(value: &Value<'_>, declaring: &Declaring<'_>) -> Option<String> {
    let name = model_name(value)?.value;
    if model_name::is_reserved(&name) {
        return value.wrong(&format!("can't be `{name}`, which has a meaning of its own"), "choose another name");
    }
    if declaring.directory.providers.iter().any(|provider| provider.prefix == name) {
        let what = format!("is `{name}`, which is also a provider's prefix");
        return value.wrong(&what, "rename the route, or give the provider another `prefix`");
    }
    Some(name)
}

fn one_of(table: &Table<'_>, role: Option<String>, alias: Option<String>) -> Option<(RouteKind, String)> {
    match (role, alias) {
        (Some(role), None) => Some((RouteKind::Role, role)),
        (None, Some(alias)) => Some((RouteKind::Alias, alias)),
        (Some(_), Some(_)) => {
            let what = "a [[route]] serves a role or an alias, not both".to_string();
            table.reader.problem(table.at, what, "make two of it".into());
            None
        }
        (None, None) if table.states("role") || table.states("alias") => None,
        (None, None) => {
            table.lacks("role", "\"summariser\"` or `alias = \"fast\"");
            None
        }
    }
}
