//! `keyway demo`: everything, with no key and no network.

use std::net::SocketAddr;

use clap::Args;

use super::failure::Failure;
use super::output::Output;

#[derive(Args, Clone, Debug)]
pub(super) struct Demo {
    /// Keep what it writes, in ./keyway-demo, instead of deleting it at the end
    #[arg(long)]
    pub(super) keep: bool,
    /// Where applications reach it [else 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<SocketAddr>,
}

pub(super) fn run(_demo: &Demo, _output: Output) -> Result<(), Failure> {
    Err(Failure::problem("the demo is not in this build"))
}
