//! Writes lists of models in Anthropic's shape.

use bytes::Bytes;

use crate::protocol::chat::models::ModelRow;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;

/// All of them: there is no next page.
pub(in crate::protocol) fn list<'a>(rows: impl Iterator<Item = ModelRow<'a>> + Clone) -> Bytes {
    let mut out = Vec::new();
    let (first, last) = (rows.clone().next(), rows.clone().last());
    out.object(|out| {
        out.key("data").array(|out| rows.for_each(|row| encode(row, out)));
        out.member("has_more", false);
        out.member("first_id", first.map(|row| Quoted::of(row.id)));
        out.member("last_id", last.map(|row| Quoted::of(row.id)));
    });
    out.into()
}

pub(in crate::protocol) fn one(row: ModelRow<'_>) -> Bytes {
    let mut out = Vec::new();
    encode(row, &mut out);
    out.into()
}

fn encode(row: ModelRow<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("type", "model").member("id", Quoted::of(row.id)).member("display_name", Quoted::of(row.id));
        out.member("created_at", Quoted::of(&row.created.iso8601()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn models_are_listed_as_anthropic_lists_them() {
        let row = ModelRow { id: "a:b", created: Timestamp(0), owned_by: "a" };
        let model = r#"{"type":"model","id":"a:b","display_name":"a:b","created_at":"1970-01-01T00:00:00.000Z"}"#;
        assert_eq!(one(row), model);
        let all = format!(r#"{{"data":[{model}],"has_more":false,"first_id":"a:b","last_id":"a:b"}}"#);
        assert_eq!(list([row].into_iter()), all);
        assert_eq!(list(std::iter::empty()), r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#);
    }
}
