//! Workspaces, users, members, tokens, identities and the audit log, as people and scripts change them.

use http::Method;
use keyway::directory::tokens::NewToken;
use keyway::domain::id::Id;
use keyway::domain::permission::AccessRole;
use serde_json::{Value, json};

use super::office::{Client, Office};

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_string()
}

fn id(value: &Value) -> String {
    text(&value["id"])
}

fn openai() -> String {
    Id::<keyway::domain::entity::Provider>::declared("provider", "openai").to_string()
}

/// A user with a role in a workspace, and a client with a token that an admin made for them.
async fn member(office: &Office, root: &Client, workspace: &str, email: &str, role: &str) -> (String, Client) {
    let user = root.post("/users", json!({"email": email, "workspaceRoles": {workspace: role}})).await.with(201);
    let token = json!({"userId": id(&user), "workspaceId": workspace, "role": role});
    let token = root.post("/tokens", token).await.with(201);
    (id(&user), office.shows(&text(&token["token"])))
}

#[tokio::test]
async fn a_workspace_is_made_changed_part_by_part_and_ended_with_its_tokens() {
    let office = Office::opens().await;
    let root = office.root().await;
    let org = root.post("/orgs", json!({"name": "acme"})).await.with(201);
    let new = json!({
        "orgId": org["id"], "name": "research", "projects": {"drafts": {"providerId": openai(), "model": "gpt-4o"}},
        "limits": {"parallel": 3},
    });
    let made = root.post("/workspaces", new).await.with(201);
    assert_eq!((&made["default"], &made["projects"]["drafts"]["model"]), (&Value::Null, &json!("gpt-4o")));
    let path = format!("/workspaces/{}", id(&made));
    assert_eq!(
        root.post("/workspaces", json!({"orgId": org["id"], "name": "RESEARCH"})).await.code(),
        "already_exists"
    );

    let token = json!({"workspaceId": made["id"], "role": "workspace_admin", "project": "drafts"});
    let token = root.post("/tokens", token).await.with(201);
    let admin = office.shows(&text(&token["token"]));
    // Its own admin says where its calls go, and not what it may use.
    let choices = json!({"default": {"providerId": openai()}, "projects": {"drafts": {"model": null}, "final": {"providerId": openai()}}});
    let changed = admin.patch(&path, choices).await.with(200);
    assert_eq!(changed["default"], json!({"providerId": openai(), "model": null}));
    assert_eq!(changed["projects"]["drafts"], json!({"providerId": openai(), "model": null}));
    let changed = admin.patch(&path, json!({"projects": {"drafts": null}})).await.with(200);
    assert_eq!(changed["projects"].as_object().unwrap().keys().collect::<Vec<_>>(), ["final"]);
    assert_eq!(changed["limits"]["parallel"], 3);
    assert_eq!(admin.patch(&path, json!({"limits": null})).await.code(), "permission_denied");
    assert_eq!(admin.patch(&path, json!({"fallbackToPlatform": true})).await.code(), "permission_denied");
    let unknown = json!({"default": {"providerId": id(&org)}});
    assert_eq!(admin.patch(&path, unknown).await.code(), "not_found");
    let nameless = admin.patch(&path, json!({"projects": {"x": {"model": "gpt-4o"}}})).await.with(400);
    assert_eq!(nameless["field"], "projects");
    assert_eq!(admin.patch(&path, json!({"default": null})).await.with(200)["default"], Value::Null);

    let renamed = root.patch(&path, json!({"name": "lab", "fallbackToPlatform": true})).await.with(200);
    assert_eq!((&renamed["name"], &renamed["fallbackToPlatform"]), (&json!("lab"), &json!(true)));
    let all = root.get(&format!("/workspaces?orgId={}", id(&org))).await.with(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/workspaces").await.with(200)["items"], all["items"], "its own is all that it sees");
    assert_eq!(root.get("/workspaces?name=lab").await.with(200)["items"], all["items"]);

    assert_eq!(root.delete(&format!("/orgs/{}", id(&org))).await.code(), "in_use");
    assert_eq!(root.delete(&path).await.status, 204);
    assert_eq!(admin.get("/me").await.status, 401);
    assert_eq!(root.get(&path).await.status, 404);
    assert_eq!(root.delete(&format!("/orgs/{}", id(&org))).await.status, 204);
}

#[tokio::test]
async fn what_gateway_toml_declares_is_shown_and_not_changed() {
    let office = Office::opens().await;
    let root = office.root().await;
    let house = root.get("/workspaces?name=house").await.with(200)["items"][0].clone();
    assert_eq!(house["declared"], true);
    for (path, change) in [
        (format!("/workspaces/{}", id(&house)), json!({"name": "other"})),
        (format!("/orgs/{}", text(&house["orgId"])), json!({"defaultGate": "deny"})),
    ] {
        root.get(&path).await.with(200);
        for refused in [root.patch(&path, change).await, root.delete(&path).await] {
            assert_eq!((refused.status, refused.code().as_str()), (409, "declared"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_gate_says_of_one_provider_what_an_org_says_of_none() {
    let office = Office::opens().await;
    let root = office.root().await;
    let (org, workspace) = office.org("acme").await;
    let admin = office.client(workspace, AccessRole::OrgAdmin).await;
    let (all, one) = (format!("/orgs/{org}/gates"), format!("/orgs/{org}/gates/{}", openai()));
    assert_eq!(root.get(&one).await.status, 404);
    let set = admin.put(&one, json!({"gate": "deny"})).await;
    let seen = set.header("etag").unwrap().to_string();
    assert_eq!(set.with(200), json!({"providerId": openai(), "gate": "deny"}));
    assert_eq!(admin.get(&all).await.with(200)["items"], json!([{"providerId": openai(), "gate": "deny"}]));
    assert_eq!(root.get(&format!("/orgs/{org}")).await.with(200)["gates"][openai()], "deny");
    assert_eq!(admin.put(&format!("{all}/{org}"), json!({"gate": "deny"})).await.code(), "not_found");
    admin.put(&one, json!({"gate": "allow"})).await.with(200);
    assert_eq!(admin.asks(Method::DELETE, &one, None, &[("if-match", &seen)]).await.status, 412);
    assert_eq!(admin.delete(&one).await.status, 204);
    assert_eq!(admin.delete(&one).await.status, 404);
}

#[tokio::test]
async fn a_users_tokens_hold_no_longer_what_the_user_lost() {
    let office = Office::opens().await;
    let root = office.root().await;
    let (org, workspace) = office.org("acme").await;
    let workspace = workspace.to_string();
    let (user, client) = member(&office, &root, &workspace, "ada@example.com", "workspace_admin").await;
    let (users, members) = (format!("/users/{user}"), format!("/members/{user}?workspaceId={workspace}"));
    assert_eq!(root.get(&members).await.with(200)["role"], "workspace_admin");

    root.put(&members, json!({"role": "member"})).await.with(200);
    assert_eq!(client.get("/me").await.with(200)["role"], "member");
    root.patch(&users, json!({"disabled": true})).await.with(200);
    assert_eq!(client.get("/me").await.status, 401);
    root.patch(&users, json!({"disabled": false})).await.with(200);
    assert_eq!(client.get("/me").await.status, 200);

    // A role in the org is one in each of its workspaces.
    let in_org = format!("/members/{user}?orgId={org}");
    root.put(&in_org, json!({"role": "member"})).await.with(200);
    assert_eq!(root.delete(&members).await.status, 204);
    assert_eq!(client.get("/me").await.status, 200);
    assert_eq!(root.delete(&in_org).await.status, 204);
    assert_eq!(client.get("/me").await.status, 401);
    assert_eq!(root.delete(&in_org).await.code(), "not_found");

    assert_eq!(root.delete(&users).await.status, 204);
    assert_eq!(root.get(&users).await.status, 404);
    root.post("/users", json!({"email": "ADA@example.com"})).await.with(201);
}

#[tokio::test]
async fn an_org_sees_of_a_shared_user_its_own_part_and_changes_only_that() {
    let office = Office::opens().await;
    let root = office.root().await;
    let ((ours, our_workspace), (_, their_workspace)) = (office.org("ours").await, office.org("theirs").await);
    let roles = json!({our_workspace.to_string(): "member", their_workspace.to_string(): "workspace_admin"});
    let new = json!({"email": "ada@example.com", "workspaceRoles": roles});
    let user = id(&root.post("/users", new).await.with(201));
    let admin = office.client(our_workspace, AccessRole::OrgAdmin).await;
    let path = format!("/users/{user}");
    let seen = admin.get(&path).await.with(200);
    assert_eq!(seen["workspaceRoles"], json!({our_workspace.to_string(): "member"}));
    let listed = admin.get(&format!("/members?orgId={ours}")).await.with(200);
    assert_eq!((&listed["items"][0]["userId"], &listed["items"][0]["role"]), (&json!(user), &Value::Null));
    for refused in [
        admin.patch(&path, json!({"disabled": true})).await,
        admin.delete(&path).await,
        admin.asks(Method::POST, &format!("{path}/reset"), None, &[]).await,
    ] {
        assert_eq!((refused.status, refused.code().as_str()), (403, "permission_denied"));
    }
    let members = format!("/members/{user}?workspaceId={our_workspace}");
    assert_eq!(admin.delete(&members).await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
    assert_eq!(root.get(&path).await.with(200)["workspaceRoles"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn users_are_listed_and_found_where_the_asker_manages_them() {
    let office = Office::opens().await;
    let root = office.root().await;
    let (_, workspace) = office.org("acme").await;
    let (_, elsewhere) = office.org("other").await;
    for (email, at) in [("ada@example.com", workspace), ("bob@example.com", workspace), ("eve@example.com", elsewhere)]
    {
        root.post("/users", json!({"email": email, "workspaceRoles": {at.to_string(): "member"}})).await.with(201);
    }
    let emails = |page: Value| {
        let mut all: Vec<String> = page["items"].as_array().unwrap().iter().map(|one| text(&one["email"])).collect();
        all.sort();
        all
    };
    for role in [AccessRole::WorkspaceAdmin, AccessRole::OrgAdmin] {
        let admin = office.client(workspace, role).await;
        assert_eq!(emails(admin.get("/users").await.with(200)), ["ada@example.com", "bob@example.com"]);
        assert!(emails(admin.get("/users?email=eve@example.com").await.with(200)).is_empty());
        assert_eq!(emails(admin.get("/members").await.with(200)), ["ada@example.com", "bob@example.com"]);
    }
    assert_eq!(emails(root.get("/users?email=EVE@example.com").await.with(200)), ["eve@example.com"]);
    let twice = root.post("/users", json!({"email": "Ada@example.com"})).await;
    assert_eq!(twice.code(), "already_exists");
    let wrong = root.post("/users", json!({"email": "ada"})).await.with(400);
    assert_eq!(wrong["field"], "email");
    let both = root.get(&format!("/members?workspaceId={workspace}&orgId={workspace}")).await;
    assert_eq!(both.code(), "query_invalid");
}

#[tokio::test]
async fn a_token_is_shown_once_works_at_once_and_ends_at_once() {
    let office = Office::opens().await;
    let (_, workspace) = office.org("acme").await;
    let admin = office.client(workspace, AccessRole::WorkspaceAdmin).await;
    let new = json!({"label": "ci", "expiresAt": "2099-01-01T00:00:00+01:00", "limits": {"moneyPerDay": "1.50"}});
    let made = admin.asks(Method::POST, "/tokens", Some(new.clone()), &[("idempotency-key", "k")]).await.with(201);
    assert_eq!(
        (&made["expiresAt"], &made["limits"]["moneyPerDay"]),
        (&json!("2098-12-31T23:00:00.000Z"), &json!("1.5"))
    );
    let client = office.shows(&text(&made["token"]));
    assert_eq!(client.get("/me").await.with(200)["label"], "ci");
    assert_eq!(client.get("/limits").await.with(200)["token"]["moneyPerDay"], "1.5");
    let again = admin.asks(Method::POST, "/tokens", Some(new), &[("idempotency-key", "k")]).await.with(201);
    assert_eq!((&again["id"], &again["token"]), (&made["id"], &Value::Null));

    let path = format!("/tokens/{}", id(&made));
    let secret = text(&made["token"]);
    let shown = admin.get(&path).await;
    assert!(!shown.text.contains(&secret[30..]));
    let change = json!({"label": "build", "models": ["openai:*"], "expiresAt": null, "limits": {"parallel": 2}});
    let changed = admin.patch(&path, change).await.with(200);
    assert_eq!((&changed["label"], &changed["expiresAt"]), (&json!("build"), &Value::Null));
    assert_eq!((&changed["limits"]["parallel"], &changed["limits"]["moneyPerDay"]), (&json!(2), &json!("1.5")));
    for (wrong, field) in [
        (json!({"expiresAt": "yesterday"}), Some("expiresAt")),
        (json!({"models": ["a b\n"]}), Some("models")),
        (json!({"label": "a\nb"}), Some("label")),
        (json!({"expiresAt": "2020-01-01T00:00:00Z"}), None),
        (json!({"role": "root"}), Some("role")),
    ] {
        let refused = admin.patch(&path, wrong.clone()).await.with(400);
        assert_eq!(refused["field"].as_str(), field, "{wrong}");
    }
    assert_eq!(admin.patch(&path, json!({"project": "none"})).await.code(), "not_found");

    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(client.get("/me").await.status, 401);
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(admin.get(&path).await.with(200)["state"], "revoked");
    assert_eq!(admin.patch(&path, json!({"label": "x"})).await.code(), "invalid");
    let listed = admin.get("/tokens?limit=200").await.with(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_user_makes_a_first_token_of_their_own_once_and_then_only_with_such_a_one() {
    let office = Office::opens().await;
    let root = office.root().await;
    let (_, workspace) = office.org("acme").await;
    let (user, given) = member(&office, &root, &workspace.to_string(), "ada@example.com", "member").await;
    assert_eq!(given.get("/me").await.with(200)["madeByItsUser"], false);
    let made = given.post("/me/tokens", json!({"label": "mine"})).await.with(201);
    assert_eq!((&made["madeByItsUser"], &made["userId"]), (&json!(true), &json!(user)));
    let own = office.shows(&text(&made["token"]));
    assert_eq!(own.get("/me").await.with(200)["madeByItsUser"], true);

    // Whoever kept a copy of the given one, or makes another, comes too late.
    let late = given.post("/me/tokens", json!({})).await;
    assert_eq!((late.status, late.code().as_str()), (403, "permission_denied"));
    let another = root.post("/tokens", json!({"userId": user, "workspaceId": workspace})).await.with(201);
    assert_eq!(another["madeByItsUser"], false);
    assert_eq!(office.shows(&text(&another["token"])).post("/me/tokens", json!({})).await.status, 403);
    let second = own.post("/me/tokens", json!({"label": "second"})).await.with(201);

    assert_eq!(own.get("/me/tokens").await.with(200)["items"].as_array().unwrap().len(), 4);
    let path = format!("/me/tokens/{}", id(&second));
    assert_eq!(given.delete(&path).await.status, 403);
    assert_eq!(own.delete(&path).await.status, 204);
    assert_eq!(office.shows(&text(&second["token"])).get("/me").await.status, 401);

    // Lost, or suspect: an admin can end them, and the user's keys with them, and only then begin anew.
    root.asks(Method::POST, &format!("/users/{user}/reset"), None, &[]).await.with(200);
    assert_eq!(own.get("/me").await.status, 401);
    let fresh = root.post("/tokens", json!({"userId": user, "workspaceId": workspace})).await.with(201);
    office.shows(&text(&fresh["token"])).post("/me/tokens", json!({})).await.with(201);
}

#[tokio::test]
async fn a_token_of_ones_own_never_holds_more_than_the_one_it_was_made_with() {
    let office = Office::opens().await;
    let root = office.root().await;
    let (_, workspace) = office.org("acme").await;
    let roles = json!({workspace.to_string(): "workspace_admin"});
    let user = root.post("/users", json!({"email": "ada@example.com", "workspaceRoles": roles})).await.with(201);
    let given = json!({
        "userId": user["id"], "workspaceId": workspace, "role": "member", "kind": "agent", "models": ["openai:gpt-4o"],
        "expiresAt": "2099-01-01T00:00:00Z", "limits": {"parallel": 1}, "mayAssertUser": true,
    });
    let given = office.shows(&text(&root.post("/tokens", given).await.with(201)["token"]));
    for (more, field) in [
        (json!({"models": ["openai:o3"]}), Some("models")),
        (json!({"expiresAt": "2099-01-02T00:00:00Z"}), Some("expiresAt")),
        (json!({"role": "workspace_admin"}), None),
    ] {
        let refused = given.post("/me/tokens", more.clone()).await;
        assert!(matches!(refused.status, 400 | 403), "{more}");
        assert_eq!(refused.json()["field"].as_str(), field);
    }
    let made = given.post("/me/tokens", json!({})).await.with(201);
    assert_eq!((&made["kind"], &made["models"]), (&json!("agent"), &json!(["openai:gpt-4o"])));
    assert_eq!((&made["expiresAt"], &made["limits"]["parallel"]), (&json!("2099-01-01T00:00:00.000Z"), &json!(1)));
    assert_eq!(made["mayAssertUser"], false);
    // A front end that speaks for a user has nothing of its own user's.
    let header = [("x-keyway-user", "eve@example.com")];
    assert_eq!(given.asks(Method::GET, "/me/tokens", None, &header).await.status, 403);
    let nobodys = office.client_with(NewToken::of(workspace)).await;
    assert_eq!(nobodys.get("/me/tokens").await.status, 403);
}

#[tokio::test]
async fn an_identity_is_its_owners_and_is_not_deleted_while_a_model_names_it() {
    let office = Office::opens().await;
    let root = office.root().await;
    let (_, workspace) = office.org("acme").await;
    let admin = office.client(workspace, AccessRole::WorkspaceAdmin).await;
    let shared = root.post("/identities", json!({"name": "house", "text": "Be plain."})).await.with(201);
    let own = json!({"name": "house", "text": "Be brief.", "workspaceId": workspace});
    let own = admin.post("/identities", own.clone()).await.with(201);
    let names = |page: Value| page["items"].as_array().unwrap().len();
    assert_eq!(names(admin.get("/identities").await.with(200)), 1);
    assert_eq!(names(admin.get(&format!("/identities?workspaceId={workspace}")).await.with(200)), 2);
    let path = format!("/identities/{}", id(&own));
    assert_eq!(admin.patch(&path, json!({"text": "Be kind."})).await.with(200)["text"], "Be kind.");
    assert_eq!(admin.delete(&format!("/identities/{}", id(&shared))).await.status, 403);
    assert_eq!(root.post("/identities", json!({"name": "HOUSE", "text": "x"})).await.code(), "already_exists");
    let long = root.post("/identities", json!({"name": "long", "text": "x".repeat(33_000)})).await.with(400);
    assert_eq!(long["field"], "text");
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_under_the_token_that_made_it() {
    let office = Office::opens().await;
    let root = office.root().await;
    let me = text(&root.get("/me").await.with(200)["tokenId"]);
    let org = root.post("/orgs", json!({"name": "acme"})).await.with(201);
    root.patch(&format!("/orgs/{}", id(&org)), json!({"defaultGate": "deny"})).await.with(200);
    assert_eq!(root.post("/orgs", json!({"name": "acme"})).await.status, 409);
    let page = root.get("/audit?limit=2").await.with(200);
    let entity = format!("org {}", id(&org));
    for (record, action) in page["items"].as_array().unwrap().iter().zip(["update", "create"]) {
        let said = (&record["by"], &record["action"], &record["entity"]);
        assert_eq!(said, (&json!(format!("token {me}")), &json!(action), &json!(entity)));
    }
    let next = root.get(&format!("/audit?limit=2&cursor={}", text(&page["nextCursor"]))).await.with(200);
    assert_eq!(next["items"][0]["entity"], format!("token {me}"));
    assert_eq!(next["nextCursor"], Value::Null);

    let link = text(&page["items"][0]["link"]);
    let encoded = link.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let checked = root.get(&format!("/audit/verify?expected={encoded}")).await.with(200);
    assert_eq!(
        (&checked["head"], &checked["holdsExpected"], &checked["records"]),
        (&json!(link), &json!(true), &json!(3))
    );
    assert_eq!(root.get("/audit/verify?expected=x").await.with(200)["holdsExpected"], false);
}
