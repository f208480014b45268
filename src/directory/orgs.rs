//! Orgs: who owns workspaces and gates.

use super::actor::Over;
use super::error::{self, DirectoryError};
use super::{Access, Before};
use crate::domain::entity::Org;
use crate::domain::id::Id;
use crate::domain::permission::Permission;

/// Makes an org. Its name is unique among declared and stored ones.
pub async fn create(access: &Access, name: &str) -> Result<Org, DirectoryError> {
    let (id, name) = (Id::random(), name.to_string());
    let rule = move |turn: super::Turn<'_>| {
        turn.actor.may(Permission::OrgManage, Over::Platform)?;
        error::name("the org's name", &name)?;
        if turn.known().orgs().any(|org| org.name.eq_ignore_ascii_case(&name)) {
            return Err(DirectoryError::Exists { kind: "an org", name });
        }
        let org = Org::new(id, &name, turn.now);
        turn.stored.orgs.push(org.clone());
        Ok(org)
    };
    access.change(Before::Keep, "create", format_args!("org {id}"), rule).await
}
