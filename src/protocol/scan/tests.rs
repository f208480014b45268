//! What scan promises, by example and over generated input.

use super::*;
use proptest::prelude::*;
use serde::de::IgnoredAny;

fn chat(body: &str) -> Result<Box<Found>, Refusal> {
    json(body.as_bytes(), Operation::ChatCompletions)
}

fn fault(body: &str) -> String {
    chat(body).unwrap_err().to_string()
}

#[test]
fn a_chat_body_gives_its_model_stream_and_messages() {
    let body = r#" { "model" : "gpt-\u0034o", "stream":true, "max_tokens": 12.0, "temperature":null,
        "messages":[{"content":"Be brief","role":"developer"},{"role":"user","content":"Hi"}]}"#;
    let found = chat(body).unwrap();
    assert_eq!(found.model_text.as_deref(), Some("gpt-4o"));
    assert_eq!(&body[found.model.unwrap()], r#""gpt-\u0034o""#);
    assert!(found.stream && !found.temperature && !found.is_empty);
    assert_eq!(&body[found.places.temperature.unwrap()], "null");
    assert_eq!(found.max_tokens, Some(Some(12)));
    let messages = found.messages.unwrap();
    assert_eq!(&body[messages.inside - 1..=messages.inside], "[{");
    assert_eq!(&body[messages.system.unwrap()], r#""Be brief""#);
}

#[test]
fn null_is_absent() {
    let body = r#"{"model":null,"stream":null,"stream_options":null,"max_tokens":null,"previous_response_id":null,
        "conversation":null,"instructions":null,"prompt_cache_key":null,"store":null,"background":null,
        "messages":null,"api_base":null}"#;
    let found = chat(body).unwrap();
    assert_eq!((found.model_text, found.stream, found.max_tokens), (None, false, None));
    assert_eq!((found.previous_response_id, found.object_ids.len(), found.instructions), (None, 0, false));
    assert_eq!((found.prompt_cache_key, found.store, found.messages), (None, None, None));
    assert_eq!(found.stream_options.unwrap().inside, None);
    assert!(found.model.is_some());
}

