//! Providers, models, routes, credentials, endpoints and the plan they make, over the admin API.

use http::Method;
use keyway::domain::entity::Workspace;
use keyway::domain::id::Id;
use keyway::domain::permission::AccessRole;
use serde_json::{Value, json};

use super::office::{Client, Heard, Office};

const KEY: &str = "sk-of-the-workspace-0001";

fn path(heard: &Heard) -> String {
    heard.header("location").unwrap().strip_prefix("/api/v1").unwrap().to_string()
}

async fn provider(client: &Client, name: &str, more: Value) -> Value {
    let mut body = json!({"name": name, "kind": "groq"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post("/providers", body).await.with(201)
}

async fn admin(office: &Office, name: &str) -> (Client, Id<Workspace>) {
    let (_, workspace) = office.org(name).await;
    (office.client(workspace, AccessRole::WorkspaceAdmin).await, workspace)
}

/// One field of all that are on a page, sorted.
fn column<'a>(page: &'a Value, name: &str) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = page["items"].as_array().unwrap().iter().map(|one| &one[name]).collect();
    found.sort_by_key(|one| one.to_string());
    found
}

#[tokio::test]
async fn a_provider_is_registered_shown_with_its_models_changed_and_hidden() {
    let office = Office::opens().await;
    let root = office.root().await;
    let made = root.post("/providers", json!({"name": "groq", "kind": "groq", "apiKey": KEY, "priority": 2})).await;
    let (at, tag) = (path(&made), made.header("etag").unwrap().to_string());
    let made = made.with(201);
    assert_eq!((&made["baseUrl"], &made["protocol"]), (&json!("https://api.groq.com/openai/v1"), &json!("chat")));
    assert_eq!((&made["workspaceId"], &made["timeoutMs"]), (&Value::Null, &json!(120_000)));
    let id = made["id"].clone();
    root.post("/models", json!({"providerId": id, "modelId": "llama3:8b"})).await.with(201);
    let shown = root.get(&at).await;
    assert_eq!(shown.header("etag"), Some(tag.as_str()), "its models are no part of its tag");
    assert_eq!(shown.with(200)["models"][0]["qualifiedId"], "groq:llama3:8b");
    assert_eq!(column(&root.get(&format!("{at}/models")).await.with(200), "modelId"), ["llama3:8b"]);

    let change = json!({"enabled": false, "maxParallel": 3});
    let changed = root.asks(Method::PATCH, &at, Some(change), &[("if-match", &tag)]).await;
    assert_eq!(changed.with(200)["maxParallel"], 3);
    assert_eq!(root.asks(Method::DELETE, &at, None, &[("if-match", &tag)]).await.status, 412);
    let enabled = root.get("/providers?enabledOnly=true").await.with(200);
    assert!(!column(&enabled, "name").contains(&&json!("groq")));
    assert!(column(&root.get("/providers").await.with(200), "name").contains(&&json!("groq")));
    let keys = root.get("/credentials?scope=platform").await.with(200);
    assert!(keys["items"].as_array().unwrap().iter().any(|one| one["apiKeyMasked"] == "***********0001"));

    assert_eq!(root.delete(&at).await.status, 204);
    assert_eq!(root.get(&at).await.status, 404);
    let wrong = root.post("/providers", json!({"name": "x", "kind": "opanai"})).await.with(400);
    assert_eq!((&wrong["field"], &wrong["remedy"]), (&json!("kind"), &json!("did you mean `openai`?")));
    let unlike = root.post("/providers", json!({"name": "x", "kind": "groq", "region": "x"})).await.with(400);
    assert_eq!(unlike["field"], "region");
    let inside = root.post("/providers", json!({"name": "x", "kind": "custom", "baseUrl": "http://10.0.0.1/v1"})).await;
    assert_eq!((inside.code().as_str(), &inside.json()["field"]), ("egress_denied", &json!("baseUrl")));
    let declared = root.get("/providers?limit=200").await.with(200);
    let openai = declared["items"].as_array().unwrap().iter().find(|one| one["declared"] == true).unwrap();
    let theirs = format!("/providers/{}", openai["id"].as_str().unwrap());
    assert_eq!(root.patch(&theirs, json!({"priority": 1})).await.code(), "declared");
}

