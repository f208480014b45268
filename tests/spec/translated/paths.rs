//! Paths that only some protocols have, and what is asked there.

use keyway::domain::protocol::Protocol;
use serde_json::Value;

use super::{TEXT, answer, golden, speaking, stream};
use crate::support::{Answer, Reply, World};

#[tokio::test(start_paused = true)]
async fn geminis_stream_without_events_is_one_array() {
    let world = speaking([("primary", Protocol::Messages)]).stands();
    world.provider("primary").answers(stream(Protocol::Messages, "text"));
    let body = String::from_utf8(golden(Protocol::Gemini, "asker.json")).unwrap();
    let reply = world.client().posts("/v1beta/models/m:streamGenerateContent", body).await;
    let all: Vec<Value> = serde_json::from_slice(&reply.bytes).unwrap();
    let text: String =
        all.iter().map(|one| one["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap()).collect();
    assert_eq!((text.as_str(), reply.header("content-type")), (TEXT, Some("application/json")));
}

#[tokio::test(start_paused = true)]
async fn geminis_clients_may_show_their_token_in_the_query_and_no_provider_sees_it() {
    let world = speaking([("primary", Protocol::Gemini)]).stands();
    world.provider("primary").answers(answer(Protocol::Gemini, "text"));
    let body = String::from_utf8(golden(Protocol::Gemini, "asker.json")).unwrap();
    let path = format!("/v1/models/primary:m:generateContent?key={}", world.token("main"));
    let reply = world.client().posts(&path, body.clone()).without("authorization").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(!world.provider("primary").last().head.contains("key="));
    let elsewhere = format!("/v1/chat/completions?key={}", world.token("main"));
    let reply = world.client().posts(&elsewhere, body).without("authorization").await;
    assert_eq!(reply.status, 401);
}

#[tokio::test(start_paused = true)]
async fn models_are_listed_in_the_shape_that_the_client_reads() {
    let world = World::of(["primary"]).stands();
    let list = |reply: Reply| serde_json::from_slice::<Value>(&reply.bytes).unwrap();
    let of_anthropic =
        list(world.client().gets("/v1/models?limit=1000").header("anthropic-version", "2023-06-01").await);
    let ids: Vec<&str> = of_anthropic["data"].as_array().unwrap().iter().filter_map(|one| one["id"].as_str()).collect();
    assert!(ids.contains(&"primary:m") && of_anthropic["has_more"] == false, "{of_anthropic}");
    let of_google = list(world.client().gets("/v1beta/models").await);
    let names: Vec<&str> =
        of_google["models"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"models/primary:m"), "{of_google}");
    let token = world.token("main");
    let one = list(
        world.client().gets("/v1/models/primary:m").without("authorization").header("x-goog-api-key", &token).await,
    );
    assert_eq!(one["name"], "models/primary:m");
    assert_eq!(list(world.client().gets("/v1/models").await)["object"], "list");
}

#[tokio::test(start_paused = true)]
async fn embeddings_are_translated_and_what_has_no_counterpart_is_refused() {
    let world = speaking([("primary", Protocol::Gemini)]).stands();
    let vectors = r#"{"embeddings":[{"values":[0.5,1]}],"usageMetadata":{"promptTokenCount":4}}"#;
    world.provider("primary").answers(Answer::json(200, vectors));
    let body = r#"{"model":"m","input":"hi","encoding_format":"base64"}"#;
    let reply = world.client().posts("/v1/embeddings", body).await;
    assert!(reply.text().contains(r#""embedding":"AAAAPwAAgD8=""#), "{}", reply.text());
    assert!(world.provider("primary").last().head.starts_with("POST /v1/models/m:batchEmbedContents "));
    assert_eq!(world.record().usage.input, 4);
    let reply = world.client().posts("/v1/moderations", r#"{"model":"m","input":"hi"}"#).await;
    reply.is_refused(400, "unsupported_by_target");
    let compact = world.client().posts("/v1/responses/compact", r#"{"model":"m","input":"hi"}"#).await;
    compact.is_refused(400, "unsupported_by_target");
}
