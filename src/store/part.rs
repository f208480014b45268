//! Which part of the directory a read or a rule needs to see.
//!
//! With a million workspaces nobody can be handed the whole directory, so whoever asks names what they need, and rules see
//! just that. The sealed file gives everything whatever is asked for; the memory store gives exactly the part, so that a
//! rule that looks at what it did not ask for fails in its own tests.
//!
//! **A row brings along the rows it can't be judged without**: whatever has an owner brings that owner's row, a workspace
//! its org, a token its workspace and user, a model, route or credential its provider. So a row that was asked for by its
//! id alone never comes without the owner against whom the asker is held.

use crate::domain::entity::{Credential, Identity, Model, Org, Owner, Provider, Route, Token, User, Workspace};
use crate::domain::id::Id;
use crate::domain::token::TokenHash;

/// All that is needed, together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part(Vec<Need>);

/// One thing that is needed. A row asked for by id comes also when it is deleted; by name, by owner and in pages come
/// living ones only. What is not there is not an error: it is absent from what is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// All there is, for what walks over everything: export, import, and lists on the machine itself.
    Everything,
    /// The owner's row, and its providers with their models, its routes, credentials and identities.
    OwnedBy(Owner),
    Org(Id<Org>),
    /// In any letter case, as all names here.
    OrgNamed(String),
    Orgs(Page<Org>),
    Workspace(Id<Workspace>),
    WorkspaceNamed(String),
    /// Of one org, or of all.
    Workspaces(Option<Id<Org>>, Page<Workspace>),
    /// The user, and the orgs and workspaces in which they have a role.
    User(Id<User>),
    UserEmailed(String),
    /// Likewise, of one place or of all.
    Users(Option<Place>, Page<User>),
    Token(Id<Token>),
    TokenHash(TokenHash),
    /// Also those that have ended.
    Tokens(Holder, Page<Token>),
    /// The provider, and its models.
    Provider(Id<Provider>),
    Model(Id<Model>),
    Route(Id<Route>),
    /// The credential, and the workspaces that it is granted to.
    Credential(Id<Credential>),
    /// Of all owners, for what goes through them all.
    Credentials(Page<Credential>),
    Identity(Id<Identity>),
    /// The provider, model, route or credential with this number, as if asked for by its id.
    Numbered(u32),
}

/// Where users have a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the org itself or in one of its workspaces.
    Org(Id<Org>),
    Workspace(Id<Workspace>),
}

/// Whose tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Workspace(Id<Workspace>),
    User(Id<User>),
}

/// The rows after one, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub after: Option<Id<T>>,
    pub limit: u32,
}

impl<T> Page<T> {
    pub const fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }
}

impl Part {
    pub fn of(needs: impl IntoIterator<Item = Need>) -> Self {
        Self(needs.into_iter().collect())
    }

    pub fn everything() -> Self {
        Self::of([Need::Everything])
    }

    #[must_use]
    pub fn and(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        self.0.extend(needs);
        self
    }

    pub(super) fn needs(&self) -> &[Need] {
        &self.0
    }
}

impl From<Need> for Part {
    fn from(need: Need) -> Self {
        Self::of([need])
    }
}

impl IntoIterator for Part {
    type Item = Need;
    type IntoIter = std::vec::IntoIter<Need>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
