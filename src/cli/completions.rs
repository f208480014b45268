//! `keyway completions SHELL`.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::failure::Failure;

#[derive(Args, Clone, Debug)]
pub(super) struct Completions {
    /// For example: keyway completions bash > /etc/bash_completion.d/keyway
    shell: Shell,
}

pub(super) fn run(completions: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Cli::command(), "keyway", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}
