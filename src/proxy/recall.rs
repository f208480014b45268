//! Asks the record what an earlier object that the call names has to say about where the call may go.
//!
//! A call that names none asks nothing. Otherwise the state is asked, on another thread, for at most two seconds.

use super::bodies::BodyShare;
use super::transcripts;
use crate::domain::call::{Call, Deed, Past};
use crate::domain::protocol::Operation;
use crate::domain::refusal::Refusal;
use crate::hands::Hands;
use crate::snapshot::Caller;
use crate::store::state::{Object, State};

/// What is on record of the objects that a call names.
///
/// What was said before a response of ours goes into the body; then nothing earlier is named any more.
pub(super) async fn recall(
    state: &State,
    hands: &Hands,
    caller: &Caller,
    call: &mut Call,
    share: &mut Option<BodyShare>,
) -> Result<Past, Refusal> {
    if call.operation == Operation::Batches && !caller.token().may_batch {
        return Err(Refusal::BatchesDenied);
    }
    if matches!(call.operation, Operation::Responses | Operation::InputTokens)
        && call.names_objects()
        && let Some(share) = share
    {
        Box::pin(transcripts::put_before(state, hands, caller, call, share)).await?;
    }
    if !call.names_objects() {
        return Ok(match call.deed() {
            Deed::Lists => Past::Listing,
            // What could not be put on record had better not be made.
            Deed::Makes if !call.operation.names_model() && state.is_away() => Past::Unasked,
            _ => Past::None,
        });
    }
    let ids = call.object_ids();
    match Box::pin(state.find(caller.workspace(), ids.clone())).await {
        Ok(found) => past(&ids, &found),
        Err(_) => Ok(Past::Unasked),
    }
}

/// All that a call names must lie in one place, and all of it must be the workspace's.
fn past(ids: &[String], found: &[Object]) -> Result<Past, Refusal> {
    let [first, rest @ ..] = ids else { return Ok(Past::None) };
    if found.is_empty() {
        return Ok(Past::Unrecorded);
    }
    let lies = |id: &str, at: Past| found.iter().any(|object| object.id == id && place(object) == at);
    if ids.iter().any(|id| !found.iter().any(|object| object.id == *id)) {
        return Err(Refusal::ObjectNotFound("one of the ids in this call"));
    }
    let places = found.iter().filter(|object| object.id == *first).map(place);
    let common = places.into_iter().find(|at| rest.iter().all(|id| lies(id, *at)));
    common.ok_or(Refusal::FieldInvalid {
        field: "file_id",
        why: "the objects that the call names lie at different providers or under different keys",
    })
}

fn place(object: &Object) -> Past {
    Past::Theirs { provider: object.provider, credential: object.credential }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Id;
    use crate::domain::time::Timestamp;
    use crate::store::state::ObjectKind;

    fn object(id: &str, provider: &str) -> Object {
        Object {
            workspace: Id::declared("workspace", "w"),
            id: id.into(),
            provider: Id::declared("provider", provider),
            credential: Some(Id::declared("credential", provider)),
            kind: ObjectKind::File,
            purpose: None,
            shown: None,
            created_at: Timestamp(0),
        }
    }

    fn recalled(ids: &[&str], found: &[Object]) -> Result<Past, &'static str> {
        let ids: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
        past(&ids, found).map_err(|refusal| refusal.row().code)
    }

    #[test]
    fn one_object_binds_the_call_to_where_it_was_made() {
        let found = [object("a", "one")];
        assert_eq!(recalled(&["a"], &found), Ok(place(&found[0])));
        assert_eq!(recalled(&["a"], &[]), Ok(Past::Unrecorded));
    }

    #[test]
    fn several_objects_must_all_be_the_workspaces_and_in_one_place() {
        let found = [object("a", "one"), object("b", "one")];
        assert_eq!(recalled(&["a", "b"], &found), Ok(place(&found[0])));
        assert_eq!(recalled(&["a", "b", "c"], &found), Err("object_not_found"));
        assert_eq!(recalled(&["a", "b"], &[object("a", "one"), object("b", "two")]), Err("field_invalid"));
    }

    #[test]
    fn an_id_that_two_providers_gave_means_the_one_where_the_others_are() {
        let found = [object("file-1", "two"), object("file-1", "one"), object("b", "one")];
        assert_eq!(recalled(&["file-1", "b"], &found), Ok(place(&found[1])));
        assert_eq!(recalled(&["file-1"], &found), Ok(place(&found[0])), "the newest");
    }
}
