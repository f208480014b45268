//! Writes lists of models in Gemini's shape.

use bytes::Bytes;

use crate::protocol::chat::models::ModelRow;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;

/// All of them: there is no next page.
pub(in crate::protocol) fn list<'a>(rows: impl Iterator<Item = ModelRow<'a>>) -> Bytes {
    let mut out = Vec::new();
    out.object(|out| {
        out.key("models").array(|out| rows.for_each(|row| encode(row, out)));
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
        out.member("name", Quoted::of(&format!("models/{}", row.id))).member("displayName", Quoted::of(row.id));
        out.key("supportedGenerationMethods").array(|out| {
            ["generateContent", "streamGenerateContent", "countTokens"].into_iter().for_each(|method| {
                out.value(method);
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn models_are_listed_as_google_lists_them() {
        let row = ModelRow { id: "a:b", created: Timestamp(0), owned_by: "a" };
        let model = r#"{"name":"models/a:b","displayName":"a:b","supportedGenerationMethods":["generateContent","streamGenerateContent","countTokens"]}"#;
        assert_eq!(one(row), model);
        assert_eq!(list([row].into_iter()), format!(r#"{{"models":[{model}]}}"#));
    }
}
