//! The nine rules, the hurdles and the credentials, each on the smallest directory that shows it.

use super::*;
use crate::config::Routing;
use crate::domain::directory::Directory;
use crate::domain::entity::{
    Credential, DefaultChoice, Gate, Grant, Listing, Model, Org, Owner, Provider, Route, RouteKind, RouteTarget, Token,
    TokenKind, Workspace,
};
use crate::domain::id::Id;
use crate::domain::preset::preset;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::snapshot::{Snapshot, build};

const NOW: Timestamp = Timestamp(1_000);

/// A directory under construction: one org, one workspace `w`, and whatever a test adds.
struct House {
    directory: Directory,
    routing: Routing,
    token: Token,
}

fn id<T>(name: &str) -> Id<T> {
    Id::declared("test", name)
}

impl House {
    fn new() -> Self {
        let mut directory = Directory::default();
        directory.orgs.push(Org::new(id("org"), "org", NOW));
        directory.workspaces.push(Workspace::new(id("w"), id("org"), "w", NOW));
        let token = Token::new(id("token"), TokenHash([1; 32]), id("w"), "test", NOW);
        Self { directory, routing: Routing::default(), token }
    }

    fn provider(mut self, name: &str, priority: u32, change: impl FnOnce(&mut Provider)) -> Self {
        let url = format!("https://{name}.example/v1").parse().unwrap();
        let mut provider = Provider::new(id(name), Owner::Platform, name, preset("custom").unwrap(), url, NOW);
        provider.priority = priority;
        change(&mut provider);
        self.directory.providers.push(provider);
        self
    }

    fn model(mut self, provider: &str, model: &str, change: impl FnOnce(&mut Model)) -> Self {
        let mut model = Model::new(id(&format!("{provider}/{model}")), id(provider), model, NOW);
        change(&mut model);
        self.directory.models.push(model);
        self
    }

    fn key(mut self, name: &str, provider: &str, owner: Owner, change: impl FnOnce(&mut Credential)) -> Self {
        let row = self.directory.providers.iter().find(|one| one.id == id(provider)).unwrap();
        let mut credential = Credential::new(id(name), owner, row.id, &row.base_url.address, NOW);
        change(&mut credential);
        self.directory.credentials.push(credential);
        self
    }

    fn platform_key(self, provider: &str) -> Self {
        self.key(&format!("{provider}-key"), provider, Owner::Platform, |_| ())
    }

    fn route(mut self, kind: RouteKind, name: &str, provider: &str, model: Option<&str>, priority: u32) -> Self {
        let target = RouteTarget { provider: id(provider), model: model.map(String::from) };
        let mut route = Route::new(id(&format!("{name}{priority}")), Owner::Platform, kind, name, target, NOW);
        route.priority = priority;
        self.directory.routes.push(route);
        self
    }

    fn workspace(mut self, change: impl FnOnce(&mut Workspace)) -> Self {
        change(&mut self.directory.workspaces[0]);
        self
    }

    fn token(mut self, change: impl FnOnce(&mut Token)) -> Self {
        change(&mut self.token);
        self
    }

    fn caller(&self) -> Caller {
        let mut directory = self.directory.clone();
        directory.tokens.push(self.token.clone());
        let snapshot: Snapshot = build(&directory, &Directory::default(), &self.routing).unwrap();
        Caller::new(snapshot.view(id("w")).unwrap().clone(), snapshot.tokens[&self.token.hash].clone())
    }

    /// What `see` makes of the plan, which lives no longer than its caller.
    fn asks<T>(&self, question: Question<'_>, see: impl FnOnce(Result<Plan<'_>, Refusal>) -> T) -> T {
        see(resolve(&self.caller(), &question, &Past::None))
    }

    /// The plan for a model string as `provider/model` words, or the refusal's code.
    fn plan(&self, model: &str) -> String {
        self.asks(Question::of_model(model, None), told)
    }
}

fn told(plan: Result<Plan<'_>, Refusal>) -> String {
    match plan {
        Ok(plan) => plan
            .targets()
            .map(|target| format!("{}/{}", target.provider.name, target.model_id))
            .collect::<Vec<_>>()
            .join(" "),
        Err(refusal) => refusal.row().code.to_string(),
    }
}

