//! `keyway check`: everything that is wrong, and what would be served. Changes nothing and asks no provider.

use serde::Serialize;

use super::failure::Failure;
use super::session::Session;
use crate::app::open::{self, Kept};
use crate::directory::{Access, credentials, tokens};
use crate::domain::entity::{Listing, Provider, Scope};
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
}

pub(super) async fn run(session: &Session) -> Result<(), Failure> {
    let opened = open::look(&session.config).await?;
    let kept = opened.kept.clone();
    let access = session.access(opened);
    let stored = access.load(Part::everything()).await?;
    let snapshot = session.snapshot(&stored, &access.declared)?;
    let checked = checked(session, &access, &snapshot, &kept).await?;
    for warning in &checked.warnings {
        session.output.say(&format!("warning: {warning}"));
    }
    session.output.result(&checked, || in_words(&checked))
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
    format!("provider {name}{off}: {base_url}; {models} models{any}; {keys}")
}
