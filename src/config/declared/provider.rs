//! Declared providers with their keys, models and routes.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use super::{Declaring, limits};
use crate::config::problem::nearest;
use crate::config::read::Value;
use crate::config::table::{Table, Written};
use crate::domain::address::{Address, BaseUrl, Egress, EgressDenied, NotABaseUrl};
use crate::domain::entity::{
    Credential, Grant, Hydration, KeyMaterial, Listing, Model, ModelDefaults, Overrides, Owner, Provider,
    ProviderSettings, Route, RouteKind, RouteTarget, Source,
};
use crate::domain::id::Id;
use crate::domain::preset::{KeyPlace, Kind, PRESETS, Preset, preset};
use crate::domain::prices::{PriceHistory, Prices};
use crate::domain::protocol::Protocol;
use crate::domain::secret::Secret;

/// The wait for a first event, or for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// In the middle, so that there is room before and behind those that say nothing.
const PRIORITY: u32 = 100;

const WEIGHTS: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const PRIORITIES: std::ops::RangeInclusive<u64> = 0..=u32::MAX as u64;
const AT_LEAST_ONE: std::ops::RangeInclusive<u64> = 1..=u64::MAX;

/// Words that a model string may begin with and that are no provider.
const RESERVED: [&str; 3] = ["role", "endpoint", "default"];

/// The protocols and kinds of listing, as a file names them.
const PROTOCOLS: [(&str, Protocol); 5] = [
    ("chat", Protocol::Chat),
    ("responses", Protocol::Responses),
    ("messages", Protocol::Messages),
    ("gemini", Protocol::Gemini),
    ("bedrock", Protocol::Bedrock),
];
const LISTINGS: [(&str, Listing); 2] = [("listed", Listing::Listed), ("any", Listing::Any)];

pub(super) fn provider(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let name = table.required("id", "\"openai\"", Value::name);
    let preset = preset_of(table, name.as_ref());
    let protocol = table.get("protocol", |value| value.choice(&PROTOCOLS));
    let prefix = table.get("prefix", prefix);
    let settings = settings(table, preset.map(|preset| preset.kind));
    let base_url = base_url(table, preset, &settings, declaring.egress);
    let default_model = table.get("default_model", Value::text);
    let enabled = table.flag("enabled", true);
    let priority = table.number("priority", PRIORITY, PRIORITIES);
    let weight = table.number("weight", 1, WEIGHTS);
    let timeout = table.duration("timeout", TIMEOUT);
    let strip_prefix = table.flag("strip_prefix", true);
    let models = table.choice("models", Listing::Any, &LISTINGS);
    let max_parallel = table.get("max_parallel", |value| value.number(AT_LEAST_ONE));
    let key = key(table, preset);
    let name = name?;
    let id = declaring.providers.add(table.reader, &name);
    let (preset, base_url) = (preset?, base_url?);
    if let Some((key, label)) = key {
        declaring.directory.credentials.push(credential(key, label, id, &name.value, &base_url, declaring));
    }
    declaring.directory.providers.push(Provider {
        id,
        number: None,
        owner: Owner::Platform,
        prefix: prefix.unwrap_or_else(|| name.value.clone()),
        name: name.value,
        kind: preset.kind,
        preset: preset.name.to_string(),
        protocol: protocol.unwrap_or(preset.protocol),
        base_url,
        default_model,
        enabled,
        priority,
        weight,
        timeout,
        strip_prefix,
        models,
        max_parallel,
        settings,
        discovered_at: None,
        created_at: declaring.now,
        updated_at: declaring.now,
        deleted_at: None,
        declared: true,
    });
    Some(())
}