/// Two providers that list the same model, one of which comes first.
fn two() -> House {
    House::new()
        .provider("a", 2, |_| ())
        .provider("b", 1, |provider| provider.default_model = Some("small".into()))
        .model("a", "gpt", |_| ())
        .model("b", "gpt", |_| ())
        .platform_key("a")
        .platform_key("b")
}

#[test]
fn a_bare_id_that_several_providers_list_is_a_failover_list_by_priority() {
    assert_eq!(two().plan("gpt"), "b/gpt a/gpt");
}

#[test]
fn a_qualified_id_names_one_provider() {
    assert_eq!(two().plan("a:gpt"), "a/gpt");
}

#[test]
fn a_known_prefix_takes_an_unregistered_id_and_an_unknown_one_does_not() {
    assert_eq!(two().plan("a:llama3:8b"), "a/llama3:8b");
    assert_eq!(two().plan("a/anthropic/claude"), "a/anthropic/claude");
    assert_eq!(two().plan("nobody:llama3:8b"), "model_not_found");
    let listed = House::new().provider("a", 1, |one| one.models = Listing::Listed).platform_key("a");
    assert_eq!(listed.plan("a:llama3"), "model_not_found");
}

#[test]
fn an_exact_id_with_a_colon_comes_before_its_prefix() {
    let house = two().model("b", "a:gpt", |_| ());
    assert_eq!(house.plan("a:gpt"), "b/a:gpt a/gpt");
}

#[test]
fn a_prefix_alone_is_its_default_model() {
    assert_eq!(two().plan("b:"), "b/small");
    assert_eq!(two().plan("a:"), "model_not_found");
}

#[test]
fn providers_that_share_a_prefix_are_told_apart_by_the_model_id() {
    let house = House::new()
        .provider("eight", 1, |one| one.prefix = "ai-02".into())
        .provider("four", 2, |one| one.prefix = "ai-02".into())
        .model("four", "qwen3-4b", |_| ())
        .platform_key("eight")
        .platform_key("four");
    assert_eq!(house.plan("ai-02:qwen3-4b"), "four/qwen3-4b");
    assert_eq!(house.plan("ai-02:other"), "eight/other four/other");
}

#[test]
fn a_provider_that_keeps_its_prefix_is_sent_it() {
    let house = |strip| {
        let change = |one: &mut Provider| (one.prefix, one.strip_prefix) = ("ai-02".into(), strip);
        House::new().provider("local", 1, change).model("local", "qwen3-4b", |_| ()).platform_key("local")
    };
    let sent = |strip, model| {
        house(strip).asks(Question::of_model(model, None), |plan| plan.unwrap().first().sent_model().to_string())
    };
    assert_eq!(sent(true, "ai-02:qwen3-4b"), "qwen3-4b");
    assert_eq!(sent(false, "ai-02:qwen3-4b"), "ai-02:qwen3-4b");
    assert_eq!(sent(false, "ai-02:other"), "ai-02:other");
}

#[test]
fn where_neither_credential_nor_provider_has_a_default_the_protocols_is_called() {
    let mut house = House::new().provider("a", 1, |_| ()).key("mine", "a", Owner::Workspace(id("w")), |_| ());
    assert_eq!(house.plan("default"), "model_not_found");
    house.routing.protocol_default = vec![(Protocol::Chat, "usual".into())];
    assert_eq!(house.plan("default"), "a/usual");
}

#[test]
fn a_role_is_a_failover_list_unless_a_model_has_its_name() {
    let house = two().route(RouteKind::Role, "summariser", "a", Some("gpt"), 2).route(
        RouteKind::Role,
        "summariser",
        "b",
        None,
        1,
    );
    assert_eq!(house.plan("summariser"), "b/small a/gpt");
    assert_eq!(house.plan("role:summariser"), "b/small a/gpt");
    assert_eq!(house.plan("role:nobody"), "model_not_found");
    let shadowed = house.model("a", "summariser", |_| ());
    assert_eq!(shadowed.plan("summariser"), "a/summariser");
    assert_eq!(shadowed.plan("role:summariser"), "b/small a/gpt");
}

