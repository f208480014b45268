//! What was used and what it cost, for people and scripts: sums, runs, single exchanges, and the comparison with a
//! provider's own account. The admin API and the command line both ask here.
//!
//! Takes an actor's access and a question, gives what they may see of the ledger. Decides no price and sums nothing itself.

mod csv;
mod exchange;
pub mod reconcile;
mod scope;

pub use self::csv::{exchanges_csv, usage_csv};
pub use self::exchange::ExchangeLine;
pub use self::scope::{scope, widest};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ledger::Sums;
use crate::domain::money::Nanodollars;
use crate::domain::time::{DAY_MS, Timestamp};
use crate::store::ledger::{Away, Cell, Dimension, Found, Grouped, Ledger, Query, RunSums, Scope, Span};

/// Groups of one answer if nobody says how many, and at most.
pub const GROUPS: u32 = 100;
pub const GROUPS_MAX: u32 = 1_000;

/// Days that are summed where nobody says which.
const USUAL_DAYS: i64 = 30;

/// A question as a person or a script puts it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Names of dimensions with commas between them.
    pub group_by: Option<String>,
    pub only: Vec<(Dimension, String)>,
    pub cursor: Option<String>,
    pub limit: Option<u32>,
}

/// What is wrong with a question, or with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("`{field}` is not valid: {why}")]
    Asked { field: &'static str, why: String },
    #[error(transparent)]
    Away(#[from] Away),
}

/// Units and money, each unit in one bucket only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "exchanges": 12, "served": 11, "attempts": 13, "inputTokens": 5_210, "cacheReadTokens": 900, "cacheWrite5mTokens": 0,
    "cacheWrite1hTokens": 0, "outputTokens": 2_044, "reasoningTokens": 310, "audioInputTokens": 0, "audioOutputTokens": 0,
    "cost": "0.0182", "overheadCost": "0", "partial": 1, "estimated": 0, "unpriced": 0, "totalMs": 48_211,
}))]
pub struct UsageSums {
    pub exchanges: i64,
    /// Those that a provider served to their end.
    pub served: i64,
    /// Requests to providers, lost ones too.
    pub attempts: i64,
    pub input_tokens: i64,
    pub cache_read_tokens: i64,
    #[serde(rename = "cacheWrite5mTokens")]
    pub cache_write_5m_tokens: i64,
    #[serde(rename = "cacheWrite1hTokens")]
    pub cache_write_1h_tokens: i64,
    pub output_tokens: i64,
    pub reasoning_tokens: i64,
    pub audio_input_tokens: i64,
    pub audio_output_tokens: i64,
    /// US dollars, of exchanges whose cost is known.
    #[schema(value_type = String)]
    pub cost: Nanodollars,
    /// What lost attempts cost beside it.
    #[schema(value_type = String)]
    pub overhead_cost: Nanodollars,
    /// Exchanges that broke off, counted up to there.
    pub partial: i64,
    /// Exchanges whose provider said nothing of usage.
    pub estimated: i64,
    /// Exchanges whose cost nobody knows; it is not in `cost`.
    pub unpriced: i64,
    pub total_ms: i64,
}

impl From<Sums> for UsageSums {
    fn from(sums: Sums) -> Self {
        Self {
            exchanges: sums.exchanges,
            served: sums.served,
            attempts: sums.attempts,
            input_tokens: sums.input,
            cache_read_tokens: sums.cache_read,
            cache_write_5m_tokens: sums.cache_write_5m,
            cache_write_1h_tokens: sums.cache_write_1h,
            output_tokens: sums.output,
            reasoning_tokens: sums.reasoning,
            audio_input_tokens: sums.audio_input,
            audio_output_tokens: sums.audio_output,
            cost: Nanodollars(sums.cost),
            overhead_cost: Nanodollars(sums.overhead),
            partial: sums.partial,
            estimated: sums.estimated,
            unpriced: sums.unpriced,
            total_ms: sums.total_ms,
        }
    }
}