#[tokio::test]
async fn a_workspace_s_own_provider_is_its_own_and_the_platform_s_only_to_look_at() {
    let office = Office::opens().await;
    let ((ours, _), (theirs, _), root) =
        (admin(&office, "ours").await, admin(&office, "theirs").await, office.root().await);
    let own = provider(&ours, "own", json!({})).await;
    assert_ne!(own["workspaceId"], Value::Null, "an admin of a workspace makes it the workspace's");
    let at = format!("/providers/{}", own["id"].as_str().unwrap());
    assert_eq!(theirs.get(&at).await.status, 404);
    assert_eq!(theirs.patch(&at, json!({"enabled": false})).await.status, 404);
    assert_eq!(
        theirs.get(&format!("/providers?workspaceId={}", own["workspaceId"].as_str().unwrap())).await.status,
        404
    );
    let shared = provider(&root, "shared", json!({})).await;
    let at = format!("/providers/{}", shared["id"].as_str().unwrap());
    ours.get(&at).await.with(200);
    assert_eq!(ours.patch(&at, json!({"enabled": false})).await.code(), "permission_denied");
    assert_eq!(ours.post("/providers", json!({"name": "x", "kind": "groq", "workspaceId": null})).await.status, 403);
    let both = ours.get("/providers").await.with(200);
    assert!(["own", "shared"].iter().all(|name| column(&both, "name").contains(&&json!(name))));
}

#[tokio::test]
async fn a_model_has_prices_as_decimals_and_defaults_as_written() {
    let office = Office::opens().await;
    let root = office.root().await;
    let groq = provider(&root, "groq", json!({})).await["id"].clone();
    let new = json!({
        "providerId": groq, "modelId": "m", "contextLength": 32_768, "temperature": 0.3, "timeoutMs": 5_000,
        "prices": {"input": "0.15", "cacheWrite5m": "0.1875"}, "limits": {"parallel": 2},
    });
    let made = root.post("/models", new).await;
    let at = path(&made);
    let made = made.with(201);
    assert_eq!((&made["prices"]["input"], &made["prices"]["output"]), (&json!("0.15"), &Value::Null));
    assert_eq!((&made["prices"]["cacheWrite5m"], &made["temperature"]), (&json!("0.1875"), &json!(0.3)));
    assert_eq!((&made["limits"]["parallel"], &made["timeoutMs"]), (&json!(2), &json!(5_000)));
    let change =
        json!({"prices": {"input": null, "output": "0.6"}, "temperature": null, "limits": null, "timeoutMs": null});
    let changed = root.patch(&at, change).await.with(200);
    assert_eq!((&changed["prices"]["input"], &changed["prices"]["output"]), (&Value::Null, &json!("0.6")));
    assert_eq!((&changed["temperature"], &changed["timeoutMs"]), (&Value::Null, &Value::Null));
    let tiers = json!([{"above": 400_000, "output": "2"}, {"above": 200_000, "input": "0.3", "cacheRead": "0.03"}]);
    let tiered = root.patch(&at, json!({"prices": {"tiers": tiers}})).await.with(200);
    let told = &tiered["prices"]["tiers"];
    assert_eq!(
        (&told[0]["above"], &told[0]["input"], &told[1]["output"]),
        (&json!(200_000), &json!("0.3"), &json!("2"))
    );
    assert_eq!((&told[0]["output"], &tiered["prices"]["output"]), (&Value::Null, &json!("0.6")));
    let cleared = root.patch(&at, json!({"prices": {"tiers": null}})).await.with(200);
    assert_eq!((&cleared["prices"]["tiers"], &cleared["prices"]["output"]), (&json!([]), &json!("0.6")));
    assert_eq!(root.patch(&at, json!({"prices": null})).await.with(200)["prices"]["output"], Value::Null);
    for (field, body) in [
        ("prices.input", json!({"prices": {"input": 0.15}})),
        ("prices", json!({"prices": {"input": "-1"}})),
        ("prices", json!({"prices": {"tiers": [{"above": 1, "input": "-1"}]}})),
        ("prices", json!({"prices": {"tiers": [{"above": 0}]}})),
        ("prices", json!({"prices": {"tiers": [{"above": 7, "input": "1"}, {"above": 7, "input": "2"}]}})),
        ("contextLength", json!({"contextLength": 0})),
        ("approvedForChat", json!({"approvedForChat": null})),
        ("aproved", json!({"aproved": true})),
    ] {
        assert_eq!(root.patch(&at, body).await.with(400)["field"], field);
    }
    assert_eq!(column(&root.get("/models?limit=200").await.with(200), "modelId").len(), 1);
    assert_eq!(root.delete(&at).await.status, 204);
    assert_eq!(root.get(&at).await.status, 404);
}

