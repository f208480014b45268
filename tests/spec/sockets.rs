//! Promise: Responses over a WebSocket is Responses: each message a call by itself, its events one message each.

use keyway::meter::Outcome;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::support::{Answer, Plan, Socket, World, secs};

fn plan() -> Plan {
    World::on_loopback(["primary", "native"]).provider("native", "protocol", "\"responses\"").neighbour("other")
}

async fn socket(world: &World) -> Socket {
    world.client().opens_socket().await.unwrap()
}

fn create(model: &str, input: &str) -> Value {
    json!({"type": "response.create", "model": model, "input": input})
}

fn unstored(model: &str, input: &str) -> Value {
    json!({"type": "response.create", "model": model, "input": input, "store": false})
}

fn going_on(message: &Value, id: &Value) -> Value {
    let mut message = message.clone();
    message["previous_response_id"] = id.clone();
    message
}

/// The golden stream of Responses, as its provider says it.
fn golden() -> (Answer, Vec<Value>) {
    let stream = std::fs::read_to_string("tests/golden/responses/text/stream.sse").unwrap();
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let events = events.map(|data| serde_json::from_str(data).unwrap()).collect();
    (Answer::begins().event(&stream).ends(), events)
}

/// A whole answer that says this: in order, numbered without a gap, and ended well. Gives the response's id.
#[track_caller]
fn check_said(events: &[Value], text: &str) -> Value {
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let (first, last) = (&events[0], events.last().unwrap());
    assert_eq!((&first["type"], &last["type"]), (&json!("response.created"), &json!("response.completed")));
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    assert_eq!(deltas.map(|event| event["delta"].as_str().unwrap()).collect::<String>(), text);
    last["response"]["id"].clone()
}

#[track_caller]
fn check_refused(events: &[Value], status: u16, code: &str) {
    let [error] = events else { panic!("{events:?}") };
    assert_eq!((&error["type"], &error["status"]), (&json!("error"), &json!(status)), "{error}");
    assert_eq!(error["error"]["code"], code, "{error}");
    assert!(error["error"]["message"].is_string());
}

/// What the provider was asked last, by the texts of its messages.
fn heard(world: &World) -> Vec<String> {
    let body: Value = serde_json::from_str(&world.provider("primary").last().text()).unwrap();
    let messages = body["messages"].as_array().unwrap().iter();
    messages.map(|message| message["content"].as_str().unwrap_or_default().to_string()).collect()
}

#[tokio::test]
async fn each_message_is_a_call_whose_events_are_messages() {
    let world = plan().stands();
    let mut socket = socket(&world).await;
    world.provider("primary").answers(Answer::stream(["Hel", "lo"]));
    for _ in 0..2 {
        socket.says(&create("primary:m", "hi")).await;
        check_said(&socket.hears_all().await, "Hello");
    }
    let sent: Value = serde_json::from_str(&world.provider("primary").last().text()).unwrap();
    assert_eq!((&sent["stream"], sent.get("type"), sent.get("input")), (&json!(true), None, None));
    assert_eq!(world.outcomes(), [Outcome::Served, Outcome::Served]);
    assert!(world.records().iter().all(|record| record.usage.input == 7 && record.usage.output_total() == 2));
}

#[tokio::test]
async fn a_provider_of_the_same_protocol_is_passed_through_event_by_event() {
    let world = plan().stands();
    let mut socket = socket(&world).await;
    let (answer, events) = golden();
    world.provider("native").answers(answer);
    // Codex says that it wants a stream, though every answer here is one.
    let mut message = create("native:m", "hi");
    (message["stream"], message["client_metadata"]) = (json!(true), json!({"x": 1.0}));
    socket.says(&message).await;
    assert_eq!(socket.hears_all().await, events);
    let sent: Value = serde_json::from_str(&world.provider("native").last().text()).unwrap();
    assert_eq!(sent, json!({"stream": true, "model": "m", "input": "hi", "client_metadata": {"x": 1.0}}));
}

