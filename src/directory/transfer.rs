//! The whole directory at once: out of a store, into a store, and what a file of declarations would change.

use super::actor::Over;
use super::error::DirectoryError;
use super::{Access, Turn};
use crate::domain::directory::Directory;
use crate::domain::permission::Permission;
use crate::store::export::Export;
use crate::store::{Part, Previous};

/// What becomes of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// There must be nothing.
    Spare,
    Replace,
}

/// Everything, each key sealed as it is stored.
pub async fn export(access: &Access) -> Result<Export, DirectoryError> {
    may(access)?;
    Ok(access.store.export().await?)
}

/// Puts a whole directory in, its rows under the ids that they had.
pub async fn import(access: &Access, directory: Directory, present: Present) -> Result<(), DirectoryError> {
    may(access)?;
    let rule = move |turn: Turn<'_>| {
        if present == Present::Spare && !is_empty(turn.stored) {
            let remedy = "import into an empty one, or with `--replace`, which removes all that is there";
            return Err(DirectoryError::invalid("the directory", "is not empty", remedy));
        }
        *turn.stored = directory;
        Ok(())
    };
    access.change(Previous::Forget, "import", "directory", Part::everything(), rule).await
}

/// Whoever holds both may change everything that is in a directory.
fn may(access: &Access) -> Result<(), DirectoryError> {
    access.actor.may(Permission::OrgManage, Over::Platform)?;
    access.actor.may(Permission::PlatformCredentialManage, Over::Platform)
}

fn is_empty(stored: &Directory) -> bool {
    let Directory { version: _, last_number: _, orgs, workspaces, users, tokens, providers, models, .. } = stored;
    let Directory { credentials, routes, identities, .. } = stored;
    let tenancy = orgs.len() + workspaces.len() + users.len() + tokens.len();
    tenancy + providers.len() + models.len() + credentials.len() + routes.len() + identities.len() == 0
}