#[tokio::test]
async fn a_route_leads_a_role_to_its_targets_in_order() {
    let office = Office::opens().await;
    let (root, (ours, _)) = (office.root().await, admin(&office, "ours").await);
    let groq = provider(&root, "groq", json!({"apiKey": KEY})).await["id"].clone();
    let line =
        |priority: u32, model: &str| json!({"name": "coder", "providerId": groq, "model": model, "priority": priority});
    let second = root.post("/routes", line(2, "b")).await;
    let at = path(&second);
    second.with(201);
    root.post("/routes", line(1, "a")).await.with(201);
    let plan = ours.get("/resolve/coder").await.with(200);
    let models: Vec<&Value> = plan["targets"].as_array().unwrap().iter().map(|target| &target["model"]).collect();
    assert_eq!((plan["rule"].as_str().unwrap(), models), ("role", vec![&json!("a"), &json!("b")]));
    assert_eq!(plan["refusal"], Value::Null);
    root.patch(&at, json!({"priority": 0, "notes": "first"})).await.with(200);
    assert_eq!(ours.get("/resolve/role:coder").await.with(200)["targets"][0]["model"], "b");
    assert_eq!(column(&ours.get("/routes?role=coder").await.with(200), "kind").len(), 2);
    assert_eq!(column(&ours.get("/routes?role=other").await.with(200), "kind").len(), 0);
    assert_eq!(root.delete(&at).await.status, 204);
    assert_eq!(root.post("/routes", json!({"name": "default", "providerId": groq})).await.with(400)["field"], "name");
}

#[tokio::test]
async fn a_plan_names_what_was_dropped_and_what_a_call_would_hear() {
    let office = Office::opens().await;
    let (ours, _) = admin(&office, "ours").await;
    let root = office.root().await;
    provider(&root, "groq", json!({})).await;
    let plan = ours.get("/resolve/groq:anthropic/some:model").await.with(200);
    assert_eq!(plan["targets"], json!([]));
    assert_eq!(plan["dropped"][0]["model"], "anthropic/some:model", "colons and slashes are a model's own");
    assert_eq!((&plan["refusal"]["code"], &plan["refusal"]["status"]), (&json!("no_credential"), &json!(403)));
    let unknown = ours.get("/resolve/nobody-knows-it").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "model_not_found"));
}

#[tokio::test]
async fn a_credential_is_set_masked_granted_and_destroyed() {
    let office = Office::opens().await;
    let (root, (ours, workspace), (theirs, _)) =
        (office.root().await, admin(&office, "ours").await, admin(&office, "theirs").await);
    let groq = provider(&root, "groq", json!({})).await["id"].clone();
    let set = ours.post("/credentials", json!({"providerId": groq, "apiKey": KEY})).await;
    let at = path(&set);
    let set = set.with(201);
    assert_eq!(
        (&set["credential"]["scope"], &set["credential"]["apiKeyMasked"]),
        (&json!("workspace"), &json!("***********0001"))
    );
    assert_eq!((&set["replaced"], &set["unlocks"]["anyUnder"]), (&json!(false), &json!("groq")));
    let again = ours.post("/credentials", json!({"providerId": groq, "apiKey": KEY, "label": "new"})).await.with(201);
    assert_eq!((&again["replaced"], &again["credential"]["id"]), (&json!(true), &set["credential"]["id"]));
    assert_eq!(theirs.get(&at).await.status, 404);
    assert_eq!(ours.patch(&at, json!({"active": false, "weight": 0})).await.with(400)["field"], "weight");
    assert_eq!(ours.patch(&at, json!({"active": false})).await.with(200)["active"], false);

    let shared = json!({"providerId": groq, "apiKey": "sk-of-the-platform-0002", "scope": "platform", "label": "org account",
                        "grantedIds": [workspace]});
    assert_eq!(ours.post("/credentials", shared.clone()).await.code(), "permission_denied");
    let shared = root.post("/credentials", shared).await;
    let at = path(&shared);
    assert_eq!(shared.with(201)["credential"]["grantedTo"], json!(["ours"]));
    let seen = ours.get("/credentials?scope=platform").await.with(200);
    // The key that gateway.toml declares is granted to all.
    assert_eq!(column(&seen, "label"), ["openai", "org account"]);
    let shown = seen["items"].as_array().unwrap().iter().filter(|one| one.get("apiKeyMasked").is_some());
    assert_eq!(shown.count(), 0, "others see nothing of its key");
    assert_eq!(column(&theirs.get("/credentials?scope=platform").await.with(200), "label"), ["openai"]);
    root.patch(&at, json!({"grantedIds": null})).await.with(200);
    assert_eq!(column(&theirs.get("/credentials?scope=platform").await.with(200), "label").len(), 2);
    assert_eq!(theirs.delete(&at).await.code(), "permission_denied");
    assert_eq!(root.delete(&at).await.status, 204);
    assert_eq!(root.get(&at).await.status, 404);
}

