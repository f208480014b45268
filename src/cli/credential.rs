//! `keyway credential set|list|delete`.

use clap::{ArgGroup, Args, Subcommand};

use super::failure::Failure;
use super::input;
use super::output::table;
use super::session::{Session, user_named, workspace_named};
use crate::admin::probing::{self, Depth, Tested};
use crate::app;
use crate::directory::credentials::{self, CredentialChange, CredentialLine, NewCredential, Unlocks, Which};
use crate::directory::{Access, Expected, named};
use crate::domain::address::BaseUrl;
use crate::domain::change::Change;
use crate::domain::entity::{Grant, Owner, Provider};
use crate::domain::id::Id;

/// More names than this on one line are a wall.
const SHOWN: usize = 8;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Set a key, read from standard input; one that is in its place is replaced
    Set(Set),
    /// List credentials; of a key, its last four characters
    List(List),
    /// Delete a credential; its sealed key is destroyed at once
    Delete(Delete),
    /// Ask the provider whether it takes a key: a stored one, or one from standard input before it is set
    Test(Test),
}

/// Whose it is.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("owner").required(true).args(["workspace", "user", "platform"]))]
pub(super) struct Whose {
    /// The workspace's own
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// One user's own, used only with tokens that this user makes
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// The platform's
    #[arg(long)]
    platform: bool,
}

impl Whose {
    async fn owner(&self, access: &Access) -> Result<Owner, Failure> {
        match (&self.workspace, &self.user) {
            (Some(workspace), _) => Ok(Owner::Workspace(workspace_named(access, workspace).await?.id)),
            (_, Some(user)) => Ok(Owner::User(user_named(access, user).await?)),
            (None, None) => Ok(Owner::Platform),
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct Set {
    /// The provider it is for
    #[arg(long, value_name = "NAME")]
    provider: String,
    #[command(flatten)]
    whose: Whose,
    /// Who may use the platform's: all, or these workspaces
    #[arg(long, value_name = "all|NAME,…", value_delimiter = ',', requires = "platform")]
    grant: Vec<String>,
    /// Tells several of the platform's for one provider apart [else the provider's name]
    #[arg(long, default_value = "", hide_default_value = true)]
    label: String,
    /// Another base URL than the provider's; not for the platform's
    #[arg(long, value_name = "URL", conflicts_with = "platform")]
    base_url: Option<BaseUrl>,
    /// The model of a call that names none
    #[arg(long, value_name = "MODEL")]
    default_model: Option<String>,
    /// Its share among the platform's for one provider
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    weight: Option<u32>,
    /// Calls in flight at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    max_parallel: Option<u32>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct List {
    /// Only this workspace's own
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["id", "provider"]))]
#[command(group = ArgGroup::new("owner").args(["workspace", "user", "platform"]))]
pub(super) struct Delete {
    /// Its id, as `credential list` shows it
    #[arg(conflicts_with_all = ["provider", "owner"])]
    id: Option<String>,
    /// Or its provider, and whose it is
    #[arg(long, value_name = "NAME", requires = "owner")]
    provider: Option<String>,
    #[arg(long, value_name = "NAME", requires = "provider")]
    workspace: Option<String>,
    #[arg(long, value_name = "EMAIL", requires = "provider")]
    user: Option<String>,
    #[arg(long, requires = "provider")]
    platform: bool,
    /// Which of the platform's
    #[arg(long, default_value = "", hide_default_value = true, requires = "platform")]
    label: String,
}

#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("key").required(true).args(["id", "provider"]))]
pub(super) struct Test {
    /// Its id, as `credential list` shows it
    id: Option<String>,
    /// Or the provider that a key from standard input is for; the key is kept nowhere
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Of a workspace's own provider, which workspace
    #[arg(long, value_name = "NAME", requires = "provider")]
    workspace: Option<String>,
    /// Have this model answer, which costs a few units [else the provider lists its models, which costs nothing]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Set(set) => put(set, session).await,
        Command::List(list) => show(&list, session).await,
        Command::Delete(delete) => remove(&delete, session).await,
        Command::Test(test) => try_out(&test, session).await,
    }
}

async fn put(set: Set, session: &Session) -> Result<(), Failure> {
    let access = session.open().await?;
    // Names are looked up first: nobody should paste a key only to hear of a slip.
    let owner = set.whose.owner(&access).await?;
    let provider = provider_for(&access, owner, &set.provider).await?;
    let grant = grant(&access, &set.grant).await?;
    let key = input::secret(&format!("The key for {}", set.provider), session.output)?;
    let change = CredentialChange {
        key,
        label: Some(set.label).filter(|label| !label.is_empty()),
        weight: set.weight,
        max_parallel: stated(set.max_parallel),
        base_url: stated(set.base_url),
        default_model: stated(set.default_model),
        grant,
        ..CredentialChange::default()
    };
    let new = NewCredential { owner, provider, change };
    let set = credentials::set(&access, new).await?;
    session.output.say(&format!(
        "{} the key{} for {}",
        if set.replaced { "replaced" } else { "set" },
        masked(&set.credential).map(|masked| format!(" {masked}")).unwrap_or_default(),
        set.unlocks.provider
    ));
    session.output.say(&in_words(&set.unlocks));
    session.output.result(&set, || set.credential.id.to_string())
}

/// An option that is left out leaves what there is.
fn stated<T>(option: Option<T>) -> Change<T> {
    option.map_or(Change::Keep, Change::Set)
}

