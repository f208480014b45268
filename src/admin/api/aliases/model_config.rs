//! `/api/v1/admin/model-config`, as Atlas has it: the one model configuration of the workspace whose token is shown. What
//! Atlas calls an org is our workspace.

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::spelling;
use crate::admin::api::answer::{Detail, Report};
use crate::admin::api::ask::Ask;
use crate::admin::api::body::Json;
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::admin::probing::{self, Tested};
use crate::directory::Tag;
use crate::directory::endpoints::{Binding, Chosen, Purpose};
use crate::directory::model_config::{self, ConfigLine, Configured};
use crate::domain::address::BaseUrl;
use crate::domain::change::Change;
use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::preset::{Kind, Preset};
use crate::domain::secret::Secret;

pub(super) fn rows() -> Vec<Row> {
    let manage = Needs::Permission(Permission::CredentialManage, Place::Workspace);
    let path = "/api/v1/admin/model-config";
    vec![
        row(Method::GET, path, manage, "The workspace's model configuration; `null`: the platform's default.", get),
        row(Method::PUT, path, manage, "Set it; without a key the one there is stays.", put),
        row(Method::DELETE, path, manage, "Go back to the platform's default; the key is destroyed.", delete),
        row(
            Method::POST,
            "/api/v1/admin/model-config/test",
            manage,
            "Test one with a small call; nothing is saved.",
            test,
        ),
    ]
}

/// What is shown of a configuration.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminModelConfig)]
struct Config {
    id: Uuid,
    #[schema(value_type = uuid::Uuid)]
    org_id: Id<Workspace>,
    provider: String,
    #[schema(required)]
    model: Option<String>,
    #[schema(required, value_type = Option<String>)]
    base_url: Option<BaseUrl>,
    #[schema(required)]
    api_key_masked: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminModelConfigAnswer, example = json!({"config": {
    "id": "550e8400-e29b-41d4-a716-446655440000", "orgId": "1c5a3f0e-3d55-4b07-9c0a-90b1b7a3c9de",
    "provider": "anthropic", "model": "claude-opus-4-6", "baseUrl": null, "apiKeyMasked": "***********api0",
    "createdAt": "2026-03-22T00:00:00.000Z", "updatedAt": "2026-03-22T00:00:00.000Z",
}}))]
struct Shown {
    #[schema(required)]
    config: Option<Config>,
}

impl From<ConfigLine> for Config {
    fn from(line: ConfigLine) -> Self {
        Self {
            id: line.id,
            org_id: line.workspace_id,
            provider: line.preset,
            model: line.model,
            base_url: line.base_url,
            api_key_masked: line.api_key_masked,
            created_at: line.created_at.iso8601(),
            updated_at: line.updated_at.iso8601(),
        }
    }
}

fn shown(configured: Configured) -> Detail<Shown> {
    Detail { tag: Tag::of(&configured), shown: Shown { config: configured.config.map(Config::from) } }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AdminModelConfigPut, example = json!({
    "provider": "anthropic", "model": "claude-opus-4-6", "apiKey": "sk-ant-...", "baseUrl": null,
}))]
struct Put {
    /// `anthropic`, `openai`, `azure-openai` or `custom`.
    provider: String,
    #[schema(min_length = 1, max_length = 512)]
    model: String,
    #[schema(value_type = Option<String>, write_only)]
    api_key: Option<Secret>,
    /// Where Azure or the custom provider is.
    #[schema(value_type = Option<String>)]
    base_url: Option<BaseUrl>,
}

impl Put {
    fn binding(self, workspace: Id<Workspace>, purpose: Purpose) -> Result<Binding, Problem> {
        let chosen = Chosen::Named(self.preset()?.name.to_string());
        let base_url = self.base_url.map_or(Change::Clear, Change::Set);
        Ok(Binding { key: self.api_key, base_url, purpose, ..Binding::of(workspace, chosen) })
    }

    /// One of the four kinds, and where it is if that is nowhere usual.
    fn preset(&self) -> Result<&'static Preset, Problem> {
        let found = spelling::preset_called(&self.provider);
        let found = found.filter(|one| matches!(one.name, "anthropic" | "openai" | "azure-openai" | "custom"));
        let wrong = || {
            let problem = Problem::field("provider", format!("`{}` is no provider here", self.provider));
            problem.with_remedy("there are anthropic, openai, azure-openai and custom")
        };
        let preset = found.ok_or_else(wrong)?;
        match preset.kind {
            Kind::AzureOpenAi | Kind::Custom if self.base_url.is_none() => {
                let problem = Problem::field("baseUrl", format!("`{}` is nowhere in particular", preset.name));
                Err(problem.with_remedy("write where it is, for example https://host/v1"))
            }
            _ => Ok(preset),
        }
    }
}

/// How a test went.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminModelConfigTested, example = json!({
    "success": true, "message": "Connection successful.", "modelName": "claude-opus-4-6",
}))]
struct TestAnswer {
    success: bool,
    message: String,
    #[schema(required)]
    model_name: Option<String>,
}

async fn test(ask: Ask<Json<Put>>) -> Result<Report<TestAnswer>, Problem> {
    let (put, workspace) = (ask.body.0, ask.caller.workspace());
    if put.api_key.is_none() {
        return Err(Problem::field("apiKey", "`apiKey` is missing").with_remedy("give the key that is to be tested"));
    }
    let model = put.model.clone();
    let binding = put.binding(workspace, Purpose::Endpoint)?;
    let tested = probing::test_binding(&ask.access, &ask.api.traffic.probe, binding, &model).await?;
    let Tested { success, message, model_name, .. } = tested;
    Ok(Report(TestAnswer { success, message, model_name }))
}

async fn get(ask: Ask) -> Result<Detail<Shown>, Problem> {
    Ok(shown(model_config::get(&ask.access, ask.caller.workspace()).await?))
}

async fn put(ask: Ask<Json<Put>>) -> Result<Detail<Shown>, Problem> {
    let put = ask.body.0;
    let purpose = Purpose::Default(Some(put.model.clone()));
    let binding = put.binding(ask.caller.workspace(), purpose)?;
    Ok(shown(model_config::put(&ask.access, ask.expected, binding).await?))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminModelConfigReset)]
struct Reset {
    message: &'static str,
}

async fn delete(ask: Ask) -> Result<Report<Reset>, Problem> {
    model_config::reset(&ask.access, ask.caller.workspace(), ask.expected).await?;
    Ok(Report(Reset { message: "The workspace uses the platform's default." }))
}
