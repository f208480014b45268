//! What a token, user, workspace, org or model may use.

use serde::{Deserialize, Serialize};

use super::money::Nanodollars;

/// Absent is unlimited. Money and text limits are held once there is a ledger to hold them against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub requests_per_minute: Option<u32>,
    pub input_tokens_per_minute: Option<u64>,
    pub output_tokens_per_minute: Option<u64>,
    pub parallel: Option<u32>,
    pub money_per_day: Option<Nanodollars>,
    pub money_per_month: Option<Nanodollars>,
}