/// The kind stated, which may be any preset's name, else the preset that is called like the provider.
fn preset_of(table: &mut Table<'_>, name: Option<&Written<String>>) -> Option<&'static Preset> {
    let same_name = name.and_then(|name| preset(&name.value));
    match same_name {
        Some(same) if !table.states("kind") => {
            table.get("kind", |_| Some(same));
            Some(same)
        }
        _ => table.required("kind", "\"custom\"", kind),
    }
}

fn kind(value: &Value<'_>) -> Option<&'static Preset> {
    let text = value.text()?;
    let by_kind = || Kind::from_str(&text).ok().and_then(|kind| preset(kind.name()));
    let names = || PRESETS.iter().map(|preset| preset.name);
    preset(&text).or_else(by_kind).or_else(|| {
        let remedy = match nearest(&text, names()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("write one of: {}", names().collect::<Vec<_>>().join(", ")),
        };
        value.wrong(&format!("can't be `{text}`"), &remedy)
    })
}

fn prefix(value: &Value<'_>) -> Option<String> {
    let prefix = value.name()?.value;
    if RESERVED.contains(&prefix.as_str()) {
        return value.wrong(&format!("can't be `{prefix}`, which has a meaning of its own"), "choose another prefix");
    }
    Some(prefix)
}

/// What only some kinds know. Stated for another kind it would be ignored, so it is a problem.
fn settings(table: &mut Table<'_>, kind: Option<Kind>) -> ProviderSettings {
    let only = |of: Kind, value: &Value<'_>| match kind {
        Some(kind) if kind != of => value.wrong(&format!("is only for {of}, and this is {kind}"), "leave it out"),
        _ => Some(()),
    };
    let settings = ProviderSettings {
        deployment: table.get("deployment", |value| only(Kind::AzureOpenAi, value).and_then(|()| value.text())),
        api_version: table.get("api_version", |value| only(Kind::AzureOpenAi, value).and_then(|()| value.text())),
        region: table.get("region", |value| {
            only(Kind::Bedrock, value)?;
            value.name().map(|region| region.value)
        }),
        command: table.list("command", Value::text),
    };
    match (kind, settings.command.is_empty()) {
        (Some(Kind::AgentSdk), true) => table.lacks("command", "[\"/path/to/program\", \"argument\"]"),
        (Some(Kind::AgentSdk) | None, _) | (_, true) => {}
        (Some(other), false) => {
            let what = format!("`provider.command` is only for {}, and this is {other}", Kind::AgentSdk);
            table.reader.problem(table.at, what, "leave it out".into());
        }
    }
    settings
}

fn base_url(
    table: &mut Table<'_>,
    preset: Option<&Preset>,
    settings: &ProviderSettings,
    egress: &Egress,
) -> Option<BaseUrl> {
    let is_stated = table.states("base_url");
    let (stated, at) = match table.get("base_url", written_url) {
        Some(url) => (Some(url.value), url.at),
        None => (None, table.at),
    };
    let preset = preset?;
    // A process has no address; this name is reserved never to resolve.
    let nowhere = || "https://agent-sdk.invalid".parse().ok();
    let url = match (preset.kind, &settings.region) {
        _ if is_stated => stated?,
        (Kind::AgentSdk, _) => return nowhere(),
        (Kind::Bedrock, Some(region)) => format!("https://bedrock-runtime.{region}.amazonaws.com").parse().ok()?,
        (Kind::Bedrock, None) => {
            table.lacks("region", "\"us-east-1\"");
            return None;
        }
        (_, _) => match preset.base_url {
            Some(usual) => usual.parse().ok()?,
            None => {
                table.lacks("base_url", if preset.kind == Kind::AzureOpenAi { AZURE_URL } else { SOME_URL });
                return None;
            }
        },
    };
    if let Err(denied) = egress.allows_address(&url.address) {
        table.reader.problem(
            at,
            format!("nothing may be sent to {}: {}", url.address, why(&denied)),
            allow(&denied, &url.address, egress),
        );
    }
    Some(url)
}

const AZURE_URL: &str = "\"https://NAME.openai.azure.com\"";
const SOME_URL: &str = "\"https://…/v1\"";

/// The error itself is not shown where it repeats the URL, for that may hold a password.
fn written_url(value: &Value<'_>) -> Option<Written<BaseUrl>> {
    const EXAMPLE: &str = "write for example \"https://api.openai.com/v1\"";
    match value.text()?.parse() {
        Ok(url) => Some(Written { value: url, at: value.at }),
        Err(NotABaseUrl::Unreadable(_) | NotABaseUrl::Scheme(_)) => {
            value.wrong("is no https:// or http:// URL", EXAMPLE)
        }
        Err(NotABaseUrl::UserInfo) => value.wrong("holds a user name or password", "put the key into `api_key`"),
        Err(NotABaseUrl::Query) => value.wrong("holds a `?` or `#`", EXAMPLE),
    }
}

fn why(denied: &EgressDenied) -> &'static str {
    match denied {
        EgressDenied::PlainHttp(_) => "plain HTTP is allowed to listed hosts only",
        EgressDenied::Port(_) => "ports other than 443 are allowed only if listed",
        EgressDenied::NotPublic(_) => "it is not a public address",
    }
}

/// The line that allows it, whole, so that it can be copied.
fn allow(denied: &EgressDenied, address: &Address, egress: &Egress) -> String {
    match denied {
        EgressDenied::PlainHttp(host) => {
            let hosts: Vec<String> = egress.http.iter().map(|host| format!("\"{host}\"")).collect();
            format!("use https, or write under [egress]: http = [{}]", with(hosts, format!("\"{host}\"")))
        }
        EgressDenied::Port(port) => {
            let ports = egress.ports.iter().map(u16::to_string).collect();
            format!("write under [egress]: ports = [{}]", with(ports, port.to_string()))
        }
        EgressDenied::NotPublic(_) => format!("add \"{}\" to `private_networks` under [egress]", address.host),
    }
}

