//! Who may ask for what: every line of the table, for every kind of token, role and place.

use http::Method;
use keyway::admin::api::table::{Needs, Row, rows};
use keyway::directory::credentials::{self, NewCredential};
use keyway::directory::models::ModelChange;
use keyway::directory::providers::{NewProvider, ProviderChange};
use keyway::directory::routes::{NewRoute, RouteChange};
use keyway::directory::tokens::NewToken;
use keyway::directory::users::{NewUser, UserChange};
use keyway::directory::{
    Access, Actor, Expected, gates, identities, models, providers, routes, tokens, users, workspaces,
};
use keyway::domain::entity::{
    Credential, Gate, Identity, Model, Org, Owner, Provider, Route, RouteKind, Token, TokenKind, User, Workspace,
};
use keyway::domain::id::Id;
use keyway::domain::ledger::{Entry, Kept, PricedBy, Written};
use keyway::domain::money::Nanodollars;
use keyway::domain::permission::AccessRole;
use keyway::domain::preset::preset;
use keyway::domain::secret::Secret;
use keyway::domain::time::Timestamp;
use keyway::domain::usage::{Basis, Usage};
use keyway::store::Need;
use keyway::store::ledger::Ledger;
use serde_json::{Value, json};
use uuid::Uuid;

use super::office::{Client, Office};

/// Where a thing is, seen from the workspace of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Home,
    /// Another workspace of the same org.
    Sibling,
    /// Another org's workspace.
    Foreign,
    /// Nobody's in particular.
    Platform,
}

const PLACES: [Where; 4] = [Where::Home, Where::Sibling, Where::Foreign, Where::Platform];

/// What a token is besides its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chat,
    Agent,
    /// An admin made it for a user.
    ForUser,
    /// The user made it.
    OfUser,
}

const KINDS: [Kind; 4] = [Kind::Chat, Kind::Agent, Kind::ForUser, Kind::OfUser];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Denied,
    Hidden,
}

/// Two orgs, the first of them with two workspaces.
struct City {
    office: Office,
    home: (Id<Org>, Id<Workspace>),
    sibling: Id<Workspace>,
    foreign: (Id<Org>, Id<Workspace>),
}

/// One of each kind of thing, in one place, for one request to do with as it likes.
struct Things {
    org: Id<Org>,
    workspace: Id<Workspace>,
    user: Id<User>,
    token: Id<Token>,
    identity: Id<Identity>,
    provider: Id<Provider>,
    model: Id<Model>,
    route: Id<Route>,
    credential: Id<Credential>,
    exchange: Uuid,
}

fn openai() -> Id<Provider> {
    Id::declared("provider", "openai")
}

/// An exchange of a run.
pub(super) fn entry(org: Id<Org>, workspace: Id<Workspace>, token: Id<Token>) -> Entry<'static> {
    Entry {
        id: Uuid::now_v7(),
        began_at: Timestamp::now(),
        org,
        workspace,
        token,
        user: None,
        run: Some("nightly/1"),
        parent_run: None,
        protocol: "chat",
        operation: "chat_completions",
        delivery: "whole",
        from: None,
        outcome: "refused",
        refusal: Some("model_not_found"),
        usage: Usage::default(),
        basis: Basis::Nothing,
        cost: None,
        priced_by: PricedBy::Nobody,
        overhead_cost: Nanodollars(0),
        attempts: Vec::new(),
        first_event_us: None,
        total_us: 1,
        own_us: 1,
    }
}

