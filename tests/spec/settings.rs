//! `gateway.toml.example` holds every setting with its default, and a broken file is told all that is wrong with it.

#![expect(clippy::unwrap_used, reason = "a test that can't prepare its files has failed, and says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use keyway::config::{Config, Problems, settings};
use tempfile::TempDir;

/// A line of the example that is about a setting.
struct Line {
    /// `limits.body`.
    path: String,
    /// The same line as it takes effect.
    effective: String,
    /// What it says the default is; `None` for `unset`.
    default: Option<String>,
    /// Does it end by saying `unset`, or show a default? Repeated samples need do neither.
    speaks_of_default: bool,
}

/// The example's lines without the `#` before settings; of comments nothing is left.
fn example() -> Vec<Line> {
    let mut table = String::new();
    let text = fs::read_to_string("gateway.toml.example").unwrap();
    text.lines().filter_map(|line| setting(line, &mut table)).collect()
}

fn setting(line: &str, table: &mut String) -> Option<Line> {
    // A setting is commented out without a space. Two signs: it contradicts another line of the example.
    let (commented, rest) = (line.starts_with('#'), line.trim_start_matches('#'));
    if rest.is_empty() || (commented && rest.starts_with(' ')) {
        return None;
    }
    if rest.starts_with('[') {
        *table = rest.trim_matches(['[', ']']).to_string();
        return Some(Line { path: String::new(), effective: rest.into(), default: None, speaks_of_default: false });
    }
    let (key, value) = rest.split_once(" = ").unwrap_or_else(|| panic!("neither comment nor setting: {line}"));
    let (value, note) = value.split_once("  # ").unwrap_or((value, ""));
    let default = match note.strip_prefix("default: ") {
        Some(default) => Some(default.to_string()),
        None if note == "unset" || !commented => None,
        None => Some(value.to_string()),
    };
    let path = if table.is_empty() { key.to_string() } else { format!("{table}.{key}") };
    let effective = if line.starts_with("##") { String::new() } else { format!("{key} = {value}") };
    Some(Line { path, effective, default, speaks_of_default: commented || !note.is_empty() })
}

/// A folder with a file in it, and the files that the example names.
struct Folder(TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gateway.toml"), text).unwrap();
        for name in ["cert.pem", "key.pem", "company-ca.pem"] {
            fs::write(folder.path().join(name), "-").unwrap();
        }
        fs::write(folder.path().join("webhook.key"), "x".repeat(32)).unwrap();
        Self(folder)
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("gateway.toml")
    }

    fn load(&self) -> Result<Config, Problems> {
        let env = |name: &str| name.ends_with("_API_KEY").then(|| format!("value-of-{name}"));
        Config::load(&self.config(), &env)
    }

    /// Every problem as people see it, without the folder.
    fn problems(&self) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        self.load().unwrap_err().to_string().lines().map(|line| line.replace(&folder, "")).collect()
    }
}

#[test]
fn the_example_is_a_configuration_that_loads_without_a_problem_or_a_warning() {
    let config = Folder::with(&fs::read_to_string("gateway.toml.example").unwrap()).load().unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.declared.providers.len(), 11);
}