#[tokio::test]
async fn what_goes_wrong_is_one_message_and_the_next_is_answered_all_the_same() {
    let world = plan().stands();
    let mut socket = socket(&world).await;
    socket.says(&create("nobody:x", "hi")).await;
    check_refused(&socket.hears_all().await, 404, "model_not_found");
    for (message, code) in
        [("{", "body_invalid"), ("[]", "body_invalid"), (r#"{"type":"response.cancel"}"#, "field_invalid")]
    {
        socket.sends(Message::text(message)).await;
        check_refused(&socket.hears_all().await, 400, code);
    }
    world.provider("primary").answers(Answer::error(400, "bad_thing"));
    socket.says(&create("primary:m", "hi")).await;
    check_refused(&socket.hears_all().await, 400, "bad_thing");
    let cut = Answer::begins().event(Answer::ROLE).event(super::support::says("Hel")).closes();
    world.provider("primary").answers(cut);
    socket.says(&create("primary:m", "hi")).await;
    let broken = socket.hears_all().await;
    let kinds: Vec<&str> = broken.iter().rev().take(2).map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["response.failed", "error"]);
    world.provider("primary").answers(Answer::stream(["Hello"]));
    socket.says(&create("primary:m", "hi")).await;
    check_said(&socket.hears_all().await, "Hello");
    assert_eq!(world.outcomes().last(), Some(&Outcome::Served));
}

#[tokio::test]
async fn only_who_shows_a_token_gets_a_socket_and_each_message_is_looked_at_anew() {
    let world = plan().stands();
    assert_eq!(world.client().with_token("kw_nobody").opens_socket().await.err(), Some(401));
    let mut socket = socket(&world).await;
    world.provider("primary").answers(Answer::stream(["Hello"]));
    socket.says(&create("primary:m", "hi")).await;
    check_said(&socket.hears_all().await, "Hello");
    world.revokes_all_tokens();
    socket.says(&create("primary:m", "hi")).await;
    check_refused(&socket.hears_all().await, 401, "invalid_api_key");
    let mut warm_up = create("primary:m", "hi");
    warm_up["generate"] = json!(false);
    socket.says(&warm_up).await;
    check_refused(&socket.hears_all().await, 401, "invalid_api_key");
    world.provider("primary").was_called(1);
}

#[tokio::test]
async fn without_its_words_there_is_no_socket() {
    let world = plan().stands();
    let head = |more: &str| {
        format!(
            "GET /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\nconnection: close, upgrade\r\n{more}\r\n\r\n"
        )
    };
    let upgrade = "upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    for (more, status) in [
        (upgrade.to_string(), "400"),
        (format!("{upgrade}\r\nsec-websocket-version: 8"), "400"),
        ("upgrade: websocket\r\nsec-websocket-version: 13".to_string(), "400"),
        ("x: y".to_string(), "405"),
    ] {
        let heard = world.client().raw(&head(&more)).await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status}")), "{more}: {heard}");
    }
}

#[tokio::test]
async fn messages_wait_for_the_answer_before_theirs() {
    let world = plan().stands();
    let mut socket = socket(&world).await;
    let slow = Answer::stream(["one"]).after(std::time::Duration::from_millis(50));
    world.provider("primary").answers(slow).then(Answer::stream(["two"])).then(Answer::stream(["three"]));
    for input in ["a", "b", "c"] {
        socket.says(&create("primary:m", input)).await;
    }
    for text in ["one", "two", "three"] {
        check_said(&socket.hears_all().await, text);
    }
    let inputs: Vec<bool> = ["a", "b", "c"]
        .iter()
        .zip(world.provider("primary").heard())
        .map(|(input, heard)| heard.text().contains(&format!("\"{input}\"")))
        .collect();
    assert_eq!(inputs, [true; 3]);
}

