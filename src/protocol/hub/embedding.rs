//! Embeddings: texts in, a list of numbers for each out. They need no items and no events.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::field::Named;
use super::text::{Json, Quoted};
use crate::domain::usage::Usage;
use crate::protocol::json::{Flaw, Reader};

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::protocol) struct Texts<'a> {
    pub(in crate::protocol) texts: Vec<Quoted<'a>>,
    pub(in crate::protocol) dimensions: Option<u64>,
    /// What the client said and no other protocol can.
    pub(in crate::protocol) only_here: Named,
}

/// What came of it, in the order of the texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::protocol) struct Vectors<'a> {
    pub(in crate::protocol) model: Option<Quoted<'a>>,
    pub(in crate::protocol) vectors: Vec<Numbers<'a>>,
    pub(in crate::protocol) usage: Option<Usage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Numbers<'a> {
    /// An array, as written.
    Array(Json<'a>),
    /// Base64 of single floats, their lowest byte first.
    Packed(Quoted<'a>),
}

impl<'a> Numbers<'a> {
    pub(in crate::protocol) fn read(reader: &mut Reader<'a>) -> Result<Self, Flaw> {
        Ok(match reader.peek() {
            Some(b'"') => Self::Packed(Quoted::from(reader.string()?).unescaped()),
            _ => Self::Array(Json::of(reader.value()?)),
        })
    }

    /// As an array. What can't be unpacked has no numbers.
    pub(in crate::protocol) fn array(&self) -> Json<'_> {
        match self {
            Self::Array(json) => json.borrowed(),
            Self::Packed(packed) => {
                let bytes = STANDARD.decode(packed.as_bytes()).unwrap_or_default();
                let numbers = bytes.chunks_exact(4).map(|four| match four.try_into().map(f32::from_le_bytes) {
                    Ok(number) if number.is_finite() => number.to_string(),
                    _ => "0".to_string(),
                });
                Json::of(format!("[{}]", numbers.collect::<Vec<_>>().join(",")).into_bytes())
            }
        }
    }

    pub(in crate::protocol) fn packed(&self) -> Quoted<'_> {
        match self {
            Self::Packed(packed) => packed.borrowed(),
            Self::Array(json) => {
                let mut bytes = Vec::new();
                let mut reader = Reader::new(json.as_bytes());
                // It was read once before, so there is no flaw in it.
                let _ = reader.array(|reader| {
                    let number =
                        std::str::from_utf8(reader.value()?).ok().and_then(|number| number.parse::<f32>().ok());
                    bytes.extend_from_slice(&number.unwrap_or(0.0).to_le_bytes());
                    Ok::<(), Flaw>(())
                });
                Quoted::written(STANDARD.encode(bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_packed_and_unpacked() {
        let array = Numbers::Array(Json::of(&b"[0.5, -1.25,3e-2,0.1]"[..]));
        let packed = Numbers::Packed(array.packed().into_owned());
        assert_eq!(packed.array(), Json::of(&b"[0.5,-1.25,0.03,0.1]"[..]));
        assert_eq!(Numbers::Array(packed.array().into_owned()).packed(), array.packed());
        assert_eq!(Numbers::Packed(Quoted::plain("?")).array(), Json::of(&b"[]"[..]));
    }
}
