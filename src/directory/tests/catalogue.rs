//! What the directory promises of providers, models and routes.

use super::*;
use crate::directory::credentials::{CredentialChange, Which};
use crate::directory::models::{self, ModelChange, PriceChange};
use crate::directory::providers::{self, NewProvider, ProviderChange, ProviderLine};
use crate::directory::routes::{self, NewRoute, RouteChange};
use crate::domain::change::Change;
use crate::domain::entity::{RouteKind, Scope};
use crate::domain::preset::Preset;

fn new(owner: Owner, name: &str, preset_name: &str) -> NewProvider {
    let preset: &'static Preset = preset(preset_name).unwrap();
    NewProvider { owner, name: name.to_string(), preset, change: ProviderChange::default() }
}

fn at(url: &str, new: NewProvider) -> NewProvider {
    NewProvider { change: ProviderChange { base_url: Some(url.parse().unwrap()), ..new.change }, ..new }
}

fn key(text: &str) -> Option<Secret> {
    Some(Secret::from(text.to_string()))
}

async fn made(access: &Access, name: &str, preset: &str) -> ProviderLine {
    providers::create(access, new(Owner::Platform, name, preset)).await.unwrap()
}

async fn names(access: &Access, workspace: Option<Id<Workspace>>) -> Vec<String> {
    let filter = providers::Filter { workspace, enabled_only: false };
    providers::list(access, filter).await.unwrap().into_iter().map(|one| one.name).collect()
}

/// Is it refused as wrong in itself, naming this?
async fn is_wrong(result: impl Future<Output = Result<impl Sized, DirectoryError>>, named: &str) {
    match result.await {
        Err(DirectoryError::Invalid { what, .. }) => assert_eq!(what, named),
        Err(error) => panic!("{named}: {error}"),
        Ok(_) => panic!("{named} was taken"),
    }
}

#[tokio::test]
async fn a_provider_is_what_its_preset_says_but_for_what_is_stated() {
    let World { access, .. } = World::new().await;
    let plain = made(&access, "Local Groq", "groq").await;
    assert_eq!((plain.prefix.as_str(), plain.timeout_ms, plain.priority), ("local-groq", 120_000, 100));
    assert_eq!(plain.base_url.to_string(), "https://api.groq.com/openai/v1");
    assert!(plain.strip_prefix && plain.enabled && plain.workspace_id.is_none());
    let change = ProviderChange { prefix: Some("or".into()), priority: Some(1), ..ProviderChange::default() };
    let stated = NewProvider { change, ..new(Owner::Platform, "OpenRouter", "openrouter") };
    let stated = providers::create(&access, stated).await.unwrap();
    assert_eq!((stated.prefix.as_str(), stated.priority), ("or", 1));
    assert_eq!(names(&access, None).await, ["OpenRouter", "Local Groq", "openai"], "lower priority first");
}

#[tokio::test]
async fn a_provider_without_a_place_of_its_own_must_be_told_one() {
    let World { access, .. } = World::new().await;
    for preset in ["azure-openai", "custom"] {
        is_wrong(providers::create(&access, new(Owner::Platform, "x", preset)), "the base URL").await;
    }
    is_wrong(providers::create(&access, new(Owner::Platform, "aws", "bedrock")), "the region").await;
    let region = Change::Set("eu-west-1".into());
    let change = ProviderChange { region, ..ProviderChange::default() };
    let aws = NewProvider { change, ..new(Owner::Platform, "aws", "bedrock") };
    let aws = providers::create(&access, aws).await.unwrap();
    assert_eq!(aws.base_url.to_string(), "https://bedrock-runtime.eu-west-1.amazonaws.com");
    let region = Change::Set("us-east-1".into());
    let moved =
        providers::change(&access, aws.id, Expected::Anything, ProviderChange { region, ..ProviderChange::default() });
    assert_eq!(moved.await.unwrap().base_url.to_string(), "https://bedrock-runtime.us-east-1.amazonaws.com");
}

