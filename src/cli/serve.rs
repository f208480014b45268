//! `keyway serve`.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::output::Output;
use crate::app::open::Kept;
use crate::app::{self, FirstToken};

/// Everything is a setting; where to listen is `KEYWAY_LISTEN` or `[listen]`.
#[derive(Args, Clone, Debug)]
pub(super) struct Serve {}

pub(super) fn run(_: &Serve, config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let source = app::source(config);
    let config = source.load()?;
    Ok(app::serve(source, config, |started| match started.token {
        FirstToken::New { text, kept } => {
            output.say(&format!("This token is shown once. {}", stays(&kept)));
            let text = String::from_utf8_lossy(text.expose());
            if output.only_result(&json!({ "token": text }), || text.to_string()).is_err() {
                output.warn("the token could not be printed; make one with `keyway token create`");
            }
        }
        FirstToken::Earlier(kept) => output.say(&format!(
            "The token that the first start printed still counts. {} `keyway token create` makes another.",
            stays(&kept)
        )),
        FirstToken::NotOurs => {}
    })?)
}

fn stays(kept: &Kept) -> String {
    match kept {
        Kept::SealedFile(path) => format!("What is needed to check it is kept in {}.", path.display()),
        Kept::Postgres => "What is needed to check it is kept in the database.".to_string(),
        Kept::Memory => "It goes with this process.".to_string(),
    }
}
