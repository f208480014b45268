//! Callers out of a library over a store in memory, whose parts are those that a database gives.

use std::convert::Infallible;

use super::*;
use crate::config::Routing;
use crate::domain::entity::{Credential, Org, Owner, Provider, Token, User, Workspace};
use crate::domain::id::Id;
use crate::domain::preset::preset;
use crate::domain::secret::Secret;
use crate::snapshot::World;
use crate::store::audit::Act;
use crate::store::changes::Touched;
use crate::store::seal::{Keyring, MasterKey, Salt};
use crate::store::{Part, Previous, Store};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn id<T>(name: &str) -> Id<T> {
    Id::declared("test", name)
}

const fn hash(of: u8) -> TokenHash {
    TokenHash([of; 32])
}

/// Two workspaces with a token each; the second one's is a user's.
fn furnished() -> Directory {
    let mut directory = Directory::default();
    directory.orgs.push(Org::new(id("org"), "org", NOW));
    let url = "https://api.example.com/v1".parse().unwrap();
    let provider = Provider::new(id("p"), Owner::Platform, "p", preset("custom").unwrap(), url, NOW);
    directory.users.push(User {
        id: id("ada"),
        email: "ada@example.com".into(),
        name: String::new(),
        limits: Default::default(),
        platform_admin: false,
        disabled: false,
        org_roles: Default::default(),
        workspace_roles: Default::default(),
        created_at: NOW,
    });
    for (number, name) in [(1, "one"), (2, "two")] {
        directory.workspaces.push(Workspace::new(id(name), id("org"), name, NOW));
        let token = Token::new(id(name), hash(number), id(name), "test", NOW);
        let user = (number == 2).then(|| id("ada"));
        directory.tokens.push(Token { user, made_by_its_user: user.is_some(), ..token });
    }
    for (name, owner) in [("ada's", Owner::User(id("ada"))), ("one's", Owner::Workspace(id("one")))] {
        directory.credentials.push(Credential::new(id(name), owner, provider.id, &provider.base_url.address, NOW));
    }
    directory.providers.push(provider);
    directory
}

struct House {
    store: Store,
    keeper: Arc<Keeper>,
    world: World,
    answering: tokio::task::JoinHandle<()>,
}

impl House {
    async fn new() -> Self {
        let key = MasterKey::parse(&Secret::from("raw:0123456789abcdef0123456789abcdef".to_string())).unwrap();
        let store = Store::memory(Keyring::new(&[key], Salt::random().unwrap()).unwrap());
        change(&store, |directory| *directory = furnished()).await;
        let bounds = Bounds { cache_bytes: 1 << 20, serve_without: Duration::from_secs(3_600), threads: 4 };
        let nothing = Arc::new(Directory::default());
        let (keeper, answering) =
            Keeper::start(store.clone(), None, nothing, Routing::default(), bounds).await.unwrap();
        let world = World::of_library(keeper.library().clone());
        Self { store, keeper, world, answering: tokio::spawn(answering) }
    }

    async fn caller(&self, of: u8) -> Option<Caller> {
        match self.world.caller(&hash(of), NOW).await {
            Lookup::Known(caller) => Some(caller),
            Lookup::Unknown => None,
            Lookup::Away => panic!("it is not at hand"),
        }
    }

    async fn change(&self, rule: impl FnOnce(&mut Directory) + Send + 'static) {
        change(&self.store, rule).await;
        assert!(self.keeper.catch_up().await.unwrap());
    }

    /// From now on nothing is found but what is at hand.
    fn asks_nobody(&self) {
        self.answering.abort();
    }
}

async fn change(store: &Store, rule: impl FnOnce(&mut Directory) + Send + 'static) {
    let rule = move |directory: &mut Directory| {
        rule(directory);
        Ok::<_, Infallible>(())
    };
    store.change(Act::new("test", "change", "all"), Part::everything(), Previous::Keep, rule).await.unwrap();
}

#[tokio::test]
async fn a_caller_is_asked_for_once_and_then_at_hand() {
    let house = House::new().await;
    let first = house.caller(1).await.unwrap();
    assert_eq!((first.workspace(), first.view().own.all_credentials().count()), (id("one"), 1));
    assert!(house.caller(9).await.is_none());
    house.asks_nobody();
    let again = house.caller(1).await.unwrap();
    assert!(Arc::ptr_eq(first.view(), again.view()));
    assert!(matches!(house.world.caller(&hash(2), NOW).await, Lookup::Away), "the other one was never asked for");
}

#[tokio::test]
async fn a_users_own_credentials_come_with_their_own_tokens_only() {
    let house = House::new().await;
    let own = house.caller(2).await.unwrap();
    assert_eq!(own.own_credentials().map(|own| own.all_credentials().count()), Some(1));
    assert_eq!(own.view().own.all_credentials().count(), 0);
    assert!(house.caller(1).await.unwrap().own_credentials().is_none());
}

