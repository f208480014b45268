//! `keyway migrate`: brings a database's tables up to date. A start does it too; this is for doing it before one.

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::session::Session;
use crate::config::Store as Setting;
use crate::store::Store;

#[derive(Args, Clone, Debug)]
pub(super) struct Migrate {
    /// Only say what is missing; the exit code is 1 if anything is
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Migrated {
    /// Steps that the database lacked.
    pending: usize,
    /// Steps that a newer version of Keyway has made; this one runs on them.
    newer: usize,
    done: bool,
}

pub(super) async fn run(migrate: &Migrate, session: &Session) -> Result<(), Failure> {
    let Setting::Postgres(url) = &session.config.store else {
        let nothing = Migrated { pending: 0, newer: 0, done: true };
        return session.output.result(&nothing, || "the sealed file has no tables; there is nothing to do".to_string());
    };
    let schema = match migrate.check {
        true => Store::schema(url).await?,
        false => Store::migrate(url).await?,
    };
    let done = !migrate.check || schema.pending == 0;
    let migrated = Migrated { pending: schema.pending, newer: schema.newer, done };
    session.output.result(&migrated, || match (migrated.pending, migrate.check) {
        (0, _) => "the database is up to date".to_string(),
        (pending, true) => format!("the database lacks {pending} steps; `keyway migrate`, or a start, takes them"),
        (pending, false) => format!("took {pending} steps; the database is up to date"),
    })?;
    if migrated.newer > 0 {
        session.output.say("the database is ahead of this version of Keyway, which runs on it all the same");
    }
    match done {
        true => Ok(()),
        false => Err(Failure::coded("migrations_pending", "the database is behind this version of Keyway")),
    }
}
