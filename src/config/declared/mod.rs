//! The entities that a file declares, checked against each other, as a directory of their own.
//!
//! They are read in an order in which each refers only to earlier ones, so a reference is checked where it is read.

mod model;
mod provider;
mod route;
mod tenancy;

use std::collections::BTreeMap;

pub(super) use self::provider::some_url;
use super::read::Value;
use super::table::{Reader, Table, Written};
use crate::domain::address::Egress;
use crate::domain::directory::Directory;
use crate::domain::entity::{Identity, Listing, Org, Owner, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::limits::Limits;
use crate::domain::nearest::nearest;
use crate::domain::time::Timestamp;

/// In the middle, so that there is room before and behind those that say nothing.
const PRIORITY: u32 = 100;

const WEIGHTS: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const PRIORITIES: std::ops::RangeInclusive<u64> = 0..=u32::MAX as u64;
const AT_LEAST_ONE: std::ops::RangeInclusive<u64> = 1..=u64::MAX;

/// Everything that `[[provider]]`, `[[model]]` and the like declare.
pub(super) fn directory(root: &mut Table<'_>, egress: &Egress, now: Timestamp) -> Directory {
    let mut declaring = Declaring {
        egress,
        now,
        directory: Directory::default(),
        identities: Named::new("identity"),
        providers: Named::new("provider"),
        orgs: Named::new("org"),
        workspaces: Named::new("workspace"),
    };
    root.each("identity", |table| identity(table, &mut declaring));
    root.each("provider", |table| provider::provider(table, &mut declaring));
    root.each("model", |table| model::model(table, &mut declaring));
    root.each("route", |table| route::route(table, &mut declaring));
    root.each("org", |table| tenancy::org(table, &mut declaring));
    root.each("workspace", |table| tenancy::workspace(table, &mut declaring));
    root.each("gate", |table| tenancy::gate(table, &mut declaring));
    root.each("grant", |table| tenancy::grant(table, &mut declaring));
    declaring.directory.number_declared();
    declaring.directory
}

/// What has been declared so far.
struct Declaring<'e> {
    egress: &'e Egress,
    now: Timestamp,
    directory: Directory,
    identities: Named<Identity>,
    providers: Named<Provider>,
    orgs: Named<Org>,
    workspaces: Named<Workspace>,
}

impl Declaring<'_> {
    /// A model that a listed provider does not declare may still be discovered, so this is no problem yet.
    fn warn_of_unlisted(&self, value: &Value<'_>, provider: Id<Provider>, model: &str) {
        let listed = self.directory.providers.iter().find(|one| one.id == provider && one.models == Listing::Listed);
        let declared = self.directory.models.iter().any(|one| one.provider == provider && one.model_id == model);
        if let (Some(listed), false, false) = (listed, declared, model.is_empty()) {
            let what = format!(
                "`{}` names the model `{model}`, which no [[model]] declares for `{}`",
                value.path, listed.name
            );
            let remedy = "add the [[model]], unless it will be discovered or stored".to_string();
            value.reader.warning(value.at, what, remedy);
        }
    }
}

/// The names of one kind of entity. A name stands here even if the rest of its entity is wrong: that is one problem,
/// not one for each line that refers to it.
struct Named<T> {
    kind: &'static str,
    ids: BTreeMap<String, Id<T>>,
}

impl<T> Named<T> {
    fn new(kind: &'static str) -> Self {
        Self { kind, ids: BTreeMap::new() }
    }

    fn add(&mut self, reader: &Reader<'_>, name: &Written<String>) -> Id<T> {
        let id = Id::declared(self.kind, &name.value);
        if self.ids.insert(name.value.clone(), id).is_some() {
            let what = format!("there are two [[{}]] with the id `{}`", self.kind, name.value);
            reader.problem(name.at, what, "rename one of them, or remove it".into());
        }
        id
    }

    /// What a value refers to: a name declared here, or the id (a UUID) of a stored one.
    fn find(&self, value: &Value<'_>) -> Option<Id<T>> {
        let name = value.text()?;
        self.named(&name).or_else(|| self.unknown(value, &name))
    }

    fn named(&self, name: &str) -> Option<Id<T>> {
        self.ids.get(name).copied().or_else(|| name.parse().ok())
    }

    fn unknown<R>(&self, value: &Value<'_>, name: &str) -> Option<R> {
        let kind = self.kind;
        let remedy = match nearest(name, self.ids.keys().map(String::as_str)) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("declare it in a [[{kind}]], or write one of: {}", self.list()),
        };
        value.wrong(&format!("names the {kind} `{}`, which is not declared", value.shown()), &remedy)
    }

    fn list(&self) -> String {
        if self.ids.is_empty() {
            return "(none is declared)".into();
        }
        self.ids.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

fn identity(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let name = table.required("id", "\"assistant\"", Value::name);
    let text = table.required("text", "\"…\"", Value::text_or_file);
    let name = name?;
    let id = declaring.identities.add(table.reader, &name);
    let identity = Identity { id, owner: Owner::Platform, name: name.value, text: text? };
    declaring.directory.identities.push(identity);
    Some(())
}

/// Limits of an org, a workspace or a model.
fn limits(table: &mut Table<'_>) -> Limits {
    table.section("limits", |table| Limits {
        requests_per_minute: table.get("requests_per_minute", |value| value.number(1..=u64::MAX)),
        input_tokens_per_minute: table.get("input_tokens_per_minute", |value| value.number(1..=u64::MAX)),
        output_tokens_per_minute: table.get("output_tokens_per_minute", |value| value.number(1..=u64::MAX)),
        parallel: table.get("parallel", |value| value.number(1..=u64::MAX)),
        money_per_day: table.get("money_per_day", Value::money),
        money_per_month: table.get("money_per_month", Value::money),
        run_money: table.get("run_money", Value::money),
        run_money_per_minute: table.get("run_money_per_minute", Value::money),
        run_calls: table.get("run_calls", |value| value.number(1..=u64::MAX)),
        run_depth: table.get("run_depth", |value| value.number(0..=u64::MAX)),
    })
}