/// One group: its values in the dimensions that were asked for, and its sums. An empty text is «none»: a call without a run, a
/// token that stands for nobody, an exchange that nobody answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>, nullable = false)]
    pub org: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>, nullable = false)]
    pub workspace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>, nullable = false)]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub run: Option<String>,
    /// Its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub hour: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub day: Option<String>,
    #[schema(required)]
    pub usage: Option<UsageSums>,
}

impl UsageGroup {
    fn of(by: &[Dimension], group: Grouped) -> Self {
        let mut shown = Self { usage: Some(group.sums.into()), ..Self::default() };
        for (dimension, cell) in by.iter().zip(&group.cells) {
            let text = cell.moment(*dimension).map_or_else(|| cell.text(), Timestamp::iso8601);
            *shown.place(*dimension) = Some(text);
        }
        shown
    }

    fn place(&mut self, dimension: Dimension) -> &mut Option<String> {
        match dimension {
            Dimension::Org => &mut self.org,
            Dimension::Workspace => &mut self.workspace,
            Dimension::User => &mut self.user,
            Dimension::Token => &mut self.token,
            Dimension::Provider => &mut self.provider,
            Dimension::Model => &mut self.model,
            Dimension::Run => &mut self.run,
            Dimension::Hour => &mut self.hour,
            Dimension::Day => &mut self.day,
        }
    }
}

/// An answer: groups, and what all of them come to, those on other pages too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The whole hours that are summed.
    #[schema(format = DateTime)]
    pub from: String,
    #[schema(format = DateTime)]
    pub to: String,
    pub group_by: Vec<&'static str>,
    pub items: Vec<UsageGroup>,
    #[schema(required)]
    pub next_cursor: Option<String>,
    pub totals: UsageSums,
    /// When the newest exchange began that is summed here or elsewhere: what came later is still on its way.
    #[schema(required, format = DateTime)]
    pub as_of: Option<String>,
}

/// A run with all that is below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    pub run: String,
    #[schema(required)]
    pub parent: Option<String>,
    pub own: UsageSums,
    pub total_with_descendants: UsageSums,
    pub descendants: Vec<RunLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunLine {
    pub run: String,
    #[schema(required)]
    pub parent: Option<String>,
    pub usage: UsageSums,
}

impl From<Found> for RunReport {
    fn from(found: Found) -> Self {
        let mut total = found.own.sums;
        found.below.iter().for_each(|run| total.add(&run.sums));
        let line = |RunSums { run, parent, sums }| RunLine { run, parent, usage: sums.into() };
        let RunSums { run, parent, sums } = found.own;
        Self {
            run,
            parent,
            own: sums.into(),
            total_with_descendants: total.into(),
            descendants: found.below.into_iter().map(line).collect(),
        }
    }
}

