//! Texts and values as JSON writes them, carried from one body to another without being taken apart.
//!
//! Every protocol writes JSON, so a text need not be unescaped and escaped again: copying it costs a memcpy, and what a
//! client wrote arrives byte for byte. Half a surrogate pair survives too: a stream may bring its other half next.

use std::borrow::Cow;

use crate::protocol::json::{Text, escape_into};

/// What stands between the quotes of a JSON string, escapes and all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quoted<'a>(Cow<'a, [u8]>);

impl<'a> Quoted<'a> {
    /// A text of ours that needs no escape.
    pub const fn plain(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// Any text, escaped where it must be.
    pub fn of(text: &str) -> Quoted<'static> {
        let mut escaped = Vec::with_capacity(text.len());
        escape_into(&mut escaped, text);
        Quoted(Cow::Owned(escaped))
    }

    /// What was such a text before.
    pub(in crate::protocol) fn written(raw: String) -> Quoted<'static> {
        Quoted(Cow::Owned(raw.into_bytes()))
    }

    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Cow::Owned(Vec::with_capacity(bytes)))
    }

    /// A part of another such text, cut where no escape is.
    pub(super) const fn from_raw(raw: Vec<u8>) -> Self {
        Self(Cow::Owned(raw))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Does it say this? Whichever way it was written.
    pub fn is(&self, text: &str) -> bool {
        *self.0 == *text.as_bytes() || self.is_escaped() && self.decode() == text
    }

    fn is_escaped(&self) -> bool {
        memchr::memchr(b'\\', &self.0).is_some()
    }

    /// The characters meant. Half a surrogate pair, which no text can hold, becomes U+FFFD.
    pub fn decode(&self) -> Cow<'_, str> {
        if !self.is_escaped() {
            return String::from_utf8_lossy(&self.0);
        }
        match (Text { raw: &self.0, escaped: true }).decode() {
            Some(text) => Cow::Owned(text),
            None => Cow::Owned(decode_lossy(&self.0)),
        }
    }

    /// The same text with no escapes in it, if it then still needs none: data of base64, a URL, a media type.
    pub fn unescaped(self) -> Self {
        if self.is_escaped() { Quoted::of(&self.decode()) } else { self }
    }

    /// Cuts the text in two before this byte, which must not lie within an escape.
    pub fn cut(self, at: usize) -> (Self, Self) {
        match self.0 {
            Cow::Borrowed(bytes) => {
                let (before, behind) = bytes.split_at(at.min(bytes.len()));
                (Self(Cow::Borrowed(before)), Self(Cow::Borrowed(behind)))
            }
            Cow::Owned(mut bytes) => {
                let behind = bytes.split_off(at.min(bytes.len()));
                (Self(Cow::Owned(bytes)), Self(Cow::Owned(behind)))
            }
        }
    }

    /// The text without half a surrogate pair at its end, and that half: the next piece of a stream may bring the other.
    pub(in crate::protocol) fn before_half(self) -> (Self, Self) {
        let bytes = self.as_bytes();
        let at = bytes.len().saturating_sub(HALF_BYTES);
        let is_half = match &bytes[at..] {
            [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', _, _] => {
                // A backslash that is meant as one begins no escape.
                bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count().is_multiple_of(2)
            }
            _ => false,
        };
        if is_half { self.cut(at) } else { (self, Quoted::default()) }
    }

    pub fn push(&mut self, more: &Quoted<'_>) {
        self.0.to_mut().extend_from_slice(&more.0);
    }

    pub fn push_plain(&mut self, more: &'static str) {
        self.0.to_mut().extend_from_slice(more.as_bytes());
    }

    /// One text of several. `between` needs no escape or has it.
    pub fn joined<'t>(texts: impl Iterator<Item = &'t Self>, between: &'static str) -> Quoted<'static>
    where
        'a: 't,
    {
        let mut whole = Quoted::default();
        for (index, text) in texts.enumerate() {
            whole.push_plain(if index > 0 { between } else { "" });
            whole.push(text);
        }
        whole
    }

    /// Is there nothing in it that anybody could see?
    pub fn is_blank(&self) -> bool {
        let first = self.0.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            None => true,
            Some(b'\\') => self.decode().trim().is_empty(),
            Some(_) => false,
        }
    }

    pub fn borrowed(&self) -> Quoted<'_> {
        Quoted(Cow::Borrowed(&self.0))
    }

    pub fn into_owned(self) -> Quoted<'static> {
        Quoted(Cow::Owned(self.0.into_owned()))
    }
}