#[test]
fn the_role_header_speaks_only_where_the_model_says_nothing() {
    let house = two().route(RouteKind::Role, "coding", "a", Some("gpt"), 1);
    let with_role = |model| Question { role: Some("coding"), ..Question::of_model(model, None) };
    assert_eq!(house.asks(with_role("default"), told), "a/gpt");
    assert_eq!(house.asks(with_role("b:gpt"), told), "b/gpt");
}

#[test]
fn an_alias_leads_to_its_target() {
    let house = two().route(RouteKind::Alias, "fast", "a", Some("gpt"), 1);
    assert_eq!(house.plan("fast"), "a/gpt");
}

#[test]
fn a_credentials_id_is_a_model_endpoint() {
    let owner = Owner::Workspace(id("w"));
    let house = two().key("mine", "a", owner, |one| one.overrides.default_model = Some("own".into()));
    let mine = id::<Credential>("mine").to_string();
    assert_eq!(house.plan(&mine), "a/own");
    assert_eq!(house.plan(&format!("endpoint:{mine}")), "a/own");
    let header = Question { endpoint: Some(&mine), ..Question::of_model("default", None) };
    assert_eq!(house.asks(header, told), "a/own");
    let modelless = two().key("mine", "a", owner, |_| ());
    assert_eq!(modelless.plan(&format!("endpoint:{mine}:gpt")), "a/gpt");
}

#[test]
fn another_workspaces_endpoint_can_not_be_named() {
    let house = two().key("theirs", "a", Owner::Workspace(id("other")), |_| ());
    assert_eq!(house.plan(&id::<Credential>("theirs").to_string()), "model_not_found");
}

#[test]
fn the_default_comes_from_project_workspace_own_credential_setting_and_granted_credential_in_this_order() {
    let mut house = two();
    assert_eq!(house.plan("default"), "b/small");
    house.routing.default = Some("a:gpt".into());
    assert_eq!(house.plan(""), "a/gpt");
    let house = house.key("mine", "b", Owner::Workspace(id("w")), |_| ());
    assert_eq!(house.plan("default"), "b/small");
    let choice = |model: &str| DefaultChoice { provider: id("a"), model: Some(model.into()) };
    let house = house.workspace(|one| one.default = Some(choice("chosen")));
    assert_eq!(house.plan("default"), "a/chosen");
    let house = house.workspace(|one| drop(one.projects.insert("p".into(), choice("project"))));
    assert_eq!(house.asks(Question::of_model("default", Some("p")), told), "a/project");
    let house = house.token(|one| one.project = Some("p".into()));
    assert_eq!(house.plan("default"), "a/project");
}

#[test]
fn the_workspaces_default_provider_takes_unknown_ids_and_agents_end_at_the_fallback() {
    let choice = DefaultChoice { provider: id("a"), model: None };
    let house = two().workspace(|one| one.default = Some(choice));
    assert_eq!(house.plan("brand-new"), "a/brand-new");
    let mut agents =
        two().model("b", "steady", |one| one.approved_for_agent = true).token(|one| one.kind = TokenKind::Agent);
    assert_eq!(agents.plan("brand-new"), "model_not_found");
    agents.routing.fallback = Some("b:steady".into());
    assert_eq!(agents.plan("brand-new"), "b/steady");
    assert_eq!(agents.plan("role:nobody"), "b/steady");
}

#[test]
fn the_refusal_is_that_of_the_last_hurdle_any_target_reached() {
    let gated = |house: House, provider: &str| {
        let mut house = house;
        house.directory.orgs[0].gates.insert(id(provider), Gate::Deny);
        house
    };
    assert_eq!(gated(two(), "b").plan("gpt"), "a/gpt");
    assert_eq!(gated(gated(two(), "a"), "b").plan("gpt"), "provider_disabled");
    let mut keyless = two();
    keyless.directory.credentials.clear();
    assert_eq!(keyless.plan("gpt"), "no_credential");
    assert_eq!(gated(keyless, "a").plan("gpt"), "no_credential");
    assert_eq!(two().token(|one| one.models = vec!["a:gpt".into()]).plan("b:gpt"), "model_not_found");
    assert_eq!(two().token(|one| one.models = vec!["a:*".into()]).plan("gpt"), "a/gpt");
    assert_eq!(two().token(|one| one.kind = TokenKind::Agent).plan("gpt"), "model_not_approved");
    let off = House::new().provider("a", 1, |one| one.enabled = false).model("a", "gpt", |_| ()).platform_key("a");
    assert_eq!(off.plan("gpt"), "model_not_found");
}

