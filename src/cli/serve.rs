//! `keyway serve`.

use std::path::Path;

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use crate::app;

/// Everything is a setting; where to listen is `KEYWAY_LISTEN` or `[listen]`.
#[derive(Args, Clone, Debug)]
pub(super) struct Serve {}

pub(super) fn run(_: &Serve, config: Option<&Path>, _output: Output) -> Result<(), Failure> {
    let source = app::source(config);
    let config = source.load().map_err(|problems| Failure::problem(problems.to_string()))?;
    let ready = |address| tracing::info!(%address, "serving");
    app::serve(source, config, ready).map_err(|trouble| Failure::problem(trouble.to_string()))
}