#[tokio::test]
async fn nobody_registers_a_program_or_an_inside_address() {
    let world = World::new().await;
    is_wrong(providers::create(&world.access, new(Owner::Platform, "agent", "agent-sdk")), "the kind").await;
    let team = Owner::Workspace(world.team.id);
    for url in ["http://127.0.0.1:9/v1", "https://169.254.169.254/v1", "https://10.0.0.1/v1", "https://host:22/v1"] {
        let inside = providers::create(&world.access, at(url, new(team, "inside", "custom"))).await;
        assert!(matches!(inside, Err(DirectoryError::Egress(_))), "{url}");
        let openai = providers::create(&world.access, new(team, "own", "openai")).await.unwrap();
        let change = ProviderChange { base_url: Some(url.parse().unwrap()), ..ProviderChange::default() };
        assert!(matches!(
            providers::change(&world.access, openai.id, Expected::Anything, change).await,
            Err(DirectoryError::Egress(_))
        ));
        providers::delete(&world.access, openai.id, Expected::Anything).await.unwrap();
    }
}

#[tokio::test]
async fn settings_prefixes_and_numbers_are_held_against_what_they_are_for() {
    let World { access, .. } = World::new().await;
    let cases: [(&str, ProviderChange); 7] = [
        ("the deployment", ProviderChange { deployment: Change::Set("d".into()), ..ProviderChange::default() }),
        ("the prefix", ProviderChange { prefix: Some("role".into()), ..ProviderChange::default() }),
        ("the prefix", ProviderChange { prefix: Some("a:b".into()), ..ProviderChange::default() }),
        ("the weight", ProviderChange { weight: Some(0), ..ProviderChange::default() }),
        ("the number of calls in flight", ProviderChange { max_parallel: Change::Set(0), ..ProviderChange::default() }),
        ("the timeout", ProviderChange { timeout: Some(std::time::Duration::ZERO), ..ProviderChange::default() }),
        (
            "the default model",
            ProviderChange { default_model: Change::Set("../x".into()), ..ProviderChange::default() },
        ),
    ];
    for (named, change) in cases {
        is_wrong(providers::create(&access, NewProvider { change, ..new(Owner::Platform, "x", "groq") }), named).await;
    }
    is_wrong(providers::create(&access, new(Owner::Platform, " x", "groq")), "the provider's name").await;
    assert_eq!(names(&access, None).await, ["openai"]);
}

#[tokio::test]
async fn a_deleted_provider_is_hidden_frees_its_name_and_destroys_nothing() {
    let World { access, .. } = World::new().await;
    let first = made(&access, "groq", "groq").await;
    let again = providers::create(&access, new(Owner::Platform, "Groq", "groq")).await;
    assert!(matches!(again, Err(DirectoryError::Exists { .. })));
    models::create(&access, first.id, "m".into(), ModelChange::default()).await.unwrap();
    credentials::set(&access, NewCredential::of(Owner::Platform, first.id, key(KEY))).await.unwrap();
    providers::delete(&access, first.id, Expected::Anything).await.unwrap();
    assert!(matches!(providers::get(&access, first.id).await, Err(DirectoryError::NotFound { .. })));
    assert!(models::list(&access, models::Filter::default()).await.unwrap().iter().all(|one| one.model_id != "m"));
    let stored = access.load(Part::everything()).await.unwrap();
    assert_eq!((stored.providers.len(), stored.models.len(), stored.credentials.len()), (1, 1, 1));
    let second = made(&access, "groq", "groq").await;
    assert!(second.number > first.number, "a number is never given twice");
}

#[tokio::test]
async fn a_provider_s_own_key_becomes_its_owner_s_credential() {
    let world = World::new().await;
    let with_key = |owner, name: &str| NewProvider {
        change: ProviderChange { key: key(KEY), ..ProviderChange::default() },
        ..new(owner, name, "groq")
    };
    providers::create(&world.access, with_key(Owner::Platform, "groq")).await.unwrap();
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let own = providers::create(&admin, with_key(Owner::Workspace(world.team.id), "ours")).await.unwrap();
    let lines = credentials::list(&world.access, Which::Managed).await.unwrap();
    let platform = lines.iter().find(|one| one.scope == Scope::Platform).unwrap();
    assert_eq!((platform.label.as_str(), &platform.held.as_ref().unwrap().granted_to), ("groq", &None));
    let of_team = lines.iter().find(|one| one.scope == Scope::Workspace).unwrap();
    assert_eq!((of_team.provider.as_str(), of_team.owner.as_str()), ("ours", "team"));
    let renewed = ProviderChange { key: key("sk-zyxwvuts9876"), ..ProviderChange::default() };
    providers::change(&admin, own.id, Expected::Anything, renewed).await.unwrap();
    let lines = credentials::list(&admin, Which::Of(Owner::Workspace(world.team.id))).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].held.as_ref().unwrap().api_key_masked.as_deref(), Some("***********9876"));
}