fn with(mut list: Vec<String>, one: String) -> String {
    list.push(one);
    list.join(", ")
}

/// The provider's own key and its label.
fn key(table: &mut Table<'_>, preset: Option<&Preset>) -> Option<(Arc<Secret>, Option<String>)> {
    let is_stated = table.states("api_key");
    let takes_none = preset.is_some_and(|preset| preset.key == KeyPlace::Nowhere);
    let key = table.get("api_key", |value| match takes_none {
        true => value.wrong("is set, but this kind of provider takes no key", "leave it out"),
        false => value.secret(),
    });
    let label = table.get("label", |value| match is_stated {
        true => value.text(),
        false => value.wrong("labels a key that is not there", "add `api_key`, or leave the label out"),
    });
    Some((key?, label))
}

fn credential(
    key: Arc<Secret>,
    label: Option<String>,
    provider: Id<Provider>,
    name: &str,
    base_url: &BaseUrl,
    declaring: &Declaring<'_>,
) -> Credential {
    Credential {
        id: Id::declared("credential", name),
        number: None,
        owner: Owner::Platform,
        provider,
        last4: key.last4(),
        key: KeyMaterial::Declared(key),
        entered_for: base_url.address.to_string(),
        label: label.unwrap_or_else(|| name.to_string()),
        active: true,
        weight: 1,
        max_parallel: None,
        overrides: Overrides::default(),
        grant: Grant::All,
        created_at: declaring.now,
        updated_at: declaring.now,
        deleted_at: None,
        declared: true,
    }
}

pub(super) fn model(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let provider = table.required("provider", "\"openai\"", |value| declaring.providers.find(value));
    let model_id = table.required("id", "\"gpt-4o-mini\"", model_name);
    let display_name = table.get("display_name", Value::text);
    let context_length = table.get("context_length", |value| value.number(AT_LEAST_ONE));
    let max_completion_tokens = table.get("max_completion_tokens", |value| value.number(AT_LEAST_ONE));
    let timeout = table.get("timeout", Value::duration);
    let (local, local_path) = (table.flag("local", false), table.get("local_path", Value::text));
    let approved_for_agent = table.flag("approved_for_agent", false);
    let approved_for_chat = table.flag("approved_for_chat", true);
    let (defaults, hydration) = (defaults(table), hydration(table, declaring));
    let prices = prices(table);
    let capabilities = table.list("capabilities", Value::text);
    let enabled = table.flag("enabled", true);
    let limits = limits(table);
    let (provider, model_id) = (provider?, model_id?);
    let id = Id::declared("model", &format!("{provider}/{}", model_id.value));
    if declaring.directory.models.iter().any(|model| model.id == id) {
        let what = format!("there are two [[model]] with the id `{}` for one provider", model_id.value);
        table.reader.problem(model_id.at, what, "remove one of them".into());
    }
    declaring.directory.models.push(Model {
        id,
        number: None,
        provider,
        model_id: model_id.value,
        display_name,
        context_length,
        max_completion_tokens,
        timeout,
        limits,
        local,
        local_path,
        defaults,
        approved_for_agent,
        approved_for_chat,
        hydration,
        prices,
        capabilities,
        enabled,
        source: Source::Registered,
        discovered_at: None,
        created_at: declaring.now,
        updated_at: declaring.now,
        deleted_at: None,
        declared: true,
    });
    Some(())
}

/// What a client may name as a model: the same bounds as for a call's `model`.
fn model_name(value: &Value<'_>) -> Option<Written<String>> {
    const LONGEST: usize = 512;
    let name = value.written()?;
    if name.value.len() > LONGEST || name.value.chars().any(char::is_control) || name.value.contains("..") {
        return value.wrong("can't be a model's name", "use at most 512 bytes without control characters and `..`");
    }
    Some(name)
}

fn defaults(table: &mut Table<'_>) -> ModelDefaults {
    ModelDefaults {
        temperature: table.get("temperature", Value::decimal),
        max_tokens: table.get("max_tokens", |value| value.number(AT_LEAST_ONE)),
        system_prompt: table.get("system_prompt", Value::text_or_file),
    }
}

fn hydration(table: &mut Table<'_>, declaring: &Declaring<'_>) -> Option<Hydration> {
    let enabled = table.flag("enable_hydration", true);
    let identity = table.get("hydration_identity", |value| declaring.identities.find(value))?;
    Some(Hydration { enabled, identity })
}