#[test]
fn a_gate_stands_whatever_keys_the_workspace_has() {
    let mut house = two().key("mine", "a", Owner::Workspace(id("w")), |_| ());
    house.directory.orgs[0].gates.insert(id("a"), Gate::Deny);
    assert_eq!(house.plan("a:gpt"), "provider_disabled");
}

#[test]
fn only_a_call_that_can_not_fit_is_refused_for_its_length() {
    let house =
        House::new().provider("a", 1, |_| ()).model("a", "gpt", |one| one.context_length = Some(100)).platform_key("a");
    let long = |tokens| Question { least_input_tokens: tokens, ..Question::of_model("gpt", None) };
    assert_eq!(house.asks(long(100), told), "a/gpt");
    assert_eq!(house.asks(long(101), told), "context_length_exceeded");
}

fn scopes(house: &House) -> Vec<String> {
    let scope = |target: &Target<'_>| target.credential.map_or("none".into(), |one| one.id().to_string());
    house.asks(Question::of_model("a:gpt", None), |plan| plan.unwrap().targets().map(scope).collect())
}

#[test]
fn the_first_scope_that_has_a_credential_wins_and_the_platform_follows_only_where_allowed() {
    let house = two().key("mine", "a", Owner::Workspace(id("w")), |_| ());
    assert_eq!(scopes(&house), [id::<Credential>("mine").to_string()]);
    let house = house.workspace(|one| one.fallback_to_platform = true);
    assert_eq!(scopes(&house), [id::<Credential>("mine").to_string(), id::<Credential>("a-key").to_string()]);
}

#[test]
fn an_inactive_credential_is_none_at_all() {
    let house = two().key("mine", "a", Owner::Workspace(id("w")), |one| one.active = false);
    assert_eq!(scopes(&house), [id::<Credential>("a-key").to_string()]);
}

#[test]
fn a_grant_to_this_workspace_beats_a_grant_to_all_and_one_to_others_is_nothing() {
    let granted = |to: &str| Grant::Workspaces(vec![id(to)]);
    let house = two().key("ours", "a", Owner::Platform, |one| one.grant = granted("w"));
    assert_eq!(scopes(&house), [id::<Credential>("ours").to_string()]);
    let house = two().key("theirs", "a", Owner::Platform, |one| one.grant = granted("other"));
    assert_eq!(scopes(&house), [id::<Credential>("a-key").to_string()]);
}

fn files() -> Question<'static> {
    Question { operation: Operation::Files, provider: Some("a"), ..Question::of_model("", None) }
}

fn about(house: &House, past: &Past) -> String {
    told(resolve(&house.caller(), &files(), past))
}

#[test]
fn what_is_not_on_record_is_somebody_elses_on_a_shared_credential_and_nobodys_business_on_ones_own() {
    let shared = two();
    assert_eq!(about(&shared, &Past::None), "a/");
    assert_eq!(about(&shared, &Past::Unrecorded), "object_not_found");
    assert_eq!(about(&shared, &Past::Unasked), "state_unavailable");
    let own = two().key("mine", "a", Owner::Workspace(id("w")), |_| ());
    assert_eq!(about(&own, &Past::Unrecorded), "a/");
    assert_eq!(about(&own, &Past::Unasked), "a/");
    // The platform's key would follow, but it is not the object's.
    let own = own.workspace(|workspace| workspace.fallback_to_platform = true);
    assert_eq!(about(&own, &Past::None), "a/ a/");
    assert_eq!(about(&own, &Past::Unrecorded), "a/");
    assert_eq!(about(&own, &Past::Listing), "a/");
    assert_eq!(about(&shared, &Past::Listing), "a/");
}

