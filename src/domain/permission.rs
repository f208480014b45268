//! Permissions and the roles that bundle them: the one table that the admin API, the CLI and the docs read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing a caller may do. The first nine names are those that platforms in the field already use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Permission {
    ChatSessionCreate,
    AIProviderView,
    AIProviderManage,
    AIModelView,
    AIModelManage,
    AIRouteView,
    AIRouteManage,
    /// Credentials of the workspace; a user's own need no permission.
    CredentialManage,
    PlatformCredentialManage,
    TokenManage,
    MemberManage,
    WorkspaceManage,
    /// Which providers an org's workspaces may use.
    GateManage,
    OrgManage,
    UsageView,
    AuditView,
    MetricsView,
}

/// A bundle of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessRole {
    Member,
    WorkspaceAdmin,
    OrgAdmin,
    PlatformAdmin,
}

impl AccessRole {
    pub const ALL: [Self; 4] = [Self::Member, Self::WorkspaceAdmin, Self::OrgAdmin, Self::PlatformAdmin];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::WorkspaceAdmin => "workspace_admin",
            Self::OrgAdmin => "org_admin",
            Self::PlatformAdmin => "platform_admin",
        }
    }

    /// The table. A role holds what every lesser role holds, so none can grant more than its holder has.
    pub fn holds(self, permission: Permission) -> bool {
        self >= permission.least_role()
    }
}

impl Permission {
    pub const ALL: [Self; 17] = [
        Self::ChatSessionCreate,
        Self::AIProviderView,
        Self::AIProviderManage,
        Self::AIModelView,
        Self::AIModelManage,
        Self::AIRouteView,
        Self::AIRouteManage,
        Self::CredentialManage,
        Self::PlatformCredentialManage,
        Self::TokenManage,
        Self::MemberManage,
        Self::WorkspaceManage,
        Self::GateManage,
        Self::OrgManage,
        Self::UsageView,
        Self::AuditView,
        Self::MetricsView,
    ];

    /// The least role that holds this permission.
    pub const fn least_role(self) -> AccessRole {
        match self {
            Self::ChatSessionCreate | Self::AIModelView | Self::AIRouteView | Self::AIProviderView => {
                AccessRole::Member
            }
            Self::AIProviderManage
            | Self::AIModelManage
            | Self::AIRouteManage
            | Self::CredentialManage
            | Self::TokenManage
            | Self::MemberManage
            | Self::UsageView => AccessRole::WorkspaceAdmin,
            Self::WorkspaceManage | Self::GateManage => AccessRole::OrgAdmin,
            Self::PlatformCredentialManage | Self::OrgManage | Self::AuditView | Self::MetricsView => {
                AccessRole::PlatformAdmin
            }
        }
    }
}

impl fmt::Display for AccessRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no access role; there are member, workspace_admin, org_admin and platform_admin")]
pub struct UnknownRole(String);

impl FromStr for AccessRole {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| UnknownRole(text.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_look_and_call_but_change_nothing() {
        assert!(AccessRole::Member.holds(Permission::ChatSessionCreate));
        assert!(AccessRole::Member.holds(Permission::AIModelView));
        for permission in [
            Permission::TokenManage,
            Permission::CredentialManage,
            Permission::AIProviderManage,
            Permission::MetricsView,
        ] {
            assert!(!AccessRole::Member.holds(permission), "{permission:?}");
        }
        assert!(!AccessRole::OrgAdmin.holds(Permission::PlatformCredentialManage));
    }
}
