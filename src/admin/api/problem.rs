//! What the API says when it does not do what it was asked: RFC 9457's problem documents, and the tables behind them.

use std::ops::Deref;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::probing::ProbingError;
use crate::admin::usage::UsageError;
use crate::attempt::probe::ProbeError;
use crate::directory::DirectoryError;
use crate::domain::refusal::Refusal;
use crate::store::StoreError;

/// How soon it is worth asking a store again that could not answer.
const STORE_RETRY: Duration = Duration::from_secs(2);
/// How soon what is under way has probably ended: a request under the same idempotency key, a question to a provider.
const UNDERWAY_RETRY: Duration = Duration::from_secs(1);

/// An error, for programs by `code` and for people by `detail`. Boxed, for it travels behind every result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(Box<Said>);

/// What stands in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "docs/errors.md#invalid", "title": "invalid", "status": 400, "code": "invalid",
    "detail": "`name` is no name", "field": "name",
    "remedy": "use 1 to 64 letters, digits, `.`, `_` and `-`",
}))]
pub struct Said {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: &'static str,
    pub status: u16,
    /// Stable.
    pub code: &'static str,
    pub detail: String,
    /// The field, parameter or header at fault, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Deref for Problem {
    type Target = Said;

    fn deref(&self) -> &Said {
        &self.0
    }
}

/// The codes that only the API has, with their statuses; the rest are those of `Refusal` and `DirectoryError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Query,
    TooManyFailures,
    KeyReused,
    KeyUnderway,
    AskingFailed,
    ProviderUnlisted,
    AskingTooMuch,
    LedgerAway,
    Failed,
}

/// Every code of the API that no call on the data plane hears, for the documents are held to all of them.
pub const CODES: [(&str, u16); 8] = [
    ("query_invalid", 400),
    ("too_many_failures", 429),
    ("idempotency_key_reused", 422),
    ("idempotency_key_underway", 409),
    ("asking_failed", 424),
    ("provider_unlisted", 400),
    ("asking_too_much", 429),
    ("ledger_unavailable", 503),
];

impl Fault {
    const fn row(self) -> (&'static str, u16) {
        match self {
            Self::Query => CODES[0],
            Self::TooManyFailures => CODES[1],
            Self::KeyReused => CODES[2],
            Self::KeyUnderway => CODES[3],
            Self::AskingFailed => CODES[4],
            Self::ProviderUnlisted => CODES[5],
            Self::AskingTooMuch => CODES[6],
            Self::LedgerAway => CODES[7],
            Self::Failed => ("internal_error", 500),
        }
    }
}

impl Problem {
    fn new(code: &'static str, status: u16, detail: impl Into<String>) -> Self {
        Self(Box::new(Said {
            kind: format!("docs/errors.md#{code}"),
            title: code,
            status,
            code,
            detail: detail.into(),
            field: None,
            remedy: None,
            retry_after: None,
        }))
    }

    pub(super) fn of(fault: Fault, detail: impl Into<String>) -> Self {
        let (code, status) = fault.row();
        let problem = Self::new(code, status, detail);
        match fault {
            Fault::KeyUnderway | Fault::AskingTooMuch => problem.retry_after(UNDERWAY_RETRY),
            _ => problem,
        }
    }

    /// A body that reads well and is not what it must be.
    pub(super) fn body(detail: impl Into<String>) -> Self {
        Self::new("field_invalid", 400, detail)
    }

