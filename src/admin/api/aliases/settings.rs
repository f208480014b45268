//! `/api/settings/aiprovider`: a workspace's providers as settings records, in snake case. A key goes in and never comes out.

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::missing;
use super::spelling;
use crate::admin::api::answer::{Detail, Done, Listed, Made};
use crate::admin::api::ask::Ask;
use crate::admin::api::body::Json;
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::directory::Tag;
use crate::directory::endpoints::{self, Binding, Chosen, EndpointLine, Purpose};
use crate::domain::address::BaseUrl;
use crate::domain::change::Change;
use crate::domain::entity::{Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::secret::Secret;

const GROUP: &str = "aiprovider";

/// What our fields are called in a record.
pub(super) const FIELDS: [(&str, &str); 3] =
    [("apiKey", "value.api_key"), ("baseUrl", "value.base_url"), ("defaultModel", "value.default_model")];

pub(super) fn rows() -> Vec<Row> {
    let manage = Needs::Permission(Permission::CredentialManage, Place::Workspace);
    let (all, one) = ("/api/settings/aiprovider", "/api/settings/aiprovider/{name}");
    vec![
        row(Method::GET, all, manage, "The records of the workspace whose token is shown.", list),
        row(Method::POST, all, manage, "Add a record.", create),
        row(Method::GET, one, manage, "One record.", get),
        row(Method::PUT, one, manage, "Write a record; without `api_key` the one there is stays.", put),
        row(Method::DELETE, one, manage, "Delete a record; its key is destroyed.", delete),
    ]
}

/// A record without its key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AiProviderRecord, example = json!({
    "group": "aiprovider", "name": "openai", "active": true,
    "value": {"default_model": "gpt-4o-mini", "protocol": "openai", "base_url": null},
}))]
struct Record {
    group: &'static str,
    name: String,
    active: bool,
    value: Value,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AiProviderValue)]
struct Value {
    #[schema(required)]
    default_model: Option<String>,
    /// `openai`, `anthropic` or `gemini`.
    protocol: &'static str,
    #[schema(required, value_type = Option<String>)]
    base_url: Option<BaseUrl>,
}

impl From<EndpointLine> for Record {
    fn from(line: EndpointLine) -> Self {
        // A workspace's own provider is where its record said.
        let own = line.provider_workspace_id.is_some().then_some(line.base_url);
        let (protocol, base_url) = (spelling::adapter(line.protocol), line.own_base_url.or(own));
        let value = Value { default_model: line.model, protocol, base_url };
        Self { group: GROUP, name: line.provider, active: line.active, value }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAiProviderRecord, example = json!({
    "group": "aiprovider", "name": "openai", "active": true,
    "value": {"api_key": "sk-...", "default_model": "gpt-4o-mini", "protocol": "openai"},
}))]
struct Written {
    /// `aiprovider`.
    group: Option<String>,
    /// The path says it too, where it has one.
    name: Option<String>,
    #[serde(default = "yes")]
    #[schema(default = true)]
    active: bool,
    value: WrittenValue,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAiProviderValue)]
struct WrittenValue {
    #[schema(value_type = Option<String>, write_only)]
    api_key: Option<Secret>,
    default_model: Option<String>,
    /// `openai`, `anthropic` or `gemini`.
    protocol: String,
    #[schema(value_type = Option<String>)]
    base_url: Option<BaseUrl>,
}

const fn yes() -> bool {
    true
}

impl Written {
    fn binding(self, workspace: Id<Workspace>, name: String, purpose: Purpose) -> Result<Binding, Problem> {
        if let Some(group) = self.group.filter(|group| group != GROUP) {
            return Err(Problem::field("group", format!("`{group}` is no group here")).with_remedy("write aiprovider"));
        }
        let WrittenValue { api_key, default_model, protocol, base_url } = self.value;
        let (protocol, preset) = spelling::protocol("value.protocol", &protocol)?;
        Ok(Binding {
            key: api_key,
            base_url: base_url.map_or(Change::Clear, Change::Set),
            protocol: Some(protocol),
            model: default_model.map_or(Change::Clear, Change::Set),
            active: Some(self.active),
            purpose,
            ..Binding::of(workspace, Chosen::OfPreset(name, preset))
        })
    }
}

async fn own<B, Q>(ask: &Ask<B, Q>) -> Result<Vec<EndpointLine>, Problem> {
    let mut found = endpoints::list(&ask.access, ask.caller.workspace()).await?;
    found.retain(|one| one.managed_by == Scope::Workspace);
    Ok(found)
}

/// The record of this name: the provider's own, else that of its kind.
async fn found<B, Q>(ask: &Ask<B, Q>) -> Result<EndpointLine, Problem> {
    let (name, mut all) = (ask.path("name"), own(ask).await?);
    let at = all.iter().position(|one| one.provider.eq_ignore_ascii_case(name));
    let at = at.or_else(|| all.iter().position(|one| one.preset == name));
    at.map(|at| all.swap_remove(at)).ok_or_else(|| missing("record", name))
}

async fn list(ask: Ask) -> Result<Listed<Record>, Problem> {
    Ok(Listed(own(&ask).await?.into_iter().map(Record::from).collect()))
}

async fn create(ask: Ask<Json<Written>>) -> Result<Made<Record>, Problem> {
    let (workspace, written) = (ask.caller.workspace(), ask.body.0);
    let missing = || Problem::field("name", "`name` is missing");
    let name = written.name.clone().filter(|name| !name.is_empty()).ok_or_else(missing)?;
    let binding = written.binding(workspace, name, Purpose::NewEndpoint)?;
    let line = endpoints::bind(&ask.access, ask.expected, binding).await?;
    let location = format!("/workspaces/{workspace}/model-endpoints/{}", line.id);
    Ok(Made { report: line.into(), location })
}

async fn get(ask: Ask) -> Result<Detail<Record>, Problem> {
    Ok(shown(found(&ask).await?))
}

fn shown(line: EndpointLine) -> Detail<Record> {
    Detail { tag: Tag::of(&line), shown: line.into() }
}

async fn put(ask: Ask<Json<Written>>) -> Result<Detail<Record>, Problem> {
    let name = ask.path("name").to_string();
    if let Some(other) = ask.body.0.name.as_ref().filter(|other| !other.eq_ignore_ascii_case(&name)) {
        let detail = format!("the body is about `{other}`, and the path about `{name}`");
        return Err(Problem::field("name", detail).with_remedy("name the same one, or leave it out"));
    }
    let binding = ask.body.0.binding(ask.caller.workspace(), name, Purpose::Endpoint)?;
    Ok(shown(endpoints::bind(&ask.access, ask.expected, binding).await?))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let found = found(&ask).await?;
    endpoints::delete(&ask.access, ask.caller.workspace(), found.id, ask.expected).await?;
    Ok(Done)
}
