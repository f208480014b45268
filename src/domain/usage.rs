//! Units of text and media that a call used, in buckets that don't overlap.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::money::Nanodollars;

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
    /// What the provider says it charges for the call, where it says so. It stands against every price of ours.
    pub cost: Option<Nanodollars>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The provider said so at the end of its answer.
    Reported,
    /// The provider had said something before the answer broke off.
    Partial,
    /// Nobody said; counted from bytes and events.
    Estimated,
    /// The price of what was used is not known, or the amounts are not.
    Unpriced,
    /// Nothing was used, for no provider did anything that costs.
    #[default]
    Nothing,
}

/// Bytes of text that are reckoned as one unit where nobody counts: English has about four letters a unit.
const BYTES_A_UNIT: u64 = 4;

/// Units in so many bytes of text, reckoned.
pub const fn units_of(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_A_UNIT)
}
