//! `/audit`.

use http::Method;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::Report;
use super::ask::Ask;
use super::body::Nothing;
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::audit::{self, AuditLine, Checked};
use crate::directory::page::Paged;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AuditView, Place::Platform);
    let verifies = "Walk the chain of records, and say whether one was changed, removed or moved.";
    vec![
        row(Method::GET, "/audit", view, "Every change of the directory, the newest first.", list),
        row(Method::GET, "/audit/verify", view, verifies, verify),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Remembered {
    /// The link of a record that somebody remembers, from a log line: a chain that lacks it was cut.
    expected: Option<String>,
}

async fn list(ask: Ask) -> Result<Paged<AuditLine>, Problem> {
    Ok(audit::list(&ask.access, ask.page).await?)
}

async fn verify(ask: Ask<Nothing, Remembered>) -> Result<Report<Checked>, Problem> {
    Ok(Report(audit::verify(&ask.access, ask.query.expected.as_deref()).await?))
}
