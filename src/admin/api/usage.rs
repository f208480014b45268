//! `/usage`, `/runs` and `/exchanges`: who used what, and what it cost.

use http::Method;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Report, Table, TablePage};
use super::ask::Ask;
use super::body::Nothing;
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::admin::usage::{self, Asked, ExchangeLine, RunReport, Usage, exchanges_csv, scope, span, usage_csv, widest};
use crate::directory::page::Paged;
use crate::directory::{DirectoryError, moment};
use crate::domain::entity::{Org, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::store::ledger::{Dimension, Listing};

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::UsageView, Place::Member);
    let anywhere = Needs::Permission(Permission::UsageView, Place::Everywhere);
    let workspace = Needs::Permission(Permission::UsageView, Place::Workspace);
    vec![
        row(Method::GET, "/usage", view, "What was used and what it cost, in groups and altogether.", sums),
        row(Method::GET, "/usage.csv", view, "The same as a table.", sums_table),
        row(Method::GET, "/exchanges", view, "Exchanges, the newest first.", list),
        row(Method::GET, "/exchanges.csv", view, "The same as a table, a page at a time.", list_table),
        row(Method::GET, "/exchanges/{id}", anywhere, "One exchange with its attempts.", one),
        row(Method::GET, "/runs/{*run}", workspace, "What a run came to, and all that is below it.", run),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageAsked {
    /// What an org used. Without org and workspace: all that the token may see.
    #[param(value_type = Option<uuid::Uuid>)]
    org_id: Option<Id<Org>>,
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
    /// Whole hours count; thirty days before `to` unless said.
    #[serde(default, deserialize_with = "moment::optional")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    #[serde(default, deserialize_with = "moment::optional")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Of `org`, `workspace`, `user`, `token`, `provider`, `model`, `run`, `hour`, `day`: some, with commas between them.
    group_by: Option<String>,
    /// Only this one's.
    user: Option<String>,
    #[param(value_type = Option<uuid::Uuid>)]
    token: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    run: Option<String>,
    /// Groups of one answer.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
    /// `nextCursor` of the answer before.
    cursor: Option<String>,
}

async fn asked(ask: Ask<Nothing, UsageAsked>) -> Result<Usage, Problem> {
    let query = ask.query;
    let scope = scope(&ask.access, query.org_id, query.workspace_id).await?;
    let only = [
        (Dimension::User, query.user),
        (Dimension::Token, query.token),
        (Dimension::Provider, query.provider),
        (Dimension::Model, query.model),
        (Dimension::Run, query.run),
    ];
    let asked = Asked {
        from: query.from,
        to: query.to,
        group_by: query.group_by,
        only: only.into_iter().filter_map(|(dimension, text)| Some((dimension, text?))).collect(),
        cursor: query.cursor,
        limit: query.limit,
    };
    Ok(usage::usage(&ask.api.traffic.ledger, scope, asked, Timestamp::now()).await?)
}

async fn sums(ask: Ask<Nothing, UsageAsked>) -> Result<Report<Usage>, Problem> {
    Ok(Report(asked(ask).await?))
}

async fn sums_table(ask: Ask<Nothing, UsageAsked>) -> Result<Table, Problem> {
    Ok(Table(usage_csv(&asked(ask).await?)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExchangesAsked {
    /// Those of an org. Without org and workspace: all that the token may see.
    #[param(value_type = Option<uuid::Uuid>)]
    org_id: Option<Id<Org>>,
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
    #[serde(default, deserialize_with = "moment::optional")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    #[serde(default, deserialize_with = "moment::optional")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Those of a run.
    run: Option<String>,
}

async fn listed(ask: Ask<Nothing, ExchangesAsked>) -> Result<Paged<ExchangeLine>, Problem> {
    let ExchangesAsked { org_id, workspace_id, from, to, run } = ask.query;
    let scope = scope(&ask.access, org_id, workspace_id).await?;
    let limit = ask.page.limit;
    let span = span(from, to, Timestamp::now())?;
    let listing = Listing { scope, span, run, before: ask.page.after, limit: limit + 1 };
    let found = ask.api.traffic.ledger.list(&listing).await.map_err(usage::UsageError::from)?;
    let next = (found.len() > limit as usize).then(|| found[limit as usize - 1].id);
    let lines = found.iter().take(limit as usize).filter_map(|kept| Some(ExchangeLine::from(&kept.entry()?)));
    Ok(Paged { items: lines.collect(), next })
}

async fn list(ask: Ask<Nothing, ExchangesAsked>) -> Result<Paged<ExchangeLine>, Problem> {
    listed(ask).await
}

async fn list_table(ask: Ask<Nothing, ExchangesAsked>) -> Result<TablePage, Problem> {
    Ok(TablePage(exchanges_csv(&listed(ask).await?.items)))
}

async fn one(ask: Ask) -> Result<Report<ExchangeLine>, Problem> {
    let id = ask.id::<crate::domain::ledger::Entry<'static>>("id", "exchange")?;
    let scope = widest(&ask.access)?;
    let found = ask.api.traffic.ledger.exchange(scope, id.uuid()).await.map_err(usage::UsageError::from)?;
    let line = found.and_then(|kept| Some(ExchangeLine::from(&kept.entry()?)));
    line.map_or_else(|| Err(missing("exchange", &id.to_string())), |line| Ok(Report(line)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunAsked {
    /// The workspace whose run it is; the one whose token is shown, unless said.
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
}

async fn run(ask: Ask<Nothing, RunAsked>) -> Result<Report<RunReport>, Problem> {
    let workspace = ask.query.workspace_id.unwrap_or_else(|| ask.caller.workspace());
    scope(&ask.access, None, Some(workspace)).await?;
    let name = ask.path("run");
    let found = ask.api.traffic.ledger.run(workspace, name).await.map_err(usage::UsageError::from)?;
    found.map_or_else(|| Err(missing("run", name)), |found| Ok(Report(found.into())))
}

fn missing(kind: &'static str, name: &str) -> Problem {
    DirectoryError::NotFound { kind, name: name.to_string(), hint: String::new() }.into()
}