pub(super) async fn keep(ledger: &Ledger, entries: &[Entry<'_>]) {
    let kept: Vec<_> = entries.iter().map(Kept::from).collect();
    let written: Vec<_> = kept.iter().map(|kept| Written::read(&kept.bytes).unwrap()).collect();
    ledger.keep(&written).await.unwrap();
}

impl City {
    async fn new() -> Self {
        let office = Office::opens().await;
        let (home, foreign) = (office.org("home").await, office.org("foreign").await);
        let sibling = workspaces::create(&office.access, home.0, "sibling", None).await.unwrap().id;
        Self { office, home, sibling, foreign }
    }

    async fn things(&self, at: Where) -> Things {
        let (org, workspace) = match at {
            Where::Home | Where::Platform => self.home,
            Where::Sibling => (self.home.0, self.sibling),
            Where::Foreign => self.foreign,
        };
        let access = &self.office.access;
        let user = self.user(workspace, AccessRole::Member).await;
        let token = tokens::create(access, NewToken::of(workspace)).await.unwrap().line.id;
        let owner = if at == Where::Platform { Owner::Platform } else { Owner::Workspace(workspace) };
        let name = format!("text-{}", &user.to_string()[..8]);
        let identity = identities::create(access, owner, name.clone(), "Be plain.".into()).await.unwrap().id;
        gates::put(access, org, openai(), Expected::Anything, Gate::Allow).await.unwrap();
        // Nobody listens there: what asks the provider hears so at once.
        let change =
            ProviderChange { base_url: Some("http://127.0.0.1:9/v1".parse().unwrap()), ..ProviderChange::default() };
        let new = NewProvider { owner, name: name.clone(), preset: preset("groq").unwrap(), change };
        let provider = providers::create(access, new).await.unwrap().id;
        let model = models::create(access, provider, "llama3:8b".into(), ModelChange::default()).await.unwrap().id;
        let new = NewRoute {
            owner,
            kind: RouteKind::Role,
            name: format!("{name}-role"),
            provider,
            change: RouteChange::default(),
        };
        let route = routes::create(access, new).await.unwrap().id;
        let new = NewCredential::of(owner, provider, Some(Secret::from("sk-of-the-place-0001".to_string())));
        let credential = credentials::set(access, new).await.unwrap().credential.id;
        let exchange = entry(org, workspace, token);
        keep(&self.office.ledger, std::slice::from_ref(&exchange)).await;
        let exchange = exchange.id;
        Things { org, workspace, user, token, identity, provider, model, route, credential, exchange }
    }

    async fn user(&self, workspace: Id<Workspace>, role: AccessRole) -> Id<User> {
        let email = format!("{}@example.com", Id::<User>::random());
        let mut new = NewUser { email, ..NewUser::default() };
        match role {
            AccessRole::PlatformAdmin => new.platform_admin = true,
            AccessRole::OrgAdmin => drop(new.org_roles.insert(self.home.0, role)),
            _ => drop(new.workspace_roles.insert(workspace, role)),
        }
        users::create(&self.office.access, new).await.unwrap().id
    }

    /// A client of the first workspace.
    async fn client(&self, role: AccessRole, kind: Kind) -> Client {
        let workspace = self.home.1;
        let plain = NewToken { role, ..NewToken::of(workspace) };
        match kind {
            Kind::Chat => self.office.client_with(plain).await,
            Kind::Agent => self.office.client_with(NewToken { kind: TokenKind::Agent, ..plain }).await,
            Kind::ForUser | Kind::OfUser => {
                let user = self.user(workspace, role).await;
                let given = self.office.client_with(NewToken { user: Some(user), ..plain }).await;
                if kind == Kind::ForUser {
                    return given;
                }
                let made = given.post("/me/tokens", json!({})).await.with(201);
                self.office.shows(made["token"].as_str().unwrap())
            }
        }
    }
}

/// What the platform or a workspace has.
fn is_owned(row: &Row) -> bool {
    let owned = ["/identities", "/providers", "/models", "/routes", "/credentials", "/sync-pricing"];
    owned.iter().any(|prefix| row.path.starts_with(prefix))
}

/// The query that says which workspace is meant, where the path says nothing of it.
fn query(row: &Row, at: Where, workspace: Id<Workspace>) -> String {
    let is_list = row.method == Method::GET && !row.path.contains('{');
    match row.path {
        "/credentials" if is_list && at == Where::Platform => "?scope=platform".to_string(),
        "/credentials" if is_list => format!("?scope=workspace&workspaceId={workspace}"),
        path if is_list && (is_owned(row) || path == "/tokens") && at != Where::Platform => {
            format!("?workspaceId={workspace}")
        }
        path if path.starts_with("/members") || path.starts_with("/catalog") => format!("?workspaceId={workspace}"),
        path if ["/usage", "/runs", "/exchanges"].iter().any(|prefix| path.starts_with(prefix))
            && !path.contains("{id}") =>
        {
            format!("?workspaceId={workspace}")
        }
        _ => String::new(),
    }
}

/// A request for a line of the table, about these things.
fn request(row: &Row, at: Where, things: &Things) -> (String, Option<Value>) {
    let Things { org, workspace, user, token, identity, provider, model, route, credential, exchange } = things;
    let owner = if at == Where::Platform { Value::Null } else { json!(workspace) };
    let name = format!("new-{}", &Id::<Org>::random().to_string()[..13]);
    let id = match row.path.split('/').nth(1).unwrap() {
        "orgs" => org.to_string(),
        "workspaces" => workspace.to_string(),
        "users" => user.to_string(),
        "tokens" | "me" => token.to_string(),
        "identities" => identity.to_string(),
        "providers" => provider.to_string(),
        "models" => model.to_string(),
        "routes" => route.to_string(),
        "credentials" => credential.to_string(),
        "catalog" => openai().to_string(),
        "exchanges" => exchange.to_string(),
        _ => String::new(),
    };
    let path = row.path.replace("{id}", &id).replace("{userId}", &user.to_string());
    let path = path.replace("{providerId}", &openai().to_string()).replace("{endpointId}", &credential.to_string());
    let path = path.replace("{*model}", "openai:gpt-4o").replace("{*run}", "nightly/1");
    assert!(!path.contains('{'), "{} is not known here", row.path);
    let body = match (row.method.as_str(), row.path) {
        ("GET" | "DELETE", _) => None,
        (_, "/users/{id}/reset" | "/credentials/{id}/confirm" | "/providers/{id}/discover-models") => None,
        ("POST", "/credentials/{id}/validate") => Some(json!({})),
        ("POST", "/sync-pricing") => Some(json!({"from": "http://127.0.0.1:9/prices"})),
        ("POST", "/workspaces/{id}/model-config/test") => Some(json!({"provider": "local", "model": "any"})),
        ("POST", "/estimate") => Some(json!({"model": "openai:gpt-4o", "maxTokens": 10})),
        ("POST", "/orgs") => Some(json!({"name": name})),
        ("PATCH", "/orgs/{id}") => Some(json!({"defaultGate": "deny"})),
        ("PUT", "/orgs/{id}/gates/{providerId}") => Some(json!({"gate": "deny"})),
        ("POST", "/workspaces") => Some(json!({"name": name, "orgId": org})),
        ("PATCH", "/workspaces/{id}") => Some(json!({"default": null})),
        ("POST", "/workspaces/{id}/model-endpoints") => Some(json!({"provider": "groq", "apiKey": "sk-of-the-place"})),
        ("PUT", "/workspaces/{id}/model-config") => Some(json!({"provider": "openai", "apiKey": "sk-of-the-place"})),
        ("POST", "/users") => {
            Some(json!({"email": format!("{name}@example.com"), "workspaceRoles": {workspace.to_string(): "member"}}))
        }
        ("PATCH", "/users/{id}") => Some(json!({"name": "Other"})),
        ("PUT", "/members/{userId}") => Some(json!({"role": "member"})),
        ("POST", "/tokens") => Some(json!({"workspaceId": workspace})),
        ("PATCH", "/tokens/{id}") => Some(json!({"label": "other"})),
        ("POST", "/me/tokens") => Some(json!({})),
        ("POST", "/identities") if at == Where::Platform => Some(json!({"name": name, "text": "Be plain."})),
        ("POST", "/identities") => Some(json!({"name": name, "text": "Be plain.", "workspaceId": workspace})),
        ("PATCH", "/identities/{id}") => Some(json!({"text": "Be brief."})),
        ("POST", "/providers") => Some(json!({"name": name, "kind": "groq", "workspaceId": owner})),
        ("PATCH", "/providers/{id}" | "/models/{id}") => Some(json!({"enabled": false})),
        ("POST", "/models") => Some(json!({"providerId": provider, "modelId": name})),
        ("POST", "/routes") => Some(json!({"name": name, "providerId": openai(), "workspaceId": owner})),
        ("PATCH", "/routes/{id}") => Some(json!({"priority": 7})),
        ("POST", "/credentials") if at == Where::Platform => {
            Some(json!({"providerId": provider, "scope": "platform", "label": name, "apiKey": "sk-of-the-platform"}))
        }
        ("POST", "/credentials") => Some(
            json!({"providerId": openai(), "scope": "workspace", "workspaceId": workspace, "apiKey": "sk-of-the-place"}),
        ),
        ("PATCH", "/credentials/{id}") => Some(json!({"weight": 2})),
        (method, path) => panic!("say what {method} {path} asks for"),
    };
    (format!("{path}{}", query(row, at, *workspace)), body)
}

/// The places at which a line can be asked for.
fn places(row: &Row) -> Vec<Where> {
    let is_about = |at: &Where| match row.path {
        "/orgs" | "/estimate" | "/me" | "/me/tokens" | "/limits" | "/audit" | "/audit/verify" | "/resolve/{*model}"
        | "/sync-pricing" => *at == Where::Platform,
        "/users" | "/workspaces" if row.method == Method::GET => *at == Where::Platform,
        // What is in the same org is the same org's.
        path if path.starts_with("/orgs/") || path == "/workspaces" => matches!(at, Where::Home | Where::Foreign),
        _ => is_owned(row) || *at != Where::Platform,
    };
    PLACES.into_iter().filter(is_about).collect()
}

/// What the table and the roles say, worked out from nothing else.
fn expected(row: &Row, role: AccessRole, kind: Kind, at: Where) -> Verdict {
    if let Needs::Permission(permission, _) = row.needs
        && !role.holds(permission)
    {
        return Verdict::Denied;
    }
    let stands_for_a_user = matches!(kind, Kind::ForUser | Kind::OfUser);
    if row.path.starts_with("/me/tokens") {
        // The token in the path is never one of this user's.
        return match (stands_for_a_user, row.path) {
            (false, _) => Verdict::Denied,
            (true, "/me/tokens") => Verdict::Allowed,
            (true, _) => Verdict::Hidden,
        };
    }
    let sees = match at {
        Where::Home | Where::Platform => true,
        Where::Sibling => role >= AccessRole::OrgAdmin,
        Where::Foreign => role == AccessRole::PlatformAdmin,
    };
    let changes_platform = at == Where::Platform && row.is_change() && is_owned(row);
    let is_members = role == AccessRole::Member && row.path.starts_with("/credentials") && at != Where::Platform;
    match sees {
        false => Verdict::Hidden,
        true if changes_platform && role != AccessRole::PlatformAdmin => Verdict::Denied,
        // A workspace's keys are for those who manage them; to its members there are none.
        true if is_members && row.path == "/credentials" => Verdict::Denied,
        true if is_members => Verdict::Hidden,
        true => Verdict::Allowed,
    }
}

fn verdict(status: u16) -> Verdict {
    match status {
        403 => Verdict::Denied,
        404 => Verdict::Hidden,
        // Whoever hears that something stands against it was let so far.
        _ => Verdict::Allowed,
    }
}

/// What a line did for a token that it should not have done, or the other way round.
async fn tried(
    row: &Row,
    client: &Client,
    (role, kind): (AccessRole, Kind),
    at: Where,
    things: &Things,
) -> Option<String> {
    let (path, body) = request(row, at, things);
    let heard = client.asks(row.method.clone(), &path, body, &[]).await;
    let line = format!("{} {} {role} {kind:?} {at:?}", row.method, row.path);
    assert!(matches!(heard.status, 200..=204 | 403 | 404 | 409 | 424), "{line}: {}", heard.text);
    let (got, expected) = (verdict(heard.status), expected(row, role, kind, at));
    (got != expected).then(|| format!("{line}: {got:?} not {expected:?}"))
}

/// A token's kind makes a difference where the token is, if anywhere.
fn tokens_at(at: Where) -> impl Iterator<Item = (AccessRole, Kind)> {
    let kinds = if at == Where::Home || at == Where::Platform { &KINDS[..] } else { &KINDS[..1] };
    AccessRole::ALL.into_iter().flat_map(|role| kinds.iter().map(move |kind| (role, *kind)))
}

#[tokio::test]
async fn every_token_sees_by_every_line_what_the_table_says_and_no_more() {
    let (city, mut clients, mut wrong) = (City::new().await, Vec::new(), Vec::new());
    for holder in tokens_at(Where::Home) {
        clients.push((holder, city.client(holder.0, holder.1).await));
    }
    for at in PLACES {
        let things = city.things(at).await;
        for row in rows().iter().filter(|row| !row.is_change() && places(row).contains(&at)) {
            for (holder, client) in &clients {
                wrong.extend(tried(row, client, *holder, at, &things).await);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn every_token_changes_by_every_line_what_the_table_says_and_no_more() {
    let mut wrong = Vec::new();
    for row in rows().iter().filter(|row| row.is_change()) {
        let mut city = City::new().await;
        let ends_places = row.method == Method::DELETE && matches!(row.path, "/orgs/{id}" | "/workspaces/{id}");
        for at in places(row) {
            for holder in tokens_at(at) {
                let client = city.client(holder.0, holder.1).await;
                let things = city.things(at).await;
                wrong.extend(tried(row, &client, holder, at, &things).await);
                // Whoever ended what the others stand on made room for a new one.
                if ends_places || client.get("/me").await.status != 200 {
                    city = City::new().await;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_token_that_is_none_or_no_longer_gets_nothing_from_any_line() {
    let city = City::new().await;
    let (office, workspace) = (&city.office, city.home.1);
    let user = city.user(workspace, AccessRole::PlatformAdmin).await;
    let root = NewToken { role: AccessRole::PlatformAdmin, ..NewToken::of(workspace) };
    let revoked = office.client_with(root.clone()).await;
    let disabled = office.client_with(NewToken { user: Some(user), ..root.clone() }).await;
    let of_deleted = office.client_with(NewToken { workspace: city.sibling, ..root.clone() }).await;
    let soon = Timestamp(Timestamp::now().0 + 50);
    let expired = office.client_with(NewToken { expires_at: Some(soon), ..root }).await;
    let id = revoked.get("/me").await.with(200)["tokenId"].as_str().unwrap().parse().unwrap();
    tokens::revoke(&office.access, id).await.unwrap();
    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    users::update(&office.access, user, Expected::Anything, change).await.unwrap();
    workspaces::delete(&office.access, city.sibling, Expected::Anything).await.unwrap();
    office.follows().await;
    while Timestamp::now() <= soon {
        tokio::task::yield_now().await;
    }
    let things = city.things(Where::Home).await;
    // Living tokens are answered however many dead ones are shown; so many dead ones are slowed, which is another test.
    for (name, client) in [
        ("none", &office.shows("")),
        ("revoked", &revoked),
        ("of a disabled user", &disabled),
        ("of a deleted workspace", &of_deleted),
        ("expired", &expired),
    ] {
        for row in rows() {
            let (path, body) = request(&row, Where::Home, &things);
            let heard = client.asks(row.method.clone(), &path, body, &[]).await;
            let refused = matches!(heard.status, 401 | 429);
            assert!(refused, "{name}: {} {} was answered with {}", row.method, row.path, heard.status);
            assert!(!heard.text.contains(&things.token.to_string()));
        }
    }
}

#[tokio::test]
async fn nobody_gives_more_than_they_hold() {
    let city = City::new().await;
    let workspace = city.home.1;
    for held in AccessRole::ALL {
        let client = city.client(held, Kind::Chat).await;
        for asked in AccessRole::ALL {
            let manages = held >= AccessRole::WorkspaceAdmin;
            let token = client.post("/tokens", json!({"role": asked})).await;
            assert_eq!(token.status == 201, manages && asked <= held, "{held} a token of {asked}: {}", token.text);
            let things = city.things(Where::Home).await;
            let change = client.patch(&format!("/tokens/{}", things.token), json!({"role": asked})).await;
            assert_eq!(change.status == 200, manages && asked <= held, "{held} raises to {asked}: {}", change.text);
            let member = client.put(&format!("/members/{}", things.user), json!({"role": asked})).await;
            let fits = asked <= AccessRole::WorkspaceAdmin;
            assert_eq!(member.status == 200, manages && fits, "{held} makes {asked}: {}", member.text);
            let of_org = format!("/members/{}?orgId={}", things.user, city.home.0);
            let in_org = client.put(&of_org, json!({"role": asked})).await;
            let may = held >= AccessRole::OrgAdmin && asked <= AccessRole::OrgAdmin;
            assert_eq!(in_org.status == 200, may, "{held} makes {asked} of the org: {}", in_org.text);
            let email = format!("{}@example.com", things.token);
            let user = json!({"email": email, "workspaceRoles": {workspace.to_string(): asked}});
            let user = client.post("/users", user).await;
            assert_eq!(user.status == 201, manages && fits, "{held} a user who is {asked}: {}", user.text);
            let email = format!("{}@example.org", things.token);
            let root = client.post("/users", json!({"email": email, "platformAdmin": true})).await;
            assert_eq!(root.status == 201, held == AccessRole::PlatformAdmin, "{held}: {}", root.text);
        }
    }
}

#[tokio::test]
async fn nobody_touches_a_token_that_holds_more_than_their_own() {
    let city = City::new().await;
    let admin = city.client(AccessRole::WorkspaceAdmin, Kind::Chat).await;
    let above = NewToken { role: AccessRole::OrgAdmin, ..NewToken::of(city.home.1) };
    let above = tokens::create(&city.office.access, above).await.unwrap().line.id;
    let refused = admin.patch(&format!("/tokens/{above}"), json!({"expiresAt": null})).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "permission_denied"));
}

#[tokio::test]
async fn a_users_own_key_is_seen_by_nobody_else_on_any_path() {
    let city = City::new().await;
    let office = &city.office;
    let own = city.client(AccessRole::Member, Kind::OfUser).await;
    let me = own.get("/me").await.with(200);
    let (token, user) = (me["tokenId"].as_str().unwrap().parse().unwrap(), me["userId"].as_str().unwrap());
    let stored = office.access.load(Need::Token(token)).await.unwrap();
    let actor = Actor::token(&stored.tokens[0], city.home.0);
    let access = Access { actor, ..office.access.clone() };
    let owner = Owner::User(user.parse().unwrap());
    let mut new = NewCredential::of(owner, openai(), Some(Secret::from("sk-of-the-user-himself-zq9x".to_string())));
    new.change.label = Some("nobodys-business".into());
    let id = credentials::set(&access, new).await.unwrap().credential.id.to_string();
    office.follows().await;
    let credential = id.parse().unwrap();
    let things = Things { user: user.parse().unwrap(), token, credential, ..city.things(Where::Home).await };
    assert_eq!(own.get(&format!("/credentials/{id}")).await.with(200)["label"], "nobodys-business");
    for role in AccessRole::ALL {
        for kind in KINDS {
            let other = city.client(role, kind).await;
            for refused in [
                other.patch(&format!("/credentials/{id}"), json!({"active": false})).await,
                other.delete(&format!("/credentials/{id}")).await,
                other.get("/credentials?scope=user").await,
            ] {
                let is_empty = refused.status == 200 && refused.json()["items"] == json!([]);
                assert!(is_empty || matches!(refused.status, 400 | 404), "{role} {kind:?}: {}", refused.text);
            }
            for row in rows().iter().filter(|row| !row.is_change()) {
                let (path, _) = request(row, Where::Home, &things);
                let heard = other.get(&path).await;
                // The audit log, which only the platform's admins read, names its id and nothing of it.
                let is_asked_for = row.path.starts_with("/credentials/{id}") || row.path.contains("{endpointId}");
                let shows_id = heard.text.contains(&id) && row.path != "/audit" && !is_asked_for;
                let shown = shows_id || heard.text.contains("nobodys-business") || heard.text.contains("zq9x");
                assert!(!shown, "{role} {path}: {}", heard.text);
            }
        }
    }
}
