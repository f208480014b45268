//! Promise: no number of parallel calls gets past a limit of money or text, what is reserved comes back however a call ends,
//! and a refusal says what is left.

use std::future::IntoFuture;
use std::time::Duration;

use keyway::domain::limits::Limits;
use keyway::domain::money::Nanodollars;
use tokio::task::JoinSet;

use super::support::{Answer, Ask, Client, Plan, World, secs};

/// A cent for each of an answer's units, nothing for a call's.
fn priced() -> Plan {
    World::of(["primary"]).model("primary", "input_cost", "0").model("primary", "output_cost", "\"10000\"")
}

fn dollars(text: &str) -> Nanodollars {
    text.parse().unwrap()
}

fn asks(client: &Client, model: &str, max_tokens: u32) -> Ask {
    let messages = r#"[{"role": "user", "content": "Hello"}]"#;
    let body = format!(r#"{{"model": "{model}", "max_tokens": {max_tokens}, "messages": {messages}}}"#);
    client.posts("/v1/chat/completions", body)
}

fn spent(world: &World) -> Nanodollars {
    let cost = |record: &keyway::meter::Record| i64::try_from(record.usage.output).unwrap() * 10_000_000;
    Nanodollars(world.records().iter().map(cost).sum())
}

fn held(world: &World) -> Nanodollars {
    world.proxy().gateway.meter.budgets.reserved()
}

/// Calls made at once: how many were served, and how many refused for want of money.
async fn at_once(world: &World, calls: usize, max_tokens: u32) -> (usize, usize) {
    let mut all = JoinSet::new();
    for _ in 0..calls {
        all.spawn(asks(&world.client(), "m", max_tokens).into_future());
    }
    let (mut served, mut refused) = (0, 0);
    while let Some(reply) = all.join_next().await {
        let reply = reply.unwrap();
        match reply.status {
            200 => served += 1,
            _ => {
                reply.is_refused(402, "budget_exceeded");
                refused += 1;
            }
        }
    }
    (served, refused)
}

#[tokio::test(start_paused = true)]
async fn two_hundred_calls_at_once_spend_no_more_than_what_fifty_may() {
    let world = priced().workspace("main", "limits.money_per_day", "\"1\"").stands();
    world.provider("primary").answers(Answer::whole("hello").after(secs(1)));
    assert_eq!(at_once(&world, 200, 2).await, (50, 150));
    world.is_at_rest().await;
    assert_eq!((spent(&world), held(&world)), (dollars("1"), dollars("0")));
    let reply = asks(&world.client(), "m", 1).await;
    reply.is_refused(402, "budget_exceeded");
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds <= 86_400, "until the day is over: {seconds}");
    let text = reply.text();
    assert!(
        text.contains("the workspace may spend 1 dollars a day, of which 0 are left, and this call may cost 0.01"),
        "{text}"
    );
    assert_eq!(world.proxy().gateway.meter.budgets.overrun(), dollars("0"));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_writes_more_than_it_was_told_costs_what_the_metric_says_and_no_more() {
    let world = priced().workspace("main", "limits.money_per_month", "\"0.1\"").stands();
    world.provider("primary").answers(Answer::whole("hello").after(secs(1)));
    assert_eq!(at_once(&world, 30, 1).await, (10, 20));
    world.is_at_rest().await;
    let overrun = world.proxy().gateway.meter.budgets.overrun();
    assert_eq!((spent(&world), overrun, held(&world)), (dollars("0.2"), dollars("0.1"), dollars("0")));
}

#[tokio::test(start_paused = true)]
async fn what_a_call_did_not_use_is_there_for_the_next() {
    let world = priced().workspace("main", "limits.money_per_day", "\"0.1\"").stands();
    for _ in 0..3 {
        asks(&world.client(), "m", 6).await.is_served("hello");
    }
    asks(&world.client(), "m", 6).await.is_refused(402, "budget_exceeded");
    asks(&world.client(), "m", 4).await.is_served("hello");
    assert_eq!(spent(&world), dollars("0.08"));
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_are_refused_or_left_give_back_what_was_held() {
    let world = priced().workspace("main", "limits.money_per_day", "\"0.1\"").stands();
    world.provider("primary").answers(Answer::error(500, "down"));
    asks(&world.client(), "m", 10).await;
    world.is_at_rest().await;
    world.provider("primary").answers(Answer::error(400, "invalid_value"));
    asks(&world.client(), "m", 10).await.is_refused(400, "invalid_value");
    world.provider("primary").answers(Answer::default().hangs());
    let leaving = tokio::time::timeout(secs(1), asks(&world.client(), "m", 10).into_future());
    assert!(leaving.await.is_err());
    world.is_at_rest().await;
    assert_eq!(held(&world), dollars("0"));
    world.provider("primary").answers(Answer::whole("hello"));
    asks(&world.client(), "m", 10).await.is_served("hello");
}

#[tokio::test(start_paused = true)]
async fn each_of_those_whose_limits_hold_is_asked() {
    let tight = || Limits { money_per_day: Some(dollars("0.01")), ..Limits::default() };
    for (of, plan) in [
        ("token", priced().token("tight", "main", |token| token.limits = tight())),
        ("workspace", priced().workspace("main", "limits.money_per_day", "\"0.01\"")),
        ("organisation", priced().org("limits.money_per_day", "\"0.01\"")),
        ("model", priced().model("primary", "limits.money_per_day", "\"0.01\"")),
    ] {
        let name = if of == "token" { "tight" } else { "main" };
        let world = plan.stands();
        let client = world.client_of(name);
        let reply = asks(&client, "m", 2).await;
        assert!(
            reply.is_refused(402, "budget_exceeded").text().contains(&format!("the {of} may spend")),
            "{}",
            reply.text()
        );
        assert_eq!(world.provider("primary").heard().len(), 0, "nothing was asked of a provider");
    }
}

#[tokio::test(start_paused = true)]
async fn out_of_money_for_a_dear_target_a_call_may_go_to_a_cheaper_one() {
    let two = || {
        let plan = World::of(["primary", "spare"]).workspace("main", "limits.money_per_day", "\"0.05\"");
        let plan = plan.model("primary", "input_cost", "0").model("primary", "output_cost", "\"10000\"");
        plan.model("spare", "input_cost", "0").model("spare", "output_cost", "\"1000\"")
    };
    let world = two().stands();
    asks(&world.client(), "fast", 10).await.is_refused(402, "budget_exceeded");
    let world = two().set("budgets", "when_short = \"cheaper\"").stands();
    let reply = asks(&world.client(), "fast", 10).await;
    reply.is_served("hello");
    assert_eq!(world.record().from.unwrap().provider.as_ref(), "spare");
    asks(&world.client(), "fast", 100).await.is_refused(402, "budget_exceeded");
}

#[tokio::test(start_paused = true)]
async fn text_is_held_to_its_limit_a_minute_by_what_it_may_be_and_then_by_what_it_was() {
    let world = priced().workspace("main", "limits.output_tokens_per_minute", "10").stands();
    let first = asks(&world.client(), "m", 8);
    world.provider("primary").answers(Answer::whole("hello").after(secs(1)));
    let first = tokio::spawn(first.into_future());
    tokio::time::sleep(Duration::from_millis(10)).await;
    let reply = asks(&world.client(), "m", 8).await;
    reply.is_refused(429, "rate_limit_exceeded");
    assert!(reply.text().contains("10 output tokens a minute"), "{}", reply.text());
    first.await.unwrap().is_served("hello");
    asks(&world.client(), "m", 8).await.is_served("hello");
    asks(&world.client(), "m", 8).await.is_refused(429, "rate_limit_exceeded");
    tokio::time::sleep(secs(62)).await;
    asks(&world.client(), "m", 8).await.is_served("hello");
    // A guess alone refuses nothing for ever: 4,096 units may come of a call that says nothing of it.
    tokio::time::sleep(secs(62)).await;
    world.client().asks("m").await.is_served("hello");
}

#[tokio::test(start_paused = true)]
async fn a_call_s_own_length_is_reckoned_before_it_goes() {
    let world = priced().workspace("main", "limits.input_tokens_per_minute", "1000").stands();
    let long = |bytes: usize| {
        format!(r#"{{"model": "m", "messages": [{{"role": "user", "content": "{}"}}]}}"#, "x".repeat(bytes))
    };
    world.client().posts("/v1/chat/completions", long(2_000)).await.is_served("hello");
    world.client().posts("/v1/chat/completions", long(2_000)).await.is_served("hello");
    // What the provider counted stands for what was reckoned: seven units each.
    assert_eq!(world.records().iter().map(|record| record.usage.input).sum::<u64>(), 14);
}
