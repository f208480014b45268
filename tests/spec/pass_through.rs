//! Between equal protocols the client's bytes are the provider's, but for the model; all else follows lists.

mod refused;

use keyway::domain::usage::Basis;
use keyway::meter::Outcome;

use super::support::{Answer, Plan, World, secs};

const CHAT: &str = "/v1/chat/completions";

fn one() -> Plan {
    World::of(["primary"])
}

/// What the provider gets of this body.
async fn sent(plan: Plan, path: &str, body: &str) -> String {
    let world = plan.stands();
    world.client().posts(path, body.to_string()).await;
    world.provider("primary").last().text()
}

/// This body goes out as it came, but for the model.
async fn check_kept(body: &str, model_as_written: &str) {
    assert_eq!(sent(one(), CHAT, body).await, body.replacen(model_as_written, "\"m\"", 1));
}

#[tokio::test(start_paused = true)]
async fn the_clients_bytes_are_the_providers_but_for_the_model() {
    check_kept("{\"messages\":[],\"model\":\"primary:m\",\"z\":1}", "\"primary:m\"").await;
    check_kept(" {\n\t\"model\" :\t\"m\" , \"seed\":123456789012345678901234567890, \"n\":1.0e+00 }\r\n ", "\"m\"")
        .await;
    check_kept(
        "{\"model\":\"\\u0070rimary\\u003am\",\"user\":\"\\u00e9\\ud83e\\udd80\\/é🦀\"}",
        "\"\\u0070rimary\\u003am\"",
    )
    .await;
    check_kept("{\"x\":{\"model\":\"other\"},\"model\":\"primary/m\",\"y\":[{\"model\":1}]}", "\"primary/m\"").await;
    check_kept("{\"model\":\"m\",\"unknown\":1,\"unknown\":2,\"\":null,\"a\":{\"b\":{}}}", "\"m\"").await;
    check_kept("{\"mod\\u0065l\":\"primary:m\",\"stream\":false}", "\"primary:m\"").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_call_leaves_out_the_models_defaults_fill_in() {
    let plan = || {
        let plan = one().model("primary", "temperature", "0.70").model("primary", "max_tokens", "99");
        plan.model("primary", "system_prompt", "\"Be brief.\"")
    };
    let bare = sent(plan(), CHAT, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}").await;
    let value: serde_json::Value = serde_json::from_str(&bare).unwrap();
    assert_eq!((&value["max_tokens"], value["messages"][0]["content"].as_str()), (&99.into(), Some("Be brief.")));
    assert!(bare.contains("\"temperature\":0.7"), "{bare}");
    let said = "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"x\"}],\"temperature\":1,\"max_completion_tokens\":5}";
    assert_eq!(sent(plan(), CHAT, said).await, said);
}

/// Real threads scan what takes long, so the clock runs.
#[tokio::test]
async fn a_body_of_five_megabytes_or_of_many_values_goes_through() {
    let world = one().stands();
    let long = format!("{{\"role\":\"user\",\"content\":\"{}\"}}", "x".repeat(5 << 20));
    let many = vec!["{\"role\":\"user\",\"content\":\"x\"}"; 10_000].join(",");
    for messages in [long, many] {
        let body = format!("{{\"messages\":[{messages}],\"model\":\"primary:m\"}}");
        world.client().posts(CHAT, body.clone()).await.is_served("hello");
        assert!(world.provider("primary").last().text() == body.replace("primary:m", "m"));
    }
    world.is_at_rest().await;
}

const MULTIPART: &str = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n\0RIFF\r\n--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nfast\r\n--b--\r\n";

#[tokio::test(start_paused = true)]
async fn an_upload_goes_through_with_the_targets_model_and_can_fail_over() {
    let world = World::of(["primary", "spare"]).stands();
    world.provider("primary").answers(Answer::error(500, "down"));
    world.provider("spare").answers(Answer::json(200, "{\"text\":\"hi\"}"));
    let ask = world.client().sends("POST", "/v1/audio/transcriptions", MULTIPART);
    let reply = ask.header("content-type", "multipart/form-data; boundary=b").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "{\"text\":\"hi\"}"));
    for name in ["primary", "spare"] {
        let heard = world.provider(name).last();
        assert!(heard.head.starts_with("POST /v1/audio/transcriptions "), "{}", heard.head);
        assert_eq!(heard.header("content-type"), Some("multipart/form-data; boundary=b"));
        assert_eq!(heard.text(), MULTIPART.replace("fast", "m"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_a_form_asks_for_passes_as_it_comes_and_is_counted() {
    const DELTA: &str = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"hi\"}\n\n";
    const DONE: &str = "data: {\"type\":\"transcript.text.done\",\"text\":\"hi\",\
        \"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"output_tokens\":3,\"total_tokens\":17}}\n\n";
    let world = one().stands();
    let ask = || {
        let form =
            MULTIPART.replace("--b--", "--b\r\ncontent-disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--b--");
        world
            .client()
            .sends("POST", "/v1/audio/transcriptions", form)
            .header("content-type", "multipart/form-data; boundary=b")
    };
    world.provider("primary").answers(Answer::begins().event(DELTA).waits(secs(5)).event(DONE).ends());
    let mut live = ask().begins().await;
    live.hears("transcript.text.delta").await;
    assert!(live.elapsed() < secs(5), "it waits for nothing more");
    assert_eq!(live.rest().await.text(), format!("{DELTA}{DONE}"));
    let record = world.record();
    assert_eq!((record.usage.input, record.usage.output, record.basis), (14, 3, Basis::Reported));
    world.provider("primary").answers(Answer::begins().event(DELTA).closes());
    ask().await.breaks_off("closed the stream before finishing");
    assert_eq!(world.outcomes().last(), Some(&Outcome::CutOff));
}

#[tokio::test(start_paused = true)]
async fn only_listed_headers_travel_to_the_provider() {
    let world = one().stands();
    let mut ask = world.client().asks("m");
    for (name, value) in [
        ("cookie", "session=1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("openai-organization", "org-1"),
        ("x-custom", "1"),
        ("proxy-authorization", "Basic eA=="),
        ("x-keyway-session", "s"),
        ("te", "trailers"),
        ("accept-encoding", "gzip, br"),
    ] {
        ask = ask.header(name, value);
    }
    let kept =
        [("openai-beta", "assistants=v2"), ("traceparent", "00-1-2-01"), ("idempotency-key", "k"), ("x-title", "t")];
    for (name, value) in kept {
        ask = ask.header(name, value);
    }
    ask.await.is_served("hello");
    let heard = world.provider("primary").last();
    for (name, value) in kept {
        assert_eq!(heard.header(name), Some(value));
    }
    let known = [
        "openai-beta",
        "traceparent",
        "idempotency-key",
        "x-title",
        "host",
        "user-agent",
        "content-type",
        "content-length",
        "authorization",
    ];
    let names = heard.head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    for name in names {
        assert!(known.contains(&name), "{name} went out: {}", heard.head);
    }
    assert_eq!(heard.header("host"), Some("primary.example"));
}

#[tokio::test(start_paused = true)]
async fn only_listed_headers_travel_to_the_client() {
    let world = one().stands();
    let headers = [
        ("content-type", "application/json"),
        ("set-cookie", "a=b"),
        ("location", "https://evil.example/"),
        ("server", "x"),
        ("access-control-allow-origin", "*"),
        ("strict-transport-security", "max-age=1"),
        ("x-ratelimit-remaining-requests", "1"),
        ("openai-organization", "secret-org"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("x-request-id", "req_1"),
        ("openai-processing-ms", "12"),
    ];
    world.provider("primary").answers(Answer::of(200, &headers, "{}"));
    let reply = world.client().asks("m").await;
    let mut names: Vec<&str> = reply.headers.keys().map(|name| name.as_str()).filter(|name| *name != "date").collect();
    names.sort();
    let wanted = [
        "content-length",
        "content-type",
        "openai-processing-ms",
        "x-content-type-options",
        "x-keyway-attempts",
        "x-keyway-model",
        "x-keyway-provider",
        "x-keyway-request-id",
        "x-request-id",
    ];
    assert_eq!((names, reply.header("x-request-id")), (wanted.to_vec(), Some("req_1")));
}

#[tokio::test(start_paused = true)]
async fn rate_limits_are_shown_to_whoever_owns_the_key() {
    let world = one().neighbour("other").key("other", "primary", "key-of-other").stands();
    let headers = [("content-type", "application/json"), ("x-ratelimit-remaining-requests", "1")];
    world.provider("primary").answers(Answer::of(200, &headers, "{}"));
    assert_eq!(world.client().asks("m").await.header("x-ratelimit-remaining-requests"), None);
    assert_eq!(world.client_of("other").asks("m").await.header("x-ratelimit-remaining-requests"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_never_followed_nor_passed_on() {
    let world = one().stands();
    world.provider("primary").answers(Answer::of(302, &[("location", "https://evil.example/")], ""));
    let reply = world.client().asks("m").await;
    reply.is_refused(502, "provider_failed");
    assert_eq!(reply.header("location"), None);
    world.provider("primary").was_called(1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_provider_repeats_is_not_repeated_to_the_client() {
    let world = one().stands();
    let body = "{\"error\":{\"message\":\"no such thing for key-of-primary\",\"code\":\"invalid_value\"}}";
    world.provider("primary").answers(Answer::json(400, body));
    let reply = world.client().asks("m").await;
    reply.is_refused(400, "invalid_value");
    assert!(!reply.text().contains("key-of-primary"), "{}", reply.text());
}

/// Where a call to an Azure resource goes, and with what.
async fn azure(settings: &[(&str, &str)], path: &str, body: &str) -> (String, String, Option<String>) {
    let plan = one().provider("primary", "kind", "\"azure-openai\"").provider(
        "primary",
        "base_url",
        "\"https://primary.example\"",
    );
    let plan = settings.iter().fold(plan, |plan, (setting, value)| plan.provider("primary", setting, value));
    let world = plan.stands();
    world.client().posts(path, body.to_string()).await.is_served("hello");
    let heard = world.provider("primary").last();
    let line = heard.head.lines().next().unwrap().to_string();
    assert_eq!(heard.header("authorization"), None);
    (line, heard.text(), heard.header("api-key").map(str::to_string))
}

#[tokio::test(start_paused = true)]
async fn azure_is_spoken_to_in_both_forms_of_its_urls() {
    let key = Some("key-of-primary".to_string());
    let body = "{\"model\":\"m\"}";
    let (line, sent, shown) = azure(&[], CHAT, body).await;
    assert_eq!((line.as_str(), sent.as_str(), shown), ("POST /openai/v1/chat/completions HTTP/1.1", body, key.clone()));
    let (line, sent, shown) = azure(&[("api_version", "\"2024-10-21\"")], CHAT, body).await;
    let wanted = "POST /openai/deployments/m/chat/completions?api-version=2024-10-21 HTTP/1.1";
    assert_eq!((line.as_str(), sent.as_str(), shown), (wanted, body, key));
}

#[tokio::test(start_paused = true)]
async fn azures_own_clients_are_understood() {
    let world = one().stands();
    let path = "/openai/deployments/m/chat/completions?api-version=2024-10-21";
    world.client().posts(path, "{\"model\":\"whatever\",\"messages\":[]}").await.is_served("hello");
    world.client().posts(path, "{\"messages\":[]}").await.is_served("hello");
    let heard = world.provider("primary").last();
    assert!(heard.head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{}", heard.head);
    assert!(heard.text().contains("\"model\":\"m\""), "{}", heard.text());
}

#[tokio::test(start_paused = true)]
async fn openrouters_ids_and_headers_stay_whole() {
    let plan = one().provider("primary", "kind", "\"openrouter\"");
    let world = plan.stands();
    let ask = world.client().asks("primary:anthropic/claude-3.5-sonnet:beta");
    ask.header("http-referer", "https://app.example").header("x-title", "App").await.is_served("hello");
    let heard = world.provider("primary").last();
    assert!(heard.text().contains("\"model\":\"anthropic/claude-3.5-sonnet:beta\""), "{}", heard.text());
    assert_eq!((heard.header("http-referer"), heard.header("x-title")), (Some("https://app.example"), Some("App")));
}

#[tokio::test(start_paused = true)]
async fn responses_go_to_those_who_speak_them() {
    let world = one().provider("primary", "kind", "\"openai\"").stands();
    let event = |kind: &str, more: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{more}}}\n\n");
    let done =
        ",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}";
    let events = [
        event("response.created", ",\"response\":{\"id\":\"resp_1\"}"),
        event("response.output_text.delta", ",\"delta\":\"hi\""),
        event("response.completed", done),
    ];
    world.provider("primary").answers(events.iter().fold(Answer::begins(), Answer::event).ends());
    let reply = world.client().posts("/v1/responses", "{\"model\":\"m\",\"input\":\"hi\",\"stream\":true}").await;
    assert_eq!((reply.text(), reply.broken), (events.concat(), false));
    let heard = world.provider("primary").last();
    assert!(heard.head.starts_with("POST /v1/responses "));
    assert_eq!(heard.text(), "{\"model\":\"m\",\"input\":\"hi\",\"stream\":true}");
    assert_eq!((world.record().usage.input, world.record().usage.output), (3, 4));
}

/// Files and batches as a workspace with a key of its own has them, and as one that shares the platform's.
fn objects() -> World {
    let plan = one().neighbour("other").key("other", "primary", "key-of-other");
    plan.token("batcher", "other", |token| token.may_batch = true).stands()
}

#[tokio::test(start_paused = true)]
async fn batches_need_a_token_that_may_make_them() {
    let world = objects();
    let body = "{\"input_file_id\":\"file-1\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}";
    let ask = |token: &str| world.client_of(token).posts("/v1/batches", body).header("x-keyway-provider", "primary");
    ask("other").await.is_refused(403, "batches_denied");
    ask("main").await.is_refused(403, "batches_denied");
    world.provider("primary").was_not_called();
    world.provider("primary").answers(Answer::json(200, "{\"id\":\"batch_1\"}"));
    assert_eq!(ask("batcher").await.status, 200);
    assert_eq!(world.provider("primary").last().text(), body);
}

#[tokio::test(start_paused = true)]
async fn audio_and_files_come_through_as_they_are() {
    let world = one().stands();
    let audio = "\u{1}<html>{\"error\":1}".repeat(1_000);
    world.provider("primary").answers(Answer::of(200, &[("content-type", "audio/mpeg")], &audio));
    let reply = world.client().posts("/v1/audio/speech", "{\"model\":\"m\",\"input\":\"hi\",\"voice\":\"v\"}").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("audio/mpeg")));
    assert!(reply.text() == audio && !reply.broken);
}

#[tokio::test(start_paused = true)]
async fn a_coded_answer_that_nobody_asked_for_is_a_failure() {
    let world = World::of(["primary", "spare"]).stands();
    let coded =
        Answer::of(200, &[("content-type", "application/json"), ("content-encoding", "gzip")], "\u{1f}squeezed");
    world.provider("primary").answers(coded);
    world.client().asks("fast").await.is_served("hello");
    let coded =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc";
    world.provider("primary").answers(Answer::raw(coded));
    world.provider("spare").answers(Answer::stream(["hello"]));
    world.client().asks("fast").streamed().await.is_served("hello");
}

#[tokio::test(start_paused = true)]
async fn one_model_is_described_by_any_of_its_names() {
    let world = one().stands();
    for name in ["m", "primary:m", "primary%3Am", "primary/m", "fast"] {
        let reply = world.client().gets(&format!("/v1/models/{name}")).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    }
    world.client().gets("/v1/models/nobody:knows").await.is_refused(404, "model_not_found");
    world.provider("primary").was_not_called();
}

#[tokio::test(start_paused = true)]
async fn every_usual_base_url_leads_to_the_same_operation() {
    let world = one().stands();
    let body = "{\"model\":\"m\",\"messages\":[]}";
    for path in ["/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions", "/v1/chat/completions?x=1"]
    {
        world.client().posts(path, body).await.is_served("hello");
        let head = world.provider("primary").last().head;
        assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{path}: {head}");
    }
}
