//! What we show a provider, in whose name, and who may use it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Owner;
use super::provider::{Provider, ProviderSettings};
use super::tenancy::Workspace;
use crate::domain::address::{Address, BaseUrl};
use crate::domain::id::Id;
use crate::domain::protocol::Protocol;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    pub id: Id<Credential>,
    pub number: Option<u32>,
    pub owner: Owner,
    pub provider: Id<Provider>,
    pub key: KeyMaterial,
    /// The scheme and host the key was entered for; it is never sent anywhere else.
    pub entered_for: EnteredFor,
    pub last4: String,
    pub label: String,
    pub active: bool,
    pub weight: u32,
    pub max_parallel: Option<u32>,
    pub overrides: Overrides,
    /// Platform scope only.
    pub grant: Grant,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    #[serde(skip)]
    pub declared: bool,
}

impl Credential {
    /// A credential entered for an address, its key still to be sealed into it.
    pub fn new(id: Id<Self>, owner: Owner, provider: Id<Provider>, address: &Address, now: Timestamp) -> Self {
        Self {
            id,
            number: None,
            owner,
            provider,
            key: KeyMaterial::None,
            entered_for: address.to_string(),
            last4: String::new(),
            label: String::new(),
            active: true,
            weight: 1,
            max_parallel: None,
            overrides: Overrides::default(),
            grant: Grant::All,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            declared: false,
        }
    }
}

/// A credential as it was saved at one moment. Saved again it is another one: what its old key did is not held against
/// its new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SavedCredential {
    pub id: Id<Credential>,
    pub at: Timestamp,
}

/// `https://host:port`, as text: part of what a sealed key is bound to.
type EnteredFor = String;

impl Credential {
    pub fn scope(&self) -> Scope {
        match self.owner {
            Owner::Platform => Scope::Platform,
            Owner::Workspace(_) => Scope::Workspace,
            Owner::User(_) => Scope::User,
        }
    }

    /// This credential as it was last saved.
    pub const fn saved(&self) -> SavedCredential {
        SavedCredential { id: self.id, at: self.updated_at }
    }

    /// Where it is shown. A platform credential only ever goes to the provider's own base URL.
    pub fn base_url<'a>(&'a self, provider: &'a Provider) -> &'a BaseUrl {
        let own = self.overrides.base_url.as_ref().filter(|_| self.owner != Owner::Platform);
        own.unwrap_or(&provider.base_url)
    }

    pub fn protocol(&self, provider: &Provider) -> Protocol {
        self.overrides.protocol.unwrap_or(provider.protocol)
    }

    /// The settings in force: its own where it has any.
    pub fn settings<'a>(&'a self, provider: &'a Provider) -> &'a ProviderSettings {
        let own = &self.overrides.settings;
        if *own == ProviderSettings::default() { &provider.settings } else { own }
    }

    /// May the key go to this address? Only to the one it was entered for.
    pub fn is_for(&self, address: &Address) -> bool {
        self.entered_for == address.to_string()
    }
}

/// Where the key is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyMaterial {
    /// The provider's kind needs none.
    None,
    Sealed(SealedBytes),
    /// From `gateway.toml` or the environment: kept in memory only, never written down.
    #[serde(skip)]
    Declared(Arc<Secret>),
}

/// Of declared keys, the same one: what is secret is not compared.
impl PartialEq for KeyMaterial {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Sealed(one), Self::Sealed(other)) => one == other,
            (Self::Declared(one), Self::Declared(other)) => Arc::ptr_eq(one, other),
            (Self::None | Self::Sealed(_) | Self::Declared(_), _) => false,
        }
    }
}

/// `version(1) | key id(4) | nonce(12) | ciphertext | tag(16)`, opaque to all but `store/seal`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedBytes(#[serde(with = "base64_text")] pub Vec<u8>);

impl std::fmt::Debug for SealedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedBytes({} bytes)", self.0.len())
    }
}

/// Whose credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    User,
    Workspace,
    Platform,
}

impl Scope {
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Workspace => "workspace",
            Self::Platform => "platform",
        }
    }
}

/// What a credential's holder says differently from the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    pub protocol: Option<Protocol>,
    pub base_url: Option<BaseUrl>,
    pub default_model: Option<String>,
    pub settings: ProviderSettings,
}

/// Who may use a platform credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    All,
    Workspaces(Vec<Id<Workspace>>),
}

mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
