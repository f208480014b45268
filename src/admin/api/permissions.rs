//! `docs/permissions.md`, made from the tables: the roles, what each holds, and what each path takes.

use std::fmt::Write as _;

use super::ROOT;
use super::table::{Needs, Place, Row, alias_rows, rows};
use crate::domain::permission::{AccessRole, Permission};

const HEAD: &str = "\
# Permissions

Made from the tables in the code; a test fails when the two differ. A token has one access role. A role holds what every
lesser role holds, it counts where its holder is (a `workspace_admin` in one workspace, an `org_admin` in one org, a
`platform_admin` everywhere), and nobody gives more than they hold.

What a token may not see is a 404, whatever its role; what it may see but not do is a 403. A role that holds a permission
nowhere is refused with 403 before anything is looked at.
";

impl Place {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Platform => "the platform",
            Self::Org => "the org",
            Self::Workspace => "the workspace",
            Self::Owner => "the owner (the platform or a workspace)",
            Self::Member => "the org or the workspace",
            Self::Everywhere => "wherever the user has a role",
        }
    }
}

/// The whole page.
pub fn permissions_page() -> String {
    let mut page = format!("{HEAD}\n## Which role holds what\n\n| permission |");
    // Writing into a string does not fail.
    for role in AccessRole::ALL {
        let _ = write!(page, " `{role}` |");
    }
    let _ = writeln!(page, "\n|---|{}", "---|".repeat(AccessRole::ALL.len()));
    for permission in Permission::ALL {
        let _ = write!(page, "| `{permission:?}` |");
        for role in AccessRole::ALL {
            let _ = write!(page, " {} |", if role.holds(permission) { "yes" } else { "" });
        }
        page.push('\n');
    }
    let _ = write!(page, "\n## What each path takes\n\n`{ROOT}/openapi.json` is open to everyone.\n\n");
    table(&mut page, &rows());
    page.push_str("\n## The same under paths that other products' clients know\n\n");
    table(&mut page, &alias_rows());
    page
}

fn table(page: &mut String, rows: &[Row]) {
    page.push_str("| method | path | permission | over | does |\n|---|---|---|---|---|\n");
    for row in rows {
        let (permission, over) = match row.needs {
            Needs::Token => ("any token".to_string(), "what it can see"),
            Needs::Permission(permission, place) => (format!("`{permission:?}`"), place.words()),
        };
        // Writing into a string does not fail.
        let _ = writeln!(page, "| {} | `{}` | {permission} | {over} | {} |", row.method, row.written(), row.summary);
    }
}
