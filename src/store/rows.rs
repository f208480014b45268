//! The directory's nine kinds of rows, so that what is done to each is written once.

use uuid::Uuid;

use crate::domain::directory::Directory;
use crate::domain::entity::{Credential, Identity, Model, Org, Provider, Route, Token, User, Workspace};

/// One kind of entity, as a directory holds it.
pub(super) trait Row: Clone + PartialEq {
    const KIND: &'static str;

    fn uuid(&self) -> Uuid;
    fn of(directory: &Directory) -> &[Self];
    fn of_mut(directory: &mut Directory) -> &mut Vec<Self>;
}

macro_rules! rows {
    ($($kind:ident $name:literal in $field:ident),*) => {$(
        impl Row for $kind {
            const KIND: &'static str = $name;

            fn uuid(&self) -> Uuid {
                self.id.uuid()
            }
            fn of(directory: &Directory) -> &[Self] {
                &directory.$field
            }
            fn of_mut(directory: &mut Directory) -> &mut Vec<Self> {
                &mut directory.$field
            }
        }
    )*};
}

rows! {
    Org "org" in orgs,
    Workspace "workspace" in workspaces,
    User "user" in users,
    Token "token" in tokens,
    Provider "provider" in providers,
    Model "model" in models,
    Credential "credential" in credentials,
    Route "route" in routes,
    Identity "identity" in identities
}
