//! A client that leaves ends the work at its provider, and one that reads slowly slows it down.

use std::time::Duration;

use keyway::domain::usage::Basis;
use keyway::meter::Outcome;
use tokio::time::{Instant, sleep};

use super::super::support::{Answer, World, says, secs};
use super::one;

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_ends_the_upstream_call_at_once_and_is_metered() {
    let world = one();
    world.provider("primary").answers(Answer::begins().event(says("Hel")).event(says("lo")).hangs());
    let mut live = world.client().asks("m").streamed().begins().await;
    live.hears("lo").await;
    let left = Instant::now();
    drop(live);
    assert!(world.provider("primary").was_left_after(left).await < secs(1));
    world.is_at_rest().await;
    let record = world.record();
    assert_eq!((record.outcome, record.usage.output, record.basis), (Outcome::ClientLeft, 2, Basis::Estimated));
}

/// Whoever hangs up before an answer ends the call upstream as well.
async fn check_left_early(streamed: bool, patience: Duration) {
    let world = one();
    world.provider("primary").answers(Answer::default().hangs());
    let ask = world.client().asks("m");
    let ask = if streamed { ask.streamed() } else { ask };
    let call = tokio::spawn(ask.begins());
    world.provider("primary").hears(1).await;
    sleep(patience).await;
    let left = Instant::now();
    call.abort();
    assert!(world.provider("primary").was_left_after(left).await < secs(1));
    world.is_at_rest().await;
    assert_eq!(world.record().outcome, Outcome::ClientLeft);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_before_the_answer_ends_the_upstream_call_too() {
    check_left_early(false, secs(3)).await;
    check_left_early(true, secs(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_more_stops_the_provider() {
    let world = one();
    let event = says(&"x".repeat(1_000));
    let answer = (0..4_000).fold(Answer::begins(), |answer, _| answer.event(&event));
    world.provider("primary").answers(answer.ends());
    let mut live = world.client().asks("m").streamed().begins().await;
    live.hears("xxx").await;
    sleep(secs(5)).await;
    let written = world.provider("primary").written();
    assert!(written < 256 * 1024 + 2 * 16 * 1024, "{written} bytes are on their way");
    sleep(secs(5)).await;
    assert_eq!(world.provider("primary").written(), written);
    drop(live);
    world.is_at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_for_a_minute_is_hung_up_on() {
    let world = one();
    let event = says(&"x".repeat(1_000));
    world.provider("primary").answers((0..4_000).fold(Answer::begins(), |answer, _| answer.event(&event)).ends());
    let mut live = world.client().asks("m").streamed().begins().await;
    live.hears("xxx").await;
    sleep(secs(120)).await;
    world.is_at_rest().await;
    assert_eq!(world.record().outcome, Outcome::ClientLeft);
}

#[tokio::test]
async fn over_sockets_a_client_that_leaves_ends_the_upstream_call_within_a_second() {
    let world = World::on_loopback(["primary"]).stands();
    world.provider("primary").answers(Answer::begins().event(says("Hel")).hangs());
    let mut live = world.client().asks("m").streamed().begins().await;
    live.hears("Hel").await;
    let left = Instant::now();
    drop(live);
    assert!(world.provider("primary").was_left_after(left).await < secs(1));
    world.is_at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn over_http2_a_client_that_leaves_ends_the_upstream_call_at_once() {
    let world = one();
    world.provider("primary").answers(Answer::begins().event(says("Hel")).hangs());
    let mut live = world.client().over_http2().asks("m").streamed().begins().await;
    live.hears("Hel").await;
    let left = Instant::now();
    drop(live);
    assert!(world.provider("primary").was_left_after(left).await < secs(1));
    world.is_at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn over_http2_a_client_that_reads_no_more_stops_the_provider() {
    let world = one();
    let event = says(&"x".repeat(1_000));
    world.provider("primary").answers((0..4_000).fold(Answer::begins(), |answer, _| answer.event(&event)).ends());
    let mut live = world.client().over_http2().asks("m").streamed().begins().await;
    live.hears("xxx").await;
    sleep(secs(5)).await;
    let written = world.provider("primary").written();
    assert!(written < 256 * 1024 + 64 * 1024, "{written} bytes are on their way");
    drop(live);
    world.is_at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_a_long_whole_answer_ends_it_upstream() {
    let world = one();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n\r\n{\"a\":\"";
    world.provider("primary").answers(Answer::raw(head).bytes("x".repeat(8_000_000)).hangs());
    let mut live = world.client().asks("m").begins().await;
    live.hears("xxx").await;
    sleep(secs(1)).await;
    assert!(world.provider("primary").written() < 256 * 1024, "{}", world.provider("primary").written());
    let left = Instant::now();
    drop(live);
    assert!(world.provider("primary").was_left_after(left).await < secs(1));
    world.is_at_rest().await;
    assert_eq!(world.record().outcome, Outcome::ClientLeft);
}
