//! What the model's defaults fill in, in a body of Messages: as edits, so that the client's bytes stay as they are.

use crate::domain::preset::MaxField;
use crate::protocol::chat::rewrite::{Draft, PARAGRAPH, Rewrite, inside, prompt, quoted};

pub(in crate::protocol) fn fill(draft: &mut Draft<'_>, rewrite: &Rewrite<'_>) {
    draft.temperature(rewrite);
    draft.max_tokens(&Rewrite { max_field: MaxField::MaxTokens, ..*rewrite });
    let place = draft.found.places.system.clone();
    let Some(stands) = place.clone().filter(|_| draft.found.system) else {
        if let Some(prompt) = prompt(rewrite, true) {
            draft.put("system", place, prompt);
        }
        return;
    };
    let Some(hydration) = rewrite.hydration else { return };
    match draft.body.get(stands.start) {
        Some(b'"') => draft.insert(stands.start + 1, inside(&[hydration, PARAGRAPH])),
        Some(b'[') => {
            let has_blocks = draft.body[stands.clone()].iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
            let comma: &[u8] = if has_blocks == Some(&b']') { b"" } else { b"," };
            let block = [br#"{"type":"text","text":"#.as_slice(), &quoted(&[hydration]), b"}", comma].concat();
            draft.insert(stands.start + 1, block);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::protocol::Operation;
    use crate::protocol::chat::rewrite::edits;
    use crate::protocol::{scan, splice};

    fn rewritten(body: &str) -> String {
        let rewrite = Rewrite {
            model: "claude",
            temperature: Some("0.5"),
            max_tokens: Some(7),
            max_field: MaxField::MaxCompletionTokens,
            system_prompt: Some("be brief"),
            hydration: Some("Ada\n"),
            include_usage: true,
        };
        let found = scan::json(body.as_bytes(), Operation::Messages).unwrap();
        let changed = edits(body.as_bytes(), &found, Operation::Messages, &rewrite);
        assert!(!changed.usage_injected);
        let pieces = splice::apply(&bytes::Bytes::from(body.to_string()), &changed.edits);
        String::from_utf8(pieces.into_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn defaults_fill_in_only_what_was_left_out() {
        assert_eq!(
            rewritten(r#"{"model":"x","messages":[]}"#),
            r#"{"temperature":0.5,"max_tokens":7,"system":"Ada\n\n\nbe brief","model":"claude","messages":[]}"#
        );
        assert_eq!(
            rewritten(r#"{"model":"x","max_tokens":1,"temperature":1,"system":"long"}"#),
            r#"{"model":"claude","max_tokens":1,"temperature":1,"system":"Ada\n\n\nlong"}"#
        );
        assert_eq!(
            rewritten(r#"{"model":"x","max_tokens":1,"temperature":1,"system":[{"type":"text","text":"a"}]}"#),
            r#"{"model":"claude","max_tokens":1,"temperature":1,"system":[{"type":"text","text":"Ada\n"},{"type":"text","text":"a"}]}"#
        );
    }
}
