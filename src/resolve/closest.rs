//! «Did you mean»: the ids nearest to one that nobody knows, out of those this caller may use.

use super::listing::listed;
use crate::domain::nearest::distance;
use crate::domain::refusal::Refusal;
use crate::snapshot::Caller;

/// As many as help; more would be a list.
const SHOWN: usize = 3;
/// Comparing is quadratic in length, and a longer name is no typing mistake.
const COMPARED_BYTES: usize = 128;
/// Models looked at for one refusal, so that a huge catalogue can't be made to cost.
const COMPARED_MODELS: usize = 2_000;

pub(super) fn not_found(caller: &Caller, asked: &str) -> Refusal {
    let near = nearest(caller, asked);
    let closest = match near.is_empty() {
        true => "; GET /v1/models lists those you may use".to_string(),
        false => format!("; the closest are {}", near.join(", ")),
    };
    Refusal::ModelNotFound { model: shortened(asked), closest }
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
