//! What is remembered of a failure: holds, rejected keys, breakers and the budget for retries.

use std::future::IntoFuture;
use std::time::Duration;

use super::super::support::{Answer, World, secs};
use super::two;

#[tokio::test(start_paused = true)]
async fn retry_after_holds_a_credential_exactly_that_long() {
    let world = World::of(["primary"]).stands();
    let limited = Answer::of(
        429,
        &[("retry-after", "7"), ("content-type", "application/json")],
        "{\"error\":{\"code\":\"slow\"}}",
    );
    world.provider("primary").answers(limited).then(Answer::whole("hello"));
    let first = world.client().asks("m").await;
    assert_eq!((first.status, first.header("retry-after")), (429, Some("7")));
    tokio::time::advance(Duration::from_millis(3_500)).await;
    let held = world.client().asks("m").await;
    held.is_refused(429, "rate_limit_exceeded");
    assert_eq!(held.header("retry-after"), Some("4"), "the rest of the time");
    tokio::time::advance(Duration::from_millis(3_499)).await;
    assert_eq!(world.client().asks("m").await.status, 429);
    world.provider("primary").was_called(1);
    tokio::time::advance(Duration::from_millis(1)).await;
    world.client().asks("m").await.is_served("hello");
    world.provider("primary").was_called(2);
}

