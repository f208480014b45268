//! Shows a provider our credential. The only place that asks for a credential to be opened for a call.
//!
//! Takes a credential and where its key goes, gives a ready-made header, or the keys that sign each request anew. It must
//! never log, format or keep a key longer than the cache below says.

pub(super) mod sigv4;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::sigv4::AccessKeys;
use crate::domain::entity::{Credential, KeyMaterial};
use crate::domain::failure::Failure;
use crate::domain::id::Id;
use crate::domain::map::Map;
use crate::domain::preset::KeyPlace;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::snapshot::CredentialEntry;
use crate::store::seal::Keyring;
use crate::store::state::{CredentialState, State, Used};

/// How long a ready-made header is kept: long enough that a busy credential is opened once a minute, short enough
/// that an idle one's key does not lie in memory.
const KEPT: Duration = Duration::from_secs(60);
/// Headers kept per core. At 200 bytes each this is 2 MiB; the expired ones go when it is full.
const KEPT_LIMIT: usize = 10_000;

/// What shows a provider our credential.
#[derive(Clone)]
pub(super) enum Proof {
    /// The same with every request.
    Header(HeaderName, HeaderValue),
    /// Another with each.
    Signature(Arc<AccessKeys>),
}

/// One core's ready-made headers.
pub struct Signer {
    ready: Mutex<Map<Id<Credential>, Ready>>,
    /// Hears, once a minute, that a credential is in use, and why one can't be.
    state: State,
}

struct Ready {
    made_at: Instant,
    /// A credential that was saved again has a new header.
    of: Timestamp,
    proof: Proof,
}

impl Signer {
    pub fn new(state: State) -> Self {
        Self { ready: Mutex::default(), state }
    }

    /// What shows this credential, or why it can't be shown.
    pub(super) fn proof(
        &self,
        keyring: &Keyring,
        entry: &CredentialEntry,
        place: KeyPlace,
        now: Instant,
    ) -> Result<Option<Proof>, Failure> {
        let Some(name) = header_name(place) else { return Ok(None) };
        if matches!(entry.credential.key, KeyMaterial::None) {
            return Ok(None);
        }
        if !entry.is_for_address {
            self.note(entry, |at| CredentialState::AddressChanged { at });
            return Err(Failure::CredentialUnusable("its address changed since it was entered"));
        }
        if let Some(proof) = self.kept(entry, now) {
            return Ok(Some(proof));
        }
        let secret = keyring.open_credential(&entry.credential).map_err(|_| {
            self.note(entry, |at| CredentialState::Undecryptable { at });
            Failure::CredentialUnusable("it can't be decrypted")
        })?;
        let proof = match access_keys(&secret, place) {
            Some(keys) => Proof::Signature(Arc::new(keys)),
            None => Proof::Header(name, shown(&secret, place)?),
        };
        self.state.used(Used::Credential(entry.id()), Timestamp::now());
        self.keep(entry, proof.clone(), now);
        Ok(Some(proof))
    }

    fn note(&self, entry: &CredentialEntry, state: impl FnOnce(Timestamp) -> CredentialState) {
        self.state.note(entry.credential.saved(), state(Timestamp::now()));
    }

    fn kept(&self, entry: &CredentialEntry, now: Instant) -> Option<Proof> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let found = ready.get(&entry.id())?;
        let is_fresh = found.of == entry.credential.updated_at && now.saturating_duration_since(found.made_at) < KEPT;
        is_fresh.then(|| found.proof.clone())
    }

    fn keep(&self, entry: &CredentialEntry, proof: Proof, now: Instant) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.len() >= KEPT_LIMIT {
            ready.retain(|_, one| now.saturating_duration_since(one.made_at) < KEPT);
        }
        if ready.len() < KEPT_LIMIT {
            ready.insert(entry.id(), Ready { made_at: now, of: entry.credential.updated_at, proof });
        }
    }

    /// Wipes what has expired. Called now and then, so that an idle core keeps no keys.
    pub fn forget_expired(&self, now: Instant) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.retain(|_, one| now.saturating_duration_since(one.made_at) < KEPT);
    }
}

/// The header that shows a key which is kept nowhere: one that somebody tries before saving it.
pub fn header_of(secret: &Secret, place: KeyPlace) -> Result<Option<(HeaderName, HeaderValue)>, Failure> {
    let Some(name) = header_name(place) else { return Ok(None) };
    if access_keys(secret, place).is_some() {
        return Err(Failure::CredentialUnusable("access keys sign a call, and are not tried without one"));
    }
    Ok(Some((name, shown(secret, place)?)))
}

/// Bedrock takes an API key, which is shown as it is, or access keys, which sign.
fn access_keys(secret: &Secret, place: KeyPlace) -> Option<AccessKeys> {
    (place == KeyPlace::SigV4).then(|| AccessKeys::read(secret.expose())).flatten()
}

const fn header_name(place: KeyPlace) -> Option<HeaderName> {
    match place {
        KeyPlace::Bearer | KeyPlace::SigV4 => Some(header::AUTHORIZATION),
        KeyPlace::XApiKey => Some(HeaderName::from_static("x-api-key")),
        KeyPlace::ApiKey => Some(HeaderName::from_static("api-key")),
        KeyPlace::GoogApiKey => Some(HeaderName::from_static("x-goog-api-key")),
        KeyPlace::Nowhere => None,
    }
}

/// A sensitive header value over memory that is wiped with its last copy.
fn shown(secret: &Secret, place: KeyPlace) -> Result<HeaderValue, Failure> {
    let prefix: &[u8] = if matches!(place, KeyPlace::Bearer | KeyPlace::SigV4) { b"Bearer " } else { b"" };
    let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + secret.expose().len()));
    text.extend_from_slice(prefix);
    text.extend_from_slice(secret.expose());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
        .map_err(|_| Failure::CredentialUnusable("it holds characters that no header may"))?;
    value.set_sensitive(true);
    Ok(value)
}
