//! What an encoder of answers is told besides the events.

use super::ids::Ids;
use super::text::Quoted;

#[derive(Clone, Debug)]
pub struct About {
    pub ids: Ids,
    /// When the call came, in seconds since 1970: nothing here asks a clock.
    pub created: u64,
    /// The model that was asked, where the provider does not say which answers.
    pub model: Quoted<'static>,
    /// About how long the call is, for protocols that say so before the provider does.
    pub input_tokens: u64,
}
