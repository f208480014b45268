//! «Did you mean»: the ids nearest to one that nobody knows, out of those this caller may use.

use super::listing::{is_usable, listed};
use super::names::{Pick, Pinned};
use crate::domain::nearest::distance;
use crate::domain::refusal::Refusal;
use crate::snapshot::{Caller, ProviderEntry};

/// As many as help; more would be a list.
const SHOWN: usize = 3;
/// Comparing is quadratic in length, and a longer name is no typing mistake.
const COMPARED_BYTES: usize = 128;
/// Models looked at for one refusal, so that a huge catalogue can't be made to cost.
const COMPARED_MODELS: usize = 2_000;

pub(super) fn not_found(caller: &Caller, asked: &str) -> Refusal {
    let near = nearest(caller, asked);
    let open = takers(caller, asked);
    let closest = if !near.is_empty() {
        format!("; the closest are {}", near.join(", "))
    } else if !open.is_empty() {
        format!("; providers that take any model take it as {}", open.join(", "))
    } else {
        "; GET /v1/models lists those you may use".to_string()
    };
    Refusal::ModelNotFound { model: shortened(asked), closest }
}

/// The id under which providers that this caller may use would take a model that nobody registered.
fn takers(caller: &Caller, asked: &str) -> Vec<String> {
    let bare = shortened(asked);
    let providers = caller.view().catalogs().into_iter().flat_map(|catalog| catalog.providers());
    let open = providers.filter(|provider| provider.takes_any() && is_usable(caller, &unregistered(provider, &bare)));
    let mut ids: Vec<String> = open.map(|provider| format!("{}:{bare}", provider.provider.prefix)).collect();
    ids.sort();
    ids.dedup();
    ids.truncate(SHOWN);
    ids
}

fn unregistered<'a>(provider: &'a ProviderEntry, model: &'a str) -> Pick<'a> {
    Pick { provider, model: None, model_id: model, tier: 0, weight: 1, pinned: Pinned::No }
}

fn nearest(caller: &Caller, asked: &str) -> Vec<String> {
    let asked = shortened(asked);
    let mut scored: Vec<(usize, String)> = listed(caller)
        .take(COMPARED_MODELS)
        .map(|one| {
            let bare = one.id.split_once(':').map_or(one.id.as_str(), |(_, bare)| bare);
            let score = distance(&asked, &shortened(&one.id)).min(distance(&asked, &shortened(bare)));
            (score, one.id)
        })
        .filter(|(score, _)| *score <= asked.len().max(3) / 2)
        .collect();
    scored.sort();
    scored.into_iter().take(SHOWN).map(|(_, id)| id).collect()
}

fn shortened(text: &str) -> String {
    text.char_indices().take_while(|(at, _)| *at < COMPARED_BYTES).map(|(_, letter)| letter).collect()
}