#[tokio::test(start_paused = true)]
async fn a_held_credential_leaves_the_call_to_the_next_provider() {
    let world = two().stands();
    let limited = Answer::of(429, &[("retry-after-ms", "60000")], "{}");
    world.provider("primary").answers(limited);
    for _ in 0..10 {
        world.client().asks("fast").await.is_served("hello");
    }
    world.provider("primary").was_called(1);
    world.provider("spare").was_called(10);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_the_operators_affair_and_is_not_shown_again_until_a_probe() {
    let world = World::of(["primary"]).stands();
    world.provider("primary").answers(Answer::error(401, "invalid_api_key")).then(Answer::whole("hello"));
    for _ in 0..3 {
        let reply = world.client().asks("m").await;
        reply.is_refused(502, "credential_rejected");
        assert_eq!(reply.header("x-should-retry"), Some("false"));
    }
    world.provider("primary").was_called(1);
    // Five minutes, give or take a tenth.
    tokio::time::advance(secs(331)).await;
    world.client().asks("m").await.is_served("hello");
    world.client().asks("m").await.is_served("hello");
    world.provider("primary").was_called(3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_not_tried_on_its_other_models() {
    let world = two()
        .and("[[model]]\nprovider = \"primary\"\nid = \"n\"\n[[route]]\nalias = \"both\"\nprovider = \"primary\"\nmodel = \"m\"\npriority = 1")
        .and("[[route]]\nalias = \"both\"\nprovider = \"primary\"\nmodel = \"n\"\npriority = 2\n[[route]]\nalias = \"both\"\nprovider = \"spare\"\nmodel = \"m\"\npriority = 3")
        .stands();
    world.provider("primary").answers(Answer::error(403, "invalid_api_key"));
    world.client().asks("both").await.is_served("hello");
    world.provider("primary").was_called(1);
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_small_share_of_the_calls() {
    let world = two()
        .set("attempts", "retry_floor = 1")
        .set("breaker", "failures = 1000000\nfailing_percent = 100\nleast_calls = 1000000")
        .stands();
    world.provider("primary").answers(Answer::error(500, "down"));
    for _ in 0..100 {
        world.client().asks("fast").await;
    }
    world.provider("primary").was_called(100);
    let spare = world.provider("spare").calls();
    assert!((10..=20).contains(&spare), "{spare}");
}

#[tokio::test(start_paused = true)]
async fn three_failures_open_a_breaker_and_one_probe_closes_it() {
    let world = two().neighbour("other").stands();
    let primary = world.provider("primary");
    primary.answers(Answer::error(500, "down"));
    for _ in 0..10 {
        world.client().asks("fast").await.is_served("hello");
    }
    primary.was_called(3);
    primary.answers(Answer::whole("back").after(secs(1)));
    tokio::time::advance(secs(331)).await;
    // One probes; those beside it go elsewhere meanwhile.
    let client = world.client();
    let (probe, beside, too) = tokio::join!(
        client.asks("fast").into_future(),
        client.asks("fast").into_future(),
        client.asks("fast").into_future()
    );
    let said: Vec<String> = [probe, beside, too].iter().map(|reply| reply.says()).collect();
    assert_eq!(said.iter().filter(|said| *said == "back").count(), 1, "{said:?}");
    primary.was_called(4);
    world.client().asks("fast").await.is_served("back");
}

#[tokio::test(start_paused = true)]
async fn where_every_breaker_is_open_the_soonest_is_tried_once() {
    let world = two().stands();
    for name in ["primary", "spare"] {
        world.provider(name).answers(Answer::error(500, "down"));
    }
    for _ in 0..3 {
        world.client().asks("fast").await.is_refused(500, "down");
    }
    let calls = || world.provider("primary").calls() + world.provider("spare").calls();
    assert_eq!(calls(), 6);
    world.client().asks("fast").await.is_refused(500, "down");
    assert_eq!(calls(), 7, "one attempt");
    for name in ["primary", "spare"] {
        world.provider(name).answers(Answer::whole("back"));
    }
    world.client().asks("fast").await.is_served("back");
    world.client().asks("fast").await.is_served("back");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_nobody_registered_opens_no_breaker() {
    let world = World::of(["primary"]).stands();
    world.provider("primary").answers(Answer::error(500, "down"));
    for number in 0..20 {
        world.client().asks(&format!("primary:made-up-{number}")).await.is_refused(500, "down");
    }
    world.provider("primary").was_called(20);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_stands_still_is_a_refusal_all_the_same() {
    let world = World::of(["primary"]).stands();
    let stuck =
        Answer::raw("HTTP/1.1 401 X\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"err").hangs();
    world.provider("primary").answers(stuck);
    let reply = world.client().asks("m").await;
    reply.is_refused(502, "credential_rejected");
    assert!(reply.took <= secs(5), "{:?}", reply.took);
    world.client().asks("m").await.is_refused(502, "credential_rejected");
    world.provider("primary").was_called(1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_leaves_leaves_its_place_to_the_next() {
    let world = two().stands();
    let primary = world.provider("primary");
    primary.answers(Answer::error(500, "down"));
    for _ in 0..3 {
        world.client().asks("fast").await.is_served("hello");
    }
    tokio::time::advance(secs(331)).await;
    primary.answers(Answer::default().hangs()).then(Answer::default().hangs());
    let probe = tokio::spawn(world.client().asks("fast").begins());
    primary.hears(4).await;
    probe.abort();
    world.is_at_rest().await;
    primary.answers(Answer::whole("back"));
    world.client().asks("fast").await.is_served("back");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_skipped_costs_no_retry() {
    // The first one's model is registered nowhere, so no breaker ever spares it; the second's opens after three.
    let targets = [("shaky", "n"), ("down", "m"), ("well", "m")];
    let route = |(at, (provider, model)): (usize, &(&str, &str))| {
        format!("[[route]]\nalias = \"all\"\nprovider = \"{provider}\"\nmodel = \"{model}\"\npriority = {at}\n")
    };
    let routes: String = targets.iter().enumerate().map(route).collect();
    let world = World::of(["shaky", "down", "well"]).and(&routes).set("attempts", "retry_floor = 1").stands();
    for name in ["shaky", "down"] {
        world.provider(name).answers(Answer::error(500, "down"));
    }
    for _ in 0..10 {
        world.client().asks("all").await;
    }
    // Ten retries: two for each of three calls, then one for each of four.
    world.provider("down").was_called(3);
    world.provider("well").was_called(7);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_holds_the_key_for_that_model_only() {
    let world = World::of(["primary"]).and("[[model]]\nprovider = \"primary\"\nid = \"n\"").stands();
    let limited = Answer::of(429, &[("retry-after", "60")], "{}");
    world.provider("primary").answers(limited).then(Answer::whole("hello"));
    assert_eq!(world.client().asks("m").await.status, 429);
    assert_eq!(world.client().asks("m").await.status, 429);
    world.client().asks("n").await.is_served("hello");
    world.provider("primary").was_called(2);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_without_a_time_opens_a_breaker_like_any_failure() {
    let world = super::two().stands();
    world.provider("primary").answers(Answer::error(429, "rate_limit_exceeded"));
    for _ in 0..10 {
        world.client().asks("fast").await.is_served("hello");
    }
    world.provider("primary").was_called(3);
}

#[tokio::test(start_paused = true)]
async fn half_of_twenty_calls_failing_opens_a_breaker_too() {
    let world = super::two().stands();
    let primary = world.provider("primary");
    for call in 0..40 {
        primary.answers(if call % 2 == 0 { Answer::error(500, "down") } else { Answer::whole("hello") });
        world.client().asks("fast").await.is_served("hello");
    }
    assert!((19..=21).contains(&primary.calls()), "{}", primary.calls());
}
