//! Seals and opens: the only place where a secret becomes ciphertext, or the other way round.
//!
//! Takes master keys and a salt, gives a `Keyring`. Every sealed value is AES-256-GCM under a key for its purpose,
//! derived by HKDF-SHA256 from a master key, with a fresh random nonce, and bound to where it belongs: a value moved to
//! another row, owner, provider or host does not open. Knows nothing of files, tables or who asks.
//!
//! What is ours is wiped on drop. The expanded AES and HMAC keys live inside `ring` as long as the keyring does, which
//! is as long as the process: `ring` does not wipe them, and core dumps are off.

pub(super) mod credential;
pub(super) mod master;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::credential::{NotMoved, Resealing};
pub use self::master::{MasterKey, NoRandomness, NotAMasterKey, Salt};

use crate::domain::entity::SealedBytes;
use crate::domain::secret::Secret;

/// What a value is sealed for. Each has a key of its own, so that none opens as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Credential,
    Directory,
    Transcript,
    State,
    Mirror,
    Check,
}

impl Purpose {
    const ALL: [Self; 6] =
        [Self::Credential, Self::Directory, Self::Transcript, Self::State, Self::Mirror, Self::Check];

    /// Part of the derivation and of the associated data: never change one.
    const fn name(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Directory => "directory",
            Self::Transcript => "transcript",
            Self::State => "state",
            Self::Mirror => "mirror",
            Self::Check => "check",
        }
    }
}

/// Two keys are a rotation; more than a few is a mistake in the settings, and each passphrase costs its time at start.
pub const KEYS_MAX: usize = 8;

/// NIST's bound for random nonces is 2^32; long before it an operator should hear that a rotation is due.
const SEALS_BETWEEN_WARNINGS: u64 = 100_000;

const VERSION: u8 = 1;
const HEAD_LENGTH: usize = 1 + KeyId::LENGTH + NONCE_LEN;
/// What sealing adds to a value.
pub(super) const OVERHEAD: usize = HEAD_LENGTH + MAX_TAG_LEN;

/// Sealed under every keyring's first key; opens only under the same one.
const CHECK: &[u8; 6] = b"keyway";
pub(super) const CHECK_LENGTH: usize = OVERHEAD + CHECK.len();

/// Which key sealed a value. A hint that saves tries; a wrong one costs time and nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; KeyId::LENGTH]);

impl KeyId {
    const LENGTH: usize = 4;
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 16).map(|id| Self(id.to_be_bytes())).map_err(de::Error::custom)
    }
}

/// Where a sealed value belongs. Each field goes in after its length, so that two fields never run into each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding(Vec<u8>);

impl Binding {
    #[must_use]
    pub fn with(mut self, field: &[u8]) -> Self {
        self.0.extend_from_slice(&(field.len() as u64).to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("no encryption key is given; set [encryption] keys or KEYWAY_ENCRYPTION_KEYS")]
    NoKeys,
    #[error("{0} encryption keys are given; at most {KEYS_MAX} can be held at once, remove those that seal nothing")]
    TooManyKeys(usize),
    #[error("a passphrase could not be made into a key: Argon2 refused its costs or its memory")]
    Derivation,
}

/// No key of the keyring opens the check value: these are other keys than the ones that sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed with key {sealed_with}, and the keyring holds {held}; give the key that sealed it")]
pub struct WrongKey {
    pub sealed_with: String,
    pub held: String,
}

/// Why a sealed value does not open. Says nothing about the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unopenable {
    #[error("the credential holds no key")]
    NoKey,
    #[error("the sealed value is damaged: it is shorter than any")]
    Malformed,
    #[error("the sealed value has form {0}, which this version of Keyway does not know; run the version that wrote it")]
    TooNew(u8),
    #[error("it was sealed with key {0}, which the keyring does not hold; add that key, or enter the value again")]
    UnknownKey(KeyId),
    #[error("it was altered, or moved here from another place; enter the value again")]
    Altered,
}

/// The master keys' purpose keys: the first seals, all open.
pub struct Keyring {
    keys: Vec<PurposeKeys>,
    salt: Salt,
    seals: AtomicU64,
}

/// What one master key became. The master key itself is gone by then.
struct PurposeKeys {
    id: KeyId,
    sealing: [LessSafeKey; Purpose::ALL.len()],
    /// The audit chain's, which signs and never seals.
    chain: hmac::Key,
}

impl Keyring {
    /// Slow (some 150 ms each) where a master key is a passphrase: for the start, not for a call.
    pub fn new(master_keys: &[MasterKey], salt: Salt) -> Result<Self, KeyringError> {
        match master_keys.len() {
            0 => return Err(KeyringError::NoKeys),
            1..=KEYS_MAX => {}
            count => return Err(KeyringError::TooManyKeys(count)),
        }
        let derived = master_keys.iter().map(|key| PurposeKeys::derive(key, &salt));
        let keys = derived.collect::<Option<_>>().ok_or(KeyringError::Derivation)?;
        Ok(Self { keys, salt, seals: AtomicU64::new(0) })
    }

    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// The key that seals.
    pub fn current(&self) -> KeyId {
        self.keys[0].id
    }

