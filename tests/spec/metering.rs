//! Every exchange is on record once, however it ends; limits hold; numbers for the operator stay few.

use std::future::IntoFuture;
use std::time::Duration;

use keyway::domain::usage::Basis;
use keyway::meter::Outcome;

use super::support::{Answer, Plan, World, says, secs};

fn one() -> Plan {
    World::of(["primary"])
}

/// A call whose provider does this leaves one record with this outcome, counted once, and nothing in flight.
async fn check(trouble: Answer, streamed: bool, outcome: Outcome) {
    let world = one().stands();
    world.provider("primary").answers(trouble);
    let ask = world.client().asks("m");
    let reply = if streamed { ask.streamed().await } else { ask.await };
    world.is_at_rest().await;
    let record = world.record();
    assert_eq!((record.outcome, record.total), (outcome, reply.took));
    let line = format!("keyway_requests_total{{operation=\"chat_completions\",outcome=\"{}\"}} 1", outcome.name());
    assert!(world.metrics().contains(&line), "{line}: {}", world.metrics());
}

#[tokio::test(start_paused = true)]
async fn every_end_leaves_one_record() {
    for streamed in [false, true] {
        check(Answer::whole("hello"), streamed, Outcome::Served).await;
        check(Answer::error(400, "invalid_value"), streamed, Outcome::Rejected).await;
        check(Answer::error(500, "down"), streamed, Outcome::Failed).await;
        check(Answer::error(401, "invalid_api_key"), streamed, Outcome::Failed).await;
        check(Answer::default().closes(), streamed, Outcome::Failed).await;
        check(Answer::default().hangs(), streamed, Outcome::Failed).await;
    }
    check(Answer::stream(["hello"]), true, Outcome::Served).await;
    check(Answer::begins().event(says("hel")).closes(), true, Outcome::CutOff).await;
    check(Answer::begins().event(says("hel")).hangs(), true, Outcome::CutOff).await;
    let long = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999\r\n\r\n{}",
        " ".repeat(9_000)
    );
    check(Answer::raw(long).closes(), false, Outcome::CutOff).await;
}

#[tokio::test(start_paused = true)]
async fn what_we_refuse_after_the_token_is_on_record_with_its_code() {
    let world = one().stands();
    world.client().asks("nobody:knows").await.is_refused(404, "model_not_found");
    world.client().posts("/v1/chat/completions", "{").await.is_refused(400, "body_invalid");
    let records = world.records();
    let ends: Vec<_> = records.iter().map(|record| (record.outcome, record.refusal.unwrap())).collect();
    assert_eq!(ends, [(Outcome::Refused, "model_not_found"), (Outcome::Refused, "body_invalid")]);
    world.client().with_token("kw_x").asks("m").await.is_refused(401, "invalid_api_key");
    assert_eq!(world.records().len(), 2, "before the token there is no exchange");
    for code in ["model_not_found", "body_invalid", "invalid_api_key"] {
        assert!(world.metrics().contains(&format!("keyway_refusals_total{{code=\"{code}\"}} 1")));
    }
    world.is_at_rest().await;
}

/// The usage on record of this whole answer.
async fn usage_of(body: &str) -> (u64, u64, Basis) {
    let world = one().stands();
    world.provider("primary").answers(Answer::json(200, body));
    assert_eq!(world.client().asks("m").await.text(), body);
    let record = world.record();
    (record.usage.input_total(), record.usage.output_total(), record.basis)
}

