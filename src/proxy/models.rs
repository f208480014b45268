//! `GET /v1/models`: what this caller may name as a model, in the shape that its SDK reads.

use http::Response;
use uuid::Uuid;

use super::answer;
use super::relay::RelayBody;
use crate::domain::call::Past;
use crate::domain::protocol::Protocol;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::protocol;
use crate::resolve::{Listed, Question, listed, resolve};
use crate::snapshot::Caller;

pub(super) fn list(caller: &Caller, id: Uuid, shape: Protocol) -> Response<RelayBody> {
    let mut models: Vec<Listed> = listed(caller).collect();
    models.sort_by(|a, b| a.id.cmp(&b.id));
    let rows =
        models.iter().map(|one| protocol::ModelRow { id: &one.id, created: one.created, owned_by: &one.owned_by });
    answer::json(id, shape, protocol::model_list(shape, rows))
}

/// One model: any string that would resolve, listed or not.
pub(super) fn one(caller: &Caller, id: Uuid, model: &str, shape: Protocol) -> Result<Response<RelayBody>, Refusal> {
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
    let row = protocol::ModelRow { id: model, created, owned_by: &owned_by };
    Ok(answer::json(id, shape, protocol::model_object(shape, row)))
}
