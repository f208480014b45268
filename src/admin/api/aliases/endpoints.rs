//! `/api/workspaces/{workspaceId}/model-endpoints`, as Actana has it: what a workspace can pick from. An endpoint's id stands
//! for it wherever a call names a model.

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::spelling;
use super::workspace;
use crate::admin::api::answer::{Detail, Done, Listed, Made};
use crate::admin::api::ask::Ask;
use crate::admin::api::body::Json;
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::directory::Tag;
use crate::directory::endpoints::{self, Binding, Chosen, EndpointLine, Purpose};
use crate::domain::address::BaseUrl;
use crate::domain::change::Change;
use crate::domain::entity::{Credential, Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::preset::preset;
use crate::domain::secret::Secret;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIModelView, Place::Workspace);
    let manage = Needs::Permission(Permission::CredentialManage, Place::Workspace);
    let all = "/api/workspaces/{workspaceId}/model-endpoints";
    let one = "/api/workspaces/{workspaceId}/model-endpoints/{id}";
    vec![
        row(Method::GET, all, view, "The endpoints that a workspace's calls can name by id.", list),
        row(Method::POST, all, manage, "Bind a provider, a key, an address and a model; one a provider.", create),
        row(Method::GET, one, view, "One endpoint.", get),
        row(Method::DELETE, one, manage, "Delete an endpoint; its key is destroyed.", delete),
    ]
}

/// An endpoint, without its key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WorkspaceModelEndpoint)]
struct Endpoint {
    #[schema(value_type = uuid::Uuid)]
    id: Id<Credential>,
    #[schema(value_type = uuid::Uuid)]
    workspace_id: Id<Workspace>,
    /// A built-in provider's id, or a custom one's name.
    provider_id: String,
    /// Where another protocol is spoken than the provider's usual one.
    #[schema(required)]
    provider_type: Option<&'static str>,
    #[schema(required, value_type = Option<String>)]
    base_url: Option<BaseUrl>,
    #[schema(required)]
    model_name: Option<String>,
    label: String,
    active: bool,
    #[schema(inline)]
    managed_by: Scope,
    #[schema(required)]
    api_key_masked: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl Endpoint {
    fn of(line: EndpointLine, workspace: Id<Workspace>) -> Self {
        let usual = preset(&line.preset);
        let is_built_in = line.preset != "custom";
        let usual_url = usual.and_then(|preset| preset.base_url);
        let unusual = Some(line.base_url.to_string().as_str()) != usual_url;
        Self {
            id: line.id,
            workspace_id: workspace,
            provider_id: if is_built_in { line.preset } else { line.provider },
            provider_type: usual
                .filter(|preset| preset.protocol != line.protocol)
                .map(|_| spelling::adapter(line.protocol)),
            base_url: (line.managed_by != Scope::Platform && unusual).then_some(line.base_url),
            model_name: line.model,
            label: line.label,
            active: line.active,
            managed_by: line.managed_by,
            api_key_masked: line.api_key_masked,
            created_at: line.created_at.iso8601(),
            updated_at: line.updated_at.iso8601(),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = WorkspaceModelEndpointPost, example = json!({
    "providerId": "openai", "apiKey": "sk-...", "modelName": "gpt-4o", "baseUrl": null,
}))]
struct Post {
    /// `openai`, `anthropic`, `google`, `xai`, `deepseek` and others, or a name for a custom provider.
    #[schema(min_length = 1)]
    provider_id: String,
    #[schema(value_type = Option<String>, write_only)]
    api_key: Option<Secret>,
    /// What is spoken at the base URL: `openai`, `anthropic` or `google`.
    provider_type: Option<String>,
    #[schema(value_type = Option<String>)]
    base_url: Option<BaseUrl>,
    #[schema(max_length = 512)]
    model_name: Option<String>,
}

async fn list(ask: Ask) -> Result<Listed<Endpoint>, Problem> {
    let workspace = workspace(&ask).await?;
    let found = endpoints::list(&ask.access, workspace).await?;
    Ok(Listed(found.into_iter().map(|one| Endpoint::of(one, workspace)).collect()))
}

async fn create(ask: Ask<Json<Post>>) -> Result<Made<Endpoint>, Problem> {
    let workspace = workspace(&ask).await?;
    let post = ask.body.0;
    let spoken = post.provider_type.as_deref().map(|text| spelling::protocol("providerType", text)).transpose()?;
    let name = spelling::preset_called(&post.provider_id).map_or(post.provider_id, |preset| preset.name.to_string());
    let provider = match spoken {
        Some((_, preset)) => Chosen::OfPreset(name, preset),
        None => Chosen::Named(name),
    };
    let binding = Binding {
        key: post.api_key,
        base_url: post.base_url.map_or(Change::Keep, Change::Set),
        protocol: spoken.map(|(protocol, _)| protocol),
        model: post.model_name.map_or(Change::Keep, Change::Set),
        purpose: Purpose::NewEndpoint,
        ..Binding::of(workspace, provider)
    };
    let line = endpoints::bind(&ask.access, ask.expected, binding).await?;
    let location = format!("/workspaces/{workspace}/model-endpoints/{}", line.id);
    Ok(Made { report: Endpoint::of(line, workspace), location })
}

async fn get(ask: Ask) -> Result<Detail<Endpoint>, Problem> {
    let workspace = workspace(&ask).await?;
    let line = endpoints::get(&ask.access, workspace, ask.id("id", "model endpoint")?).await?;
    Ok(Detail { tag: Tag::of(&line), shown: Endpoint::of(line, workspace) })
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let workspace = workspace(&ask).await?;
    let id = ask.id("id", "model endpoint")?;
    endpoints::delete(&ask.access, workspace, id, ask.expected).await?;
    Ok(Done)
}
