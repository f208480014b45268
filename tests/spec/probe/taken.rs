//! What was found, looked at and taken into the directory.

use std::sync::Arc;

use keyway::admin::probing::{Depth, PriceSource, discover, sync_prices, test, test_stored};
use keyway::directory::discovery::Taking;
use keyway::directory::models::{self, Filter, ModelChange};
use keyway::directory::providers::{self, NewProvider, ProviderChange};
use keyway::directory::{Access, Actor};
use keyway::domain::address::Egress;
use keyway::domain::directory::Directory;
use keyway::domain::entity::{Owner, Provider};
use keyway::domain::id::Id;
use keyway::store::Store;
use serde_json::{Value, json};

use super::super::support::{Answer, World};
use super::{entered, models as listed, sockets};

/// A directory of its own, whose one provider is the world's.
async fn office(world: &World, preset: &str) -> (Access, Id<Provider>) {
    let key = keyway::store::seal::MasterKey::parse(&keyway::store::seal::MasterKey::generate().unwrap()).unwrap();
    let keyring = keyway::store::seal::Keyring::new(&[key], keyway::store::seal::Salt::random().unwrap()).unwrap();
    let access = Access {
        store: Store::memory(keyring),
        declared: Arc::new(Directory::default()),
        egress: Arc::new(Egress { http: vec!["127.0.0.1".into()], ..Egress::default() }),
        actor: Actor::operator("cli:ada"),
    };
    let change = ProviderChange { base_url: Some(world.entity("primary").base_url), ..ProviderChange::default() };
    let new = NewProvider {
        owner: Owner::Platform,
        name: "found".into(),
        preset: keyway::domain::preset::preset(preset).unwrap(),
        change,
    };
    let made = providers::create(&access, new).await.unwrap();
    (access, made.id)
}

async fn known(access: &Access, provider: Id<Provider>) -> Vec<models::ModelLine> {
    models::list(access, Filter { provider: Some(provider), ..Filter::default() }).await.unwrap()
}

fn ids(lines: &[models::ModelLine]) -> Vec<&str> {
    lines.iter().map(|line| line.model_id.as_str()).collect()
}

#[tokio::test]
async fn models_are_looked_at_before_they_are_taken_and_taken_as_they_were_shown() {
    let world = sockets().stands();
    let (access, provider) = office(&world, "vllm").await;
    models::create(&access, provider, "mine".into(), ModelChange::default()).await.unwrap();
    let lines = json!([{"id": "a", "max_model_len": 4096}, {"id": "mine", "max_model_len": 1}, {"id": "b"}]);
    world.provider("primary").answers(Answer::json(200, &json!({"data": lines}).to_string()));
    let shown = discover(&access, world.probe(), provider, Taking::Preview).await.unwrap();
    assert_eq!((&shown.added, shown.found), (&vec!["a".to_string(), "b".into()], 3));
    assert_eq!(ids(&known(&access, provider).await), ["mine"], "nothing was taken");

    // The provider says something else a moment later.
    world.provider("primary").answers(listed(&["c"]));
    let taken = discover(&access, world.probe(), provider, Taking::Apply).await.unwrap();
    assert_eq!(taken.added, shown.added);
    let lines = known(&access, provider).await;
    assert_eq!(ids(&lines), ["a", "b", "mine"]);
    let a = serde_json::to_value(&lines[0]).unwrap();
    assert_eq!(
        (&a["source"], &a["contextLength"], &a["approvedForAgent"]),
        (&"discovered".into(), &4096.into(), &false.into())
    );
    assert!(a["discoveredAt"].is_string());
    let mine = serde_json::to_value(&lines[2]).unwrap();
    assert_eq!(
        (&mine["source"], &mine["contextLength"]),
        (&"registered".into(), &Value::Null),
        "what people said stands"
    );
    assert!(providers::get(&access, provider).await.unwrap().discovered_at.is_some());
}

#[tokio::test]
async fn what_is_new_changed_and_gone_is_told_and_what_is_gone_stays() {
    let world = sockets().stands();
    let (access, provider) = office(&world, "vllm").await;
    world.provider("primary").answers(listed(&["a", "b"]));
    discover(&access, world.probe(), provider, Taking::Apply).await.unwrap();
    let lines = json!([{"id": "b", "max_model_len": 8}, {"id": "c"}]);
    world.provider("primary").answers(Answer::json(200, &json!({"data": lines}).to_string()));
    discover(&access, world.probe(), provider, Taking::Preview).await.unwrap();
    let again = discover(&access, world.probe(), provider, Taking::Apply).await.unwrap();
    assert_eq!((again.added, again.changed, again.gone), (vec!["c".to_string()], vec!["b".into()], vec!["a".into()]));
    assert_eq!(ids(&known(&access, provider).await), ["a", "b", "c"]);
    let nothing = discover(&access, world.probe(), provider, Taking::Apply).await.unwrap();
    assert!(nothing.added.is_empty() && nothing.changed.is_empty());
}

