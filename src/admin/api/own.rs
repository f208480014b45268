//! `/me/tokens`: the tokens of the user behind the shown one. Those that the user made are also for their own keys.

use http::Method;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::{CreatedOnce, Done};
use super::ask::Ask;
use super::body::Json;
use super::problem::Problem;
use super::table::{Needs, Row, row};
use crate::directory::moment;
use crate::directory::page::Paged;
use crate::directory::tokens::TokenLine;
use crate::directory::tokens::own::{self, NewOwn};
use crate::domain::permission::AccessRole;
use crate::domain::time::Timestamp;

pub(super) fn rows() -> Vec<Row> {
    let (all, one) = ("/me/tokens", "/me/tokens/{id}");
    let makes = "Make a token of the user's own, which alone can set and spend their own keys; it is shown this once.";
    vec![
        row(Method::GET, all, Needs::Token, "All tokens that stand for the user behind the shown one.", list),
        row(Method::POST, all, Needs::Token, makes, create),
        row(Method::DELETE, one, Needs::Token, "Revoke one of them.", revoke),
    ]
}

/// A token of the user's own: of the same workspace and kind as the one it is made with, and never holding more.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"label": "my laptop"}))]
struct CreateOwn {
    #[serde(default)]
    #[schema(max_length = 200)]
    label: String,
    /// That of the shown token unless stated.
    #[schema(inline)]
    role: Option<AccessRole>,
    project: Option<String>,
    /// Of those that the shown token allows; none: all of them.
    #[serde(default)]
    #[schema(max_items = 256)]
    models: Vec<String>,
    /// No later than that of the shown token.
    #[serde(default, deserialize_with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

async fn list(ask: Ask) -> Result<Paged<TokenLine>, Problem> {
    Ok(own::list(&ask.access, ask.page).await?)
}

async fn create(ask: Ask<Json<CreateOwn>>) -> Result<CreatedOnce<TokenLine>, Problem> {
    let CreateOwn { label, role, project, models, expires_at } = ask.body.0;
    let minted = own::create(&ask.access, NewOwn { label, role, project, models, expires_at }).await?;
    let location = format!("/tokens/{}", minted.line.id);
    Ok(CreatedOnce { shown: minted.line, location, token: minted.text })
}

async fn revoke(ask: Ask) -> Result<Done, Problem> {
    own::revoke(&ask.access, ask.id("id", "token")?).await?;
    Ok(Done)
}
