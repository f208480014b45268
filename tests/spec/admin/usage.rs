//! Usage over the admin API: how a question is put, and who hears what. That the sums are right is another promise.

use keyway::domain::entity::{Org, Workspace};
use keyway::domain::id::Id;
use keyway::domain::ledger::Entry;
use keyway::domain::money::Nanodollars;
use keyway::domain::permission::AccessRole;
use keyway::domain::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::matrix::{entry, keep};
use super::office::{Client, Office};

/// An exchange that cost so many billionths, for a user.
fn spent(org: Id<Org>, workspace: Id<Workspace>, user: &str, nanos: i64) -> Entry<'_> {
    Entry { user: Some(user), cost: Some(Nanodollars(nanos)), outcome: "served", ..entry(org, workspace, Id::random()) }
}

/// Two workspaces of one org and one of another, each with ten exchanges of two users.
async fn town() -> (Office, [(Id<Org>, Id<Workspace>); 3]) {
    let office = Office::opens().await;
    let (home, foreign) = (office.org("home").await, office.org("foreign").await);
    let sibling = keyway::directory::workspaces::create(&office.access, home.0, "sibling", None).await.unwrap().id;
    let places = [home, (home.0, sibling), foreign];
    for (number, (org, workspace)) in places.iter().enumerate() {
        let nanos = 10_i64.pow(number as u32);
        let some = (0..10).map(|one| spent(*org, *workspace, ["ada", "bob"][one % 2], nanos));
        keep(&office.ledger, &some.collect::<Vec<_>>()).await;
    }
    (office, places)
}

async fn cost(client: &Client, query: &str) -> Value {
    client.get(&format!("/usage{query}")).await.with(200)["totals"]["cost"].clone()
}

#[tokio::test]
async fn everybody_is_shown_the_usage_they_reach() {
    let (office, [home, sibling, foreign]) = town().await;
    let [member, admin, of_org, root] = [
        office.client(home.1, AccessRole::Member).await,
        office.client(home.1, AccessRole::WorkspaceAdmin).await,
        office.client(home.1, AccessRole::OrgAdmin).await,
        office.client(home.1, AccessRole::PlatformAdmin).await,
    ];
    assert_eq!(member.get("/usage").await.status, 403);
    assert_eq!(cost(&admin, "").await, "0.00000001");
    assert_eq!(cost(&of_org, "").await, "0.00000011");
    assert_eq!(cost(&root, "").await, "0.00000111");
    assert_eq!(cost(&of_org, &format!("?workspaceId={}", sibling.1)).await, "0.0000001");
    assert_eq!(cost(&root, &format!("?orgId={}", foreign.0)).await, "0.000001");
    for (client, query) in [
        (&admin, format!("?workspaceId={}", sibling.1)),
        (&admin, format!("?workspaceId={}", foreign.1)),
        (&of_org, format!("?orgId={}", foreign.0)),
    ] {
        assert_eq!(client.get(&format!("/usage{query}")).await.status, 404, "{query}");
        assert_eq!(client.get(&format!("/exchanges.csv{query}")).await.status, 404, "{query}");
    }
    assert_eq!(admin.get(&format!("/usage?orgId={}", home.0)).await.status, 403, "an org's usage is its admins'");
}

#[tokio::test]
async fn groups_come_in_pages_and_can_be_narrowed() {
    let (office, _) = town().await;
    let root = office.root().await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = root.get(&format!("/usage?groupBy=user,workspace&limit=4{cursor}")).await.with(200);
        assert_eq!(page["totals"]["exchanges"], 30, "of all pages");
        seen.extend(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|group| group["usage"]["exchanges"] == 5 && group["user"].is_string()));
    let ada = root.get("/usage?user=ada&groupBy=day").await.with(200);
    assert_eq!((&ada["totals"]["exchanges"], &ada["items"][0]["usage"]["exchanges"]), (&json!(15), &json!(15)));
    let hour = Timestamp(Timestamp::now().0 - 7_200_000).iso8601();
    let before = root.get(&format!("/usage?to={hour}")).await.with(200);
    assert_eq!((&before["totals"]["exchanges"], &before["totals"]["cost"]), (&json!(0), &json!("0")));
    let table = root.get("/usage.csv?groupBy=user").await;
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(table.text.starts_with("user,exchanges,") && table.text.lines().count() == 3, "{}", table.text);
}

#[tokio::test]
async fn exchanges_come_newest_first_in_pages_and_one_by_one() {
    let (office, [home, ..]) = town().await;
    let admin = office.client(home.1, AccessRole::WorkspaceAdmin).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/exchanges?limit=3{cursor}")).await.with(200);
        seen.extend(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let ids: Vec<&str> = seen.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(ids.len() == 10 && ids.is_sorted_by(|newer, older| newer > older));
    let one = admin.get(&format!("/exchanges/{}", ids[0])).await.with(200);
    assert_eq!(one, seen[0]);
    assert_eq!(admin.get("/exchanges?run=nightly/1").await.with(200)["items"].as_array().unwrap().len(), 10);
    assert_eq!(admin.get("/exchanges?run=other").await.with(200)["items"], json!([]));
    assert_eq!(admin.get(&format!("/exchanges/{}", Uuid::now_v7())).await.status, 404);
    let run = admin.get("/runs/nightly/1").await.with(200);
    assert_eq!((&run["own"]["exchanges"], &run["totalWithDescendants"]["cost"]), (&json!(10), &json!("0.00000001")));
    assert_eq!(admin.get("/runs/other").await.status, 404);
}

#[tokio::test]
async fn a_question_that_makes_no_sense_says_which_part_of_it() {
    let (office, _) = town().await;
    let root = office.root().await;
    for (query, field) in [
        ("groupBy=colour", "groupBy"),
        ("groupBy=model,model", "groupBy"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("token=nobody", "token"),
        ("groupBy=model&cursor=x", "cursor"),
        ("from=2026-03-22T00:00:00Z&to=2026-03-21T00:00:00Z", "from"),
        ("from=yesterday", "from"),
        ("colour=red", "colour"),
    ] {
        let heard = root.get(&format!("/usage?{query}")).await;
        assert_eq!(
            (heard.status, heard.code().as_str(), &heard.json()["field"]),
            (400, "query_invalid", &json!(field)),
            "{query}"
        );
    }
}