async fn provider_for(access: &Access, owner: Owner, text: &str) -> Result<Id<Provider>, Failure> {
    let stored = access.load(named::providers_for(owner)).await?;
    Ok(access.known(&stored).provider_for(owner, text)?.id)
}

/// Nothing said leaves the grant of one that is replaced as it is, and grants a new one to all.
async fn grant(access: &Access, to: &[String]) -> Result<Option<Grant>, Failure> {
    match to {
        [] => Ok(None),
        [all] if all == "all" => Ok(Some(Grant::All)),
        to => {
            let mut ids = Vec::with_capacity(to.len());
            for text in to {
                ids.push(workspace_named(access, text).await?.id);
            }
            Ok(Some(Grant::Workspaces(ids)))
        }
    }
}

/// What it unlocks, for people.
fn in_words(unlocks: &Unlocks) -> String {
    let who = match &unlocks.workspaces {
        None => "every workspace".to_string(),
        Some(names) => shortened(names),
    };
    let any = unlocks.any_under.as_ref().map(|prefix| format!("any model as {prefix}:MODEL"));
    let models = Some(shortened(&unlocks.models)).filter(|_| !unlocks.models.is_empty());
    let what: Vec<String> = models.into_iter().chain(any).collect();
    let what = match what.is_empty() {
        true => format!("no model yet: none is registered for {}", unlocks.provider),
        false => what.join(", and "),
    };
    let gated = match unlocks.gated.is_empty() {
        true => String::new(),
        false => format!("\nbut the org has switched {} off for: {}", unlocks.provider, shortened(&unlocks.gated)),
    };
    format!("unlocks for {who}: {what}{gated}")
}

fn shortened(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

async fn show(list: &List, session: &Session) -> Result<(), Failure> {
    let access = session.look().await?;
    let which = match &list.workspace {
        Some(text) => Which::Of(Owner::Workspace(workspace_named(&access, text).await?.id)),
        None => Which::Managed,
    };
    let lines = credentials::list(&access, which).await?;
    session.output.result(&lines, || {
        let rows: Vec<_> = lines.iter().map(row).collect();
        table(&["ID", "PROVIDER", "SCOPE", "OWNER", "KEY", "STATE", "LABEL"], &rows)
    })
}

fn masked(line: &CredentialLine) -> Option<&str> {
    line.held.as_ref()?.api_key_masked.as_deref()
}

fn row(line: &CredentialLine) -> Vec<String> {
    let state = match line {
        CredentialLine { active: false, .. } => "inactive",
        CredentialLine { undecryptable: true, .. } => "undecryptable",
        CredentialLine { address_changed: true, .. } => "address_changed",
        CredentialLine { declared: true, .. } => "declared",
        _ => "stored",
    };
    let or_dash = |text: &str| if text.is_empty() { "-".to_string() } else { text.to_string() };
    vec![
        line.id.to_string(),
        line.provider.clone(),
        line.scope.name().to_string(),
        line.owner.clone(),
        or_dash(masked(line).unwrap_or_default()),
        state.to_string(),
        or_dash(&line.label),
    ]
}

async fn remove(delete: &Delete, session: &Session) -> Result<(), Failure> {
    let access = session.open().await?;
    let gone = match (&delete.id, &delete.provider) {
        (None, Some(provider)) => {
            let whose =
                Whose { workspace: delete.workspace.clone(), user: delete.user.clone(), platform: delete.platform };
            let owner = whose.owner(&access).await?;
            let provider = provider_for(&access, owner, provider).await?;
            credentials::delete_of(&access, owner, provider, &delete.label).await?
        }
        (id, _) => {
            let id = id.as_deref().unwrap_or_default();
            let parsed = id.parse();
            let wrong = || Failure::usage(format!("`{id}` is no credential's id; `keyway credential list` shows them"));
            credentials::delete(&access, parsed.map_err(|_| wrong())?, Expected::Anything).await?
        }
    };
    session.output.say(&format!("deleted the {} key for {}", gone.scope.name(), gone.provider));
    session.output.result(&gone, || gone.id.to_string())
}

async fn try_out(test: &Test, session: &Session) -> Result<(), Failure> {
    let access = session.look().await?;
    let probe = app::probe(&session.config, &access.store)?;
    let depth = test.model.clone().map_or(Depth::List, |model| Depth::Ping(Some(model)));
    let tested = match (&test.id, &test.provider) {
        (Some(id), _) => {
            let wrong = || Failure::usage(format!("`{id}` is no credential's id; `keyway credential list` shows them"));
            probing::test_stored(&access, &probe, id.parse().map_err(|_| wrong())?, depth).await?
        }
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            let owner = match &test.workspace {
                Some(workspace) => Owner::Workspace(workspace_named(&access, workspace).await?.id),
                None => Owner::Platform,
            };
            let stored = access.load(named::providers_for(owner)).await?;
            let provider = access.known(&stored).provider_for(owner, name)?.clone();
            let key = input::secret(&format!("The key for {name}"), session.output)?;
            let key = key.ok_or_else(|| Failure::usage("there is no key on standard input"))?;
            probing::test(&probe, &probing::entered(&provider, owner, key), depth, None).await
        }
    };
    match tested.code {
        Some(code) => Err(Failure::coded(code, tested.message)),
        None => session.output.result(&tested, || tested_in_words(&tested)),
    }
}

fn tested_in_words(tested: &Tested) -> String {
    match (&tested.model_name, tested.latency_ms, tested.models) {
        (Some(model), Some(took), _) => format!("{model} answers, after {took} ms"),
        (_, _, Some(models)) => format!("the provider takes the key and lists {models} models"),
        _ => tested.message.clone(),
    }
}