/// The time that is meant where one or both of its ends are left out: the last thirty days.
pub fn span(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Result<Span, UsageError> {
    let to = to.unwrap_or(now);
    let from = from.unwrap_or(Timestamp(to.0.saturating_sub(USUAL_DAYS * DAY_MS).max(0)));
    if from > to {
        return Err(wrong("from", "it lies behind `to`"));
    }
    Ok(Span::around(from, to))
}

fn wrong(field: &'static str, why: impl Into<String>) -> UsageError {
    UsageError::Asked { field, why: why.into() }
}

/// Answers a question about what a scope holds.
pub async fn usage(ledger: &Ledger, scope: Scope, asked: Asked, now: Timestamp) -> Result<Usage, UsageError> {
    let span = span(asked.from, asked.to, now)?;
    let by = dimensions(asked.group_by.as_deref().unwrap_or_default())?;
    let limit = asked.limit.unwrap_or(GROUPS);
    if !(1..=GROUPS_MAX).contains(&limit) {
        return Err(wrong("limit", format!("it is a number from 1 to {GROUPS_MAX}")));
    }
    let only = asked.only.iter().map(|(dimension, text)| {
        let cell = Cell::of(*dimension, text).ok_or_else(|| wrong(dimension.name(), "it is no id"))?;
        Ok((*dimension, cell))
    });
    let only = only.collect::<Result<Vec<_>, UsageError>>()?;
    let after = asked.cursor.as_deref().map(|cursor| read_cursor(&by, cursor)).transpose()?;
    let query = Query { scope, span, by, only, after, limit: limit + 1 };
    let mut groups = ledger.sums(&query).await?;
    let more = groups.len() > limit as usize;
    let mut totals = Sums::default();
    if query.after.is_none() && !more {
        // They are all there, so nobody needs to look twice.
        groups.iter().for_each(|group| totals.add(&group.sums));
    } else {
        let whole = Query { by: Vec::new(), after: None, ..query.clone() };
        ledger.sums(&whole).await?.iter().for_each(|all| totals.add(&all.sums));
    }
    let Query { by, .. } = query;
    groups.truncate(if by.is_empty() { 0 } else { limit as usize });
    let next_cursor = groups.last().filter(|_| more).map(|last| cursor(&last.cells));
    Ok(Usage {
        from: span.from().iso8601(),
        to: span.to().iso8601(),
        group_by: by.iter().map(|dimension| dimension.name()).collect(),
        items: groups.into_iter().map(|group| UsageGroup::of(&by, group)).collect(),
        next_cursor,
        totals: totals.into(),
        as_of: ledger.newest().await?.map(Timestamp::iso8601),
    })
}

fn dimensions(text: &str) -> Result<Vec<Dimension>, UsageError> {
    let known = || Dimension::ALL.map(Dimension::name).join(", ");
    let mut found = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let dimension = Dimension::ALL.into_iter().find(|one| one.name() == name);
        let dimension =
            dimension.ok_or_else(|| wrong("groupBy", format!("there is no `{name}`; there are {}", known())))?;
        if found.contains(&dimension) {
            return Err(wrong("groupBy", format!("`{name}` stands twice")));
        }
        found.push(dimension);
    }
    Ok(found)
}

/// The values of the last group, opaque to clients.
fn cursor(cells: &[Cell]) -> String {
    let texts: Vec<String> = cells.iter().map(Cell::text).collect();
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&texts).unwrap_or_default())
}

fn read_cursor(by: &[Dimension], text: &str) -> Result<Vec<Cell>, UsageError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let texts: Option<Vec<String>> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let cells = texts.filter(|texts| texts.len() == by.len() && !by.is_empty()).and_then(|texts| {
        by.iter().zip(&texts).map(|(dimension, text)| Cell::of(*dimension, text)).collect::<Option<Vec<_>>>()
    });
    cells.ok_or_else(|| {
        wrong("cursor", "it is none of ours for this question; take `nextCursor` as the page before gave it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_named_once_and_known() {
        assert_eq!(dimensions("model, day").unwrap(), [Dimension::Model, Dimension::Day]);
        assert!(dimensions("").unwrap().is_empty());
        for wrong in ["colour", "model,model", "model;day"] {
            assert!(matches!(dimensions(wrong), Err(UsageError::Asked { field: "groupBy", .. })), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_leads_on_only_in_the_question_it_is_of() {
        let by = [Dimension::Model, Dimension::Day];
        let cells = vec![Cell::Text("a \"b\"".into()), Cell::Number(20_000)];
        assert_eq!(read_cursor(&by, &cursor(&cells)).unwrap(), cells);
        for wrong in
            [cursor(&cells[..1]), "x".into(), String::new(), cursor(&[Cell::Text("a".into()), Cell::Text("b".into())])]
        {
            assert!(read_cursor(&by, &wrong).is_err(), "{wrong}");
        }
        assert!(read_cursor(&[], &cursor(&[])).is_err());
    }

    #[test]
    fn without_a_time_the_last_thirty_days_are_meant() {
        let now = Timestamp(1_774_137_600_000);
        let usual = span(None, None, now).unwrap();
        assert_eq!((usual.from().0, usual.to().0), (now.0 - 30 * DAY_MS, now.0));
        assert!(span(Some(now), Some(Timestamp(0)), now).is_err());
    }
}
