//! What it takes to look something up by what a person wrote: the thing itself under its name or id, and neighbours for
//! the hint where there is no such thing.

use uuid::Uuid;

use crate::domain::entity::Owner;
use crate::domain::id::Id;
use crate::store::part::{Need, Page, Part};

/// A mistyped name is held against this many that there are.
const NEIGHBOURS: u32 = 200;

pub fn org(text: &str) -> Part {
    let by_id = id(text).map(Need::Org);
    Part::of([Need::OrgNamed(text.to_string()), Need::Orgs(Page::first(NEIGHBOURS))]).and(by_id)
}

pub fn workspace(text: &str) -> Part {
    let by_id = id(text).map(Need::Workspace);
    Part::of([Need::WorkspaceNamed(text.to_string()), some_workspaces()]).and(by_id)
}

/// For choosing the only one there is, and for naming some where there are several.
pub fn some_workspaces() -> Need {
    Need::Workspaces(None, Page::first(NEIGHBOURS))
}

pub fn user(text: &str) -> Part {
    let by_id = id(text).map(Need::User);
    Part::of([Need::UserEmailed(text.to_string()), Need::Users(None, Page::first(NEIGHBOURS))]).and(by_id)
}

/// The providers that an owner's credential can be for.
pub fn providers_for(owner: Owner) -> Part {
    Part::of([Need::OwnedBy(Owner::Platform), Need::OwnedBy(owner)])
}

fn id<T>(text: &str) -> Option<Id<T>> {
    Uuid::parse_str(text).ok().map(Id::from_uuid)
}
