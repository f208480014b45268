//! Who asks, and what they may do. Deny is the default: an actor reaches only what its role and place say.

use super::error::DirectoryError;
use crate::domain::entity::{Org, Token, User, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::{AccessRole, Permission};

/// Who asks for a change, with all that they hold.
#[derive(Clone, Debug)]
pub struct Actor {
    by: String,
    role: AccessRole,
    /// Where a role below `platform_admin` counts; without a place it counts nowhere.
    place: Option<Place>,
    /// The person behind the token, if they made it themselves: only they set and see credentials of their own.
    user: Option<Id<User>>,
    /// The person whom the token stands for, whoever made it, and the token.
    holder: Option<(Id<User>, Id<Token>)>,
    /// Whoever has the machine and its encryption keys has everything; this only says so.
    has_machine: bool,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    workspace: Id<Workspace>,
    org: Id<Org>,
}

/// How much of the directory is worth loading for a list; what is shown of it is asked of each thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Everything,
    Org(Id<Org>),
    Workspace(Id<Workspace>),
}

/// What a permission is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Platform,
    Org(Id<Org>),
    Workspace(Id<Workspace>, Id<Org>),
}

impl From<&Workspace> for Over {
    fn from(workspace: &Workspace) -> Self {
        Self::Workspace(workspace.id, workspace.org)
    }
}

impl Actor {
    /// Whoever runs commands on the machine, for example `cli:ada`.
    pub fn operator(by: impl Into<String>) -> Self {
        Self {
            by: by.into(),
            role: AccessRole::PlatformAdmin,
            place: None,
            user: None,
            holder: None,
            has_machine: true,
        }
    }

    /// Whoever shows a token; the org is that of the token's workspace.
    pub fn token(token: &Token, org: Id<Org>) -> Self {
        Self {
            by: format!("token {}", token.id),
            role: token.role,
            place: Some(Place { workspace: token.workspace, org }),
            user: token.user.filter(|_| token.made_by_its_user),
            holder: token.user.map(|user| (user, token.id)),
            has_machine: false,
        }
    }

    /// The same token speaking for somebody whom it names: nobody's own things are theirs to see or change.
    pub fn asserting(self) -> Self {
        Self { user: None, holder: None, ..self }
    }

    /// As the audit log names them.
    pub fn by(&self) -> &str {
        &self.by
    }

    pub fn role(&self) -> AccessRole {
        self.role
    }

    /// The workspace whose token was shown.
    pub fn workspace(&self) -> Option<Id<Workspace>> {
        self.place.map(|place| place.workspace)
    }

    /// The workspace whose token was shown, and its org.
    pub fn home(&self) -> Option<(Id<Workspace>, Id<Org>)> {
        self.place.map(|place| (place.workspace, place.org))
    }

    /// The person whose own credentials these are to set and see.
    pub fn user(&self) -> Option<Id<User>> {
        self.user
    }

    /// The person whom the token stands for, whoever made it, and the token.
    pub(super) fn holder(&self) -> Option<(Id<User>, Id<Token>)> {
        self.holder
    }

    pub(super) fn reach(&self) -> Reach {
        match (self.role, self.place) {
            (AccessRole::OrgAdmin, Some(place)) => Reach::Org(place.org),
            (AccessRole::Member | AccessRole::WorkspaceAdmin, Some(place)) => Reach::Workspace(place.workspace),
            (AccessRole::PlatformAdmin, _) | (_, None) => Reach::Everything,
        }
    }

    /// The org that this actor is in, if it is not everywhere.
    pub(super) fn org(&self) -> Option<Id<Org>> {
        self.place.filter(|_| self.role != AccessRole::PlatformAdmin).map(|place| place.org)
    }

    pub(super) fn stands_for(&self, user: Id<User>) -> bool {
        self.holder.is_some_and(|(holder, _)| holder == user)
    }

    pub(super) fn is(&self, user: Id<User>) -> bool {
        self.user == Some(user)
    }

    pub(super) fn has_machine(&self) -> bool {
        self.has_machine
    }

    /// Is it within what this actor can see at all?
    pub fn reaches(&self, over: Over) -> bool {
        if self.role == AccessRole::PlatformAdmin {
            return true;
        }
        let Some(place) = self.place else { return false };
        match over {
            Over::Platform => false,
            Over::Org(org) => org == place.org,
            Over::Workspace(_, org) if self.role == AccessRole::OrgAdmin => org == place.org,
            Over::Workspace(workspace, _) => workspace == place.workspace,
        }
    }

    /// Is it held anywhere? Whoever holds it nowhere is refused before anything is looked at.
    pub fn may_anywhere(&self, permission: Permission) -> Result<(), DirectoryError> {
        match self.role.holds(permission) {
            true => Ok(()),
            false => Err(DirectoryError::Denied { by: self.by.clone(), permission }),
        }
    }

    /// Both where and what: the one question that every change asks first. To be in a workspace is to see its org, not to
    /// do there what one does in the workspace.
    pub fn may(&self, permission: Permission, over: Over) -> Result<(), DirectoryError> {
        let is_below = matches!(over, Over::Org(_)) && self.role < AccessRole::OrgAdmin;
        match self.reaches(over) && !is_below && self.role.holds(permission) {
            true => Ok(()),
            false => Err(DirectoryError::Denied { by: self.by.clone(), permission }),
        }
    }

    /// Nobody gives more than they hold.
    pub fn may_give(&self, role: AccessRole) -> Result<(), DirectoryError> {
        match role <= self.role {
            true => Ok(()),
            false => Err(DirectoryError::RoleTooHigh { asked: role, held: self.role }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::domain::token::TokenHash;

    fn actor(role: AccessRole, workspace: Id<Workspace>, org: Id<Org>) -> Actor {
        let token = Token { role, ..Token::new(Id::random(), TokenHash([0; 32]), workspace, "x", Timestamp(0)) };
        Actor::token(&token, org)
    }

    #[test]
    fn a_role_counts_where_its_holder_is_and_nowhere_else() {
        let (mine, org, other, other_org) = (Id::random(), Id::random(), Id::random(), Id::random());
        let manage = Permission::TokenManage;
        let cases = [
            (AccessRole::Member, [false, false, false]),
            (AccessRole::WorkspaceAdmin, [true, false, false]),
            (AccessRole::OrgAdmin, [true, true, false]),
            (AccessRole::PlatformAdmin, [true, true, true]),
        ];
        for (role, expected) in cases {
            let actor = actor(role, mine, org);
            let overs = [Over::Workspace(mine, org), Over::Workspace(other, org), Over::Workspace(other, other_org)];
            assert_eq!(overs.map(|over| actor.may(manage, over).is_ok()), expected, "{role}");
        }
    }

    #[test]
    fn a_workspace_admin_of_one_workspace_does_nothing_to_its_org_or_the_platform() {
        let (mine, org) = (Id::random(), Id::random());
        let admin = actor(AccessRole::WorkspaceAdmin, mine, org);
        assert!(admin.may(Permission::WorkspaceManage, Over::Org(org)).is_err());
        assert!(admin.reaches(Over::Org(org)) && admin.may(Permission::MemberManage, Over::Org(org)).is_err());
        assert!(admin.may(Permission::PlatformCredentialManage, Over::Platform).is_err());
        assert!(admin.may_give(AccessRole::WorkspaceAdmin).is_ok());
        assert!(admin.may_give(AccessRole::OrgAdmin).is_err());
    }
}
