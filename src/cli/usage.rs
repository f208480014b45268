//! `keyway usage` and `keyway reconcile`: the ledger without a server.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::output::table;
use super::session::{Session, workspace_named};
use crate::admin::usage::reconcile::{Account, Reconciled, Theirs};
use crate::admin::usage::{self, Asked, Usage, UsageGroup, span, usage_csv};
use crate::app::ledger;
use crate::directory::Access;
use crate::domain::ledger::Kept;
use crate::domain::time::Timestamp;
use crate::store::ledger::{Dimension, Ledger, Listing, Scope};

/// Entries looked at in one turn when a provider's account is compared.
const PAGE: u32 = 5_000;

#[derive(Args)]
pub(super) struct UsageArgs {
    /// Only of this workspace, by name or id
    #[arg(long)]
    workspace: Option<String>,
    /// By what to group: org, workspace, user, token, provider, model, run, hour, day; some, with commas between them
    #[arg(long, value_name = "DIMENSIONS", default_value = "model")]
    by: String,
    /// From this moment (2026-03-22, or RFC 3339); thirty days before the end unless said
    #[arg(long, value_parser = moment)]
    from: Option<Timestamp>,
    /// Up to this moment; now unless said
    #[arg(long, value_parser = moment)]
    to: Option<Timestamp>,
    /// Only of this model, as its provider calls it
    #[arg(long)]
    model: Option<String>,
    /// Only by this provider, by name
    #[arg(long)]
    provider: Option<String>,
    /// Only of this user, as its tokens say
    #[arg(long)]
    user: Option<String>,
    /// Only of this run
    #[arg(long)]
    run: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
}

#[derive(Args)]
pub(super) struct ReconcileArgs {
    /// A provider's export of its usage: CSV with a head, or JSON
    file: PathBuf,
    /// Whose export it is: a provider's name here
    #[arg(long)]
    provider: String,
}

/// A day counts as its beginning.
fn moment(text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_string() };
    Timestamp::from_rfc3339(&whole).map_err(|error| error.to_string())
}

pub(super) async fn usage(args: UsageArgs, session: &Session) -> Result<(), Failure> {
    let access = session.look().await?;
    let scope = match &args.workspace {
        Some(name) => Scope::Workspace(workspace_named(&access, name).await?.id),
        None => Scope::Platform,
    };
    let ledger = opened(session, &access)?;
    let only = [
        (Dimension::Model, &args.model),
        (Dimension::Provider, &args.provider),
        (Dimension::User, &args.user),
        (Dimension::Run, &args.run),
    ];
    let only: Vec<_> = only.into_iter().filter_map(|(dimension, text)| Some((dimension, text.clone()?))).collect();
    let mut asked = Asked {
        from: args.from,
        to: Some(args.to.unwrap_or_else(Timestamp::now)),
        group_by: Some(args.by.clone()),
        only,
        cursor: None,
        limit: Some(usage::GROUPS_MAX),
    };
    let mut all = usage::usage(&ledger, scope, asked.clone(), Timestamp::now()).await.map_err(failed)?;
    while let Some(cursor) = all.next_cursor.take() {
        asked.cursor = Some(cursor);
        let more = usage::usage(&ledger, scope, asked.clone(), Timestamp::now()).await.map_err(failed)?;
        all.items.extend(more.items);
        all.next_cursor = more.next_cursor;
    }
    ledger.close().await;
    session.output.result(&all, || match args.format {
        Format::Csv => usage_csv(&all),
        Format::Table => shown(&all),
    })
}

fn opened(session: &Session, access: &Access) -> Result<Ledger, Failure> {
    let ledger = ledger::open(&session.config, &access.store);
    match ledger.is_there() {
        true => Ok(ledger),
        false => Err(Failure::coded("ledger_unavailable", "there is no ledger yet; a gateway makes it when it serves")),
    }
}

fn failed(error: usage::UsageError) -> Failure {
    match error {
        usage::UsageError::Asked { .. } => Failure::usage(error.to_string()),
        usage::UsageError::Away(_) => Failure::coded("ledger_unavailable", error.to_string()),
    }
}

