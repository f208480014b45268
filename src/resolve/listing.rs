//! What a caller may name as a model: models, routes and endpoints, as `GET /v1/models` lists them.

use super::names::{Pick, Pinned};
use super::{Question, credentials, hurdles};
use crate::domain::call::Past;
use crate::domain::entity::RouteKind;
use crate::domain::time::Timestamp;
use crate::snapshot::{Caller, ModelEntry};

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    /// The provider's name; `role`, `alias` or `endpoint` for those.
    pub owned_by: String,
    pub created: Timestamp,
}

/// All that this caller may use, in no particular order; each once.
pub fn listed(caller: &Caller) -> impl Iterator<Item = Listed> {
    let models = caller.view().catalogs().into_iter().flat_map(|catalog| catalog.models());
    let usable = models.filter(|entry| is_usable(caller, &listed_pick(entry))).map(|entry| Listed {
        id: entry.qualified.to_string(),
        owned_by: entry.provider.name.to_string(),
        created: entry.model.created_at,
    });
    usable
        .chain(routes(caller, RouteKind::Alias, "alias"))
        .chain(routes(caller, RouteKind::Role, "role"))
        .chain(endpoints(caller))
}

fn listed_pick(entry: &ModelEntry) -> Pick<'_> {
    Pick {
        provider: &entry.provider,
        model: Some(entry),
        model_id: &entry.model_id,
        tier: 0,
        weight: 1,
        pinned: Pinned::No,
    }
}

/// Would a call that names this go anywhere?
pub(super) fn is_usable(caller: &Caller, pick: &Pick<'_>) -> bool {
    let question = Question::of_model(pick.model_id, None);
    if hurdles::clear(caller, &question, pick).is_err() {
        return false;
    }
    let (mut targets, mut dropped) = (Vec::new(), Vec::new());
    credentials::targets(caller, &question, &Past::None, pick, &mut targets, &mut dropped);
    !targets.is_empty()
}

fn routes(caller: &Caller, kind: RouteKind, owned_by: &'static str) -> impl Iterator<Item = Listed> {
    let [own, platform] = caller.view().catalogs();
    let shadowed = move |name: &&str| own.routes(kind, name).is_empty();
    let names = own.route_names(kind).chain(platform.route_names(kind).filter(shadowed));
    let may =
        |name: &&str| caller.token().models.is_empty() || caller.token().models.iter().any(|listed| listed == name);
    names.filter(may).map(move |name| Listed {
        id: if kind == RouteKind::Role { format!("role:{name}") } else { name.to_string() },
        owned_by: owned_by.to_string(),
        created: Timestamp(0),
    })
}

/// The workspace's own credentials, which may be named instead of a model.
fn endpoints(caller: &Caller) -> impl Iterator<Item = Listed> {
    let own = caller.view().own.all_credentials().filter(|_| caller.token().models.is_empty());
    own.map(|entry| Listed {
        id: format!("endpoint:{}", entry.id()),
        owned_by: "endpoint".to_string(),
        created: entry.credential.created_at,
    })
}
