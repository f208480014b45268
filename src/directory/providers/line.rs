//! A provider as it is shown.

use serde::Serialize;
use utoipa::ToSchema;

use crate::directory::known::Known;
use crate::directory::moment;
use crate::domain::address::BaseUrl;
use crate::domain::entity::{Listing, Owner, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::preset::Kind;
use crate::domain::protocol::Protocol;
use crate::domain::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Provider)]
pub struct ProviderLine {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Provider>,
    #[schema(required)]
    pub number: Option<u32>,
    /// Whose own it is; `null`: it is in the platform's catalogue.
    #[schema(required, value_type = Option<uuid::Uuid>)]
    pub workspace_id: Option<Id<Workspace>>,
    pub name: String,
    #[schema(inline)]
    pub kind: Kind,
    /// Names the preset whose quirks hold.
    pub preset: String,
    #[schema(inline)]
    pub protocol: Protocol,
    pub prefix: String,
    #[schema(value_type = String)]
    pub base_url: BaseUrl,
    #[schema(required)]
    pub default_model: Option<String>,
    pub enabled: bool,
    /// Lower first.
    pub priority: u32,
    pub weight: u32,
    pub timeout_ms: u64,
    pub strip_prefix: bool,
    /// Does it take any model id, or only those listed? Its models themselves may stand beside this as `models`.
    #[serde(rename = "listing")]
    #[schema(inline)]
    pub models: Listing,
    #[schema(required)]
    pub max_parallel: Option<u32>,
    #[schema(required)]
    pub deployment: Option<String>,
    #[schema(required)]
    pub api_version: Option<String>,
    #[schema(required)]
    pub region: Option<String>,
    /// Shown to whoever may change it: it is a program on the gateway's machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(with = "moment::maybe")]
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub discovered_at: Option<Timestamp>,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    pub declared: bool,
}

pub(in crate::directory) fn line(known: Known<'_>, provider: &Provider) -> ProviderLine {
    let settings = &provider.settings;
    let may_change = known.may(Permission::AIProviderManage, provider.owner).is_ok();
    ProviderLine {
        id: provider.id,
        number: provider.number,
        workspace_id: workspace_of(provider.owner),
        name: provider.name.clone(),
        kind: provider.kind,
        preset: provider.preset.clone(),
        protocol: provider.protocol,
        prefix: provider.prefix.clone(),
        base_url: provider.base_url.clone(),
        default_model: provider.default_model.clone(),
        enabled: provider.enabled,
        priority: provider.priority,
        weight: provider.weight,
        timeout_ms: u64::try_from(provider.timeout.as_millis()).unwrap_or(u64::MAX),
        strip_prefix: provider.strip_prefix,
        models: provider.models,
        max_parallel: provider.max_parallel,
        deployment: settings.deployment.clone(),
        api_version: settings.api_version.clone(),
        region: settings.region.clone(),
        command: (may_change && !settings.command.is_empty()).then(|| settings.command.clone()),
        discovered_at: provider.discovered_at,
        created_at: provider.created_at,
        updated_at: provider.updated_at,
        declared: provider.declared,
    }
}

/// `None` for what the platform owns.
pub(in crate::directory) fn workspace_of(owner: Owner) -> Option<Id<Workspace>> {
    match owner {
        Owner::Workspace(id) => Some(id),
        Owner::Platform | Owner::User(_) => None,
    }
}
