//! Promise: limits of requests, text and parallel calls hold for all replicas together, and what a replica held that dies comes
//! back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use keyway::domain::limits::Limits;
use rustix::process::Signal;

use super::caller::Caller;
use super::gateway::SOON;
use super::replicas::{Office, Replica};
use crate::support::postgres::shared;

const MODEL: &str = "practice:practice-small";
/// It answers, and then says nothing more for a long time.
const STALLS: &str = "practice:practice-stall";

/// Two replicas for a workspace with limits, and its token.
async fn two(limits: Limits) -> (String, Replica, Replica) {
    let office = Office::new(&shared().database().await).await;
    office.change(move |directory| directory.workspaces[0].limits = limits).await;
    let (token, _) = office.token().await;
    let (one, two) = tokio::join!(office.replica(), office.replica());
    (token, one, two)
}

/// So many calls one after the other: how many were served; the others were refused with 429.
async fn served(data: SocketAddr, token: &str, calls: usize) -> usize {
    let mut caller = Caller::to(data).await.with_token(token);
    let mut served = 0;
    for _ in 0..calls {
        let answer = caller.chat(MODEL).await.unwrap();
        assert!(answer.status == 200 || answer.status == 429, "{}: {}", answer.status, answer.body);
        served += usize::from(answer.status == 200);
    }
    served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_a_minute_are_counted_over_all_replicas() {
    let (token, one, two) = two(Limits { requests_per_minute: Some(30), ..Limits::default() }).await;
    let began = Instant::now();
    let told = tokio::join!(served(one.data, &token, 25), served(two.data, &token, 25), served(two.data, &token, 10));
    assert!(began.elapsed() < Duration::from_secs(55), "this can only be said within a minute");
    assert_eq!(told.0 + told.1 + told.2, 30, "{told:?}");
    let metrics = [one.metrics().await, two.metrics().await];
    let held: f64 = metrics.iter().map(|text| held(text, "requests")).sum();
    assert!((0.0..=30.0).contains(&held), "{held} of 30");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_of_a_minute_is_counted_over_all_replicas() {
    let mut office = Office::new(&shared().database().await).await;
    // A call may use a hundred units at the most, which is all of a minute's.
    office.settings.push_str("[[model]]\nprovider = \"practice\"\nid = \"practice-small\"\nmax_tokens = 100\n");
    let limits = Limits { output_tokens_per_minute: Some(100), ..Limits::default() };
    office.change(move |directory| directory.workspaces[0].limits = limits).await;
    let (token, _) = office.token().await;
    let (one, two) = tokio::join!(office.replica(), office.replica());
    let alone = served(one.data, &token, 40).await;
    assert!((1..40).contains(&alone), "{alone} calls used a minute's text");
    assert_eq!(served(two.data, &token, 5).await, 0, "what one has used, the other has not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_are_counted_over_all_replicas_and_those_of_a_dead_one_come_back() {
    let (token, dies, lives) = two(Limits { parallel: Some(4), ..Limits::default() }).await;
    let mut streams = Vec::new();
    for data in [dies.data, lives.data, dies.data, lives.data] {
        let mut caller = Caller::to(data).await.with_token(&token);
        let stream = caller.stream(STALLS).await;
        streams.push((caller, stream));
    }
    for data in [dies.data, lives.data] {
        assert_eq!(served(data, &token, 1).await, 0, "four are in flight");
    }
    assert!((held(&dies.metrics().await, "parallel") - 2.0).abs() < 0.5, "by so much at most if it dies");
    dies.process.signal(Signal::KILL);
    let began = Instant::now();
    while served(lives.data, &token, 1).await == 0 {
        assert!(began.elapsed() < SOON * 4, "{}", lives.process.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for _ in 0..2 {
        let mut caller = Caller::to(lives.data).await.with_token(&token);
        let stream = caller.stream(STALLS).await;
        streams.push((caller, stream));
    }
    assert_eq!(served(lives.data, &token, 1).await, 0, "four are in flight again");
}

/// What a replica says that it holds of a limit.
fn held(metrics: &str, limit: &str) -> f64 {
    let name = format!("keyway_limit_parts{{limit=\"{limit}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0.0, |value| value.parse().unwrap())
}
