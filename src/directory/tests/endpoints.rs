//! What the directory promises of model endpoints, of a workspace's default, and of the catalogue as a workspace sees it.

use super::*;
use crate::directory::catalog;
use crate::directory::credentials::{CredentialChange, Which};
use crate::directory::endpoints::{self, Binding, Chosen, EndpointLine, Purpose};
use crate::directory::model_config::{self, ConfigLine};
use crate::directory::providers::{self, NewProvider, ProviderChange};
use crate::domain::change::Change;
use crate::domain::entity::Scope;
use crate::domain::protocol::Protocol;

fn named(world: &World, provider: &str) -> Binding {
    Binding {
        key: Some(Secret::from(KEY.to_string())),
        ..Binding::of(world.team.id, Chosen::Named(provider.to_string()))
    }
}

fn default_of(world: &World, provider: &str, model: &str) -> Binding {
    Binding { purpose: Purpose::Default(Some(model.to_string())), ..named(world, provider) }
}

async fn bound(access: &Access, binding: Binding) -> EndpointLine {
    endpoints::bind(access, Expected::Anything, binding).await.unwrap()
}

async fn configured(access: &Access, binding: Binding) -> Result<ConfigLine, DirectoryError> {
    model_config::put(access, Expected::Anything, binding).await.map(|set| set.config.unwrap())
}

async fn owned(world: &World) -> Directory {
    world.access.load(Part::everything()).await.unwrap()
}

#[tokio::test]
async fn an_endpoint_is_for_the_platform_s_provider_where_there_is_one_and_else_for_one_s_own() {
    let world = World::new().await;
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let shared = bound(&admin, named(&world, "openai")).await;
    assert_eq!((shared.provider_workspace_id, shared.managed_by), (None, Scope::Workspace));
    assert_eq!(shared.api_key_masked.as_deref(), Some("***********1234"));
    let own = bound(&admin, named(&world, "deepseek")).await;
    assert_eq!(own.provider_workspace_id, Some(world.team.id));
    assert_eq!(own.base_url.to_string(), "https://api.deepseek.com/v1");
    let unknown = endpoints::bind(&admin, Expected::Anything, named(&world, "opanai")).await.unwrap_err().to_string();
    assert!(unknown.contains("did you mean `openai`?"), "{unknown}");
    let chosen = Chosen::OfPreset("grok".into(), preset("custom").unwrap());
    let grok = Binding {
        provider: chosen,
        base_url: Change::Set("https://api.x.ai/v1".parse().unwrap()),
        ..named(&world, "")
    };
    assert_eq!(bound(&admin, grok).await.provider, "grok");
    assert_eq!(owned(&world).await.providers.len(), 2);
}

#[tokio::test]
async fn a_workspace_has_one_endpoint_a_provider_and_a_second_one_is_told_so() {
    let world = World::new().await;
    let first = bound(&world.access, named(&world, "openai")).await;
    let again = Binding { purpose: Purpose::NewEndpoint, ..named(&world, "openai") };
    assert!(matches!(
        endpoints::bind(&world.access, Expected::Anything, again).await,
        Err(DirectoryError::Exists { .. })
    ));
    let eu = Change::Set("https://eu.api.openai.com/v1".parse().unwrap());
    let moved =
        Binding { base_url: eu, model: Change::Set("gpt-4o".into()), active: Some(false), ..named(&world, "openai") };
    let moved = bound(&world.access, moved).await;
    assert_eq!((moved.id, moved.active, moved.model.as_deref()), (first.id, false, Some("gpt-4o")));
    assert_eq!(moved.own_base_url.unwrap().to_string(), "https://eu.api.openai.com/v1");
}

