//! What holds for every path of the admin API, shown with orgs.

use http::Method;
use keyway::admin::Settings;
use keyway::domain::permission::AccessRole;
use serde_json::{Value, json};

use super::office::Office;

fn names(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|org| org["name"].as_str().unwrap().to_string()).collect()
}

#[tokio::test]
async fn without_a_token_that_lives_nothing_is_said() {
    let office = Office::opens().await;
    let missing = office.shows("").get("/orgs").await;
    assert_eq!((missing.status, missing.code().as_str()), (401, "token_missing"));
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    let (_, workspace) = office.org("acme").await;
    let client = office.client(workspace, AccessRole::Member).await;
    assert_eq!(client.get("/me").await.with(200)["role"], "member");
    let unknown = office.shows("kw_nonsense").get("/orgs").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (401, "invalid_api_key"));
}

#[tokio::test]
async fn an_org_is_made_found_changed_and_deleted() {
    let office = Office::opens().await;
    let root = office.root().await;
    let made = root.post("/orgs", json!({"name": "acme", "limits": {"requestsPerMinute": 6}})).await;
    let location = made.header("location").unwrap().to_string();
    let tag = made.header("etag").unwrap().to_string();
    let made = made.with(201);
    assert_eq!(location, format!("/api/v1/orgs/{}", made["id"].as_str().unwrap()));
    assert_eq!((&made["limits"]["requestsPerMinute"], &made["defaultGate"]), (&json!(6), &json!("allow")));

    let path = location.strip_prefix("/api/v1").unwrap();
    let found = root.get(path).await;
    assert_eq!(found.header("etag"), Some(tag.as_str()));
    assert_eq!(found.with(200), made);
    assert_eq!(names(&root.get("/orgs?name=ACME").await.with(200)), ["acme"]);

    let changed = root.patch(path, json!({"defaultGate": "deny", "limits": null, "features": {"byok": false}})).await;
    let changed = changed.with(200);
    assert_eq!((&changed["name"], &changed["defaultGate"]), (&json!("acme"), &json!("deny")));
    assert_eq!((&changed["limits"]["requestsPerMinute"], &changed["features"]["byok"]), (&Value::Null, &json!(false)));

    assert_eq!(root.delete(path).await.status, 204);
    assert_eq!(root.get(path).await.code(), "not_found");
    root.post("/orgs", json!({"name": "acme"})).await.with(201);
}

#[tokio::test]
async fn a_change_bound_to_what_was_seen_fails_once_somebody_else_made_one() {
    let office = Office::opens().await;
    let root = office.root().await;
    let made = root.post("/orgs", json!({"name": "acme"})).await;
    let (path, seen) =
        (made.header("location").unwrap().replace("/api/v1", ""), made.header("etag").unwrap().to_string());
    let bound = |tag: String| {
        let (root, path) = (root.clone(), path.clone());
        async move {
            let body = Some(json!({"defaultGate": "deny"}));
            root.asks(Method::PATCH, &path, body, &[("if-match", tag.as_str())]).await
        }
    };
    let changed = bound(format!("\"other\", {seen}")).await;
    assert_ne!(changed.header("etag"), Some(seen.as_str()));
    changed.with(200);
    let late = bound(seen.clone()).await;
    assert_eq!((late.status, late.code().as_str()), (412, "precondition_failed"));
    assert_eq!(bound(format!("W/{seen}")).await.status, 412);
    assert_eq!(bound("nonsense".into()).await.code(), "header_invalid");
    assert_eq!(bound("*".into()).await.status, 200);
    let deleted = root.asks(Method::DELETE, &path, None, &[("if-match", seen.as_str())]).await;
    assert_eq!(deleted.status, 412);
}

#[tokio::test]
async fn a_request_that_comes_twice_under_one_key_is_done_once() {
    let office = Office::opens().await;
    let root = office.root().await;
    let ask = |body: Value, key: &'static str| {
        let root = root.clone();
        async move { root.asks(Method::POST, "/orgs", Some(body), &[("idempotency-key", key)]).await }
    };
    let first = ask(json!({"name": "acme"}), "one").await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = ask(json!({"name": "acme"}), "one").await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!((again.header("etag"), again.header("location")), (first.header("etag"), first.header("location")));
    assert_eq!(again.text, first.text);
    let other = ask(json!({"name": "other"}), "one").await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));

    // What failed is not remembered: the same key may try again.
    assert_eq!(ask(json!({"name": "acme"}), "two").await.code(), "already_exists");
    ask(json!({"name": "later"}), "two").await.with(201);
    assert_eq!(ask(json!({"name": "x"}), "a b").await.code(), "header_invalid");

    // Another token's keys are its own.
    let neighbour = office.root().await;
    let theirs = neighbour.asks(Method::POST, "/orgs", Some(json!({"name": "x"})), &[("idempotency-key", "one")]).await;
    theirs.with(201);
}

