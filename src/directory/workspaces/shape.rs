//! A workspace as it is shown, and what may be changed of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, Schema};

use crate::directory::limits::{LimitsChange, LimitsLine};
use crate::directory::{moment, present};
use crate::domain::change::Change;
use crate::domain::entity::{DefaultChoice, Org, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Workspace, example = json!({
    "id": "1c5a3f0e-3d55-4b07-9c0a-90b1b7a3c9de", "orgId": "6f1c8c1e-6f0b-4b52-9d6c-4f7f6a1f2b11", "name": "research",
    "default": {"providerId": "0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10", "model": "gpt-4o-mini"},
    "projects": {"drafts": {"providerId": "0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10", "model": null}},
    "limits": {}, "fallbackToPlatform": false, "createdAt": "2026-03-22T00:00:00.000Z", "declared": false,
}))]
pub struct WorkspaceLine {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Workspace>,
    #[schema(value_type = uuid::Uuid)]
    pub org_id: Id<Org>,
    pub name: String,
    /// Where calls go that name no model; `null`: where the platform's default leads.
    #[schema(required)]
    pub default: Option<DefaultLine>,
    /// By name: where the calls of a project go that name no model.
    pub projects: BTreeMap<String, DefaultLine>,
    pub limits: LimitsLine,
    /// May it spend the platform's credential when its own fails?
    pub fallback_to_platform: bool,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// In gateway.toml, where alone it can be changed.
    pub declared: bool,
}

/// A provider, and a model unless the provider's own default is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Default)]
pub struct DefaultLine {
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    #[schema(required)]
    pub model: Option<String>,
}

/// What changes of a workspace. Its defaults are its own admins' to change, all else the org's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "default": {"providerId": "0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10", "model": "gpt-4o-mini"},
    "projects": {"drafts": null}, "limits": {"parallel": 20}, "fallbackToPlatform": true,
}))]
pub struct WorkspaceChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<DefaultChange>)]
    pub default: Change<DefaultChange>,
    /// By name; `null` takes a project away.
    #[serde(default)]
    #[schema(schema_with = projects_schema)]
    pub projects: Change<BTreeMap<String, Change<DefaultChange>>>,
    #[serde(default)]
    #[schema(value_type = Option<LimitsChange>)]
    pub limits: Change<LimitsChange>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub fallback_to_platform: Option<bool>,
}

/// What changes of a default. A first one names its provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DefaultChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    pub provider_id: Option<Id<Provider>>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub model: Change<String>,
}

/// The derive knows no map whose values may be `null`.
fn projects_schema() -> Schema {
    let gone = ObjectBuilder::new().schema_type(Type::Null);
    let each = OneOfBuilder::new().item(gone).item(Ref::from_schema_name(DefaultChange::name()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .additional_properties(Some(Schema::from(each)))
        .description(Some("By name; `null` takes a project away."))
        .into()
}

impl From<DefaultChoice> for DefaultChange {
    fn from(choice: DefaultChoice) -> Self {
        Self { provider_id: Some(choice.provider), model: choice.model.map_or(Change::Clear, Change::Set) }
    }
}

impl WorkspaceChange {
    pub(super) fn touches_choices(&self) -> bool {
        !self.default.is_keep() || !self.projects.is_keep()
    }

    /// Where calls go is for those to say who hold the workspace's keys; what a workspace may use, for those above it.
    pub(super) fn permission(&self) -> Permission {
        let only_choices = self.name.is_none() && self.limits.is_keep() && self.fallback_to_platform.is_none();
        if only_choices { Permission::CredentialManage } else { Permission::WorkspaceManage }
    }
}

pub(super) fn line(workspace: &Workspace) -> WorkspaceLine {
    let choice = |choice: &DefaultChoice| DefaultLine { provider_id: choice.provider, model: choice.model.clone() };
    WorkspaceLine {
        id: workspace.id,
        org_id: workspace.org,
        name: workspace.name.clone(),
        default: workspace.default.as_ref().map(choice),
        projects: workspace.projects.iter().map(|(name, one)| (name.clone(), choice(one))).collect(),
        limits: LimitsLine::from(&workspace.limits),
        fallback_to_platform: workspace.fallback_to_platform,
        created_at: workspace.created_at,
        declared: workspace.declared,
    }
}