#[tokio::test]
async fn a_provider_of_one_s_own_moves_and_speaks_as_its_endpoint_says() {
    let world = World::new().await;
    let bind = |url: &str, key: Option<&str>| Binding {
        provider: Chosen::OfPreset("mine".into(), preset("custom").unwrap()),
        base_url: Change::Set(url.parse().unwrap()),
        protocol: Some(Protocol::Messages),
        key: key.map(|key| Secret::from(key.to_string())),
        ..named(&world, "")
    };
    let first = bound(&world.access, bind("https://a.example.com/v1", Some(KEY))).await;
    let second = bound(&world.access, bind("https://b.example.com/v1", None)).await;
    assert_eq!((first.id, second.protocol, second.address_changed), (second.id, Protocol::Messages, false));
    let stored = owned(&world).await;
    assert_eq!(stored.providers.len(), 1);
    assert_eq!(stored.credentials[0].entered_for, "https://b.example.com");
    let opened = world.access.store.keyring().open_credential(&stored.credentials[0]).unwrap();
    assert_eq!(opened.expose(), KEY.as_bytes());
}

#[tokio::test]
async fn the_list_holds_one_s_own_and_what_was_granted_and_of_that_no_key() {
    let world = World::new().await;
    credentials::set(&world.access, world.of_platform("shared")).await.unwrap();
    let other = workspaces::create(&world.access, world.org.id, "other", None).await.unwrap();
    let mut elsewhere = world.of_platform("elsewhere");
    elsewhere.change.grant = Some(Grant::Workspaces(vec![other.id]));
    credentials::set(&world.access, elsewhere).await.unwrap();
    bound(&world.access, named(&world, "groq")).await;
    let member = world.as_role(AccessRole::Member);
    let lines = endpoints::list(&member, world.team.id).await.unwrap();
    let shown: Vec<_> = lines.iter().map(|one| (one.provider.as_str(), one.managed_by, &one.api_key_masked)).collect();
    assert_eq!(shown, [("groq", Scope::Workspace, &None), ("openai", Scope::Platform, &None)]);
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let lines = endpoints::list(&admin, world.team.id).await.unwrap();
    assert_eq!(lines[0].api_key_masked.as_deref(), Some("***********1234"));
    assert_eq!(lines[1].api_key_masked, None);
    assert!(matches!(endpoints::list(&admin, other.id).await, Err(DirectoryError::NotFound { .. })));
    assert!(matches!(
        endpoints::bind(&member, Expected::Anything, named(&world, "openai")).await,
        Err(DirectoryError::Denied { .. })
    ));
}

#[tokio::test]
async fn a_configuration_is_set_whole_and_reset_to_the_platform_s_with_its_key_destroyed() {
    let world = World::new().await;
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    assert_eq!(model_config::get(&admin, world.team.id).await.unwrap().config, None);
    let set = configured(&admin, default_of(&world, "anthropic", "claude-opus-4-6")).await.unwrap();
    assert_eq!(
        (set.provider.as_str(), set.model.as_deref(), set.base_url.as_ref()),
        ("anthropic", Some("claude-opus-4-6"), None)
    );
    assert_eq!(set.api_key_masked.as_deref(), Some("***********1234"));
    let kept = Binding { key: None, ..default_of(&world, "anthropic", "claude-sonnet-4-6") };
    let kept = configured(&admin, kept).await.unwrap();
    assert_eq!(
        (kept.id, kept.model.as_deref()),
        (set.id, Some("claude-sonnet-4-6")),
        "an absent key keeps the old one"
    );
    model_config::reset(&admin, world.team.id, Expected::Anything).await.unwrap();
    assert_eq!(model_config::get(&admin, world.team.id).await.unwrap().config, None);
    assert!(owned(&world).await.credentials.is_empty());
    model_config::reset(&admin, world.team.id, Expected::Anything).await.unwrap();
    let keyless = Binding { key: None, ..default_of(&world, "anthropic", "x") };
    assert!(matches!(configured(&admin, keyless).await, Err(DirectoryError::Invalid { .. })));
    let member = world.as_role(AccessRole::Member);
    assert!(matches!(model_config::get(&member, world.team.id).await, Err(DirectoryError::Denied { .. })));
    assert!(matches!(
        model_config::reset(&member, world.team.id, Expected::Anything).await,
        Err(DirectoryError::Denied { .. })
    ));
}

