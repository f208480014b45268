//! Promise: every exchange whose end a client saw is on record once, whatever becomes of the process or the database.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keyway::app::ledger;
use keyway::directory::tokens::{self, NewToken};
use keyway::directory::{Access, Actor, named};
use keyway::domain::ledger::Entry;
use keyway::domain::permission::AccessRole;
use keyway::domain::time::{DAY_MS, Timestamp};
use keyway::store::ledger::{Dimension, Ledger, Listing, Query, Scope, Span};
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;

use super::caller::Caller;
use super::gateway::{Gateway, Process, SOON, configuration, practice};
use crate::support::postgres::Cluster;

/// Connections that call at the same time.
const CALLERS: usize = 6;

/// Two prices, so that the source's formula is all there is to it.
const PRICED: &str = "[[model]]\nprovider = \"practice\"\nid = \"practice-small\"\ninput_cost = 3\noutput_cost = 15\n";

pub(super) async fn opened(gateway: &Gateway) -> Ledger {
    let config = gateway.config();
    let opened = keyway::app::open::open(&config).await.unwrap();
    ledger::open(&config, &opened.store)
}

/// Every exchange that the ledger has.
pub(super) async fn entries(ledger: &Ledger) -> Vec<Entry<'static>> {
    let now = Timestamp::now();
    let span = Span::around(Timestamp(now.0 - 3_600_000), Timestamp(now.0 + 3_600_000));
    let mut listing = Listing { scope: Scope::Platform, span, run: None, before: None, limit: 1_000 };
    let mut all = Vec::new();
    loop {
        let page = ledger.list(&listing).await.unwrap();
        let Some(last) = page.last() else { return all };
        listing.before = Some(last.id);
        all.extend(page.into_iter().map(|kept| Entry::read(kept.bytes.leak()).unwrap()));
    }
}

