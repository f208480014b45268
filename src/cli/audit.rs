//! `keyway audit verify`.

use clap::Subcommand;

use super::failure::Failure;
use super::session::Session;
use crate::directory::audit;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Check that no record was changed, removed or moved
    Verify {
        /// A link from a log line (`audit_head`): a log that lacks it was cut, or has let go of it since
        #[arg(long, value_name = "LINK")]
        head: Option<String>,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    let Command::Verify { head } = command;
    let access = session.look().await?;
    let checked = audit::verify(&access, head.as_deref()).await?;
    session.output.result(&checked, || {
        format!(
            "{} records, none was changed; the newest is no. {} ({})",
            checked.records, checked.head_seq, checked.head
        )
    })?;
    if checked.unknown_key > 0 {
        let unknown = checked.unknown_key;
        session
            .output
            .warn(&format!("{unknown} records were made with a key that is no longer held; nothing is said of them"));
    }
    match checked.holds_expected {
        Some(false) => Err(Failure::coded("audit_cut", "the chain lacks the given link: the log was cut behind it")),
        Some(true) | None => Ok(()),
    }
}