#[tokio::test]
async fn a_user_s_own_credential_is_that_user_s_alone() {
    let office = Office::opens().await;
    let root = office.root().await;
    let (_, workspace) = office.org("ours").await;
    let groq = provider(&root, "groq", json!({})).await["id"].clone();
    let ada = office.client_of_their_own(workspace, "ada@example.com").await;
    let set = ada.post("/credentials", json!({"providerId": groq, "apiKey": KEY})).await;
    let at = path(&set);
    assert_eq!(set.with(201)["credential"]["scope"], "user");
    assert_eq!(column(&ada.get("/credentials").await.with(200), "scope"), ["user"]);
    for other in [&root, &office.client(workspace, AccessRole::OrgAdmin).await] {
        assert_eq!(other.get(&at).await.status, 404);
        assert_eq!(other.delete(&at).await.status, 404);
        assert_eq!(column(&other.get("/credentials").await.with(200), "scope").len(), 0);
        assert_eq!(other.get("/credentials?scope=user").await.with(400)["field"], "scope");
    }
}

#[tokio::test]
async fn a_workspace_binds_a_default_and_goes_back_to_the_platform_s() {
    let office = Office::opens().await;
    let (ours, workspace) = admin(&office, "ours").await;
    let at = format!("/workspaces/{workspace}/model-config");
    assert_eq!(ours.get(&at).await.with(200), json!({"config": null}));
    let binding = json!({"provider": "deepseek", "model": "deepseek-chat", "apiKey": KEY, "baseUrl": null});
    let set = ours.put(&at, binding).await;
    let tag = set.header("etag").unwrap().to_string();
    let set = set.with(200);
    assert_eq!((&set["config"]["provider"], &set["config"]["model"]), (&json!("deepseek"), &json!("deepseek-chat")));
    assert_eq!(
        (&set["config"]["managedBy"], &set["config"]["apiKeyMasked"]),
        (&json!("workspace"), &json!("***********0001"))
    );
    let plan = ours.get("/resolve/default").await.with(200);
    assert_eq!(plan["targets"][0]["model"], "deepseek-chat");
    let list = ours.get(&format!("/workspaces/{workspace}/model-endpoints")).await.with(200);
    assert_eq!(column(&list, "isDefault"), [false, true], "beside the platform's");
    ours.put(&at, json!({"provider": "deepseek", "model": "deepseek-reasoner"})).await.with(200);
    assert_eq!(ours.asks(Method::DELETE, &at, None, &[("if-match", &tag)]).await.status, 412);
    assert_eq!(ours.delete(&at).await.status, 204);
    assert_eq!(ours.get(&at).await.with(200), json!({"config": null}));
    let member = office.client(workspace, AccessRole::Member).await;
    assert_eq!(member.get(&at).await.status, 403);
}

#[tokio::test]
async fn an_endpoint_is_made_once_a_provider_picked_by_its_id_and_deleted_as_a_credential() {
    let office = Office::opens().await;
    let (ours, workspace) = admin(&office, "ours").await;
    let at = format!("/workspaces/{workspace}/model-endpoints");
    let new = json!({"provider": "deepseek", "apiKey": KEY, "model": "deepseek-chat", "label": "chat"});
    let made = ours.post(&at, new.clone()).await;
    let one = path(&made);
    let id = made.with(201)["id"].as_str().unwrap().to_string();
    assert_eq!(ours.post(&at, new).await.code(), "already_exists");
    assert_eq!(ours.get(&one).await.with(200)["model"], "deepseek-chat");
    let plan = ours.get(&format!("/resolve/endpoint:{id}")).await.with(200);
    assert_eq!(
        (&plan["targets"][0]["provider"], &plan["targets"][0]["model"]),
        (&json!("deepseek"), &json!("deepseek-chat"))
    );
    assert_eq!(ours.delete(&format!("/credentials/{id}")).await.status, 204);
    assert_eq!(ours.get(&one).await.status, 404);
}

#[tokio::test]
async fn the_catalogue_says_whose_key_a_workspace_s_calls_use() {
    let office = Office::opens().await;
    let (root, (ours, _)) = (office.root().await, admin(&office, "ours").await);
    let groq = provider(&root, "groq", json!({})).await["id"].as_str().unwrap().to_string();
    let managed_by = || async { ours.get(&format!("/catalog/{groq}")).await.with(200)["managedBy"].clone() };
    assert_eq!(managed_by().await, Value::Null);
    let shared = json!({"providerId": groq, "apiKey": "sk-of-the-platform-0002", "scope": "platform"});
    root.post("/credentials", shared).await.with(201);
    assert_eq!(managed_by().await, "platform");
    ours.post("/credentials", json!({"providerId": groq, "apiKey": KEY})).await.with(201);
    assert_eq!(managed_by().await, "workspace");
    let list = ours.get("/catalog").await.with(200);
    assert!(column(&list, "name").contains(&&json!("groq")) && column(&list, "available").contains(&&json!(true)));
}
