//! Any client to any provider, through the whole gateway: asked in one protocol, answered in another.

mod counting;
mod paths;
mod trouble;

use std::fs;

use keyway::domain::protocol::Protocol;
use keyway::domain::usage::Basis;
use keyway::meter::Outcome;
use serde_json::Value;

use super::golden::frames;
use super::support::{Answer, Ask, Plan, Reply, World};

const CLIENTS: [Protocol; 4] = [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini];
const UPSTREAMS: [Protocol; 5] =
    [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini, Protocol::Bedrock];

/// What the provider of every protocol says in its golden case.
const TEXT: &str = "Hi, Zoë! 👋";

/// A gateway whose providers speak these protocols.
fn speaking<const N: usize>(providers: [(&str, Protocol); N]) -> Plan {
    let plan = World::of(providers.map(|(name, _)| name));
    providers.iter().fold(plan, |plan, (name, protocol)| plan.provider(name, "protocol", &format!("\"{protocol}\"")))
}

fn golden(protocol: Protocol, file: &str) -> Vec<u8> {
    fs::read(format!("tests/golden/{protocol}/{file}")).unwrap()
}

/// A golden answer as its provider sends it.
fn answer(upstream: Protocol, case: &str) -> Answer {
    Answer::json(200, std::str::from_utf8(&golden(upstream, &format!("{case}/answer.json"))).unwrap())
}

/// A golden stream, in chunks that cut its events anywhere.
fn stream(upstream: Protocol, case: &str) -> Answer {
    let (kind, bytes) = match upstream {
        Protocol::Bedrock => {
            let lines = golden(upstream, &format!("{case}/stream.frames"));
            ("application/vnd.amazon.eventstream", frames::written(&lines))
        }
        _ => ("text/event-stream", golden(upstream, &format!("{case}/stream.sse"))),
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
    bytes.chunks(97).fold(Answer::raw(head), Answer::event).ends()
}

/// The golden question of a client of this protocol, to this model.
fn asks(world: &World, client: Protocol, model: &str, is_streamed: bool) -> Ask {
    let mut body: Value = serde_json::from_slice(&golden(client, "asker.json")).unwrap();
    let path = match client {
        Protocol::Chat => "/v1/chat/completions".to_string(),
        Protocol::Responses => "/v1/responses".to_string(),
        Protocol::Messages => "/v1/messages?beta=true".to_string(),
        Protocol::Gemini if is_streamed => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        Protocol::Gemini => format!("/v1beta/models/{model}:generateContent"),
        Protocol::Bedrock => unreachable!("nobody calls us in it"),
    };
    if client != Protocol::Gemini {
        body["model"] = model.into();
        if is_streamed {
            body["stream"] = true.into();
        }
    }
    world.client().posts(&path, body.to_string())
}

/// What a client of this protocol reads out of the answer.
fn said(client: Protocol, reply: &Reply) -> String {
    let text = reply.text();
    let events: Vec<Value> = match text.contains("data: ") {
        true => text.split('\n').filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect(),
        false => vec![serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))],
    };
    let texts = |list: &Value| -> String {
        list.as_array().into_iter().flatten().filter_map(|one| one["text"].as_str()).collect()
    };
    let of = |event: &Value| match client {
        Protocol::Chat => {
            let choice = &event["choices"][0];
            choice["message"]["content"].as_str().or(choice["delta"]["content"].as_str()).unwrap_or_default().into()
        }
        Protocol::Responses if event["type"] == "response.output_text.delta" => {
            event["delta"].as_str().unwrap().to_string()
        }
        Protocol::Responses => {
            event["output"].as_array().into_iter().flatten().map(|item| texts(&item["content"])).collect()
        }
        Protocol::Messages => texts(&event["content"]) + event["delta"]["text"].as_str().unwrap_or_default(),
        Protocol::Gemini => texts(&event["candidates"][0]["content"]["parts"]),
        Protocol::Bedrock => unreachable!("nobody calls us in it"),
    };
    events.iter().map(of).collect()
}

/// Where a provider of this protocol is called.
fn path(upstream: Protocol, is_streamed: bool) -> &'static str {
    match (upstream, is_streamed) {
        (Protocol::Chat, _) => "POST /v1/chat/completions ",
        (Protocol::Responses, _) => "POST /v1/responses ",
        (Protocol::Messages, _) => "POST /v1/messages ",
        (Protocol::Gemini, false) => "POST /v1/models/m:generateContent ",
        (Protocol::Gemini, true) => "POST /v1/models/m:streamGenerateContent?alt=sse ",
        (Protocol::Bedrock, false) => "POST /v1/model/m/converse ",
        (Protocol::Bedrock, true) => "POST /v1/model/m/converse-stream ",
    }
}

