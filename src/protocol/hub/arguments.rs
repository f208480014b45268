//! What a tool is called with, as text or as an object.

use std::borrow::Cow;

use super::text::{Json, Quoted};
use crate::protocol::json::Reader;

/// What a tool is called with. Some protocols write it as text that holds JSON, some as an object; kept as it came, so
/// that big numbers, order and white space survive between two that write it alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments<'a> {
    Text(Quoted<'a>),
    Object(Json<'a>),
}

impl<'a> Arguments<'a> {
    /// As text that holds JSON.
    pub fn text(&self) -> Quoted<'_> {
        match self {
            Self::Text(text) => text.borrowed(),
            Self::Object(json) => Quoted::of(&String::from_utf8_lossy(json.as_bytes())),
        }
    }

    /// As an object. What a model wrote that is none goes in an object of its own, for the history must hold together.
    pub fn object(&self) -> Cow<'_, [u8]> {
        self.as_object().unwrap_or_else(|| {
            let text = self.text();
            if text.is_blank() {
                return Cow::Borrowed(b"{}");
            }
            Cow::Owned([br#"{"_raw":""#.as_slice(), text.as_bytes(), br#""}"#].concat())
        })
    }

    /// As the object that it is, if it is one.
    pub fn as_object(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Object(json) => json.is_object().then(|| Cow::Borrowed(json.as_bytes())),
            Self::Text(text) => {
                let decoded = text.decode();
                let trimmed = decoded.trim().as_bytes();
                is_object(trimmed).then(|| Cow::Owned(trimmed.to_vec()))
            }
        }
    }

    pub fn into_owned(self) -> Arguments<'static> {
        match self {
            Self::Text(text) => Arguments::Text(text.into_owned()),
            Self::Object(json) => Arguments::Object(json.into_owned()),
        }
    }
}

impl Default for Arguments<'_> {
    fn default() -> Self {
        Self::Text(Quoted::default())
    }
}

fn is_object(json: &[u8]) -> bool {
    let mut reader = Reader::new(json);
    reader.peek() == Some(b'{') && reader.skip().and_then(|()| reader.end()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &'static str) -> Quoted<'static> {
        Quoted::plain(text)
    }

    #[test]
    fn arguments_keep_their_bytes_between_protocols_that_write_them_alike() {
        let object = Arguments::Object(Json::of(&b"{\"n\": 12345678901234567890}"[..]));
        assert_eq!(&*object.object(), b"{\"n\": 12345678901234567890}");
        assert_eq!(object.text().as_bytes(), br#"{\"n\": 12345678901234567890}"#);
        let text = Arguments::Text(raw(r#"{\"a\":\"\u00e9\\n\"}"#));
        assert_eq!(&*text.object(), "{\"a\":\"é\\n\"}".as_bytes());
    }

    #[test]
    fn arguments_that_are_no_object_are_put_into_one() {
        assert_eq!(&*Arguments::Text(raw("")).object(), b"{}");
        assert_eq!(&*Arguments::Text(raw(r#"{\"cut"#)).object(), br#"{"_raw":"{\"cut"}"#);
        assert_eq!(&*Arguments::Object(Json::of(&b"[1]"[..])).object(), br#"{"_raw":"[1]"}"#);
    }
}
