//! Units of text and media that a call used, in buckets that don't overlap.

use serde::{Deserialize, Serialize};

/// Each unit is in one bucket only: `input` excludes what the cache served or took, `output` excludes reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    pub output: u64,
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
}

impl Usage {
    pub fn input_total(&self) -> u64 {
        [self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.audio_input]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    pub fn output_total(&self) -> u64 {
        [self.output, self.reasoning, self.audio_output].into_iter().fold(0, u64::saturating_add)
    }
}

/// Where the numbers of a record come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The provider said so at the end of its answer.
    Reported,
    /// The provider had said something before the answer broke off.
    Partial,
    /// Nobody said; counted from bytes.
    #[default]
    Estimated,
    /// The amounts are known, the price is not.
    Unpriced,
}
