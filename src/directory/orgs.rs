//! Orgs: who owns workspaces and gates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::actor::Over;
use super::error::{self, DirectoryError};
use super::limits::{LimitsChange, LimitsLine};
use super::page::{Page, Paged};
use super::tag::Expected;
use super::{Access, Turn, moment, present};
use crate::domain::change::Change;
use crate::domain::entity::{Gate, Org, Provider};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::store::Previous;
use crate::store::part::{self, Need, Part};

/// An org as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Org, example = json!({
    "id": "6f1c8c1e-6f0b-4b52-9d6c-4f7f6a1f2b11", "name": "acme", "limits": {}, "features": {"byok": true},
    "defaultGate": "allow", "gates": {"0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10": "deny"},
    "createdAt": "2026-03-22T00:00:00.000Z", "declared": false,
}))]
pub struct OrgLine {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Org>,
    pub name: String,
    pub limits: LimitsLine,
    pub features: FeaturesLine,
    /// What holds for a provider without a gate of its own.
    #[schema(inline)]
    pub default_gate: Gate,
    /// By provider id.
    #[schema(value_type = BTreeMap<String, String>)]
    pub gates: BTreeMap<Id<Provider>, Gate>,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// In gateway.toml, where alone it can be changed.
    pub declared: bool,
}

/// What an org's plan includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Features)]
pub struct FeaturesLine {
    /// May its workspaces bring providers and keys of their own?
    pub byok: bool,
}

/// What changes of an org. The name and what the plan includes are the platform's to change, the gates the org's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"defaultGate": "deny", "limits": {"requestsPerMinute": 600, "moneyPerDay": "25.00"}}))]
pub struct OrgChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<LimitsChange>)]
    pub limits: Change<LimitsChange>,
    #[serde(default)]
    #[schema(value_type = Option<FeaturesChange>)]
    pub features: Change<FeaturesChange>,
    #[serde(default)]
    #[schema(value_type = Option<Gate>, inline)]
    pub default_gate: Change<Gate>,
}

/// What changes of an org's plan; `null` puts back what holds for a new org.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeaturesChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub byok: Option<bool>,
}

impl OrgChange {
    /// What providers an org's workspaces may use is for its admins to say, all else for the platform's.
    fn permission(&self) -> Permission {
        let only_gates = self.name.is_none() && self.limits.is_keep() && self.features.is_keep();
        if only_gates { Permission::GateManage } else { Permission::OrgManage }
    }
}

/// A new org's plan.
const BYOK: bool = true;

/// Makes an org with nothing but a name, which is unique among declared and stored ones.
pub async fn create(access: &Access, name: &str) -> Result<Org, DirectoryError> {
    make(access, name, OrgChange::default()).await
}

/// Makes an org that differs from a plain one.
pub async fn create_with(access: &Access, name: &str, change: OrgChange) -> Result<OrgLine, DirectoryError> {
    make(access, name, change).await.map(|org| line(&org))
}

async fn make(access: &Access, name: &str, change: OrgChange) -> Result<Org, DirectoryError> {
    let (id, name) = (Id::random(), name.to_string());
    let named = Need::OrgNamed(name.clone());
    let rule = move |turn: Turn<'_>| {
        turn.actor.may(Permission::OrgManage, Over::Platform)?;
        let mut org = Org::new(id, "", turn.now);
        rename(&turn, &mut org, name)?;
        apply(&mut org, change)?;
        turn.stored.orgs.push(org.clone());
        Ok(org)
    };
    access.change(Previous::Keep, "create", format!("org {id}"), named, rule).await
}

fn rename(turn: &Turn<'_>, org: &mut Org, name: String) -> Result<(), DirectoryError> {
    error::name("the org's name", &name).map_err(|error| error.at("name"))?;
    let mut all = turn.stored.orgs.iter().chain(&turn.declared.orgs).filter(|one| one.deleted_at.is_none());
    if all.any(|one| one.id != org.id && one.name.eq_ignore_ascii_case(&name)) {
        return Err(DirectoryError::Exists { kind: "an org", name });
    }
    org.name = name;
    Ok(())
}

