//! Promise: what was spent is not forgotten when a process is killed, and replicas that share a budget spend it once, but for what
//! one that dies had leased.

use std::future::Future;
use std::time::{Duration, Instant};

use keyway::domain::money::Nanodollars;
use rustix::process::Signal;
use tokio::task::JoinSet;

use super::caller::Caller;
use super::gateway::{Gateway, Process, SOON, configuration, practice};
use super::replicas::{Office, Replica};
use crate::support::postgres::shared;

/// A cent a call, whatever its length.
pub(super) const PRICED: &str = "[[model]]\nprovider = \"practice\"\nid = \"practice-small\"\ninput_cost = 0\noutput_cost = 0\nrequest_cost = 0.01\n";
pub(super) const MODEL: &str = "practice:practice-small";
pub(super) const CENT: i64 = 10_000_000;

/// Calls at once of several callers, one after the other of each: how many were served, and how many refused for want of money.
pub(super) async fn calls(data: std::net::SocketAddr, token: &str, callers: usize, each: usize) -> (usize, usize) {
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let token = token.to_string();
        all.spawn(async move {
            let mut caller = Caller::to(data).await.with_token(&token);
            let mut told = (0, 0);
            for _ in 0..each {
                let answer = caller.chat(MODEL).await.unwrap();
                match answer.status {
                    200 => told.0 += 1,
                    402 => told.1 += 1,
                    other => panic!("{other}: {}", answer.body),
                }
            }
            told
        });
    }
    all.join_all().await.into_iter().fold((0, 0), |sum, told: (usize, usize)| (sum.0 + told.0, sum.1 + told.1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_spent_is_known_after_a_kill() {
    let limited = "limits.money_per_month = \"0.2\"\n";
    let mut gateway = Gateway::start(&format!("{}{limited}{PRICED}", configuration(practice(), ""))).await;
    assert_eq!(calls(gateway.data, &gateway.token, 4, 3).await, (12, 0));
    gateway.process.signal(Signal::KILL);
    gateway.process.exit().await;
    let again = Process::start(gateway.folder.path(), &["serve"], &[]);
    let (data, _) = again.addresses().await;
    assert_eq!(calls(data, &gateway.token, 10, 2).await, (8, 12), "twelve of twenty cents were spent before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_s_bounds_hold_after_a_kill_with_what_was_below_it_before() {
    let limited = "limits.run_calls = 6\nlimits.run_money = \"0.1\"\n";
    let mut gateway = Gateway::start(&format!("{}{limited}{PRICED}", configuration(practice(), ""))).await;
    let status = async |data, run: &str, parent: &str| {
        Caller::to(data).await.with_token(&gateway.token).chat_of_run(MODEL, run, parent).await.status
    };
    for (run, parent) in [("part", "top"), ("deep", "part"), ("deep", "part"), ("deep", "part")] {
        assert_eq!(status(gateway.data, run, parent).await, 200);
    }
    gateway.process.signal(Signal::KILL);
    gateway.process.exit().await;
    let again = Process::start(gateway.folder.path(), &["serve"], &[]);
    let (data, _) = again.addresses().await;
    // Nobody says any more that it lies below `top`, and it is known.
    let mut caller = Caller::to(data).await.with_token(&gateway.token);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(caller.chat_in_run(MODEL, "deep").await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429], "four of six calls were made before");
    assert_eq!(status(data, "other", "top").await, 429);
    assert_eq!(status(data, "fresh", "another").await, 200);
}

/// An office whose workspace may spend so many cents a day.
async fn office(cents: i64) -> Office {
    let mut office = Office::new(&shared().database().await).await;
    office.settings.push_str(PRICED);
    office
        .change(move |directory| directory.workspaces[0].limits.money_per_day = Some(Nanodollars(cents * CENT)))
        .await;
    office
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_spend_a_budget_once() {
    let office = office(50).await;
    let (token, _) = office.token().await;
    let (one, two, three) = tokio::join!(office.replica(), office.replica(), office.replica());
    let told =
        tokio::join!(calls(one.data, &token, 20, 4), calls(two.data, &token, 20, 4), calls(three.data, &token, 10, 4));
    assert_eq!(told.0.0 + told.1.0 + told.2.0, 50, "{told:?}");
    assert_eq!(told.0.1 + told.1.1 + told.2.1, 150, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_replica_that_dies_comes_back_what_it_had_left_and_no_more_is_overspent_than_it_said() {
    let office = office(200).await;
    let (token, _) = office.token().await;
    let (dies, lives) = tokio::join!(office.replica(), office.replica());
    let before = calls(dies.data, &token, 4, 10).await.0 + calls(lives.data, &token, 4, 10).await.0;
    assert_eq!(before, 80);
    let outstanding = outstanding(&dies).await;
    assert!((0.0..=0.3).contains(&outstanding), "{outstanding} dollars");
    dies.process.signal(Signal::KILL);
    let (mut served, began) = (before, Instant::now());
    // What the dead one had left is there for the other once its lease is over.
    while served < 200 && began.elapsed() < SOON * 3 {
        served += calls(lives.data, &token, 10, 4).await.0;
        pause().await;
    }
    for _ in 0..5 {
        served += calls(lives.data, &token, 10, 4).await.0;
    }
    let bound = 200 + (outstanding * 100.0).ceil() as usize;
    assert!((200..=bound).contains(&served), "{served} cents, {outstanding} dollars were outstanding");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_spend_a_run_s_money_once() {
    let mut office = Office::new(&shared().database().await).await;
    office.settings.push_str(PRICED);
    let bound = Some(Nanodollars(20 * CENT));
    office.change(move |directory| directory.workspaces[0].limits.run_money = bound).await;
    let (token, _) = office.token().await;
    let (one, two) = tokio::join!(office.replica(), office.replica());
    let in_run = async |data| {
        let mut caller = Caller::to(data).await.with_token(&token);
        let mut served = 0;
        for _ in 0..20 {
            served += usize::from(caller.chat_in_run(MODEL, "r").await.status == 200);
        }
        served
    };
    let told = tokio::join!(in_run(one.data), in_run(two.data), in_run(one.data));
    assert_eq!(told.0 + told.1 + told.2, 20, "{told:?}");
    assert_eq!(calls(one.data, &token, 1, 1).await, (1, 0), "calls of no run have no such bound");
}

fn pause() -> impl Future<Output = ()> {
    tokio::time::sleep(Duration::from_millis(500))
}

/// What a replica says that it may spend without asking.
async fn outstanding(replica: &Replica) -> f64 {
    let metrics = Caller::to(replica.admin).await.get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("keyway_budget_outstanding_dollars "));
    line.unwrap().parse().unwrap()
}
