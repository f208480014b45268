//! `keyway export`, `keyway import FILE`, `keyway apply FILE`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::session::Session;
use crate::app::open;
use crate::config::Config;
use crate::directory::apply::{self, Difference};
use crate::directory::transfer::{self, Present};
use crate::store::export::Export;

/// The sealed file holds no more than this, and what is larger is moved by the database's own means.
const EXPORT_MAX: u64 = 1 << 30;

#[derive(Args, Clone, Debug)]
pub(super) struct Import {
    /// What `keyway export` printed
    file: PathBuf,
    /// Remove everything that is there before
    #[arg(long)]
    replace: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Apply {
    /// A file with [[org]], [[workspace]], [[provider]] and the like, written as in gateway.toml
    file: PathBuf,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn export(session: &Session) -> Result<(), Failure> {
    let access = session.look().await?;
    let export = transfer::export(&access).await?;
    let text = serde_json::to_string(&export).map_err(|error| Failure::problem(error.to_string()))?;
    session.output.only_result(&export, || text)?;
    let head = export.audit_head();
    session.output.say(&format!(
        "keys are sealed and tokens are hashes, but all else can be read; the audit log stays behind, its end is no. {} ({})",
        head.seq, head.link
    ));
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Imported {
    orgs: usize,
    workspaces: usize,
    users: usize,
    tokens: usize,
    credentials: usize,
    unopenable: Vec<String>,
}

pub(super) async fn import(import: &Import, session: &Session) -> Result<(), Failure> {
    let export = Export::parse(&read(&import.file)?)?;
    let access = session.open().await?;
    let found = open::found(&session.config, &mut Vec::new())?;
    let keys = found.iter().map(open::Found::parse).collect::<Result<Vec<_>, _>>()?;
    let unpacked = export.unpack(&keys, access.store.keyring())?;
    let directory = unpacked.directory;
    let imported = Imported {
        orgs: directory.orgs.len(),
        workspaces: directory.workspaces.len(),
        users: directory.users.len(),
        tokens: directory.tokens.len(),
        credentials: directory.credentials.len(),
        unopenable: unpacked.unopenable.iter().map(ToString::to_string).collect(),
    };
    let present = if import.replace { Present::Replace } else { Present::Spare };
    transfer::import(&access, directory, present).await?;
    session.output.result(&imported, || {
        let Imported { orgs, workspaces, users, tokens, credentials, .. } = &imported;
        format!(
            "imported {orgs} orgs, {workspaces} workspaces, {users} users, {tokens} tokens, {credentials} credentials"
        )
    })?;
    if !imported.unopenable.is_empty() {
        let lost = imported.unopenable.join(", ");
        session.output.warn(&format!("these credentials open with none of the encryption keys; set them anew: {lost}"));
    }
    Ok(())
}

/// The file's own settings, such as [listen], are not looked at.
pub(super) async fn apply(apply: &Apply, session: &Session) -> Result<(), Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let wanted = Arc::unwrap_or_clone(Config::load(&apply.file, &variable)?.declared);
    let difference = match apply.dry_run {
        true => apply::difference(&session.look().await?, wanted).await?,
        false => apply::apply(&session.open().await?, wanted).await?,
    };
    session.output.result(&difference, || in_words(&difference, apply.dry_run))
}

fn in_words(difference: &Difference, dry_run: bool) -> String {
    let mut lines: Vec<String> = Vec::new();
    for row in &difference.rows {
        lines.push(format!("{} {} {}", if row.is_new { '+' } else { '~' }, row.kind, row.name));
        lines.extend(row.fields.iter().map(|field| format!("    {}: {} -> {}", field.name, field.from, field.to)));
    }
    let count = |is_new| difference.rows.iter().filter(|row| row.is_new == is_new).count();
    let (new, changed) = (count(true), count(false));
    lines.push(match dry_run {
        true => format!("{new} would be added, {changed} changed, {} are so already", difference.unchanged),
        false => format!("{new} added, {changed} changed, {} were so already", difference.unchanged),
    });
    lines.join("\n")
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::problem(format!("{} can't be read: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| wrong(&error))?.len();
    match size {
        0..=EXPORT_MAX => std::fs::read(path).map_err(|error| wrong(&error)),
        _ => Err(wrong(&format!("it has {size} bytes, and an export has at most {EXPORT_MAX}"))),
    }
}