fn apply(org: &mut Org, change: OrgChange) -> Result<(), DirectoryError> {
    LimitsChange::apply(change.limits, &mut org.limits)?;
    match change.features {
        Change::Keep => {}
        Change::Clear => org.features.byok = BYOK,
        Change::Set(features) => org.features.byok = features.byok.unwrap_or(org.features.byok),
    }
    change.default_gate.apply_or(&mut org.default_gate, Gate::Allow);
    Ok(())
}

/// The orgs that the asker can see, or the one of a name.
pub async fn list(access: &Access, name: Option<&str>, page: Page) -> Result<Paged<OrgLine>, DirectoryError> {
    let need = match (access.actor.org(), name) {
        // Whoever has a place sees the org of that place.
        (Some(org), _) => Need::Org(org),
        (None, Some(name)) => Need::OrgNamed(name.to_string()),
        (None, None) => Need::Orgs(page.rows()),
    };
    let stored = access.load(need).await?;
    let named = |org: &&Org| name.is_none_or(|name| org.name.eq_ignore_ascii_case(name));
    Ok(Paged::of(access.known(&stored).orgs().filter(named).map(|org| (org.id.uuid(), org)), page, line))
}

pub async fn get(access: &Access, id: Id<Org>) -> Result<OrgLine, DirectoryError> {
    let stored = access.load(Need::Org(id)).await?;
    access.known(&stored).org_by_id(id).map(line)
}

/// Changes what the change names.
pub async fn update(
    access: &Access,
    id: Id<Org>,
    expected: Expected,
    change: OrgChange,
) -> Result<OrgLine, DirectoryError> {
    let part = Part::of([Need::Org(id)]).and(change.name.clone().map(Need::OrgNamed));
    let rule = move |turn: Turn<'_>| {
        let mut org = changed(&turn, id, change.permission(), &expected)?;
        if let Some(name) = change.name.clone() {
            rename(&turn, &mut org, name)?;
        }
        apply(&mut org, change)?;
        Ok(keep(turn, org))
    };
    access.change(Previous::Keep, "update", format!("org {id}"), part, rule).await
}

/// A stored org that the asker may change, as the asker last saw it.
fn changed(turn: &Turn<'_>, id: Id<Org>, permission: Permission, expected: &Expected) -> Result<Org, DirectoryError> {
    let org = stored(turn, id, permission)?;
    expected.hold("org", Some(&line(org)))?;
    Ok(org.clone())
}

/// A stored org to which the asker may do this.
pub(super) fn stored<'a>(turn: &'a Turn<'_>, id: Id<Org>, permission: Permission) -> Result<&'a Org, DirectoryError> {
    let org = turn.known().org_by_id(id)?;
    turn.actor.may(permission, Over::Org(id))?;
    if org.declared {
        return Err(DirectoryError::Declared { kind: "org", name: org.name.clone() });
    }
    Ok(org)
}

fn keep(turn: Turn<'_>, org: Org) -> OrgLine {
    let shown = line(&org);
    if let Some(slot) = turn.stored.orgs.iter_mut().find(|one| one.id == org.id) {
        *slot = org;
    }
    shown
}

/// Deletes an org that has no workspaces left. Its name is free again.
pub async fn delete(access: &Access, id: Id<Org>, expected: Expected) -> Result<(), DirectoryError> {
    let part = Part::of([Need::Org(id), Need::Workspaces(Some(id), part::Page::first(1))]);
    let rule = move |turn: Turn<'_>| {
        let mut org = changed(&turn, id, Permission::OrgManage, &expected)?;
        if let Some(workspace) = turn.known().workspaces().find(|one| one.org == id) {
            return Err(DirectoryError::InUse {
                kind: "org",
                name: org.name,
                by: format!("it has the workspace `{}`", workspace.name),
                remedy: "delete its workspaces first",
            });
        }
        org.deleted_at = Some(turn.now);
        keep(turn, org);
        Ok(())
    };
    access.change(Previous::Keep, "delete", format!("org {id}"), part, rule).await
}

pub(super) fn line(org: &Org) -> OrgLine {
    OrgLine {
        id: org.id,
        name: org.name.clone(),
        limits: LimitsLine::from(&org.limits),
        features: FeaturesLine { byok: org.features.byok },
        default_gate: org.default_gate,
        gates: org.gates.clone(),
        created_at: org.created_at,
        declared: org.declared,
    }
}
