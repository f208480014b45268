//! What a client shows us: `kw_<id>_<secret>_<checksum>`, kept only as a hash.

use std::fmt;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::entity::Token;
use super::id::Id;
use super::secret::Secret;

/// Longer is no token of ours, and is refused before it is hashed.
pub const TOKEN_LIMIT_BYTES: usize = 256;
const PREFIX: &str = "kw_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 256 bits in base62.
const SECRET_LENGTH: usize = 43;
/// 32 bits in base62.
const CHECKSUM_LENGTH: usize = 6;

/// The SHA-256 of a whole token: what is stored, and what is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenHash(#[serde(with = "hex32")] pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

impl TokenHash {
    pub fn of(text: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, text).as_ref());
        Self(hash)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoRandomness;

/// Draws a new token for `id`. It is shown once; only its hash is kept.
pub fn mint(id: Id<Token>) -> Result<(Secret, TokenHash), NoRandomness> {
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| NoRandomness)?;
    let mut text = String::with_capacity(TOKEN_LIMIT_BYTES);
    text.push_str(PREFIX);
    push_base62(&mut text, id.uuid().as_bytes(), 22);
    text.push('_');
    push_base62(&mut text, &random, SECRET_LENGTH);
    random.zeroize();
    let sum = checksum(text.as_bytes());
    text.push('_');
    push_base62(&mut text, &sum, CHECKSUM_LENGTH);
    let secret = Secret::new(std::mem::take(&mut text).into_bytes());
    let hash = TokenHash::of(secret.expose());
    Ok((secret, hash))
}

/// Has this text a token's form and a right checksum? Spares a lookup for what was cut off or mistyped.
pub fn is_well_formed(text: &[u8]) -> bool {
    if text.len() > TOKEN_LIMIT_BYTES || !text.starts_with(PREFIX.as_bytes()) {
        return false;
    }
    let Some(at) = text.iter().rposition(|byte| *byte == b'_') else { return false };
    let (head, tail) = (&text[..at], &text[at + 1..]);
    let mut expected = String::new();
    push_base62(&mut expected, &checksum(head), CHECKSUM_LENGTH);
    expected.as_bytes() == tail
}

fn checksum(head: &[u8]) -> [u8; 4] {
    let whole = digest(&SHA256, head);
    let mut sum = [0; 4];
    sum.copy_from_slice(&whole.as_ref()[..4]);
    sum
}

/// Writes big-endian `bytes` as `length` base62 digits, by repeated division.
fn push_base62(text: &mut String, bytes: &[u8], length: usize) {
    let mut number = bytes.to_vec();
    let mut digits = vec![b'0'; length];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            // The quotient of a value below 62 * 256 by 62 fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *digit = ALPHABET[rest as usize];
    }
    text.extend(digits.iter().map(|digit| char::from(*digit)));
    number.zeroize();
    digits.zeroize();
}

mod hex32 {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || de::Error::custom("a token's hash is 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_token_is_well_formed_and_one_changed_letter_is_not() {
        let (token, hash) = mint(Id::random()).unwrap();
        let text = token.expose().to_vec();
        assert!(is_well_formed(&text));
        assert_eq!(hash, TokenHash::of(&text));
        assert_eq!(text.len(), 3 + 22 + 1 + SECRET_LENGTH + 1 + CHECKSUM_LENGTH);
        for at in 3..text.len() {
            let mut changed = text.clone();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_well_formed(&changed), "{at}");
        }
    }

    #[test]
    fn two_tokens_never_agree() {
        let id = Id::random();
        assert_ne!(mint(id).unwrap().1, mint(id).unwrap().1);
    }
}
