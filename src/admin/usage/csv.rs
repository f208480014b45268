//! The same as tables of RFC 4180, for spreadsheets.

use std::borrow::Cow;

use super::{ExchangeLine, Usage};
use crate::domain::ledger::Sums;
use crate::domain::usage::Basis;

/// The groups, or without any the totals.
pub fn usage_csv(usage: &Usage) -> String {
    let mut out = String::new();
    let head = usage.group_by.iter().copied().chain(Sums::NAMES).chain(["from", "to"]);
    line(&mut out, head.map(Cow::Borrowed));
    let sums_of = |sums: &super::UsageSums| -> Vec<String> {
        let number = i64::to_string;
        vec![
            number(&sums.exchanges),
            number(&sums.served),
            number(&sums.attempts),
            number(&sums.input_tokens),
            number(&sums.cache_read_tokens),
            number(&sums.cache_write_5m_tokens),
            number(&sums.cache_write_1h_tokens),
            number(&sums.output_tokens),
            number(&sums.reasoning_tokens),
            number(&sums.audio_input_tokens),
            number(&sums.audio_output_tokens),
            sums.cost.to_string(),
            sums.overhead_cost.to_string(),
            number(&sums.partial),
            number(&sums.estimated),
            number(&sums.unpriced),
            number(&sums.total_ms),
        ]
    };
    let mut row = |keys: Vec<String>, sums: &super::UsageSums| {
        let cells = keys.into_iter().chain(sums_of(sums)).chain([usage.from.clone(), usage.to.clone()]);
        line(&mut out, cells.map(Cow::Owned));
    };
    for group in &usage.items {
        let all = [
            ("org", &group.org),
            ("workspace", &group.workspace),
            ("user", &group.user),
            ("token", &group.token),
            ("provider", &group.provider),
            ("model", &group.model),
            ("run", &group.run),
            ("hour", &group.hour),
            ("day", &group.day),
        ];
        let value = |name: &&str| all.iter().find(|(known, _)| known == name).and_then(|(_, value)| (*value).clone());
        let keys = usage.group_by.iter().map(|name| value(name).unwrap_or_default()).collect();
        if let Some(sums) = &group.usage {
            row(keys, sums);
        }
    }
    if usage.group_by.is_empty() {
        row(Vec::new(), &usage.totals);
    }
    out
}

/// One line an exchange.
pub fn exchanges_csv(exchanges: &[ExchangeLine]) -> String {
    const HEAD: [&str; 28] = [
        "id",
        "began_at",
        "org",
        "workspace",
        "token",
        "user",
        "run",
        "parent_run",
        "operation",
        "provider",
        "model",
        "scope",
        "outcome",
        "refusal",
        "attempts",
        "input",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
        "output",
        "reasoning",
        "audio_input",
        "audio_output",
        "basis",
        "cost",
        "priced_by",
        "overhead",
        "total_us",
    ];
    let mut out = String::new();
    line(&mut out, HEAD.map(Cow::Borrowed));
    for one in exchanges {
        let (usage, text) = (&one.usage, |text: &Option<String>| text.clone().unwrap_or_default());
        let cells = [
            one.id.to_string(),
            one.began_at.clone(),
            one.org_id.to_string(),
            one.workspace_id.to_string(),
            one.token_id.to_string(),
            text(&one.user),
            text(&one.run),
            text(&one.parent_run),
            one.operation.clone(),
            text(&one.provider),
            text(&one.model),
            text(&one.scope),
            one.outcome.clone(),
            text(&one.refusal),
            one.attempts.len().to_string(),
            usage.input_tokens.to_string(),
            usage.cache_read_tokens.to_string(),
            usage.cache_write_5m_tokens.to_string(),
            usage.cache_write_1h_tokens.to_string(),
            usage.output_tokens.to_string(),
            usage.reasoning_tokens.to_string(),
            usage.audio_input_tokens.to_string(),
            usage.audio_output_tokens.to_string(),
            word(one.basis).to_string(),
            one.cost.map(|cost| cost.to_string()).unwrap_or_default(),
            priced_by(one),
            one.overhead_cost.to_string(),
            one.total_us.to_string(),
        ];
        line(&mut out, cells.map(Cow::Owned));
    }
    out
}

const fn word(basis: Basis) -> &'static str {
    match basis {
        Basis::Reported => "reported",
        Basis::Partial => "partial",
        Basis::Estimated => "estimated",
        Basis::Unpriced => "unpriced",
        Basis::Nothing => "nothing",
    }
}

fn priced_by(one: &ExchangeLine) -> String {
    let said = serde_json::to_value(one.priced_by).ok();
    said.and_then(|said| said.as_str().map(str::to_string)).unwrap_or_default()
}

fn line<'c>(out: &mut String, cells: impl IntoIterator<Item = Cow<'c, str>>) {
    for (place, cell) in cells.into_iter().enumerate() {
        out.push_str(if place > 0 { "," } else { "" });
        // A spreadsheet would take what begins so for a formula, and a client may choose its run's name.
        let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
        let cell = if is_formula { Cow::Owned(format!("'{cell}")) } else { cell };
        if cell.contains([',', '"', '\n', '\r']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&cell);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_would_break_the_table_or_run_as_a_formula_does_neither() {
        let mut out = String::new();
        line(&mut out, ["a,b", "say \"x\"", "=1+1", "-0.5", "plain", ""].map(Cow::Borrowed));
        assert_eq!(out, "\"a,b\",\"say \"\"x\"\"\",'=1+1,-0.5,plain,\r\n");
    }
}
