//! What a partial update says of one field: nothing, that it goes, or what it becomes (RFC 7396).

use serde::{Deserialize, Deserializer};

/// A field that may be absent, `null` or stated. A struct that holds one marks it `#[serde(default)]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Change<T> {
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// What the field holds afterwards.
    pub fn apply(self, slot: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *slot = None,
            Self::Set(value) => *slot = Some(value),
        }
    }

    /// The same for a field that goes back to a default.
    pub fn apply_or(self, slot: &mut T, cleared: T) {
        match self {
            Self::Keep => {}
            Self::Clear => *slot = cleared,
            Self::Set(value) => *slot = value,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Patch {
        #[serde(default)]
        limit: Change<u32>,
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        let read = |text: &str| serde_json::from_str::<Patch>(text).unwrap().limit;
        let mut slot = Some(7);
        read("{}").apply(&mut slot);
        assert_eq!(slot, Some(7));
        read(r#"{"limit": 9}"#).apply(&mut slot);
        assert_eq!(slot, Some(9));
        read(r#"{"limit": null}"#).apply(&mut slot);
        assert_eq!(slot, None);
        let mut weight = 9;
        read(r#"{"limit": null}"#).apply_or(&mut weight, 1);
        assert_eq!(weight, 1);
    }
}
