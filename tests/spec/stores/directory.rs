//! What people decide is kept as they decided it, whoever else decides at the same time.

use std::convert::Infallible;

use keyway::directory::credentials::{self, NewCredential, Which};
use keyway::directory::tokens::{self, NewToken};
use keyway::directory::users::{self, NewUser};
use keyway::directory::{Access, DirectoryError, Expected, orgs, workspaces};
use keyway::domain::directory::Directory;
use keyway::domain::entity::{Org, Owner, User, Workspace};
use keyway::domain::permission::AccessRole;
use keyway::domain::secret::Secret;
use keyway::store::changes::What;
use keyway::store::{ChangeError, Need, Part, Previous};

use super::place::{Place, act, count, on_both_stores, openai, whole};

const PROVIDERS_KEY: &str = "sk-abcdefgh1234";

on_both_stores![
    what_one_process_stores_another_finds,
    a_change_is_one_version_and_a_refused_one_leaves_no_trace,
    four_writers_lose_no_change_and_share_no_number,
    names_emails_and_places_are_taken_once,
    two_who_want_one_name_at_the_same_moment_don_t_both_get_it,
    a_token_that_is_revoked_is_found_revoked,
    a_key_opens_for_every_process_with_the_encryption_key,
    a_caller_who_hangs_up_does_not_stop_a_change_that_began,
    a_rule_that_panics_changes_nothing_and_the_store_goes_on,
    whoever_serves_hears_of_each_change_once_and_of_nothing_else,
    what_changed_since_a_version_is_never_less_than_what_did,
    an_import_turns_neither_versions_nor_numbers_back,
    the_wrong_encryption_key_is_named_and_opens_nothing,
];

struct Team {
    org: Org,
    workspace: Workspace,
    user: User,
}

async fn team(access: &Access) -> Team {
    let org = orgs::create(access, "acme").await.unwrap();
    let workspace = workspaces::create(access, org.id, "team", None).await.unwrap();
    let mut new = NewUser { email: "ada@example.com".into(), ..NewUser::default() };
    new.workspace_roles.insert(workspace.id, AccessRole::Member);
    let user = users::create(access, new).await.unwrap();
    Team { org, workspace, user }
}

fn key(owner: Owner) -> NewCredential {
    NewCredential::of(owner, openai(), Some(Secret::from(PROVIDERS_KEY.to_string())))
}

async fn what_one_process_stores_another_finds(place: Place) {
    let access = place.access().await;
    let team = team(&access).await;
    let token = tokens::create(&access, NewToken::of(team.workspace.id)).await.unwrap().line;
    let set = credentials::set(&access, key(Owner::Workspace(team.workspace.id))).await.unwrap();
    let other = whole(&place.open().await).await;
    assert_eq!((other.orgs, other.workspaces, other.users), (vec![team.org], vec![team.workspace], vec![team.user]));
    assert_eq!((other.tokens[0].id, other.credentials[0].id), (token.id, set.credential.id));
    assert_eq!((other.version, other.last_number), (5, 1));
}

async fn a_change_is_one_version_and_a_refused_one_leaves_no_trace(place: Place) {
    let store = place.open().await;
    assert_eq!(count(&store).await.unwrap(), 1);
    let refused = store.change(act(), Part::default(), Previous::Keep, |directory| {
        directory.number();
        Err::<(), _>("no")
    });
    assert!(matches!(refused.await, Err(ChangeError::Refused("no"))));
    let directory = whole(&store).await;
    assert_eq!((directory.version, directory.last_number), (1, 1));
    assert_eq!(store.audit_records(None, 10).await.unwrap().len(), 1);
}

async fn four_writers_lose_no_change_and_share_no_number(place: Place) {
    const EACH: u32 = 25;
    let stores = [place.open().await, place.open().await];
    let writers = [&stores[0], &stores[0], &stores[1], &stores[1]].map(|store| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut drawn = Vec::new();
            for _ in 0..EACH {
                drawn.push(count(&store).await.unwrap());
            }
            drawn
        })
    });
    let mut drawn = Vec::new();
    for writer in writers {
        drawn.extend(writer.await.unwrap());
    }
    drawn.sort_unstable();
    assert_eq!(drawn, (1..=4 * EACH).collect::<Vec<_>>());
    assert_eq!(whole(&stores[0]).await.version, u64::from(4 * EACH));
    assert_eq!(stores[1].verify_audit(None).await.unwrap().unwrap().records, 4 * EACH as usize);
}

async fn names_emails_and_places_are_taken_once(place: Place) {
    let access = place.access().await;
    let team = team(&access).await;
    let exists = |result: Result<_, DirectoryError>| matches!(result, Err(DirectoryError::Exists { .. }));
    assert!(exists(orgs::create(&access, "ACME").await.map(drop)));
    assert!(exists(workspaces::create(&access, team.org.id, "Team", None).await.map(drop)));
    let again = NewUser { email: "Ada@Example.com".into(), ..NewUser::default() };
    assert!(exists(users::create(&access, again).await.map(drop)));
    let owner = Owner::Workspace(team.workspace.id);
    assert!(!credentials::set(&access, key(owner)).await.unwrap().replaced);
    assert!(credentials::set(&access, key(owner)).await.unwrap().replaced);
    assert_eq!(whole(&access.store).await.credentials.len(), 1);
}

