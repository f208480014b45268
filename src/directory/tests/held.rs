//! What the directory promises of changing credentials, and of what of one is shown to whom.

use super::*;
use crate::directory::credentials::{CredentialChange, Which, Whose};
use crate::domain::change::Change;
use crate::domain::entity::Scope;

#[tokio::test]
async fn a_platform_key_shows_others_its_label_and_nothing_of_itself() {
    let world = World::new().await;
    let other = workspaces::create(&world.access, world.org.id, "other", None).await.unwrap();
    let mut for_other = world.of_platform("for other");
    for_other.change.grant = Some(Grant::Workspaces(vec![other.id]));
    credentials::set(&world.access, for_other).await.unwrap();
    let shared = credentials::set(&world.access, world.of_platform("shared")).await.unwrap().credential;
    assert_eq!(shared.held.as_ref().unwrap().api_key_masked.as_deref(), Some("***********1234"));
    for role in [AccessRole::Member, AccessRole::WorkspaceAdmin] {
        let asker = world.as_role(role);
        let lines = credentials::list(&asker, Which::Of(Owner::Platform)).await.unwrap();
        assert_eq!(lines.iter().map(|one| (one.label.as_str(), &one.held)).collect::<Vec<_>>(), [("shared", &None)]);
        let shown = serde_json::to_string(&lines).unwrap();
        assert!(!shown.contains("1234") && !shown.contains("grantedTo"), "{shown}");
        assert!(matches!(
            credentials::delete(&asker, shared.id, Expected::Anything).await,
            Err(DirectoryError::Denied { .. })
        ));
        let change = credentials::change(&asker, shared.id, Expected::Anything, CredentialChange::default()).await;
        assert!(matches!(change, Err(DirectoryError::Denied { .. })));
    }
}

#[tokio::test]
async fn a_new_key_widens_no_grant_and_keeps_what_was_not_said() {
    let world = World::new().await;
    let mut narrow = world.of_platform("a");
    (narrow.change.grant, narrow.change.weight) = (Some(Grant::Workspaces(vec![world.team.id])), Some(7));
    let first = credentials::set(&world.access, narrow).await.unwrap();
    let change = CredentialChange { active: Some(false), ..CredentialChange::default() };
    credentials::change(&world.access, first.credential.id, Expected::Anything, change).await.unwrap();
    let second = credentials::set(&world.access, world.of_platform("a")).await.unwrap();
    assert!(second.replaced && second.credential.active, "a key that is set is there to be used");
    let held = second.credential.held.unwrap();
    assert_eq!((held.weight, held.granted_ids), (7, Some(vec![world.team.id])));
    assert!(second.credential.updated_at > first.credential.updated_at);
}

#[tokio::test]
async fn a_credential_changes_in_each_of_its_parts_and_by_every_rule() {
    let world = World::new().await;
    let access = &world.access;
    let id = credentials::set(access, world.of_team(KEY)).await.unwrap().credential.id;
    let change = CredentialChange {
        active: Some(false),
        label: Some("ours".into()),
        weight: Some(3),
        max_parallel: Change::Set(2),
        default_model: Change::Set("gpt-4o".into()),
        base_url: Change::Set("https://eu.api.openai.com/v1".parse().unwrap()),
        ..CredentialChange::default()
    };
    let line = credentials::change(access, id, Expected::Anything, change).await.unwrap();
    let held = line.held.unwrap();
    assert_eq!((line.active, line.label.as_str(), held.weight, held.max_parallel), (false, "ours", 3, Some(2)));
    assert_eq!((held.default_model.as_deref(), line.address_changed), (Some("gpt-4o"), false));
    assert_eq!(held.entered_for, "https://eu.api.openai.com", "its holder said where it goes");
    let back =
        CredentialChange { base_url: Change::Clear, default_model: Change::Clear, ..CredentialChange::default() };
    let held = credentials::change(access, id, Expected::Anything, back).await.unwrap().held.unwrap();
    assert_eq!((held.default_model, held.entered_for.as_str()), (None, "https://api.openai.com"));
    let deployment = Change::Set("d".into());
    for wrong in [
        CredentialChange { weight: Some(0), ..CredentialChange::default() },
        CredentialChange { grant: Some(Grant::All), deployment, ..CredentialChange::default() },
        CredentialChange { grant: Some(Grant::Workspaces(vec![world.team.id])), ..CredentialChange::default() },
        CredentialChange { key: Some(Secret::from("with space".to_string())), ..CredentialChange::default() },
    ] {
        assert!(matches!(
            credentials::change(access, id, Expected::Anything, wrong).await,
            Err(DirectoryError::Invalid { .. })
        ));
    }
    let inside = Change::Set("http://10.0.0.1/v1".parse().unwrap());
    let inside = CredentialChange { base_url: inside, ..CredentialChange::default() };
    assert!(matches!(
        credentials::change(access, id, Expected::Anything, inside).await,
        Err(DirectoryError::Egress(_))
    ));
}

#[tokio::test]
async fn two_platform_keys_of_one_provider_never_have_one_label() {
    let world = World::new().await;
    credentials::set(&world.access, world.of_platform("a")).await.unwrap();
    let b = credentials::set(&world.access, world.of_platform("b")).await.unwrap().credential.id;
    let change = CredentialChange { label: Some("a".into()), ..CredentialChange::default() };
    assert!(matches!(
        credentials::change(&world.access, b, Expected::Anything, change).await,
        Err(DirectoryError::Exists { .. })
    ));
}

#[tokio::test]
async fn a_key_replaced_by_a_change_is_gone_from_the_store() {
    let world = World::new().await;
    let set = credentials::set(&world.access, world.of_team(KEY)).await.unwrap().credential;
    let change =
        CredentialChange { key: Some(Secret::from("sk-zyxwvuts9876".to_string())), ..CredentialChange::default() };
    let changed = credentials::change(&world.access, set.id, Expected::Anything, change).await.unwrap();
    assert_eq!(changed.held.unwrap().api_key_masked.as_deref(), Some("***********9876"));
    let stored = world.access.load(Part::everything()).await.unwrap();
    assert_eq!(
        world.access.store.keyring().open_credential(&stored.credentials[0]).unwrap().expose(),
        b"sk-zyxwvuts9876"
    );
}

#[tokio::test]
async fn without_saying_whose_it_is_the_workspace_s_or_one_s_own() {
    let world = World::new().await;
    let admin = world.as_role(AccessRole::WorkspaceAdmin);
    let nearest = |actor: &Actor| Whose::default().owner(actor);
    assert_eq!(nearest(&admin.actor).unwrap(), Owner::Workspace(world.team.id));
    let user = Id::random();
    let mut token = Token::new(Id::random(), TokenHash([0; 32]), world.team.id, "x", Timestamp(0));
    (token.user, token.made_by_its_user) = (Some(user), true);
    let member = Actor::token(&token, world.org.id);
    assert_eq!(nearest(&member).unwrap(), Owner::User(user));
    let named = |scope, workspace| Whose { scope, workspace }.owner(&member);
    assert_eq!(named(Some(Scope::Workspace), None).unwrap(), Owner::Workspace(world.team.id));
    assert_eq!(named(None, Some(world.team.id)).unwrap(), Owner::Workspace(world.team.id));
    assert!(named(Some(Scope::Platform), Some(world.team.id)).is_err(), "both can't be meant");
    assert!(Whose { scope: Some(Scope::User), workspace: None }.owner(&admin.actor).is_err(), "nobody's own token");
}
