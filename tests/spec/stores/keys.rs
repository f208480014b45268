//! Encryption keys are exchanged while everything goes on, and what no key opens is seen.

use keyway::directory::credentials::{self, NewCredential, Which};
use keyway::directory::{Access, keys, orgs, workspaces};
use keyway::domain::entity::Owner;
use keyway::domain::id::Id;
use keyway::domain::secret::Secret;
use keyway::store::seal::Resealing;

use super::place::{KEY, OTHER_KEY, Place, access, on_both_stores, openai, whole};

const OLD: &str = KEY;
const NEW: &str = OTHER_KEY;
const PROVIDERS_KEY: &str = "sk-abcdefgh1234";

on_both_stores![
    a_rotation_lets_the_old_key_go,
    both_keys_serve_while_a_rotation_goes_on_and_done_again_it_goes_on_with_what_is_left,
    a_credential_that_no_key_opens_is_shown_as_such_and_heals_when_it_is_set_anew,
];

async fn open(place: &Place, keys: &[&str]) -> Access {
    access(place.open_with(keys).await.unwrap())
}

fn new(owner: Owner) -> NewCredential {
    NewCredential::of(owner, openai(), Some(Secret::from(PROVIDERS_KEY.to_string())))
}

/// In as many workspaces as there are to be credentials.
async fn with_credentials(access: &Access, count: usize) -> Vec<Owner> {
    let org = orgs::create(access, &format!("org-{}", Id::<()>::random())).await.unwrap();
    let mut owners = Vec::new();
    for _ in 0..count {
        let name = Id::<()>::random().to_string();
        let workspace = workspaces::create(access, org.id, &name, None).await.unwrap();
        credentials::set(access, new(Owner::Workspace(workspace.id))).await.unwrap();
        owners.push(Owner::Workspace(workspace.id));
    }
    owners
}

async fn all_open(access: &Access) -> bool {
    let all = whole(&access.store).await.credentials;
    all.iter().all(|one| {
        access.store.keyring().open_credential(one).is_ok_and(|key| key.expose() == PROVIDERS_KEY.as_bytes())
    })
}

async fn a_rotation_lets_the_old_key_go(place: Place) {
    with_credentials(&open(&place, &[OLD]).await, 3).await;
    let both = open(&place, &[NEW, OLD]).await;
    let found = Resealing { current: 0, resealed: 3, unopenable: Vec::new() };
    assert_eq!(keys::count(&both).await.unwrap(), found);
    assert_eq!(keys::rotate(&both).await.unwrap(), found);
    assert!(all_open(&open(&place, &[NEW]).await).await);
    assert!(place.open_with(&[OLD]).await.is_err(), "the store itself is under the new key");
    assert!(both.store.verify_audit(None).await.unwrap().is_ok());
}

async fn both_keys_serve_while_a_rotation_goes_on_and_done_again_it_goes_on_with_what_is_left(place: Place) {
    let old_first = open(&place, &[OLD, NEW]).await;
    with_credentials(&old_first, 2).await;
    let new_first = open(&place, &[NEW, OLD]).await;
    keys::rotate(&new_first).await.unwrap();
    // A replica that has not heard of it yet goes on sealing with the old key.
    with_credentials(&old_first, 2).await;
    assert!(all_open(&old_first).await && all_open(&new_first).await);
    let records = new_first.store.audit_records(None, 100).await.unwrap().len();
    let again = keys::rotate(&new_first).await.unwrap();
    assert_eq!((again.current, again.resealed), (2, 2));
    assert_eq!(new_first.store.audit_records(None, 100).await.unwrap().len(), records + 2);
    let again = keys::rotate(&new_first).await.unwrap();
    assert_eq!((again.current, again.resealed), (4, 0));
    assert!(all_open(&open(&place, &[NEW]).await).await);
}

async fn a_credential_that_no_key_opens_is_shown_as_such_and_heals_when_it_is_set_anew(place: Place) {
    let owners = with_credentials(&open(&place, &[OLD]).await, 2).await;
    // Only the store itself goes over to the new key.
    let both = open(&place, &[NEW, OLD]).await;
    both.store.rekey(super::place::act()).await.unwrap();
    let new_only = open(&place, &[NEW]).await;
    let lost = async || {
        let lines = credentials::list(&new_only, Which::Managed).await.unwrap();
        lines.iter().filter(|line| line.undecryptable).count()
    };
    assert_eq!(lost().await, 2);
    assert_eq!(keys::rotate(&new_only).await.unwrap().unopenable.len(), 2, "they are counted and left");
    credentials::set(&new_only, new(owners[0])).await.unwrap();
    assert_eq!(lost().await, 1);
    assert_eq!(keys::rotate(&both).await.unwrap().resealed, 1, "the old key still opens what was left");
    assert_eq!(lost().await, 0);
}

/// More than one transaction's worth, with changes in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_of_many_credentials_takes_them_page_by_page_and_lets_others_change_meanwhile() {
    const MANY: usize = 1_201;
    let place = Place::postgres().await;
    let old = open(&place, &[OLD]).await;
    let one = with_credentials(&old, 1).await;
    multiply(&old, MANY - 1).await;
    let both = open(&place, &[NEW, OLD]).await;
    let versions = whole(&old.store).await.version;
    let changing = async {
        for _ in 0..5 {
            credentials::set(&both, new(one[0])).await.unwrap();
        }
    };
    let (rotated, ()) = tokio::join!(keys::rotate(&both), changing);
    let rotated = rotated.unwrap();
    assert_eq!(rotated.resealed + rotated.current, MANY);
    assert_eq!(whole(&old.store).await.version, versions + 3 + 1 + 5, "three pages, the end, and the others' changes");
    assert!(all_open(&open(&place, &[NEW]).await).await);
}

/// Puts more credentials beside the first one, each in a workspace of its own.
async fn multiply(access: &Access, count: usize) {
    let store = access.store.clone();
    let keyring = store.keyring().clone();
    let rule = move |directory: &mut keyway::domain::directory::Directory| {
        let (workspace, credential) = (directory.workspaces[0].clone(), directory.credentials[0].clone());
        for _ in 0..count {
            let mut workspace = workspace.clone();
            workspace.id = Id::random();
            workspace.name = workspace.id.to_string();
            let (id, owner, number) = (Id::random(), Owner::Workspace(workspace.id), Some(directory.number()));
            let mut credential = keyway::domain::entity::Credential { id, owner, number, ..credential.clone() };
            keyring.seal_credential(&mut credential, Secret::from(PROVIDERS_KEY.to_string())).unwrap();
            directory.workspaces.push(workspace);
            directory.credentials.push(credential);
        }
        Ok::<_, std::convert::Infallible>(())
    };
    let (part, keep) = (keyway::store::Part::everything(), keyway::store::Previous::Keep);
    store.change(super::place::act(), part, keep, rule).await.unwrap();
}
