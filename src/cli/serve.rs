//! `keyway serve`.

use std::path::Path;

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use crate::app::{self, FirstToken, Started};

/// Everything is a setting; where to listen is `KEYWAY_LISTEN` or `[listen]`.
#[derive(Args, Clone, Debug)]
pub(super) struct Serve {}

pub(super) fn run(_: &Serve, config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let source = app::source(config);
    let config = source.load().map_err(|problems| Failure::problem(problems.to_string()))?;
    let served = app::serve(source, config, |started| tell(&started, output));
    served.map_err(|trouble| Failure::problem(trouble.to_string()))
}

/// Where it serves, and the one token of a first start without a file: the only time that it is shown.
fn tell(started: &Started, output: Output) {
    tracing::info!(data = %started.data, admin = %started.admin, "serving");
    match &started.token {
        FirstToken::New { text, .. } => output.secret(text),
        FirstToken::Earlier(_) => tracing::info!("the token that the first start printed still holds"),
        FirstToken::NotOurs => {}
    }
}
