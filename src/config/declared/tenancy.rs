//! Declared orgs, workspaces, gates and grants.

use std::collections::BTreeMap;

use super::{Declaring, limits};
use crate::config::read::Value;
use crate::config::table::Table;
use crate::domain::entity::{DefaultChoice, Features, Gate, Grant, Org, Provider, Workspace};
use crate::domain::id::Id;

const GATES: [(&str, Gate); 2] = [("allow", Gate::Allow), ("deny", Gate::Deny)];

/// What an org's plan may include; all of it unless the file says less.
const FEATURES: [(&str, &str); 1] = [("byok", "byok")];

pub(super) fn org(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let id = table.required("id", "\"acme\"", Value::name);
    let name = table.get("name", Value::text);
    let all = || FEATURES.map(|(_, feature)| feature).to_vec();
    let features = table.or(
        "features",
        all(),
        |_| "[\"byok\"]".into(),
        |value| Some(value.list(|feature| feature.choice(&FEATURES))),
    );
    let default_gate = table.choice("default_gate", Gate::Allow, &GATES);
    let limits = limits(table);
    let handle = id?;
    let id = declaring.orgs.add(table.reader, &handle);
    declaring.directory.orgs.push(Org {
        id,
        name: name.unwrap_or(handle.value),
        limits,
        features: Features { byok: features.contains(&"byok") },
        default_gate,
        gates: BTreeMap::new(),
        created_at: declaring.now,
        deleted_at: None,
        declared: true,
    });
    Some(())
}

pub(super) fn workspace(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let id = table.required("id", "\"default\"", Value::name);
    let name = table.get("name", Value::text);
    let org = org_of(table, declaring);
    let default = table.get("default", |value| choice(value, declaring));
    let projects = table.named("projects", |project, value| Some((project.to_string(), choice(value, declaring)?)));
    let fallback_to_platform = table.flag("fallback_to_platform", false);
    let limits = limits(table);
    let handle = id?;
    let id = declaring.workspaces.add(table.reader, &handle);
    declaring.directory.workspaces.push(Workspace {
        id,
        org: org?,
        name: name.unwrap_or(handle.value),
        default,
        projects: projects.into_iter().collect(),
        limits,
        fallback_to_platform,
        created_at: declaring.now,
        deleted_at: None,
        declared: true,
    });
    Some(())
}

/// The org stated, else the only one there is.
fn org_of(table: &mut Table<'_>, declaring: &Declaring<'_>) -> Option<Id<Org>> {
    let only = match declaring.orgs.ids.len() {
        1 => declaring.orgs.ids.values().next().copied(),
        _ => None,
    };
    match only {
        Some(only) if !table.states("org") => {
            table.get("org", |_| Some(only));
            Some(only)
        }
        _ => table.required("org", "\"acme\"", |value| declaring.orgs.find(value)),
    }
}

/// `"provider:model"`, `"prefix:model"`, `"provider"` alone, or `{ provider = "…", model = "…" }`.
fn choice(value: &Value<'_>, declaring: &Declaring<'_>) -> Option<DefaultChoice> {
    if value.is_table() {
        return value.section(|table| {
            let provider = table.required("provider", "\"openai\"", |value| declaring.providers.find(value));
            let model = table.get("model", Value::text);
            Some(DefaultChoice { provider: provider?, model })
        })?;
    }
    let text = value.text()?;
    let (name, model) = text.split_once([':', '/']).unwrap_or((&text, ""));
    let provider = match declaring.providers.named(name) {
        Some(provider) => provider,
        None => by_prefix(value, name, model, declaring)?,
    };
    declaring.warn_of_unlisted(value, provider, model);
    Some(DefaultChoice { provider, model: Some(model.to_string()).filter(|model| !model.is_empty()) })
}

/// Several providers may share a prefix; then the one that declares the model is meant.
fn by_prefix(value: &Value<'_>, prefix: &str, model: &str, declaring: &Declaring<'_>) -> Option<Id<Provider>> {
    let directory = &declaring.directory;
    let sharing =
        || directory.providers.iter().filter(|provider| provider.prefix == prefix).map(|provider| provider.id);
    let declares =
        |provider: &Id<Provider>| directory.models.iter().any(|one| one.provider == *provider && one.model_id == model);
    let several = || {
        value.wrong(
            &format!("names the prefix `{prefix}`, which several providers share"),
            "write { provider = \"…\", model = \"…\" }",
        )
    };
    match (sharing().count(), sharing().filter(declares).count()) {
        (0, _) => declaring.providers.unknown(value, prefix),
        (1, _) => sharing().next(),
        (_, 1) => sharing().find(declares),
        _ => several(),
    }
}

pub(super) fn gate(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let org = table.required("org", "\"acme\"", |value| {
        let org = declaring.orgs.find(value)?;
        let declared = declaring.directory.orgs.iter().position(|one| one.id == org);
        declared.or_else(|| value.wrong("names a stored org", "set its gates through the API, where it is kept"))
    });
    let provider = table.required("provider", "\"openai\"", |value| declaring.providers.find(value));
    let gate = table.required("gate", "\"deny\"", |value| value.choice(&GATES));
    let (org, provider, gate) = (org?, provider?, gate?);
    if declaring.directory.orgs[org].gates.insert(provider, gate).is_some() {
        let what = "there are two [[gate]] for one org and provider".to_string();
        table.reader.problem(table.at, what, "remove one of them".into());
    }
    Some(())
}

pub(super) fn grant(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let credential = table.required("provider", "\"openai\"", |value| {
        let provider = declaring.providers.find(value)?;
        let credential = declaring.directory.credentials.iter().position(|one| one.provider == provider);
        credential.or_else(|| {
            value.wrong("names a provider that declares no key to grant", "give that [[provider]] an `api_key`")
        })
    });
    let workspaces =
        table.required("workspaces", "[\"default\"]", |value| Some(value.list(|one| declaring.workspaces.find(one))));
    let (credential, workspaces) = (credential?, workspaces?);
    let grant = &mut declaring.directory.credentials[credential].grant;
    match grant {
        Grant::All => *grant = Grant::Workspaces(workspaces),
        Grant::Workspaces(granted) => granted.extend(workspaces),
    }
    Some(())
}
