//! Gates: which providers an org's workspaces may use, whatever keys they have.

use serde::Serialize;
use utoipa::ToSchema;

use super::error::DirectoryError;
use super::orgs;
use super::page::{Page, Paged};
use super::tag::Expected;
use super::{Access, Turn};
use crate::domain::entity::{Gate, Org, Provider};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::store::{Need, Part, Previous};

/// What an org says of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProviderGate, example = json!({
    "providerId": "0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10", "gate": "deny",
}))]
pub struct GateLine {
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    #[schema(inline)]
    pub gate: Gate,
}

/// The providers of which the org says something else than its default.
pub async fn list(access: &Access, org: Id<Org>, page: Page) -> Result<Paged<GateLine>, DirectoryError> {
    let stored = access.load(Need::Org(org)).await?;
    let org = access.known(&stored).org_by_id(org)?;
    let line = |(provider, gate): (&Id<Provider>, &Gate)| GateLine { provider_id: *provider, gate: *gate };
    Ok(Paged::of(org.gates.iter().map(|one| (one.0.uuid(), one)), page, line))
}

pub async fn get(access: &Access, org: Id<Org>, provider: Id<Provider>) -> Result<GateLine, DirectoryError> {
    let stored = access.load(Need::Org(org)).await?;
    of(access.known(&stored).org_by_id(org)?, provider).ok_or_else(|| unset(provider))
}

fn of(org: &Org, provider: Id<Provider>) -> Option<GateLine> {
    org.gates.get(&provider).map(|gate| GateLine { provider_id: provider, gate: *gate })
}

fn unset(provider: Id<Provider>) -> DirectoryError {
    DirectoryError::NotFound { kind: "gate", name: provider.to_string(), hint: String::new() }
}

/// Lets a provider be used or not, whatever the org's default.
pub async fn put(
    access: &Access,
    org: Id<Org>,
    provider: Id<Provider>,
    expected: Expected,
    gate: Gate,
) -> Result<GateLine, DirectoryError> {
    let rule = move |turn: Turn<'_>| {
        expected.hold("gate", of(orgs::stored(&turn, org, Permission::GateManage)?, provider).as_ref())?;
        turn.known().any_provider(provider)?;
        for one in turn.stored.orgs.iter_mut().filter(|one| one.id == org) {
            one.gates.insert(provider, gate);
        }
        Ok(GateLine { provider_id: provider, gate })
    };
    let part = Part::of([Need::Org(org), Need::Provider(provider)]);
    access.change(Previous::Keep, "set", entity(org, provider), part, rule).await
}

/// The org's default holds again.
pub async fn remove(
    access: &Access,
    org: Id<Org>,
    provider: Id<Provider>,
    expected: Expected,
) -> Result<(), DirectoryError> {
    let rule = move |turn: Turn<'_>| {
        let old = of(orgs::stored(&turn, org, Permission::GateManage)?, provider);
        expected.hold("gate", old.as_ref())?;
        old.ok_or_else(|| unset(provider))?;
        for one in turn.stored.orgs.iter_mut().filter(|one| one.id == org) {
            one.gates.remove(&provider);
        }
        Ok(())
    };
    access.change(Previous::Keep, "remove", entity(org, provider), Need::Org(org), rule).await
}

fn entity(org: Id<Org>, provider: Id<Provider>) -> String {
    format!("gate of org {org} for provider {provider}")
}
