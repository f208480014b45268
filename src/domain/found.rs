//! What a provider, or a list of prices, says of models.

use super::prices::Prices;

/// A model as somebody outside described it. What it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundModel {
    /// What the provider calls it.
    pub model_id: String,
    pub display_name: Option<String>,
    pub context_length: Option<u64>,
    pub max_completion_tokens: Option<u64>,
    /// `None` where nothing is said, or nothing that holds for every call.
    pub prices: Option<Prices>,
}

/// A line of a list of prices for many providers' models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPrice {
    /// The preset of the provider that the prices are of.
    pub preset: &'static str,
    pub model: FoundModel,
}
