//! Orgs: who owns workspaces and gates.

use super::Access;
use super::actor::Over;
use super::error::{self, DirectoryError};
use crate::domain::entity::Org;
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::store::{Need, Previous};

/// Makes an org. Its name is unique among declared and stored ones.
pub async fn create(access: &Access, name: &str) -> Result<Org, DirectoryError> {
    let (id, name) = (Id::random(), name.to_string());
    let named = Need::OrgNamed(name.clone());
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
    access.change(Previous::Keep, "create", format_args!("org {id}"), named, rule).await
}