    /// How often this process sealed. It starts at nought with each process, so the warning is late by what came before;
    /// the bound lies forty thousand times higher.
    pub fn seals(&self) -> u64 {
        self.seals.load(Ordering::Relaxed)
    }

    pub fn seal(&self, purpose: Purpose, binding: &Binding, plain: &[u8]) -> Result<SealedBytes, NoRandomness> {
        let key = &self.keys[0];
        let mut nonce = [0; NONCE_LEN];
        master::fill(&mut nonce)?;
        // Reserved whole, so that growing leaves no copy of the plaintext behind.
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id.0);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.sealing[purpose as usize]
            .seal_in_place_separate_tag(nonce, associated(purpose, binding), &mut sealed[HEAD_LENGTH..])
            .expect("AES-GCM seals anything below 64 GiB, and memory holds less");
        sealed.extend_from_slice(tag.as_ref());
        // A mirror is written anew with every restart, under a key of its own: four thousand million times are far away.
        if purpose != Purpose::Mirror {
            self.count();
        }
        Ok(SealedBytes(sealed))
    }

    fn count(&self) {
        let seals = self.seals.fetch_add(1, Ordering::Relaxed) + 1;
        if seals.is_multiple_of(SEALS_BETWEEN_WARNINGS) {
            tracing::warn!(seals, key = %self.current(), "many values were sealed under one key; run `keyway keys rotate`");
        }
    }

    pub fn open(&self, purpose: Purpose, binding: &Binding, sealed: &SealedBytes) -> Result<Secret, Unopenable> {
        let parts = Parts::read(&sealed.0)?;
        let (hinted, others): (Vec<_>, Vec<_>) = self.keys.iter().partition(|key| key.id == parts.key);
        let known = !hinted.is_empty();
        let mut tries = hinted.into_iter().chain(others);
        tries.find_map(|key| key.open(purpose, binding, &parts)).ok_or(if known {
            Unopenable::Altered
        } else {
            Unopenable::UnknownKey(parts.key)
        })
    }

    /// What a store keeps beside its salt, so that a wrong key is told from damage.
    pub fn check_value(&self) -> Result<SealedBytes, NoRandomness> {
        self.seal(Purpose::Check, &Binding::default().with(&self.salt.0), CHECK)
    }

    pub fn check(&self, value: &SealedBytes) -> Result<(), WrongKey> {
        let binding = Binding::default().with(&self.salt.0);
        self.open(Purpose::Check, &binding, value).map(drop).map_err(|_| WrongKey {
            sealed_with: Parts::read(&value.0).map_or("(unreadable)".to_string(), |parts| parts.key.to_string()),
            held: self.keys.iter().map(|key| key.id.to_string()).collect::<Vec<_>>().join(", "),
        })
    }

    /// One link of the audit chain, under the first key.
    pub(super) fn link(&self, message: &Binding) -> (KeyId, [u8; 32]) {
        let key = &self.keys[0];
        let mut link = [0; 32];
        link.copy_from_slice(hmac::sign(&key.chain, message.bytes()).as_ref());
        (key.id, link)
    }

    /// Was the link made by the key it names? `None` where the keyring no longer holds that key.
    pub(super) fn is_link(&self, key: KeyId, message: &Binding, link: &[u8; 32]) -> Option<bool> {
        let mut named = self.keys.iter().filter(|held| held.id == key).peekable();
        named.peek()?;
        Some(named.any(|held| hmac::verify(&held.chain, message.bytes(), link).is_ok()))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.id)).finish()
    }
}

/// `version(1) | key id(4) | nonce(12) | ciphertext | tag(16)`.
struct Parts<'a> {
    key: KeyId,
    nonce: [u8; NONCE_LEN],
    /// Ciphertext and tag.
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(sealed: &'a [u8]) -> Result<Self, Unopenable> {
        let (&version, after) = sealed.split_first().ok_or(Unopenable::Malformed)?;
        if version > VERSION {
            return Err(Unopenable::TooNew(version));
        }
        let (&key, after) = after.split_first_chunk().ok_or(Unopenable::Malformed)?;
        let (&nonce, rest) = after.split_first_chunk().ok_or(Unopenable::Malformed)?;
        if version < VERSION || rest.len() < MAX_TAG_LEN {
            return Err(Unopenable::Malformed);
        }
        Ok(Self { key: KeyId(key), nonce, rest })
    }
}

