//! `/api/ai/credentials`: keys of the workspace, or of the user where a token's holder manages no others.

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::called;
use crate::admin::api::answer::{Done, Listed, Made, Report};
use crate::admin::api::ask::Ask;
use crate::admin::api::body::Json;
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Row, row};
use crate::admin::probing::{self, Depth};
use crate::directory::credentials::{self, CredentialChange, CredentialLine, NewCredential, Which, Whose};
use crate::directory::numbered::{self, Called};
use crate::domain::entity::{Credential, Provider, Scope};
use crate::domain::id::Id;
use crate::domain::secret::Secret;

pub(super) fn rows() -> Vec<Row> {
    let (all, one) = ("/api/ai/credentials", "/api/ai/credentials/{id}");
    vec![
        row(Method::GET, all, Needs::Token, "The workspace's keys, or the user's own, masked.", list),
        row(Method::POST, all, Needs::Token, "Set a key for a provider.", set),
        row(Method::DELETE, one, Needs::Token, "Delete a key; its sealed bytes are destroyed.", delete),
        row(Method::POST, "/api/ai/credentials/{id}/validate", Needs::Token, "Show a key to its provider.", validate),
    ]
}

/// A key, masked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AiCredential {
    #[schema(required)]
    id: Option<u32>,
    #[schema(value_type = uuid::Uuid)]
    uuid: Id<Credential>,
    #[schema(value_type = uuid::Uuid)]
    provider_uuid: Id<Provider>,
    #[schema(required)]
    provider_id: Option<u32>,
    provider_name: String,
    label: String,
    #[schema(inline)]
    scope: Scope,
    #[schema(required)]
    api_key_masked: Option<String>,
    enabled: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<CredentialLine> for AiCredential {
    fn from(line: CredentialLine) -> Self {
        Self {
            id: line.number,
            uuid: line.id,
            provider_uuid: line.provider_id,
            provider_id: line.provider_number,
            provider_name: line.provider,
            label: line.label,
            scope: line.scope,
            api_key_masked: line.held.and_then(|held| held.api_key_masked),
            enabled: line.active,
            created_at: line.created_at.iso8601(),
            updated_at: line.updated_at.iso8601(),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewAiCredential, example = json!({
    "providerId": 2, "apiKey": "sk-or-v1-abc123...", "label": "Production OpenRouter key",
}))]
struct Post {
    #[schema(value_type = u32)]
    provider_id: Called,
    #[schema(value_type = String, write_only)]
    api_key: Secret,
    #[schema(max_length = 200)]
    label: Option<String>,
}

async fn list(ask: Ask) -> Result<Listed<AiCredential>, Problem> {
    let owner = Whose::default().owner(&ask.access.actor)?;
    let found = credentials::list(&ask.access, Which::Of(owner)).await?;
    Ok(Listed(found.into_iter().map(AiCredential::from).collect()))
}

async fn set(ask: Ask<Json<Post>>) -> Result<Made<AiCredential>, Problem> {
    let Post { provider_id, api_key, label } = ask.body.0;
    let (owner, provider) =
        (Whose::default().owner(&ask.access.actor)?, numbered::provider(&ask.access, &provider_id).await?);
    let change = CredentialChange { key: Some(api_key), label, ..CredentialChange::default() };
    let set = credentials::set(&ask.access, NewCredential { owner, provider, change }).await?;
    let location = format!("/credentials/{}", set.credential.id);
    Ok(Made { report: set.credential.into(), location })
}

/// Whether the provider took a key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"success": true}))]
struct AiValidated {
    success: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

async fn validate(ask: Ask) -> Result<Report<AiValidated>, Problem> {
    let id = numbered::credential(&ask.access, &called(&ask, "credential")?).await?;
    let tested = probing::test_stored(&ask.access, &ask.api.traffic.probe, id, Depth::List).await?;
    Ok(Report(AiValidated { success: tested.success, message: tested.code.map(|_| tested.message) }))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = numbered::credential(&ask.access, &called(&ask, "credential")?).await?;
    credentials::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