/// Without any price stated the history is empty: unknown is not zero.
fn prices(table: &mut Table<'_>) -> PriceHistory {
    let prices = Prices {
        input: table.get("input_cost", Value::money),
        output: table.get("output_cost", Value::money),
        cache_read: table.get("cache_read_cost", Value::money),
        cache_write_5m: table.get("cache_write_5m_cost", Value::money),
        cache_write_1h: table.get("cache_write_1h_cost", Value::money),
        reasoning: table.get("reasoning_cost", Value::money),
        audio_input: table.get("audio_input_cost", Value::money),
        audio_output: table.get("audio_output_cost", Value::money),
        per_request: table.get("request_cost", Value::money),
    };
    if prices == Prices::default() { PriceHistory::default() } else { PriceHistory::always(prices) }
}

pub(super) fn route(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let role = table.get("role", |value| route_name(value, declaring));
    let alias = table.get("alias", |value| route_name(value, declaring));
    let provider = table.required("provider", "\"openai\"", |value| declaring.providers.find(value));
    let model = table.get("model", |value| {
        let name = model_name(value)?.value;
        declaring.warn_of_unlisted(value, provider?, &name);
        Some(name)
    });
    let priority = table.number("priority", PRIORITY, PRIORITIES);
    let weight = table.number("weight", 1, WEIGHTS);
    let notes = table.get("notes", Value::text);
    let (kind, name) = one_of(table, role, alias)?;
    let provider = provider?;
    let id = Id::declared("route", &format!("{kind:?}/{name}/{provider}/{}", model.as_deref().unwrap_or("")));
    let both_kinds = |other: &Route| other.name == name && other.kind != kind;
    if declaring.directory.routes.iter().any(|other| other.id == id) {
        let what = format!("there are two [[route]] from `{name}` to the same model");
        table.reader.problem(table.at, what, "remove one of them".into());
    } else if declaring.directory.routes.iter().any(both_kinds) {
        let what = format!("`{name}` is both a role and an alias, and the role would always win");
        table.reader.problem(table.at, what, "rename one of them".into());
    }
    declaring.directory.routes.push(Route {
        id,
        number: None,
        owner: Owner::Platform,
        name,
        kind,
        target: RouteTarget { provider, model },
        priority,
        weight,
        notes,
        created_at: declaring.now,
        deleted_at: None,
        declared: true,
    });
    Some(())
}

/// A role's or an alias' name: nothing that would be read as something else before.
fn route_name(value: &Value<'_>, declaring: &Declaring<'_>) -> Option<String> {
    let name = model_name(value)?.value;
    let head = name.split(':').next().unwrap_or(&name);
    if RESERVED.contains(&head) {
        return value.wrong(&format!("can't be `{name}`, which has a meaning of its own"), "choose another name");
    }
    if declaring.directory.providers.iter().any(|provider| provider.prefix == name) {
        let what = format!("is `{name}`, which is also a provider's prefix");
        return value.wrong(&what, "rename the route, or give the provider another `prefix`");
    }
    Some(name)
}

fn one_of(table: &Table<'_>, role: Option<String>, alias: Option<String>) -> Option<(RouteKind, String)> {
    match (role, alias) {
        (Some(role), None) => Some((RouteKind::Role, role)),
        (None, Some(alias)) => Some((RouteKind::Alias, alias)),
        (Some(_), Some(_)) => {
            let what = "a [[route]] serves a role or an alias, not both".to_string();
            table.reader.problem(table.at, what, "make two of it".into());
            None
        }
        (None, None) if table.states("role") || table.states("alias") => None,
        (None, None) => {
            table.lacks("role", "\"summariser\"` or `alias = \"fast\"");
            None
        }
    }
}

impl Declaring<'_> {
    /// A model that a listed provider does not declare may still be discovered, so this is no problem yet.
    pub(super) fn warn_of_unlisted(&self, value: &Value<'_>, provider: Id<Provider>, model: &str) {
        let listed = self.directory.providers.iter().find(|one| one.id == provider && one.models == Listing::Listed);
        let declared = self.directory.models.iter().any(|one| one.provider == provider && one.model_id == model);
        if let (Some(listed), false, false) = (listed, declared, model.is_empty()) {
            let what = format!(
                "`{}` names the model `{model}`, which no [[model]] declares for `{}`",
                value.path, listed.name
            );
            let remedy = "add the [[model]], unless it will be discovered or stored".to_string();
            value.reader.warning(value.at, what, remedy);
        }
    }
}
