//! What lives in tables comes in parts, and the parts are those that the pure selection over memory gives.

use std::convert::Infallible;

use keyway::domain::directory::Directory;
use keyway::domain::entity::{
    Credential, Grant, Identity, Model, Org, Owner, Provider, Route, RouteKind, RouteTarget, Token, User, Workspace,
};
use keyway::domain::id::Id;
use keyway::domain::limits::Limits;
use keyway::domain::permission::AccessRole;
use keyway::domain::preset::PRESETS;
use keyway::domain::secret::Secret;
use keyway::domain::time::Timestamp;
use keyway::domain::token::TokenHash;
use keyway::store::part::{Holder, Page, Place};
use keyway::store::seal::{Keyring, MasterKey, Salt};
use keyway::store::{Need, Part, Previous, Store};

use super::place::{self, KEY, act};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_gives_for_every_need_what_memory_gives() {
    let (place, whole) = (place::Place::postgres().await, furnished());
    let (postgres, memory) = (place.open().await, in_memory());
    for store in [&postgres, &memory] {
        fill(store, whole.clone()).await;
    }
    let needs = needs(&whole);
    for need in &needs {
        agree(&postgres, &memory, need.clone().into()).await;
    }
    for two in needs.windows(2) {
        agree(&postgres, &memory, Part::of(two.to_vec())).await;
    }
    agree(&postgres, &memory, Part::of(needs)).await;
    agree(&postgres, &memory, Part::default()).await;
    agree(&postgres, &memory, Part::everything()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_rule_does_to_a_part_is_done_to_the_tables_and_to_nothing_else() {
    let place = place::Place::postgres().await;
    let (postgres, memory) = (place.open().await, in_memory());
    for store in [&postgres, &memory] {
        fill(store, furnished()).await;
        let one = Owner::Workspace(id("workspace", "w0"));
        let rule = |directory: &mut Directory| {
            directory.credentials.clear();
            directory.providers.iter_mut().for_each(|one| one.weight += 1);
            directory.routes.remove(0);
            let number = directory.number();
            // Rows of a part have no order.
            let provider = directory.providers.iter().map(|one| one.id).min().unwrap();
            directory.models.push(Model { number: Some(number), ..model("new", provider) });
            Ok::<_, Infallible>(())
        };
        store.change(act(), Need::OwnedBy(one).into(), Previous::Forget, rule).await.unwrap();
    }
    let whole = postgres.load(&Part::everything()).await.unwrap();
    assert!(whole.credentials.len() > 1, "other owners' are there");
    let [one, other] = [whole, memory.load(&Part::everything()).await.unwrap()].map(comparable);
    assert_alike(&one, &other, "after the change");
    assert_eq!(postgres.changes_since(1).await.unwrap(), memory.changes_since(1).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_a_rule_overlooked_is_not_written_over() {
    let place = place::Place::postgres().await;
    let (postgres, memory) = (place.open().await, in_memory());
    for store in [&postgres, &memory] {
        fill(store, furnished()).await;
        let add = |directory: &mut Directory| {
            directory.orgs.push(org("o0"));
            Ok::<_, Infallible>(())
        };
        let error = store.change(act(), Part::default(), Previous::Keep, add).await.unwrap_err().to_string();
        assert!(error.contains("another org already"), "{error}");
        assert_eq!(store.load(&Part::everything()).await.unwrap().version, 1);
    }
}

/// Rules ask for the names they want to give; the tables hold two processes of different versions to it too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_hold_names_hashes_numbers_and_places_unique_by_themselves() {
    let store = place::Place::postgres().await.open().await;
    fill(&store, furnished()).await;
    let whole = furnished();
    type Twin = fn(&mut Directory, &Directory);
    let twins: [(&str, Twin); 7] = [
        ("org", |new, old| new.orgs.push(Org { id: Id::random(), name: "O0".into(), ..old.orgs[0].clone() })),
        ("workspace", |new, old| new.workspaces.push(Workspace { id: Id::random(), ..old.workspaces[0].clone() })),
        ("user", |new, old| new.users.push(User { id: Id::random(), ..old.users[0].clone() })),
        ("token", |new, old| new.tokens.push(Token { id: Id::random(), ..old.tokens[0].clone() })),
        ("provider", |new, old| {
            new.providers.push(Provider { id: Id::random(), number: None, ..old.providers[0].clone() });
        }),
        ("model", |new, old| new.models.push(Model { id: Id::random(), number: None, ..old.models[0].clone() })),
        ("credential", |new, old| {
            new.credentials.push(Credential { id: Id::random(), number: None, ..old.credentials[0].clone() });
        }),
    ];
    for (kind, twin) in twins {
        let whole = whole.clone();
        let add = move |directory: &mut Directory| {
            twin(directory, &whole);
            Ok::<_, Infallible>(())
        };
        let error = store.change(act(), Part::default(), Previous::Keep, add).await.unwrap_err().to_string();
        assert!(error.contains(&format!("another {kind} already")), "{kind}: {error}");
    }
}

async fn agree(postgres: &Store, memory: &Store, part: Part) {
    let [one, other] = [postgres.load(&part).await.unwrap(), memory.load(&part).await.unwrap()].map(comparable);
    assert_alike(&one, &other, &format!("{part:?}"));
}

/// Says where they part, not all that they hold.
fn assert_alike(one: &str, other: &str, what: &str) {
    let lines = std::iter::zip(one.lines(), other.lines()).enumerate();
    let first = lines.into_iter().find(|(_, (one, other))| one != other);
    assert!(one == other, "{what}: {} and {} bytes, first {first:?}", one.len(), other.len());
}

/// As text, for a difference that can be read; each kind in the order of ids.
fn comparable(mut directory: Directory) -> String {
    directory.orgs.sort_by_key(|one| one.id);
    directory.workspaces.sort_by_key(|one| one.id);
    directory.users.sort_by_key(|one| one.id);
    directory.tokens.sort_by_key(|one| one.id);
    directory.providers.sort_by_key(|one| one.id);
    directory.models.sort_by_key(|one| one.id);
    directory.credentials.sort_by_key(|one| one.id);
    directory.routes.sort_by_key(|one| one.id);
    directory.identities.sort_by_key(|one| one.id);
    serde_json::to_string_pretty(&directory).unwrap()
}

fn in_memory() -> Store {
    let key = MasterKey::parse(&Secret::from(KEY.to_string())).unwrap();
    Store::memory(Keyring::new(&[key], Salt::random().unwrap()).unwrap())
}

async fn fill(store: &Store, whole: Directory) {
    let put = move |directory: &mut Directory| {
        *directory = Directory { version: directory.version, ..whole };
        Ok::<_, Infallible>(())
    };
    store.change(act(), Part::everything(), Previous::Keep, put).await.unwrap();
}

/// Each need, for something that is there, for something that is not, and for something that is deleted.
fn needs(whole: &Directory) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut owners = vec![Owner::Platform, Owner::Workspace(Id::random())];
    owners.extend(whole.workspaces.iter().map(|one| Owner::Workspace(one.id)));
    owners.extend(whole.users.iter().map(|one| Owner::User(one.id)));
    needs.extend(owners.into_iter().map(Need::OwnedBy));
    for org in &whole.orgs {
        needs.extend([Need::Org(org.id), Need::OrgNamed(org.name.to_uppercase())]);
        needs.extend(pages(&whole.orgs, |one| one.id).map(move |page| Need::Workspaces(Some(org.id), swapped(page))));
        let place = Some(Place::Org(org.id));
        needs.extend(pages(&whole.users, |one| one.id).map(|page| Need::Users(place, page)));
    }
    for workspace in &whole.workspaces {
        needs.extend([Need::Workspace(workspace.id), Need::WorkspaceNamed(workspace.name.clone())]);
        let place = Some(Place::Workspace(workspace.id));
        needs.extend(pages(&whole.users, |one| one.id).map(|page| Need::Users(place, page)));
        let holder = Holder::Workspace(workspace.id);
        needs.extend(pages(&whole.tokens, |one| one.id).map(|page| Need::Tokens(holder, page)));
    }
    for user in &whole.users {
        needs.extend([Need::User(user.id), Need::UserEmailed(user.email.to_uppercase())]);
        let holder = Holder::User(user.id);
        needs.extend(pages(&whole.tokens, |one| one.id).map(|page| Need::Tokens(holder, page)));
    }
    needs.extend(pages(&whole.orgs, |one| one.id).map(Need::Orgs));
    needs.extend(pages(&whole.workspaces, |one| one.id).map(|page| Need::Workspaces(None, page)));
    needs.extend(pages(&whole.users, |one| one.id).map(|page| Need::Users(None, page)));
    needs.extend(pages(&whole.credentials, |one| one.id).map(Need::Credentials));
    needs.extend(whole.tokens.iter().flat_map(|one| [Need::Token(one.id), Need::TokenHash(one.hash)]));
    needs.extend(whole.providers.iter().map(|one| Need::Provider(one.id)));
    needs.extend(whole.models.iter().map(|one| Need::Model(one.id)));
    needs.extend(whole.credentials.iter().map(|one| Need::Credential(one.id)));
    needs.extend(whole.routes.iter().map(|one| Need::Route(one.id)));
    needs.extend(whole.identities.iter().map(|one| Need::Identity(one.id)));
    needs.extend((0..=whole.last_number + 1).chain([u32::MAX]).map(Need::Numbered));
    needs.extend([Need::Org(Id::random()), Need::OrgNamed("%".into()), Need::UserEmailed("' or 1=1 --".into())]);
    needs
}

/// From the beginning, from somewhere in the middle, and from beyond the end.
fn pages<T>(rows: &[T], id: impl Fn(&T) -> Id<T>) -> impl Iterator<Item = Page<T>> {
    let mut ids: Vec<_> = rows.iter().map(id).collect();
    ids.sort_unstable();
    let after = [None, ids.get(ids.len() / 2).copied(), ids.last().copied()];
    after.into_iter().flat_map(|after| [0, 1, 100].map(|limit| Page { after, limit }))
}

fn swapped<T, U>(page: Page<T>) -> Page<U> {
    Page { after: page.after.map(|id| Id::from_uuid(id.uuid())), limit: page.limit }
}

fn id<T>(kind: &str, name: &str) -> Id<T> {
    Id::declared(kind, name)
}

fn org(name: &str) -> Org {
    Org::new(id("org", name), name, NOW)
}

fn model(name: &str, provider: Id<Provider>) -> Model {
    Model::new(id("model", &format!("{name} {provider}")), provider, name, NOW)
}

/// A little of everything, some of it deleted.
fn furnished() -> Directory {
    let mut all = Directory { orgs: ["o0", "o1", "gone"].map(org).into(), ..Directory::default() };
    all.orgs[2].deleted_at = Some(NOW);
    for (index, name) in ["w0", "w1", "w2", "w3", "gone"].into_iter().enumerate() {
        all.workspaces.push(Workspace::new(id("workspace", name), all.orgs[index % 2].id, name, NOW));
    }
    all.workspaces[4].deleted_at = Some(NOW);
    for index in 0..4 {
        all.users.push(user(index, &all));
    }
    for index in 0..8_u8 {
        let workspace = all.workspaces[usize::from(index) % 5].id;
        let mut token = Token::new(id("token", &index.to_string()), TokenHash([index; 32]), workspace, "x", NOW);
        token.user = all.users.get(usize::from(index) / 2).filter(|_| index % 2 == 0).map(|user| user.id);
        token.revoked_at = (index == 7).then_some(NOW);
        all.tokens.push(token);
    }
    let workspaces: Vec<_> = all.workspaces.iter().map(|one| Owner::Workspace(one.id)).collect();
    let users: Vec<_> = all.users.iter().map(|one| Owner::User(one.id)).collect();
    for owner in [Owner::Platform].into_iter().chain(workspaces.iter().copied()) {
        for name in ["p0", "p1", "gone"] {
            provider(&mut all, owner, name);
        }
    }
    let platform: Vec<_> = all.providers.iter().filter(|one| one.owner == Owner::Platform).map(|one| one.id).collect();
    for owner in [Owner::Platform, Owner::Platform].into_iter().chain(workspaces).chain(users) {
        let (label, number) = (format!("label {}", all.credentials.len()), all.number());
        let address = &all.providers[0].base_url.address;
        let mut one = Credential::new(id("credential", &label), owner, platform[number as usize % 2], address, NOW);
        (one.label, one.number) = (label, Some(number));
        if owner == Owner::Platform {
            one.grant = Grant::Workspaces(all.workspaces.iter().take(2).map(|one| one.id).collect());
        }
        all.credentials.push(one);
        let target = RouteTarget { provider: platform[0], model: None };
        let name = format!("route {number}");
        let number = all.number();
        let route = Route::new(id("route", &name), owner, RouteKind::Alias, &name, target, NOW);
        let deleted_at = (all.routes.len() % 4 == 3).then_some(NOW);
        all.routes.push(Route { number: Some(number), deleted_at, ..route });
        all.identities.push(Identity {
            id: id("identity", &name),
            owner,
            name,
            text: "Be kind. ü \u{1f600} \"'\\".into(),
        });
    }
    all
}

fn user(index: usize, all: &Directory) -> User {
    let mut user = User {
        id: id("user", &index.to_string()),
        email: format!("User{index}@example.com"),
        name: String::new(),
        limits: Limits::default(),
        platform_admin: false,
        disabled: index == 3,
        org_roles: Default::default(),
        workspace_roles: Default::default(),
        created_at: NOW,
    };
    if index < 2 {
        user.org_roles.insert(all.orgs[index].id, AccessRole::OrgAdmin);
    }
    for workspace in all.workspaces.iter().skip(index).take(index) {
        user.workspace_roles.insert(workspace.id, AccessRole::Member);
    }
    user
}

fn provider(all: &mut Directory, owner: Owner, name: &str) {
    let url = "https://api.example.com/v1".parse().unwrap();
    let provider = Provider::new(id("provider", &format!("{owner:?} {name}")), owner, name, &PRESETS[0], url, NOW);
    let number = all.number();
    let deleted_at = (name == "gone").then_some(NOW);
    for name in ["m0", "gone"] {
        let number = all.number();
        let deleted_at = (name == "gone").then_some(NOW);
        all.models.push(Model { number: Some(number), deleted_at, ..model(name, provider.id) });
    }
    all.providers.push(Provider { number: Some(number), deleted_at, ..provider });
}
