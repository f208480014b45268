//! The platform's catalogue as a workspace sees it: which providers there are, and whose key its calls would use.

use serde::Serialize;
use utoipa::ToSchema;

use super::Access;
use super::credentials::serves;
use super::endpoints::is_open;
use super::error::DirectoryError;
use super::known::Known;
use super::models::{self, ModelLine};
use super::providers::{self, ProviderLine};
use crate::domain::entity::{Credential, Grant, Model, Owner, Provider, Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::preset::preset;
use crate::store::{Need, Part};

/// A provider of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogProvider)]
pub struct CatalogLine {
    #[serde(flatten)]
    pub provider: ProviderLine,
    /// Whose key a call of this workspace by this asker uses; `null`: somebody has to set one first.
    #[schema(required, inline)]
    pub managed_by: Option<Scope>,
    /// What the holder of that key calls it.
    #[schema(required)]
    pub label: Option<String>,
    /// Does it take calls without any key?
    pub needs_key: bool,
    /// Would a call go there: it is not switched off by the workspace's org, and there is a key if it needs one.
    pub available: bool,
    pub model_count: usize,
}

/// One of them, with its models.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogEntry {
    #[serde(flatten)]
    pub line: CatalogLine,
    pub models: Vec<ModelLine>,
}

/// The platform's enabled providers, in the order in which calls prefer them.
pub async fn list(access: &Access, workspace: Id<Workspace>) -> Result<Vec<CatalogLine>, DirectoryError> {
    lines(access, workspace, Owner::Platform).await
}

/// Likewise, with the workspace's own.
pub async fn visible(access: &Access, workspace: Id<Workspace>) -> Result<Vec<CatalogLine>, DirectoryError> {
    lines(access, workspace, Owner::Workspace(workspace)).await
}

async fn lines(access: &Access, workspace: Id<Workspace>, owner: Owner) -> Result<Vec<CatalogLine>, DirectoryError> {
    let stored = access.load(part(access, workspace)).await?;
    let known = access.known(&stored);
    let workspace = known.workspace_by_id(workspace)?;
    let mut found: Vec<&Provider> = listed(known, owner).collect();
    found.sort_by(|a, b| (a.priority, &a.name, a.id).cmp(&(b.priority, &b.name, b.id)));
    Ok(found.into_iter().map(|one| line(known, workspace, one)).collect())
}

/// One of them, with those of its models that are enabled.
pub async fn get(access: &Access, workspace: Id<Workspace>, id: Id<Provider>) -> Result<CatalogEntry, DirectoryError> {
    let stored = access.load(part(access, workspace)).await?;
    let known = access.known(&stored);
    known.may_see(Permission::AIProviderView, Owner::Platform)?;
    let workspace = known.workspace_by_id(workspace)?;
    let unknown = || DirectoryError::NotFound { kind: "provider", name: id.to_string(), hint: String::new() };
    let found = listed(known, Owner::Platform).find(|one| one.id == id).ok_or_else(unknown)?;
    let mut models: Vec<&Model> = known.models_of(id).filter(|one| one.enabled).collect();
    models.sort_by(|a, b| (&a.model_id, a.id).cmp(&(&b.model_id, b.id)));
    Ok(CatalogEntry {
        line: line(known, workspace, found),
        models: models.into_iter().map(|one| models::line(known, one, found)).collect(),
    })
}

fn part(access: &Access, workspace: Id<Workspace>) -> Part {
    let own = access.actor.user().map(Owner::User).map(Need::OwnedBy);
    access.catalogue(Owner::Workspace(workspace)).and(own)
}

fn listed<'a>(known: Known<'a>, owner: Owner) -> impl Iterator<Item = &'a Provider> {
    known.providers_for(owner).filter(|one| one.enabled)
}

fn line(known: Known<'_>, workspace: &Workspace, provider: &Provider) -> CatalogLine {
    let payer = payer(known, workspace, provider);
    let needs_key = preset(&provider.preset).is_none_or(|preset| preset.key_required);
    CatalogLine {
        provider: providers::line(known, provider),
        managed_by: payer.map(Credential::scope).or_else(|| (!needs_key).then_some(Scope::Platform)),
        label: payer.map(|one| one.label.clone()),
        needs_key,
        available: is_open(known, provider, workspace) && (payer.is_some() || !needs_key),
        model_count: known.models_of(provider.id).filter(|one| one.enabled).count(),
    }
}

/// The credential that a call would use: the asker's own, else the workspace's, else the platform's newest of those that
/// are granted to this workspace by name, else of those that are granted to all.
fn payer<'a>(known: Known<'a>, workspace: &Workspace, provider: &Provider) -> Option<&'a Credential> {
    let active = || known.credentials().filter(|one| one.active && one.provider == provider.id);
    let own = active().find(|one| matches!(one.owner, Owner::User(user) if known.actor.is(user)));
    let workspaces = || active().find(|one| one.owner == Owner::Workspace(workspace.id));
    let by_name = |one: &&Credential| one.grant != Grant::All;
    let granted = || active().filter(|one| one.owner == Owner::Platform && serves(one, workspace.id));
    own.or_else(workspaces).or_else(|| granted().max_by_key(|one| (by_name(one), one.created_at, one.id)))
}
