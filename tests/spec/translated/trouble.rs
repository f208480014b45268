//! What goes wrong between protocols: what can't be said, errors, broken streams, silences.

use keyway::domain::protocol::Protocol;
use keyway::meter::Outcome;
use serde_json::Value;

use super::{CLIENTS, TEXT, UPSTREAMS, answer, asks, golden, said, speaking, stream};
use crate::support::{Answer, Reply, secs};

#[tokio::test(start_paused = true)]
async fn what_a_target_cannot_be_told_is_refused_by_name_or_named_as_dropped() {
    let world = speaking([("primary", Protocol::Messages)]).stands();
    world.provider("primary").answers(answer(Protocol::Messages, "text"));
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"logit_bias":{"1":2},"seed":1}"#;
    let reply = world.client().posts("/v1/chat/completions", body).await;
    reply.is_refused(400, "unsupported_by_target");
    let error: Value = serde_json::from_slice(&reply.bytes).unwrap();
    assert_eq!(error["error"]["param"], "logit_bias");
    world.provider("primary").was_not_called();
    let body = body.replace(r#""logit_bias":{"1":2},"#, r#""prediction":{"type":"content"},"#);
    let reply = world.client().posts("/v1/chat/completions", body).await;
    assert_eq!((reply.status, reply.header("x-keyway-dropped")), (200, Some("prediction, seed")));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_understands_the_call_takes_over_from_one_that_does_not() {
    let world = speaking([("primary", Protocol::Messages), ("spare", Protocol::Chat)]).stands();
    let body = r#"{"model":"fast","messages":[{"role":"user","content":"hi"}],"n":2}"#;
    world.client().posts("/v1/chat/completions", body).await.is_served("hello");
    world.provider("primary").was_not_called();
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_first_content_moves_on_to_a_provider_of_another_protocol() {
    let world = speaking([("primary", Protocol::Messages), ("spare", Protocol::Gemini)]).stands();
    let started = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n";
    let overloaded =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"no\"}}\n\n";
    world.provider("primary").answers(Answer::begins().event(started).event(overloaded).ends());
    world.provider("spare").answers(stream(Protocol::Gemini, "text"));
    let reply = asks(&world, Protocol::Responses, "fast", true).await;
    assert_eq!(said(Protocol::Responses, &reply), TEXT);
    assert_eq!(reply.header("x-keyway-attempts"), Some("2"));
    let whole = Answer::json(200, r#"{"type":"error","error":{"type":"api_error","message":"no"}}"#);
    world.provider("primary").answers(whole);
    world.provider("spare").answers(answer(Protocol::Gemini, "text"));
    assert_eq!(said(Protocol::Chat, &asks(&world, Protocol::Chat, "fast", false).await), TEXT);
}

/// The last event of a client's stream.
fn last(reply: &Reply) -> Value {
    let text = reply.text();
    serde_json::from_str(text.trim_end().rsplit("data: ").next().unwrap()).unwrap_or_else(|_| panic!("{text}"))
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_or_breaks_says_so_in_the_clients_protocol() {
    for client in CLIENTS {
        for upstream in UPSTREAMS.into_iter().filter(|upstream| *upstream != client) {
            let world = speaking([("primary", upstream)]).stands();
            let name = format!("{client} to {upstream}");
            let whole = stream(upstream, "text");
            world.provider("primary").answers(whole.clone().cut_to(6).closes());
            let reply = asks(&world, client, "m", true).await;
            if reply.status == 200 {
                assert!(reply.broken, "{name}");
                let event = last(&reply);
                let said = event["error"]["message"].as_str().or(event["response"]["error"]["message"].as_str());
                assert_eq!(said, Some("the provider closed the stream before finishing"), "{name}: {}", reply.text());
                assert_eq!(world.record().outcome, Outcome::CutOff);
            }
            let failing = match upstream {
                Protocol::Chat => "failed",
                Protocol::Bedrock => "exception",
                _ => "error_event",
            };
            world.provider("primary").answers(stream(upstream, failing));
            let reply = asks(&world, client, "m", true).await;
            assert!(reply.broken && reply.text().contains("\"error\""), "{name}: {}", reply.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_providers_no_reaches_the_client_as_its_sdk_reads_it() {
    let limited = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    let limited = Answer::of(429, &[("content-type", "application/json"), ("retry-after", "7")], limited);
    for (client, kind) in [
        (Protocol::Chat, "rate_limit_error"),
        (Protocol::Responses, "rate_limit_error"),
        (Protocol::Gemini, "RESOURCE_EXHAUSTED"),
    ] {
        let world = speaking([("primary", Protocol::Messages)]).stands();
        world.provider("primary").answers(limited.clone());
        let reply = asks(&world, client, "m", false).await;
        let error: Value = serde_json::from_slice(&reply.bytes).unwrap();
        let said = error["error"]["type"].as_str().or(error["error"]["status"].as_str());
        assert_eq!((reply.status, said, reply.header("retry-after")), (429, Some(kind), Some("7")), "{client}");
        assert_eq!(error["error"]["message"], "slow down");
    }
    let world = speaking([("primary", Protocol::Gemini)]).stands();
    let overloaded = r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#;
    world.provider("primary").answers(Answer::json(503, overloaded));
    let reply = asks(&world, Protocol::Messages, "m", false).await;
    let error: Value = serde_json::from_slice(&reply.bytes).unwrap();
    assert_eq!(
        (reply.status, &error["type"], &error["error"]["type"]),
        (529, &"error".into(), &"overloaded_error".into())
    );
    let key = r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}"#;
    world.provider("primary").answers(Answer::json(400, key));
    let reply = asks(&world, Protocol::Messages, "m", false).await;
    let error: Value = serde_json::from_slice(&reply.bytes).unwrap();
    assert_eq!((reply.status, &error["error"]["type"]), (502, &"api_error".into()));
}

#[tokio::test(start_paused = true)]
async fn silences_are_bridged_in_the_clients_words() {
    let upstream = Protocol::Chat;
    for (client, bridge) in [(Protocol::Messages, "event: ping\n"), (Protocol::Gemini, ": keep-alive\n")] {
        let world = speaking([("primary", upstream)]).stands();
        let text = golden(upstream, "text/stream.sse");
        let at = memchr::memmem::find(&text, b"data: [DONE]").unwrap();
        let answer = Answer::begins().event(&text[..at]).waits(secs(20)).event(&text[at..]).ends();
        world.provider("primary").answers(answer);
        let reply = asks(&world, client, "m", true).await;
        assert_eq!(said(client, &reply), "Hi, Zoë! 👋".to_string(), "{}", reply.text());
        assert!(reply.text().contains(bridge), "{}", reply.text());
    }
}
