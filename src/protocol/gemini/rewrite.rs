//! What a body of Gemini's becomes for one target: as edits, so that the client's bytes stay as they are.

use std::ops::Range;

use super::key;
use crate::domain::call::Inside;
use crate::protocol::chat::rewrite::{Draft, Rewrite, prompt, quoted};
use crate::protocol::json::{Flaw, Reader};

/// What the model's defaults fill in.
pub(in crate::protocol) fn fill(draft: &mut Draft<'_>, rewrite: &Rewrite<'_>) {
    config(draft, rewrite);
    system(draft, rewrite);
}

fn config(draft: &mut Draft<'_>, rewrite: &Rewrite<'_>) {
    let found = draft.found;
    let temperature = rewrite.temperature.filter(|_| !found.temperature).map(str::to_string);
    let max = rewrite.max_tokens.filter(|_| found.max_output_tokens.is_none()).map(|max| max.to_string());
    let options = [
        ("temperature", found.places.temperature.clone(), temperature),
        ("maxOutputTokens", found.places.max_output_tokens.clone(), max),
    ];
    let mut fields = Vec::new();
    for (name, place, value) in options {
        match (place, value) {
            (Some(place), Some(value)) => draft.replace(place, value),
            (None, Some(value)) => fields.push(format!("\"{name}\":{value}")),
            (_, None) => {}
        }
    }
    if fields.is_empty() {
        return;
    }
    let fields = fields.join(",");
    match &found.generation_config {
        None => draft.put("generationConfig", None, format!("{{{fields}}}").into()),
        Some(Inside { inside: None, value, .. }) => draft.replace(value.clone(), format!("{{{fields}}}")),
        Some(Inside { inside: Some(at), is_empty, .. }) => {
            draft.insert(*at, if *is_empty { fields } else { fields + "," });
        }
    }
}

fn system(draft: &mut Draft<'_>, rewrite: &Rewrite<'_>) {
    let place = draft.found.places.system.clone();
    let Some(stands) = place.clone().filter(|_| draft.found.system) else {
        if let Some(prompt) = prompt(rewrite, true) {
            let content = [br#"{"parts":[{"text":"#.as_slice(), &prompt, b"}]}"].concat();
            draft.put("systemInstruction", place, content);
        }
        return;
    };
    let Some(hydration) = rewrite.hydration else { return };
    if let Some((inside, is_empty)) = parts(&draft.body[stands.clone()]) {
        let comma: &[u8] = if is_empty { b"" } else { b"," };
        let part = [br#"{"text":"#.as_slice(), &quoted(&[hydration]), b"}", comma].concat();
        draft.insert(stands.start + inside, part);
    }
}

/// Just behind the bracket that opens a content's parts, and whether there are none.
fn parts(content: &[u8]) -> Option<(usize, bool)> {
    let mut found = None;
    let mut reader = Reader::new(content);
    // It was read once before, so there is no flaw in it.
    let _ = key::members(&mut reader, |reader, key| {
        let at = reader.at();
        let value = reader.value()?;
        if key == b"parts" && value.first() == Some(&b'[') {
            found = Some((at + 1, value[1..].trim_ascii() == b"]"));
        }
        Ok::<(), Flaw>(())
    });
    found
}

/// The model's name wherever a request for embeddings repeats it.
pub(in crate::protocol) fn models(draft: &mut Draft<'_>, model: &str) {
    let name = quoted(&["models/", model]);
    for place in named(draft.body) {
        draft.replace(place, name.clone());
    }
}

fn named(body: &[u8]) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut reader = Reader::new(body);
    reader.space();
    let mut note = |reader: &mut Reader<'_>, key: &[u8]| {
        let place = reader.place()?;
        if key == b"model" {
            places.push(place);
        }
        Ok::<(), Flaw>(())
    };
    let _ = key::members(&mut reader, |reader, key| {
        if key != b"requests" || reader.peek() != Some(b'[') {
            return note(reader, key);
        }
        reader.array(|reader| key::members(reader, |reader, key| note(reader, key)).map(|_| ()))
    });
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::preset::MaxField;
    use crate::domain::protocol::Operation;
    use crate::protocol::chat::rewrite::edits;
    use crate::protocol::{scan, splice};

    fn rewritten(operation: Operation, body: &str) -> String {
        let rewrite = Rewrite {
            model: "gemini",
            temperature: Some("0.5"),
            max_tokens: Some(7),
            max_field: MaxField::MaxTokens,
            system_prompt: Some("be brief"),
            hydration: Some("Ada"),
            include_usage: true,
        };
        let found = scan::json(body.as_bytes(), operation).unwrap();
        let changed = edits(body.as_bytes(), &found, operation, &rewrite);
        let pieces = splice::apply(&bytes::Bytes::from(body.to_string()), &changed.edits);
        String::from_utf8(pieces.into_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn defaults_fill_in_only_what_was_left_out() {
        let filled = |body| rewritten(Operation::GenerateContent, body);
        assert_eq!(
            filled(r#"{"contents":[]}"#),
            r#"{"generationConfig":{"temperature":0.5,"maxOutputTokens":7},"systemInstruction":{"parts":[{"text":"Ada\n\nbe brief"}]},"contents":[]}"#
        );
        assert_eq!(
            filled(
                r#"{"generation_config":{"topK":1,"temperature":null},"system_instruction":{"parts":[{"text":"x"}]}}"#
            ),
            r#"{"generation_config":{"maxOutputTokens":7,"topK":1,"temperature":0.5},"system_instruction":{"parts":[{"text":"Ada"},{"text":"x"}]}}"#
        );
        let said = r#"{"generationConfig":{"temperature":1,"maxOutputTokens":2},"systemInstruction":{"parts": []}}"#;
        assert_eq!(filled(said), said.replace("[]", r#"[{"text":"Ada"}]"#));
    }

    #[test]
    fn embeddings_name_the_targets_model() {
        let body = r#"{"requests":[{"model":"models/x","content":{"parts":[{"text":"model"}]}},{"content":{}}]}"#;
        assert_eq!(rewritten(Operation::BatchEmbedContents, body), body.replace("models/x", "models/gemini"));
        assert_eq!(rewritten(Operation::EmbedContent, r#"{"model":"models/x"}"#), r#"{"model":"models/gemini"}"#);
    }
}
