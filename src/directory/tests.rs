//! What the directory promises, over a store in memory.

mod catalogue;
mod endpoints;
mod held;

use std::sync::Arc;

use super::credentials::{NewCredential, Which};
use super::tokens::{NewToken, TokenState};
use super::users::NewUser;
use super::{Access, Actor, DirectoryError, Expected, credentials, keys, orgs, tokens, users, workspaces};
use crate::domain::address::Egress;
use crate::domain::change::Change;
use crate::domain::directory::Directory;
use crate::domain::entity::{Grant, Model, Org, Owner, Provider, Token, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::AccessRole;
use crate::domain::preset::preset;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenHash, is_well_formed};
use crate::store::seal::{Keyring, MasterKey, Salt};
use crate::store::{Part, Store};

const KEY: &str = "sk-abcdefgh1234";

/// One org with the workspace `team`, and the declared provider `openai` with one model.
struct World {
    access: Access,
    org: Org,
    team: Workspace,
}

impl World {
    async fn new() -> Self {
        let access = access();
        let org = orgs::create(&access, "acme").await.unwrap();
        let team = workspaces::create(&access, org.id, "team", None).await.unwrap();
        Self { access, org, team }
    }

    /// The same directory before somebody with a token of `team`.
    fn as_role(&self, role: AccessRole) -> Access {
        let token = Token { role, ..Token::new(Id::random(), TokenHash([0; 32]), self.team.id, "x", Timestamp(0)) };
        Access { actor: Actor::token(&token, self.org.id), ..self.access.clone() }
    }

    fn of_team(&self, key: &str) -> NewCredential {
        NewCredential::of(Owner::Workspace(self.team.id), openai(), Some(Secret::from(key.to_string())))
    }

    fn of_platform(&self, label: &str) -> NewCredential {
        let mut new = NewCredential::of(Owner::Platform, openai(), Some(Secret::from(KEY.to_string())));
        new.change.label = Some(label.to_string());
        new
    }
}

fn openai() -> Id<Provider> {
    Id::declared("provider", "openai")
}

fn master_key(fill: char) -> MasterKey {
    MasterKey::parse(&Secret::from(format!("raw:a{}", String::from(fill).repeat(31)))).unwrap()
}

fn access() -> Access {
    let preset = preset("openai").unwrap();
    let base_url = "https://api.openai.com/v1".parse().unwrap();
    let provider = Provider::new(openai(), Owner::Platform, "openai", preset, base_url, Timestamp(0));
    let declared = Directory {
        providers: vec![Provider { declared: true, ..provider }],
        models: vec![Model { declared: true, ..Model::new(Id::random(), openai(), "gpt-4o-mini", Timestamp(0)) }],
        ..Directory::default()
    };
    Access {
        store: Store::memory(Keyring::new(&[master_key('k')], Salt::random().unwrap()).unwrap()),
        declared: Arc::new(declared),
        egress: Arc::new(Egress::default()),
        actor: Actor::operator("cli:ada"),
    }
}

#[tokio::test]
async fn names_are_unique_and_well_formed_and_a_mistyped_one_finds_its_neighbour() {
    let World { access, org, .. } = World::new().await;
    assert!(matches!(orgs::create(&access, "ACME").await, Err(DirectoryError::Exists { .. })));
    assert!(matches!(workspaces::create(&access, org.id, "team", None).await, Err(DirectoryError::Exists { .. })));
    assert!(matches!(workspaces::create(&access, org.id, "a b", None).await, Err(DirectoryError::Invalid { .. })));
    let stored = access.load(Part::everything()).await.unwrap();
    let error = access.known(&stored).workspace("taem").unwrap_err().to_string();
    assert_eq!(error, "there is no workspace `taem`; did you mean `team`?");
    let error = access.known(&stored).provider_for(Owner::Platform, "groq").unwrap_err().to_string();
    assert!(error.contains("[[provider]] id = \"groq\""), "{error}");
}

#[tokio::test]
async fn a_token_is_shown_once_stored_as_a_hash_and_ends_when_it_is_revoked() {
    let World { access, team, .. } = World::new().await;
    let minted = tokens::create(&access, NewToken::of(team.id)).await.unwrap();
    assert!(is_well_formed(minted.text.expose()));
    let stored = access.load(Part::everything()).await.unwrap();
    assert_eq!(stored.tokens[0].hash, TokenHash::of(minted.text.expose()));
    assert!(!stored.tokens[0].made_by_its_user);
    assert_eq!(tokens::list(&access, Some(team.id)).await.unwrap()[0].state, TokenState::Active);
    assert_eq!(tokens::revoke(&access, minted.line.id).await.unwrap().state, TokenState::Revoked);
    let version = access.load(Part::everything()).await.unwrap().version;
    assert_eq!(tokens::revoke(&access, minted.line.id).await.unwrap().state, TokenState::Revoked);
    assert_eq!(access.load(Part::everything()).await.unwrap().version, version, "ending it again changes nothing");
}