    /// A field of it.
    pub(super) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::body(detail).with_field(field)
    }

    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// What the listener found wrong with a head, in its own words.
    pub(crate) fn because(mut self, status: StatusCode, detail: String) -> Self {
        self.0.status = status.as_u16();
        self.with_detail(detail)
    }

    /// The same mistake, made in a query.
    pub(super) fn in_query(self) -> Self {
        let said = *self.0;
        let asked = Self::of(Fault::Query, said.detail);
        Self(Box::new(Said { field: said.field, remedy: said.remedy, ..*asked.0 }))
    }

    pub(super) fn with_field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    pub(super) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// The same, without a word in it that nobody should read.
    pub(super) fn without(mut self, word: &str) -> Self {
        let Said { detail, field, remedy, .. } = &mut *self.0;
        for text in [Some(detail), field.as_mut(), remedy.as_mut()].into_iter().flatten() {
            *text = text.replace(word, "…");
        }
        self
    }

    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// The same, where the field at fault is called otherwise.
    pub(super) fn spelt(mut self, fields: &[(&str, &str)]) -> Self {
        if let Some(field) = &mut self.0.field
            && let Some((_, theirs)) = fields.iter().find(|(ours, _)| field == ours)
        {
            *field = theirs.to_string();
        }
        self
    }

    /// As a part of another answer, and back.
    pub(super) fn said(self) -> Said {
        *self.0
    }

    /// Whether the answer is for the log too: the asker can do nothing about it.
    pub(super) fn is_ours(&self) -> bool {
        self.status >= 500
    }

    pub(crate) fn into_response(self) -> Response {
        let text = serde_json::to_vec(&*self.0).unwrap_or_default();
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if self.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code == "body_too_large" {
            headers.insert(HeaderName::from_static("connection"), HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Said> for Problem {
    fn from(said: Said) -> Self {
        Self(Box::new(said))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (row, wait) = (refusal.row(), refusal.retry_after());
        let mut problem = Self::new(row.code, row.status, refusal.to_string());
        problem.0.retry_after = wait;
        match refusal {
            Refusal::HeaderInvalid { header, .. } => problem.with_field(header),
            _ => problem,
        }
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        let (code, status) = error.row();
        match error {
            DirectoryError::Store(error) => error.into(),
            DirectoryError::NotFound { kind, name, hint } => {
                let problem = Self::new(code, status, format!("there is no {kind} `{name}`"));
                match hint.trim_start_matches("; ") {
                    "" => problem,
                    hint => problem.with_remedy(hint),
                }
            }
            DirectoryError::Invalid { field, what, why, remedy } => {
                let problem = Self::new(code, status, format!("{what} {why}")).with_remedy(remedy);
                if field.is_empty() { problem } else { problem.with_field(field) }
            }
            // Only base URLs are held to where keys may go.
            DirectoryError::Egress(_) => Self::new(code, status, error.to_string()).with_field("baseUrl"),
            error => Self::new(code, status, error.to_string()),
        }
    }
}

/// A provider that was asked and did not answer well is not ours to mend.
impl From<ProbingError> for Problem {
    fn from(error: ProbingError) -> Self {
        let error = match error {
            ProbingError::Directory(error) => return error.into(),
            ProbingError::Probe(error) => error,
        };
        let fault = match error {
            ProbeError::Failed(_) | ProbeError::Unreadable => Fault::AskingFailed,
            ProbeError::Unlisted(_) | ProbeError::Unspoken(_) => Fault::ProviderUnlisted,
            ProbeError::Busy => Fault::AskingTooMuch,
        };
        Self::of(fault, error.to_string())
    }
}

/// What is wrong with a question about usage is the asker's to mend; a ledger that is away the operator's.
impl From<UsageError> for Problem {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::Asked { field, why } => {
                Self::of(Fault::Query, format!("`{field}` is not valid: {why}")).with_field(field)
            }
            UsageError::Away(error) => {
                tracing::error!(%error, "the admin API could not use the ledger");
                let detail = "the ledger can't be asked right now; exchanges are written down all the same";
                Self::of(Fault::LedgerAway, detail).retry_after(STORE_RETRY)
            }
        }
    }
}

/// A store that can't be asked is the operator's matter: the log has the cause, the asker when to come again.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let row = Refusal::StoreAway.row();
        let detail = match &error {
            StoreError::NotDurable { .. } => "the change is in place, but a power cut may undo it; the log says why",
            _ => "the directory can't be read or changed right now, and nothing was; the log says why",
        };
        tracing::error!(%error, "the admin API could not use the store");
        Self::new(row.code, row.status, detail).retry_after(STORE_RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_says_when_to_come_again_and_nothing_of_where_it_lies() {
        let path = std::path::PathBuf::from("/var/lib/keyway/directory");
        let problem = Problem::from(DirectoryError::Store(StoreError::NoSpace { path }));
        assert_eq!((problem.status, problem.code), (503, "store_unavailable"));
        assert!(!problem.detail.contains("/var/lib"));
        assert_eq!(problem.into_response().headers()["retry-after"], "2");
    }

    #[test]
    fn a_problem_names_field_and_remedy_apart_from_the_sentence() {
        let error = DirectoryError::invalid("the org's name", "is no name", "use letters").at("name");
        let text = serde_json::to_value(&*Problem::from(error)).unwrap();
        assert_eq!(text["field"], "name");
        assert_eq!(text["remedy"], "use letters");
        assert_eq!(text["detail"], "the org's name is no name");
        assert_eq!(text["type"], "docs/errors.md#invalid");
    }
}