#[tokio::test]
async fn whoever_lets_too_many_wait_is_cut_off_and_their_call_with_them() {
    let world = plan().stands();
    let mut socket = socket(&world).await;
    world.provider("primary").answers(Answer::begins().event(Answer::ROLE).event(super::support::says("x")).hangs());
    for _ in 0..10 {
        socket.says(&create("primary:m", "hi")).await;
    }
    let mut last = None;
    while let Some(message) = socket.hears().await {
        last = Some(message);
    }
    assert_eq!(last.unwrap()["error"]["code"], "at_capacity");
    world.is_at_rest().await;
    assert_eq!(world.outcomes(), [Outcome::ClientLeft]);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_call_with_it() {
    let world = plan().stands();
    for answer in
        [Answer::default().hangs(), Answer::begins().event(Answer::ROLE).event(super::support::says("x")).hangs()]
    {
        let calls = world.provider("primary").calls();
        world.provider("primary").answers(answer);
        let mut socket = socket(&world).await;
        socket.says(&create("primary:m", "hi")).await;
        world.provider("primary").hears(calls + 1).await;
        drop(socket);
        world.is_at_rest().await;
    }
    assert!(world.outcomes().iter().all(|outcome| *outcome == Outcome::ClientLeft), "{:?}", world.outcomes());
}

#[tokio::test]
async fn a_socket_remembers_its_last_response_that_was_not_to_be_stored() {
    let world = plan().stands();
    let mut socket = socket(&world).await;
    world.provider("primary").answers(Answer::stream(["Zoë."]));
    socket.says(&unstored("primary:m", "Who?")).await;
    let first = check_said(&socket.hears_all().await, "Zoë.");
    world.provider("primary").answers(Answer::stream(["Berlin."]));
    socket.says(&going_on(&unstored("primary:m", "Where?"), &first)).await;
    let second = check_said(&socket.hears_all().await, "Berlin.");
    assert_eq!(heard(&world), ["Who?", "Zoë.", "Where?"]);
    socket.says(&going_on(&unstored("primary:m", "Sure?"), &second)).await;
    let third = check_said(&socket.hears_all().await, "Berlin.");
    assert_eq!(heard(&world), ["Who?", "Zoë.", "Where?", "Berlin.", "Sure?"]);

    // Nobody else knows it, and of the socket's own only the last is kept.
    let mut other = world.client().opens_socket().await.unwrap();
    other.says(&going_on(&unstored("primary:m", "Sure?"), &third)).await;
    check_refused(&other.hears_all().await, 400, "previous_response_not_found");
    socket.says(&going_on(&unstored("primary:m", "Sure?"), &second)).await;
    check_refused(&socket.hears_all().await, 400, "previous_response_not_found");

    // What could not be gone on from is forgotten.
    world.provider("primary").answers(Answer::error(400, "bad_thing"));
    socket.says(&going_on(&unstored("primary:m", "Sure?"), &third)).await;
    check_refused(&socket.hears_all().await, 400, "bad_thing");
    socket.says(&going_on(&unstored("primary:m", "Sure?"), &third)).await;
    check_refused(&socket.hears_all().await, 400, "previous_response_not_found");
    drop((socket, other));
    world.is_at_rest().await;
}

#[tokio::test]
async fn a_provider_of_responses_is_told_all_that_the_socket_remembers() {
    let world = plan().stands();
    let mut socket = socket(&world).await;
    world.provider("native").answers(golden().0);
    socket.says(&unstored("native:m", "Who?")).await;
    let first = check_said(&socket.hears_all().await, "Hi, Zoë! 👋");
    socket.says(&going_on(&unstored("native:m", "Where?"), &first)).await;
    check_said(&socket.hears_all().await, "Hi, Zoë! 👋");
    let sent: Value = serde_json::from_str(&world.provider("native").last().text()).unwrap();
    assert_eq!((sent["input"].as_array().unwrap().len(), sent.get("previous_response_id")), (3, None), "{sent}");
}

#[tokio::test]
async fn a_warm_up_asks_no_model_and_can_be_gone_on_from() {
    let world = plan().stands();
    let mut socket = socket(&world).await;
    let mut warm_up = unstored("primary:m", "Who?");
    warm_up["generate"] = json!(false);
    socket.says(&warm_up).await;
    let events = socket.hears_all().await;
    let id = check_said(&events, "");
    assert_eq!(events[1]["response"]["output"], json!([]));
    world.provider("primary").was_not_called();
    assert!(world.records().is_empty());
    world.provider("primary").answers(Answer::stream(["Zoë."]));
    socket.says(&going_on(&unstored("primary:m", "Really?"), &id)).await;
    check_said(&socket.hears_all().await, "Zoë.");
    assert_eq!(heard(&world), ["Who?", "Really?"]);
}

#[tokio::test]
async fn a_message_may_be_as_large_as_a_body_and_no_larger() {
    let world = plan().set("limits", "body = \"64KiB\"").stands();
    let mut socket = socket(&world).await;
    world.provider("primary").answers(Answer::stream(["Hello"]));
    socket.says(&create("primary:m", &"x".repeat(60_000))).await;
    check_said(&socket.hears_all().await, "Hello");
    socket.says(&create("primary:m", &"x".repeat(70_000))).await;
    check_refused(&socket.hears_all().await, 413, "body_too_large");
    assert_eq!(socket.hears().await, None, "it is closed");
    world.is_at_rest().await;
}

#[tokio::test]
async fn a_socket_s_memory_counts_and_pings_leave_none_behind() {
    let world = plan().set("limits", "body = \"64KiB\"\nbodies_in_flight = \"64KiB\"").stands();
    let mut socket = socket(&world).await;
    world.provider("primary").answers(Answer::stream(["Hello"]));
    for number in 0..1_000_u16 {
        socket.sends(Message::Ping(vec![0; usize::from(number % 126)].into())).await;
    }
    socket.says(&create("primary:m", &"x".repeat(50_000))).await;
    check_said(&socket.hears_all().await, "Hello");
    world.is_at_rest().await;
    // Where another's takes all the room, a message is not read to its end.
    world.provider("primary").answers(Answer::default().hangs());
    socket.says(&create("primary:m", &"x".repeat(50_000))).await;
    world.provider("primary").hears(2).await;
    let mut other = world.client().opens_socket().await.unwrap();
    let _ = other.tries(&create("primary:m", &"x".repeat(50_000))).await;
    assert_eq!(other.hears().await, None);
    drop(socket);
    world.is_at_rest().await;
}

fn in_memory() -> World {
    World::of(["primary"]).stands()
}

#[tokio::test(start_paused = true)]
async fn a_silent_socket_is_asked_whether_it_lives_and_lives_an_hour() {
    let world = in_memory();
    let mut socket = socket(&world).await;
    let began = tokio::time::Instant::now();
    let mut pings = 0;
    let refusal = loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Ping(_) => pings += 1,
            Message::Text(text) => break serde_json::from_str::<Value>(&text).unwrap(),
            other => panic!("{other}"),
        }
    };
    check_refused(&[refusal], 400, "websocket_connection_limit_reached");
    assert_eq!(began.elapsed().as_secs(), 3_600);
    assert!((110..=120).contains(&pings), "{pings}");
    assert_eq!(socket.hears().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_has_gone() {
    let world = World::of(["primary"]).set("attempts", "idle_timeout = \"10m\"").stands();
    let mut socket = socket(&world).await;
    world.provider("primary").answers(Answer::begins().event(Answer::ROLE).event(super::support::says("x")).hangs());
    socket.says(&create("primary:m", "hi")).await;
    // Nothing is read meanwhile, so nothing is answered.
    tokio::time::sleep(secs(150)).await;
    world.is_at_rest().await;
    assert_eq!(world.outcomes(), [Outcome::ClientLeft]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_the_answer_in_progress_end_and_closes_who_waits_for_nothing() {
    let world = in_memory();
    let (mut busy, mut idle) = (socket(&world).await, socket(&world).await);
    let slow = Answer::begins().event(Answer::ROLE).waits(secs(5)).event(super::support::says("Hello"));
    world.provider("primary").answers(slow.event(Answer::FINISH).event(Answer::USAGE).event(Answer::DONE).ends());
    busy.says(&create("primary:m", "hi")).await;
    world.provider("primary").hears(1).await;
    let hears = async {
        let events = busy.hears_all().await;
        (events, busy.hears().await, idle.hears().await)
    };
    let (finished, (events, after, idle)) = tokio::join!(world.drains(secs(30)), hears);
    check_said(&events, "Hello");
    assert_eq!((after, idle), (None, None));
    assert!(finished);
}
