//! `keyway check`: everything that is wrong, and what would be served. Changes nothing, and asks providers only if told to.

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::session::Session;
use crate::admin::probing::{self, Depth, Tested};
use crate::app;
use crate::app::open::{self, Kept};
use crate::attempt::probe::Subject;
use crate::directory::{Access, credentials, discovery, tokens};
use crate::domain::entity::{Listing, Provider, Scope};
use crate::domain::id::Id;
use crate::domain::preset::preset;
use crate::snapshot::Snapshot;
use crate::store::Part;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    /// The file that was read; none where the environment says everything.
    config: Option<String>,
    hash: String,
    warnings: Vec<String>,
    /// Where the directory lies; none where there is none yet.
    directory: Option<String>,
    version: u64,
    data: String,
    admin: String,
    workspaces: usize,
    tokens: usize,
    providers: Vec<Served>,
}

/// A provider of the platform's, as it would be served.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Served {
    name: String,
    base_url: String,
    enabled: bool,
    /// The prefix under which any id is taken, if one is.
    any_under: Option<String>,
    models: usize,
    platform_credentials: usize,
    workspace_credentials: usize,
    needs_key: bool,
    /// How the platform's key fared, where providers were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Tested>,
    #[serde(skip)]
    id: Id<Provider>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Check {
    /// Also ask each of the platform's providers whether it takes the platform's key. Costs nothing
    #[arg(long)]
    live: bool,
}

pub(super) async fn run(check: &Check, session: &Session) -> Result<(), Failure> {
    let opened = open::look(&session.config).await?;
    let kept = opened.kept.clone();
    let access = session.access(opened);
    let stored = access.load(Part::everything()).await?;
    let snapshot = session.snapshot(&stored, &access.declared)?;
    let mut checked = checked(session, &access, &snapshot, &kept).await?;
    if check.live {
        ask(session, &access, &mut checked.providers).await?;
    }
    for warning in &checked.warnings {
        session.output.say(&format!("warning: {warning}"));
    }
    session.output.result(&checked, || in_words(&checked))?;
    let failing = |one: &&Served| one.live.as_ref().is_some_and(|tested| !tested.success);
    match checked.providers.iter().filter(failing).count() {
        0 => Ok(()),
        failing => Err(Failure::problem(format!("{failing} of {} providers failed the test", checked.providers.len()))),
    }
}

/// One after the other: each may take its half minute, but people see them all at once anyway.
async fn ask(session: &Session, access: &Access, providers: &mut [Served]) -> Result<(), Failure> {
    let probe = app::probe(&session.config, &access.store)?;
    for one in providers.iter_mut().filter(|one| one.enabled) {
        let (provider, credential) = discovery::whom_to_ask(access, one.id).await?;
        if credential.is_none() && one.needs_key {
            // Its line says already that it has none.
            continue;
        }
        one.live = Some(probing::test(&probe, &Subject::stored(&provider, credential), Depth::List, None).await);
    }
    Ok(())
}

async fn checked(session: &Session, access: &Access, snapshot: &Snapshot, kept: &Kept) -> Result<Checked, Failure> {
    let config = &session.config;
    let lines = credentials::list(access, credentials::Which::Managed).await?;
    let active = tokens::list(access, None).await?.into_iter().filter(|line| line.state == tokens::TokenState::Active);
    let count =
        |name: &str, scope: Scope| lines.iter().filter(|line| line.provider == name && line.scope == scope).count();
    let served = |provider: &Provider| Served {
        name: provider.name.clone(),
        base_url: provider.base_url.to_string(),
        enabled: provider.enabled,
        any_under: (provider.models == Listing::Any).then(|| provider.prefix.clone()),
        models: snapshot.platform.catalog.models().filter(|one| one.provider.provider.id == provider.id).count(),
        platform_credentials: count(&provider.name, Scope::Platform),
        workspace_credentials: count(&provider.name, Scope::Workspace),
        needs_key: preset(&provider.preset).is_none_or(|preset| preset.key_required),
        live: None,
        id: provider.id,
    };
    let mut providers: Vec<_> = snapshot.platform.catalog.providers().map(|entry| served(&entry.provider)).collect();
    providers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Checked {
        config: config.source.as_ref().map(|path| path.display().to_string()),
        hash: config.hash.clone(),
        warnings: config.warnings.iter().map(ToString::to_string).collect(),
        directory: match kept {
            Kept::SealedFile(path) => Some(path.display().to_string()),
            Kept::Postgres => Some("the database".to_string()),
            Kept::Memory => None,
        },
        version: snapshot.platform.version,
        data: config.listen.data.to_string(),
        admin: config.listen.admin.to_string(),
        workspaces: snapshot.views().count(),
        tokens: active.count(),
        providers,
    })
}

fn in_words(checked: &Checked) -> String {
    let directory = match &checked.directory {
        Some(path) => format!("{path}, version {}", checked.version),
        None => "none yet; the first start or change makes it".to_string(),
    };
    let mut lines = vec![
        format!("settings: {} is fine (hash {})", checked.config.as_deref().unwrap_or("the environment"), checked.hash),
        format!("directory: {directory}"),
        format!("listens: {} for applications, {} for operators", checked.data, checked.admin),
        format!("workspaces: {}; active tokens: {}", checked.workspaces, checked.tokens),
    ];
    lines.extend(checked.providers.iter().map(provider_in_words));
    if checked.providers.is_empty() {
        lines.push("providers: none; declare a [[provider]]".to_string());
    }
    lines.join("\n")
}

fn provider_in_words(provider: &Served) -> String {
    let Served { name, base_url, models, platform_credentials, workspace_credentials, .. } = provider;
    let any = provider.any_under.as_ref().map_or(String::new(), |prefix| format!(", any other as {prefix}:MODEL"));
    let keys = match (platform_credentials + workspace_credentials, provider.needs_key) {
        (0, true) => format!("no key; give it one with `keyway credential set --provider {name} --platform`"),
        (0, false) => "needs no key".to_string(),
        _ => format!("keys: {platform_credentials} of the platform, {workspace_credentials} of workspaces"),
    };
    let off = if provider.enabled { "" } else { " (switched off)" };
    let live = match &provider.live {
        None => String::new(),
        Some(Tested { models: Some(listed), .. }) => format!("; it answers and lists {listed} models"),
        Some(Tested { message, .. }) => format!("; it fails: {message}"),
    };
    format!("provider {name}{off}: {base_url}; {models} models{any}; {keys}{live}")
}