#[test]
fn what_is_on_record_binds_a_call_to_its_provider_and_to_its_credential() {
    let made = |provider: &str, credential: &str| Past::Theirs {
        provider: id(provider),
        credential: Some(id::<Credential>(credential)),
    };
    let house = two().key("mine", "a", Owner::Workspace(id("w")), |_| ());
    let (caller, past) = (house.caller(), made("a", "a-key"));
    let plan = resolve(&caller, &files(), &past).unwrap();
    assert_eq!(
        plan.first().credential.as_ref().unwrap().id(),
        id::<Credential>("a-key"),
        "though there is a nearer one"
    );
    assert_eq!(about(&house, &made("b", "b-key")), "header_invalid");
    assert_eq!(about(&house, &made("a", "deleted")), "object_not_found");
    let granted = |one: &mut Credential| one.grant = Grant::Workspaces(vec![id("other")]);
    let house = house.key("theirs", "a", Owner::Platform, granted);
    assert_eq!(about(&house, &made("a", "theirs")), "object_not_found", "its grant was taken back");

    let with = |past| told(resolve(&two().caller(), &Question::of_model("gpt", None), past));
    assert_eq!(with(&Past::None), "b/gpt a/gpt");
    assert_eq!(with(&made("a", "a-key")), "a/gpt");
    let other = Question::of_model("b:gpt", None);
    assert_eq!(told(resolve(&two().caller(), &other, &made("a", "a-key"))), "field_invalid");
}

#[test]
fn equals_are_drawn_by_weight_and_the_same_conversation_draws_the_same() {
    let house = House::new()
        .provider("heavy", 1, |one| one.weight = 3)
        .provider("light", 1, |_| ())
        .model("heavy", "gpt", |_| ())
        .model("light", "gpt", |_| ())
        .platform_key("heavy")
        .platform_key("light");
    let caller = house.caller();
    let first = |seed| {
        let question = Question { seed, ..Question::of_model("gpt", None) };
        resolve(&caller, &question, &Past::None).unwrap().first().provider.name.to_string()
    };
    let heavy = (0..4_000).filter(|seed| first(*seed) == "heavy").count();
    assert!((2_850..3_150).contains(&heavy), "{heavy} of 4000 went to a provider with three quarters of the weight");
    assert_eq!(first(17), first(17));
}

#[test]
fn a_refusal_names_the_closest_models_of_this_caller_only() {
    let house = two().model("a", "gpt-4o-mini", |_| ()).model("a", "gpt-4o-maxi", |one| one.approved_for_chat = false);
    let refusal = house.asks(Question::of_model("gpt-4o-min", None), |plan| plan.unwrap_err().to_string());
    assert!(refusal.contains("a:gpt-4o-mini") && !refusal.contains("maxi"), "{refusal}");
}

#[test]
fn the_list_shows_what_a_caller_may_use_and_nothing_else() {
    let house = two()
        .route(RouteKind::Alias, "fast", "a", Some("gpt"), 1)
        .route(RouteKind::Role, "coding", "a", Some("gpt"), 1)
        .model("a", "hidden", |one| one.approved_for_chat = false);
    let mut ids: Vec<String> = listed(&house.caller()).map(|one| one.id).collect();
    ids.sort();
    assert_eq!(ids, ["a:gpt", "b:gpt", "fast", "role:coding"]);
}

#[test]
fn an_object_on_record_binds_the_plan_to_its_provider_and_credential() {
    let house = two();
    let past = Past::Theirs { provider: id("a"), credential: Some(id("a-key")) };
    assert_eq!(told(resolve(&house.caller(), &Question::of_model("gpt", None), &past)), "a/gpt");
}

#[test]
fn an_explanation_shows_the_rule_the_targets_and_what_fell_out() {
    let mut house = two();
    house.directory.orgs[0].gates.insert(id("b"), Gate::Deny);
    let explained = |plan: Result<Plan<'_>, Refusal>| {
        let plan = plan.unwrap();
        [Reader::Operator, Reader::Caller].map(|reader| Explanation::of(&plan, reader).to_string())
    };
    let [all, some] = house.asks(Question::of_model("gpt", None), explained);
    assert!(
        all.contains("rule: exact model id")
            && all.contains("1. a gpt")
            && all.contains("dropped: b b:gpt: switched off by"),
        "{all}"
    );
    assert!(some.contains("dropped: 1 other targets") && !some.contains("b:gpt"), "{some}");
}