#[tokio::test]
async fn what_a_change_touched_is_asked_for_anew_and_nothing_else() {
    let house = House::new().await;
    let (one, two) = (house.caller(1).await.unwrap(), house.caller(2).await.unwrap());
    house.change(|directory| directory.workspaces[0].fallback_to_platform = true).await;
    assert!(house.caller(1).await.unwrap().view().workspace.fallback_to_platform);
    assert!(Arc::ptr_eq(house.caller(2).await.unwrap().view(), two.view()));
    assert!(!one.view().workspace.fallback_to_platform, "a call goes on with what it began with");
    house.change(|directory| directory.users[0].disabled = true).await;
    assert!(house.caller(2).await.is_none() && house.caller(1).await.is_some());
    house.change(|directory| directory.users[0].disabled = false).await;
    assert!(house.caller(2).await.is_some());
    house.change(|directory| directory.orgs[0].features.byok = false).await;
    assert_eq!(house.caller(1).await.unwrap().view().own.all_credentials().count(), 0);
    house.change(|directory| directory.tokens[0].revoked_at = Some(NOW)).await;
    assert!(house.caller(1).await.is_none());
    house.change(|directory| directory.workspaces[1].deleted_at = Some(NOW)).await;
    assert!(house.caller(2).await.is_none());
}

#[tokio::test]
async fn a_token_that_nobody_had_is_known_as_soon_as_it_is_made() {
    let house = House::new().await;
    assert!(house.caller(3).await.is_none());
    house.change(|directory| directory.tokens.push(Token::new(id("new"), hash(3), id("one"), "test", NOW))).await;
    assert!(house.caller(3).await.is_some());
}

#[tokio::test]
async fn a_changed_platform_is_in_every_view_without_asking_for_workspaces_again() {
    let house = House::new().await;
    house.caller(1).await.unwrap();
    change(&house.store, |directory| directory.providers[0].enabled = false).await;
    house.keeper.catch_up().await.unwrap();
    house.asks_nobody();
    let caller = house.caller(1).await.unwrap();
    assert!(!caller.platform().catalog.provider(id("p")).unwrap().provider.enabled);
    assert_eq!(caller.view().own.all_credentials().count(), 1);
    assert!(!house.keeper.catch_up().await.unwrap(), "nothing is new");
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_kept_after_it() {
    let house = House::new().await;
    let part = house.store.load(&crate::store::Need::TokenHash(hash(1)).into()).await.unwrap();
    let token = || shelf::Entry::Token(Arc::new(KeptToken::new(hash(1), &part).unwrap()));
    let shelf = &house.keeper.library().shelf;
    assert!(shelf.put(shelf::Key::Token(hash(1)), token(), part.version));
    let touched = Touched { tokens: [hash(1)].into(), ..Touched::default() };
    shelf.take_down(&What::These(touched), part.version + 1);
    assert!(!shelf.put(shelf::Key::Token(hash(1)), token(), part.version));
    assert!(shelf.token(&hash(1)).is_none());
    assert!(shelf.put(shelf::Key::Token(hash(1)), token(), part.version + 1));
}

#[tokio::test]
async fn a_lane_forgets_when_the_counter_moves_and_when_it_is_full() {
    let house = House::new().await;
    let caller = house.caller(1).await.unwrap();
    let lanes = Lanes::new(1, 1_000);
    lanes.remember(hash(1), caller.clone(), 600, 7);
    assert!(lanes.find(&hash(1), 7).is_some() && lanes.find(&hash(1), 8).is_none());
    lanes.remember(hash(2), caller.clone(), 600, 7);
    assert!(lanes.find(&hash(1), 7).is_none() && lanes.find(&hash(2), 7).is_some());
    lanes.remember(hash(3), caller, 2_000, 7);
    assert!(lanes.find(&hash(3), 7).is_none(), "one that is too large is never held");
}

#[tokio::test]
async fn guesses_beyond_the_limit_cost_the_store_nothing() {
    let house = House::new().await;
    house.caller(1).await.unwrap();
    let mut away = 0;
    for guess in 0..=GUESSES_MAX + 50 {
        let mut bytes = [200; 32];
        bytes[..4].copy_from_slice(&guess.to_be_bytes());
        away += u32::from(matches!(house.world.caller(&TokenHash(bytes), NOW).await, Lookup::Away));
    }
    assert!(away > 0, "all of them were looked up");
    assert!(house.caller(1).await.is_some(), "who is at hand does not notice");
}

#[tokio::test]
async fn whoever_was_silent_for_too_long_is_not_trusted_until_heard_again() {
    let house = House::new().await;
    house.caller(1).await.unwrap();
    house.keeper.library().set_closed(true);
    assert!(matches!(house.world.caller(&hash(1), NOW).await, Lookup::Away));
    house.keeper.catch_up().await.unwrap();
    assert!(house.caller(1).await.is_some());
}
