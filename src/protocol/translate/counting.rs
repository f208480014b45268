//! How long a call is: asked of another protocol's counter, where it has one.

use bytes::Bytes;
use serde_json::json;

use super::{Asked, Of, Translated, Whole, untold};
use crate::domain::failure::Failure;
use crate::domain::protocol::{Delivery, Protocol};
use crate::protocol::gemini;
use crate::protocol::hub::event::Fault;
use crate::protocol::hub::field::Objection;
use crate::protocol::hub::request::Terms;
use crate::protocol::json::{Flaw, Reader};

/// Does a provider of this protocol count what it is not asked to answer?
pub const fn has_counter(protocol: Protocol) -> bool {
    match protocol {
        Protocol::Responses | Protocol::Messages | Protocol::Gemini => true,
        Protocol::Chat | Protocol::Bedrock => false,
    }
}

/// What a counter takes of a call; it refuses what only an answer needs.
const OF_RESPONSES: [&[u8]; 8] =
    [b"model", b"input", b"instructions", b"tools", b"tool_choice", b"parallel_tool_calls", b"text", b"reasoning"];
const OF_MESSAGES: [&[u8]; 6] = [b"model", b"messages", b"system", b"tools", b"tool_choice", b"thinking"];

/// Turns a body that `scan` has passed into one for this target's counter.
pub fn count(client: Protocol, upstream: Protocol, body: &[u8], terms: &Terms<'_>) -> Result<Translated, Objection> {
    let call = if client == Protocol::Gemini { gemini::request::counted(body)? } else { body };
    let Translated { body, dropped, .. } = super::request(client, upstream, call, Delivery::Whole, terms)?;
    let body = match upstream {
        Protocol::Responses => only(&body, &OF_RESPONSES)?,
        Protocol::Messages => only(&body, &OF_MESSAGES)?,
        Protocol::Gemini => gemini::request::to_count(&body, terms.model),
        Protocol::Chat | Protocol::Bedrock => return Err(untold(upstream)),
    };
    Ok(Translated { body, dropped, asked: Asked(Of::Count(client)) })
}

/// The object without its other members.
fn only(body: &[u8], names: &[&[u8]]) -> Result<Vec<u8>, Flaw> {
    let mut kept: Vec<u8> = vec![b'{'];
    Reader::new(body).object(|reader, key| {
        let value = reader.value()?;
        if names.contains(&key.raw) {
            if kept.len() > 1 {
                kept.push(b',');
            }
            for piece in [b"\"".as_slice(), key.raw, b"\":", value] {
                kept.extend_from_slice(piece);
            }
        }
        Ok::<(), Flaw>(())
    })?;
    kept.push(b'}');
    Ok(kept)
}

/// The answer to such a request.
pub(super) fn whole(upstream: Protocol, body: &[u8], client: Protocol) -> Result<Whole, Fault<'static>> {
    let name: &[u8] = if upstream == Protocol::Gemini { b"totalTokens" } else { b"input_tokens" };
    let mut found = None;
    let mut reader = Reader::new(body);
    reader.space();
    // What is no object is refused here too.
    let _ = reader.object(|reader, key| {
        if key.is(name) {
            found = reader.unsigned()?;
            return Ok(());
        }
        reader.skip()
    });
    let Some(number) = found else {
        let failure = Failure::Garbage("an answer without a count".into());
        return Err(Fault::found(failure, "the provider sent an answer without a count"));
    };
    Ok(Whole { body: counted(client, number).to_vec(), usage: None })
}

/// The answer that a client of this protocol expects.
pub fn counted(client: Protocol, number: u64) -> Bytes {
    let counted = match client {
        Protocol::Gemini => json!({"totalTokens": number}),
        Protocol::Responses => json!({"object": "response.input_tokens", "input_tokens": number}),
        Protocol::Messages | Protocol::Chat | Protocol::Bedrock => json!({"input_tokens": number}),
    };
    counted.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn asked(client: Protocol, upstream: Protocol, body: &str) -> Value {
        let terms = Terms { max_output_tokens: Some(9), ..Terms::of("the-model") };
        serde_json::from_slice(&count(client, upstream, body.as_bytes(), &terms).unwrap().body).unwrap()
    }

    #[test]
    fn a_counter_is_told_the_call_and_nothing_that_only_an_answer_needs() {
        let of_responses = r#"{"model":"x","instructions":"Be brief.","input":"hi","max_output_tokens":99,"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}"#;
        let told = asked(Protocol::Responses, Protocol::Messages, of_responses);
        let names: Vec<&String> = told.as_object().unwrap().keys().collect();
        assert_eq!(names, ["messages", "model", "system", "tools"]);
        let of_messages = r#"{"model":"x","messages":[{"role":"user","content":"hi"}],"system":"Be brief."}"#;
        let told = asked(Protocol::Messages, Protocol::Gemini, of_messages);
        let inner = &told["generateContentRequest"];
        assert_eq!(
            (&inner["model"], &inner["contents"][0]["parts"][0]["text"]),
            (&json!("models/the-model"), &json!("hi"))
        );
        for of_gemini in [
            r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
            r#"{"generateContentRequest":{"model":"x","contents":[{"role":"user","parts":[{"text":"hi"}]}]}}"#,
        ] {
            let told = asked(Protocol::Gemini, Protocol::Responses, of_gemini);
            assert_eq!(told["model"], "the-model");
            assert!(told["input"].to_string().contains("hi") && told.get("store").is_none(), "{told}");
        }
    }

    #[test]
    fn what_was_counted_is_told_in_the_client_s_words() {
        let told = |upstream, body: &str, client| {
            let whole = whole(upstream, body.as_bytes(), client).unwrap();
            String::from_utf8(whole.body).unwrap()
        };
        assert_eq!(told(Protocol::Messages, r#"{"input_tokens":7}"#, Protocol::Gemini), r#"{"totalTokens":7}"#);
        assert_eq!(told(Protocol::Gemini, r#"{"totalTokens":7,"x":[]}"#, Protocol::Messages), r#"{"input_tokens":7}"#);
        let of_responses = told(Protocol::Messages, r#"{"input_tokens":7}"#, Protocol::Responses);
        assert_eq!(of_responses, r#"{"input_tokens":7,"object":"response.input_tokens"}"#);
        for none in ["", "[]", "{}", r#"{"input_tokens":"7"}"#] {
            assert!(whole(Protocol::Messages, none.as_bytes(), Protocol::Gemini).is_err(), "{none}");
        }
    }
}
