//! An endpoint as it is shown.

use serde::Serialize;
use utoipa::ToSchema;

use crate::directory::credentials;
use crate::directory::known::Known;
use crate::directory::moment;
use crate::directory::providers::workspace_of;
use crate::domain::address::BaseUrl;
use crate::domain::entity::{Credential, Owner, Provider, Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::preset::Kind;
use crate::domain::protocol::Protocol;
use crate::domain::time::Timestamp;

/// What can be picked instead of a model: `endpoint:ID`. A platform's credential shows nothing of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ModelEndpoint)]
pub struct EndpointLine {
    /// The credential's, which is the endpoint's.
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Credential>,
    #[schema(required)]
    pub number: Option<u32>,
    /// Who pays and holds the key.
    #[schema(inline)]
    pub managed_by: Scope,
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    pub provider: String,
    #[serde(skip)]
    pub provider_number: Option<u32>,
    /// Whose provider it is; `null`: the platform's.
    #[schema(required, value_type = Option<uuid::Uuid>)]
    pub provider_workspace_id: Option<Id<Workspace>>,
    #[schema(inline)]
    pub kind: Kind,
    pub preset: String,
    #[schema(inline)]
    pub protocol: Protocol,
    #[schema(value_type = String)]
    pub base_url: BaseUrl,
    /// Its own, where it differs from the provider's.
    #[schema(required, value_type = Option<String>)]
    pub own_base_url: Option<BaseUrl>,
    /// The model of a call that names none; `null`: the provider's default.
    #[schema(required)]
    pub model: Option<String>,
    pub label: String,
    pub active: bool,
    pub address_changed: bool,
    /// Is it what the workspace's calls use that name no model?
    pub is_default: bool,
    /// Eleven `*` and the last four characters, for those who manage it.
    #[schema(required)]
    pub api_key_masked: Option<String>,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    pub declared: bool,
}

pub(super) fn line(
    known: Known<'_>,
    workspace: &Workspace,
    credential: &Credential,
    provider: &Provider,
) -> EndpointLine {
    let shown = credentials::line(known, credential);
    let default = workspace.default.as_ref().is_some_and(|default| default.provider == provider.id);
    let own_base_url = credential.overrides.base_url.clone().filter(|_| credential.owner != Owner::Platform);
    EndpointLine {
        id: credential.id,
        number: credential.number,
        managed_by: credential.scope(),
        provider_id: provider.id,
        provider: provider.name.clone(),
        provider_number: provider.number,
        provider_workspace_id: workspace_of(provider.owner),
        kind: provider.kind,
        preset: provider.preset.clone(),
        protocol: credential.overrides.protocol.unwrap_or(provider.protocol),
        base_url: own_base_url.clone().unwrap_or_else(|| provider.base_url.clone()),
        own_base_url,
        model: credential.overrides.default_model.clone(),
        label: shown.label,
        active: shown.active,
        address_changed: shown.address_changed,
        is_default: default,
        api_key_masked: shown.held.and_then(|held| held.api_key_masked),
        created_at: shown.created_at,
        updated_at: shown.updated_at,
        declared: shown.declared,
    }
}
