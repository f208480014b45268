//! What a handler takes: who asks, and what for, all of it read into meaning.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::Api;
use super::body::{self, Body, Nothing};
use super::page;
use super::problem::Problem;
use crate::directory::page::Page;
use crate::directory::{Access, DirectoryError, Expected};
use crate::domain::id::Id;
use crate::snapshot::Caller;

/// What a query may hold beside a page's `limit` and `cursor`.
pub(crate) trait Query: DeserializeOwned + IntoParams + Send + 'static {}
impl<T: DeserializeOwned + IntoParams + Send + 'static> Query for T {}

/// A query that holds nothing more.
#[derive(Clone, Copy, Debug, serde::Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plain {}

/// One request, by somebody who may ask for it somewhere; whether here is for the directory to say.
pub(crate) struct Ask<B = Nothing, Q = Plain> {
    pub(crate) api: Arc<Api>,
    /// The directory, for this asker.
    pub(crate) access: Access,
    pub(crate) caller: Caller,
    pub(crate) body: B,
    pub(crate) query: Q,
    /// The page that is wanted, where the answer is one.
    pub(crate) page: Page,
    /// What `If-Match` binds a change to.
    pub(crate) expected: Expected,
    path: Vec<(String, String)>,
}

/// A request whose asker is known and whose bytes are here, and nothing more.
pub(super) struct Entered {
    pub(super) api: Arc<Api>,
    pub(super) access: Access,
    pub(super) caller: Caller,
    pub(super) path: Vec<(String, String)>,
    pub(super) query: Option<String>,
    pub(super) body: Vec<u8>,
    pub(super) expected: Expected,
}

impl<B: Body, Q: Query> Ask<B, Q> {
    pub(super) fn read(entered: Entered, paged: bool) -> Result<Self, Problem> {
        let mut pairs = body::pairs(entered.query.as_deref())?;
        let page = if paged { page::taken_from(&mut pairs)? } else { Page::default() };
        Ok(Self {
            query: body::query(&pairs)?,
            body: B::read(&entered.body)?,
            api: entered.api,
            access: entered.access,
            caller: entered.caller,
            page,
            expected: entered.expected,
            path: entered.path,
        })
    }
}

impl<B, Q> Ask<B, Q> {
    /// What stands in the path at `{name}`.
    pub(crate) fn path(&self, name: &str) -> &str {
        let found = self.path.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The id in the path at `{name}`. What is no id is an id that nobody has.
    pub(crate) fn id<T>(&self, name: &str, kind: &'static str) -> Result<Id<T>, Problem> {
        let text = self.path(name);
        let missing = || DirectoryError::NotFound { kind, name: text.to_string(), hint: String::new() };
        text.parse().map_err(|_| missing().into())
    }
}
