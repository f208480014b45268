//! What is no call is refused in the protocol's shape, and nothing goes out for it.

use std::time::Duration;

use tokio::time::Instant;

use super::super::support::{Answer, secs};
use super::{CHAT, MULTIPART, one};

/// What is no operation is refused in the protocol's shape, within no time and without a call.
async fn check_refused(method: &str, path: &str, status: u16, code: &str) {
    let world = one().stands();
    let reply = world.client().sends(method, path, "").await;
    assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
    if method != "HEAD" {
        reply.is_refused(status, code);
    }
    assert_eq!(reply.took, secs(0));
    world.provider("primary").was_not_called();
    assert!(world.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_operation_is_refused_without_a_call() {
    for path in ["/", "/v1", "/v1/nothing", "/v1/chat/completions/", "/v2/chat/completions", "/metrics", "/admin"] {
        check_refused("POST", path, 404, "path_unknown").await;
    }
    check_refused("POST", "/v1/v1/chat/completions", 404, "path_unknown").await;
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"] {
        check_refused(method, CHAT, 405, "method_not_allowed").await;
    }
    check_refused("POST", "/v1/models", 405, "method_not_allowed").await;
    check_refused("CONNECT", "gateway.example:443", 405, "method_not_allowed").await;
    check_refused("TRACE", CHAT, 405, "method_not_allowed").await;
}

/// This body is refused before anything goes out.
async fn check_body(content_type: &str, body: &str, status: u16, code: &str) {
    let world = one().stands();
    let reply = world.client().sends("POST", CHAT, body.to_string()).header("content-type", content_type).await;
    reply.is_refused(status, code);
    world.provider("primary").was_not_called();
    world.is_at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_call_is_refused() {
    const JSON: &str = "application/json";
    for body in [
        "",
        "[]",
        "null",
        "{",
        "{}x",
        "{\"model\":\"m\",}",
        "\u{feff}{}",
        "{\"a\":NaN}",
        "{\"a\":1 /* */}",
        "{\"a\":\"\t\"}",
    ] {
        check_body(JSON, body, 400, "body_invalid").await;
    }
    check_body(JSON, &format!("{{\"a\":{}1{}}}", "[".repeat(64), "]".repeat(64)), 400, "body_invalid").await;
    for body in [
        "{\"model\":\"m\",\"mod\\u0065l\":\"n\"}",
        "{\"model\":7}",
        "{\"model\":\"../m\"}",
        "{\"model\":\"\\ud800\"}",
        "{\"model\":\"m\",\"stream\":\"yes\"}",
    ] {
        let reply = one().stands().client().posts(CHAT, body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
    }
    for field in ["api_base", "base_url", "api_key", "custom_llm_provider"] {
        check_body(JSON, &format!("{{\"model\":\"m\",\"{field}\":\"x\"}}"), 400, "field_denied").await;
    }
    check_body("text/plain", "{}", 415, "content_type_unsupported").await;
    check_body("multipart/form-data; boundary=b", MULTIPART, 415, "content_type_unsupported").await;
}

#[tokio::test(start_paused = true)]
async fn a_coded_body_is_refused() {
    let world = one().stands();
    for coding in ["gzip", "br", "zstd", "deflate"] {
        world
            .client()
            .asks("m")
            .header("content-encoding", coding)
            .await
            .is_refused(415, "content_encoding_unsupported");
    }
    world.client().asks("m").header("content-encoding", "identity").await.is_served("hello");
    world.provider("primary").was_called(1);
}

fn head(more: &str) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\ncontent-type: application/json\r\nconnection: close\r\n{more}\r\n"
    )
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_refused_by_its_length_or_as_soon_as_it_is() {
    let world = one().set("limits", "body = \"1KiB\"").stands();
    let heard = world.client().raw(&head("content-length: 1025\r\n")).await;
    assert!(heard.starts_with("HTTP/1.1 413") && heard.contains("body_too_large"), "{heard}");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let heard = world.client().raw(&format!("{}{chunk}{chunk}", head("transfer-encoding: chunked\r\n"))).await;
    assert!(heard.starts_with("HTTP/1.1 413"), "{heard}");
    world.provider("primary").was_not_called();
    world.is_at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_given_up_after_30_seconds() {
    let world = one().stands();
    let start = Instant::now();
    let heard = world.client().raw(&format!("{}{{\"model\"", head("content-length: 100\r\n"))).await;
    assert!(heard.starts_with("HTTP/1.1 408") && heard.contains("body_timeout"), "{heard}");
    assert!(start.elapsed() < secs(33), "{:?}", start.elapsed());
    world.provider("primary").was_not_called();
    world.is_at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn the_bodies_in_flight_are_bounded_together() {
    let world = one().set("limits", "body = \"1KiB\"\nbodies_in_flight = \"1KiB\"").stands();
    let primary = world.provider("primary");
    primary.answers(Answer::whole("hello").after(secs(5)));
    let body = format!("{{\"model\":\"m\",\"user\":\"{}\"}}", "x".repeat(700));
    let first = tokio::spawn(world.client().posts(CHAT, body.clone()).begins());
    primary.hears(1).await;
    let reply = world.client().posts(CHAT, body.clone()).await;
    reply.is_refused(503, "at_capacity");
    assert_eq!((reply.header("retry-after"), reply.took < Duration::from_millis(50)), (Some("1"), true));
    first.await.unwrap().rest().await.is_served("hello");
    world.client().posts(CHAT, body).await.is_served("hello");
    world.is_at_rest().await;
}