#[tokio::test]
async fn where_a_provider_moves_its_owner_s_key_goes_along_and_others_wait_for_their_holder() {
    let world = World::new().await;
    let access = &world.access;
    let groq = made(access, "groq", "groq").await;
    let team = Owner::Workspace(world.team.id);
    let ours =
        credentials::set(access, NewCredential::of(Owner::Platform, groq.id, key(KEY))).await.unwrap().credential;
    let theirs = credentials::set(access, NewCredential::of(team, groq.id, key(KEY))).await.unwrap().credential;
    let mut fixed = NewCredential::of(team, openai(), key(KEY));
    fixed.change.base_url = Change::Set("https://eu.api.openai.com/v1".parse().unwrap());
    credentials::set(access, fixed).await.unwrap();

    let change =
        ProviderChange { base_url: Some("https://eu.groq.com/v1".parse().unwrap()), ..ProviderChange::default() };
    providers::change(access, groq.id, Expected::Anything, change).await.unwrap();
    let line = |id| credentials::get(access, id);
    assert!(!line(ours.id).await.unwrap().address_changed);
    assert!(line(theirs.id).await.unwrap().address_changed);

    // Anything else about it leaves it waiting.
    let relabelled = CredentialChange { label: Some("ours".into()), ..CredentialChange::default() };
    assert!(credentials::change(access, theirs.id, Expected::Anything, relabelled).await.unwrap().address_changed);
    let member = world.as_role(AccessRole::Member);
    assert!(credentials::confirm(&member, theirs.id).await.is_err());
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let confirmed = credentials::confirm(&admin, theirs.id).await.unwrap();
    assert!(!confirmed.address_changed);
    assert_eq!(confirmed.held.unwrap().entered_for, "https://eu.groq.com");
    let stored = access.load(Part::everything()).await.unwrap();
    for credential in &stored.credentials {
        assert_eq!(access.store.keyring().open_credential(credential).unwrap().expose(), KEY.as_bytes());
    }
}

#[tokio::test]
async fn a_workspace_sees_the_platform_s_providers_and_its_own_and_changes_only_its_own() {
    let world = World::new().await;
    let other = workspaces::create(&world.access, world.org.id, "other", None).await.unwrap();
    let theirs = providers::create(&world.access, new(Owner::Workspace(other.id), "theirs", "groq")).await.unwrap();
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let own = providers::create(&admin, new(Owner::Workspace(world.team.id), "ours", "groq")).await.unwrap();
    assert_eq!(names(&admin, Some(world.team.id)).await, ["openai", "ours"]);
    let filter = providers::Filter { workspace: Some(other.id), enabled_only: false };
    assert!(matches!(providers::list(&admin, filter).await, Err(DirectoryError::NotFound { .. })));
    let change = || ProviderChange { enabled: Some(false), ..ProviderChange::default() };
    assert!(matches!(providers::get(&admin, theirs.id).await, Err(DirectoryError::NotFound { .. })));
    assert!(matches!(
        providers::change(&admin, theirs.id, Expected::Anything, change()).await,
        Err(DirectoryError::NotFound { .. })
    ));
    assert!(matches!(
        providers::delete(&admin, theirs.id, Expected::Anything).await,
        Err(DirectoryError::NotFound { .. })
    ));
    assert!(matches!(
        providers::change(&admin, openai(), Expected::Anything, change()).await,
        Err(DirectoryError::Denied { .. })
    ));
    assert!(matches!(
        providers::change(&world.access, openai(), Expected::Anything, change()).await,
        Err(DirectoryError::Declared { .. })
    ));
    let on_platform = providers::create(&admin, new(Owner::Platform, "x", "groq")).await;
    assert!(matches!(on_platform, Err(DirectoryError::Denied { .. })));
    let member = world.as_role(AccessRole::Member);
    assert!(matches!(
        providers::change(&member, own.id, Expected::Anything, change()).await,
        Err(DirectoryError::Denied { .. })
    ));
    assert!(providers::get(&member, own.id).await.is_ok());
    assert!(!providers::change(&admin, own.id, Expected::Anything, change()).await.unwrap().enabled);
    let enabled = providers::Filter { workspace: Some(world.team.id), enabled_only: true };
    assert_eq!(providers::list(&admin, enabled).await.unwrap().len(), 1);
}

