//! The ledger against a provider's own account: both day by day and model by model, and which records may be behind a
//! difference.
//!
//! Text of a file in, differences out. The file is CSV or JSON with columns that every provider's export has under some name;
//! what differs by more than was rounded is told.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::domain::ledger::Entry;
use crate::domain::money::Nanodollars;
use crate::domain::time::{DAY_MS, Timestamp};
use crate::domain::usage::Basis;

/// Records named behind one difference; more would be a list that nobody reads.
const SUSPECTS: usize = 20;

/// Names under which exports have the same thing, the plainest first.
const DATE: [&str; 7] = ["date", "day", "start_time", "starttime", "timestamp", "usage_date", "time"];
const MODEL: [&str; 5] = ["model", "model_id", "model_name", "model_version", "snapshot_id"];
const INPUT: [&str; 6] =
    ["input_tokens", "prompt_tokens", "input", "n_context_tokens_total", "total_input_tokens", "tokens_prompt"];
const OUTPUT: [&str; 6] = [
    "output_tokens",
    "completion_tokens",
    "output",
    "n_generated_tokens_total",
    "total_output_tokens",
    "tokens_completion",
];
const COST: [&str; 6] = ["cost", "cost_usd", "amount", "usage_cost", "total_cost", "cost_total"];
const REQUESTS: [&str; 4] = ["requests", "num_requests", "n_requests", "num_model_requests"];

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the file is neither CSV with a head nor JSON with a list of objects")]
    Form,
    #[error("the file has no column for {what}; it is looked for as {names}")]
    Column { what: &'static str, names: String },
    #[error("line {line}: `{text}` is no {what}")]
    Value { line: usize, what: &'static str, text: String },
}

/// What one side says of one day and model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Nanodollars>,
}

impl Account {
    fn add(&mut self, other: &Self) {
        let sum = |into: &mut Option<i64>, more: Option<i64>| {
            if let Some(more) = more {
                *into = Some(into.unwrap_or(0).saturating_add(more));
            }
        };
        sum(&mut self.requests, other.requests);
        sum(&mut self.input_tokens, other.input_tokens);
        sum(&mut self.output_tokens, other.output_tokens);
        if let Some(more) = other.cost {
            self.cost = Some(Nanodollars(self.cost.unwrap_or_default().0.saturating_add(more.0)));
        }
    }
}

/// A day and a model on which the two sides differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub day: String,
    pub model: String,
    pub theirs: Account,
    pub ours: Account,
    /// Records whose numbers are not the provider's own word, or that it may have counted otherwise.
    pub records: Vec<Suspect>,
    /// Of more records than are named here.
    pub more_records: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspect {
    pub id: String,
    pub why: &'static str,
}

/// The whole comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// Days and models that agree.
    pub agree: usize,
    pub differ: Vec<Difference>,
}

type Key = (i64, String);

/// Their file, by day and model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theirs(BTreeMap<Key, Account>);

