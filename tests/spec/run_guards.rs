//! Promise: a run that goes on and on ends at its bounds, whichever run below it makes the calls; what is held comes back however a
//! call ends, and calls of other runs go on.

use std::future::IntoFuture;

use keyway::domain::money::Nanodollars;
use tokio::task::JoinSet;

use super::support::{Answer, Ask, Client, Plan, World, secs};

/// Half a cent for each of an answer's units, of which there are two; nothing for a call's.
fn bounded(name: &str, value: &str) -> Plan {
    let priced = World::of(["primary"]).model("primary", "input_cost", "0").model("primary", "output_cost", "\"5000\"");
    priced.workspace("main", &format!("limits.{name}"), value)
}

fn asks(client: &Client, run: &str) -> Ask {
    let messages = r#"[{"role": "user", "content": "Hello"}]"#;
    let body = format!(r#"{{"model": "m", "max_tokens": 2, "messages": {messages}}}"#);
    client.posts("/v1/chat/completions", body).header("x-keyway-run", run)
}

fn below(client: &Client, run: &str, parent: &str) -> Ask {
    asks(client, run).header("x-keyway-parent-run", parent)
}

fn overrun(world: &World) -> Nanodollars {
    world.proxy().gateway.meter.budgets.overrun()
}

#[tokio::test(start_paused = true)]
async fn a_run_s_money_is_spent_once_by_all_that_is_below_it_and_other_runs_go_on() {
    let world = bounded("run_money", "\"0.1\"").stands();
    below(&world.client(), "middle", "top").await.is_served("hello");
    below(&world.client(), "lowest", "middle").await.is_served("hello");
    world.provider("primary").answers(Answer::whole("hello").after(secs(1)));
    let mut all = JoinSet::new();
    for number in 0..60 {
        let client = world.client();
        all.spawn(match number % 3 {
            0 => asks(&client, "top").into_future(),
            1 => below(&client, "middle", "top").into_future(),
            _ => below(&client, "lowest", "middle").into_future(),
        });
    }
    let (mut served, mut refused) = (0, 0);
    while let Some(reply) = all.join_next().await {
        let reply = reply.unwrap();
        match reply.status {
            200 => served += 1,
            _ => {
                reply.is_refused(402, "run_budget_exceeded");
                assert_eq!(reply.header("x-should-retry"), Some("false"));
                refused += 1;
            }
        }
    }
    assert_eq!((served, refused), (8, 52));
    world.is_at_rest().await;
    let reply = asks(&world.client(), "top").await;
    let text = reply.is_refused(402, "run_budget_exceeded").text();
    assert!(text.contains("the run `top` may cost 0.1 dollars with all below it, of which 0 are left"), "{text}");
    asks(&world.client(), "other").await.is_served("hello");
    below(&world.client(), "another", "other").await.is_served("hello");
    below(&world.client(), "new", "lowest").await.is_refused(402, "run_budget_exceeded");
    world.client().asks("m").await.is_served("hello");
    assert_eq!(overrun(&world), Nanodollars(0));
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_but_not_those_that_were_refused() {
    let world = bounded("run_calls", "3").org("limits.money_per_day", "\"0.04\"").stands();
    world.provider("primary").answers(Answer::whole("hello"));
    asks(&world.client(), "r").await.is_served("hello");
    let dear = r#"{"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}"#;
    for _ in 0..5 {
        let dear = world.client().posts("/v1/chat/completions", dear.to_string()).header("x-keyway-run", "r");
        dear.await.is_refused(402, "budget_exceeded");
    }
    below(&world.client(), "part", "r").await.is_served("hello");
    world.provider("primary").answers(Answer::error(500, "down"));
    asks(&world.client(), "r").await;
    world.provider("primary").answers(Answer::whole("hello"));
    let reply = below(&world.client(), "part", "r").await;
    reply.is_refused(429, "run_limit_exceeded");
    assert_eq!((reply.header("x-should-retry"), reply.header("retry-after")), (Some("false"), None));
    assert!(reply.text().contains("the run `r` may make 3 calls"), "{}", reply.text());
    asks(&world.client(), "another").await.is_served("hello");
}

#[tokio::test(start_paused = true)]
async fn runs_lie_no_deeper_than_they_may() {
    let world = bounded("run_depth", "1").stands();
    asks(&world.client(), "top").await.is_served("hello");
    below(&world.client(), "part", "top").await.is_served("hello");
    let reply = below(&world.client(), "deep", "part").await;
    assert!(reply.is_refused(429, "run_limit_exceeded").text().contains("`deep` lies below more than the 1 runs"));
    assert_eq!(world.provider("primary").heard().len(), 2, "nothing was asked of a provider");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_spends_too_fast_waits() {
    let world = bounded("run_money_per_minute", "\"0.02\"").stands();
    world.provider("primary").answers(Answer::whole("hello"));
    asks(&world.client(), "r").await.is_served("hello");
    below(&world.client(), "part", "r").await.is_served("hello");
    let reply = asks(&world.client(), "r").await;
    reply.is_refused(429, "rate_limit_exceeded");
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&seconds), "{seconds}");
    asks(&world.client(), "another").await.is_served("hello");
    tokio::time::sleep(secs(seconds)).await;
    asks(&world.client(), "r").await.is_served("hello");
}

#[tokio::test(start_paused = true)]
async fn the_tightest_of_all_bounds_holds_and_a_call_that_left_gives_back_what_it_held() {
    let tight = Nanodollars(10_000_000);
    let world = bounded("run_money", "\"1\"").token("tight", "main", move |token| {
        token.limits.run_money = Some(tight);
    });
    let world = world.stands();
    world.provider("primary").answers(Answer::default().hangs());
    let leaving = asks(&world.client_of("tight"), "r").into_future();
    assert!(tokio::time::timeout(secs(1), leaving).await.is_err());
    world.is_at_rest().await;
    world.provider("primary").answers(Answer::whole("hello"));
    asks(&world.client_of("tight"), "r").await.is_served("hello");
    asks(&world.client_of("tight"), "r").await.is_refused(402, "run_budget_exceeded");
    asks(&world.client(), "r").await.is_served("hello");
    let adopted = world.client_of("tight").asks("m").header("x-claude-code-session-id", "agent");
    assert!(adopted.await.is_refused(402, "run_budget_exceeded").text().contains("`agent`"), "its session is its run");
}

#[tokio::test(start_paused = true)]
async fn what_a_call_of_a_bounded_run_costs_beyond_its_reserve_is_counted() {
    let world = bounded("run_money", "\"0.01\"").stands();
    world.provider("primary").answers(Answer::whole("hello"));
    let brief = r#"{"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}"#;
    let brief = world.client().posts("/v1/chat/completions", brief.to_string()).header("x-keyway-run", "r");
    brief.await.is_served("hello");
    world.is_at_rest().await;
    assert_eq!(overrun(&world), Nanodollars(5_000_000));
}