/// Waits until the gateway has handed over all that it wrote down.
pub(super) async fn is_drained(gateway: &Gateway) {
    let began = Instant::now();
    while !gateway.metrics().await.contains("keyway_ledger_waiting 0\n") {
        assert!(began.elapsed() < SOON * 3, "{}", gateway.process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A token that sees what was used.
async fn admins(gateway: &Gateway) -> String {
    let config = gateway.config();
    let opened = keyway::app::open::open(&config).await.unwrap();
    let access = Access {
        store: opened.store,
        declared: config.declared.clone(),
        egress: Arc::new(config.egress.rules.clone()),
        actor: Actor::operator("a test"),
    };
    let stored = access.load(named::some_workspaces()).await.unwrap();
    let workspace = access.known(&stored).workspaces().next().unwrap().id;
    let new = NewToken { role: AccessRole::WorkspaceAdmin, ..NewToken::of(workspace) };
    let made = tokens::create(&access, new).await.unwrap();
    let text = String::from_utf8(made.text.expose().to_vec()).unwrap();
    let began = Instant::now();
    while Caller::to(gateway.admin).await.with_token(&text).get("/api/v1/me").await.status != 200 {
        assert!(began.elapsed() < SOON, "{}", gateway.process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    text
}

async fn says(folder: &Path, arguments: &[&str]) -> String {
    let mut process = Process::start(folder, arguments, &[]);
    process.exit().await;
    let said = process.stdout.lock().unwrap().clone();
    assert!(!said.is_empty(), "{}", process.log());
    said
}

#[tokio::test]
async fn what_was_served_is_summed_the_same_over_every_way() {
    let gateway = Gateway::start(&(configuration(practice(), "") + PRICED)).await;
    let admin = admins(&gateway).await;
    let mut caller = gateway.caller().await;
    for number in 0..6 {
        let run = format!("step-{}", number % 2);
        assert_eq!(caller.chat_of_run("practice:practice-small", &run, "pipeline").await.status, 200);
    }
    let text = super::caller::text(caller.stream("practice:practice-small").await).await.unwrap();
    assert!(text.contains("[DONE]"));
    assert_eq!(caller.chat("nothing:of-the-kind").await.unwrap().status, 404);
    let cycle = caller.chat_of_run("practice:practice-small", "pipeline", "step-0").await;
    assert!(cycle.status == 400 && cycle.body.contains("run_cycle"), "{}", cycle.body);
    is_drained(&gateway).await;

    let ledger = opened(&gateway).await;
    let all = entries(&ledger).await;
    assert_eq!(all.len(), 9);
    let sum = |of: &dyn Fn(&Entry<'_>) -> u64| all.iter().map(of).sum::<u64>();
    let (input, output) = (sum(&|entry| entry.usage.input_total()), sum(&|entry| entry.usage.output_total()));
    assert!(input > 0 && output > 0);
    // input / 1e6 * 3 + output / 1e6 * 15, in billionths.
    let cost = i64::try_from(input * 3_000 + output * 15_000).unwrap();
    assert_eq!(all.iter().map(|entry| entry.cost.unwrap().0).sum::<i64>(), cost);

    let mut desk = Caller::to(gateway.admin).await.with_token(&admin);
    let dollars = keyway::domain::money::Nanodollars(cost).to_string();
    for by in ["", "model", "day", "hour", "run", "user", "token", "provider,model,run"] {
        let answer = desk.get(&format!("/api/v1/usage?groupBy={by}")).await;
        let usage: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((&usage["totals"]["exchanges"], &usage["totals"]["cost"]), (&9.into(), &dollars.as_str().into()));
        let groups = usage["items"].as_array().unwrap();
        let exchanges: i64 = groups.iter().map(|group| group["usage"]["exchanges"].as_i64().unwrap()).sum();
        assert!(by.is_empty() || exchanges == 9, "{by}: {usage}");
    }
    let run = desk.get("/api/v1/runs/pipeline").await;
    let run: Value = serde_json::from_str(&run.body).unwrap();
    assert_eq!((&run["own"]["exchanges"], &run["totalWithDescendants"]["served"]), (&1.into(), &6.into()), "{run}");
    assert_eq!(run["descendants"].as_array().unwrap().len(), 2);
    let one = desk.get(&format!("/api/v1/exchanges/{}", all[0].id)).await;
    assert!(one.status == 200 && one.body.contains("\"attempts\""), "{}", one.body);
    let table = desk.get("/api/v1/exchanges.csv").await.body;
    assert_eq!(table.lines().count(), 10, "{table}");
    drop(desk);

    let said = says(gateway.folder.path(), &["usage", "--json", "--by", "model,run"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["totals"]["exchanges"], &said["totals"]["cost"]), (&9.into(), &dollars.as_str().into()));
    let day = &all[0].began_at.iso8601()[..10];
    let served = all.iter().filter(|entry| entry.outcome == "served").count();
    let export = |input: u64| {
        format!(
            "date,model,requests,input_tokens,output_tokens,cost\n{day},practice-small,{served},{input},{output},{dollars}\n"
        )
    };
    std::fs::write(gateway.folder.path().join("same.csv"), export(input)).unwrap();
    std::fs::write(gateway.folder.path().join("other.csv"), export(input + 5)).unwrap();
    let same = says(gateway.folder.path(), &["reconcile", "same.csv", "--provider", "practice"]).await;
    assert!(same.starts_with("1 days and models agree") && same.lines().count() == 1, "{same}");
    let other = says(gateway.folder.path(), &["reconcile", "other.csv", "--provider", "practice"]).await;
    assert!(other.contains(&format!("theirs: {served} requests, {} input", input + 5)), "{other}");
}

/// Calls until told to stop, or until the process is gone; notes each call whose end it saw.
fn load(gateway: &Gateway, seen: &Arc<Mutex<BTreeSet<String>>>) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let (seen, data, token) = (seen.clone(), gateway.data, gateway.token.clone());
        callers.spawn(async move {
            let mut caller = Caller::to(data).await.with_token(&token);
            loop {
                // Some are refused, which is on record too.
                let model = if number == 0 { "nothing:of-the-kind" } else { "default" };
                match caller.chat(model).await {
                    Ok(answer) => seen.lock().unwrap().insert(answer.id),
                    Err(_) => return,
                };
            }
        });
    }
    callers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_under_load_lose_no_exchange_whose_end_was_seen_and_count_none_twice() {
    const KILLS: usize = 50;
    let mut gateway =
        Gateway::start(&configuration(practice(), "[journal]\nwait = \"1m\"\n[log]\nexchanges = false\n")).await;
    let seen = Arc::<Mutex<BTreeSet<String>>>::default();
    for round in 0..KILLS {
        let mut callers = load(&gateway, &seen);
        let before = seen.lock().unwrap().len();
        let began = Instant::now();
        // Each round is killed in the middle of its load, never after the same time.
        while seen.lock().unwrap().len() < before + 20 + round || began.elapsed() < Duration::from_millis(20) {
            assert!(began.elapsed() < SOON, "{}", gateway.process.log());
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        gateway.process.signal(Signal::KILL);
        while callers.join_next().await.is_some() {}
        gateway.process.exit().await;
        gateway.process = Process::start(gateway.folder.path(), &["serve"], &[]);
        (gateway.data, gateway.admin) = gateway.process.addresses().await;
    }
    // What earlier processes wrote is not among what this one waits for: it is there when all is.
    let (seen, began) = (seen.lock().unwrap().clone(), Instant::now());
    let ledger = opened(&gateway).await;
    let missing = loop {
        let found: Vec<String> = entries(&ledger).await.iter().map(|entry| entry.id.to_string()).collect();
        let unique: BTreeSet<&String> = found.iter().collect();
        assert_eq!(unique.len(), found.len(), "each is there once");
        let missing = seen.iter().filter(|id| !unique.contains(id)).count();
        if missing == 0 || began.elapsed() > SOON {
            break missing;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(missing, 0, "of {} that were seen", seen.len());
    assert_eq!(summed(&ledger, &[]).await, entries(&ledger).await.len() as i64, "and summed once");
}

/// Exchanges in all groups together.
async fn summed(ledger: &Ledger, by: &[Dimension]) -> i64 {
    let span = Span::around(Timestamp(0), Timestamp::now());
    let query = Query { scope: Scope::Platform, span, by: by.to_vec(), only: Vec::new(), after: None, limit: 1_000 };
    ledger.sums(&query).await.unwrap().iter().map(|group| group.sums.exchanges).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_costs_no_call_and_no_record_however_full_the_journal_gets() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let url = cluster.database().await;
    let settings = format!(
        "[store]\nkind = \"postgres\"\nurl = \"{url}\"\n[encryption]\nkeys = [\"raw:0123456789abcdef0123456789abcdef\"]\n\
         [journal]\nlimit = \"64KiB\"\n[log]\nexchanges = false\n"
    );
    let gateway = Gateway::start(&configuration(practice(), &settings)).await;
    let mut caller = gateway.caller().await;
    let mut seen = BTreeSet::new();
    let mut call = async |times: usize| {
        for _ in 0..times {
            let answer = caller.chat("default").await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.body);
            seen.insert(answer.id);
        }
    };
    call(20).await;
    is_drained(&gateway).await;
    tokio::task::block_in_place(|| cluster.stop());
    // Far more than 64 KiB of the journal hold.
    call(300).await;
    let began = Instant::now();
    loop {
        let (status, ready) = gateway.ready().await;
        assert_eq!(status, 200);
        let troubles = ready["troubles"].to_string();
        if troubles.contains("exchanges wait in the journal") && troubles.contains("as large as [journal] limit") {
            break;
        }
        assert!(began.elapsed() < SOON, "{ready}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::task::block_in_place(|| cluster.restart());
    call(20).await;
    let began = Instant::now();
    let ledger = opened(&gateway).await;
    loop {
        let found: BTreeSet<String> = entries(&ledger).await.iter().map(|entry| entry.id.to_string()).collect();
        if seen.is_subset(&found) {
            assert_eq!(found.len(), seen.len());
            break;
        }
        assert!(began.elapsed() < SOON * 4, "{} of {}: {}", found.len(), seen.len(), gateway.process.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(gateway.metrics().await.contains("keyway_journal_lost_total 0\n"));

    for dimension in Dimension::ALL {
        assert_eq!(summed(&ledger, &[dimension]).await, seen.len() as i64, "{dimension:?}");
    }
    let tomorrow = Timestamp::now().0 / DAY_MS + 1;
    ledger.forget(tomorrow - 2).await.unwrap();
    assert_eq!(entries(&ledger).await.len(), seen.len(), "nothing is too old yet");
    ledger.forget(tomorrow).await.unwrap();
    assert!(entries(&ledger).await.is_empty() && summed(&ledger, &[]).await == 0);
}
