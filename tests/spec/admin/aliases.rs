//! The paths and shapes that clients of other products know, on what those products' manuals print (`tests/data`).

use std::path::Path;

use http::Method;
use keyway::admin::api::table::{Needs, alias_rows};
use keyway::directory::{Expected, orgs};
use keyway::domain::entity::Workspace;
use keyway::domain::id::Id;
use keyway::domain::permission::AccessRole;
use serde_json::{Value, json};

use super::office::{Client, Heard, Office};

/// Ends like the key that a manual shows masked.
const KEY: &str = "sk-of-the-workspace-api0";

pub(super) fn example(name: &str) -> Value {
    let path = Path::new("tests/data").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(super) async fn get(client: &Client, path: &str) -> Heard {
    client.asks_at(Method::GET, path, None, &[]).await
}

pub(super) async fn post(client: &Client, path: &str, body: Value) -> Heard {
    client.asks_at(Method::POST, path, Some(body), &[]).await
}

async fn put(client: &Client, path: &str, body: Value) -> Heard {
    client.asks_at(Method::PUT, path, Some(body), &[]).await
}

async fn patch(client: &Client, path: &str, body: Value) -> Heard {
    client.asks_at(Method::PATCH, path, Some(body), &[]).await
}

async fn delete(client: &Client, path: &str) -> Heard {
    client.asks_at(Method::DELETE, path, None, &[]).await
}

pub(super) async fn admin(office: &Office, name: &str) -> (Client, Id<Workspace>) {
    let (_, workspace) = office.org(name).await;
    (office.client(workspace, AccessRole::WorkspaceAdmin).await, workspace)
}

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A body with some of its fields otherwise.
pub(super) fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Does the answer say of each field what was asked, be it `0` or `0.0`?
#[track_caller]
fn agrees(asked: &Value, answer: &Value) {
    for (name, value) in asked.as_object().unwrap() {
        let same = match (value.as_f64(), answer[name].as_f64()) {
            (Some(asked), Some(answered)) => asked == answered,
            _ => *value == answer[name],
        };
        assert!(same, "{name}: {value} was asked, and {} answered", answer[name]);
    }
}

#[test]
fn every_path_that_a_manual_prints_is_served() {
    let served: Vec<String> = alias_rows().iter().map(|row| format!("{} {}", row.method, row.whole())).collect();
    for printed in [
        "GET /api/v1/admin/model-config",
        "PUT /api/v1/admin/model-config",
        "DELETE /api/v1/admin/model-config",
        "POST /api/v1/admin/model-config/test",
        "GET /api/workspaces/{workspaceId}/model-endpoints",
        "GET /api/settings/aiprovider",
        "PUT /api/settings/aiprovider/{name}",
        "GET /{workspaceId}/ai-settings/providers/{id}/models",
        "POST /{workspaceId}/ai-settings/providers/{id}/discover-models",
        "GET /api/ai/providers",
        "GET /api/ai/providers/{id}",
        "POST /api/ai/providers",
        "PATCH /api/ai/providers/{id}",
        "DELETE /api/ai/providers/{id}",
        "GET /api/ai/models",
        "GET /api/ai/models/{id}",
        "POST /api/ai/models",
        "PATCH /api/ai/models/{id}",
        "DELETE /api/ai/models/{id}",
        "GET /api/ai/routes",
        "POST /api/ai/routes",
        "DELETE /api/ai/routes/{id}",
        "GET /api/ai/resolve/{*modelId}",
        "GET /api/ai/catalog",
        "GET /api/ai/catalog/{id}",
        "GET /api/ai/credentials",
        "POST /api/ai/credentials",
        "DELETE /api/ai/credentials/{id}",
        "POST /api/ai/credentials/{id}/validate",
        "POST /api/ai/sync-pricing",
    ] {
        assert!(served.iter().any(|path| path == printed), "{printed}");
    }
}

#[test]
fn every_path_takes_the_permission_that_its_manual_prints() {
    let takes = |method: &str, path: &str| {
        let all = alias_rows();
        let row = all.iter().find(|row| row.method == method && row.path == path).unwrap();
        match row.needs {
            Needs::Token => "(any auth)".to_string(),
            Needs::Permission(permission, _) => format!("{permission:?}"),
        }
    };
    for (method, path, permission) in [
        ("GET", "providers", "AIProviderView"),
        ("GET", "providers/{id}", "AIProviderView"),
        ("POST", "providers", "AIProviderManage"),
        ("PATCH", "providers/{id}", "AIProviderManage"),
        ("DELETE", "providers/{id}", "AIProviderManage"),
        ("GET", "models", "AIModelView"),
        ("GET", "models/{id}", "AIModelView"),
        ("POST", "models", "AIModelManage"),
        ("PATCH", "models/{id}", "AIModelManage"),
        ("DELETE", "models/{id}", "AIModelManage"),
        ("GET", "routes", "AIRouteView"),
        ("POST", "routes", "AIRouteManage"),
        ("DELETE", "routes/{id}", "AIRouteManage"),
        ("GET", "resolve/{*modelId}", "AIModelView"),
        ("POST", "sync-pricing", "AIModelManage"),
        ("GET", "catalog", "(any auth)"),
        ("GET", "catalog/{id}", "AIProviderView"),
        ("GET", "credentials", "(any auth)"),
        ("POST", "credentials", "(any auth)"),
        ("DELETE", "credentials/{id}", "(any auth)"),
        ("POST", "credentials/{id}/validate", "(any auth)"),
    ] {
        assert_eq!(takes(method, &format!("/api/ai/{path}")), permission, "{method} {path}");
    }
}

#[tokio::test]
async fn no_alias_answers_without_a_token_or_about_another_workspace() {
    let office = Office::opens().await;
    let ((ours, _), (_, foreign)) = (admin(&office, "ours").await, admin(&office, "theirs").await);
    for row in alias_rows() {
        let path = row.whole().replace("{workspaceId}", &foreign.to_string()).replace("{*modelId}", "m");
        let path = path.replace("{id}", "7").replace("{name}", "openai");
        let nobody = office.shows("").asks_at(row.method.clone(), &path, None, &[]).await;
        assert_eq!((nobody.status, nobody.code().as_str()), (401, "token_missing"), "{} {path}", row.method);
        if row.path.contains("{workspaceId}") {
            let heard = ours.asks_at(row.method.clone(), &path, row.is_change().then(|| json!({})), &[]).await;
            assert!(matches!(heard.status, 404 | 400), "{} {path}: {}", row.method, heard.text);
            assert!(!heard.text.contains("theirs"), "{}", heard.text);
        }
    }
}

#[tokio::test]
async fn a_model_config_is_put_shown_as_printed_and_deleted() {
    let office = Office::opens().await;
    let (ours, workspace) = admin(&office, "ours").await;
    let path = "/api/v1/admin/model-config";
    assert_eq!(get(&ours, path).await.with(200), json!({"config": null}), "the platform's default");
    put(&ours, path, example("atlas/put.json")).await.with(200);
    let set = put(&ours, path, with(example("atlas/put.json"), json!({"apiKey": KEY}))).await.with(200);
    let shown = get(&ours, path).await.with(200);
    assert_eq!(shown, set);

    let printed = example("atlas/get.json");
    let (config, like) = (&shown["config"], &printed["config"]);
    assert_eq!((keys(&shown), keys(config)), (keys(&printed), keys(like)));
    for same in ["provider", "model", "baseUrl", "apiKeyMasked"] {
        assert_eq!(config[same], like[same], "{same}");
    }
    assert_eq!(config["orgId"], workspace.to_string());
    assert_eq!(config["id"].as_str().unwrap().len(), like["id"].as_str().unwrap().len());
    for moment in ["createdAt", "updatedAt"] {
        let digits_as_x = |text: &Value| text.as_str().unwrap().replace(|letter: char| letter.is_ascii_digit(), "x");
        assert_eq!(digits_as_x(&config[moment]), digits_as_x(&like[moment]));
    }

    let kept = put(&ours, path, json!({"provider": "anthropic", "model": "claude-sonnet-4-6"})).await.with(200);
    assert_eq!(
        (&kept["config"]["apiKeyMasked"], &kept["config"]["model"]),
        (&like["apiKeyMasked"], &json!("claude-sonnet-4-6"))
    );
    assert_eq!(kept["config"]["id"], config["id"], "one configuration a workspace");
    let own = format!("/workspaces/{workspace}/model-config");
    assert_eq!(ours.get(&own).await.with(200)["config"]["id"], config["id"], "the same thing under its own path");

    delete(&ours, path).await.with(200);
    assert_eq!(get(&ours, path).await.with(200), json!({"config": null}));
    assert_eq!(ours.get("/credentials").await.with(200)["items"], json!([]), "the key is gone with it");
}

#[tokio::test]
async fn a_model_config_takes_the_four_providers_an_admin_and_the_plan_that_has_it() {
    let office = Office::opens().await;
    let (ours, workspace) = admin(&office, "ours").await;
    let path = "/api/v1/admin/model-config";
    for provider in ["azure-openai", "custom"] {
        let body = json!({"provider": provider, "model": "m", "apiKey": KEY});
        assert_eq!(put(&ours, path, body.clone()).await.with(400)["field"], "baseUrl", "{provider}");
        let placed = with(body.clone(), json!({"baseUrl": "https://models.example.com/v1"}));
        let set = put(&ours, path, placed).await.with(200);
        assert_eq!(put(&ours, path, body).await.with(400)["field"], "baseUrl", "{provider}, also when it is there");
        assert_eq!(
            (&set["config"]["provider"], &set["config"]["baseUrl"]),
            (&json!(provider), &json!("https://models.example.com/v1"))
        );
    }
    assert_eq!(put(&ours, path, json!({"provider": "openai", "model": "gpt-4o", "apiKey": KEY})).await.status, 200);
    assert_eq!(
        put(&ours, path, json!({"provider": "groq", "model": "m", "apiKey": KEY})).await.with(400)["field"],
        "provider"
    );
    assert_eq!(put(&ours, path, json!({"provider": "openai", "apiKey": KEY})).await.with(400)["field"], "model");
    let inside = json!({"provider": "custom", "model": "m", "apiKey": KEY, "baseUrl": "http://169.254.169.254/v1"});
    assert_eq!(put(&ours, path, inside).await.code(), "egress_denied");
    let member = office.client(workspace, AccessRole::Member).await;
    assert_eq!(get(&member, path).await.code(), "permission_denied");

    let org = office.access.load(keyway::store::Need::Workspace(workspace)).await.unwrap().orgs[0].id;
    let plain = serde_json::from_value(json!({"features": {"byok": false}})).unwrap();
    orgs::update(&office.access, org, Expected::Anything, plain).await.unwrap();
    for heard in [get(&ours, path).await, put(&ours, path, example("atlas/put.json")).await, delete(&ours, path).await]
    {
        assert_eq!(heard.code(), "enterprise_required");
        assert!(heard.with(403)["detail"].as_str().unwrap().starts_with("Enterprise features are not enabled"));
    }
}

#[tokio::test]
async fn a_model_endpoint_is_picked_by_its_id_and_stands_for_a_model() {
    let office = Office::opens().await;
    let (ours, workspace) = admin(&office, "ours").await;
    let path = format!("/api/workspaces/{workspace}/model-endpoints");
    let new = json!({"providerId": "deepseek", "apiKey": KEY, "modelName": "deepseek-chat"});
    let made = post(&ours, &path, new.clone()).await.with(201);
    assert_eq!(post(&ours, &path, new).await.code(), "already_exists", "one endpoint a provider");
    assert_eq!(
        (&made["providerId"], &made["modelName"], &made["baseUrl"]),
        (&json!("deepseek"), &json!("deepseek-chat"), &Value::Null)
    );
    assert_eq!((&made["apiKeyMasked"], &made["providerType"]), (&json!("***********api0"), &Value::Null));
    let own = json!({"providerId": "my-gateway", "providerType": "openai", "apiKey": KEY, "baseUrl": "https://gw.example.com/v1"});
    let own = post(&ours, &path, own).await.with(201);
    assert_eq!(
        (&own["providerId"], &own["baseUrl"], &own["modelName"]),
        (&json!("my-gateway"), &json!("https://gw.example.com/v1"), &Value::Null)
    );

    let by_name = "/api/workspaces/ours/model-endpoints";
    let member = office.client(workspace, AccessRole::Member).await;
    let listed = get(&member, by_name).await.with(200);
    let ids: Vec<&Value> = listed.as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert!(ids.contains(&&made["id"]) && ids.contains(&&own["id"]), "{listed}");
    assert_eq!(post(&member, &path, json!({"providerId": "groq", "apiKey": KEY})).await.status, 403);
    for id in [&made["id"], &own["id"]] {
        let id = id.as_str().unwrap();
        let plan = get(&ours, &format!("/api/ai/resolve/{id}")).await;
        match id == own["id"].as_str().unwrap() {
            false => assert_eq!(plan.with(200)["modelId"], "deepseek-chat"),
            // Without a model of its own it takes the one beside it.
            true => {
                let beside = get(&ours, &format!("/api/ai/resolve/endpoint:{id}:llama3:8b")).await.with(200);
                assert_eq!(
                    (&beside["modelId"], &beside["baseUrl"]),
                    (&json!("llama3:8b"), &json!("https://gw.example.com/v1"))
                );
            }
        }
    }
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    assert_eq!(get(&ours, &one).await.with(200), made);
    assert_eq!(delete(&ours, &one).await.status, 204);
    assert_eq!(get(&ours, &one).await.status, 404);
}

#[tokio::test]
async fn an_aiprovider_record_is_taken_as_printed_and_never_says_its_key() {
    let office = Office::opens().await;
    let (ours, _) = admin(&office, "ours").await;
    let (all, one) = ("/api/settings/aiprovider", "/api/settings/aiprovider/openai");
    let record = example("aiprovider/record.json");
    let without_key = json!({"group": "aiprovider", "name": "openai", "active": true,
                             "value": {"default_model": "gpt-4o-mini", "protocol": "openai", "base_url": null}});
    assert_eq!(post(&ours, all, record.clone()).await.with(201), without_key);
    assert_eq!(post(&ours, all, record.clone()).await.code(), "already_exists");
    assert_eq!(put(&ours, one, record.clone()).await.with(200), without_key);
    assert_eq!(get(&ours, one).await.with(200), without_key);
    assert_eq!(get(&ours, all).await.with(200), json!([without_key]));
    let plan = get(&ours, "/api/ai/resolve/default").await.with(200);
    assert_eq!(
        (&plan["providerName"], &plan["modelId"]),
        (&json!("openai"), &json!("gpt-4o-mini")),
        "a call that names none"
    );

    let off = json!({"active": false, "value": {"default_model": "gpt-4o-mini", "protocol": "openai"}});
    assert_eq!(put(&ours, one, off).await.with(200)["active"], false);
    assert_eq!(ours.get("/credentials").await.with(200)["items"].as_array().unwrap().len(), 1, "its key is kept");
    let on = json!({"active": true, "value": {"default_model": "gpt-4o", "protocol": "openai"}});
    assert_eq!(put(&ours, one, on).await.with(200)["value"]["default_model"], "gpt-4o");

    let grok = json!({"group": "aiprovider", "name": "grok", "active": true,
                      "value": {"api_key": KEY, "protocol": "openai", "base_url": "https://api.x.ai/v1"}});
    assert_eq!(post(&ours, all, grok).await.with(201)["value"]["base_url"], "https://api.x.ai/v1");
    for protocol in ["anthropic", "gemini"] {
        let value = json!({"api_key": KEY, "protocol": protocol});
        let made = put(&ours, &format!("{all}/own-{protocol}"), json!({"value": value})).await.with(200);
        assert_eq!((&made["value"]["protocol"], &made["active"]), (&json!(protocol), &json!(true)));
    }
    for (field, value) in [
        ("value.protocol", json!({"api_key": KEY, "protocol": "grpc"})),
        ("value.protocol", json!({"api_key": KEY})),
        ("value.api_key", json!({"protocol": "openai", "base_url": "https://api.x.ai/v1"})),
        ("value.base_url", json!({"api_key": KEY, "protocol": "openai"})),
    ] {
        assert_eq!(put(&ours, &format!("{all}/new"), json!({"value": value})).await.with(400)["field"], field);
    }
    assert_eq!(delete(&ours, one).await.status, 204);
    assert_eq!(get(&ours, one).await.status, 404);
}

#[tokio::test]
async fn what_the_platform_pays_is_marked_in_the_picker_and_shows_no_key() {
    let office = Office::opens().await;
    let (root, (ours, workspace), (theirs, _)) =
        (office.root().await, admin(&office, "ours").await, admin(&office, "theirs").await);
    let groq = root.post("/providers", json!({"name": "groq", "kind": "groq"})).await.with(201);
    let id = groq["id"].as_str().unwrap();
    root.post("/models", json!({"providerId": id, "modelId": "llama3:8b"})).await.with(201);
    let shared = json!({"providerId": id, "scope": "platform", "apiKey": KEY, "label": "Groq, org account", "grantedIds": [workspace]});
    root.post("/credentials", shared).await.with(201);
    let picker = async |client: &Client, name: &str| {
        let all = get(client, &format!("/{name}/ai-settings/providers")).await.with(200);
        all.as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone()
    };
    let seen = picker(&ours, "ours").await;
    assert_eq!((&seen["badge"], &seen["managedBy"]), (&json!("Platform-managed"), &json!("platform")));
    assert_eq!((&seen["label"], &seen["available"]), (&json!("Groq, org account"), &json!(true)));
    let not_granted = picker(&theirs, "theirs").await;
    assert_eq!((&not_granted["badge"], &not_granted["available"]), (&Value::Null, &json!(false)));
    let member = office.client(workspace, AccessRole::Member).await;
    let models = get(&member, &format!("/{workspace}/ai-settings/providers/{id}/models")).await;
    assert!(!models.text.contains("api0"), "{}", models.text);
    assert_eq!(models.with(200)["models"][0]["id"], "groq:llama3:8b");
    ours.post("/credentials", json!({"providerId": id, "apiKey": KEY})).await.with(201);
    assert_eq!(picker(&ours, "ours").await["badge"], Value::Null, "a key of one's own comes first");
}

#[tokio::test]
async fn a_provider_is_created_as_printed_and_goes_by_its_number() {
    let office = Office::opens().await;
    let (ours, _) = admin(&office, "ours").await;
    let asked = example("atamaia/provider.json");
    let made = post(&ours, "/api/ai/providers", asked.clone()).await;
    assert!(made.header("location").unwrap().starts_with("/api/v1/providers/"));
    let made = made.with(201);
    agrees(&asked, &made);
    assert_eq!((&made["enabled"], &made["isGlobal"]), (&json!(true), &json!(false)));
    assert_eq!((&made["stripPrefixInRequests"], &made["defaultModel"]), (&json!(true), &Value::Null));
    let one = format!("/api/ai/providers/{}", made["id"].as_u64().unwrap());
    let mut model = with(example("atamaia/model.json"), json!({"providerId": made["id"]}));
    post(&ours, "/api/ai/models", model.take()).await.with(201);
    let detail = get(&ours, &one).await.with(200);
    assert_eq!(detail["models"][0]["qualifiedId"], "ai-02:qwen3-30b-a3b");
    assert_eq!(get(&ours, &format!("/api/ai/providers/{}", made["uuid"].as_str().unwrap())).await.with(200), detail);

    let change = json!({"enabled": false, "timeoutSeconds": 60, "defaultModel": "qwen3-30b-a3b"});
    agrees(&change, &patch(&ours, &one, change.clone()).await.with(200));
    let listed = |query: &'static str| get(&ours, query);
    let named = |page: Value| page.as_array().unwrap().iter().any(|one| one["name"] == "Local Kael");
    assert!(named(listed("/api/ai/providers").await.with(200)));
    assert!(!named(listed("/api/ai/providers?enabledOnly=true").await.with(200)));
    assert_eq!(patch(&ours, &one, json!({"timeoutSeconds": 0})).await.with(400)["field"], "timeoutSeconds");
    assert_eq!(post(&ours, "/api/ai/providers", with(asked.clone(), json!({"isGlobal": true}))).await.status, 403);
    let process = json!({"name": "sdk", "type": "AnthropicAgentSdk"});
    assert_eq!(post(&ours, "/api/ai/providers", process).await.with(400)["field"], "kind");
    assert_eq!(delete(&ours, &one).await.status, 204);
    assert_eq!(get(&ours, &one).await.status, 404);
}

#[tokio::test]
async fn azure_s_own_settings_travel_in_one_text() {
    let office = Office::opens().await;
    let root = office.root().await;
    let azure = json!({"name": "azure", "type": "AzureOpenAI", "isGlobal": true, "baseUrl": "https://x.openai.azure.com/openai",
                       "configJson": "{\"deployment\": \"gpt4o\", \"apiVersion\": \"2024-10-21\"}"});
    let made = post(&root, "/api/ai/providers", azure).await.with(201);
    let config: Value = serde_json::from_str(made["configJson"].as_str().unwrap()).unwrap();
    assert_eq!(config, json!({"deployment": "gpt4o", "apiVersion": "2024-10-21"}));
    let one = format!("/api/ai/providers/{}", made["id"]);
    let changed = patch(&root, &one, json!({"configJson": {"deployment": "gpt5"}})).await.with(200);
    assert_eq!(changed["configJson"], "{\"deployment\":\"gpt5\"}");
    assert_eq!(patch(&root, &one, json!({"configJson": {"region": "x"}})).await.with(400)["field"], "configJson");
    assert_eq!(patch(&root, &one, json!({"configJson": null})).await.with(200)["configJson"], Value::Null);
}

#[tokio::test]
async fn a_model_is_registered_as_printed_with_its_defaults() {
    let office = Office::opens().await;
    let (ours, _) = admin(&office, "ours").await;
    let provider = post(&ours, "/api/ai/providers", example("atamaia/provider.json")).await.with(201)["id"].clone();
    let asked = with(example("atamaia/model.json"), json!({"providerId": provider}));
    let made = post(&ours, "/api/ai/models", asked.clone()).await.with(201);
    agrees(&asked, &made);
    assert_eq!(made["contextLengthStated"], true);
    let plain = post(&ours, "/api/ai/models", json!({"providerId": provider, "modelId": "plain"})).await.with(201);
    assert_eq!((&plain["contextLength"], &plain["contextLengthStated"]), (&json!(32_768), &json!(false)));
    assert_eq!((&plain["approvedForChat"], &plain["approvedForAgent"]), (&json!(true), &json!(false)));
    assert_eq!((&plain["inputCostPer1M"], &plain["isLocal"]), (&Value::Null, &json!(false)), "unpriced is not free");
    let one = format!("/api/ai/models/{}", plain["id"]);
    let change = json!({
        "displayName": "Plain", "maxCompletionTokens": 512, "localModelPath": "/srv/plain.gguf", "temperature": 1,
        "maxTokens": 256, "systemPrompt": "Be plain.", "approvedForAgent": true, "inputCostPer1M": 0.15,
        "outputCostPer1M": 0.6, "enabled": false,
    });
    agrees(&change, &patch(&ours, &one, change.clone()).await.with(200));
    agrees(&change, &get(&ours, &one).await.with(200));
    assert_eq!(patch(&ours, &one, json!({"inputCostPer1M": -1})).await.with(400)["field"], "inputCostPer1M");
    let of_provider = |query: &str| format!("/api/ai/models?providerId={provider}{query}");
    assert_eq!(get(&ours, &of_provider("")).await.with(200).as_array().unwrap().len(), 2);
    assert_eq!(get(&ours, &of_provider("&enabledOnly=true")).await.with(200).as_array().unwrap().len(), 1);
    assert_eq!(get(&ours, "/api/ai/models?providerId=x").await.with(400)["field"], "providerId");
    assert_eq!(delete(&ours, &one).await.status, 204);
    assert_eq!(get(&ours, &one).await.status, 404);
}

/// The manual's two providers and the models that its routes name, by the numbers that it gives them.
async fn as_printed(client: &Client) -> (Value, Value, impl Fn(u64) -> Value) {
    let local = post(client, "/api/ai/providers", example("atamaia/provider.json")).await.with(201)["id"].clone();
    let meta = json!({"name": "OpenRouter", "type": "OpenRouter", "prefix": "or"});
    let meta = post(client, "/api/ai/providers", meta).await.with(201)["id"].clone();
    let model = async |provider: &Value, name: &str| {
        let new = json!({"providerId": provider, "modelId": name});
        post(client, "/api/ai/models", new).await.with(201)["id"].clone()
    };
    let (first, third) = (model(&local, "qwen3-30b-a3b").await, model(&local, "lfm2-8b").await);
    let fifth = model(&meta, "anthropic/claude-3.5-sonnet").await;
    let by_number = move |printed: u64| match printed {
        1 => first.clone(),
        3 => third.clone(),
        _ => fifth.clone(),
    };
    (local, meta, by_number)
}

#[tokio::test]
async fn routes_are_made_as_printed_and_a_model_resolves_by_id_prefix_and_role() {
    let office = Office::opens().await;
    let (ours, _) = admin(&office, "ours").await;
    let (local, meta, model) = as_printed(&ours).await;
    let mut made = Vec::new();
    for route in example("atamaia/routes.json").as_array().unwrap() {
        let provider = if route["providerId"] == 1 { &local } else { &meta };
        let numbers = json!({"providerId": provider, "modelId": model(route["modelId"].as_u64().unwrap())});
        let asked = with(route.clone(), numbers);
        let answer = post(&ours, "/api/ai/routes", asked.clone()).await.with(201);
        agrees(&asked, &answer);
        made.push(answer);
    }
    assert_eq!(get(&ours, "/api/ai/routes").await.with(200).as_array().unwrap().len(), 3);
    assert_eq!(get(&ours, "/api/ai/routes?role=coding").await.with(200), json!([made[2]]));
    let crossed = json!({"providerId": local, "modelId": model(5), "role": "other"});
    assert_eq!(post(&ours, "/api/ai/routes", crossed).await.with(400)["field"], "modelId");

    let openrouter = with(example("atamaia/credential.json"), json!({"providerId": meta}));
    post(&ours, "/api/ai/credentials", openrouter).await.with(201);
    for (asked, model, provider) in [
        ("qwen3-30b-a3b", "qwen3-30b-a3b", &local),
        ("ai-02:qwen3-30b-a3b", "qwen3-30b-a3b", &local),
        ("or:anthropic/claude-3.5-sonnet", "anthropic/claude-3.5-sonnet", &meta),
        ("ai-02:not-registered", "not-registered", &local),
        ("summariser", "lfm2-8b", &local),
        ("researcher", "qwen3-30b-a3b", &local),
        ("coding", "anthropic/claude-3.5-sonnet", &meta),
    ] {
        let plan = get(&ours, &format!("/api/ai/resolve/{asked}")).await.with(200);
        assert_eq!((&plan["modelId"], &plan["providerId"]), (&json!(model), provider), "{asked}");
        assert_eq!(plan.get("explain"), None);
    }
    let explained = get(&ours, "/api/ai/resolve/coding?explain=1").await.with(200);
    assert_eq!(explained["explain"]["targets"][0]["credential"]["scope"], "workspace");
    assert_eq!(get(&ours, "/api/ai/resolve/nobody-knows-it").await.code(), "model_not_found");
    assert_eq!(delete(&ours, &format!("/api/ai/routes/{}", made[2]["id"])).await.status, 204);
    assert_eq!(get(&ours, "/api/ai/resolve/coding").await.status, 404);
}

#[tokio::test]
async fn a_credential_is_set_as_printed_and_is_nobody_else_s() {
    let office = Office::opens().await;
    let ((ours, _), (theirs, _)) = (admin(&office, "ours").await, admin(&office, "theirs").await);
    let (_, meta, _) = as_printed(&ours).await;
    let set = with(example("atamaia/credential.json"), json!({"providerId": meta}));
    let set = post(&ours, "/api/ai/credentials", set).await.with(201);
    assert_eq!((&set["label"], &set["scope"]), (&json!("Production OpenRouter key"), &json!("workspace")));
    assert_eq!((&set["apiKeyMasked"], &set["providerId"]), (&json!("***********3..."), &meta));
    assert_eq!(get(&ours, "/api/ai/credentials").await.with(200), json!([set]));
    let one = format!("/api/ai/credentials/{}", set["id"]);
    let (foreign, missing) =
        (delete(&theirs, &one).await.with(404), delete(&theirs, "/api/ai/credentials/99").await.with(404));
    let told = |heard: &Value, number: &Value| heard["detail"].as_str().unwrap().replace(&number.to_string(), "N");
    assert_eq!(told(&foreign, &set["id"]), told(&missing, &json!(99)), "what is another's is nobody's");
    assert_eq!(delete(&ours, &one).await.status, 204);
    assert_eq!(get(&ours, "/api/ai/credentials").await.with(200), json!([]));
}

#[tokio::test]
async fn the_catalogue_has_the_platform_s_enabled_providers_and_a_tenant_s_key_is_used_for_them() {
    let office = Office::opens().await;
    let (root, (ours, _)) = (office.root().await, admin(&office, "ours").await);
    let new = json!({"name": "OpenRouter", "type": "OpenRouter", "prefix": "or", "isGlobal": true});
    let id = post(&root, "/api/ai/providers", new).await.with(201)["id"].clone();
    let hidden = json!({"name": "off", "type": "OpenAI", "isGlobal": true, "enabled": false});
    let hidden = post(&root, "/api/ai/providers", hidden).await.with(201)["id"].clone();
    let listed = get(&ours, "/api/ai/catalog").await.with(200);
    let find = |id: &Value| listed.as_array().unwrap().iter().find(|one| one["id"] == *id);
    assert_eq!(find(&id).unwrap()["managedBy"], Value::Null);
    assert_eq!(find(&hidden), None);
    assert_eq!(get(&ours, &format!("/api/ai/catalog/{hidden}")).await.status, 404);
    let set = with(example("atamaia/credential.json"), json!({"providerId": id}));
    post(&ours, "/api/ai/credentials", set).await.with(201);
    let one = get(&ours, &format!("/api/ai/catalog/{id}")).await.with(200);
    assert_eq!((&one["managedBy"], &one["isGlobal"]), (&json!("workspace"), &json!(true)));
    let plan = get(&ours, "/api/ai/resolve/or:anthropic/claude-3.5-sonnet?explain=1").await.with(200);
    assert_eq!(plan["explain"]["targets"][0]["credential"]["label"], "Production OpenRouter key");
}