#[test]
fn the_example_loads_with_every_setting_uncommented_too() {
    let text: Vec<String> = example().into_iter().map(|line| line.effective).collect();
    Folder::with(&text.join("\n")).load().unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn the_example_holds_every_setting_there_is_and_no_other() {
    let known: BTreeSet<String> = settings().into_iter().map(|setting| setting.path).collect();
    let shown: BTreeSet<String> = example().into_iter().map(|line| line.path).filter(|path| !path.is_empty()).collect();
    let missing: Vec<_> = known.difference(&shown).collect();
    let unknown: Vec<_> = shown.difference(&known).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
}

#[test]
fn the_defaults_that_the_example_shows_are_those_that_hold() {
    let defaults: BTreeMap<String, Option<String>> =
        settings().into_iter().map(|setting| (setting.path, setting.default)).collect();
    for line in example().iter().filter(|line| line.speaks_of_default) {
        let (shown, holds) = (&line.default, &defaults[&line.path]);
        assert_eq!(shown.as_ref().map(|text| same(text)), holds.as_ref().map(|text| same(text)), "{}", line.path);
    }
}

/// Compared as values, so that spaces in lists do not matter.
fn same(text: &str) -> toml::Value {
    toml::from_str::<toml::Table>(&format!("value = {text}")).unwrap().remove("value").unwrap()
}

#[test]
fn a_broken_file_is_told_everything_that_is_wrong_with_lines_and_remedies() {
    let folder = Folder::with(
        r#"
drain_timeout = 30
[lisen]
data = "127.0.0.1:80"
[limits]
body = "32MB"
conections = 5
[egress]
http = ["http://127.0.0.1"]
[[provider]]
id = "local"
kind = "llama-cpp"
base_url = "http://127.0.0.1:8000/v1"
[[provider]]
id = "openai"
api_key = "${NOT_SET}"
region = "us-east-1"
[[route]]
role = "summariser"
provider = "opennai"
[[grant]]
provider = "local"
workspaces = []
"#,
    );
    let expected = [
        r#"gateway.toml:2: `drain_timeout` is a whole number; write a duration such as "500ms", "15s", "5m" or "1h""#,
        "gateway.toml:3: unknown setting `lisen` at the top; did you mean `listen`?",
        r#"gateway.toml:6: `limits.body` can't be `32MB`; write a size such as "64KiB" or "32MiB""#,
        "gateway.toml:7: unknown setting `conections` in `limits`; did you mean `connections`?",
        r#"gateway.toml:9: `egress.http` can't be `http://127.0.0.1`; write a host alone, such as "127.0.0.1" or "ai-02""#,
        "gateway.toml:13: nothing may be sent to http://127.0.0.1:8000: plain HTTP is allowed to listed hosts only; use https, or write under [egress]: http = [\"127.0.0.1\"]",
        "gateway.toml:16: `provider.api_key` needs the environment variable NOT_SET, which is not set; set NOT_SET, or write $${NOT_SET} if the text itself is meant",
        "gateway.toml:17: `provider.region` is only for bedrock, and this is openai; leave it out",
        "gateway.toml:20: `route.provider` names the provider `opennai`, which is not declared; did you mean `openai`?",
        "gateway.toml:22: `grant.provider` names a provider that declares no key to grant; give that [[provider]] an `api_key`",
    ];
    assert_eq!(folder.problems(), expected);
}

/// What is wrong with a text, said without its name.
fn problems(text: &str) -> Vec<String> {
    let problems = Config::from_text("t", text, &|_| None).unwrap_err().to_string();
    problems.lines().map(str::to_string).collect()
}

fn read(text: &str) -> Config {
    Config::from_text("t", text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_misspelt_file_is_told_every_line_that_is_no_toml() {
    let lines = problems("[limits\nbody = \"1MiB\"\n\n[log]\nlevel = = 1\n");
    assert!(lines.len() >= 2, "{lines:?}");
    assert!(lines[0].starts_with("t:1: ") && lines.last().unwrap().starts_with("t:5: "), "{lines:?}");
}

#[test]
fn prices_keep_every_digit_and_never_pass_through_a_float() {
    let config = read(
        "[[provider]]\nid = \"openai\"\n[[model]]\nprovider = \"openai\"\nid = \"m\"\n\
         input_cost = 0.100000001\noutput_cost = 9007199254.740993\ncache_read_cost = \"0.3\"\nrequest_cost = 2\n",
    );
    let prices = config.declared.models[0].prices.at(keyway::domain::time::Timestamp(1)).unwrap();
    let written = [prices.input, prices.output, prices.cache_read, prices.per_request, prices.reasoning];
    let expected = [Some("0.100000001"), Some("9007199254.740993"), Some("0.3"), Some("2"), None];
    assert_eq!(written.map(|price| price.map(|price| price.to_string())), expected.map(|text| text.map(String::from)));
}

#[test]
fn an_amount_that_is_no_decimal_of_dollars_is_refused() {
    for cost in ["1e-3", "-0.1", "inf", "0x10", "0.0000000001", "true", "\"1,5\""] {
        let text = format!(
            "[[provider]]\nid = \"openai\"\n[[model]]\nprovider = \"openai\"\nid = \"m\"\ninput_cost = {cost}\n"
        );
        assert_eq!(problems(&text).len(), 1, "{cost}");
    }
}

#[test]
fn a_key_from_a_file_loses_its_last_newline_and_warns_if_others_may_read_it() {
    let folder = Folder::with("[[provider]]\nid = \"openai\"\napi_key = { file = \"openai.key\" }\n");
    assert!(
        folder.problems()[0]
            .starts_with("gateway.toml:3: `provider.api_key.file` names openai.key, which can't be read")
    );
    fs::write(folder.0.path().join("openai.key"), "sk-1234567890\n").unwrap();
    let config = folder.load().unwrap();
    assert_eq!(key_of(&config), b"sk-1234567890");
    assert!(config.warnings[0].remedy.starts_with("run chmod 0600 "), "{:?}", config.warnings);
}

fn key_of(config: &Config) -> &[u8] {
    match &config.declared.credentials[0].key {
        keyway::domain::entity::KeyMaterial::Declared(secret) => secret.expose(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_secret_is_printed_with_a_configuration_or_with_a_problem() {
    let env = |_: &str| Some("the-secret-itself".to_string());
    let good = "[encryption]\nkeys = [\"${A}\"]\n[store]\nkind = \"postgres\"\nurl = \"${A}\"\n\
                [[provider]]\nid = \"openai\"\napi_key = \"${A}\"\n";
    let config = Config::from_text("t", good, &|name: &str| (name == "A").then(|| env(name)).flatten()).unwrap();
    assert!(!format!("{config:?}").contains("the-secret-itself"));
    let bad = "drain_timeout = \"${A}\"\n[listen]\ndata = \"${A}\"\n[log]\nlevel = \"${A}\"\n\
               [[provider]]\nid = \"${A} \"\nkind = \"openai\"\nbase_url = \"${A}\"\n";
    let problems = Config::from_text("t", bad, &|name: &str| (name == "A").then(|| env(name)).flatten()).unwrap_err();
    assert_eq!(problems.iter().count(), 5);
    assert!(!problems.to_string().contains("the-secret-itself"), "{problems}");
}

#[test]
fn kinds_that_must_be_told_where_they_are_say_so() {
    let lacking = |kind: &str| problems(&format!("[[provider]]\nid = \"p\"\nkind = \"{kind}\"\n")).remove(0);
    assert_eq!(lacking("custom"), "t:1: `provider.base_url` is missing; add `base_url = \"https://…/v1\"`");
    assert!(lacking("azure-openai").ends_with("add `base_url = \"https://NAME.openai.azure.com\"`"));
    assert!(lacking("bedrock").ends_with("add `region = \"us-east-1\"`"));
    assert!(lacking("agent-sdk").contains("`provider.command` is missing"));
    assert!(lacking("opnai").ends_with("did you mean `openai`?"));
}

#[test]
fn one_name_stands_for_one_thing() {
    let provider = "[[provider]]\nid = \"openai\"\n";
    let model = "[[model]]\nprovider = \"openai\"\nid = \"m\"\n";
    let role = |name: &str| format!("[[route]]\nrole = \"{name}\"\nprovider = \"openai\"\n");
    let said = |text: String| problems(&text).remove(0);
    assert!(said(provider.repeat(2)).contains("there are two [[provider]] with the id `openai`"));
    assert!(said(format!("{provider}{}", model.repeat(2))).contains("there are two [[model]] with the id `m`"));
    assert!(said(format!("{provider}{}", role("a").repeat(2))).contains("there are two [[route]] from `a`"));
    assert!(said(format!("{provider}{}", role("openai"))).contains("which is also a provider's prefix"));
    assert!(said(format!("{provider}{}", role("role:a"))).contains("has a meaning of its own"));
    let alias = "[[route]]\nalias = \"a\"\nprovider = \"openai\"\n";
    assert!(said(format!("{provider}{}{alias}", role("a"))).contains("both a role and an alias"));
}

#[test]
fn defaults_and_grants_name_providers_and_workspaces_that_are_there() {
    let config = Folder::with(
        r#"
egress = { http = ["ai-02"] }
provider = [
    { id = "openai", api_key = "${OPENAI_API_KEY}" },
    { id = "small", kind = "llama-cpp", prefix = "ai-02", base_url = "http://ai-02:8000/v1" },
    { id = "large", kind = "llama-cpp", prefix = "ai-02", base_url = "http://ai-02:8001/v1" },
]
model = [{ provider = "large", id = "qwen3:30b" }]
org = [{ id = "acme", features = [] }]
[[workspace]]
id = "team"
default = "ai-02:qwen3:30b"
projects = { search = { provider = "openai", model = "gpt-4o" }, any = "openai" }
[[workspace]]
id = "other"
[[gate]]
org = "acme"
provider = "large"
gate = "deny"
[[grant]]
provider = "openai"
workspaces = ["team", "0196f1d2-0000-7000-8000-000000000000"]
"#,
    )
    .load()
    .unwrap();
    let directory = &config.declared;
    let (team, org) = (&directory.workspaces[0], &directory.orgs[0]);
    let choice = |choice: &keyway::domain::entity::DefaultChoice| (choice.provider, choice.model.clone());
    assert_eq!(team.default.as_ref().map(choice), Some((directory.providers[2].id, Some("qwen3:30b".into()))));
    assert_eq!(choice(&team.projects["search"]), (directory.providers[0].id, Some("gpt-4o".into())));
    assert_eq!(choice(&team.projects["any"]), (directory.providers[0].id, None));
    assert!(!org.features.byok && org.gates.len() == 1 && team.org == org.id);
    let keyway::domain::entity::Grant::Workspaces(granted) = &directory.credentials[0].grant else { panic!() };
    assert!(granted.len() == 2 && granted[0] == team.id);
}

#[test]
fn without_a_file_the_presets_variables_are_providers_with_keys_for_all() {
    let variables = [
        ("OPENAI_API_KEY", "sk-openai-123456"),
        ("GEMINI_API_KEY", "key-gemini-123456"),
        ("AZURE_OPENAI_API_KEY", "key-azure"),
        ("GROQ_API_KEY", ""),
        ("ATLAS_PROVIDER", "openai"),
        ("ATLAS_MODEL", "gpt-4o"),
        ("KEYWAY_LISTEN", "0.0.0.0:80"),
        ("KEYWAY_DATA", "/var/lib/keyway"),
        ("ENCRYPTION_KEY", "wrong, for another holds"),
        ("BETTER_AUTH_SECRET", "a long, long passphrase"),
    ];
    let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
    let config = Config::from_environment(&env).unwrap();
    let names: Vec<&str> = config.declared.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["openai", "google"]);
    assert_eq!(key_of(&config), b"sk-openai-123456");
    assert_eq!(config.declared.credentials[0].entered_for, "https://api.openai.com");
    assert_eq!((config.declared.orgs.len(), config.declared.workspaces[0].name.as_str()), (1, "default"));
    assert_eq!(config.routing.default.as_deref(), Some("openai:gpt-4o"));
    assert_eq!((config.listen.data.port(), config.data.dir.to_str()), (80, Some("/var/lib/keyway")));
    assert_eq!(config.encryption.keys[0].expose(), b"a long, long passphrase");
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|text| text.contains("azure-openai is left out")), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("BETTER_AUTH_SECRET")), "{warnings:?}");
}

#[test]
fn openai_s_place_is_another_one_unless_that_is_ourselves() {
    let read = |base: &str| {
        let base = base.to_string();
        Config::from_environment(&move |name| match name {
            "OPENAI_API_KEY" => Some("sk-openai-123456".into()),
            "OPENAI_BASE_URL" => Some(base.clone()),
            _ => None,
        })
    };
    let elsewhere = read("http://127.0.0.1:9000/v1").unwrap();
    assert_eq!(elsewhere.declared.providers[0].base_url.to_string(), "http://127.0.0.1:9000/v1");
    let ourselves = read("http://localhost:8080/v1").unwrap();
    assert_eq!(ourselves.declared.providers[0].base_url.to_string(), "https://api.openai.com/v1");
    assert!(ourselves.warnings.iter().any(|warning| warning.to_string().contains("OPENAI_BASE_URL")));
    assert!(ourselves.egress.rules.http.is_empty());
    assert!(read("nonsense").is_err());
}

#[test]
fn postgres_without_a_key_to_seal_with_does_not_start() {
    let url = "postgres://keyway@127.0.0.1/keyway";
    let env = |name: &str| (name == "DATABASE_URL").then(|| url.to_string());
    let problems = Config::from_environment(&env).unwrap_err().to_string();
    assert!(problems.contains("set KEYWAY_ENCRYPTION_KEYS"), "{problems}");
    let with_key = |name: &str| env(name).or((name == "KEYWAY_ENCRYPTION_KEYS").then(|| "one, two".into()));
    let config = Config::from_environment(&with_key).unwrap();
    assert!(matches!(&config.store, keyway::config::Store::Postgres(held) if held.expose() == url.as_bytes()));
    assert_eq!(config.encryption.keys.iter().map(|key| key.expose()).collect::<Vec<_>>(), [b"one", b"two"]);
}

#[test]
fn a_variable_of_ours_wins_over_the_file_and_a_wrong_one_is_named() {
    let text = "[listen]\ndata = \"127.0.0.1:9000\"\n[encryption]\nkeys = [\"from the file\"]\n";
    let env = |name: &str| match name {
        "KEYWAY_LISTEN" => Some("127.0.0.1:9100".to_string()),
        "ENCRYPTION_KEY" => Some("of something else".to_string()),
        _ => None,
    };
    let config = Config::from_text("t", text, &env).unwrap();
    assert_eq!(config.listen.data.port(), 9100);
    assert_eq!(config.encryption.keys[0].expose(), b"from the file");
    let wrong = |name: &str| (name == "KEYWAY_LISTEN").then(|| "here".to_string());
    let problems = Config::from_text("t", text, &wrong).unwrap_err().to_string();
    assert_eq!(problems, "environment: KEYWAY_LISTEN is no address; set KEYWAY_LISTEN=127.0.0.1:8080");
}

#[test]
fn a_reload_is_told_which_settings_need_a_restart() {
    let old = read("[listen]\ncores = 1\n");
    let new = read("[listen]\ncores = 2\ndata = \"127.0.0.1:9000\"\n[data]\ndir = \"x\"\n[limits]\nbody = \"1MiB\"\n");
    assert_eq!(keyway::config::differences(&old, &new), ["[listen] data", "[listen] cores", "[data] dir"]);
    assert!(keyway::config::differences(&old, &old.clone()).is_empty());
    assert!(old.hash != new.hash && old.hash.len() == 12);
}

/// Settings that hold as long as the process, with another value than their default.
const FIXED: [(&str, &str); 18] = [
    ("listen.data", "\"127.0.0.1:9\""),
    ("listen.admin", "\"127.0.0.1:9\""),
    ("listen.cores", "7"),
    ("data.dir", "\"elsewhere\""),
    ("store.kind", "\"postgres\"\nstore.url = \"postgres://db\"\nencryption.keys = [\"a passphrase that is long\"]"),
    ("store.url", "\"postgres://db\"\nstore.kind = \"postgres\"\nencryption.keys = [\"a passphrase that is long\"]"),
    ("store.cache", "\"1MiB\""),
    ("store.serve_without", "\"1m\""),
    ("encryption.keys", "[\"a passphrase that is long\"]"),
    ("attempts.connect_timeout", "\"1s\""),
    ("attempts.tls_timeout", "\"1s\""),
    ("attempts.pool_idle", "\"1s\""),
    ("attempts.pool_connections", "1"),
    ("egress.ca", "\"ca.pem\""),
    ("journal.sync", "\"1ms\""),
    ("journal.wait", "\"1s\""),
    ("journal.limit", "\"1MiB\""),
    ("log.format", "\"json\""),
];

/// Settings that a reload takes up: whole tables, and what of the others is not fixed.
const TAKEN_UP: [&str; 36] = [
    "drain_timeout",
    "listen.trusted_proxies",
    "listen.proxy_protocol",
    "listen.tls.",
    "listen.admin_tls.",
    "listen.http2.",
    "routing.",
    "attempts.max",
    "attempts.deadline",
    "attempts.retry_budget",
    "attempts.retry_floor",
    "attempts.idle_timeout",
    "attempts.hold",
    "attempts.hold_events",
    "attempts.hold_bytes",
    "attempts.keep_alive",
    "attempts.parallel_wait",
    "attempts.parallel_waiters",
    "breaker.",
    "limits.",
    "egress.http",
    "egress.private_networks",
    "egress.ports",
    "ledger.",
    "budgets.",
    "log.level",
    "log.exchanges",
    "metrics.",
    "provider.",
    "model.",
    "route.",
    "identity.",
    "org.",
    "workspace.",
    "gate.",
    "grant.",
];

#[test]
fn every_setting_is_taken_up_by_a_reload_or_named_as_one_that_is_not() {
    let is_taken_up =
        |path: &str| TAKEN_UP.iter().any(|known| path == *known || (known.ends_with('.') && path.starts_with(known)));
    for setting in settings() {
        let is_fixed = FIXED.iter().any(|(path, _)| *path == setting.path);
        assert!(is_fixed != is_taken_up(&setting.path), "what does a reload do with {}?", setting.path);
    }
    let old = read("");
    for (path, value) in FIXED {
        let folder = Folder::with(&format!("{path} = {value}\n"));
        fs::write(folder.0.path().join("ca.pem"), "").unwrap();
        let named = keyway::config::differences(&old, &folder.load().unwrap());
        let (table, name) = path.split_once('.').unwrap();
        let is_named = |one: &&str| one.starts_with(&format!("[{table}]")) && (table == "store" || one.ends_with(name));
        assert!(named.iter().any(is_named), "{path}: {named:?}");
    }
}

#[test]
fn declared_entities_have_the_same_ids_at_every_start() {
    let text = "[[provider]]\nid = \"openai\"\napi_key = \"k\"\n[[model]]\nprovider = \"openai\"\nid = \"m\"\n";
    let (one, other) = (read(text).declared, read(text).declared);
    assert_eq!((one.providers[0].id, one.models[0].id), (other.providers[0].id, other.models[0].id));
    assert_eq!(one.credentials[0].id, other.credentials[0].id);
    assert!(one.providers[0].declared && one.models[0].declared && one.credentials[0].declared);
}

#[test]
fn the_file_is_looked_for_where_it_was_said_to_be_first() {
    let env = |name: &str| (name == "KEYWAY_CONFIG").then(|| "from-variable.toml".to_string());
    let explicit = PathBuf::from("explicit.toml");
    assert_eq!(keyway::config::find_config(Some(&explicit), &env), Some(explicit));
    assert_eq!(keyway::config::find_config(None, &env), Some(PathBuf::from("from-variable.toml")));
    let missing = Config::load(&PathBuf::from("nowhere/gateway.toml"), &|_| None).unwrap_err().to_string();
    assert!(missing.starts_with("nowhere/gateway.toml: can't be read ("), "{missing}");
}

#[test]
fn nobody_is_told_of_budgets_under_a_secret_that_can_be_guessed_or_where_nothing_may_be_sent() {
    let webhook = |url: &str, secret: &str| {
        Folder::with(&format!("[budgets.webhook]\nurl = \"{url}\"\nsecret = \"{secret}\"\n")).problems().join("\n")
    };
    assert!(!webhook("https://hooks.example.com/keyway", "").is_empty());
    assert!(webhook("https://hooks.example.com/keyway", "short").contains("is shorter than 16 bytes"));
    assert!(webhook("http://hooks.example.com/keyway", &"x".repeat(32)).contains("plain HTTP"));
    assert!(webhook("https://169.254.169.254/latest", &"x".repeat(32)).contains("nothing may be sent to"));
    let missing = Folder::with("[budgets.webhook]\nurl = \"https://hooks.example.com/keyway\"\n").problems().join("\n");
    assert!(missing.contains("`budgets.webhook.secret` is missing"), "{missing}");
}
