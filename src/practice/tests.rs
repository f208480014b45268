//! What the practice provider does, seen by a client.

use std::io::{Read, Write};

use http_body_util::Full;
use serde_json::json;
use tokio::time::Instant;

use super::*;

async fn ask(path: &str, body: Value) -> Response<Script> {
    let request = Request::post(path).body(Full::<Bytes>::from(body.to_string())).unwrap();
    respond(request).await
}

fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello there"}]})
}

async fn value(response: Response<Script>) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// The events' data, `[DONE]` checked and left out.
async fn events(response: Response<Script>) -> Vec<Value> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut data: Vec<&str> =
        text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    assert_eq!(data.pop(), Some("[DONE]"));
    data.into_iter().map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn a_whole_answer_quotes_the_message_and_states_its_usage() {
    let answer = value(ask("/v1/chat/completions", hello("practice-small")).await).await;
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("Hello there"), "{text}");
    assert_eq!(answer["usage"]["prompt_tokens"], 2);
    assert_eq!(answer["usage"]["completion_tokens"], text.split_whitespace().count());
    assert_eq!(answer, value(ask("/chat/completions", hello("practice-small")).await).await, "the same each time");
}

#[tokio::test]
async fn a_streamed_answer_says_the_same_and_its_usage_only_if_asked() {
    let whole = value(ask("/v1/chat/completions", hello("practice-small")).await).await;
    let mut body = hello("practice-small");
    body["stream"] = true.into();
    let plain = events(ask("/v1/chat/completions", body.clone()).await).await;
    let said: String = plain.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, whole["choices"][0]["message"]["content"]);
    assert!(plain.iter().all(|event| event.get("usage").is_none()));

    body["stream_options"] = json!({"include_usage": true});
    let with_usage = events(ask("/v1/chat/completions", body).await).await;
    assert_eq!(with_usage.last().unwrap()["usage"], whole["usage"]);
    assert_eq!(with_usage.last().unwrap()["choices"], json!([]));
}

#[tokio::test]
async fn a_tool_is_called_with_its_arguments_in_pieces_and_then_heard() {
    let mut body = hello("practice-tools");
    body["tools"] = json!([{"type": "function", "function": {"name": "weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    body["stream"] = true.into();
    let events = events(ask("/v1/chat/completions", body.clone()).await).await;
    let call = |event: &Value| event["choices"][0]["delta"]["tool_calls"][0]["function"].clone();
    assert_eq!(call(&events[0])["name"], "weather");
    let pieces: Vec<_> =
        events.iter().filter_map(|event| call(event)["arguments"].as_str().map(str::to_string)).collect();
    assert!(pieces.len() > 2);
    assert_eq!(serde_json::from_str::<Value>(&pieces.concat()).unwrap(), json!({"city": "Hello there"}));
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");

    body["stream"] = false.into();
    body["messages"].as_array_mut().unwrap().push(json!({"role": "tool", "content": "sunny"}));
    let answer = value(ask("/v1/chat/completions", body).await).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "The tool said: sunny");
}

#[tokio::test]
async fn completions_json_and_a_limit_of_words() {
    let answer =
        value(ask("/v1/completions", json!({"model": "practice-small", "prompt": "a b", "max_tokens": 3})).await).await;
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["choices"][0]["text"].as_str().unwrap().split_whitespace().count(), 3);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");

    let answer = value(ask("/v1/chat/completions", hello("practice-json")).await).await;
    let inner: Value = serde_json::from_str(answer["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert_eq!(inner, json!({"answer": "Hello there", "words": 2}));
}

#[tokio::test]
async fn failures_have_the_status_and_the_code_that_was_asked_for() {
    for (model, status, code) in [
        ("practice-fail-500", 500, "practice_failure"),
        ("practice-fail-429", 429, "rate_limit_exceeded"),
        ("practice-no-quota", 429, "insufficient_quota"),
        ("practice-reject-key", 401, "invalid_api_key"),
        ("practice-error-under-200", 200, "server_error"),
        ("gpt-4o", 404, "model_not_found"),
    ] {
        let response = ask("/v1/chat/completions", hello(model)).await;
        assert_eq!(response.status(), status, "{model}");
        assert_eq!(response.headers().contains_key("retry-after"), model == "practice-fail-429");
        assert_eq!(value(response).await["error"]["code"], code);
    }
}

#[tokio::test]
async fn what_is_no_call_is_refused() {
    assert_eq!(ask("/v1/nowhere", json!({})).await.status(), 404);
    assert_eq!(ask("/v1/chat/completions", json!([1])).await.status(), 400);
    let get = Request::get("/v1/chat/completions").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(respond(get).await.status(), 404);
}

#[tokio::test]
async fn the_model_list_names_every_model() {
    let get = Request::get("/v1/models").body(Full::<Bytes>::default()).unwrap();
    let list = value(respond(get).await).await;
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, MODELS.map(|(id, _)| id));
}

#[tokio::test(start_paused = true)]
async fn paces_are_kept() {
    let began = Instant::now();
    let mut body = hello("practice-chunks-100-20ms");
    body["stream"] = true.into();
    let chunks = events(ask("/v1/chat/completions", body).await).await;
    assert_eq!(chunks.len(), 102, "the role, a hundred chunks, the end");
    assert!(began.elapsed() >= Duration::from_secs(2) && began.elapsed() < Duration::from_secs(3));

    let began = Instant::now();
    ask("/v1/chat/completions", hello("practice-slow")).await;
    assert!(began.elapsed() >= Duration::from_secs(2));

    let hanging = tokio::time::timeout(Duration::from_secs(600), ask("/v1/chat/completions", hello("practice-hang")));
    assert!(hanging.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_begins_and_ends_in_an_error_and_a_stalled_one_falls_silent_first() {
    for (model, silence) in [("practice-cut", Duration::ZERO), ("practice-stall", HANG)] {
        let mut body = hello(model);
        body["stream"] = true.into();
        let began = Instant::now();
        let mut answer = ask("/v1/chat/completions", body).await.into_body();
        let mut frames = 0;
        let error = loop {
            match answer.frame().await.unwrap() {
                Ok(_) => frames += 1,
                Err(error) => break error,
            }
        };
        assert!(frames > 2, "{model} {error}");
        assert_eq!(began.elapsed().as_secs(), silence.as_secs());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn over_a_socket_a_cut_answer_is_shorter_than_announced_and_the_connection_ends() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener).unwrap());
    let exchange = move |model: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let body = hello(model).to_string();
        write!(stream, "POST /v1/chat/completions HTTP/1.1\r\nhost: practice\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = Vec::new();
        // A cut connection may end in a reset: what came before it counts.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    let announced = |answer: &str| -> usize {
        let at = answer.find("content-length: ").unwrap() + "content-length: ".len();
        answer[at..].split("\r\n").next().unwrap().parse().unwrap()
    };
    let sent = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.len();
    let (whole, cut) = tokio::task::block_in_place(|| (exchange("practice-small"), exchange("practice-cut")));
    assert!(whole.starts_with("HTTP/1.1 200"));
    assert_eq!(sent(&whole), announced(&whole));
    assert!(sent(&cut) < announced(&cut));
    server.abort();
}
