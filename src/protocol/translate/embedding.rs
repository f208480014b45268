//! Embeddings from one protocol to the other that has them.

use super::{Asked, Of, Translated, Whole, untold};
use crate::domain::failure::Failure;
use crate::domain::protocol::Protocol;
use crate::protocol::hub::about::About;
use crate::protocol::hub::event::Fault;
use crate::protocol::hub::field::Objection;
use crate::protocol::hub::request::Terms;
use crate::protocol::{chat, gemini};

/// How the client wants its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Chat(chat::embedding::Form),
    Gemini(gemini::embedding::Form),
}

/// Turns a body that `scan` has passed into one for this target.
pub fn embed(client: Protocol, upstream: Protocol, body: &[u8], terms: &Terms<'_>) -> Result<Translated, Objection> {
    let (texts, form) = match client {
        Protocol::Chat => {
            let (texts, form) = chat::embedding::decode(body)?;
            (texts, Form::Chat(form))
        }
        Protocol::Gemini => {
            let (texts, form) = gemini::embedding::decode(body)?;
            (texts, Form::Gemini(form))
        }
        Protocol::Responses | Protocol::Messages | Protocol::Bedrock => return Err(untold(client)),
    };
    let body = match upstream {
        Protocol::Chat => chat::embedding::encode(&texts, terms.model),
        Protocol::Gemini => gemini::embedding::encode(&texts, terms.model),
        Protocol::Responses | Protocol::Messages | Protocol::Bedrock => return Err(untold(upstream)),
    };
    Ok(Translated { body, dropped: texts.only_here, asked: Asked(Of::Embeddings(form)) })
}

/// The answer to such a request.
pub(super) fn whole(upstream: Protocol, body: &[u8], form: &Form, about: &About) -> Result<Whole, Fault<'static>> {
    let answer = match upstream {
        Protocol::Chat => chat::embedding::decode_answer(body),
        Protocol::Gemini => gemini::embedding::decode_answer(body),
        Protocol::Responses | Protocol::Messages | Protocol::Bedrock => None,
    };
    let Some(answer) = answer else {
        let failure = Failure::Garbage("an answer without embeddings".into());
        return Err(Fault::found(failure, "the provider sent an answer without embeddings"));
    };
    let body = match form {
        Form::Chat(form) => chat::embedding::encode_answer(&answer, *form, &about.model),
        Form::Gemini(form) => gemini::embedding::encode_answer(&answer, *form),
    };
    Ok(Whole { body, usage: answer.usage })
}

#[cfg(test)]
mod tests {
    use super::super::whole as translated;
    use super::*;
    use crate::protocol::hub::ids::Ids;
    use crate::protocol::hub::opaque::Maker;
    use crate::protocol::hub::text::Quoted;

    fn about() -> About {
        About { ids: Ids::of(uuid::Uuid::nil()), created: 0, model: Quoted::plain("m"), input_tokens: 0 }
    }

    fn asked(client: Protocol, upstream: Protocol, body: &str) -> (String, String, Asked) {
        let done = embed(client, upstream, body.as_bytes(), &Terms::of("the-model")).unwrap();
        (String::from_utf8(done.body).unwrap(), done.dropped.joined(), done.asked)
    }

    fn answered(upstream: Protocol, asked: &Asked, body: &str) -> String {
        String::from_utf8(translated(upstream, body.as_bytes(), Maker(0), asked, &about()).unwrap().body).unwrap()
    }

    #[test]
    fn chat_asks_gemini_for_both_forms() {
        let (body, dropped, floats) =
            asked(Protocol::Chat, Protocol::Gemini, r#"{"input":["a","é\n"],"model":"x","dimensions":3,"user":"u"}"#);
        let one = |text: &str| {
            format!(
                r#"{{"model":"models/the-model","content":{{"parts":[{{"text":"{text}"}}]}},"outputDimensionality":3}}"#
            )
        };
        assert_eq!(body, format!(r#"{{"requests":[{},{}]}}"#, one("a"), one("é\\n")));
        assert_eq!(dropped, "user");
        let answer = r#"{"embeddings":[{"values":[0.5,1]},{"values":[-2,0]}],"usageMetadata":{"promptTokenCount":4}}"#;
        assert_eq!(
            answered(Protocol::Gemini, &floats, answer),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1]},{"object":"embedding","index":1,"embedding":[-2,0]}],"model":"m","usage":{"prompt_tokens":4,"total_tokens":4}}"#
        );
        let (_, _, packed) =
            asked(Protocol::Chat, Protocol::Gemini, r#"{"input":"a","model":"x","encoding_format":"base64"}"#);
        assert!(answered(Protocol::Gemini, &packed, answer).contains(r#""embedding":"AAAAPwAAgD8=""#));
    }

    #[test]
    fn gemini_asks_chat_for_one_and_for_several() {
        let (body, dropped, one) = asked(
            Protocol::Gemini,
            Protocol::Chat,
            r#"{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY","output_dimensionality":2}"#,
        );
        assert_eq!(body, r#"{"model":"the-model","input":["a"],"encoding_format":"float","dimensions":2}"#);
        assert_eq!(dropped, "tasktype");
        let answer = r#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":"AAAAPw=="}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        assert_eq!(answered(Protocol::Chat, &one, answer), r#"{"embedding":{"values":[0.5]}}"#);
        let (_, _, several) = asked(
            Protocol::Gemini,
            Protocol::Chat,
            r#"{"requests":[{"model":"models/x","content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#,
        );
        assert_eq!(answered(Protocol::Chat, &several, answer), r#"{"embeddings":[{"values":[0.5]},{"values":[2]}]}"#);
    }

    #[test]
    fn what_is_no_text_is_refused_by_name() {
        let tokens = embed(Protocol::Chat, Protocol::Gemini, br#"{"input":[[1,2]]}"#, &Terms::of("m"));
        assert_eq!(tokens.unwrap_err(), Objection::unsupported("input"));
        assert!(embed(Protocol::Chat, Protocol::Messages, br#"{"input":"a"}"#, &Terms::of("m")).is_err());
        let (_, _, asked) = asked(Protocol::Chat, Protocol::Gemini, r#"{"input":"a"}"#);
        assert!(translated(Protocol::Gemini, b"{}", Maker(0), &asked, &about()).is_err());
    }
}
