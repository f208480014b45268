//! What is asked, and as whom.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::attempt::sign;
use crate::domain::address::BaseUrl;
use crate::domain::entity::{Credential, KeyMaterial, Owner, Provider, ProviderSettings};
use crate::domain::failure::Failure;
use crate::domain::preset::Preset;
use crate::domain::protocol::Protocol;
use crate::domain::secret::Secret;
use crate::protocol::catalogue::Asked;
use crate::store::seal::Keyring;

/// The key that a question shows.
#[derive(Clone)]
pub enum Key {
    Stored(Arc<Credential>),
    /// One that somebody tries before saving it. It is shown to the base URL beside it and kept nowhere.
    Entered(Arc<Secret>),
    None,
}

/// A provider, where it is, and the key.
#[derive(Clone)]
pub struct Subject {
    /// On whose behalf: each may ask only so much at once.
    pub owner: Owner,
    pub preset: &'static Preset,
    pub protocol: Protocol,
    pub base_url: BaseUrl,
    pub settings: ProviderSettings,
    pub key: Key,
}

impl Subject {
    /// A provider with a stored credential of its own place, protocol and settings, if it needs one.
    pub fn stored(provider: &Provider, credential: Option<Arc<Credential>>) -> Self {
        let facts = credential.as_deref();
        Self {
            owner: facts.map_or(provider.owner, |one| one.owner),
            preset: provider.facts(),
            protocol: facts.map_or(provider.protocol, |one| one.protocol(provider)),
            base_url: facts.map_or(&provider.base_url, |one| one.base_url(provider)).clone(),
            settings: facts.map_or(&provider.settings, |one| one.settings(provider)).clone(),
            key: credential.map_or(Key::None, Key::Stored),
        }
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { preset: self.preset, protocol: self.protocol, base: &self.base_url, settings: &self.settings }
    }

    /// The header that shows the key. A stored one goes only to the address that it was entered for.
    pub(super) fn shown(&self, keyring: &Keyring) -> Result<Option<(HeaderName, HeaderValue)>, Failure> {
        match &self.key {
            Key::None => Ok(None),
            Key::Entered(secret) => sign::header_of(secret, self.preset.key),
            Key::Stored(credential) if matches!(credential.key, KeyMaterial::None) => Ok(None),
            Key::Stored(credential) if !credential.is_for(&self.base_url.address) => {
                Err(Failure::CredentialUnusable("its address changed since it was entered"))
            }
            Key::Stored(credential) => {
                let secret = keyring.open_credential(credential);
                let secret = secret.map_err(|_| Failure::CredentialUnusable("it can't be decrypted"))?;
                sign::header_of(&secret, self.preset.key)
            }
        }
    }
}
