//! Declared providers with their keys, models and routes.

use std::sync::Arc;
use std::time::Duration;

use super::{AT_LEAST_ONE, Declaring, PRIORITIES, PRIORITY, WEIGHTS};
use crate::config::read::Value;
use crate::config::table::{Reader, Table, Written};
use crate::domain::address::{Address, BaseUrl, Egress, EgressDenied, NotABaseUrl};
use crate::domain::entity::{Credential, Grant, KeyMaterial, Listing, Overrides, Owner, Provider, ProviderSettings};
use crate::domain::id::Id;
use crate::domain::model_name;
use crate::domain::nearest::nearest;
use crate::domain::preset::{KeyPlace, Kind, PRESETS, Preset, preset};
use crate::domain::protocol::Protocol;
use crate::domain::secret::Secret;

/// The wait for a first event, or for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(120);

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
    let names = || PRESETS.iter().map(|preset| preset.name);
    preset(&text).or_else(|| {
        let remedy = match nearest(&text, names()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("write one of: {}", names().collect::<Vec<_>>().join(", ")),
        };
        value.wrong(&format!("can't be `{}`", value.shown()), &remedy)
    })
}

fn prefix(value: &Value<'_>) -> Option<String> {
    let prefix = value.name()?.value;
    if model_name::is_reserved(&prefix) {
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
    may_be_reached(table.reader, at, &url, egress);
    Some(url)
}

/// A URL of the operator's that is no provider's.
pub(in crate::config) fn some_url(value: &Value<'_>, egress: &Egress) -> Option<BaseUrl> {
    let url = written_url(value)?;
    may_be_reached(value.reader, url.at, &url.value, egress);
    Some(url.value)
}

fn may_be_reached(reader: &Reader<'_>, at: usize, url: &BaseUrl, egress: &Egress) {
    if let Err(denied) = egress.allows_address(&url.address) {
        let what = format!("nothing may be sent to {}: {}", url.address, why(&denied));
        reader.problem(at, what, allow(&denied, &url.address, egress));
    }
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