#[tokio::test]
async fn nobody_makes_a_token_that_holds_more_than_they_do() {
    let world = World::new().await;
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let with = |role| NewToken { role, ..NewToken::of(world.team.id) };
    assert!(tokens::create(&admin, with(AccessRole::WorkspaceAdmin)).await.is_ok());
    let too_high = tokens::create(&admin, with(AccessRole::OrgAdmin)).await;
    assert!(matches!(too_high, Err(DirectoryError::RoleTooHigh { .. })));
    let member = world.as_role(AccessRole::Member);
    let denied = tokens::create(&member, with(AccessRole::Member)).await;
    assert!(matches!(denied, Err(DirectoryError::Denied { .. })));
}

#[tokio::test]
async fn a_token_for_a_user_holds_no_more_than_the_user() {
    let World { access, team, .. } = World::new().await;
    let new = |email: &str| NewUser { email: email.to_string(), ..NewUser::default() };
    let stranger = users::create(&access, new("eve@example.com")).await.unwrap();
    let mut member = new("ada@example.com");
    member.workspace_roles.insert(team.id, AccessRole::Member);
    let member = users::create(&access, member).await.unwrap();
    let token = |user, role| NewToken { user: Some(user), role, ..NewToken::of(team.id) };
    for (user, role) in [(stranger.id, AccessRole::Member), (member.id, AccessRole::WorkspaceAdmin)] {
        let error = tokens::create(&access, token(user, role)).await.unwrap_err();
        assert!(matches!(error, DirectoryError::UserHoldsLess { .. }), "{error}");
    }
    assert!(tokens::create(&access, token(member.id, AccessRole::Member)).await.is_ok());
    let twice = users::create(&access, new("ADA@example.com")).await;
    assert!(matches!(twice, Err(DirectoryError::Exists { .. })));
}

#[tokio::test]
async fn another_workspace_s_things_are_not_there() {
    let world = World::new().await;
    let access = &world.access;
    let other = workspaces::create(access, world.org.id, "other", None).await.unwrap();
    let theirs = tokens::create(access, NewToken::of(other.id)).await.unwrap().line.id;
    let key = Some(Secret::from(KEY.to_string()));
    let owner = Owner::Workspace(other.id);
    let credential = credentials::set(access, NewCredential::of(owner, openai(), key)).await.unwrap().credential.id;
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let error = tokens::create(&admin, NewToken::of(other.id)).await.unwrap_err();
    assert!(matches!(error, DirectoryError::NotFound { .. }), "{error}");
    assert!(matches!(tokens::revoke(&admin, theirs).await, Err(DirectoryError::NotFound { .. })));
    assert!(matches!(
        credentials::delete(&admin, credential, Expected::Anything).await,
        Err(DirectoryError::NotFound { .. })
    ));
    assert!(tokens::list(&admin, None).await.unwrap().is_empty());
    assert!(credentials::list(&admin, Which::Managed).await.unwrap().is_empty());
    assert!(credentials::list(&admin, Which::Of(Owner::Workspace(other.id))).await.is_err());
}

#[tokio::test]
async fn a_workspace_has_one_credential_a_provider_and_the_platform_one_a_label() {
    let world = World::new().await;
    let access = &world.access;
    let first = credentials::set(access, world.of_team(KEY)).await.unwrap();
    assert!(!first.replaced);
    assert_eq!(first.unlocks.models, ["openai:gpt-4o-mini"]);
    assert_eq!(first.unlocks.workspaces, Some(vec!["team".to_string()]));
    let second = credentials::set(access, world.of_team("sk-zyxwvuts9876")).await.unwrap();
    assert!(second.replaced);
    assert_eq!((second.credential.id, second.credential.number), (first.credential.id, first.credential.number));
    for label in ["a", "b", "a"] {
        credentials::set(access, world.of_platform(label)).await.unwrap();
    }
    let lines = credentials::list(access, Which::Managed).await.unwrap();
    assert_eq!(lines.len(), 3);
    let of_team = lines.iter().find(|line| line.owner == "team").unwrap();
    assert_eq!(of_team.held.as_ref().unwrap().api_key_masked.as_deref(), Some("***********9876"));
}

