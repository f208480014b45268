//! What one provider's trouble means for a call: the next one answers, or the client hears the last failure at once.

mod memory;

use std::future::IntoFuture;
use std::time::Duration;

use keyway::domain::entity::TokenKind;
use keyway::meter::Outcome;
use tokio::time::Instant;

use super::support::{Answer, Plan, World, says, secs};

fn two() -> Plan {
    World::of(["primary", "spare"])
}

/// A call whose first provider does this is served by the second, within `within`.
async fn check_spared(trouble: Answer, within: Duration) {
    for streamed in [false, true] {
        let world = two().stands();
        world.provider("primary").answers(trouble.clone());
        world.provider("spare").answers(if streamed { Answer::stream(["he", "llo"]) } else { Answer::whole("hello") });
        let ask = world.client().asks("fast");
        let reply = if streamed { ask.streamed().await } else { ask.await };
        reply.is_served("hello");
        assert_eq!((reply.header("x-keyway-provider"), reply.header("x-keyway-attempts")), (Some("spare"), Some("2")));
        assert!(reply.took <= within, "{:?}", reply.took);
        world.provider("primary").was_called(1);
        assert_eq!(world.record().outcome, Outcome::Served);
        world.is_at_rest().await;
    }
}

/// A call whose only provider does this hears so.
async fn check_told(trouble: Answer, status: u16, code: &str) {
    let world = World::of(["primary"]).stands();
    world.provider("primary").answers(trouble);
    let reply = world.client().asks("m").await;
    reply.is_refused(status, code);
    assert_eq!(world.record().outcome, Outcome::Failed);
    world.is_at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_closes_without_a_word_is_passed_over() {
    check_spared(Answer::default().closes(), secs(0)).await;
    check_told(Answer::default().closes(), 502, "provider_failed").await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_resets_is_passed_over() {
    check_spared(Answer::default().resets(), secs(0)).await;
    check_told(Answer::default().resets(), 502, "provider_failed").await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_speaks_no_http_is_passed_over() {
    check_spared(Answer::raw("SSH-2.0-OpenSSH_9.6\r\n").closes(), secs(0)).await;
    check_told(Answer::raw("\0\x01\x02garbage\r\n\r\n").closes(), 502, "provider_failed").await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_is_passed_over_and_its_own_words_are_the_last() {
    for status in [500, 502, 503, 504, 529] {
        check_spared(Answer::error(status, "overloaded"), secs(0)).await;
        check_told(Answer::error(status, "overloaded"), status, "overloaded").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_408_is_passed_over() {
    check_spared(Answer::error(408, "timeout"), secs(0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_know_the_model_is_passed_over() {
    check_spared(Answer::error(404, "model_not_found"), secs(0)).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_under_a_status_of_success_is_a_failure() {
    let error = "{\"error\":{\"message\":\"no\",\"code\":500}}";
    check_spared(Answer::json(200, error), secs(0)).await;
    check_told(Answer::json(200, error), 502, "provider_failed").await;
}

#[tokio::test(start_paused = true)]
async fn a_page_of_html_under_a_status_of_success_is_a_failure() {
    let page = Answer::of(200, &[("content-type", "text/html")], "<!doctype html><p>Sign in");
    check_spared(page.clone(), secs(0)).await;
    check_told(page, 502, "provider_failed").await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_is_given_its_timeout_and_no_longer() {
    let world = two().stands();
    world.provider("primary").answers(Answer::default().hangs());
    let reply = world.client().asks("fast").await;
    reply.is_served("hello");
    assert_eq!((reply.took, reply.header("x-keyway-attempts")), (secs(120), Some("2")));
    let world = World::of(["primary"]).provider("primary", "timeout", "\"7s\"").stands();
    world.provider("primary").answers(Answer::default().hangs());
    let reply = world.client().asks("m").await;
    reply.is_refused(504, "provider_timeout");
    assert_eq!((reply.took, reply.header("x-should-retry")), (secs(7), Some("false")));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_before_its_first_content_is_another_providers() {
    let begun = || Answer::begins().event(Answer::ROLE);
    for trouble in [
        begun().closes(),
        begun().resets(),
        begun().ends(),
        begun().event("data: {\"error\":{\"message\":\"overloaded\",\"code\":\"server_error\"}}\n\n").ends(),
        begun().event("data: [DO").closes(),
        Answer::begins().event(": OPENROUTER PROCESSING\n\n").event("data: {\"error\":\"no\"}\n\n").ends(),
    ] {
        let world = two().stands();
        world.provider("primary").answers(trouble.clone());
        world.provider("spare").answers(Answer::stream(["hello"]));
        let reply = world.client().asks("fast").streamed().await;
        reply.is_served("hello");
        assert_eq!(reply.header("x-keyway-attempts"), Some("2"), "{trouble:?}");
        assert!(reply.text().matches("\"role\"").count() == 1, "nothing of the first: {}", reply.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_that_breaks_early_is_another_providers() {
    let cut = Answer::raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"id\":")
        .closes();
    let world = two().stands();
    world.provider("primary").answers(cut);
    world.client().asks("fast").await.is_served("hello");
}

#[tokio::test(start_paused = true)]
async fn after_the_first_content_nothing_else_is_tried() {
    let world = two().stands();
    world.provider("primary").answers(Answer::begins().event(says("Hel")).event(says("lo")).closes());
    let reply = world.client().asks("fast").streamed().await;
    assert_eq!(reply.says(), "Hello");
    reply.breaks_off("the provider closed the stream before finishing");
    world.provider("spare").was_not_called();
    let record = world.record();
    assert_eq!((record.outcome, record.usage.output), (Outcome::CutOff, 2));
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_passed_over_at_once() {
    let world = two().stands();
    world.provider("primary").refuses_connections();
    let reply = world.client().asks("fast").await;
    reply.is_served("hello");
    assert_eq!(reply.took, secs(0));
    let world = two().stands();
    for name in ["primary", "spare"] {
        world.provider(name).refuses_connections();
    }
    let reply = world.client().asks("fast").await;
    reply.is_refused(502, "provider_failed");
    assert_eq!(reply.header("x-should-retry"), Some("false"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_about_costs_ten_seconds_at_most() {
    let world = two().stands();
    world.provider("primary").takes_no_connections();
    let reply = world.client().asks("fast").await;
    reply.is_served("hello");
    assert!(reply.took <= secs(10), "{:?}", reply.took);
}

/// A status that is the client's own fault goes through as the provider said it.
async fn check_passed_on(status: u16, code: &str) {
    let world = two().stands();
    world.provider("primary").answers(Answer::error(status, code));
    let reply = world.client().asks("fast").await;
    reply.is_refused(status, code);
    world.provider("spare").was_not_called();
    assert_eq!(world.record().outcome, Outcome::Rejected);
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_of_the_call_itself_is_said_to_the_client_and_to_nobody_else() {
    for (status, code) in [(400, "invalid_value"), (409, "conflict"), (422, "unprocessable"), (400, "content_filter")] {
        check_passed_on(status, code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_is_named_and_the_next_provider_asked() {
    for answer in [Answer::error(402, "payment"), Answer::error(429, "insufficient_quota")] {
        check_spared(answer.clone(), secs(0)).await;
        check_told(answer, 429, "insufficient_quota").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_too_long_goes_only_to_a_longer_model() {
    let plan = World::of(["short", "same", "long"]);
    let plan = plan.model("short", "context_length", "1000").model("same", "context_length", "1000");
    let world = plan.model("long", "context_length", "2000").stands();
    world.provider("short").answers(Answer::error(400, "context_length_exceeded"));
    let reply = world.client().asks("fast").await;
    reply.is_served("hello");
    assert_eq!(reply.header("x-keyway-provider"), Some("long"));
    world.provider("same").was_not_called();
    world.provider("long").answers(Answer::error(400, "context_length_exceeded"));
    world.client().asks("fast").await.is_refused(400, "context_length_exceeded");
}

#[tokio::test(start_paused = true)]
async fn at_most_four_are_tried() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let world = World::of(names).stands();
    for name in names {
        world.provider(name).answers(Answer::error(500, "down"));
    }
    let reply = world.client().asks("fast").await;
    reply.is_refused(500, "down");
    assert_eq!((reply.header("x-keyway-attempts"), reply.header("x-should-retry")), (Some("4"), Some("false")));
    assert_eq!(names.map(|name| world.provider(name).calls()), [1, 1, 1, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_no_request_went_to_was_not_tried() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let world = World::of(names).provider("a", "max_parallel", "1").stands();
    for name in &names[1..] {
        world.provider(name).answers(Answer::error(500, "down"));
    }
    world.provider("a").answers(Answer::whole("late").after(secs(5)));
    let taken = tokio::spawn(world.client().asks("a:m").begins());
    world.provider("a").hears(1).await;
    let reply = world.client().asks("fast").await;
    reply.is_refused(500, "down");
    assert_eq!((reply.header("x-keyway-attempts"), reply.took), (Some("4"), secs(1)));
    assert_eq!(names.map(|name| world.provider(name).calls()), [1, 1, 1, 1, 1, 0]);
    taken.await.unwrap().rest().await.is_served("late");
}

#[tokio::test(start_paused = true)]
async fn one_deadline_covers_all_attempts() {
    let world = two().set("attempts", "deadline = \"150s\"").stands();
    for name in ["primary", "spare"] {
        world.provider(name).answers(Answer::default().hangs());
    }
    let reply = world.client().asks("fast").await;
    reply.is_refused(504, "provider_timeout");
    assert_eq!(reply.took, secs(150));
    world.provider("spare").was_called(1);
}

#[tokio::test(start_paused = true)]
async fn the_clients_own_timeout_shortens_the_wait_and_blames_nobody() {
    for header in ["x-stainless-timeout", "x-stainless-read-timeout", "x-server-timeout"] {
        let world = two().stands();
        world.provider("primary").answers(Answer::default().hangs());
        for _ in 0..5 {
            let reply = world.client().asks("fast").header(header, "2").await;
            reply.is_refused(504, "provider_timeout");
            assert_eq!(reply.took, secs(2), "{header}");
        }
        world.provider("primary").was_called(5);
        world.provider("spare").was_not_called();
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_its_parallel_calls_a_provider_is_waited_for_a_second_and_then_passed_over() {
    let world = two().provider("primary", "max_parallel", "1").stands();
    let primary = world.provider("primary");
    primary.answers(Answer::whole("hello").after(Duration::from_millis(800)));
    let client = world.client();
    let (first, second) = tokio::join!(client.asks("fast").into_future(), client.asks("fast").into_future());
    assert_eq!([first.says(), second.says()], ["hello", "hello"]);
    primary.was_called(2);
    primary.answers(Answer::whole("late").after(secs(5)));
    let start = Instant::now();
    let (first, second) = tokio::join!(client.asks("fast").into_future(), client.asks("fast").into_future());
    let mut said = [first.says(), second.says()];
    said.sort();
    assert_eq!((said, start.elapsed()), (["hello".to_string(), "late".to_string()], secs(5)));
    world.provider("spare").was_called(1);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_place_is_no_longer_than_the_client_allows() {
    let world = two().provider("primary", "max_parallel", "1").stands();
    world.provider("primary").answers(Answer::whole("late").after(secs(5)));
    let first = tokio::spawn(world.client().asks("fast").begins());
    world.provider("primary").hears(1).await;
    let reply = world.client().asks("fast").header("x-stainless-timeout", "0.25").await;
    reply.is_refused(504, "provider_timeout");
    assert_eq!(reply.took, Duration::from_millis(250));
    first.await.unwrap().rest().await.is_served("late");
    world.client().asks("fast").await.is_served("late");
}

#[tokio::test(start_paused = true)]
async fn an_agent_fails_over_only_to_what_agents_may_use() {
    let plan = two().model("primary", "approved_for_agent", "true");
    let world = plan.token("agent", "main", |token| token.kind = TokenKind::Agent).stands();
    world.provider("primary").answers(Answer::error(500, "down"));
    world.client_of("agent").asks("fast").await.is_refused(500, "down");
    world.provider("spare").was_not_called();
}

#[tokio::test]
async fn over_sockets_a_reset_is_passed_over_too() {
    let world = World::on_loopback(["primary", "spare"]).stands();
    world.provider("primary").answers(Answer::default().resets());
    let reply = world.client().asks("fast").await;
    reply.is_served("hello");
    assert!(reply.took < secs(1));
}
