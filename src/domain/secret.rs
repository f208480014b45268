//! Bytes that must not be seen: they print as `…` and are wiped when dropped.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroize;

/// The bytes of a credential, a token or a master key. No `Display`, no `Serialize`, no `Clone`.
pub struct Secret(Box<[u8]>);

impl Secret {
    pub fn new(bytes: Vec<u8>) -> Self {
        // A shrinking reallocation would leave a copy behind, so the exact box is filled and the source wiped.
        let mut source = bytes;
        let secret = Self(Box::from(source.as_slice()));
        source.zeroize();
        secret
    }

    /// The bytes themselves. Each call is a place to look at when asking where secrets go.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a masked list may show. Empty where the secret is so short that four characters would say too much.
    pub fn last4(&self) -> String {
        if self.0.len() < 12 {
            return String::new();
        }
        String::from_utf8_lossy(&self.0[self.0.len() - 4..]).into_owned()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text.as_bytes().to_vec()))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Secret, E> {
                Ok(Secret::from(text))
            }
        }
        deserializer.deserialize_string(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_an_ellipsis_and_shows_its_end_only_when_long() {
        let key = Secret::from("sk-abcdefgh1234".to_string());
        assert_eq!(format!("{key:?}"), "…");
        assert_eq!(key.last4(), "1234");
        assert_eq!(Secret::from("short".to_string()).last4(), "");
    }
}