#[tokio::test]
async fn without_the_feature_a_workspace_has_no_provider_of_its_own() {
    let mut world = World::new().await;
    let mut declared = Directory::clone(&world.access.declared);
    let mut org = Org::new(Id::declared("org", "small"), "small", Timestamp(0));
    org.features.byok = false;
    let tiny = Workspace::new(Id::declared("workspace", "tiny"), org.id, "tiny", Timestamp(0));
    let owner = Owner::Workspace(tiny.id);
    declared.workspaces.push(tiny);
    declared.orgs.push(org);
    world.access.declared = Arc::new(declared);
    let made = providers::create(&world.access, new(owner, "own", "groq")).await;
    assert!(matches!(made, Err(DirectoryError::EnterpriseRequired { .. })));
}

#[tokio::test]
async fn a_model_s_id_is_unique_among_the_living_and_can_be_free_again() {
    let World { access, .. } = World::new().await;
    let groq = made(&access, "groq", "groq").await;
    let make = |provider, id: &str| models::create(&access, provider, id.to_string(), ModelChange::default());
    let first = make(groq.id, "llama3:8b").await.unwrap();
    assert_eq!(first.qualified_id, "groq:llama3:8b");
    assert!((first.approved_for_chat, first.approved_for_agent, first.context_length) == (true, false, None));
    assert!(matches!(make(groq.id, "llama3:8b").await, Err(DirectoryError::Exists { .. })));
    assert!(matches!(make(openai(), "gpt-4o-mini").await, Err(DirectoryError::Exists { .. })), "declared ones count");
    models::delete(&access, first.id, Expected::Anything).await.unwrap();
    assert!(matches!(models::get(&access, first.id).await, Err(DirectoryError::NotFound { .. })));
    assert!(make(groq.id, "llama3:8b").await.unwrap().number > first.number);
    is_wrong(make(groq.id, "a\nb"), "the model id").await;
}

#[tokio::test]
async fn a_model_s_prices_change_from_now_on_and_its_bounds_hold() {
    let World { access, .. } = World::new().await;
    let price = |dollars: &str| PriceChange { input: Change::Set(dollars.parse().unwrap()), ..PriceChange::default() };
    let with = |prices| ModelChange { prices: Change::Set(prices), ..ModelChange::default() };
    let model = models::create(&access, openai(), "priced".into(), with(price("0.15"))).await.unwrap();
    let dearer = models::change(&access, model.id, Expected::Anything, with(price("0.3"))).await.unwrap();
    assert_eq!(dearer.prices.input.unwrap().to_string(), "0.3");
    let stored = access.load(Part::everything()).await.unwrap();
    let made_at = stored.models[0].created_at;
    assert_eq!(stored.models[0].prices.at(Timestamp(made_at.0 - 1)), None, "no earlier call is priced anew");
    is_wrong(models::change(&access, model.id, Expected::Anything, with(price("-1"))), "a price").await;
    let cleared = PriceChange { input: Change::Clear, ..PriceChange::default() };
    assert_eq!(models::change(&access, model.id, Expected::Anything, with(cleared)).await.unwrap().prices.input, None);
    for (named, change) in [
        ("the context length", ModelChange { context_length: Change::Set(0), ..ModelChange::default() }),
        ("the temperature", ModelChange { temperature: Change::Set("warm".into()), ..ModelChange::default() }),
        ("the hydration", ModelChange { enable_hydration: Some(true), ..ModelChange::default() }),
        ("the system prompt", ModelChange { system_prompt: Change::Set("x".repeat(70_000)), ..ModelChange::default() }),
    ] {
        is_wrong(models::change(&access, model.id, Expected::Anything, change), named).await;
    }
    let unknown = ModelChange { hydration_identity: Change::Set(Id::random()), ..ModelChange::default() };
    assert!(matches!(
        models::change(&access, model.id, Expected::Anything, unknown).await,
        Err(DirectoryError::NotFound { .. })
    ));
}

#[tokio::test]
async fn where_a_model_s_files_lie_is_shown_only_to_who_may_change_it() {
    let world = World::new().await;
    let change = ModelChange { local_path: Change::Set("/srv/m.gguf".into()), ..ModelChange::default() };
    let model = models::create(&world.access, openai(), "local".into(), change).await.unwrap();
    assert_eq!(model.local_path.as_deref(), Some("/srv/m.gguf"));
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    assert_eq!(models::get(&admin, model.id).await.unwrap().local_path, None);
    assert!(matches!(models::delete(&admin, model.id, Expected::Anything).await, Err(DirectoryError::Denied { .. })));
}

