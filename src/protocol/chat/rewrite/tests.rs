//! What request promises, by example and over generated input.

use super::*;
use crate::protocol::{scan, splice};
use proptest::prelude::*;
use serde_json::{Value, json};

const PLAIN: Rewrite<'static> = Rewrite {
    model: "new",
    temperature: None,
    max_tokens: None,
    max_field: MaxField::MaxTokens,
    system_prompt: None,
    hydration: None,
    include_usage: false,
};

fn rewritten_as(body: &str, operation: Operation, rewrite: &Rewrite<'_>) -> String {
    let found = scan::json(body.as_bytes(), operation).unwrap();
    let edits = edits(body.as_bytes(), &found, operation, rewrite).edits;
    let body = bytes::Bytes::copy_from_slice(body.as_bytes());
    let whole: Vec<u8> = splice::apply(&body, &edits).into_iter().flatten().collect();
    String::from_utf8(whole).unwrap()
}

fn rewritten(body: &str, rewrite: &Rewrite<'_>) -> String {
    rewritten_as(body, Operation::ChatCompletions, rewrite)
}

fn injects(body: &str) -> bool {
    let found = scan::json(body.as_bytes(), Operation::ChatCompletions).unwrap();
    edits(body.as_bytes(), &found, Operation::ChatCompletions, &Rewrite { include_usage: true, ..PLAIN }).usage_injected
}

#[test]
fn only_the_models_bytes_change_between_equal_protocols() {
    let body = "{ \"x\":1e5,\n\"model\" :\"old\" , \"seed\":12345678901234567890}";
    assert_eq!(rewritten(body, &PLAIN), body.replace("old", "new"));
    assert_eq!(rewritten(body, &Rewrite { model: "a\"b", ..PLAIN }), body.replace("old", "a\\\"b"));
    let found = scan::json(body.as_bytes(), Operation::ChatCompletions).unwrap();
    let same = edits(body.as_bytes(), &found, Operation::ChatCompletions, &Rewrite { model: "old", ..PLAIN });
    assert_eq!(same, Edits::default());
}