async fn two_who_want_one_name_at_the_same_moment_don_t_both_get_it(place: Place) {
    let (one, other) = (place.access().await, place.access().await);
    for round in 0..10 {
        let name = format!("org-{round}");
        let (first, second) = tokio::join!(orgs::create(&one, &name), orgs::create(&other, &name));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    }
    assert_eq!(whole(&one.store).await.orgs.len(), 10);
}

async fn a_token_that_is_revoked_is_found_revoked(place: Place) {
    let access = place.access().await;
    let team = team(&access).await;
    let minted = tokens::create(&access, NewToken { user: Some(team.user.id), ..NewToken::of(team.workspace.id) });
    let minted = minted.await.unwrap();
    tokens::revoke(&access, minted.line.id).await.unwrap();
    let hash = keyway::domain::token::TokenHash::of(minted.text.expose());
    let found = place.open().await.load(&Need::TokenHash(hash).into()).await.unwrap();
    assert!(found.tokens.iter().any(|token| token.hash == hash && token.revoked_at.is_some()));
    assert!(
        found.workspaces.contains(&team.workspace)
            && found.orgs.contains(&team.org)
            && found.users.contains(&team.user)
    );
}

async fn a_key_opens_for_every_process_with_the_encryption_key(place: Place) {
    let access = place.access().await;
    let team = team(&access).await;
    credentials::set(&access, key(Owner::Workspace(team.workspace.id))).await.unwrap();
    let other = place.open().await;
    let stored = whole(&other).await;
    assert_eq!(other.keyring().open_credential(&stored.credentials[0]).unwrap().expose(), PROVIDERS_KEY.as_bytes());
    credentials::delete(&access, stored.credentials[0].id, Expected::Anything).await.unwrap();
    assert!(credentials::list(&access, Which::Managed).await.unwrap().is_empty());
    assert!(whole(&other).await.credentials.is_empty());
}

async fn a_caller_who_hangs_up_does_not_stop_a_change_that_began(place: Place) {
    let store = place.open().await;
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let change = store.change(act(), Part::default(), Previous::Keep, move |directory| {
        begin.send(()).unwrap();
        left.recv().unwrap();
        Ok::<_, Infallible>(directory.number())
    });
    tokio::select! {
        _ = change => panic!("it can't end before it is let go"),
        _ = begun => {}
    }
    leave.send(()).unwrap();
    assert_eq!(count(&store).await.unwrap(), 2);
}

async fn a_rule_that_panics_changes_nothing_and_the_store_goes_on(place: Place) {
    let store = place.open().await;
    let doomed = store.clone();
    let rule = |_: &mut Directory| -> Result<(), Infallible> { panic!("a rule with a fault") };
    let change = async move { doomed.change(act(), Part::default(), Previous::Keep, rule).await };
    assert!(tokio::spawn(change).await.unwrap_err().is_panic());
    assert_eq!(count(&store).await.unwrap(), 1);
}

async fn whoever_serves_hears_of_each_change_once_and_of_nothing_else(place: Place) {
    let (serving, other) = (place.open().await, place.open().await);
    assert!(serving.changed().await.unwrap());
    serving.take_up().await.unwrap();
    assert!(!serving.changed().await.unwrap());
    count(&other).await.unwrap();
    // Reading does not count as taking up.
    assert_eq!(whole(&serving).await.version, 1);
    assert!(serving.changed().await.unwrap());
    assert_eq!(serving.take_up().await.unwrap().version, 1);
    assert!(!serving.changed().await.unwrap());
}

async fn what_changed_since_a_version_is_never_less_than_what_did(place: Place) {
    let access = place.access().await;
    let team = team(&access).await;
    let since = whole(&access.store).await.version;
    let minted = tokens::create(&access, NewToken::of(team.workspace.id)).await.unwrap();
    credentials::set(&access, key(Owner::Platform)).await.unwrap();
    let changes = place.open().await.changes_since(since).await.unwrap();
    assert_eq!(changes.version, since + 2);
    match changes.what {
        What::Everything => {}
        What::These(touched) => {
            assert!(touched.platform && touched.workspaces.is_empty() && touched.users.is_empty());
            assert!(touched.tokens.contains(&keyway::domain::token::TokenHash::of(minted.text.expose())));
        }
    }
    let now = access.store.changes_since(since + 2).await.unwrap();
    assert_eq!(now.what, What::These(Default::default()));
    assert_eq!(access.store.changes_since(since + 99).await.unwrap().what, What::Everything, "of another directory");
}

async fn an_import_turns_neither_versions_nor_numbers_back(place: Place) {
    let access = place.access().await;
    team(&access).await;
    credentials::set(&access, key(Owner::Platform)).await.unwrap();
    let before = whole(&access.store).await;
    let replace = |directory: &mut Directory| {
        *directory = Directory { orgs: directory.orgs.clone(), ..Directory::default() };
        Ok::<_, Infallible>(())
    };
    access.store.change(act(), Part::everything(), Previous::Keep, replace).await.unwrap();
    let after = whole(&access.store).await;
    assert_eq!((after.version, after.last_number), (before.version + 1, before.last_number));
    assert_eq!((after.orgs, after.users.len(), after.credentials.len()), (before.orgs, 0, 0));
}

async fn the_wrong_encryption_key_is_named_and_opens_nothing(place: Place) {
    let right = place.open().await;
    let error = place.open_with(&[super::place::OTHER_KEY]).await.err().unwrap().to_string();
    assert!(error.contains("does not open with these encryption keys"), "{error}");
    assert!(error.contains(&right.keyring().current().to_string()), "{error}");
    assert!(place.open_with(&[super::place::OTHER_KEY, super::place::KEY]).await.is_ok());
}
