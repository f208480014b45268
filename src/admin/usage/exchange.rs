//! One exchange as people and scripts see it.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::ledger::{Entry, PricedBy, Tried};
use crate::domain::money::Nanodollars;
use crate::domain::usage::{Basis, Usage};

/// An exchange with its attempts. It holds no prompt, no answer and no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Exchange)]
pub struct ExchangeLine {
    pub id: Uuid,
    #[schema(format = DateTime)]
    pub began_at: String,
    pub org_id: Uuid,
    pub workspace_id: Uuid,
    pub token_id: Uuid,
    #[schema(required)]
    pub user: Option<String>,
    #[schema(required)]
    pub run: Option<String>,
    #[schema(required)]
    pub parent_run: Option<String>,
    pub protocol: String,
    pub operation: String,
    pub delivery: String,
    /// Who answered; `null` where nobody did.
    #[schema(required)]
    pub provider: Option<String>,
    #[schema(required)]
    pub provider_id: Option<Uuid>,
    #[schema(required)]
    pub model: Option<String>,
    /// Whose credential it was.
    #[schema(required)]
    pub scope: Option<String>,
    #[schema(required)]
    pub credential_id: Option<Uuid>,
    pub outcome: String,
    /// Our code, where we refused it.
    #[schema(required)]
    pub refusal: Option<String>,
    pub usage: TokenLine,
    pub basis: Basis,
    /// US dollars; `null` is unknown, which is not zero.
    #[schema(required, value_type = Option<String>)]
    pub cost: Option<Nanodollars>,
    pub priced_by: PricedBy,
    #[schema(value_type = String)]
    pub overhead_cost: Nanodollars,
    #[schema(required)]
    pub first_event_us: Option<u64>,
    pub total_us: u64,
    /// Spent in Keyway itself.
    pub own_us: u64,
    pub attempts: Vec<AttemptLine>,
}

/// Units, each in one bucket only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExchangeUsage)]
pub struct TokenLine {
    pub input_tokens: u64,
    pub cache_read_tokens: u64,
    #[serde(rename = "cacheWrite5mTokens")]
    pub cache_write_5m_tokens: u64,
    #[serde(rename = "cacheWrite1hTokens")]
    pub cache_write_1h_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
    pub audio_input_tokens: u64,
    pub audio_output_tokens: u64,
}

/// One target that was tried or skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExchangeAttempt)]
pub struct AttemptLine {
    pub provider: String,
    pub model: String,
    #[schema(required)]
    pub scope: Option<String>,
    /// `answered`, `skipped`, or how it failed.
    pub end: String,
    #[schema(required)]
    pub status: Option<u16>,
    /// Why it was skipped.
    #[schema(required)]
    pub why: Option<String>,
    pub took_us: u64,
    /// What a lost attempt had used, where its provider said so.
    #[schema(required, inline)]
    pub usage: Option<TokenLine>,
    #[schema(required, value_type = Option<String>)]
    pub cost: Option<Nanodollars>,
}

impl From<&Usage> for TokenLine {
    fn from(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.input,
            cache_read_tokens: usage.cache_read,
            cache_write_5m_tokens: usage.cache_write_5m,
            cache_write_1h_tokens: usage.cache_write_1h,
            output_tokens: usage.output,
            reasoning_tokens: usage.reasoning,
            audio_input_tokens: usage.audio_input,
            audio_output_tokens: usage.audio_output,
        }
    }
}

impl From<&Tried<'_>> for AttemptLine {
    fn from(tried: &Tried<'_>) -> Self {
        Self {
            provider: tried.provider.to_string(),
            model: tried.model.to_string(),
            scope: tried.scope.map(str::to_string),
            end: tried.end.to_string(),
            status: tried.status,
            why: tried.why.map(str::to_string),
            took_us: tried.took_us,
            usage: tried.usage.as_ref().map(TokenLine::from),
            cost: tried.cost,
        }
    }
}

impl From<&Entry<'_>> for ExchangeLine {
    fn from(entry: &Entry<'_>) -> Self {
        let (from, text) = (entry.from.as_ref(), |text: &str| text.to_string());
        Self {
            id: entry.id,
            began_at: entry.began_at.iso8601(),
            org_id: entry.org.uuid(),
            workspace_id: entry.workspace.uuid(),
            token_id: entry.token.uuid(),
            user: entry.user.map(text),
            run: entry.run.map(text),
            parent_run: entry.parent_run.map(text),
            protocol: entry.protocol.to_string(),
            operation: entry.operation.to_string(),
            delivery: entry.delivery.to_string(),
            provider: from.map(|from| from.provider.to_string()),
            provider_id: from.map(|from| from.provider_id.uuid()),
            model: from.map(|from| from.model.to_string()),
            scope: from.and_then(|from| from.scope.map(text)),
            credential_id: from.and_then(|from| Some(from.credential?.uuid())),
            outcome: entry.outcome.to_string(),
            refusal: entry.refusal.map(text),
            usage: TokenLine::from(&entry.usage),
            basis: entry.basis,
            cost: entry.cost,
            priced_by: entry.priced_by,
            overhead_cost: entry.overhead_cost,
            first_event_us: entry.first_event_us,
            total_us: entry.total_us,
            own_us: entry.own_us,
            attempts: entry.attempts.iter().map(AttemptLine::from).collect(),
        }
    }
}
