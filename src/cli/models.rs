//! `keyway models discover|sync-pricing`: what providers say of their models, looked at or taken.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::table;
use super::session::{Session, workspace_named};
use crate::admin::probing::{self, PriceSource};
use crate::app;
use crate::directory::discovery::{Discovered, PriceDifference, Repriced, Taking};
use crate::directory::{Access, named};
use crate::domain::address::BaseUrl;
use crate::domain::entity::{Owner, Provider};
use crate::domain::id::Id;

/// More lines than this are a wall; `--json` has them all.
const SHOWN: usize = 40;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Ask a provider for its models, and register those that are new
    Discover(Discover),
    /// Ask for current prices, and take them for the platform's models
    SyncPricing(SyncPricing),
}

#[derive(Args, Clone, Debug)]
pub(super) struct Discover {
    /// The provider's name
    provider: String,
    /// Of a workspace's own provider, which workspace
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct SyncPricing {
    /// A list of many providers' prices by model [else what OpenRouter says of its own]
    #[arg(long, value_name = "URL")]
    from: Option<BaseUrl>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Discover(discover) => found(&discover, session).await,
        Command::SyncPricing(sync) => priced(&sync, session).await,
    }
}

const fn taking(dry_run: bool) -> Taking {
    if dry_run { Taking::Preview } else { Taking::Apply }
}

async fn found(discover: &Discover, session: &Session) -> Result<(), Failure> {
    let access = session.open().await?;
    let owner = match &discover.workspace {
        Some(workspace) => Owner::Workspace(workspace_named(&access, workspace).await?.id),
        None => Owner::Platform,
    };
    let provider = provider_named(&access, owner, &discover.provider).await?;
    let probe = app::probe(&session.config, &access.store)?;
    let discovered = probing::discover(&access, &probe, provider, taking(discover.dry_run)).await?;
    session.output.result(&discovered, || in_words(&discovered, discover.dry_run))
}

async fn provider_named(access: &Access, owner: Owner, text: &str) -> Result<Id<Provider>, Failure> {
    let stored = access.load(named::providers_for(owner)).await?;
    Ok(access.known(&stored).provider_for(owner, text)?.id)
}

fn in_words(discovered: &Discovered, dry_run: bool) -> String {
    let would = if dry_run { "would be " } else { "" };
    let Discovered { provider, found, added, changed, gone, refused, .. } = discovered;
    let mut lines = vec![format!(
        "{provider} lists {found} models: {} {would}added, {} {would}changed, {} no longer listed",
        added.len(),
        changed.len(),
        gone.len()
    )];
    let marked = |sign: &'static str, ids: &[String]| ids.iter().map(|id| format!("{sign} {id}")).collect::<Vec<_>>();
    let all = [marked("+", added), marked("~", changed), marked("?", gone)].concat();
    lines.extend(all.iter().take(SHOWN).cloned());
    lines.extend((all.len() > SHOWN).then(|| format!("… and {} more", all.len() - SHOWN)));
    lines.extend(refused.iter().take(SHOWN).map(|one| format!("! {}: {}", one.model_id, one.why)));
    lines.join("\n")
}

async fn priced(sync: &SyncPricing, session: &Session) -> Result<(), Failure> {
    let access = session.open().await?;
    let probe = app::probe(&session.config, &access.store)?;
    let source = sync.from.clone().map_or(PriceSource::OpenRouter, PriceSource::List);
    let repriced = probing::sync_prices(&access, &probe, &source, taking(sync.dry_run)).await?;
    session.output.result(&repriced, || prices_in_words(&repriced, sync.dry_run))
}

fn prices_in_words(repriced: &[Repriced], dry_run: bool) -> String {
    let rows: Vec<Vec<String>> =
        repriced.iter().flat_map(|one| one.changes.iter().map(|change| row(one, change))).collect();
    let unpriced: usize = repriced.iter().map(|one| one.unpriced.len()).sum();
    let would = if dry_run { "would change" } else { "changed" };
    let said = format!("{} prices {would}; no price was found of {unpriced} models", rows.len());
    match rows.is_empty() {
        true => said,
        false => format!("{}\n{said}", table(&["PROVIDER", "MODEL", "INPUT", "OUTPUT"], &rows)),
    }
}

fn row(of: &Repriced, change: &PriceDifference) -> Vec<String> {
    let dollars =
        |price: Option<crate::domain::money::Nanodollars>| price.map_or("-".to_string(), |one| one.to_string());
    let step = |from, to| match from == to {
        true => dollars(to),
        false => format!("{} > {}", dollars(from), dollars(to)),
    };
    let (from, to) = (&change.from, &change.to);
    vec![of.provider.clone(), change.model_id.clone(), step(from.input, to.input), step(from.output, to.output)]
}