impl Theirs {
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let rows = if text.trim_start().starts_with(['{', '[']) { json_rows(text)? } else { csv_rows(text)? };
        let mut accounts: BTreeMap<Key, Account> = BTreeMap::new();
        for (line, row) in rows.iter().enumerate().map(|(place, row)| (place + 2, row)) {
            let date = column(row, "the date", &DATE)?;
            let day = day(date).ok_or_else(|| wrong(line, "date", date))?;
            let model = column(row, "the model", &MODEL)?.to_string();
            let count = |names: &[&str], what| -> Result<Option<i64>, Unreadable> {
                let Some(text) = value(row, names).filter(|text| !text.is_empty()) else { return Ok(None) };
                text.parse().map(Some).map_err(|_| wrong(line, what, text))
            };
            let cost = match value(row, &COST).filter(|text| !text.is_empty()) {
                Some(text) => Some(money(text).ok_or_else(|| wrong(line, "amount of dollars", text))?),
                None => None,
            };
            let account = Account {
                requests: count(&REQUESTS, "count of requests")?,
                input_tokens: count(&INPUT, "count of tokens")?,
                output_tokens: count(&OUTPUT, "count of tokens")?,
                cost,
            };
            accounts.entry((day, model)).or_default().add(&account);
        }
        if accounts.is_empty() {
            return Err(Unreadable::Form);
        }
        Ok(Self(accounts))
    }

    /// The days it speaks of, from the first one's beginning to the last one's end.
    pub fn days(&self) -> (Timestamp, Timestamp) {
        let days = || self.0.keys().map(|(day, _)| *day);
        let (first, last) = (days().min().unwrap_or(0), days().max().unwrap_or(0));
        (Timestamp(first * DAY_MS), Timestamp((last + 1) * DAY_MS))
    }

    /// Holds it against the ledger's entries of one provider.
    pub fn against(&self, entries: &[Entry<'_>]) -> Reconciled {
        let mut ours: BTreeMap<Key, (Account, Vec<&Entry<'_>>)> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.basis != Basis::Nothing) {
            let (usage, units) = (&entry.usage, |units: u64| i64::try_from(units).ok());
            let account = Account {
                requests: Some(1),
                input_tokens: units(usage.input_total()),
                output_tokens: units(usage.output_total()),
                cost: entry.cost,
            };
            let of = ours.entry((entry.day(), entry.model().to_string())).or_default();
            of.0.add(&account);
            of.1.push(entry);
        }
        let mut keys: Vec<&Key> = self.0.keys().chain(ours.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        let (mut agree, mut differ) = (0, Vec::new());
        for key in keys {
            let theirs = self.0.get(key).copied().unwrap_or_default();
            let (ours, records) = ours.get(key).map_or((Account::default(), &[][..]), |(sum, all)| (*sum, &all[..]));
            match is_same(&theirs, &ours, records.len()) {
                true => agree += 1,
                false => differ.push(difference(key, theirs, ours, records)),
            }
        }
        Reconciled { agree, differ }
    }
}

/// Only what they state is compared. Each of their sums may be rounded to a cent, and each of our records to a nano-dollar.
fn is_same(theirs: &Account, ours: &Account, records: usize) -> bool {
    const CENT: i64 = 10_000_000;
    let counts = [
        (theirs.requests, ours.requests),
        (theirs.input_tokens, ours.input_tokens),
        (theirs.output_tokens, ours.output_tokens),
    ];
    let is_known = theirs != &Account::default() || records == 0;
    let costs = match (theirs.cost, ours.cost) {
        (Some(theirs), ours) => (theirs.0 - ours.unwrap_or_default().0).abs() <= CENT / 2 + records as i64,
        (None, _) => true,
    };
    is_known && costs && counts.iter().all(|(theirs, ours)| theirs.is_none_or(|theirs| theirs == ours.unwrap_or(0)))
}

fn difference((day, model): &Key, theirs: Account, ours: Account, records: &[&Entry<'_>]) -> Difference {
    let suspects: Vec<Suspect> = records
        .iter()
        .filter_map(|entry| suspicion(entry).map(|why| Suspect { id: entry.id.to_string(), why }))
        .collect();
    Difference {
        day: Timestamp(day * DAY_MS).iso8601()[..10].to_string(),
        model: model.clone(),
        theirs,
        ours,
        more_records: suspects.len().saturating_sub(SUSPECTS),
        records: suspects.into_iter().take(SUSPECTS).collect(),
    }
}

fn suspicion(entry: &Entry<'_>) -> Option<&'static str> {
    match entry.basis {
        Basis::Estimated => Some("estimated: the provider said nothing of its usage"),
        Basis::Partial => Some("partial: it broke off, and the provider may have counted on"),
        Basis::Unpriced => Some("unpriced: its cost is not known here"),
        _ if entry.attempts.iter().any(|tried| tried.end != "answered" && tried.end != "skipped") => {
            Some("it was tried more than once, and the provider may charge for lost attempts")
        }
        Basis::Reported | Basis::Nothing => None,
    }
}

type Row = BTreeMap<String, String>;

fn value<'r>(row: &'r Row, names: &[&str]) -> Option<&'r str> {
    names.iter().find_map(|name| row.get(*name)).map(String::as_str)
}

fn column<'r>(row: &'r Row, what: &'static str, names: &[&str]) -> Result<&'r str, Unreadable> {
    value(row, names).ok_or_else(|| Unreadable::Column { what, names: names.join(", ") })
}

fn wrong(line: usize, what: &'static str, text: &str) -> Unreadable {
    Unreadable::Value { line, what, text: text.chars().take(40).collect() }
}

/// A date, a moment, or seconds since the epoch.
fn day(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(seconds.div_euclid(DAY_MS / 1_000));
    }
    let date = text.get(..10)?;
    Timestamp::from_rfc3339(&format!("{date}T00:00:00Z")).ok().map(|moment| moment.0 / DAY_MS)
}