impl<'a> From<Text<'a>> for Quoted<'a> {
    fn from(text: Text<'a>) -> Self {
        Self(Cow::Borrowed(text.raw))
    }
}

/// `\ud83d`
const HALF_BYTES: usize = 6;

/// Text by text and escape by escape, so that only the broken escape is lost.
fn decode_lossy(raw: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = raw;
    while !rest.is_empty() {
        let escape = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        text.push_str(&String::from_utf8_lossy(&rest[..escape]));
        rest = &rest[escape..];
        // A pair of surrogates takes twelve bytes, one code unit six, the other escapes two.
        let longest_first = [12, 6, 2].into_iter().filter_map(|length| rest.get(..length));
        let meant = longest_first
            .filter(|raw| raw.len() < 12 || raw[6] == b'\\')
            .find_map(|raw| Some((raw.len(), Text { raw, escaped: true }.decode().filter(|one| is_one(one))?)));
        match meant {
            Some((length, character)) => {
                text.push_str(&character);
                rest = &rest[length..];
            }
            None => {
                text.push_str(if rest.is_empty() { "" } else { "\u{fffd}" });
                rest = rest.get(if rest.get(1) == Some(&b'u') { 6 } else { 2 }..).unwrap_or_default();
            }
        }
    }
    text
}

fn is_one(text: &str) -> bool {
    text.chars().nth(1).is_none()
}

/// Any JSON value as written: a schema, a number, an object of arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json<'a>(Cow<'a, [u8]>);

impl<'a> Json<'a> {
    /// `written` must be one JSON value, which a `Reader` has passed over or we wrote.
    pub fn of(written: impl Into<Cow<'a, [u8]>>) -> Self {
        Self(written.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn number(&self) -> Option<f64> {
        std::str::from_utf8(&self.0).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Is it an object or array with nothing in it?
    pub fn is_empty(&self) -> bool {
        matches!(self.0.split_first(), Some((b'{' | b'[', rest)) if matches!(rest.trim_ascii(), b"}" | b"]"))
    }

    /// Does it say nothing: `null`, `false`, an empty text or object?
    pub fn is_nothing(&self) -> bool {
        matches!(&*self.0, b"null" | b"false" | b"\"\"") || self.is_empty()
    }

    pub fn is_zero(&self) -> bool {
        self.number() == Some(0.0)
    }

    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    pub fn borrowed(&self) -> Json<'_> {
        Json(Cow::Borrowed(&self.0))
    }

    pub fn into_owned(self) -> Json<'static> {
        Json(Cow::Owned(self.0.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(text: &'static str) -> Quoted<'static> {
        Quoted::plain(text)
    }

    #[test]
    fn half_a_surrogate_pair_is_lost_alone() {
        assert_eq!(raw(r"a\n\ud83d\ude00\ud83d-\u00e9\\").decode(), "a\n😀\u{fffd}-é\\");
        assert_eq!(raw(r"\ud83d").decode(), "\u{fffd}");
        assert!(raw(r"\u0061b").is("ab"));
    }

    #[test]
    fn a_half_at_the_end_is_told_from_what_looks_like_one() {
        for (text, before, half) in [
            (r"a\ud83d", "a", r"\ud83d"),
            (r"\\ud83d", r"\\ud83d", ""),
            (r"\\\uD9FF", r"\\", r"\uD9FF"),
            (r"\ude00", r"\ude00", ""),
            ("ab", "ab", ""),
        ] {
            assert_eq!(raw(text).before_half(), (raw(before), raw(half)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_decodes_to_what_it_was(text in any::<String>()) {
                        let escaped = Quoted::of(&text);
            let whole = format!("\"{}\"", std::str::from_utf8(escaped.as_bytes()).unwrap());
            prop_assert_eq!(serde_json::from_str::<String>(&whole).unwrap(), text.as_str());
            prop_assert_eq!(escaped.decode(), text);
        }

        #[test]
        fn no_escapes_make_decoding_panic(text in r#"(\\u[dD][89a-f][0-9a-f]{2}|\\n|\\u00e9|é|x){0,12}"#) {
            let quoted = Quoted(Cow::Owned(text.into_bytes()));
            prop_assert!(!quoted.decode().contains('\\'));
        }
    }
}