impl PurposeKeys {
    fn derive(master_key: &MasterKey, salt: &Salt) -> Option<Self> {
        let key = master_key.derive(salt)?;
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"keyway master key").extract(key.as_slice());
        let sealing = Purpose::ALL.map(|purpose| {
            let info = [b"seal 1 ".as_slice(), purpose.name().as_bytes()];
            LessSafeKey::new(expand::<_, UnboundKey>(&root, &info, &AES_256_GCM))
        });
        let chain = expand(&root, &[b"audit chain 1"], hmac::HMAC_SHA256);
        let KeyId(id) = expand(&root, &[b"key id 1"], KeyIdLength);
        Some(Self { id: KeyId(id), sealing, chain })
    }

    fn open(&self, purpose: Purpose, binding: &Binding, parts: &Parts<'_>) -> Option<Secret> {
        let mut buffer = zeroize::Zeroizing::new(parts.rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(parts.nonce);
        let key = &self.sealing[purpose as usize];
        let length = key.open_in_place(nonce, associated(purpose, binding), &mut buffer).ok()?.len();
        buffer.truncate(length);
        Some(Secret::new(std::mem::take(&mut *buffer)))
    }
}

/// The purpose, then the place.
fn associated(purpose: Purpose, binding: &Binding) -> Aad<Vec<u8>> {
    Aad::from([Binding::default().with(purpose.name().as_bytes()).bytes(), binding.bytes()].concat())
}

fn expand<L: hkdf::KeyType, K: for<'a> From<hkdf::Okm<'a, L>>>(root: &hkdf::Prk, info: &[&[u8]], length: L) -> K {
    K::from(root.expand(info, length).expect("HKDF-SHA256 gives up to 8,160 bytes, and no key here wants more than 32"))
}

struct KeyIdLength;

impl hkdf::KeyType for KeyIdLength {
    fn len(&self) -> usize {
        KeyId::LENGTH
    }
}

impl From<hkdf::Okm<'_, KeyIdLength>> for KeyId {
    fn from(okm: hkdf::Okm<'_, KeyIdLength>) -> Self {
        let mut id = [0; Self::LENGTH];
        okm.fill(&mut id).expect("the output was asked for at this length");
        Self(id)
    }
}

#[cfg(test)]
pub(in crate::store) mod tests {
    use super::*;

    pub(crate) fn master_key(fill: &str) -> MasterKey {
        MasterKey::parse(&Secret::from(format!("raw:{fill:0<32}"))).unwrap()
    }

    pub(crate) fn keyring(keys: &[&str]) -> Keyring {
        let keys: Vec<_> = keys.iter().map(|key| master_key(key)).collect();
        Keyring::new(&keys, Salt([9; Salt::LENGTH])).unwrap()
    }

    #[test]
    fn fields_of_a_binding_never_run_into_each_other() {
        let joined = |a: &str, b: &str| Binding::default().with(a.as_bytes()).with(b.as_bytes());
        assert_ne!(joined("ab", "c"), joined("a", "bc"));
        assert_ne!(joined("", "abc"), joined("abc", ""));
    }

    #[test]
    fn a_value_sealed_for_one_purpose_does_not_open_for_another() {
        let (keyring, binding) = (keyring(&["a"]), Binding::default());
        for purpose in Purpose::ALL {
            let sealed = keyring.seal(purpose, &binding, b"value").unwrap();
            for other in Purpose::ALL {
                assert_eq!(keyring.open(other, &binding, &sealed).is_ok(), purpose == other);
            }
        }
    }

    #[test]
    fn two_seals_of_one_value_differ() {
        let keyring = keyring(&["a"]);
        let seal = |purpose| keyring.seal(purpose, &Binding::default(), b"value").unwrap();
        assert_ne!(seal(Purpose::Mirror), seal(Purpose::Mirror));
        assert_ne!(seal(Purpose::Credential), seal(Purpose::Credential));
        assert_eq!(keyring.seals(), 2, "those of a mirror are not counted");
    }

    #[test]
    fn a_wrong_key_is_told_from_damage_and_both_keys_are_named() {
        let (right, wrong) = (keyring(&["right"]), keyring(&["wrong", "other"]));
        let check = right.check_value().unwrap();
        assert_eq!(check.0.len(), CHECK_LENGTH);
        assert!(right.check(&check).is_ok());
        assert!(keyring(&["wrong", "right"]).check(&check).is_ok());
        let error = wrong.check(&check).unwrap_err().to_string();
        assert!(
            error.contains(&right.current().to_string()) && error.contains(&wrong.current().to_string()),
            "{error}"
        );
    }

    #[test]
    fn a_keyring_wants_at_least_one_key_and_not_too_many() {
        let salt = Salt([9; Salt::LENGTH]);
        assert_eq!(Keyring::new(&[], salt).unwrap_err(), KeyringError::NoKeys);
        let many: Vec<_> = (1..=9).map(|i| master_key(&i.to_string())).collect();
        assert_eq!(Keyring::new(&many, salt).unwrap_err(), KeyringError::TooManyKeys(9));
    }

    #[test]
    fn a_keyring_prints_its_key_ids_and_nothing_else() {
        let keyring = keyring(&["a"]);
        assert_eq!(format!("{keyring:?}"), format!("[{}]", keyring.current()));
    }
}
