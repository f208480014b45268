//! Workspaces side by side: what one does, has or breaks is never another's.

use keyway::domain::entity::TokenKind;
use keyway::domain::id::Id;
use keyway::domain::token::mint;

use super::support::{Answer, Plan, World, secs};

/// `main` and `other` on one provider; `other` has a key of its own.
fn two_keys() -> Plan {
    World::of(["primary"]).neighbour("other").key("other", "primary", "key-of-other")
}

fn key(world: &World, provider: &str) -> String {
    world.provider(provider).last().header("authorization").unwrap_or_default().to_string()
}

#[tokio::test(start_paused = true)]
async fn each_workspace_pays_with_its_own_key() {
    let world = two_keys().stands();
    world.client().asks("m").await.is_served("hello");
    assert_eq!(key(&world, "primary"), "Bearer key-of-primary");
    world.client_of("other").asks("m").await.is_served("hello");
    assert_eq!(key(&world, "primary"), "Bearer key-of-other");
}

/// What `other` does to itself in this way leaves `main` served by the same provider, without a single refusal.
async fn check_untouched(trouble: Answer) {
    let world = two_keys().stands();
    let primary = world.provider("primary");
    primary.answers(trouble);
    for _ in 0..10 {
        assert_ne!(world.client_of("other").asks("m").await.status, 200);
    }
    primary.answers(Answer::whole("hello"));
    for _ in 0..10 {
        world.client().asks("m").await.is_served("hello");
    }
}

#[tokio::test(start_paused = true)]
async fn a_neighbours_bad_key_leaves_others_alone() {
    check_untouched(Answer::error(401, "invalid_api_key")).await;
    check_untouched(Answer::error(403, "invalid_api_key")).await;
}

#[tokio::test(start_paused = true)]
async fn a_neighbours_spent_quota_leaves_others_alone() {
    check_untouched(Answer::error(402, "payment_required")).await;
    check_untouched(Answer::error(429, "insufficient_quota")).await;
}

#[tokio::test(start_paused = true)]
async fn a_neighbours_rate_limit_leaves_others_alone() {
    check_untouched(Answer::of(429, &[("retry-after", "60")], "{}")).await;
}

#[tokio::test(start_paused = true)]
async fn a_neighbours_crafted_failures_leave_others_alone() {
    check_untouched(Answer::error(500, "as the prompt asked")).await;
    check_untouched(Answer::default().closes()).await;
    check_untouched(Answer::raw("garbage\r\n\r\n").closes()).await;
}

#[tokio::test(start_paused = true)]
async fn two_workspaces_failures_open_the_breaker_for_all() {
    let plan = World::of(["primary", "spare"]).neighbour("other").neighbour("third");
    let world = plan.key("other", "primary", "key-of-other").stands();
    world.provider("primary").answers(Answer::error(500, "down"));
    for _ in 0..3 {
        world.client_of("other").asks("fast").await.is_served("hello");
    }
    world.client_of("third").asks("fast").await;
    world.provider("primary").was_called(4);
    world.client().asks("fast").await;
    world.client().asks("fast").await;
    let calls = world.provider("primary").calls();
    world.client_of("third").asks("fast").await.is_served("hello");
    world.provider("primary").was_called(calls);
}