#[tokio::test]
async fn a_user_s_own_credential_is_shown_to_nobody_else() {
    let World { access, team, .. } = World::new().await;
    let mut new = NewUser { email: "ada@example.com".into(), ..NewUser::default() };
    new.workspace_roles.insert(team.id, AccessRole::Member);
    let user = users::create(&access, new).await.unwrap();
    let own = || NewCredential::of(Owner::User(user.id), openai(), Some(Secret::from(KEY.to_string())));
    credentials::set(&access, own()).await.unwrap();
    assert!(credentials::list(&access, Which::Managed).await.unwrap().is_empty());
    let mut token = Token::new(Id::random(), TokenHash([0; 32]), team.id, "x", Timestamp(0));
    (token.user, token.role) = (Some(user.id), AccessRole::PlatformAdmin);
    let of = |token: &Token| Access { actor: Actor::token(token, team.org), ..access.clone() };
    assert!(credentials::list(&of(&token), Which::Managed).await.unwrap().is_empty(), "an admin made this token");
    assert!(credentials::set(&of(&token), own()).await.is_err());
    token.made_by_its_user = true;
    assert_eq!(credentials::list(&of(&token), Which::Managed).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_that_can_t_be_one_is_refused_and_never_repeated() {
    let world = World::new().await;
    let token = tokens::create(&world.access, NewToken::of(world.team.id)).await.unwrap();
    let token = String::from_utf8(token.text.expose().to_vec()).unwrap();
    for key in ["", "sk-with space", "sk-with\nline", "sk-ümlaut", &"x".repeat(9_000), &token] {
        let error = credentials::set(&world.access, world.of_team(key)).await.unwrap_err();
        assert!(matches!(error, DirectoryError::Invalid { .. }), "{error}");
        assert!(key.is_empty() || !error.to_string().contains(key));
    }
    let missing = NewCredential::of(Owner::Workspace(world.team.id), openai(), None);
    assert!(credentials::set(&world.access, missing).await.is_err());
}

#[tokio::test]
async fn an_own_base_url_is_held_against_egress_and_never_the_platform_s() {
    let world = World::new().await;
    let with = |url: &str, mut new: NewCredential| {
        new.change.base_url = Change::Set(url.parse().unwrap());
        new
    };
    let inside = credentials::set(&world.access, with("http://127.0.0.1:9/v1", world.of_team(KEY))).await;
    assert!(matches!(inside, Err(DirectoryError::Egress(_))));
    assert!(credentials::set(&world.access, with("https://eu.api.openai.com/v1", world.of_team(KEY))).await.is_ok());
    let platform = credentials::set(&world.access, with("https://eu.api.openai.com/v1", world.of_platform(""))).await;
    assert!(matches!(platform, Err(DirectoryError::Invalid { .. })));
}

#[tokio::test]
async fn without_the_feature_a_workspace_brings_no_key() {
    let mut world = World::new().await;
    let mut declared = Directory::clone(&world.access.declared);
    let mut org = Org::new(Id::declared("org", "small"), "small", Timestamp(0));
    org.features.byok = false;
    declared.workspaces.push(Workspace::new(Id::declared("workspace", "tiny"), org.id, "tiny", Timestamp(0)));
    declared.orgs.push(org);
    world.access.declared = Arc::new(declared);
    let owner = Owner::Workspace(Id::declared("workspace", "tiny"));
    let new = NewCredential { owner, ..world.of_team(KEY) };
    assert!(matches!(credentials::set(&world.access, new).await, Err(DirectoryError::EnterpriseRequired { .. })));
}

#[tokio::test]
async fn a_grant_names_workspaces_there_are() {
    let world = World::new().await;
    let granted = |to: Vec<_>| {
        let mut new = world.of_platform("");
        new.change.grant = Some(Grant::Workspaces(to));
        new
    };
    let set = credentials::set(&world.access, granted(vec![world.team.id])).await.unwrap();
    assert_eq!(set.unlocks.workspaces, Some(vec!["team".to_string()]));
    assert!(credentials::set(&world.access, granted(vec![Id::random()])).await.is_err());
    assert!(credentials::set(&world.access, granted(vec![])).await.is_err());
    let mut of_workspace = world.of_team(KEY);
    of_workspace.change.grant = Some(Grant::Workspaces(vec![world.team.id]));
    assert!(credentials::set(&world.access, of_workspace).await.is_err());
}

#[tokio::test]
async fn a_deleted_credential_is_gone_and_each_change_is_in_the_audit_log() {
    let world = World::new().await;
    let set = credentials::set(&world.access, world.of_team(KEY)).await.unwrap();
    credentials::delete(&world.access, set.credential.id, Expected::Anything).await.unwrap();
    assert!(world.access.load(Part::everything()).await.unwrap().credentials.is_empty());
    let again = credentials::delete_of(&world.access, Owner::Workspace(world.team.id), openai(), "").await;
    assert!(matches!(again, Err(DirectoryError::NotFound { .. })));
    let records = world.access.store.audit_records(None, 10).await.unwrap();
    let actions: Vec<_> = records.iter().map(|record| format!("{} {}", record.by, record.action)).collect();
    assert_eq!(actions, ["cli:ada delete", "cli:ada set", "cli:ada create", "cli:ada create"]);
    assert!(records.iter().all(|record| !record.entity.contains(KEY)));
}

#[tokio::test]
async fn a_rotation_counts_what_it_resealed_and_only_the_platform_s_admins_ask_for_one() {
    let world = World::new().await;
    credentials::set(&world.access, world.of_team(KEY)).await.unwrap();
    let counted = keys::rotate(&world.access).await.unwrap();
    assert_eq!((counted.current, counted.resealed, counted.unopenable.len()), (1, 0, 0));
    assert!(matches!(keys::rotate(&world.as_role(AccessRole::OrgAdmin)).await, Err(DirectoryError::Denied { .. })));
}
