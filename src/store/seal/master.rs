//! Master keys as an operator writes them: text in, 32 bytes out.
//!
//! Knows nothing of what is sealed under them, and never where the text came from.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use crate::domain::secret::Secret;

/// AES-256 and HKDF-SHA256 both want this many bytes; less could be guessed, more adds nothing.
const KEY_LENGTH: usize = 32;

/// At sixteen characters even a lower-case word salad costs more Argon2id runs than anyone will pay for.
const PASSPHRASE_MIN: usize = 16;

/// Nobody types more, and a mistakenly named large file is no passphrase.
const PASSPHRASE_MAX: usize = 1024;

/// RFC 9106's second choice for memory (64 MiB) and passes, on one lane: some 150 ms, paid once at start.
const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
const ARGON2_PASSES: u32 = 3;
const ARGON2_LANES: u32 = 1;

/// What makes one passphrase another key in every store. Not secret; stands in the store's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub(in crate::store) [u8; Salt::LENGTH]);

impl Salt {
    pub const LENGTH: usize = 16;

    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; Self::LENGTH];
        fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// The system's random source failed; nothing may be sealed without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes; a key or nonce can't be made without them")]
pub struct NoRandomness;

pub(in crate::store) fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    SystemRandom::new().fill(bytes).map_err(|_| NoRandomness)
}

/// One key of the keyring, not yet derived: a passphrase becomes a key only together with a store's salt.
#[derive(Debug)]
pub struct MasterKey(Form);

#[derive(Debug)]
enum Form {
    Key(Secret),
    Passphrase(Secret),
}

/// Names what is wrong and never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAMasterKey {
    #[error("an encryption key is empty; write `base64:` and 32 bytes, for example from `openssl rand -base64 32`")]
    Empty,
    #[error(
        "an encryption key begins with `{prefix}` but holds {length} bytes instead of {KEY_LENGTH}; \
         make one with `openssl rand -base64 32` and write `base64:` before it"
    )]
    Length { prefix: &'static str, length: usize },
    #[error("an encryption key begins with `base64:` but what follows is no base64")]
    Base64,
    #[error(
        "an encryption key repeats one byte; make one with `openssl rand -base64 32` and write `base64:` before it"
    )]
    OneByteRepeated,
    #[error(
        "a passphrase has {length} characters; use {PASSPHRASE_MIN} to {PASSPHRASE_MAX}, \
         or write `base64:` and 32 random bytes"
    )]
    PassphraseLength { length: usize },
}

impl MasterKey {
    /// `raw:` or `base64:` and 32 bytes is a key, anything else a passphrase. A line end after it is not part of it.
    pub fn parse(text: &Secret) -> Result<Self, NotAMasterKey> {
        let bytes = text.expose();
        let form = if let Some(rest) = bytes.strip_prefix(b"raw:") {
            Form::Key(raw(rest)?)
        } else if let Some(rest) = bytes.strip_prefix(b"base64:") {
            Form::Key(from_base64(rest.trim_ascii())?)
        } else {
            Form::Passphrase(passphrase(bytes.trim_ascii())?)
        };
        let (Form::Key(secret) | Form::Passphrase(secret)) = &form;
        match secret.expose() {
            [first, rest @ ..] if rest.iter().all(|byte| byte == first) => Err(NotAMasterKey::OneByteRepeated),
            _ => Ok(Self(form)),
        }
    }

    /// The text of a new random key, as `init` writes it into a key file.
    pub fn generate() -> Result<Secret, NoRandomness> {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        fill(key.as_mut_slice())?;
        let mut encoded = base64::engine::general_purpose::STANDARD.encode(key.as_slice());
        let text = Secret::from(format!("base64:{encoded}"));
        encoded.zeroize();
        Ok(text)
    }

    /// The 32 bytes under a store's salt; slow for a passphrase, so only done at start. `None`: Argon2 refused.
    pub(super) fn derive(&self, salt: &Salt) -> Option<Zeroizing<[u8; KEY_LENGTH]>> {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        match &self.0 {
            Form::Key(secret) => key.copy_from_slice(secret.expose()),
            Form::Passphrase(secret) => {
                let costs = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(KEY_LENGTH)).ok()?;
                // Argon2's own working memory is not wiped; ours is, for the key can be computed from its last blocks.
                let mut blocks = Zeroizing::new(vec![Block::default(); costs.block_count()]);
                let slow = Argon2::new(Algorithm::Argon2id, Version::V0x13, costs);
                let (phrase, memory) = (secret.expose(), blocks.as_mut_slice());
                slow.hash_password_into_with_memory(phrase, &salt.0, key.as_mut_slice(), memory).ok()?;
            }
        }
        Some(key)
    }
}