/// Dollars with perhaps more places than we keep.
fn money(text: &str) -> Option<Nanodollars> {
    let plain = text.trim().trim_start_matches('$');
    let kept = match plain.split_once('.') {
        Some((whole, places)) => format!("{whole}.{}", &places[..places.len().min(9)]),
        None => plain.to_string(),
    };
    kept.parse().ok()
}

fn json_rows(text: &str) -> Result<Vec<Row>, Unreadable> {
    let value: Value = serde_json::from_str(text).map_err(|_| Unreadable::Form)?;
    let list = match &value {
        Value::Array(list) => list,
        Value::Object(object) => object.values().find_map(Value::as_array).ok_or(Unreadable::Form)?,
        _ => return Err(Unreadable::Form),
    };
    let row = |one: &Value| {
        let object = one.as_object().ok_or(Unreadable::Form)?;
        let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
        Ok(object.iter().map(|(name, value)| (name.to_ascii_lowercase(), cell(value))).collect())
    };
    list.iter().map(row).collect()
}

/// RFC 4180: quoted cells may hold commas, quotes written twice, and line ends.
fn csv_rows(text: &str) -> Result<Vec<Row>, Unreadable> {
    let mut lines = records(text.trim_start_matches('\u{feff}')).into_iter();
    let name = |cell: String| cell.trim().to_ascii_lowercase().replace(' ', "_");
    let head: Vec<String> = lines.next().ok_or(Unreadable::Form)?.into_iter().map(name).collect();
    if head.len() < 2 {
        return Err(Unreadable::Form);
    }
    Ok(lines.map(|cells| head.iter().cloned().zip(cells).collect()).collect())
}

fn records(text: &str) -> Vec<Vec<String>> {
    let (mut all, mut cells, mut cell, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(std::mem::take(&mut cell)),
            '\r' if !is_quoted => {}
            '\n' if !is_quoted => {
                cells.push(std::mem::take(&mut cell));
                all.push(std::mem::take(&mut cells));
            }
            other => cell.push(other),
        }
    }
    if !cell.is_empty() || !cells.is_empty() {
        cells.push(cell);
        all.push(cells);
    }
    all.retain(|cells: &Vec<String>| cells.iter().any(|cell| !cell.trim().is_empty()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_read_in_their_spellings() {
        let csv = "\u{feff}Date,Model,\"Input Tokens\",Output Tokens,Cost USD\r\n2026-03-22,\"gpt-4o\",10,5,$0.25\r\n2026-03-22T10:00:00Z,gpt-4o,1,1,0.0000000019\r\n";
        let json = r#"{"data":[{"start_time":1774137600,"model":"gpt-4o","input_tokens":11,"output_tokens":6,"amount":"0.250000001"}]}"#;
        let read = Theirs::read(csv).unwrap();
        assert_eq!(read, Theirs::read(json).unwrap());
        assert_eq!(read.days(), (Timestamp(1_774_137_600_000), Timestamp(1_774_137_600_000 + DAY_MS)));
        let account = read.0.values().next().unwrap();
        assert_eq!((account.input_tokens, account.cost), (Some(11), Some(Nanodollars(250_000_001))));
    }

    #[test]
    fn what_is_no_export_says_what_it_lacks() {
        assert_eq!(Theirs::read("hello"), Err(Unreadable::Form));
        assert!(matches!(Theirs::read("date,cost\n2026-03-22,1\n"), Err(Unreadable::Column { what: "the model", .. })));
        let wrong = Theirs::read("date,model,cost\n2026-03-22,m,1\n2026-03-99,m,1\n");
        assert_eq!(wrong, Err(Unreadable::Value { line: 3, what: "date", text: "2026-03-99".into() }));
    }

    #[test]
    fn a_quoted_cell_may_hold_commas_quotes_and_line_ends() {
        assert_eq!(records("a,\"b,\"\"c\"\"\nd\"\n\n"), [["a".to_string(), "b,\"c\"\nd".to_string()]]);
    }
}