#[tokio::test(start_paused = true)]
async fn a_granted_key_is_for_those_it_names() {
    let grant = "[[grant]]\nprovider = \"primary\"\nworkspaces = [\"main\"]";
    let world = World::of(["primary"]).neighbour("other").and(grant).stands();
    world.client().asks("m").await.is_served("hello");
    world.client_of("other").asks("m").await.is_refused(403, "no_credential");
    world.provider("primary").was_called(1);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_key_of_ones_own_is_never_quietly_replaced_by_the_platforms() {
    let world = two_keys().stands();
    world.provider("primary").answers(Answer::error(401, "invalid_api_key"));
    let reply = world.client_of("other").asks("m").await;
    reply.is_refused(502, "credential_rejected");
    assert!(reply.text().contains("workspace credential"), "{}", reply.text());
    assert!(!reply.text().contains("key-of"), "{}", reply.text());
    world.provider("primary").was_called(1);
}

#[tokio::test(start_paused = true)]
async fn with_leave_the_platforms_key_follows_directly_behind() {
    let world = two_keys().workspace("other", "fallback_to_platform", "true").stands();
    world.provider("primary").answers(Answer::error(401, "invalid_api_key")).then(Answer::whole("hello"));
    world.client_of("other").asks("m").await.is_served("hello");
    let keys: Vec<String> = world
        .provider("primary")
        .heard()
        .iter()
        .map(|heard| heard.header("authorization").unwrap().to_string())
        .collect();
    assert_eq!(keys, ["Bearer key-of-other", "Bearer key-of-primary"]);
}

#[tokio::test(start_paused = true)]
async fn no_key_goes_to_another_provider_than_its_own() {
    let world = World::of(["primary", "spare"]).neighbour("other").key("other", "spare", "key-of-other").stands();
    world.provider("primary").answers(Answer::error(500, "down"));
    world.client().asks("fast").await.is_served("hello");
    assert_eq!([key(&world, "primary"), key(&world, "spare")], ["Bearer key-of-primary", "Bearer key-of-spare"]);
    world.client_of("other").asks("fast").await.is_served("hello");
    assert_eq!([key(&world, "primary"), key(&world, "spare")], ["Bearer key-of-primary", "Bearer key-of-other"]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_stands_before_any_key() {
    let gate = "[[gate]]\norg = \"acme\"\nprovider = \"primary\"\ngate = \"deny\"";
    let world = two_keys().and(gate).stands();
    for workspace in ["main", "other"] {
        world.client_of(workspace).asks("m").await.is_refused(403, "provider_disabled");
    }
    world.provider("primary").was_not_called();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_on_a_tokens_list_does_not_exist() {
    let plan = World::of(["primary", "spare"]).token("narrow", "main", |token| token.models = vec!["primary:m".into()]);
    let world = plan.stands();
    let narrow = world.client_of("narrow");
    narrow.asks("primary:m").await.is_served("hello");
    narrow.asks("spare:m").await.is_refused(404, "model_not_found");
    narrow.asks("primary:n").await.is_refused(404, "model_not_found");
    narrow.asks("fast").await.is_served("hello");
    world.provider("spare").was_not_called();
    let models = narrow.gets("/v1/models").await.text();
    assert!(models.contains("primary:m") && !models.contains("spare"), "{models}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_gets_approved_models_only() {
    let plan = World::of(["primary"]).token("agent", "main", |token| token.kind = TokenKind::Agent);
    let world = plan.stands();
    world.client_of("agent").asks("m").await.is_refused(403, "model_not_approved");
    world.provider("primary").was_not_called();
}

#[tokio::test(start_paused = true)]
async fn anothers_endpoint_is_as_unknown_as_one_that_does_not_exist() {
    let world = two_keys().stands();
    let theirs = world.credential("other");
    world.client_of("other").asks(&format!("endpoint:{theirs}:m")).await.is_served("hello");
    let made_up = uuid::Uuid::nil().to_string();
    let said = |text: String, id: &str| text.replace(id, "ID");
    for (id, model) in [(&theirs, format!("endpoint:{theirs}:m")), (&theirs, theirs.clone())] {
        let reply = world.client().asks(&model).await;
        let unknown = world.client().asks(&model.replace(id.as_str(), &made_up)).await;
        assert_eq!((reply.status, said(reply.text(), id)), (unknown.status, said(unknown.text(), &made_up)));
        assert_eq!(reply.status, 404);
    }
    let reply = world.client().asks("m").header("x-keyway-endpoint", &theirs).await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    world.provider("primary").was_called(1);
}

#[tokio::test(start_paused = true)]
async fn the_list_of_models_is_the_callers_own() {
    let grant = "[[grant]]\nprovider = \"spare\"\nworkspaces = [\"other\"]";
    let world = World::of(["primary", "spare"]).neighbour("other").and(grant).stands();
    let (main, other) = (world.client().gets("/v1/models").await, world.client_of("other").gets("/v1/models").await);
    assert!(!main.text().contains("spare"), "{}", main.text());
    assert!(other.text().contains("spare"), "{}", other.text());
    let reply = world.client().asks("spare:mm").await;
    assert!(!reply.text().contains("\"spare:m\""), "{}", reply.text());
}

#[tokio::test(start_paused = true)]
async fn only_a_trusted_front_end_speaks_for_a_user() {
    let plan = World::of(["primary"]).token("front", "main", |token| token.may_assert_user = true);
    let world = plan.stands();
    world.client().asks("m").header("x-keyway-user", "ann").await.is_refused(400, "header_invalid");
    world.provider("primary").was_not_called();
    world.client_of("front").asks("m").header("x-keyway-user", "ann").await.is_served("hello");
    assert_eq!(world.records().last().unwrap().asserted.as_deref(), Some("ann"));
    assert!(!world.provider("primary").last().head.contains("ann"));
}

#[tokio::test(start_paused = true)]
async fn without_a_valid_token_nothing_is_told_and_nothing_is_called() {
    let world = World::of(["primary"]).stands();
    let stranger = mint(Id::random()).unwrap().0;
    let stranger = std::str::from_utf8(stranger.expose()).unwrap();
    for token in [stranger, "kw_x", "sk-1234", "key-of-primary"] {
        let reply = world.client().with_token(token).asks("m").await;
        reply.is_refused(401, "invalid_api_key");
        assert!(!reply.text().contains(token), "a token is never repeated");
        assert_eq!(reply.took, secs(0));
    }
    world.client().with_token("").asks("m").await.is_refused(401, "token_missing");
    world.client().asks("m").header("x-api-key", "kw_another").await.is_refused(401, "tokens_differ");
    world.provider("primary").was_not_called();
    assert!(world.records().is_empty(), "no exchange");
}

#[tokio::test(start_paused = true)]
async fn the_token_is_taken_from_wherever_sdks_put_it_and_goes_no_further() {
    let world = World::of(["primary"]).stands();
    let token = world.token("main");
    for header in ["x-api-key", "api-key", "x-goog-api-key"] {
        world
            .client()
            .with_token("")
            .asks("m")
            .without("authorization")
            .header(header, &token)
            .await
            .is_served("hello");
    }
    world.client().asks("m").header("x-api-key", &token).await.is_served("hello");
    for heard in world.provider("primary").heard() {
        assert!(!heard.head.contains(&token) && !heard.text().contains(&token));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_entered_for_another_address_goes_nowhere() {
    let plan = World::of(["primary"]).neighbour("other").key("other", "primary", "key-of-other");
    let world = plan.entered_for("https://primary.example:8443").stands();
    let reply = world.client_of("other").asks("m").await;
    reply.is_refused(502, "credential_unusable");
    world.provider("primary").was_not_called();
    world.client().asks("m").await.is_served("hello");
}
