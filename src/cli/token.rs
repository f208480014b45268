//! `keyway token create|list|revoke`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::failure::Failure;
use super::input;
use super::output::{Output, table};
use super::session::{Session, user_named, workspace_named};
use crate::directory::tokens::{self, NewToken, TokenLine};
use crate::domain::entity::TokenKind;
use crate::domain::limits::Limits;
use crate::domain::money::Nanodollars;
use crate::domain::permission::AccessRole;
use crate::domain::time::Timestamp;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a token and print it, once
    Create(Box<Create>),
    /// List tokens, without what they are
    List(List),
    /// End a token for good
    Revoke(Revoke),
}

#[derive(Args, Clone, Debug)]
pub(super) struct Create {
    /// The workspace that its calls belong to
    #[arg(long, value_name = "NAME")]
    workspace: String,
    /// The user it stands for: attribution and limits, never that user's own keys
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// The project whose default model it gets
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// What it may do: member, workspace_admin, org_admin or platform_admin
    #[arg(long, default_value = "member")]
    role: AccessRole,
    /// Which of a model's approvals it is held against
    #[arg(long, value_enum, default_value = "chat")]
    kind: Kind,
    /// How long it is good for, such as 90d or 12h [else for ever]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires: Option<Duration>,
    /// Only these models: ids, aliases, or prefix:* [else all]
    #[arg(long, value_name = "MODEL,…", value_delimiter = ',')]
    models: Vec<String>,
    /// What you will know it by
    #[arg(long, default_value = "", hide_default_value = true)]
    label: String,
    /// May it make batches?
    #[arg(long)]
    may_batch: bool,
    /// May it say, with X-Keyway-User, for which user a call is?
    #[arg(long)]
    may_assert_user: bool,
    #[command(flatten)]
    held: HeldTo,
}

/// What its calls are held to; left out, nothing
#[derive(Args, Clone, Debug)]
struct HeldTo {
    /// Calls a minute
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_minute: Option<u32>,
    /// Calls in flight at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    parallel: Option<u32>,
    /// Input tokens a minute
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    input_tokens_per_minute: Option<u64>,
    /// Output tokens a minute
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    output_tokens_per_minute: Option<u64>,
    /// Dollars a day, by UTC
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    money_per_day: Option<Nanodollars>,
    /// Dollars a month, by UTC
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    money_per_month: Option<Nanodollars>,
    /// Dollars of one run, with all below it
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    run_money: Option<Nanodollars>,
    /// Dollars of one run a minute
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    run_money_per_minute: Option<Nanodollars>,
    /// Calls of one run, with all below it
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    run_calls: Option<u32>,
    /// Runs that may lie above a run
    #[arg(long, value_name = "NUMBER")]
    run_depth: Option<u32>,
}

impl From<HeldTo> for Limits {
    fn from(held: HeldTo) -> Self {
        Self {
            requests_per_minute: held.requests_per_minute,
            parallel: held.parallel,
            input_tokens_per_minute: held.input_tokens_per_minute,
            output_tokens_per_minute: held.output_tokens_per_minute,
            money_per_day: held.money_per_day,
            money_per_month: held.money_per_month,
            run_money: held.run_money,
            run_money_per_minute: held.run_money_per_minute,
            run_calls: held.run_calls,
            run_depth: held.run_depth,
        }
    }
}

/// An amount that somebody may spend.
fn dollars(text: &str) -> Result<Nanodollars, String> {
    match text.parse::<Nanodollars>() {
        Ok(money) if money.0 < 0 => Err("a limit of money is 0 or more".into()),
        read => read.map_err(|error| error.to_string()),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Kind {
    Chat,
    Agent,
}

impl From<Kind> for TokenKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Chat => Self::Chat,
            Kind::Agent => Self::Agent,
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct List {
    /// Only this workspace's
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Revoke {
    /// The token's id, as `token list` shows it; or `-` and the token itself on standard input
    id: String,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Create(create) => make(*create, session).await,
        Command::List(list) => show(&list, session).await,
        Command::Revoke(revoke) => end(&revoke, session).await,
    }
}

/// A duration with its unit: 30m, 12h, 90d, 52w.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write for example 12h or 90d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let amount: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match amount.checked_mul(seconds) {
        // A moment is a signed number of milliseconds; nobody means more than a thousand years.
        Some(seconds @ 1..=31_536_000_000) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

/// What scripts get of a new token.
#[derive(Serialize)]
struct Created<'a> {
    token: &'a str,
    #[serde(flatten)]
    line: &'a TokenLine,
}

async fn make(create: Create, session: &Session) -> Result<(), Failure> {
    let access = session.open().await?;
    let of = workspace_named(&access, &create.workspace).await?.id;
    let user = match &create.user {
        Some(user) => Some(user_named(&access, user).await?),
        None => None,
    };
    let in_ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let minted = tokens::create(
        &access,
        NewToken {
            user,
            project: create.project,
            role: create.role,
            kind: create.kind.into(),
            models: create.models,
            expires_at: create.expires.map(|after| Timestamp(Timestamp::now().0.saturating_add(in_ms(after)))),
            limits: create.held.into(),
            label: create.label,
            may_batch: create.may_batch,
            may_assert_user: create.may_assert_user,
            ..NewToken::of(of)
        },
    );
    print(&minted.await?, session.output)
}

/// Prints a token: alone on standard output.
pub(super) fn print(minted: &tokens::Minted, output: Output) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(minted.text.expose());
    let created = Created { token: &text, line: &minted.line };
    let printed = output.only_result(&created, || text.to_string());
    printed.map_err(|error| {
        let id = minted.line.id;
        Failure::problem(format!("the token could not be printed ({error}); revoke it with `keyway token revoke {id}`"))
    })
}

async fn show(list: &List, session: &Session) -> Result<(), Failure> {
    let access = session.look().await?;
    let of = match &list.workspace {
        Some(text) => Some(workspace_named(&access, text).await?.id),
        None => None,
    };
    let lines = tokens::list(&access, of).await?;
    session.output.result(&lines, || {
        let rows: Vec<_> = lines.iter().map(row).collect();
        table(&["ID", "WORKSPACE", "USER", "ROLE", "KIND", "STATE", "EXPIRES", "LABEL"], &rows)
    })
}

fn row(line: &TokenLine) -> Vec<String> {
    let or_dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_string());
    let kind = match line.kind {
        TokenKind::Chat => "chat",
        TokenKind::Agent => "agent",
    };
    vec![
        line.id.to_string(),
        line.workspace.clone(),
        or_dash(line.user.clone()),
        line.role.to_string(),
        kind.to_string(),
        line.state.name().to_string(),
        or_dash(line.expires_at.map(Timestamp::iso8601)),
        or_dash(Some(line.label.clone())),
    ]
}

async fn end(revoke: &Revoke, session: &Session) -> Result<(), Failure> {
    let access = session.open().await?;
    let id = match revoke.id.as_str() {
        "-" => {
            let text = input::secret("The token", session.output)?;
            let text = text.ok_or_else(|| Failure::usage("there is no token on standard input"))?;
            tokens::id_of(&access, &text).await?
        }
        id => id
            .parse()
            .map_err(|_| Failure::usage(format!("`{id}` is no token's id; `keyway token list` shows them")))?,
    };
    let line = tokens::revoke(&access, id).await?;
    session.output.say("a running gateway refuses it within a second");
    session.output.result(&line, || format!("{} {}", line.id, line.state.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_an_end() {
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        for text in ["", "90", "d", "0d", "1y", "-1d", "99999999999999999999d", "9999999w", "1ä"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
