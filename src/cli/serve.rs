//! `keyway serve`.

use std::path::Path;

use clap::Args;

use super::failure::Failure;
use super::output::Output;

/// Everything is a setting; where to listen is `KEYWAY_LISTEN` or `[listen]`.
#[derive(Args, Clone, Debug)]
pub(super) struct Serve {}

pub(super) fn run(_: &Serve, _config: Option<&Path>, _output: Output) -> Result<(), Failure> {
    Err(Failure::problem("serving is not in this build"))
}
