//! Every change of the directory as one function: permission, rule, audit record, one store transaction.
//!
//! Takes a `Access` (the store, what `gateway.toml` declares beside it, where keys may be sent, who asks) and plain values;
//! gives what an API or a command shows. One file per resource. Nothing is allowed unless a role says so, and nobody gives
//! more than they hold. It must never know whether a command line, an API or an import asks, and keeps no secret: keys go
//! straight to the store's keyring, tokens straight to whoever asked.

mod actor;
pub mod apply;
pub mod audit;
pub mod catalog;
pub mod credentials;
pub mod discovery;
pub mod endpoints;
mod error;
pub mod gates;
pub mod identities;
pub mod keys;
mod known;
pub mod limits;
pub mod model_config;
pub mod models;
pub mod named;
pub mod numbered;
pub mod orgs;
pub mod page;
pub mod providers;
pub mod routes;
mod tag;
pub mod tokens;
pub mod transfer;
pub mod users;
pub mod workspaces;

use std::fmt::Display;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

pub use self::actor::{Actor, Over};
pub use self::error::DirectoryError;
pub use self::known::Known;
pub use self::tag::{Expected, Tag};

use crate::domain::address::Egress;
use crate::domain::directory::Directory;
use crate::domain::entity::Owner;
use crate::domain::time::Timestamp;
use crate::store::audit::Act;
use crate::store::seal::Keyring;
use crate::store::{ChangeError, Need, Part, Previous, Store};

/// An actor with the directory they may reach into.
#[derive(Clone)]
pub struct Access {
    pub store: Store,
    /// What `gateway.toml` or the environment states: seen here, never changed here.
    pub declared: Arc<Directory>,
    pub egress: Arc<Egress>,
    pub actor: Actor,
}

/// What a rule works on: the part of the directory that it named, as it is now, under the store's lock.
struct Turn<'a> {
    stored: &'a mut Directory,
    declared: &'a Directory,
    actor: &'a Actor,
    keyring: &'a Keyring,
    now: Timestamp,
}

impl Turn<'_> {
    fn known(&self) -> Known<'_> {
        Known { stored: self.stored, declared: self.declared, actor: self.actor, keyring: self.keyring }
    }
}

impl Access {
    /// What is asked for of the stored directory as it is now; `known` looks things up in it.
    pub async fn load(&self, part: impl Into<Part>) -> Result<Directory, DirectoryError> {
        Ok(self.store.load(&part.into()).await?)
    }

    /// The providers that an owner can name, with all that hangs on them. Stored models of declared providers have nobody
    /// in the store to bring them along.
    fn catalogue(&self, owner: Owner) -> Part {
        named::providers_for(owner).and(self.declared.providers.iter().map(|one| Need::Provider(one.id)))
    }

    /// What this actor can see of a loaded directory and of the declared one.
    pub fn known<'a>(&'a self, stored: &'a Directory) -> Known<'a> {
        Known { stored, declared: &self.declared, actor: &self.actor, keyring: self.store.keyring() }
    }

    /// One transaction. `part` is all that the rule sees. `entity` is what the audit log calls the thing: names and ids only.
    async fn change<T, R>(
        &self,
        previous: Previous,
        action: &'static str,
        entity: impl Display,
        part: impl Into<Part>,
        rule: R,
    ) -> Result<T, DirectoryError>
    where
        T: Send + 'static,
        R: FnOnce(Turn<'_>) -> Result<T, DirectoryError> + Send + 'static,
    {
        let act = Act::new(self.actor.by(), action, entity);
        let (declared, actor, now) = (Arc::clone(&self.declared), self.actor.clone(), Timestamp::now());
        let keyring = Arc::clone(self.store.keyring());
        let rule = move |stored: &mut Directory| {
            rule(Turn { stored, declared: &declared, actor: &actor, keyring: &keyring, now })
        };
        self.store.change(act, part.into(), previous, rule).await.map_err(|error| match error {
            ChangeError::Refused(error) => error,
            ChangeError::Store(error) => error.into(),
        })
    }
}

/// For a field of a merge patch that is never cleared: it may be absent, and `null` is no value.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Lengths of time as an API takes them: whole milliseconds.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    use crate::domain::change::Change;

    pub(super) fn change<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<Duration>, D::Error> {
        let number: Option<u64> = Option::deserialize(deserializer)?;
        Ok(number.map_or(Change::Clear, |ms| Change::Set(Duration::from_millis(ms))))
    }

    pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        u64::deserialize(deserializer).map(|ms| Some(Duration::from_millis(ms)))
    }
}

/// Moments as an API shows and takes them.
pub mod moment {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::domain::change::Change;
    use crate::domain::time::Timestamp;

    /// In RFC 3339, which may be absent or `null`.
    pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| Timestamp::from_rfc3339(&text).map_err(de::Error::custom)).transpose()
    }

    pub(super) fn change<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<Timestamp>, D::Error> {
        Ok(optional(deserializer)?.map_or(Change::Clear, Change::Set))
    }

    pub(super) fn serialize<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&moment.iso8601())
    }

    pub(super) mod maybe {
        use serde::Serializer;

        use crate::domain::time::Timestamp;

        #[expect(clippy::ref_option, reason = "serde hands the field itself")]
        pub(in crate::directory) fn serialize<S: Serializer>(
            moment: &Option<Timestamp>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match moment {
                Some(moment) => serializer.serialize_some(&moment.iso8601()),
                None => serializer.serialize_none(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