#[tokio::test(start_paused = true)]
async fn usage_is_read_wherever_it_stands() {
    let usage = "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":5,\"total_tokens\":16,\"prompt_tokens_details\":{\"cached_tokens\":4}}";
    let choices = |text: &str| format!("\"choices\":[{{\"message\":{{\"content\":\"{text}\"}}}}]");
    let short = choices("hello");
    // Longer than what is judged of an answer, and than what is kept of its end.
    let long = choices(&"x".repeat(100_000));
    assert_eq!(usage_of(&format!("{{{short},{usage}}}")).await, (11, 5, Basis::Reported));
    assert_eq!(usage_of(&format!("{{{usage},{short}}}")).await, (11, 5, Basis::Reported));
    assert_eq!(usage_of(&format!("{{{long},{usage}}}")).await, (11, 5, Basis::Reported));
    let fake = choices("\\\"usage\\\":{\\\"prompt_tokens\\\":99,\\\"completion_tokens\\\":99}");
    assert_eq!(usage_of(&format!("{{{usage},{fake}}}")).await, (11, 5, Basis::Reported));
    assert_eq!(usage_of(&format!("{{{short}}}")).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_usage_was_not_reported_is_estimated() {
    let world = one().stands();
    let answer = Answer::begins().event(says("a")).event(says("b")).event(says("c"));
    world.provider("primary").answers(answer.event(Answer::FINISH).event(Answer::DONE).ends());
    world.client().asks("m").streamed().await.is_served("abc");
    let record = world.record();
    assert_eq!((record.usage.output, record.basis), (3, Basis::Estimated));
}

#[tokio::test(start_paused = true)]
async fn the_record_says_who_answered_how_fast_and_what_was_tried_before() {
    let world = World::of(["primary", "spare"]).stands();
    world.provider("primary").answers(Answer::error(500, "down").after(secs(1)));
    let answer = Answer::begins().waits(secs(2)).event(says("a")).waits(secs(3));
    world.provider("spare").answers(answer.event(Answer::FINISH).event(Answer::USAGE).event(Answer::DONE).ends());
    world.client().asks("fast").streamed().await.is_served("a");
    let record = world.record();
    let from = record.from.as_ref().unwrap();
    assert_eq!((&*from.provider, &*from.model, record.trail.tried()), ("spare", "m", 2));
    assert_eq!((record.first_event, record.total, record.overhead), (Some(secs(3)), secs(6), secs(0)));
    let metrics = world.metrics();
    for line in [
        "keyway_attempts_total{provider=\"primary\",result=\"overloaded\"} 1",
        "keyway_attempts_total{provider=\"spare\",result=\"answered\"} 1",
        "keyway_tokens_total{provider=\"spare\",model=\"m\",direction=\"input\"} 7",
        "keyway_tokens_total{provider=\"spare\",model=\"m\",direction=\"output\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_trail_is_shown_to_whoever_asks_and_may() {
    let world = World::of(["primary", "spare"]).stands();
    world.provider("primary").answers(Answer::error(500, "down"));
    let reply = world.client().asks("fast").header("x-keyway-explain", "1").await;
    let trail = reply.header("x-keyway-trail").unwrap();
    assert!(
        trail.starts_with("primary m platform overloaded ") && trail.contains("; spare m platform 200 "),
        "{trail}"
    );
    assert_eq!(world.client().asks("fast").await.header("x-keyway-trail"), None);
}

#[tokio::test(start_paused = true)]
async fn neither_prompt_nor_answer_nor_key_is_on_record() {
    let world = one().stands();
    world.provider("primary").answers(Answer::whole("the secret answer"));
    world
        .client()
        .posts(
            "/v1/chat/completions",
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"the secret question\"}]}",
        )
        .await;
    let kept = format!("{:?} {}", world.records(), world.metrics());
    for secret in ["the secret", "key-of-primary", world.token("main").as_str()] {
        assert!(!kept.contains(secret), "{secret}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_made_up_models_add_no_series() {
    let world = one().stands();
    let ask = |number: u32| world.client().asks(&format!("primary:made-up-{number}"));
    ask(0).await.is_served("hello");
    let lines = world.metrics().lines().count();
    for number in 1..10_000 {
        ask(number).await;
    }
    let metrics = world.metrics();
    assert_eq!(metrics.lines().count(), lines);
    assert!(metrics.contains("model=\"other\"") && !metrics.contains("made-up"));
}

#[tokio::test(start_paused = true)]
async fn clients_that_leave_in_crowds_leave_nothing_in_flight() {
    let world = one().stands();
    world.provider("primary").answers(Answer::begins().event(says("Hel")).hangs());
    let mut crowd = Vec::new();
    for _ in 0..50 {
        let mut live = world.client().asks("m").streamed().begins().await;
        live.hears("Hel").await;
        crowd.push(live);
    }
    drop(crowd);
    world.is_at_rest().await;
    assert_eq!(world.outcomes(), [Outcome::ClientLeft; 50]);
}

#[tokio::test(start_paused = true)]
async fn requests_in_a_minute_are_held_to_their_limit_and_shown() {
    let world = one().token("slow", "main", |token| token.limits.requests_per_minute = Some(2)).stands();
    let client = world.client_of("slow");
    for left in ["1", "0"] {
        let reply = client.asks("m").await;
        reply.is_served("hello");
        let shown = ["limit", "remaining"]
            .map(|what| reply.header(&format!("x-ratelimit-{what}-requests")).unwrap().to_string());
        assert_eq!(shown, ["2".to_string(), left.to_string()]);
    }
    let reply = client.asks("m").await;
    reply.is_refused(429, "rate_limit_exceeded");
    assert_eq!((reply.header("x-ratelimit-remaining-requests"), reply.took), (Some("0"), secs(0)));
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    world.client().asks("m").await.is_served("hello");
    tokio::time::advance(secs(wait)).await;
    client.asks("m").await.is_served("hello");
    world.provider("primary").was_called(4);
}

/// Where this limit is two, a third call beside two others is refused, and one after them is not.
async fn check_parallel(plan: Plan) {
    let world = plan.stands();
    world.provider("primary").answers(Answer::whole("hello").after(secs(5)));
    let ask = || world.client().asks("m");
    let two = tokio::spawn(async_both(ask(), ask()));
    world.provider("primary").hears(2).await;
    let reply = ask().await;
    reply.is_refused(429, "parallel_limit_exceeded");
    assert_eq!((reply.header("retry-after"), reply.took), (Some("1"), Duration::ZERO));
    two.await.unwrap();
    ask().await.is_served("hello");
    world.is_at_rest().await;
}

async fn async_both(
    one: impl IntoFuture<Output = super::support::Reply>,
    two: impl IntoFuture<Output = super::support::Reply>,
) {
    let (one, two) = tokio::join!(one.into_future(), two.into_future());
    one.is_served("hello");
    two.is_served("hello");
}

#[tokio::test(start_paused = true)]
async fn calls_at_one_time_are_held_to_the_limits_of_workspace_and_org() {
    check_parallel(one().workspace("main", "limits.parallel", "2")).await;
    check_parallel(one().org("limits.parallel", "2")).await;
}

#[tokio::test(start_paused = true)]
async fn one_workspace_can_not_take_the_whole_gateway() {
    let world = one().neighbour("other").set("limits", "requests_in_flight_per_workspace = 2").stands();
    world.provider("primary").answers(Answer::whole("hello").after(secs(5)));
    let two = tokio::spawn(async_both(world.client().asks("m"), world.client().asks("m")));
    world.provider("primary").hears(2).await;
    let reply = world.client().asks("m").await;
    reply.is_refused(503, "at_capacity");
    assert_eq!(reply.header("retry-after"), Some("1"));
    world.client_of("other").asks("m").await.is_served("hello");
    two.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_the_middle_of_its_body_is_on_record_too() {
    let world = one().stands();
    world.client().leaves_after("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{").await;
    tokio::time::sleep(secs(1)).await;
    world.is_at_rest().await;
    assert!(matches!(world.record().outcome, Outcome::ClientLeft | Outcome::Refused));
    world.provider("primary").was_not_called();
}