#[tokio::test]
async fn what_the_platform_pays_can_be_the_default_without_a_key() {
    let world = World::new().await;
    let keyless = || Binding { key: None, ..default_of(&world, "openai", "gpt-4o-mini") };
    assert!(configured(&world.access, keyless()).await.is_err());
    credentials::set(&world.access, world.of_platform("shared")).await.unwrap();
    let set = configured(&world.access, keyless()).await.unwrap();
    assert_eq!((set.managed_by, set.api_key_masked), (Some(Scope::Platform), None));
    assert_eq!(set.id, world.team.id.uuid());
    assert_eq!(owned(&world).await.credentials.len(), 1);
}

#[tokio::test]
async fn the_catalogue_says_who_pays_and_whether_a_call_would_go_there() {
    let world = World::new().await;
    let access = &world.access;
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let line = async |asker: &Access| catalog::list(asker, world.team.id).await.unwrap().remove(0);
    assert_eq!((line(&admin).await.managed_by, line(&admin).await.available), (None, false));
    let shared = credentials::set(access, world.of_platform("Anthropic, org account")).await.unwrap().credential.id;
    let bridged = line(&admin).await;
    assert_eq!((bridged.managed_by, bridged.available), (Some(Scope::Platform), true));
    assert_eq!(bridged.label.as_deref(), Some("Anthropic, org account"));
    credentials::set(&admin, world.of_team(KEY)).await.unwrap();
    assert_eq!(line(&admin).await.managed_by, Some(Scope::Workspace));
    let own = credentials::list(&admin, Which::Of(Owner::Workspace(world.team.id))).await.unwrap().remove(0).id;
    let off = || CredentialChange { active: Some(false), ..CredentialChange::default() };
    credentials::change(&admin, own, Expected::Anything, off()).await.unwrap();
    assert_eq!(line(&admin).await.managed_by, Some(Scope::Platform));
    credentials::change(access, shared, Expected::Anything, off()).await.unwrap();
    assert_eq!(line(&admin).await.managed_by, None);
    let entry = catalog::get(&admin, world.team.id, openai()).await.unwrap();
    assert_eq!(entry.models.len(), entry.line.model_count);
    let change = ProviderChange { enabled: Some(false), ..ProviderChange::default() };
    let off = NewProvider { owner: Owner::Platform, name: "off".into(), preset: preset("groq").unwrap(), change };
    let off = providers::create(access, off).await.unwrap();
    assert_eq!(catalog::list(&admin, world.team.id).await.unwrap().len(), 1, "what is switched off is not shown");
    assert!(matches!(catalog::get(&admin, world.team.id, off.id).await, Err(DirectoryError::NotFound { .. })));
}

#[tokio::test]
async fn a_provider_that_the_org_switched_off_is_not_available() {
    let mut world = World::new().await;
    credentials::set(&world.access, world.of_platform("shared")).await.unwrap();
    let mut declared = Directory::clone(&world.access.declared);
    let mut org = Org::new(Id::declared("org", "strict"), "strict", Timestamp(0));
    org.default_gate = crate::domain::entity::Gate::Deny;
    let tight = Workspace::new(Id::declared("workspace", "tight"), org.id, "tight", Timestamp(0));
    declared.orgs.push(org);
    let id = tight.id;
    declared.workspaces.push(tight);
    world.access.declared = Arc::new(declared);
    let line = catalog::list(&world.access, id).await.unwrap().remove(0);
    assert_eq!((line.managed_by, line.available), (Some(Scope::Platform), false));
    assert!(endpoints::list(&world.access, id).await.unwrap().is_empty());
}
