//! Why we say no, and the one table of statuses, codes and what an SDK may do about it.

use std::time::Duration;

use super::entity::Scope;
use super::money::Nanodollars;

/// The client hears it, in its own protocol's shape. Never retried by us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    // Before a caller is known.
    #[error("no token was shown; send `Authorization: Bearer kw_…`")]
    TokenMissing,
    #[error("two different tokens were shown in {0} and {1}; send one")]
    TokensDiffer(&'static str, &'static str),
    #[error("the token is unknown, revoked or expired")]
    TokenUnknown,
    #[error("{0} is not a path of this gateway{1}")]
    PathUnknown(String, &'static str),
    #[error("{method} is not allowed here; allowed: {allow}")]
    MethodNotAllowed { method: String, allow: &'static str },
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    #[error("this listener's metrics need a token that may see them")]
    MetricsDenied,

    // Admission.
    #[error("the {of} may make {limit} requests a minute")]
    RateLimited { of: &'static str, limit: u32, retry_after: Duration },
    #[error("the {of} may have {limit} calls in flight at once")]
    ParallelLimited { of: &'static str, limit: u32 },
    #[error("the gateway is at its limit of {0}; try again shortly")]
    AtCapacity(&'static str),
    #[error("the directory can't be asked right now; try again shortly")]
    StoreAway,

    // Reading.
    #[error("the body is larger than {limit_bytes} bytes")]
    BodyTooLarge { limit_bytes: u64 },
    #[error("the body broke off before its end")]
    BodyBroken,
    #[error("the body did not arrive in time")]
    BodyTimedOut,
    #[error(
        "this socket has been open for an hour; open another, and go on from what was stored or with all that was said"
    )]
    SocketTooOld,
    #[error("the body is not valid: {what} at byte {at}")]
    BodyInvalid { what: &'static str, at: usize },
    #[error("`{0}` is not accepted in a body: where a call goes is decided by the gateway's configuration")]
    FieldDenied(&'static str),
    #[error("`{field}` is not valid: {why}")]
    FieldInvalid { field: &'static str, why: &'static str },
    #[error("the header `{header}` is not valid: {why}")]
    HeaderInvalid { header: &'static str, why: &'static str },
    #[error("this operation takes {takes}, not `{got}`")]
    ContentType { takes: &'static str, got: String },
    #[error("a body with `content-encoding: {0}` is not taken; send it uncoded")]
    ContentCoded(String),

    // Resolving.
    #[error("no model is named `{model}`{closest}")]
    ModelNotFound { model: String, closest: String },
    #[error("the organisation has switched off {provider}")]
    ProviderDisabled { provider: String },
    #[error("`{model}` is not approved for {kind} tokens; {remedy}")]
    ModelNotApproved { model: String, kind: &'static str, remedy: String },
    #[error("the call is longer than the {limit} tokens of context that `{model}` has")]
    ContextTooLong { model: String, limit: u64 },
    #[error("what `{model}` costs is not known, and calls without a price are refused here; {remedy}")]
    ModelUnpriced { model: String, remedy: &'static str },
    #[error("the run `{run}` can't be a part of `{parent}`, which is a part of it or lies too deep")]
    RunCycle { run: String, parent: String },
    #[error("the {of} may spend {limit} dollars a {period}, of which {left} are left, and this call may cost {wanted}")]
    BudgetExceeded {
        of: &'static str,
        period: &'static str,
        limit: Nanodollars,
        left: Nanodollars,
        wanted: Nanodollars,
        retry_after: Duration,
    },
    #[error(
        "the run `{run}` may cost {limit} dollars with all below it, of which {left} are left, and this call may cost {wanted}"
    )]
    RunBudgetExceeded { run: String, limit: Nanodollars, left: Nanodollars, wanted: Nanodollars },
    #[error("the run `{run}` may make {limit} calls with all below it, and has made them")]
    RunOutOfCalls { run: String, limit: i64 },
    #[error("the run `{run}` lies below more than the {limit} runs that may lie above one")]
    RunTooDeep { run: String, limit: u32 },
    #[error("the run `{run}` may cost {limit} dollars a minute with all below it")]
    RunTooFast { run: String, limit: Nanodollars, retry_after: Duration },
    #[error("the {of} may use {limit} {direction} tokens a minute")]
    TextLimited { of: &'static str, direction: &'static str, limit: u64, retry_after: Duration },
    #[error("what the {of} has spent can't be asked right now, and without that nothing is spent; try again shortly")]
    BudgetUnknown { of: &'static str },
    #[error("there is no credential for {provider}; {remedy}")]
    NoCredential { provider: String, remedy: String },
    #[error("the record of files, batches and responses can't be asked right now; try again shortly")]
    StateAway,
    #[error("{0} is not a file, batch or response of this workspace")]
    ObjectNotFound(&'static str),
    #[error("there is no response `{0}` to go on from in this workspace: it was not stored, or is forgotten")]
    ResponseNotFound(String),
    #[error("this token may not make batches")]
    BatchesDenied,
    #[error("{provider} speaks another protocol than this call; {remedy}")]
    UnsupportedByTarget { provider: String, remedy: &'static str },
    #[error("`{field}` can't be said to {provider}, which speaks another protocol; leave it out or name another model")]
    FieldUnsupported { provider: String, field: String },

    // After the attempts.
    #[error("{provider} refused the {} credential; its holder must renew it", scope.name())]
    CredentialRejected { provider: String, scope: Scope },
    #[error("the quota of the {} credential for {provider} is used up", scope.name())]
    QuotaExhausted { provider: String, scope: Scope },
    #[error("{provider} limits the rate of this credential")]
    CredentialHeld { provider: String, retry_after: Duration },
    #[error("the {} credential for {provider} can't be used: {why}", scope.name())]
    CredentialUnusable { provider: String, scope: Scope, why: &'static str },
    #[error("{provider}: {failure}")]
    ProviderFailed { provider: String, failure: String },
    #[error("no provider answered in time")]
    TimedOut,
    #[error("every parallel call to {provider} is taken")]
    ProviderBusy { provider: String },
    #[error("the gateway failed to handle this call; it is logged under its request id")]
    Internal,
}

/// What the table says of one refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub status: u16,
    /// Stable, documented in `docs/errors.md`.
    pub code: &'static str,
    /// The family, in the words that OpenAI's clients know.
    pub family: Family,
    /// `Some` overrides what an SDK would do by status alone.
    pub should_retry: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    InvalidRequest,
    Authentication,
    Permission,
    NotFound,
    RateLimit,
    Quota,
    Server,
}

const fn row(status: u16, code: &'static str, family: Family) -> Row {
    Row { status, code, family, should_retry: None }
}

const fn final_row(status: u16, code: &'static str, family: Family) -> Row {
    Row { status, code, family, should_retry: Some(false) }
}

impl Refusal {
    /// The whole table.
    pub const fn row(&self) -> Row {
        use Family::{Authentication, InvalidRequest, NotFound, Permission, Quota, RateLimit, Server};
        match self {
            Self::TokenMissing => row(401, "token_missing", Authentication),
            Self::TokensDiffer(..) => row(401, "tokens_differ", Authentication),
            Self::TokenUnknown => row(401, "invalid_api_key", Authentication),
            Self::PathUnknown(..) => row(404, "path_unknown", NotFound),
            Self::MethodNotAllowed { .. } => row(405, "method_not_allowed", InvalidRequest),
            Self::Malformed(_) => row(400, "malformed_request", InvalidRequest),
            Self::MetricsDenied => row(403, "metrics_denied", Permission),
            Self::RateLimited { .. } => row(429, "rate_limit_exceeded", RateLimit),
            Self::ParallelLimited { .. } => row(429, "parallel_limit_exceeded", RateLimit),
            Self::AtCapacity(_) => row(503, "at_capacity", Server),
            Self::StoreAway => row(503, "store_unavailable", Server),
            Self::BodyTooLarge { .. } => row(413, "body_too_large", InvalidRequest),
            Self::BodyBroken => row(400, "body_broken", InvalidRequest),
            Self::BodyTimedOut => row(408, "body_timeout", InvalidRequest),
            Self::SocketTooOld => row(400, "websocket_connection_limit_reached", InvalidRequest),
            Self::BodyInvalid { .. } => row(400, "body_invalid", InvalidRequest),
            Self::FieldDenied(_) => row(400, "field_denied", InvalidRequest),
            Self::FieldInvalid { .. } => row(400, "field_invalid", InvalidRequest),
            Self::HeaderInvalid { .. } => row(400, "header_invalid", InvalidRequest),
            Self::ContentType { .. } => row(415, "content_type_unsupported", InvalidRequest),
            Self::ContentCoded(_) => row(415, "content_encoding_unsupported", InvalidRequest),
            Self::ModelNotFound { .. } => row(404, "model_not_found", NotFound),
            Self::ProviderDisabled { .. } => row(403, "provider_disabled", Permission),
            Self::ModelNotApproved { .. } => row(403, "model_not_approved", Permission),
            Self::ContextTooLong { .. } => row(400, "context_length_exceeded", InvalidRequest),
            Self::ModelUnpriced { .. } => row(403, "model_unpriced", Permission),
            Self::RunCycle { .. } => row(400, "run_cycle", InvalidRequest),
            Self::BudgetExceeded { .. } => final_row(402, "budget_exceeded", Quota),
            Self::RunBudgetExceeded { .. } => final_row(402, "run_budget_exceeded", Quota),
            Self::RunOutOfCalls { .. } | Self::RunTooDeep { .. } => final_row(429, "run_limit_exceeded", Quota),
            Self::RunTooFast { .. } => row(429, "rate_limit_exceeded", RateLimit),
            Self::TextLimited { .. } => row(429, "rate_limit_exceeded", RateLimit),
            Self::BudgetUnknown { .. } => row(503, "budget_unknown", Server),
            Self::NoCredential { .. } => row(403, "no_credential", Permission),
            Self::StateAway => row(503, "state_unavailable", Server),
            Self::ObjectNotFound(_) => row(404, "object_not_found", NotFound),
            Self::ResponseNotFound(_) => row(400, "previous_response_not_found", InvalidRequest),
            Self::BatchesDenied => row(403, "batches_denied", Permission),
            Self::UnsupportedByTarget { .. } | Self::FieldUnsupported { .. } => {
                row(400, "unsupported_by_target", InvalidRequest)
            }
            Self::CredentialRejected { .. } => final_row(502, "credential_rejected", Server),
            Self::QuotaExhausted { .. } => final_row(429, "insufficient_quota", Quota),
            Self::CredentialHeld { .. } => row(429, "rate_limit_exceeded", RateLimit),
            Self::CredentialUnusable { .. } => final_row(502, "credential_unusable", Server),
            Self::ProviderFailed { .. } => final_row(502, "provider_failed", Server),
            Self::TimedOut => final_row(504, "provider_timeout", Server),
            Self::ProviderBusy { .. } => row(503, "provider_busy", Server),
            Self::Internal => final_row(500, "internal_error", Server),
        }
    }

    /// Every code of the table above with its status, so that metrics can hold one series each and the documents
    /// are held to all of them.
    pub const CODES: [(&'static str, u16); 44] = [
        ("token_missing", 401),
        ("tokens_differ", 401),
        ("invalid_api_key", 401),
        ("path_unknown", 404),
        ("method_not_allowed", 405),
        ("malformed_request", 400),
        ("metrics_denied", 403),
        ("rate_limit_exceeded", 429),
        ("parallel_limit_exceeded", 429),
        ("at_capacity", 503),
        ("store_unavailable", 503),
        ("body_too_large", 413),
        ("body_broken", 400),
        ("body_timeout", 408),
        ("websocket_connection_limit_reached", 400),
        ("body_invalid", 400),
        ("field_denied", 400),
        ("field_invalid", 400),
        ("header_invalid", 400),
        ("content_type_unsupported", 415),
        ("content_encoding_unsupported", 415),
        ("model_not_found", 404),
        ("provider_disabled", 403),
        ("model_not_approved", 403),
        ("context_length_exceeded", 400),
        ("model_unpriced", 403),
        ("run_cycle", 400),
        ("budget_exceeded", 402),
        ("run_budget_exceeded", 402),
        ("run_limit_exceeded", 429),
        ("budget_unknown", 503),
        ("no_credential", 403),
        ("state_unavailable", 503),
        ("object_not_found", 404),
        ("previous_response_not_found", 400),
        ("batches_denied", 403),
        ("unsupported_by_target", 400),
        ("credential_rejected", 502),
        ("insufficient_quota", 429),
        ("credential_unusable", 502),
        ("provider_failed", 502),
        ("provider_timeout", 504),
        ("provider_busy", 503),
        ("internal_error", 500),
    ];

    /// How long the client should wait, where we know or can say.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::TextLimited { retry_after, .. }
            | Self::RunTooFast { retry_after, .. }
            | Self::BudgetExceeded { retry_after, .. }
            | Self::CredentialHeld { retry_after, .. } => Some(*retry_after),
            Self::ParallelLimited { .. }
            | Self::AtCapacity(_)
            | Self::StoreAway
            | Self::StateAway
            | Self::BudgetUnknown { .. }
            | Self::ProviderBusy { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The match in `row` has an arm for every refusal, for the compiler sees to it; so its text holds every code.
    #[test]
    fn the_list_of_codes_is_the_tables() {
        let source = include_str!("refusal.rs");
        let table = source.split("pub const fn row(&self)").nth(1).unwrap().split("pub const CODES").next().unwrap();
        let written: BTreeSet<(String, u16)> = table.split("row(").skip(1).map(code_and_status).collect();
        let listed: BTreeSet<(String, u16)> =
            Refusal::CODES.iter().map(|(code, status)| (code.to_string(), *status)).collect();
        assert_eq!(listed, written);
        assert_eq!(listed.len(), Refusal::CODES.len(), "a code is listed once");
    }

    fn code_and_status(row: &str) -> (String, u16) {
        let (status, rest) = row.split_once(',').unwrap();
        (rest.split('"').nth(1).unwrap().to_string(), status.trim().parse().unwrap())
    }

    #[test]
    fn what_the_client_can_not_mend_by_asking_again_is_not_worth_a_retry() {
        let refusal = Refusal::CredentialRejected { provider: "openai".into(), scope: Scope::Workspace };
        assert_eq!(refusal.row().should_retry, Some(false));
        assert_eq!(refusal.to_string(), "openai refused the workspace credential; its holder must renew it");
    }
}
