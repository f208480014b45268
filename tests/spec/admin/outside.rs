//! What providers are asked over the admin API: keys are tried, models discovered, prices taken, and nothing is saved unasked.

use http::Method;
use keyway::domain::permission::AccessRole;
use keyway::domain::time::Timestamp;
use serde_json::{Value, json};

use super::aliases::{admin, example, get, post, with};
use super::office::{Client, Office};
use crate::support::{Answer, Provider};

const KEY: &str = "sk-of-the-workspace-api0";

fn models(ids: &[&str]) -> Answer {
    let data: Vec<Value> = ids.iter().map(|id| json!({"id": id, "object": "model"})).collect();
    Answer::json(200, &json!({"object": "list", "data": data}).to_string())
}

/// A provider that stands, registered by this client with its key.
async fn registered(client: &Client, kind: &str) -> (Provider, Value) {
    let (provider, host) = Provider::on_loopback("stands");
    let new = json!({"name": "stands", "kind": kind, "baseUrl": format!("{host}/v1"), "apiKey": KEY});
    (provider, client.post("/providers", new).await.with(201))
}

#[tokio::test]
async fn a_stored_key_is_tried_with_its_provider_and_that_it_failed_is_an_answer_too() {
    let office = Office::opens().await;
    let (ours, _) = admin(&office, "ours").await;
    let (provider, _) = registered(&ours, "custom").await;
    let stored = ours.get("/credentials").await.with(200)["items"][0].clone();
    let at = format!("/credentials/{}/validate", stored["id"].as_str().unwrap());
    provider.answers(models(&["a", "b"]));
    let works = ours.post(&at, json!({})).await.with(200);
    assert_eq!((&works["success"], &works["models"]), (&json!(true), &json!(2)));
    assert_eq!(provider.last().header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    let number = ours.get("/credentials").await.with(200)["items"][0]["number"].clone();
    let alias = format!("/api/ai/credentials/{number}/validate");
    assert_eq!(post(&ours, &alias, json!({})).await.with(200), example("atamaia/validated.json"));

    provider.answers(Answer::error(401, "invalid_api_key"));
    let fails = ours.post(&at, json!({"depth": "list"})).await.with(200);
    assert_eq!((&fails["success"], &fails["code"]), (&json!(false), &json!("credential_refused")));
    assert_eq!(post(&ours, &alias, json!({})).await.with(200)["success"], false);
    let seen = ours.get(&format!("/credentials/{}", stored["id"].as_str().unwrap())).await.with(200);
    assert_eq!((&seen["state"], seen["stateSince"].is_string()), (&json!("rejected"), true));
    let target = || async { ours.get("/resolve/stands:m").await.with(200)["targets"][0].clone() };
    assert_eq!((&target().await["breaker"], target().await["until"].is_string()), (&json!("open"), true));

    provider.answers(Answer::whole("pong"));
    let pinged = ours.post(&at, json!({"depth": "ping", "model": "m"})).await.with(200);
    assert_eq!((&pinged["success"], &pinged["modelName"]), (&json!(true), &json!("m")));
    assert_eq!(ours.post(&at, json!({"depth": "ping"})).await.with(200)["code"], "model_missing");
    assert_eq!(ours.get("/credentials").await.with(200)["items"][0]["state"], "ok", "success heals it");
    assert_eq!((&target().await["breaker"], &target().await["until"]), (&json!("closed"), &Value::Null));

    let (theirs, _) = admin(&office, "theirs").await;
    assert_eq!(theirs.post(&at, json!({})).await.status, 404);
    assert_eq!(post(&theirs, &alias, json!({})).await.status, 404);
}

#[tokio::test]
async fn a_configuration_is_tested_as_printed_and_saved_nowhere() {
    let office = Office::opens().await;
    let (ours, workspace) = admin(&office, "ours").await;
    let (provider, host) = Provider::on_loopback("stands");
    let path = "/api/v1/admin/model-config/test";
    let asked =
        with(example("atlas/test.json"), json!({"provider": "custom", "apiKey": KEY, "baseUrl": format!("{host}/v1")}));
    provider.answers(Answer::whole("pong"));
    assert_eq!(post(&ours, path, asked.clone()).await.with(200), example("atlas/tested.json"));
    let heard = provider.last();
    assert!(heard.text().contains("claude-opus-4-6"), "{}", heard.text());
    provider.answers(Answer::error(401, "invalid_api_key"));
    let fails = post(&ours, path, asked.clone()).await.with(200);
    assert_eq!((&fails["success"], &fails["modelName"]), (&json!(false), &json!("claude-opus-4-6")));
    assert_eq!(get(&ours, "/api/v1/admin/model-config").await.with(200), json!({"config": null}));
    assert_eq!(ours.get("/credentials").await.with(200)["items"], json!([]));
    let own = ours.get("/providers?limit=200").await.with(200);
    assert!(
        own["items"].as_array().unwrap().iter().all(|one| one["workspaceId"].is_null()),
        "no provider is left behind"
    );

    let canonical = format!("/workspaces/{workspace}/model-config/test");
    provider.answers(Answer::whole("pong"));
    assert_eq!(ours.post(&canonical, asked.clone()).await.with(200)["success"], true);
    assert_eq!(ours.post(&canonical, json!({"provider": "custom"})).await.with(400)["field"], "model");
    for (field, more) in [("apiKey", json!({"apiKey": null})), ("baseUrl", json!({"baseUrl": null}))] {
        assert_eq!(post(&ours, path, with(asked.clone(), more)).await.with(400)["field"], field);
    }
    let calls = provider.calls();
    let inside = with(asked.clone(), json!({"baseUrl": "http://10.0.0.1/v1"}));
    assert_eq!(post(&ours, path, inside).await.code(), "egress_denied");
    let member = office.client(workspace, AccessRole::Member).await;
    assert_eq!(post(&member, path, asked).await.status, 403);
    provider.was_called(calls);
}

#[tokio::test]
async fn models_are_discovered_looked_at_first_and_kept_with_their_moment() {
    let office = Office::opens().await;
    let (root, (ours, workspace)) = (office.root().await, admin(&office, "ours").await);
    let (provider, made) = registered(&root, "custom").await;
    let id = made["id"].as_str().unwrap();
    let at = format!("/providers/{id}/discover-models");
    provider.answers(models(&["a", "b"]));
    let looked = root.post(&format!("{at}?preview=true"), json!({})).await.with(200);
    assert_eq!(looked["added"], json!(["a", "b"]));
    let models_of = format!("/providers/{id}/models");
    assert_eq!(root.get(&models_of).await.with(200)["items"], json!([]), "only looked at");
    assert_eq!(root.post(&at, json!({})).await.with(200)["added"], json!(["a", "b"]));
    provider.was_called(1);
    let taken = root.get(&models_of).await.with(200);
    assert_eq!((taken["items"].as_array().unwrap().len(), &taken["items"][0]["source"]), (2, &json!("discovered")));

    provider.answers(models(&["b", "c"]));
    let bridge = format!("/{workspace}/ai-settings/providers/{id}");
    assert_eq!(post(&ours, &format!("{bridge}/discover-models"), json!({})).await.code(), "permission_denied");
    let of_house = format!("/house/ai-settings/providers/{}", made["number"]);
    // What was heard a moment ago is as good as new; a look asks anew.
    root.post(&format!("{at}?preview=true"), json!({})).await.with(200);
    let again = post(&root, &format!("{of_house}/discover-models"), json!({})).await.with(200);
    let ids = |listed: &Value| {
        listed["models"].as_array().unwrap().iter().map(|one| one["modelId"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&again), ["a", "b", "c"], "what it no longer names stays until somebody deletes it");
    let moment = Timestamp::from_rfc3339(again["discoveredAt"].as_str().unwrap()).unwrap();
    assert!(moment > Timestamp(0) && moment <= Timestamp::now(), "{again}");
    let calls = provider.calls();
    assert_eq!(
        get(&ours, &format!("{bridge}/models")).await.with(200),
        again,
        "what people pick from is the kept list"
    );
    provider.was_called(calls);

    provider.answers(Answer::json(200, "{\"hello\":1}"));
    let failed = root.post(&format!("{at}?preview=true"), json!({})).await;
    assert_eq!((failed.status, failed.code().as_str()), (424, "asking_failed"));
}

#[tokio::test]
async fn prices_are_taken_from_openrouter_and_counted() {
    let office = Office::opens().await;
    let (root, (ours, _)) = (office.root().await, admin(&office, "ours").await);
    let (provider, made) = registered(&root, "openrouter").await;
    for model in ["a", "b"] {
        root.post("/models", json!({"providerId": made["id"], "modelId": model})).await.with(201);
    }
    let listed = |prompt: &str| {
        let line = |id: &str, prompt: &str| json!({"id": id, "pricing": {"prompt": prompt, "completion": "0.0000006"}});
        Answer::json(200, &json!({"data": [line("a", prompt), line("b", "0.000002")]}).to_string())
    };
    provider.answers(listed("0.00000015"));
    let looked = root.post("/sync-pricing?preview=true", json!({})).await.with(200);
    assert_eq!(looked["updated"], 2);
    assert_eq!(root.get("/models").await.with(200)["items"][0]["prices"]["input"], Value::Null);
    assert_eq!(post(&root, "/api/ai/sync-pricing", json!({})).await.with(200), json!({"success": true, "updated": 2}));
    let priced = get(&root, &format!("/api/ai/models?providerId={}", made["number"])).await.with(200);
    assert_eq!((&priced[0]["inputCostPer1M"], &priced[0]["outputCostPer1M"]), (&json!(0.15), &json!(0.6)));
    provider.answers(listed("0.0000003"));
    root.post("/sync-pricing?preview=true", json!({})).await.with(200);
    assert_eq!(root.post("/sync-pricing", json!({})).await.with(200)["updated"], 1);
    assert_eq!(ours.post("/sync-pricing", json!({})).await.code(), "permission_denied");
    let refused = ours.asks_at(Method::POST, "/api/ai/sync-pricing", Some(json!({})), &[]).await;
    assert_eq!(refused.status, 403);
}
