//! `keyway demo`: everything, with no key and no network.

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use crate::app;

#[derive(Args, Clone, Debug)]
pub(super) struct Demo {
    /// Keep what it writes instead of deleting it at the end
    #[arg(long)]
    pub(super) keep: bool,
}

pub(super) fn run(demo: &Demo, output: Output) -> Result<(), Failure> {
    app::demo(demo.keep, |started| output.secret(&started.text()))
        .map_err(|trouble| Failure::problem(trouble.to_string()))
}
