//! What most commands begin with: the settings, and the directory they lead to.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use super::failure::Failure;
use super::output::Output;
use crate::app::open::{self, Opened};
use crate::config::{Config, find_config};
use crate::directory::{Access, Actor, named};
use crate::domain::directory::Directory;
use crate::domain::entity::{User, Workspace};
use crate::domain::id::Id;
use crate::snapshot::{Snapshot, build};

/// Longest name that an audit record carries of whoever ran the command.
const USER_MAX: usize = 64;

pub(super) struct Session {
    pub(super) config: Config,
    pub(super) output: Output,
}

impl Session {
    pub(super) fn load(explicit: Option<&Path>, output: Output) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        let config = match find_config(explicit, &variable) {
            Some(path) => Config::load(&path, &variable)?,
            None => Config::from_environment(&variable)?,
        };
        Ok(Self { config, output })
    }

    /// For commands that change something: what is missing is made.
    pub(super) async fn open(&self) -> Result<Access, Failure> {
        let opened = open::open(&self.config).await?;
        match opened.kept {
            open::Kept::SealedFile(_) | open::Kept::Postgres => Ok(self.access(opened)),
            open::Kept::Memory => Err(Failure::problem(opened.warnings.join("\n"))),
        }
    }

    /// For commands that only look: nothing is made.
    pub(super) async fn look(&self) -> Result<Access, Failure> {
        Ok(self.access(open::look(&self.config).await?))
    }

    pub(super) fn access(&self, opened: Opened) -> Access {
        for warning in &opened.warnings {
            self.output.warn(warning);
        }
        Access {
            store: opened.store,
            declared: self.config.declared.clone(),
            egress: Arc::new(self.config.egress.rules.clone()),
            actor: Actor::operator(whoever()),
        }
    }

    /// The world as the server would see it, with what `declared` holds beside what is stored.
    pub(super) fn snapshot(&self, stored: &Directory, declared: &Directory) -> Result<Snapshot, Failure> {
        Ok(build(stored, declared, &self.config.routing)?)
    }
}

/// The workspace with this name or id.
pub(super) async fn workspace_named(access: &Access, text: &str) -> Result<Workspace, Failure> {
    let stored = access.load(named::workspace(text)).await?;
    Ok(access.known(&stored).workspace(text)?.clone())
}

/// The user with this email or id.
pub(super) async fn user_named(access: &Access, text: &str) -> Result<Id<User>, Failure> {
    let stored = access.load(named::user(text)).await?;
    Ok(access.known(&stored).user(text)?.id)
}

/// The workspace that is named, or the only one.
pub(super) async fn workspace(access: &Access, text: Option<&str>) -> Result<Workspace, Failure> {
    if let Some(text) = text {
        return workspace_named(access, text).await;
    }
    let stored = access.load(named::some_workspaces()).await?;
    let known = access.known(&stored);
    let mut all = known.workspaces();
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(Failure::problem("there is no workspace yet; run `keyway init`, or declare a [[workspace]]")),
        (Some(_), Some(_)) => {
            let names: Vec<_> = known.workspaces().take(8).map(|one| one.name.as_str()).collect();
            Err(Failure::usage(format!("say which workspace, with --workspace: {}", names.join(", "))))
        }
    }
}

/// `cli:USER`: whom the audit log names. The id is the system's; the name is what the environment says.
fn whoever() -> String {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let name: String = name.chars().filter(|letter| letter.is_ascii_graphic()).take(USER_MAX).collect();
    let id = rustix::process::getuid().as_raw();
    match name.as_str() {
        "" => format!("cli:uid {id}"),
        name => format!("cli:{name} (uid {id})"),
    }
}

/// One thread is enough for a command.
pub(super) fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}
