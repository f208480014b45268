//! What providers are asked on somebody's behalf: does a key work, which models are there, what do they cost. A test saves
//! nothing, and what is found can be looked at before it is taken.

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::Report;
use super::ask::Ask;
use super::body::{Json, Nothing};
use super::endpoints::NewBinding;
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::admin::probing::{self, Depth, PriceSource, Tested};
use crate::directory::discovery::{Discovered, Repriced, Taking};
use crate::directory::endpoints::Binding;
use crate::domain::address::BaseUrl;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let bind = Needs::Permission(Permission::CredentialManage, Place::Workspace);
    let models = Needs::Permission(Permission::AIModelManage, Place::Owner);
    let prices = Needs::Permission(Permission::AIModelManage, Place::Platform);
    let validates = "Test a stored key against its provider: `list` is free, `ping` costs a few units.";
    let tests = "Test a provider, key and model with one small call; nothing is saved.";
    let (validate, test) = ("/credentials/{id}/validate", "/workspaces/{id}/model-config/test");
    let discovers = "Ask a provider for its models and take those that are new.";
    let syncs = "Take the prices of the platform's OpenRouter models, or those that a list states.";
    vec![
        row(Method::POST, validate, Needs::Token, validates, check),
        row(Method::POST, test, bind, tests, try_out),
        row(Method::POST, "/providers/{id}/discover-models", models, discovers, discover),
        row(Method::POST, "/sync-pricing", prices, syncs, sync),
    ]
}

/// How thoroughly a key is tested.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"depth": "list"}))]
struct Validation {
    #[serde(default)]
    #[schema(inline)]
    depth: Thoroughness,
    /// Of a `ping`; the credential's or provider's default unless said.
    model: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Thoroughness {
    #[default]
    List,
    Ping,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Looking {
    /// Only shows what would change. What was looked at a moment ago is what is then taken.
    #[serde(default)]
    preview: bool,
}

impl Looking {
    const fn taking(&self) -> Taking {
        if self.preview { Taking::Preview } else { Taking::Apply }
    }
}

/// Where prices come from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
struct Source {
    /// The URL of a list of many providers' prices; without one OpenRouter says those of its own models.
    #[schema(value_type = Option<String>)]
    from: Option<BaseUrl>,
}

/// What became of prices.
#[derive(Debug, Serialize, ToSchema)]
struct Synced {
    /// Models whose price changed, or would.
    updated: usize,
    providers: Vec<Repriced>,
}

async fn check(ask: Ask<Json<Validation>>) -> Result<Report<Tested>, Problem> {
    let id = ask.id("id", "credential")?;
    let Validation { depth, model } = ask.body.0;
    let depth = match depth {
        Thoroughness::List => Depth::List,
        Thoroughness::Ping => Depth::Ping(model),
    };
    Ok(Report(probing::test_stored(&ask.access, &ask.api.traffic.probe, id, depth).await?))
}

async fn try_out(ask: Ask<Json<NewBinding>>) -> Result<Report<Tested>, Problem> {
    let workspace = ask.id("id", "workspace")?;
    let missing = || Problem::field("model", "`model` is missing").with_remedy("name the one that is to answer");
    let model = ask.body.0.model.clone().ok_or_else(missing)?;
    let binding: Binding = ask.body.0.to(workspace);
    Ok(Report(probing::test_binding(&ask.access, &ask.api.traffic.probe, binding, &model).await?))
}

async fn discover(ask: Ask<Nothing, Looking>) -> Result<Report<Discovered>, Problem> {
    let provider = ask.id("id", "provider")?;
    Ok(Report(probing::discover(&ask.access, &ask.api.traffic.probe, provider, ask.query.taking()).await?))
}

async fn sync(ask: Ask<Json<Source>, Looking>) -> Result<Report<Synced>, Problem> {
    let source = ask.body.0.from.map_or(PriceSource::OpenRouter, PriceSource::List);
    let providers = probing::sync_prices(&ask.access, &ask.api.traffic.probe, &source, ask.query.taking()).await?;
    let updated = providers.iter().map(|one| one.changes.len()).sum();
    Ok(Report(Synced { updated, providers }))
}