fn route(owner: Owner, kind: RouteKind, name: &str, model: Option<&str>) -> NewRoute {
    let change = RouteChange {
        model: model.map_or(Change::Keep, |model| Change::Set(model.to_string())),
        ..RouteChange::default()
    };
    NewRoute { owner, kind, name: name.to_string(), provider: openai(), change }
}

#[tokio::test]
async fn a_role_has_several_lines_in_order_and_each_once() {
    let world = World::new().await;
    let access = &world.access;
    let role = |model: &str, priority| {
        let new = route(Owner::Platform, RouteKind::Role, "summariser", Some(model));
        routes::create(access, NewRoute { change: RouteChange { priority: Some(priority), ..new.change }, ..new })
    };
    role("second", 2).await.unwrap();
    let first = role("gpt-4o-mini", 1).await.unwrap();
    assert!(matches!(role("second", 3).await, Err(DirectoryError::Exists { .. })));
    let filter = |role: &str| routes::Filter { workspace: None, role: Some(role.to_string()) };
    let lines = routes::list(access, filter("summariser")).await.unwrap();
    assert_eq!(lines.iter().map(|one| one.model.as_deref().unwrap()).collect::<Vec<_>>(), ["gpt-4o-mini", "second"]);
    assert!(routes::list(access, filter("coder")).await.unwrap().is_empty());
    let change = RouteChange { priority: Some(9), notes: Change::Set("last".into()), ..RouteChange::default() };
    assert_eq!(
        routes::change(access, first.id, Expected::Anything, change).await.unwrap().notes.as_deref(),
        Some("last")
    );
    assert_eq!(routes::list(access, filter("summariser")).await.unwrap()[0].model.as_deref(), Some("second"));
    routes::delete(access, first.id, Expected::Anything).await.unwrap();
    assert!(matches!(routes::get(access, first.id).await, Err(DirectoryError::NotFound { .. })));
}

#[tokio::test]
async fn a_route_s_name_is_nothing_that_a_call_reads_otherwise_and_no_model_takes_a_role_s() {
    let world = World::new().await;
    let make = |kind, name: &str| routes::create(&world.access, route(Owner::Platform, kind, name, None));
    for (kind, name) in [
        (RouteKind::Role, "gpt-4o-mini"),
        (RouteKind::Role, "openai:gpt-4o-mini"),
        (RouteKind::Alias, "openai"),
        (RouteKind::Alias, "default"),
        (RouteKind::Alias, "role:x"),
    ] {
        is_wrong(make(kind, name), "the route's name").await;
    }
    make(RouteKind::Alias, "gpt-4o-mini").await.unwrap();
    make(RouteKind::Role, "coder").await.unwrap();
    is_wrong(make(RouteKind::Alias, "coder"), "the route's name").await;
    is_wrong(models::create(&world.access, openai(), "coder".into(), ModelChange::default()), "the model id").await;
    let own = NewProvider {
        change: ProviderChange { prefix: Some("coder".into()), ..ProviderChange::default() },
        ..new(Owner::Workspace(world.team.id), "own", "groq")
    };
    is_wrong(providers::create(&world.access, own), "the prefix").await;
}

#[tokio::test]
async fn a_workspace_routes_for_itself_and_to_nobody_else_s_provider() {
    let world = World::new().await;
    let other = workspaces::create(&world.access, world.org.id, "other", None).await.unwrap();
    let theirs = providers::create(&world.access, new(Owner::Workspace(other.id), "theirs", "groq")).await.unwrap();
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let team = Owner::Workspace(world.team.id);
    let own = routes::create(&admin, route(team, RouteKind::Alias, "fast", None)).await.unwrap();
    assert_eq!(own.workspace_id, Some(world.team.id));
    let across = NewRoute { provider: theirs.id, ..route(team, RouteKind::Alias, "slow", None) };
    assert!(matches!(routes::create(&admin, across).await, Err(DirectoryError::NotFound { .. })));
    let on_platform = routes::create(&admin, route(Owner::Platform, RouteKind::Alias, "fast", None)).await;
    assert!(matches!(on_platform, Err(DirectoryError::Denied { .. })));
    let elsewhere = routes::create(&world.access, route(Owner::Workspace(other.id), RouteKind::Alias, "fast", None));
    let elsewhere = elsewhere.await.unwrap();
    assert!(matches!(routes::get(&admin, elsewhere.id).await, Err(DirectoryError::NotFound { .. })));
    assert!(matches!(
        routes::delete(&admin, elsewhere.id, Expected::Anything).await,
        Err(DirectoryError::NotFound { .. })
    ));
}