#[test]
fn a_model_that_was_left_out_is_put_in() {
    assert_eq!(rewritten("{}", &PLAIN), r#"{"model":"new"}"#);
    assert_eq!(rewritten(r#"{"a":1}"#, &PLAIN), r#"{"model":"new","a":1}"#);
    assert_eq!(rewritten(r#"{"model":null}"#, &PLAIN), r#"{"model":"new"}"#);
}

#[test]
fn defaults_fill_in_what_is_missing_and_what_the_client_says_stands() {
    let rewrite = Rewrite { temperature: Some("0.20"), max_tokens: Some(9), ..PLAIN };
    assert_eq!(
        rewritten(r#"{"model":"m","temperature":null}"#, &rewrite),
        r#"{"max_tokens":9,"model":"new","temperature":0.20}"#
    );
    let said = r#"{"temperature":1,"max_completion_tokens":5}"#;
    assert_eq!(rewritten(said, &Rewrite { model: "", ..rewrite }), said.replacen('{', r#"{"model":"","#, 1));
    let other = Rewrite { max_field: MaxField::MaxCompletionTokens, temperature: None, ..rewrite };
    assert_eq!(
        rewritten(r#"{"model":"m","max_tokens":null}"#, &other),
        r#"{"max_completion_tokens":9,"model":"new","max_tokens":null}"#
    );
    assert_eq!(
        rewritten_as(r#"{"model":"m","input":"x"}"#, Operation::Embeddings, &rewrite),
        r#"{"model":"new","input":"x"}"#
    );
    assert_eq!(rewritten_as(r#"{"model":"m"}"#, Operation::Completions, &other), r#"{"max_tokens":9,"model":"new"}"#);
}

#[test]
fn a_system_prompt_is_put_first_only_where_there_is_none() {
    let rewrite = Rewrite { system_prompt: Some("Be \"kind\""), ..PLAIN };
    assert_eq!(
        rewritten(r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#, &rewrite),
        r#"{"model":"new","messages":[{"role":"system","content":"Be \"kind\""},{"role":"user","content":"x"}]}"#
    );
    let own = r#"{"model":"new","messages":[{"role":"developer","content":"mine"}]}"#;
    assert_eq!(rewritten(own, &rewrite), own);
    assert_eq!(
        rewritten(r#"{"model":"m","messages":[]}"#, &rewrite),
        r#"{"model":"new","messages":[{"role":"system","content":"Be \"kind\""}]}"#
    );
}

#[test]
fn hydration_stands_before_whatever_system_prompt_there_is() {
    let rewrite = Rewrite { system_prompt: Some("default"), hydration: Some("I am\n"), ..PLAIN };
    let with = |content: &str| format!(r#"{{"model":"new","messages":[{{"role":"system","content":{content}}}]}}"#);
    for (own, hydrated) in [
        (r#""mine""#, r#""I am\n\n\nmine""#),
        (r#"[{"text":"mine"}]"#, r#"[{"type":"text","text":"I am\n"},{"text":"mine"}]"#),
        ("[ ]", r#"[{"type":"text","text":"I am\n"} ]"#),
        ("null", r#""I am\n""#),
    ] {
        assert_eq!(rewritten(&with(own), &rewrite), with(hydrated));
    }
    assert_eq!(
        rewritten(r#"{"model":"new","messages":[]}"#, &rewrite),
        r#"{"model":"new","messages":[{"role":"system","content":"I am\n\n\ndefault"}]}"#
    );
}

#[test]
fn responses_have_their_own_names_for_the_same() {
    let rewrite = Rewrite { system_prompt: Some("default"), hydration: Some("I"), max_tokens: Some(9), ..PLAIN };
    let responses = |body: &str| rewritten_as(body, Operation::Responses, &rewrite);
    assert_eq!(
        responses(r#"{"model":"m","input":"x","max_output_tokens":3,"instructions":"mine"}"#),
        r#"{"model":"new","input":"x","max_output_tokens":3,"instructions":"I\n\nmine"}"#
    );
    assert_eq!(
        responses(r#"{"model":"m","instructions":null}"#),
        r#"{"max_output_tokens":9,"model":"new","instructions":"I\n\ndefault"}"#
    );
    assert_eq!(
        responses(r#"{"model":"m","max_output_tokens":1,"input":[{"role":"system","content":"mine"}]}"#),
        r#"{"instructions":"I","model":"new","max_output_tokens":1,"input":[{"role":"system","content":"mine"}]}"#
    );
}

#[test]
fn a_stream_is_asked_for_its_usage_however_the_options_stand() {
    let rewrite = Rewrite { include_usage: true, ..PLAIN };
    for (options, asked) in [
        ("null", r#"{"include_usage":true}"#),
        ("{ }", r#"{"include_usage":true }"#),
        (r#"{"a":1}"#, r#"{"include_usage":true,"a":1}"#),
        (r#"{"include_usage":false}"#, r#"{"include_usage":true}"#),
        (r#"{"include_usage":null}"#, r#"{"include_usage":true}"#),
    ] {
        let with = |options: &str| format!(r#"{{"model":"new","stream":true,"stream_options":{options}}}"#);
        assert_eq!(rewritten(&with(options), &rewrite), with(asked));
        assert!(injects(&with(options)));
    }
    let absent = r#"{"model":"new","stream":true}"#;
    assert!(rewritten(absent, &rewrite).contains(r#""stream_options":{"include_usage":true},"#));
    assert!(injects(absent));
    assert!(!injects(r#"{"stream":true,"stream_options":{"include_usage":true}}"#));
    assert!(!injects(r#"{"model":"new"}"#));
}

/// Writes a value with white space and escapes that no usual writer makes.
fn write_oddly(value: &Value, odd: &mut impl FnMut() -> u8, out: &mut String) {
    let gap = ["", " ", "\n", "\t ", "\r\n"][usize::from(odd()) % 5];
    out.push_str(gap);
    match value {
        Value::String(text) => write_text(text, odd, out),
        Value::Array(list) => {
            out.push('[');
            for (index, element) in list.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_oddly(element, odd, out);
            }
            out.push_str(&format!("{gap}]"));
        }
        Value::Object(fields) => {
            out.push_str(&format!("{{{gap}"));
            for (index, (key, field)) in fields.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { " ,\n" });
                write_text(key, odd, out);
                out.push_str(&format!("{gap}:"));
                write_oddly(field, odd, out);
            }
            out.push_str(&format!("{gap}}}"));
        }
        scalar => out.push_str(&scalar.to_string()),
    }
    out.push_str(gap);
}

fn write_text(text: &str, odd: &mut impl FnMut() -> u8, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if odd() < 64 || character < ' ' || "\"\\".contains(character) {
            let mut units = [0; 2];
            out.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}")));
        } else {
            out.push(character);
        }
    }
    out.push('"');
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z\"é]{0,5}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Value> {
    let message = ("(user|system|developer|assistant)", any_value())
        .prop_map(|(role, content)| json!({"role": role, "content": content}));
    let known = (
        proptest::option::of(prop_oneof![Just(Value::Null), "[a-z:/é\"]{0,9}".prop_map(Value::from)]),
        proptest::option::of(prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from)]),
        proptest::option::of(proptest::collection::vec(message, 0..4).prop_map(Value::from)),
        proptest::option::of(prop_oneof![
            Just(json!(null)),
            Just(json!({})),
            Just(json!({"include_usage": false, "x": 1})),
            Just(json!({"include_usage": true})),
        ]),
        proptest::option::of(prop_oneof![Just(json!(null)), Just(json!(0.5))]),
        proptest::option::of(prop_oneof![Just(json!(null)), Just(json!(77))]),
    );
    let others = proptest::collection::hash_map("[a-z\u{1}é]{7,9}", any_value(), 0..4);
    (known, others).prop_map(|((model, stream, messages, options, temperature, max), others)| {
        let known = [
            ("model", model),
            ("stream", stream),
            ("messages", messages),
            ("stream_options", options),
            ("temperature", temperature),
            ("max_tokens", max),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
        Value::Object(others.into_iter().chain(known).collect())
    })
}

/// What a rewritten body must mean, worked out on a tree.
fn expected(mut body: Value) -> Value {
    body["model"] = json!("new \"name\"");
    for (name, value) in [("temperature", json!(0.25)), ("max_tokens", json!(9))] {
        if body[name].is_null() {
            body[name] = value;
        }
    }
    if body["stream"] == json!(true) {
        body["stream_options"]["include_usage"] = json!(true);
    }
    if let Some(messages) = body["messages"].as_array_mut() {
        let leads = |message: &&mut Value| message["role"] == "system" || message["role"] == "developer";
        match messages.iter_mut().find(leads).map(|message| &mut message["content"]) {
            Some(Value::String(text)) => *text = format!("h\n\n{text}"),
            Some(Value::Array(parts)) => parts.insert(0, json!({"type": "text", "text": "h"})),
            Some(other) => *other = json!("h"),
            None => messages.insert(0, json!({"role": "system", "content": "h\n\ns"})),
        }
    }
    if body["messages"].is_null() {
        body.as_object_mut().unwrap().remove("messages");
    }
    body
}

proptest! {
    #[test]
    fn a_rewritten_body_means_the_same_but_for_what_was_to_change(
        body in any_body(),
        odd in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut turn = odd.iter().cycle();
        let mut text = String::new();
        write_oddly(&body, &mut || *turn.next().unwrap(), &mut text);
        let rewrite = Rewrite {
            model: "new \"name\"",
            temperature: Some("0.25"),
            max_tokens: Some(9),
            system_prompt: Some("s"),
            hydration: Some("h"),
            include_usage: true,
            ..PLAIN
        };
        let mut after: Value = serde_json::from_str(&rewritten(&text, &rewrite)).unwrap();
        if after["messages"].is_null() {
            after.as_object_mut().unwrap().remove("messages");
        }
        if after["stream_options"].is_null() {
            after["stream_options"] = Value::Null;
        }
        let mut wanted = expected(body);
        if wanted["stream_options"].is_null() {
            wanted["stream_options"] = Value::Null;
        }
        if wanted["stream"].is_null() || after["stream"].is_null() {
            (wanted["stream"], after["stream"]) = (Value::Null, Value::Null);
        }
        prop_assert_eq!(after, wanted, "{}", text);
    }
}
