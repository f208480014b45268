//! `keyway keys rotate|list|generate`.

use clap::Subcommand;
use serde::Serialize;

use super::failure::Failure;
use super::output::{Output, table};
use super::session::Session;
use crate::app::open;
use crate::directory::keys;
use crate::store::seal::{Keyring, MasterKey};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Seal everything anew under the first key
    Rotate,
    /// Show the keys by their ids, and how much each seals
    List,
    /// Print a new key, for [encryption] keys
    Generate,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Rotate => rotate(session).await,
        Command::List => list(session).await,
        Command::Generate => generate(session.output),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rotated {
    /// The key that now seals everything that opened.
    key: String,
    resealed: usize,
    already: usize,
    /// Ids of credentials that no key opens; they are as they were.
    unopenable: Vec<String>,
}

async fn rotate(session: &Session) -> Result<(), Failure> {
    let access = session.open().await?;
    let count = keys::rotate(&access).await?;
    let rotated = Rotated {
        key: access.store.keyring().current().to_string(),
        resealed: count.resealed,
        already: count.current,
        unopenable: count.unopenable.iter().map(ToString::to_string).collect(),
    };
    let Rotated { key, resealed, already, unopenable } = &rotated;
    session.output.result(&rotated, || {
        format!("everything is sealed with key {key}: {resealed} credentials anew, {already} already were")
    })?;
    match unopenable.is_empty() {
        true => {
            session
                .output
                .say("a gateway that runs needs the same keys; the old one can go once all replicas have the new");
            Ok(())
        }
        false => Err(Failure::coded(
            "unopenable",
            format!(
                "{} credentials open with none of the keys and were left as they are: {}; \
                 add the key that sealed them and rotate again, or set them anew",
                unopenable.len(),
                unopenable.join(", ")
            ),
        )),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    id: String,
    from: String,
    seals: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    keys: Vec<Key>,
    /// Credentials under the first key, under an older one, and under none that we hold.
    credentials: usize,
    to_rotate: usize,
    unopenable: usize,
}

async fn list(session: &Session) -> Result<(), Failure> {
    let access = session.look().await?;
    let count = keys::count(&access).await?;
    let found = open::found(&session.config, &mut Vec::new())?;
    let salt = access.store.keyring().salt();
    let key = |(position, found): (usize, &open::Found)| {
        // A key's id depends on the store's salt too, so each is derived as the store derives it.
        let id = Keyring::new(&[found.parse()?], salt).map_err(open::OpenError::from)?.current().to_string();
        Ok::<_, Failure>(Key { id, from: found.place.clone(), seals: position == 0 })
    };
    let keys = found.iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
    let (credentials, to_rotate, unopenable) = (count.current, count.resealed, count.unopenable.len());
    let listed = Listed { keys, credentials, to_rotate, unopenable };
    session.output.result(&listed, || {
        let use_of = |key: &Key| if key.seals { "seals and opens" } else { "opens" }.to_string();
        let rows: Vec<_> = listed.keys.iter().map(|key| vec![key.id.clone(), use_of(key), key.from.clone()]).collect();
        table(&["ID", "USE", "FROM"], &rows)
    })?;
    session.output.say(&format!(
        "{credentials} credentials are sealed with the first key, {to_rotate} with an older one, {unopenable} with none of these"
    ));
    Ok(())
}

/// Needs no settings: it is what one makes before there are any.
pub(super) fn generate(output: Output) -> Result<(), Failure> {
    let text = MasterKey::generate().map_err(|error| Failure::problem(error.to_string()))?;
    let text = String::from_utf8_lossy(text.expose());
    output.say("keep it in a file that only the gateway can read, and name it in [encryption] keys");
    output.only_result(&serde_json::json!({ "key": text }), || text.to_string())
}
