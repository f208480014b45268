//! `keyway init`: the first settings, the first key, the first of everything. Overwrites nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::app::open::{self, KEY_FILE};
use crate::directory::tokens::{Minted, NewToken};
use crate::directory::users::NewUser;
use crate::directory::{Access, orgs, tokens, users, workspaces};
use crate::domain::entity::DefaultChoice;
use crate::domain::permission::AccessRole;

const SETTINGS: &str = "gateway.toml";
/// Enough to begin with; gateway.toml.example holds every setting there is.
const TEXT: &str = include_str!("init.toml");

#[derive(Args, Clone, Debug)]
pub(super) struct Init {
    /// The folder to write into
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
    /// The first org
    #[arg(long, value_name = "NAME", default_value = "default")]
    org: String,
    /// The first workspace
    #[arg(long, value_name = "NAME", default_value = "default")]
    workspace: String,
    /// The first admin
    #[arg(long, value_name = "EMAIL", default_value = "admin@localhost")]
    admin: String,
}

/// What was made.
#[derive(Serialize)]
struct Made<'a> {
    config: &'a Path,
    key: &'a Path,
    org: &'a str,
    workspace: &'a str,
    admin: &'a str,
    token: &'a str,
}

pub(super) async fn run(init: &Init, output: Output) -> Result<(), Failure> {
    fs::create_dir_all(&init.dir).map_err(|error| cannot_write(&init.dir, &error))?;
    let (config, key) = (init.dir.join(SETTINGS), init.dir.join(KEY_FILE));
    if let Some(there) = [&config, &key].into_iter().find(|path| path.exists()) {
        return Err(exists(there));
    }
    write_settings(&config)?;
    // What is half done should not be in the way of another try: each step takes back what we made before it.
    let written = open::write_new_key(&key).inspect_err(|_| drop(fs::remove_file(&config)));
    written?;
    let minted = first(init, &config, output).await.inspect_err(|_| {
        drop(fs::remove_file(&config));
        drop(fs::remove_file(&key));
    })?;
    let token = String::from_utf8_lossy(minted.text.expose());
    output.say(&next_steps(init, &config, &key));
    let made = Made {
        config: &config,
        key: &key,
        org: &init.org,
        workspace: &init.workspace,
        admin: &init.admin,
        token: &token,
    };
    output.only_result(&made, || token.to_string())
}

fn exists(path: &Path) -> Failure {
    let path = path.display();
    Failure::coded("already_exists", format!("{path} is there already and is not overwritten; choose another --dir"))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::problem(format!("{} can't be written ({error}); choose another --dir", path.display()))
}

fn write_settings(path: &Path) -> Result<(), Failure> {
    let created = OpenOptions::new().write(true).create_new(true).open(path);
    let written = created.and_then(|mut file| file.write_all(TEXT.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => cannot_write(path, &error),
    })
}

/// Store, org, workspace, admin, token; the settings are read as every later start reads them.
async fn first(init: &Init, config: &Path, output: Output) -> Result<Minted, Failure> {
    let session = Session::load(Some(config), output)?;
    let sealed = open::sealed_file(&session.config);
    if sealed.exists() {
        return Err(exists(&sealed));
    }
    let made = entities(init, &session.open().await?).await;
    if made.is_err() {
        // A directory with half of it would refuse another try.
        let _ = fs::remove_file(&sealed);
        let _ = fs::remove_file(sealed.with_extension("sealed.previous"));
    }
    made
}

async fn entities(init: &Init, access: &Access) -> Result<Minted, Failure> {
    let org = orgs::create(access, &init.org).await?;
    // So that an application's plain `gpt-4o-mini` goes somewhere from the first day.
    let first = access.declared.providers.first().map(|provider| DefaultChoice { provider: provider.id, model: None });
    let workspace = workspaces::create(access, org.id, &init.workspace, first).await?;
    let admin = NewUser { email: init.admin.clone(), platform_admin: true, ..NewUser::default() };
    let admin = users::create(access, admin).await?;
    let token = NewToken {
        user: Some(admin.id),
        role: AccessRole::PlatformAdmin,
        label: "init".to_string(),
        ..NewToken::of(workspace.id)
    };
    Ok(tokens::create(access, token).await?)
}

fn next_steps(init: &Init, config: &Path, key: &Path) -> String {
    let workspace = &init.workspace;
    let flag = if init.dir == Path::new(".") { String::new() } else { format!("--config {} ", config.display()) };
    format!(
        "wrote {config} and {key}. Keep a copy of the key elsewhere: nothing opens without it.\n\
         made the org `{org}`, the workspace `{workspace}`, the admin {admin}, and the admin's token, shown this once.\n\
         \n\
         next:\n  \
         keyway {flag}credential set --provider openai --workspace {workspace} < key.txt\n  \
         keyway {flag}check\n  \
         keyway {flag}serve\n  \
         keyway {flag}token create --workspace {workspace}     # for an application\n",
        config = config.display(),
        key = key.display(),
        org = init.org,
        admin = init.admin,
    )
}
