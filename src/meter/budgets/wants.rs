//! What a call may use at the most, reckoned before it is made.

use crate::domain::call::{Call, CallBody};
use crate::domain::money::Nanodollars;
use crate::domain::protocol::Metered;
use crate::domain::usage::Usage;
use crate::resolve::Target;

/// Bytes of text that are reckoned as one unit: fewer than any common text has, so that the guess is rather too high.
const BYTES_A_UNIT: u64 = 3;

/// Units of an answer whose length neither the client bounds nor its model.
const OUTPUT_UNSAID: u64 = 4_096;

/// Money and text that a call may use, or has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    pub money: Nanodollars,
    pub input: u64,
    pub output: u64,
}

/// What of a call bears on what it may use.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    pub metered: Metered,
    /// Is the answer text that a model writes?
    pub writes_text: bool,
    /// What is known of the input: bytes of text, or units where somebody counted them.
    pub text: Text,
    /// Images, sounds and documents.
    pub parts: u64,
    /// The most that the client lets an answer have.
    pub output: Option<u64>,
    pub answers: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Text {
    Bytes(u64),
    Units(u64),
}

impl From<&Call> for Length {
    fn from(call: &Call) -> Self {
        let length = Self {
            metered: call.operation.metered(),
            writes_text: call.operation.writes_text(),
            text: Text::Bytes(0),
            parts: 0,
            output: None,
            answers: 1,
        };
        match &call.body {
            CallBody::Json { found, .. } => {
                let bounds = [found.max_completion_tokens, found.max_tokens, found.max_output_tokens];
                Self {
                    text: Text::Bytes(found.text_bytes as u64),
                    parts: found.media_parts as u64,
                    output: bounds.into_iter().flatten().flatten().max(),
                    answers: found.n.unwrap_or(1).max(1),
                    ..length
                }
            }
            CallBody::Empty | CallBody::Multipart { .. } | CallBody::Upload(_) => length,
        }
    }
}

/// The most that a call may use of a target. Each image, sound or document counts as so many units.
pub(super) fn usage(length: &Length, target: &Target<'_>, units_a_part: u64) -> Usage {
    if length.metered != Metered::Text {
        return Usage::default();
    }
    let text = match length.text {
        Text::Bytes(bytes) => bytes.div_ceil(BYTES_A_UNIT),
        Text::Units(units) => units,
    };
    let input = text.saturating_add(length.parts.saturating_mul(units_a_part));
    let of_model =
        || target.model.and_then(|entry| entry.model.defaults.max_tokens.or(entry.model.max_completion_tokens));
    let output = match length.writes_text {
        true => length.output.or_else(of_model).unwrap_or(OUTPUT_UNSAID).saturating_mul(length.answers),
        false => 0,
    };
    Usage { input, output, ..Usage::default() }
}
