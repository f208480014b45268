//! What the environment says: overrides of a file's settings, and a start without any file.
//!
//! A start without a file reads the file that nobody had to write: its text is made here and read like any other, so
//! there is one way of reading. Keys stay variables in it and never become part of the text.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::problem::{Problem, Problems};
use super::settings::{Listen, LogLevel, Store};
use super::{Config, Env, parse};
use crate::domain::address::BaseUrl;
use crate::domain::preset::{Kind, PRESETS, Preset, preset};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// What problems without a file are said to be in.
const ENVIRONMENT: &str = "environment";

/// The variable that holds master keys, with commas between them.
const KEYS: &str = "KEYWAY_ENCRYPTION_KEYS";

/// OpenAI's place, if it is another one.
const BASE: &str = "OPENAI_BASE_URL";

/// Names under which other platforms keep theirs; the first that is set counts.
const KEYS_ELSEWHERE: [&str; 4] =
    ["ATLAS_ENCRYPTION_KEYS", "ATLAS_ENCRYPTION_KEY", "BETTER_AUTH_SECRET", "ENCRYPTION_KEY"];

/// The configuration of a start without a file.
pub(super) fn config(env: Env<'_>, now: Timestamp) -> Result<Config, Problems> {
    let (text, mut warnings) = as_file(env);
    let parsed = parse(ENVIRONMENT.to_string(), PathBuf::new(), &text, env, now);
    let mut config = parsed.map_err(Problems::without_lines)?;
    override_settings(&mut config, env)?;
    config.warnings.append(&mut warnings);
    Ok(config)
}

/// The file that would say the same.
fn as_file(env: Env<'_>) -> (String, Vec<Problem>) {
    let mut text = String::from("[[org]]\nid = \"default\"\n");
    let mut first = None;
    let mut warnings = Vec::new();
    let default = stated(env, "ATLAS_PROVIDER");
    for preset in PRESETS {
        let variable = preset.variable.filter(|variable| stated(env, variable).is_some());
        if variable.is_some() || default.as_deref() == Some(preset.name) {
            match provider(preset, variable, env) {
                Ok(provider) => {
                    text.push_str(&provider);
                    first.get_or_insert(preset.name);
                }
                Err(warning) => warnings.push(warning),
            }
        }
    }
    text.push_str("[[workspace]]\nid = \"default\"\n");
    // Its ids are known to nobody yet, so a bare one must lead somewhere for the first call to be answered.
    let stated_first = default.as_deref().and_then(preset).map(|preset| preset.name);
    if let Some(name) = stated_first.or(first).filter(|name| text.contains(&format!("id = \"{name}\"\n"))) {
        text.push_str(&format!("default = \"{name}\"\n"));
    }
    if let Some(host) = plain_base(env) {
        text.push_str(&format!("[egress]\nhttp = [\"{host}\"]\n"));
    }
    if let Some(model) = default_model(env) {
        text.push_str(&format!("[routing]\ndefault = \"{model}\"\n"));
    }
    if stated(env, "DATABASE_URL").is_some() {
        text.push_str("[store]\nkind = \"postgres\"\nurl = \"${DATABASE_URL}\"\n");
    }
    warnings.extend(base_leads_here(env).then(|| {
        problem(
            format!("{BASE} leads to this gateway itself, so OpenAI is called where it is"),
            format!("unset {BASE} here"),
        )
    }));
    warnings.extend(first.is_none().then(no_provider));
    warnings.extend(default.filter(|name| preset(name).is_none()).map(|_| unknown_default()));
    (text, warnings)
}

fn provider(preset: &Preset, variable: Option<&str>, env: Env<'_>) -> Result<String, Problem> {
    let mut text = format!("[[provider]]\nid = \"{}\"\n", preset.name);
    if let Some(variable) = variable {
        text.push_str(&format!("api_key = \"${{{variable}}}\"\n"));
    }
    let (setting, variables): (&str, &[&str]) = match preset.kind {
        Kind::AzureOpenAi => ("base_url", &["AZURE_OPENAI_ENDPOINT"]),
        Kind::Bedrock => ("region", &["AWS_REGION", "AWS_DEFAULT_REGION"]),
        Kind::OpenAi if stated(env, BASE).is_some() && !base_leads_here(env) => ("base_url", &[BASE]),
        _ => return Ok(text),
    };
    match variables.iter().find(|variable| stated(env, variable).is_some()) {
        Some(place) => Ok(format!("{text}{setting} = \"${{{place}}}\"\n")),
        None => Err(problem(
            format!("{} is left out: there is a key for it, but {} is not set", preset.name, variables[0]),
            format!("set {}", variables[0]),
        )),
    }
}

