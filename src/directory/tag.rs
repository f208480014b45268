//! What somebody saw when they decided: a change can be bound to it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::Serialize;

use super::error::DirectoryError;

/// Bytes of the digest that are kept: 128 bits tell all that anybody ever saw apart.
const KEPT: usize = 16;

/// Stands for a thing as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    pub fn of(shown: &impl Serialize) -> Self {
        // What is shown are structs of plain values; one that could not be written would agree with nothing.
        let text = serde_json::to_vec(shown).unwrap_or_default();
        Self(URL_SAFE_NO_PAD.encode(&digest(&SHA256, &text).as_ref()[..KEPT]))
    }

    /// As a client gave it back.
    pub fn given(text: &str) -> Self {
        Self(text.to_string())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a change expects to find. It is held against the thing inside the change's own transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    #[default]
    Anything,
    /// It must be there.
    Something,
    /// It must be as one of these.
    As(Vec<Tag>),
}

impl Expected {
    /// `shown` is the thing as its reader saw it; `None`: it is not there.
    pub(super) fn hold<T: Serialize>(&self, kind: &'static str, shown: Option<&T>) -> Result<(), DirectoryError> {
        let holds = match (self, shown) {
            (Self::Anything, _) | (Self::Something, Some(_)) => true,
            (Self::As(tags), Some(shown)) => tags.contains(&Tag::of(shown)),
            (Self::Something | Self::As(_), None) => false,
        };
        if holds { Ok(()) } else { Err(DirectoryError::Changed { kind }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_bound_to_what_was_seen_fails_once_it_is_otherwise() {
        let seen = Expected::As(vec![Tag::of(&"a"), Tag::of(&"b")]);
        assert!(seen.hold("org", Some(&"a")).is_ok());
        assert!(matches!(seen.hold("org", Some(&"c")), Err(DirectoryError::Changed { .. })));
        assert!(seen.hold::<&str>("org", None).is_err());
        assert!(Expected::Something.hold::<&str>("org", None).is_err());
        assert!(Expected::Anything.hold::<&str>("org", None).is_ok());
    }
}
