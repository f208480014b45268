//! `GET /v1/models`: what this caller may name as a model.

use http::Response;
use uuid::Uuid;

use super::answer;
use super::relay::RelayBody;
use crate::domain::call::Past;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::protocol;
use crate::resolve::{Listed, Question, listed, resolve};
use crate::snapshot::Caller;

pub(super) fn list(caller: &Caller, id: Uuid) -> Response<RelayBody> {
    let mut models: Vec<Listed> = listed(caller).collect();
    models.sort_by(|a, b| a.id.cmp(&b.id));
    let rows =
        models.iter().map(|one| protocol::ModelRow { id: &one.id, created: one.created, owned_by: &one.owned_by });
    answer::json(id, protocol::model_list(rows))
}

/// One model: any string that would resolve, listed or not.
pub(super) fn one(caller: &Caller, id: Uuid, model: &str) -> Result<Response<RelayBody>, Refusal> {
    let found = listed(caller).find(|one| one.id == model);
    let (created, owned_by) = match found {
        Some(one) => (one.created, one.owned_by),
        None => {
            let plan = resolve(caller, &Question::of_model(model, None), &Past::None)?;
            let first = plan.first();
            let created = first.model.as_ref().map_or(Timestamp(0), |entry| entry.model.created_at);
            (created, first.provider.name.to_string())
        }
    };
    Ok(answer::json(id, protocol::model_object(protocol::ModelRow { id: model, created, owned_by: &owned_by })))
}