#[tokio::test(start_paused = true)]
async fn every_client_is_answered_by_every_provider() {
    for client in CLIENTS {
        for upstream in UPSTREAMS {
            for is_streamed in [false, true] {
                let world = speaking([("primary", upstream)]).stands();
                let scripted = if is_streamed { stream(upstream, "text") } else { answer(upstream, "text") };
                world.provider("primary").answers(scripted);
                let reply = asks(&world, client, "m", is_streamed).await;
                let name = format!("{client} to {upstream}, streamed: {is_streamed}: {}", reply.text());
                assert_eq!((reply.status, reply.broken), (200, false), "{name}");
                assert_eq!(said(client, &reply), TEXT, "{name}");
                let kind = if is_streamed { "text/event-stream" } else { "application/json" };
                assert!(reply.header("content-type").unwrap().starts_with(kind), "{name}");
                let heard = world.provider("primary").last();
                assert!(heard.head.starts_with(path(upstream, is_streamed)), "{name}: {}", heard.head);
                assert_eq!(heard.header("anthropic-version").is_some(), upstream == Protocol::Messages, "{name}");
                let record = world.record();
                assert_eq!((record.outcome, record.basis), (Outcome::Served, Basis::Reported), "{name}");
                assert_eq!(record.usage.output_total(), 6, "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn between_equal_protocols_the_bytes_stay_as_they_are() {
    for protocol in [Protocol::Messages, Protocol::Gemini] {
        let world = speaking([("primary", protocol)]).stands();
        world.provider("primary").answers(stream(protocol, "text"));
        let reply = asks(&world, protocol, "m", true).header("anthropic-beta", "a,b").await;
        assert_eq!(reply.bytes, golden(protocol, "text/stream.sse"));
        let heard = world.provider("primary").last();
        let asked: Value = serde_json::from_str(&heard.text()).unwrap();
        assert!(asked.get("messages").is_some() || asked.get("contents").is_some());
        assert_eq!(heard.header("anthropic-beta").is_some(), protocol == Protocol::Messages);
        assert_eq!(world.record().usage.output_total(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_s_defaults_apply_in_every_protocol() {
    for upstream in UPSTREAMS {
        let plan = speaking([("primary", upstream)]);
        let plan = plan.model("primary", "system_prompt", "\"Be brief.\"").model("primary", "temperature", "0.5");
        let world = plan.model("primary", "max_tokens", "77").stands();
        world.provider("primary").answers(answer(upstream, "text"));
        for client in CLIENTS {
            asks(&world, client, "m", false).await;
            let heard = world.provider("primary").last().text();
            // Messages must say how much may be written, so its clients always do.
            let max = if client == Protocol::Messages { "64" } else { "77" };
            for wanted in ["Be brief.", "0.5", max] {
                assert!(heard.contains(wanted), "{client} to {upstream}: {wanted} is not in {heard}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bedrock_is_shown_an_api_key_or_a_signature_of_each_request() {
    for (key, shown) in [
        ("ABSKQmVk", "Bearer ABSKQmVk"),
        ("AKIAIOSFODNN7EXAMPLE:secret", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/"),
        ("ASIAIOSFODNN7EXAMPLE:secret:token", "AWS4-HMAC-SHA256 Credential=ASIAIOSFODNN7EXAMPLE/"),
    ] {
        let plan = World::of(["primary"]).provider("primary", "kind", "\"bedrock\"");
        let plan = plan.provider("primary", "region", "\"eu-central-1\"");
        let world = plan.provider("primary", "api_key", &format!("\"{key}\"")).stands();
        world.provider("primary").answers(answer(Protocol::Bedrock, "text"));
        let reply = asks(&world, Protocol::Messages, "m", false).await;
        assert_eq!(said(Protocol::Messages, &reply), TEXT);
        let heard = world.provider("primary").last();
        let authorization = heard.header("authorization").unwrap();
        assert!(authorization.starts_with(shown), "{authorization}");
        let is_signed = authorization.contains("/eu-central-1/bedrock/aws4_request, SignedHeaders=content-type;host;");
        assert_eq!((is_signed, heard.header("x-amz-date").is_some()), (key.contains(':'), key.contains(':')));
        assert_eq!(heard.header("x-amz-security-token"), key.ends_with("token").then_some("token"));
        assert!(!heard.head.contains("secret"));
    }
}