fn shown(usage: &Usage) -> String {
    let sums = ["exchanges", "input", "output", "cost $", "overhead $", "unpriced"];
    let head: Vec<&str> = usage.group_by.iter().copied().chain(sums).collect();
    let cells = |keys: Vec<String>, sums: &usage::UsageSums| {
        let input = sums.input_tokens
            + sums.cache_read_tokens
            + sums.cache_write_5m_tokens
            + sums.cache_write_1h_tokens
            + sums.audio_input_tokens;
        let output = sums.output_tokens + sums.reasoning_tokens + sums.audio_output_tokens;
        let numbers = [
            sums.exchanges.to_string(),
            input.to_string(),
            output.to_string(),
            sums.cost.to_string(),
            sums.overhead_cost.to_string(),
            sums.unpriced.to_string(),
        ];
        keys.into_iter().chain(numbers).collect::<Vec<_>>()
    };
    let key = |group: &UsageGroup, name: &str| {
        let value = match name {
            "org" => &group.org,
            "workspace" => &group.workspace,
            "user" => &group.user,
            "token" => &group.token,
            "provider" => &group.provider,
            "model" => &group.model,
            "run" => &group.run,
            "hour" => &group.hour,
            _ => &group.day,
        };
        value.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| "-".into())
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for group in &usage.items {
        let keys = usage.group_by.iter().map(|name| key(group, name)).collect();
        rows.extend(group.usage.as_ref().map(|sums| cells(keys, sums)));
    }
    let mut total: Vec<String> = usage.group_by.iter().map(|_| String::new()).collect();
    if let Some(first) = total.first_mut() {
        *first = "total".into();
    }
    rows.push(cells(total, &usage.totals));
    format!("{}\n{} to {}", table(&head, &rows), usage.from, usage.to)
}

pub(super) async fn reconcile(args: ReconcileArgs, session: &Session) -> Result<(), Failure> {
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| Failure::problem(format!("{} can't be read: {error}", args.file.display())))?;
    let theirs = Theirs::read(&text)
        .map_err(|error| Failure::problem(format!("{} can't be compared: {error}", args.file.display())))?;
    let access = session.look().await?;
    let ledger = opened(session, &access)?;
    let (from, to) = theirs.days();
    let span = span(Some(from), Some(to), Timestamp::now()).map_err(failed)?;
    let mut kept: Vec<Kept> = Vec::new();
    let mut before = None;
    loop {
        let listing = Listing { scope: Scope::Platform, span, run: None, before, limit: PAGE };
        let page = ledger.list(&listing).await.map_err(|error| failed(error.into()))?;
        before = page.last().map(|kept| kept.id);
        let is_last = page.len() < PAGE as usize;
        let is_theirs = |kept: &Kept| kept.entry().is_some_and(|entry| entry.provider() == args.provider);
        kept.extend(page.into_iter().filter(is_theirs));
        if is_last {
            break;
        }
    }
    ledger.close().await;
    let reconciled = theirs.against(&kept.iter().filter_map(Kept::entry).collect::<Vec<_>>());
    session.output.result(&reconciled, || differences(&reconciled))?;
    match reconciled.differ.len() {
        0 => Ok(()),
        differ => Err(Failure::coded("accounts_differ", format!("{differ} days and models differ"))),
    }
}

fn differences(reconciled: &Reconciled) -> String {
    let mut text = format!("{} days and models agree", reconciled.agree);
    for one in &reconciled.differ {
        text.push_str(&format!(
            "\n{} {}\n  theirs: {}\n  ours:   {}",
            one.day,
            one.model,
            account(&one.theirs),
            account(&one.ours)
        ));
        for record in &one.records {
            text.push_str(&format!("\n  {}: {}", record.id, record.why));
        }
        if one.more_records > 0 {
            text.push_str(&format!("\n  and {} more", one.more_records));
        }
    }
    text
}

fn account(account: &Account) -> String {
    let count = |name: &str, count: Option<i64>| count.map(|count| format!("{count} {name}"));
    let said = [
        count("requests", account.requests),
        count("input", account.input_tokens),
        count("output", account.output_tokens),
        account.cost.map(|cost| format!("${cost}")),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    if said.is_empty() { "nothing".into() } else { said.join(", ") }
}
