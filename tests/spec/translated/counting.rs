//! Promise: how long a call is can be asked of every provider, and what is only an estimate says so.

use keyway::domain::protocol::Protocol;
use serde_json::{Value, json};

use super::super::support::{Answer, Reply, World};
use super::speaking;

/// The same call as a client of each protocol asks for its length, and where the number stands in its answer.
fn questions() -> [(&'static str, Value, &'static str); 3] {
    let turns = json!([{"role": "user", "content": "hi there"}]);
    [
        ("/v1/messages/count_tokens", json!({"model": "m", "messages": turns}), "input_tokens"),
        ("/v1/responses/input_tokens", json!({"model": "m", "input": turns}), "input_tokens"),
        (
            "/v1beta/models/m:countTokens",
            json!({"contents": [{"role": "user", "parts": [{"text": "hi there"}]}]}),
            "totalTokens",
        ),
    ]
}

fn number(reply: &Reply, name: &str) -> Option<u64> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_str::<Value>(&reply.text()).unwrap()[name].as_u64()
}

#[tokio::test(start_paused = true)]
async fn a_provider_s_own_counter_is_asked_in_its_own_words() {
    let world = speaking([("primary", Protocol::Messages)]).stands();
    world.provider("primary").answers(Answer::json(200, r#"{"input_tokens":42}"#));
    for (asked, body, name) in questions() {
        let reply = world.client().posts(asked, body.to_string()).await;
        assert_eq!(number(&reply, name), Some(42), "{asked}");
        assert_eq!(reply.header("x-keyway-estimated"), None);
        let heard = world.provider("primary").last();
        assert!(heard.head.starts_with("POST /v1/messages/count_tokens "), "{asked}: {}", heard.head);
        assert!(heard.text().contains("hi there") && !heard.text().contains("max_tokens"), "{}", heard.text());
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_counter_it_is_an_estimate_that_says_so_and_nobody_is_asked() {
    let world: World = speaking([("primary", Protocol::Chat)]).stands();
    for (asked, body, name) in questions() {
        let reply = world.client().posts(asked, body.to_string()).await;
        assert!(number(&reply, name).is_some_and(|number| (2..20).contains(&number)), "{}", reply.text());
        assert_eq!(reply.header("x-keyway-estimated"), Some("true"));
    }
    world.provider("primary").was_not_called();
}

#[tokio::test(start_paused = true)]
async fn a_counter_that_fails_is_a_provider_that_failed() {
    let world = speaking([("primary", Protocol::Messages)]).stands();
    let (asked, body, _) = &questions()[1];
    world.provider("primary").answers(Answer::json(200, "{}"));
    assert_eq!(world.client().posts(asked, body.to_string()).await.status, 502);
    world.provider("primary").answers(Answer::error(429, "slow"));
    assert_eq!(world.client().posts(asked, body.to_string()).await.status, 429);
}
