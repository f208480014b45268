//! A workspace's model configuration: the provider, key, address and model of its calls that name none.
//!
//! There is at most one: a view of the workspace's default and of its credential for that provider. Without one the
//! platform's default holds.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::credentials::Keys;
use super::endpoints::{self, Binding, Purpose, set_default};
use super::error::DirectoryError;
use super::known::Known;
use super::tag::Expected;
use super::{Access, Turn, moment};
use crate::domain::address::BaseUrl;
use crate::domain::entity::{Credential, Owner, Provider, Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::preset::preset;
use crate::domain::time::Timestamp;
use crate::store::Previous;

/// What a workspace has chosen; `None`: the platform's default holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WorkspaceModelConfig)]
pub struct Configured {
    #[schema(required)]
    pub config: Option<ConfigLine>,
}

/// The configuration as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ModelConfig)]
pub struct ConfigLine {
    /// The credential's; the workspace's where the platform pays.
    pub id: Uuid,
    #[schema(value_type = uuid::Uuid)]
    pub workspace_id: Id<Workspace>,
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    pub provider: String,
    pub preset: String,
    /// `null`: the provider's default.
    #[schema(required)]
    pub model: Option<String>,
    /// Only where it is another than the provider is usually found at.
    #[schema(required, value_type = Option<String>)]
    pub base_url: Option<BaseUrl>,
    #[schema(required)]
    pub api_key_masked: Option<String>,
    /// Whose key pays; `null`: none is needed, or there is none.
    #[schema(required, inline)]
    pub managed_by: Option<Scope>,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// The workspace's own choice.
pub async fn get(access: &Access, workspace: Id<Workspace>) -> Result<Configured, DirectoryError> {
    let owner = Owner::Workspace(workspace);
    let stored = access.load(access.catalogue(owner)).await?;
    let known = access.known(&stored);
    known.may(Permission::CredentialManage, owner)?;
    known.brings_its_own(owner)?;
    configured(known, workspace)
}

fn configured(known: Known<'_>, workspace: Id<Workspace>) -> Result<Configured, DirectoryError> {
    Ok(Configured { config: line(known, workspace)? })
}

fn line(known: Known<'_>, workspace: Id<Workspace>) -> Result<Option<ConfigLine>, DirectoryError> {
    let workspace = known.workspace_by_id(workspace)?;
    let Some(default) = &workspace.default else { return Ok(None) };
    let owner = Owner::Workspace(workspace.id);
    // A provider that is gone is passed over by calls too.
    let Ok(provider) = known.provider_by_id(owner, default.provider) else { return Ok(None) };
    let own = known.credentials().find(|one| one.owner == owner && one.provider == provider.id);
    let granted =
        || known.credentials().any(|one| one.provider == provider.id && endpoints::is_granted(one, workspace));
    let shown = own.map(|one| super::credentials::line(known, one));
    Ok(Some(ConfigLine {
        id: own.map_or(workspace.id.uuid(), |one| one.id.uuid()),
        workspace_id: workspace.id,
        provider_id: provider.id,
        provider: provider.name.clone(),
        preset: provider.preset.clone(),
        model: default.model.clone(),
        base_url: unusual_url(provider, own),
        api_key_masked: shown.as_ref().and_then(|line| line.held.as_ref()?.api_key_masked.clone()),
        managed_by: own.map(Credential::scope).or_else(|| granted().then_some(Scope::Platform)),
        created_at: own.map_or(workspace.created_at, |one| one.created_at),
        updated_at: own.map_or(workspace.created_at, |one| one.updated_at),
    }))
}

fn unusual_url(provider: &Provider, own: Option<&Credential>) -> Option<BaseUrl> {
    let overridden = own.and_then(|one| one.overrides.base_url.clone());
    let usual: Option<BaseUrl> = preset(&provider.preset).and_then(|preset| preset.base_url?.parse().ok());
    let is_own = matches!(provider.owner, Owner::Workspace(_)) && usual.as_ref() != Some(&provider.base_url);
    overridden.or_else(|| is_own.then(|| provider.base_url.clone()))
}

/// Sets it, whole, in one transaction: the provider, if it is to be one of the workspace's own, the key and the default.
pub async fn put(access: &Access, expected: Expected, binding: Binding) -> Result<Configured, DirectoryError> {
    debug_assert!(matches!(binding.purpose, Purpose::Default(_)), "the default is what it is for");
    let (keys, workspace) = (Keys::of(access), binding.workspace);
    let rule = move |mut turn: Turn<'_>| {
        expected.hold("model configuration", Some(&configured(turn.known(), workspace)?))?;
        endpoints::bound(&mut turn, &keys, binding)?;
        configured(turn.known(), workspace)
    };
    let part = access.catalogue(Owner::Workspace(workspace));
    access.change(Previous::Forget, "set", entity(workspace), part, rule).await
}

fn entity(workspace: Id<Workspace>) -> String {
    format!("model configuration of workspace {workspace}")
}

/// Takes it away with its key, whose sealed bytes are destroyed; the platform's default holds again.
pub async fn reset(access: &Access, workspace: Id<Workspace>, expected: Expected) -> Result<(), DirectoryError> {
    let owner = Owner::Workspace(workspace);
    let rule = move |mut turn: Turn<'_>| {
        turn.known().may(Permission::CredentialManage, owner)?;
        turn.known().brings_its_own(owner)?;
        expected.hold("model configuration", Some(&configured(turn.known(), workspace)?))?;
        let Some(default) = turn.known().workspace_by_id(workspace)?.default.clone() else { return Ok(()) };
        set_default(&mut turn, workspace, None)?;
        turn.stored.credentials.retain(|one| one.owner != owner || one.provider != default.provider);
        Ok(())
    };
    access.change(Previous::Forget, "reset", entity(workspace), access.catalogue(owner), rule).await
}
