//! Writes lists of models in OpenAI's shape.

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::refusal::written;
use crate::domain::time::Timestamp;

/// One line of the list.
#[derive(Clone, Copy, Debug)]
pub struct ModelRow<'a> {
    pub id: &'a str,
    pub created: Timestamp,
    pub owned_by: &'a str,
}

impl Serialize for ModelRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: &'a str,
            object: &'static str,
            created: i64,
            owned_by: &'a str,
        }
        let created = self.created.0.div_euclid(1_000);
        Row { id: self.id, object: "model", created, owned_by: self.owned_by }.serialize(serializer)
    }
}

/// The body of `GET /v1/models/{id}`.
pub fn model_object(row: ModelRow<'_>) -> Bytes {
    written(&row)
}

/// The body of `GET /v1/models`.
pub fn model_list<'a>(rows: impl Iterator<Item = ModelRow<'a>> + Clone) -> Bytes {
    #[derive(Serialize)]
    struct List<T> {
        object: &'static str,
        data: T,
    }
    written(&List { object: "list", data: Rows(rows) })
}

struct Rows<I>(I);

impl<'a, I: Iterator<Item = ModelRow<'a>> + Clone> Serialize for Rows<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for row in self.0.clone() {
            list.serialize_element(&row)?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_listed_as_openai_lists_them() {
        let row = ModelRow { id: "openai:gpt-4o", created: Timestamp(1_774_137_600_999), owned_by: "openai" };
        let one = r#"{"id":"openai:gpt-4o","object":"model","created":1774137600,"owned_by":"openai"}"#;
        assert_eq!(model_object(row), one);
        assert_eq!(model_list([row].into_iter()), format!(r#"{{"object":"list","data":[{one}]}}"#));
        assert_eq!(model_list(std::iter::empty()), r#"{"object":"list","data":[]}"#);
    }
}
