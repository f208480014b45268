//! What a call may say beyond its items, and what becomes of it where the target's protocol can't say it.
//!
//! The rule is here, once: what would change the meaning of the answer is refused by name, the rest is dropped and named
//! to the client. Each protocol's folder adds its column (`request::name`); nothing else decides, but for a
//! provider that lacks what its protocol has (`Terms::lacks`).

use std::borrow::Cow;

use crate::domain::protocol::Protocol;
use crate::protocol::json::Flaw;

/// A reason why a call can't go to a target in this form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// Nobody could make sense of it.
    #[error("`{field}` is not valid: {why}")]
    Invalid { field: &'static str, why: &'static str },
    /// The target's protocol can't say it, and without it the answer would be another.
    #[error("`{field}` can't be said to the model that this call goes to, whose provider speaks another protocol")]
    Unsupported { field: Cow<'static, str> },
}

impl Objection {
    pub(in crate::protocol) fn unsupported(field: impl Into<Cow<'static, str>>) -> Self {
        Self::Unsupported { field: field.into() }
    }
}

/// The body was read once before it came here, so this is rare.
impl From<Flaw> for Objection {
    fn from(flaw: Flaw) -> Self {
        Self::Invalid { field: "body", why: flaw.what }
    }
}

/// Names of what was left out, each once, as the client knows them. Fit for a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named(Vec<Cow<'static, str>>);

/// A client that says more than this many things that nobody understands learns enough from the first.
const NAMES_LIMIT: usize = 32;
/// No field that anybody documents has a longer name.
const NAME_LIMIT_BYTES: usize = 64;

impl Named {
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>) {
        let name = name.into();
        if self.0.len() < NAMES_LIMIT && !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    /// A name that comes from outside. One that could not stand in a header is shown as far as it can.
    pub fn add_foreign(&mut self, name: &[u8]) {
        let fit = name.iter().filter(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte));
        self.add(fit.take(NAME_LIMIT_BYTES).map(|byte| char::from(*byte)).collect::<String>());
    }

    pub fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|name| self.add(name));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `X-Keyway-Dropped`.
    pub fn joined(&self) -> String {
        self.0.join(", ")
    }
}

/// What some protocols can say and others can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Temperature,
    TopP,
    TopK,
    Seed,
    FrequencyPenalty,
    PresencePenalty,
    LogitBias,
    Stop,
    Logprobs,
    /// That tools must not be called in parallel; that they may, goes without saying.
    ParallelToolCalls,
    MaxToolCalls,
    StrictTools,
    JsonObject,
    JsonSchema,
    Verbosity,
    Effort,
    /// What of the thoughts shall be shown.
    ShownThoughts,
    Metadata,
    User,
    PromptCacheKey,
    CacheMarks,
    ServiceTier,
    Store,
    ImageDetail,
    ImageBytes,
    ImageUrl,
    AudioBytes,
    AudioUrl,
    VideoBytes,
    VideoUrl,
    DocumentBytes,
    DocumentText,
    DocumentUrl,
    FileId,
    /// That a tool failed, beside what it says itself.
    ResultError,
}

impl Field {
    pub const ALL: [Self; 35] = [
        Self::Temperature,
        Self::TopP,
        Self::TopK,
        Self::Seed,
        Self::FrequencyPenalty,
        Self::PresencePenalty,
        Self::LogitBias,
        Self::Stop,
        Self::Logprobs,
        Self::ParallelToolCalls,
        Self::MaxToolCalls,
        Self::StrictTools,
        Self::JsonObject,
        Self::JsonSchema,
        Self::Verbosity,
        Self::Effort,
        Self::ShownThoughts,
        Self::Metadata,
        Self::User,
        Self::PromptCacheKey,
        Self::CacheMarks,
        Self::ServiceTier,
        Self::Store,
        Self::ImageDetail,
        Self::ImageBytes,
        Self::ImageUrl,
        Self::AudioBytes,
        Self::AudioUrl,
        Self::VideoBytes,
        Self::VideoUrl,
        Self::DocumentBytes,
        Self::DocumentText,
        Self::DocumentUrl,
        Self::FileId,
        Self::ResultError,
    ];

    /// Would the answer be to another question without it?
    pub const fn changes_meaning(self) -> bool {
        match self {
            Self::LogitBias
            | Self::Stop
            | Self::Logprobs
            | Self::JsonObject
            | Self::JsonSchema
            | Self::ImageBytes
            | Self::ImageUrl
            | Self::AudioBytes
            | Self::AudioUrl
            | Self::VideoBytes
            | Self::VideoUrl
            | Self::DocumentBytes
            | Self::DocumentText
            | Self::DocumentUrl
            | Self::FileId => true,
            Self::Temperature
            | Self::TopP
            | Self::TopK
            | Self::Seed
            | Self::FrequencyPenalty
            | Self::PresencePenalty
            | Self::ParallelToolCalls
            | Self::MaxToolCalls
            | Self::StrictTools
            | Self::Verbosity
            | Self::Effort
            | Self::ShownThoughts
            | Self::Metadata
            | Self::User
            | Self::PromptCacheKey
            | Self::CacheMarks
            | Self::ServiceTier
            | Self::Store
            | Self::ImageDetail
            | Self::ResultError => false,
        }
    }

    /// What this protocol calls it; `None` where it has no way to say it.
    pub const fn name(self, protocol: Protocol) -> Option<&'static str> {
        match protocol {
            Protocol::Chat => crate::protocol::chat::request::name(self),
            Protocol::Responses => crate::protocol::responses::request::name(self),
            Protocol::Messages => crate::protocol::messages::request::name(self),
            Protocol::Gemini => crate::protocol::gemini::request::name(self),
            Protocol::Bedrock => crate::protocol::bedrock::request::name(self),
        }
    }

    /// A field is one bit of a set.
    pub(super) const fn bit(self) -> u64 {
        1 << self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_listed_once_in_its_place() {
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, place, "{field:?}");
        }
    }

    #[test]
    fn foreign_names_are_made_fit_for_a_header_and_bounded() {
        let mut named = Named::default();
        named.add_foreign("a\r\nb: é".as_bytes());
        named.add_foreign(&[b'x'; 500]);
        (0..100).for_each(|number| named.add_foreign(number.to_string().as_bytes()));
        let joined = named.joined();
        assert!(joined.starts_with(&format!("ab, {}, 0", "x".repeat(NAME_LIMIT_BYTES))));
        assert_eq!(joined.split(", ").count(), NAMES_LIMIT);
    }
}