#[tokio::test]
async fn lists_come_in_pages_that_show_everything_once() {
    let office = Office::opens().await;
    let root = office.root().await;
    for number in 0..7 {
        root.post("/orgs", json!({"name": format!("org-{number}")})).await.with(201);
    }
    let (mut seen, mut path) = (Vec::new(), "/orgs?limit=3".to_string());
    loop {
        let page = root.get(&path).await.with(200);
        let on_it = names(&page);
        assert!(!on_it.is_empty() && on_it.len() <= 3);
        seen.extend(on_it);
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/orgs?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    seen.sort();
    let expected: Vec<String> = ["house".to_string()].into_iter().chain((0..7).map(|n| format!("org-{n}"))).collect();
    assert_eq!(seen, expected);
    for query in ["limit=0", "limit=201", "cursor=zzz", "limt=3"] {
        let wrong = root.get(&format!("/orgs?{query}")).await;
        assert_eq!((wrong.status, wrong.code().as_str()), (400, "query_invalid"), "{query}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_with_its_place_and_the_nearest_name() {
    let office = Office::opens().await;
    let root = office.root().await;
    let unknown = root.post("/orgs", json!({"nmae": "acme"})).await.with(400);
    assert_eq!((&unknown["code"], &unknown["field"]), (&json!("field_invalid"), &json!("nmae")));
    assert_eq!(unknown["remedy"], "did you mean `name`?");
    let named = root.post("/orgs", json!({"name": "a b"})).await.with(400);
    assert_eq!((&named["code"], &named["field"]), (&json!("invalid"), &json!("name")));

    let json_type = ("content-type", "application/json");
    let sends = |body: &str, header: (&'static str, &'static str)| {
        let (root, body) = (root.clone(), body.to_string());
        async move { root.sends(Method::POST, "/api/v1/orgs", body, &[header]).await }
    };
    let broken = sends("{\"name\":\n}", json_type).await.with(400);
    assert!(broken["detail"].as_str().unwrap().contains("line 2, column 1"), "{broken}");
    assert_eq!(sends("name=acme", ("content-type", "application/x-www-form-urlencoded")).await.status, 415);
    assert_eq!(sends("{}", ("content-encoding", "gzip")).await.status, 415);
    let large = sends(&format!("{{\"name\":\"{}\"}}", "x".repeat(70_000)), json_type).await;
    assert_eq!((large.status, large.code().as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn what_has_no_line_in_the_table_can_not_be_asked_for() {
    let office = Office::opens().await;
    let root = office.root().await;
    assert_eq!(root.get("/secrets").await.code(), "path_unknown");
    let wrong = root.put("/orgs", json!({})).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (405, "method_not_allowed"));
    let allow = wrong.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    let nobodys = root.sends(Method::TRACE, "/api/v1/orgs", String::new(), &[]).await;
    assert_eq!((nobodys.status, nobodys.header("allow")), (405, Some("GET, POST, PUT, PATCH, DELETE")));
}

#[tokio::test]
async fn whoever_guesses_tokens_is_slowed_and_whoever_has_one_is_not() {
    let office = Office::opens().await;
    let root = office.root().await;
    let guesser = office.shows("kw_guess");
    for _ in 0..20 {
        assert_eq!(guesser.get("/orgs").await.status, 401);
    }
    let slowed = guesser.get("/orgs").await;
    assert_eq!((slowed.status, slowed.code().as_str()), (429, "too_many_failures"));
    let wait: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    root.get("/orgs").await.with(200);
}

#[tokio::test]
async fn every_answer_carries_an_id_and_none_is_kept_by_caches() {
    let office = Office::opens().await;
    let root = office.root().await;
    let (good, bad) = (root.get("/orgs").await, root.get("/orgs/x").await);
    assert_eq!(good.header("cache-control"), Some("no-store"));
    assert_ne!(good.header("x-keyway-request-id").unwrap(), bad.header("x-keyway-request-id").unwrap());
}

#[tokio::test]
async fn metrics_take_a_token_on_any_other_address_than_this_machines_own() {
    for (address, is_enabled, statuses) in [
        ("127.0.0.1", true, [200, 200, 200]),
        ("::1", true, [200, 200, 200]),
        ("10.0.0.1", true, [401, 403, 200]),
        ("0.0.0.0", true, [401, 403, 200]),
        ("127.0.0.1", false, [404, 404, 404]),
    ] {
        let office = Office::opens_with(Settings::new(address.parse().unwrap(), is_enabled, 64)).await;
        let (_, workspace) = office.org("acme").await;
        let clients = [office.shows(""), office.client(workspace, AccessRole::OrgAdmin).await, office.root().await];
        for (client, status) in clients.iter().zip(statuses) {
            let heard = client.sends(Method::GET, "/metrics", String::new(), &[]).await;
            assert_eq!(heard.status, status, "{address}");
            assert_eq!(heard.text == "keyway_up 1\n", status == 200);
        }
        assert_eq!(clients[0].sends(Method::GET, "/healthz", String::new(), &[]).await.status, 200);
        assert_eq!(clients[0].sends(Method::POST, "/healthz", "x".repeat(100), &[]).await.status, 413);
    }
}