/// OpenAI's own SDKs look there for the place to call, and so do our clients to find us: then it is not for us.
fn base_leads_here(env: Env<'_>) -> bool {
    let own = stated(env, "KEYWAY_LISTEN").and_then(|text| text.parse().ok()).unwrap_or(Listen::default().data);
    base(env).is_some_and(|base| {
        base.address.port == own.port() && matches!(&*base.address.host, "127.0.0.1" | "localhost" | "::1")
    })
}

/// A base URL that can't be read is told of like any other, when it is read as a setting.
fn base(env: Env<'_>) -> Option<BaseUrl> {
    stated(env, BASE)?.parse().ok()
}

/// Whoever starts us with a plain base URL has said that it may be called.
fn plain_base(env: Env<'_>) -> Option<Box<str>> {
    stated(env, "OPENAI_API_KEY")?;
    base(env).filter(|base| !base.address.tls && !base_leads_here(env)).map(|base| base.address.host.clone())
}

/// `ATLAS_PROVIDER` and `ATLAS_MODEL` are what `[routing] default` is in a file.
fn default_model(env: Env<'_>) -> Option<String> {
    match (stated(env, "ATLAS_PROVIDER"), stated(env, "ATLAS_MODEL")) {
        (Some(_), Some(_)) => Some("${ATLAS_PROVIDER}:${ATLAS_MODEL}".to_string()),
        (Some(_), None) => Some("${ATLAS_PROVIDER}:".to_string()),
        (None, Some(_)) => Some("${ATLAS_MODEL}".to_string()),
        (None, None) => None,
    }
}

/// `KEYWAY_LISTEN` and the like win over a file.
pub(super) fn override_settings(config: &mut Config, env: Env<'_>) -> Result<(), Problems> {
    let mut problems = Vec::new();
    for (variable, setting) in
        [("KEYWAY_LISTEN", &mut config.listen.data), ("KEYWAY_ADMIN_LISTEN", &mut config.listen.admin)]
    {
        if let Some(text) = stated(env, variable) {
            match text.parse::<SocketAddr>() {
                Ok(address) => *setting = address,
                Err(_) => problems
                    .push(problem(format!("{variable} is no address"), format!("set {variable}=127.0.0.1:8080"))),
            }
        }
    }
    if let Some(dir) = stated(env, "KEYWAY_DATA") {
        config.data.dir = PathBuf::from(dir);
    }
    if let Some(text) = stated(env, "KEYWAY_LOG") {
        match LogLevel::ALL.iter().find(|(name, _)| *name == text) {
            Some((_, level)) => config.log.level = *level,
            None => problems.push(problem("KEYWAY_LOG is no log level".into(), "set KEYWAY_LOG=info".into())),
        }
    }
    if config.listen.data == config.listen.admin && config.listen.data.port() != 0 {
        let what = format!("both listeners would be at {}", config.listen.data);
        problems.push(problem(what, "give KEYWAY_LISTEN or KEYWAY_ADMIN_LISTEN another port".into()));
    }
    encryption_keys(config, env);
    if matches!(config.store, Store::Postgres(_)) && config.encryption.keys.is_empty() {
        let what = "the directory is kept in Postgres, and there is no key to seal its secrets with".to_string();
        problems.push(problem(what, format!("set {KEYS}, or [encryption] keys in gateway.toml")));
    }
    Problems::none(problems)
}

/// Our own variable wins over the file; one of another platform only fills in where the file says nothing.
fn encryption_keys(config: &mut Config, env: Env<'_>) {
    let others = if config.encryption.keys.is_empty() { &KEYS_ELSEWHERE[..] } else { &[] };
    let names = std::iter::once(KEYS).chain(others.iter().copied());
    let Some((variable, text)) = names.filter_map(|name| Some((name, stated(env, name)?))).next() else { return };
    config.encryption.keys = match variable.ends_with('S') {
        true => text.split(',').map(str::trim).filter(|key| !key.is_empty()).map(secret).collect(),
        false => vec![secret(&text)],
    };
    config.warnings.push(problem(
        format!("the encryption key comes from {variable}, and an environment can't be wiped from memory"),
        "prefer [encryption] keys = [{ file = \"…\" }]".into(),
    ));
}

fn secret(text: &str) -> Arc<Secret> {
    Arc::new(Secret::new(text.as_bytes().to_vec()))
}

/// An empty variable is one that nobody set: compose files and charts pass those on.
fn stated(env: Env<'_>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.is_empty())
}

fn unknown_default() -> Problem {
    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    problem(
        "ATLAS_PROVIDER names a provider that we have no preset for".into(),
        format!("set it to one of: {}; or write a gateway.toml", names.join(", ")),
    )
}

fn no_provider() -> Problem {
    problem(
        "no provider is known, so every call is refused".into(),
        "set OPENAI_API_KEY or another provider's variable, write a gateway.toml (`keyway init`), or see `keyway demo`"
            .into(),
    )
}

fn problem(what: String, remedy: String) -> Problem {
    Problem { file: ENVIRONMENT.to_string(), line: 0, column: 0, what, remedy }
}