/// Raw bytes may well end in what looks like a line end, so one is only cut off where the length says so.
fn raw(bytes: &[u8]) -> Result<Secret, NotAMasterKey> {
    let bytes = match bytes.len() {
        KEY_LENGTH => bytes,
        _ => bytes.strip_suffix(b"\r\n").or(bytes.strip_suffix(b"\n")).unwrap_or(bytes),
    };
    exactly_a_key("raw:", Secret::new(bytes.to_vec()))
}

fn from_base64(text: &[u8]) -> Result<Secret, NotAMasterKey> {
    const EITHER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER);
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).map_err(|_| NotAMasterKey::Base64)?;
    exactly_a_key("base64:", Secret::new(bytes))
}

fn exactly_a_key(prefix: &'static str, bytes: Secret) -> Result<Secret, NotAMasterKey> {
    match bytes.expose().len() {
        KEY_LENGTH => Ok(bytes),
        length => Err(NotAMasterKey::Length { prefix, length }),
    }
}

fn passphrase(text: &[u8]) -> Result<Secret, NotAMasterKey> {
    let length = std::str::from_utf8(text).map_or(text.len(), |text| text.chars().count());
    match length {
        0 => Err(NotAMasterKey::Empty),
        PASSPHRASE_MIN..=PASSPHRASE_MAX => Ok(Secret::new(text.to_vec())),
        _ => Err(NotAMasterKey::PassphraseLength { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: impl AsRef<[u8]>) -> Result<MasterKey, NotAMasterKey> {
        MasterKey::parse(&Secret::new(text.as_ref().to_vec()))
    }

    fn key_of(text: impl AsRef<[u8]>) -> [u8; KEY_LENGTH] {
        *parse(text).unwrap().derive(&Salt([7; Salt::LENGTH])).unwrap()
    }

    #[test]
    fn a_key_is_the_same_written_raw_or_in_any_base64_with_or_without_a_line_end() {
        let bytes: [u8; KEY_LENGTH] = std::array::from_fn(|i| 0xf0_u8.wrapping_add(i as u8));
        let raw = [b"raw:".as_slice(), &bytes].concat();
        assert_eq!(key_of(&raw), bytes);
        assert_eq!(key_of([raw.as_slice(), b"\n"].concat()), bytes);
        let standard = base64::engine::general_purpose::STANDARD.encode(bytes);
        let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(key_of(format!("base64:{standard}\n")), bytes);
        assert_eq!(key_of(format!("base64:{url_safe}")), bytes);
    }

    #[test]
    fn a_raw_key_that_ends_in_a_line_end_byte_keeps_it() {
        let text = [b"raw:".as_slice(), b"0123456789abcdef0123456789abcde\n"].concat();
        assert_eq!(key_of(&text)[31], b'\n');
    }

    #[test]
    fn an_empty_short_or_guessable_key_is_refused_by_name() {
        use NotAMasterKey::*;
        assert_eq!(parse("").unwrap_err(), Empty);
        assert_eq!(parse(" \n").unwrap_err(), Empty);
        assert_eq!(parse("password123").unwrap_err(), PassphraseLength { length: 11 });
        assert_eq!(parse("x".repeat(1025)).unwrap_err(), PassphraseLength { length: 1025 });
        assert_eq!(parse("aaaaaaaaaaaaaaaaaaaaaaaa").unwrap_err(), OneByteRepeated);
        assert_eq!(parse("raw:tooshort").unwrap_err(), Length { prefix: "raw:", length: 8 });
        assert_eq!(parse("base64:AAAA").unwrap_err(), Length { prefix: "base64:", length: 3 });
        assert_eq!(parse("base64:not base64!").unwrap_err(), Base64);
        assert_eq!(parse(format!("base64:{}=", "A".repeat(43))).unwrap_err(), OneByteRepeated);
    }

    #[test]
    fn a_passphrase_makes_another_key_under_another_salt() {
        let phrase = parse("correct horse battery staple").unwrap();
        let one = phrase.derive(&Salt([1; Salt::LENGTH])).unwrap();
        assert_eq!(one, phrase.derive(&Salt([1; Salt::LENGTH])).unwrap());
        assert_ne!(one, phrase.derive(&Salt([2; Salt::LENGTH])).unwrap());
    }

    #[test]
    fn a_generated_key_parses_and_no_two_are_alike() {
        let (one, two) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
        assert!(MasterKey::parse(&one).is_ok());
        assert_ne!(one.expose(), two.expose());
    }

    #[test]
    fn a_master_key_does_not_print() {
        assert_eq!(format!("{:?}", parse("correct horse battery staple").unwrap()), "MasterKey(Passphrase(…))");
    }
}