#[tokio::test]
async fn prices_are_taken_for_the_models_there_are_and_others_keep_theirs() {
    let world = sockets().stands();
    let (access, provider) = office(&world, "openrouter").await;
    for id in ["a/b", "c/d", "e/f"] {
        models::create(&access, provider, id.into(), ModelChange::default()).await.unwrap();
    }
    let priced = |id: &str, input: &str| json!({"id": id, "pricing": {"prompt": input, "completion": "0.00001"}});
    let lines = json!([priced("a/b", "0.0000025"), priced("c/d", "-1"), priced("new/one", "0.1")]);
    world.provider("primary").answers(Answer::json(200, &json!({"data": lines}).to_string()));
    let shown = sync_prices(&access, world.probe(), &PriceSource::OpenRouter, Taking::Preview).await.unwrap();
    assert_eq!((shown.len(), shown[0].changes.len()), (1, 1));
    assert_eq!(shown[0].unpriced, ["c/d", "e/f"]);
    assert_eq!(known(&access, provider).await[0].prices.input, None);
    let taken = sync_prices(&access, world.probe(), &PriceSource::OpenRouter, Taking::Apply).await.unwrap();
    assert_eq!(taken[0].changes[0].to.input.unwrap().to_string(), "2.5");
    let lines = known(&access, provider).await;
    assert_eq!(lines[0].prices.output.unwrap().to_string(), "10");
    assert_eq!((ids(&lines), lines[1].prices.input), (vec!["a/b", "c/d", "e/f"], None));
    let again = sync_prices(&access, world.probe(), &PriceSource::OpenRouter, Taking::Apply).await.unwrap();
    assert!(again[0].changes.is_empty());
}

#[tokio::test]
async fn a_list_of_many_providers_prices_reaches_each_by_its_preset() {
    let world = sockets().stands();
    let (access, provider) = office(&world, "groq").await;
    models::create(&access, provider, "llama".into(), ModelChange::default()).await.unwrap();
    let list = json!({
        "groq/llama": {"litellm_provider": "groq", "input_cost_per_token": 5.9e-7, "output_cost_per_token": 7.9e-7},
        "llama": {"litellm_provider": "openai", "input_cost_per_token": 1.0},
    });
    world.provider("primary").answers(Answer::json(200, &list.to_string()));
    let at = format!("{}/prices.json", world.entity("primary").base_url).parse().unwrap();
    let taken = sync_prices(&access, world.probe(), &PriceSource::List(at), Taking::Apply).await.unwrap();
    assert!(world.provider("primary").last().head.starts_with("GET /v1/prices.json "));
    assert_eq!(world.provider("primary").last().header("authorization"), None);
    assert_eq!((taken.len(), taken[0].changes[0].to.input.unwrap().to_string().as_str()), (1, "0.59"));
}

#[tokio::test]
async fn a_test_answers_in_words_and_never_with_the_key() {
    let world = sockets().stands();
    world.provider("primary").answers(Answer::whole("OK"));
    let tested = test(world.probe(), &entered(&world, "sk-secret"), Depth::Ping(None), Some("m".into())).await;
    assert_eq!((tested.success, tested.model_name.as_deref()), (true, Some("m")));
    assert_eq!(tested.message, "Connection successful.");
    world.provider("primary").answers(Answer::json(401, "{\"error\":{\"message\":\"Incorrect key: sk-secret\"}}"));
    let failed = test(world.probe(), &entered(&world, "sk-secret"), Depth::List, None).await;
    assert_eq!((failed.success, failed.code), (false, Some("credential_refused")));
    let text = format!("{failed:?}{}", serde_json::to_string(&failed).unwrap());
    assert!(!text.contains("sk-secret"), "{text}");
    let unnamed = test(world.probe(), &entered(&world, "sk-secret"), Depth::Ping(None), None).await;
    assert_eq!(unnamed.code, Some("model_missing"));

    let (access, _) = office(&world, "groq").await;
    let unknown = test_stored(&access, world.probe(), Id::random(), Depth::List).await;
    assert!(unknown.is_err());
}