#[test]
fn a_field_that_decides_something_may_not_stand_twice_however_it_is_written() {
    for (first, second) in [
        (r#""model":"a""#, r#""mod\u0065l":"b""#),
        (r#""stream":true"#, r#""stream":false"#),
        (r#""stream_options":{}"#, r#""stream_options":{}"#),
        (r#""messages":[]"#, r#""m\u0065ssages":[]"#),
        (r#""max_tokens":1"#, r#""max_tokens":9"#),
    ] {
        assert!(fault(&format!("{{{first},{second}}}")).contains("it stands twice"), "{second}");
    }
    assert!(fault(r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#).contains("twice"));
    assert!(chat(r#"{"user":"a","user":"b","metadata":{"model":"x"},"x":{"model":"y"}}"#).is_ok());
}

#[test]
fn a_model_is_a_short_clean_string() {
    for (model, why) in [
        ("7", "not a string"),
        (r#"["a"]"#, "not a string"),
        (r#""a\u0000b""#, "control characters"),
        (r#""a\u0085b""#, "control characters"),
        (r#""../etc""#, "`..`"),
        (r#""a\u002e.""#, "`..`"),
        (r#""\ud800""#, "surrogate"),
    ] {
        let said = fault(&format!("{{\"model\":{model}}}"));
        assert!(said.contains(why), "{model}: {said}");
    }
    let of = |length: usize| format!("{{\"model\":\"{}\"}}", "m".repeat(length));
    assert!(chat(&of(512)).is_ok());
    assert!(fault(&of(513)).contains("512"));
    assert!(fault(&of(100_000)).contains("512"));
    let escaped = format!("{{\"model\":\"{}\"}}", "\\u006d".repeat(512));
    assert_eq!(chat(&escaped).unwrap().model_text.unwrap().len(), 512);
}

#[test]
fn where_a_call_goes_is_not_for_the_body_to_say() {
    for field in ["api_base", "base_url", "api_key", "custom_llm_provider", "api\\u005fbase"] {
        assert!(fault(&format!(r#"{{"{field}":"http://127.0.0.1"}}"#)).contains("configuration"), "{field}");
    }
    assert!(chat(r#"{"metadata":{"api_key":"x"},"tools":[{"base_url":"y"}]}"#).is_ok());
}

#[test]
fn what_is_not_one_plain_object_is_refused() {
    for (body, what) in [
        ("", "something other than an object"),
        ("[]", "something other than an object"),
        ("\u{feff}{}", "a byte order mark"),
        ("{} x", "something follows"),
        ("{}{}", "something follows"),
        ("{\"a\":NaN}", "a value is missing"),
        ("{/* */}", "a key in quotes is missing"),
        ("{\"a\":1,}", "a key in quotes is missing"),
        ("{\"stream\":\"yes\"}", "neither true nor false"),
        ("{\"stream\":1}", "neither true nor false"),
        ("{\"stream_options\":7}", "not an object"),
    ] {
        assert!(fault(body).contains(what), "{body}: {}", fault(body));
    }
    assert!(json(b"{\"a\":\"\xff\"}", Operation::Embeddings).is_err());
    assert!(chat(&format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64))).is_err());
}

#[test]
fn ids_of_objects_are_found_wherever_they_stand_but_not_in_schemas_and_notes() {
    let body = r#"{"input_file_id":"file-1","messages":[{"content":[{"file":{"file_id":"file-2"}}]}],
        "tools":[{"container":{"file_ids":["file-3","file-4"]}},{"parameters":{"properties":{"file_id":"no"}}}],
        "metadata":{"file_id":"no"},"file\u005fid":"file-5"}"#;
    assert_eq!(chat(body).unwrap().object_ids, ["file-1", "file-2", "file-3", "file-4", "file-5"]);
    let many = format!("{{\"file_ids\":[{}]}}", vec!["\"f\""; 513].join(","));
    assert!(fault(&many).contains("more than 512"));
}

#[test]
fn what_a_response_goes_on_from_is_named_but_not_what_its_input_holds_itself() {
    let ids = |body: &str| json(body.as_bytes(), Operation::Responses).unwrap().object_ids;
    for body in [
        r#"{"conversation":"a"}"#,
        r#"{"conversation":{"id":"a"}}"#,
        r#"{"prompt":{"id":"a","version":"2","variables":{"id":"no","x":{"type":"input_text","text":"t"}}}}"#,
        r#"{"input":[{"type":"item_reference","id":"a"}]}"#,
        r#"{"input":[{"id":"a"}]}"#,
        r#"{"input":[{"type":"message","role":"assistant","id":"a"}]}"#,
        r#"{"input":[{"type":"reasoning","id":"a","summary":[{"type":"summary_text","text":"t"}]}]}"#,
        r#"{"input":[{"type":"reasoning","id":"a","summary":[],"encrypted_content":null,"content":[ ]}]}"#,
        r#"{"input":[{"type":"image_generation_call","id":"a","result":""}]}"#,
        r#"{"input":[{"type":"item_reference","content":"x","id":"a"}]}"#,
        r#"{"input":[{"type":"mcp_approval_response","approval_request_id":"a","approve":true}]}"#,
        r#"{"input":[{"role":"user","content":[{"type":"input_image","file_id":"a"}]}]}"#,
    ] {
        assert_eq!(ids(body), ["a"], "{body}");
    }
    assert_eq!(ids(r#"{"input":[{"type":"item_reference","id":"a","id":"b"}],"conversation":null}"#), ["a", "b"]);
    for body in [
        r#"{"input":[{"type":"message","role":"assistant","id":"a","content":[{"type":"output_text","text":"t"}]}]}"#,
        r#"{"input":[{"type":"function_call","id":"a","call_id":"b","name":"f","arguments":"{}"}]}"#,
        r#"{"input":[{"type":"function_call_output","id":"a","call_id":"b","output":"{\"id\":\"c\"}"}]}"#,
        r#"{"input":[{"type":"reasoning","id":"a","summary":[],"encrypted_content":"gAAA"}]}"#,
        r#"{"input":[{"type":"web_search_call","id":"a","action":{"type":"search"}}],"prompt":"id"}"#,
        r#"{"input":"a","conversation":null,"prompt":null}"#,
    ] {
        assert_eq!(ids(body), Vec::<String>::new(), "{body}");
    }
    let system = r#"{"input":[{"type":"message","role":"system","content":"Be brief"}]}"#;
    assert!(json(system.as_bytes(), Operation::Responses).unwrap().messages.unwrap().system.is_some());
    // A chat's messages have no ids that would mean anything.
    assert!(chat(r#"{"messages":[{"id":"a","type":"item_reference"}]}"#).unwrap().object_ids.is_empty());
}

#[test]
fn media_are_counted_and_their_bytes_are_no_text() {
    let body = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"four"},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAAAAAAAAAA"}},
        {"type":"input_audio","input_audio":{"data":"BBBBBBBBBBBBBBBBBBBBBBBB","format":"wav"}},
        {"type":"file","file":{"file_id":"file-1"}}]}]}"#;
    let found = chat(body).unwrap();
    assert_eq!(found.media_parts, 3);
    assert_eq!(found.text_bytes, "textfourimage_urlinput_audiofile".len());
}

#[test]
fn token_ids_and_tools_count_as_text() {
    assert_eq!(json(br#"{"input":[[1,2],[3]]}"#, Operation::Embeddings).unwrap().text_bytes, 9);
    assert_eq!(chat(r#"{"tools":[{"a":{}}]}"#).unwrap().text_bytes, r#"[{"a":{}}]"#.len());
}

#[test]
fn the_input_of_responses_is_read_like_messages() {
    let body = br#"{"input":[{"role":"developer","content":"x"}],"instructions":"y","previous_response_id":"resp_1",
        "store":false}"#;
    let found = json(body, Operation::Responses).unwrap();
    assert!(found.messages.is_some_and(|messages| messages.system.is_some()));
    assert!(found.instructions);
    assert_eq!((found.previous_response_id.as_deref(), found.store), (Some("resp_1"), Some(false)));
}

#[test]
fn objects_of_other_vendors_are_found_and_a_tools_arguments_are_none() {
    let of = |operation, body: &str| json(body.as_bytes(), operation).unwrap().object_ids;
    let message = r#"{"container":"c1","messages":[{"role":"user","content":[
        {"type":"document","source":{"type":"file","file_id":"f1"}},
        {"type":"tool_use","input":{"file_id":"mine","container":"mine"}}]}],
        "tools":[{"input_schema":{"properties":{"file_id":{"enum":["a"]}}}}]}"#;
    assert_eq!(of(Operation::Messages, message), ["c1", "f1"]);
    let content = r#"{"cachedContent":"cachedContents/a","contents":[{"parts":[
        {"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/b"}},
        {"fileData":{"fileUri":"https://www.youtube.com/watch?v=c"}},{"fileData":{"file_uri":"files/d"}},
        {"functionCall":{"args":{"file_id":"mine"}}},{"functionResponse":{"response":{"container":"mine"}}}]}]}"#;
    let google = ["cachedContents/a", "https://generativelanguage.googleapis.com/v1beta/files/b", "files/d"];
    assert_eq!(of(Operation::GenerateContent, content), google);
}

#[test]
fn long_bodies_and_those_of_many_values_are_for_another_thread() {
    let at_once = |inside: &str| json_at_once(format!("{{\"input\":[{inside}]}}").as_bytes(), Operation::Embeddings);
    assert!(at_once(&format!("\"{}\"", "x".repeat(AT_ONCE_BYTES - 14))).unwrap().is_ok());
    assert!(at_once(&format!("\"{}\"", "x".repeat(AT_ONCE_BYTES - 13))).is_none());
    // The object, its key and the array count too.
    let ids = |number: usize| vec!["1"; number].join(",");
    assert_eq!(at_once(&ids(AT_ONCE_VALUES - 4)).unwrap().unwrap().text_bytes, (AT_ONCE_VALUES - 4) * TOKEN_ID_BYTES);
    assert!(at_once(&ids(AT_ONCE_VALUES - 3)).is_none());
    for value in ["\"\",", "[],", "{},", "{\"a\":{\"\":null}},", "[[[[]]]],", "true,"] {
        assert!(at_once(&value.repeat(AT_ONCE_VALUES)).is_none(), "{value}");
    }
}

proptest! {
    #[test]
    fn a_body_scanned_at_once_is_judged_as_any_other(middle in r#"[\[\]{}:,"\\u0-9a-em.\-trufalsn é]{0,30}"#) {
        let body = format!("{{\"messages\":[{middle}]}}");
        let at_once = json_at_once(body.as_bytes(), Operation::ChatCompletions).unwrap();
        prop_assert_eq!(format!("{at_once:?}"), format!("{:?}", chat(&body)));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = json(&bytes, Operation::ChatCompletions);
    }

    #[test]
    fn nothing_is_taken_that_a_known_parser_would_not_take(middle in r#"[\[\]{}:,"\\u0-9a-em.\-trufalsn é]{0,30}"#) {
        let body = format!("{{\"messages\":[{middle}]}}");
        if chat(&body).is_ok() {
            prop_assert!(serde_json::from_str::<IgnoredAny>(&body).is_ok());
        }
    }
}
