//! Promise: a key can be tried before a call needs it, and a provider's models and prices be taken from itself; and neither
//! leads anywhere that a call could not go.

mod commands;
mod taken;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use keyway::attempt::breaker::{self, Breakers};
use keyway::attempt::client::{Client, ClientSettings, Lookup, Network, Resolve, authorities};
use keyway::attempt::probe::{Key, Probe, ProbeError, Subject};
use keyway::domain::address::Egress;
use keyway::domain::entity::{Owner, ProviderSettings};
use keyway::domain::failure::Failure;
use keyway::domain::preset::preset;
use keyway::domain::secret::Secret;
use keyway::store::seal::{Keyring, MasterKey, Salt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::support::{Answer, Plan, World, secs};

/// One provider over sockets, with a key of the platform's and one of a workspace's own.
fn sockets() -> Plan {
    World::on_loopback(["primary", "spare"]).neighbour("own").key("own", "primary", "own-key")
}

fn models(ids: &[&str]) -> Answer {
    let lines: Vec<Value> = ids.iter().map(|id| json!({"id": id, "object": "model"})).collect();
    Answer::json(200, &json!({"object": "list", "data": lines}).to_string())
}

/// A key that somebody tries for a provider.
fn entered(world: &World, key: &str) -> Subject {
    let subject = Subject::stored(&world.entity("primary"), None);
    Subject { key: Key::Entered(Arc::new(Secret::from(key.to_string()))), ..subject }
}

fn stored(world: &World) -> Subject {
    Subject::stored(&world.entity("primary"), Some(world.stored("own")))
}

/// The same provider as another kind.
fn of_kind(subject: Subject, name: &str) -> Subject {
    let preset = preset(name).unwrap();
    Subject { preset, protocol: preset.protocol, ..subject }
}

#[tokio::test]
async fn a_key_is_tried_by_listing_models_and_by_having_one_answer() {
    let world = sockets().stands();
    world.provider("primary").answers(models(&["a", "b"]));
    assert_eq!(world.probe().list(&entered(&world, "sk-new")).await, Ok(2));
    let heard = world.provider("primary").last();
    assert!(heard.head.starts_with("GET /v1/models HTTP/1.1"), "{}", heard.head);
    assert_eq!((heard.header("authorization"), heard.text().as_str()), (Some("Bearer sk-new"), ""));

    world.provider("primary").answers(Answer::whole("OK"));
    world.probe().ping(&stored(&world), "m").await.unwrap();
    let heard = world.provider("primary").last();
    assert!(heard.head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{}", heard.head);
    assert_eq!(heard.header("authorization"), Some("Bearer own-key"));
    let body: Value = serde_json::from_str(&heard.text()).unwrap();
    assert_eq!((&body["model"], body["messages"].as_array().unwrap().len()), (&"m".into(), 1));
    assert!(world.records().is_empty(), "it is no exchange");
}

#[tokio::test]
async fn each_vendor_is_asked_in_its_own_words_page_after_page() {
    let world = sockets().stands();
    let page = |ids: &[&str], more: bool| {
        let data: Vec<Value> = ids.iter().map(|id| json!({"id": id, "display_name": id.to_uppercase()})).collect();
        Answer::json(200, &json!({"data": data, "has_more": more, "last_id": ids.last()}).to_string())
    };
    let primary = world.provider("primary");
    primary.answers(page(&["a", "b"], true)).then(page(&["c", "a"], false));
    let found = world.probe().models(&of_kind(entered(&world, "sk-ant"), "anthropic")).await.unwrap();
    let ids: Vec<_> = found.iter().map(|model| model.model_id.as_str()).collect();
    assert_eq!((ids, found[2].display_name.as_deref()), (vec!["a", "b", "c"], Some("C")));
    let heard = primary.heard();
    assert!(heard[1].head.starts_with("GET /v1/models?limit=1000&after_id=b HTTP/1.1"), "{}", heard[1].head);
    assert_eq!(
        (heard[0].header("x-api-key"), heard[0].header("anthropic-version")),
        (Some("sk-ant"), Some("2023-06-01"))
    );
    assert_eq!(heard[0].header("authorization"), None);

    // A page that goes on for ever ends all the same.
    let before = primary.calls();
    primary.answers(page(&["m0"], true));
    for number in 1..40 {
        primary.then(page(&[&format!("m{number}")], true));
    }
    let found = world.probe().models(&of_kind(entered(&world, "sk-ant"), "anthropic")).await.unwrap();
    assert_eq!((found.len(), primary.calls() - before), (10, 10));
    primary.answers(page(&["same"], true));
    assert_eq!(world.probe().models(&of_kind(entered(&world, "sk-ant"), "anthropic")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_that_anybody_may_read_does_not_prove_a_key() {
    let world = sockets().stands();
    let subject = of_kind(entered(&world, "sk-or"), "openrouter");
    world.provider("primary").answers(Answer::error(401, "invalid_key"));
    let refused = world.probe().list(&subject).await;
    assert_eq!(refused, Err(Failure::CredentialRefused { status: 401 }.into()));
    assert!(world.provider("primary").last().head.starts_with("GET /v1/key "));
    world.provider("primary").answers(Answer::json(200, "{\"data\":{\"label\":\"k\"}}")).then(models(&["a"]));
    assert_eq!(world.probe().list(&subject).await, Ok(1));
}

#[tokio::test]
async fn what_a_test_shows_of_a_stored_key_calls_know_too() {
    let world = sockets().stands();
    let saved = world.stored("own").saved();
    world.provider("primary").answers(Answer::error(401, "invalid_api_key"));
    let refused = world.probe().list(&stored(&world)).await.unwrap_err();
    assert_eq!((refused.code(), world.state().credential(saved).name()), ("credential_refused", "rejected"));
    let calls = world.provider("primary").calls();
    world.client_of("own").asks("primary:m").await.is_refused(502, "credential_rejected");
    world.provider("primary").was_called(calls);

    world.provider("primary").answers(models(&["m"]));
    world.probe().list(&stored(&world)).await.unwrap();
    assert_eq!(world.state().credential(saved).name(), "ok");
    world.provider("primary").answers(Answer::whole("hello"));
    world.client_of("own").asks("primary:m").await.is_served("hello");

    // A key that is kept nowhere is noted nowhere.
    world.provider("primary").answers(Answer::error(401, "invalid_api_key"));
    world.probe().list(&entered(&world, "sk-wrong")).await.unwrap_err();
    assert!(world.state().all_is_well());
}

#[tokio::test]
async fn a_stored_key_goes_nowhere_but_where_it_was_entered_for() {
    let world = sockets().entered_for("https://api.elsewhere.example").stands();
    let failed = world.probe().list(&stored(&world)).await.unwrap_err();
    assert_eq!(failed.code(), "credential_unusable");
    world.provider("primary").was_not_called();
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let world = sockets().stands();
    let elsewhere = world.entity("spare").base_url.to_string();
    for status in [301, 302, 307, 308] {
        let head = [("location", elsewhere.as_str()), ("content-type", "text/html")];
        world.provider("primary").answers(Answer::of(status, &head, "moved"));
        let failed = world.probe().list(&entered(&world, "sk-new")).await.unwrap_err();
        assert_eq!(failed.code(), "garbage", "{status}");
    }
    world.provider("spare").was_not_called();
}

/// Every name is this address.
struct Everywhere(SocketAddr);

impl Resolve for Everywhere {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Lookup<'a> {
        Box::pin(std::future::ready(io::Result::Ok(vec![self.0])))
    }
}

fn strict(egress: Egress, resolver: Box<dyn Resolve>) -> Probe {
    let settings = ClientSettings::default();
    let network = Network::with_resolver(&settings, egress, authorities(None).unwrap(), resolver);
    let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
    let keyring = Keyring::new(&[key], Salt::random().unwrap()).unwrap();
    let breakers = Breakers::new(breaker::Settings::default(), Instant::now());
    Probe::new(Client::new(settings, Arc::new(network)), Arc::new(keyring), Arc::new(breakers))
}

#[tokio::test]
async fn a_base_url_leads_to_no_address_that_a_call_may_not_have() {
    let world = sockets().stands();
    let inside = world.entity("primary").base_url.address;
    let inside: SocketAddr = format!("{}:{}", inside.host, inside.port).parse().unwrap();
    let tenant = |url: &str| Subject { base_url: url.parse().unwrap(), ..entered(&world, "sk-of-a-tenant") };
    let ports = Egress { ports: vec![inside.port()], ..Egress::default() };
    let probe = strict(ports, Box::new(Everywhere(inside)));
    for url in [
        format!("http://{inside}/v1"),
        format!("https://{inside}/v1"),
        // A name that leads inside once it was saved, and one that is written otherwise.
        format!("https://rebound.example:{}/v1", inside.port()),
        format!("https://[::ffff:127.0.0.1]:{}/v1", inside.port()),
        "https://169.254.169.254/latest".to_string(),
        "https://metadata.example/computeMetadata".to_string(),
        "https://[fd00::1]/v1".to_string(),
        "https://rebound.example:22/v1".to_string(),
        "http://plain.example/v1".to_string(),
    ] {
        for failed in [
            probe.list(&tenant(&url)).await.unwrap_err(),
            probe.ping(&tenant(&url), "m").await.unwrap_err(),
            probe.price_list(&url.parse().unwrap()).await.unwrap_err(),
        ] {
            assert_eq!(failed.code(), "address_denied", "{url}: {failed}");
        }
    }
    world.provider("primary").was_not_called();
}

#[tokio::test]
async fn what_is_no_list_is_said_to_be_none() {
    let world = sockets().stands();
    for answer in [
        Answer::json(200, "{\"hello\":1}"),
        Answer::of(200, &[("content-type", "text/html")], "<html>Sign in</html>"),
        Answer::json(200, ""),
    ] {
        world.provider("primary").answers(answer);
        assert_eq!(world.probe().list(&entered(&world, "sk")).await, Err(ProbeError::Unreadable));
    }
    world.provider("primary").answers(Answer::json(200, "{\"error\":{\"message\":\"no\",\"code\":\"server_error\"}}"));
    assert!(world.probe().ping(&entered(&world, "sk"), "m").await.is_err());
    let unlisted = world.probe().list(&of_kind(entered(&world, "sk"), "agent-sdk")).await;
    assert_eq!(unlisted, Err(ProbeError::Unlisted("agent-sdk")));
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let world = sockets().stands();
    let large = format!("{{\"data\":[{}", " ".repeat(9 * 1024 * 1024));
    world.provider("primary").answers(Answer::json(200, &large));
    let failed = world.probe().list(&entered(&world, "sk")).await.unwrap_err();
    assert_eq!(failed.code(), "answer_too_large");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_provider_waits_half_a_minute_and_takes_no_more_than_its_places() {
    let world = World::of(["primary"]).stands();
    world.provider("primary").answers(Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").hangs());
    let subject = Subject {
        owner: Owner::Platform,
        settings: ProviderSettings::default(),
        ..Subject::stored(&world.entity("primary"), None)
    };
    let began = Instant::now();
    let asking = || world.probe().models(&subject);
    let five: [_; 5] = tokio::join!(asking(), asking(), asking(), asking(), asking()).into();
    let busy = five.iter().filter(|result| **result == Err(ProbeError::Busy)).count();
    let late = five.iter().filter(|result| **result == Err(Failure::TimedOut.into())).count();
    assert_eq!((busy, late, began.elapsed().as_secs()), (1, 4, secs(30).as_secs()));
    world.provider("primary").answers(models(&["a"]));
    assert!(world.probe().models(&subject).await.is_ok(), "places are given back");
}
