//! The command line: one file per command.
//!
//! Takes arguments, the environment and standard input; gives an exit code (0 done, 1 a problem, 2 a mistake in how it was
//! called). Standard output holds the result and nothing else, so that scripts can use it; words for people go to standard
//! error. It decides nothing: `directory` changes, `app` serves. It must never take a secret as an argument, for arguments
//! are there for every user of the machine to read.

mod audit;
mod check;
mod completions;
mod credential;
mod demo;
mod failure;
mod init;
mod input;
mod keys;
mod migrate;
mod models;
mod output;
mod resolve;
mod serve;
mod session;
mod token;
mod transfer;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::Failure;
use self::output::Output;
use self::session::Session;

/// An LLM gateway: one binary between applications and the providers that serve models.
#[derive(Parser)]
#[command(name = "keyway", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// The settings [else KEYWAY_CONFIG, ./gateway.toml, /etc/keyway/gateway.toml, or the environment alone]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print results as JSON, and problems too
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM
    Serve(serve::Serve),
    /// Serve with a practice provider: no key, no network, nothing kept
    Demo(demo::Demo),
    /// Say everything that is wrong with the settings and the directory, and what would be served
    Check(check::Check),
    /// Write gateway.toml and an encryption key; make the first org, workspace, admin and token
    Init(init::Init),
    /// Show what a call for a model would try, and why not the others
    Resolve(resolve::Resolve),
    /// The keys we show providers
    #[command(subcommand)]
    Credential(credential::Command),
    /// The models that providers have
    #[command(subcommand)]
    Models(models::Command),
    /// The tokens applications show us
    #[command(subcommand)]
    Token(token::Command),
    /// The encryption keys that seal everything else
    #[command(subcommand)]
    Keys(keys::Command),
    /// Bring a database's tables up to date
    Migrate(migrate::Migrate),
    /// Print the whole directory, for another store; keys stay sealed
    Export,
    /// Put an exported directory into this store
    Import(transfer::Import),
    /// Store what a file declares
    Apply(transfer::Apply),
    /// Who changed what
    #[command(subcommand)]
    Audit(audit::Command),
    /// Who used what, and what it cost
    Usage(usage::UsageArgs),
    /// Hold a provider's own account against the ledger
    Reconcile(usage::ReconcileArgs),
    /// Print a shell's completions
    Completions(completions::Completions),
}

/// Reads the arguments, does what they say, and says how it went.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help_or_mistake) => {
            // Where nothing can be printed the exit code still says it.
            let _ = help_or_mistake.print();
            return ExitCode::from(u8::try_from(help_or_mistake.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(cli.json);
    match dispatch(cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(cli: Cli, output: Output) -> Result<(), Failure> {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Serve(serve) => serve::run(&serve, config, output),
        Command::Demo(demo) => demo::run(&demo, output),
        Command::Completions(completions) => completions::run(&completions),
        Command::Init(init) => session::block_on(init::run(&init, output)),
        Command::Keys(keys::Command::Generate) => keys::generate(output),
        Command::Check(check) => session::block_on(check::run(&check, &Session::load(config, output)?)),
        Command::Resolve(resolve) => session::block_on(resolve::run(&resolve, &Session::load(config, output)?)),
        Command::Credential(command) => session::block_on(credential::run(command, &Session::load(config, output)?)),
        Command::Models(command) => session::block_on(models::run(command, &Session::load(config, output)?)),
        Command::Token(command) => session::block_on(token::run(command, &Session::load(config, output)?)),
        Command::Keys(command) => session::block_on(keys::run(command, &Session::load(config, output)?)),
        Command::Migrate(migrate) => session::block_on(migrate::run(&migrate, &Session::load(config, output)?)),
        Command::Export => session::block_on(transfer::export(&Session::load(config, output)?)),
        Command::Import(import) => session::block_on(transfer::import(&import, &Session::load(config, output)?)),
        Command::Apply(apply) => session::block_on(transfer::apply(&apply, &Session::load(config, output)?)),
        Command::Usage(args) => session::block_on(usage::usage(args, &Session::load(config, output)?)),
        Command::Reconcile(args) => session::block_on(usage::reconcile(args, &Session::load(config, output)?)),
        Command::Audit(command) => session::block_on(audit::run(command, &Session::load(config, output)?)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_argument_takes_a_key() {
        let parsed =
            Cli::try_parse_from(["keyway", "credential", "set", "--provider", "p", "--platform", "sk-abcdefgh"]);
        assert_eq!(parsed.err().unwrap().exit_code(), 2);
    }
}
