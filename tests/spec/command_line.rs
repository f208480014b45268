//! Promise: the command line does what it says, prints only results where scripts read, and never shows or leaves a key.

#![expect(clippy::unwrap_used, reason = "a panic is a test's report, in what its tests share too")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use keyway::domain::token::is_well_formed;
use serde_json::Value;

const KEY: &str = "sk-proj-0123456789abcdefWXYZ";

/// A folder in which commands are run, with none of the machine's own settings.
struct World {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

/// What a command said, and how it ended.
struct Said {
    out: String,
    words: String,
    code: i32,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// After `keyway init`.
    fn begun() -> Self {
        let world = Self::new();
        world.says("init");
        world
    }

    fn with_settings(text: &str) -> Self {
        let world = Self::new();
        fs::write(world.path("gateway.toml"), text).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spawn(&self, line: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_keyway"))
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env_clear()
            .env("USER", "ada")
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run_with(&self, line: &str, stdin: &str) -> Said {
        let mut child = self.spawn(line);
        // A command that takes no input may be gone before it is written.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        said(child.wait_with_output().unwrap())
    }

    fn run(&self, line: &str) -> Said {
        self.run_with(line, "")
    }

    /// The result of a command that succeeds.
    fn says_with(&self, line: &str, stdin: &str) -> String {
        let said = self.run_with(line, stdin);
        assert_eq!(said.code, 0, "keyway {line}: {}", said.words);
        said.out
    }

    fn says(&self, line: &str) -> String {
        self.says_with(line, "")
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.says(&format!("{line} --json"))).unwrap()
    }

    /// Why a command does not succeed.
    fn refuses(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "keyway {line}: {}", said.words);
        said.words
    }

    fn token(&self) -> String {
        self.says("token create --workspace default")
    }
}

fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), words: text(output.stderr) }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle.as_bytes())
}

#[test]
fn from_nothing_to_a_token_that_is_made_listed_and_revoked() {
    let world = World::new();
    let admin = world.says("init");
    assert!(is_well_formed(admin.trim_end().as_bytes()), "{admin}");
    assert_eq!(world.json("check")["tokens"], 1);
    let id = world.says_with("credential set --provider openai --workspace default", KEY);
    let listed = world.json("credential list");
    assert_eq!(listed[0]["id"], id.trim_end());
    assert_eq!(listed[0]["apiKeyMasked"], "***********WXYZ");
    let limits = "--money-per-day 2.5 --run-money 1 --run-calls 50 --run-depth 0 --output-tokens-per-minute 9000";
    let token =
        world.says(&format!("token create --workspace default --expires 90d --label app --models openai:* {limits}"));
    assert!(token.ends_with('\n') && is_well_formed(token.trim_end().as_bytes()), "stdout is the token alone");
    let tokens = world.json("token list --workspace default");
    let app = tokens.as_array().unwrap().iter().find(|one| one["label"] == "app").unwrap();
    assert_eq!(
        (app["state"].as_str(), app["role"].as_str(), app["kind"].as_str()),
        (Some("active"), Some("member"), Some("chat"))
    );
    let limits = &app["limits"];
    assert_eq!((&limits["moneyPerDay"], &limits["runMoney"]), (&"2.5".into(), &"1".into()));
    assert_eq!((&limits["runCalls"], &limits["runDepth"]), (&50.into(), &0.into()));
    assert_eq!((&limits["outputTokensPerMinute"], &limits["parallel"]), (&9_000.into(), &serde_json::Value::Null));
    assert_eq!(world.run("token create --workspace default --money-per-day -1").code, 2);
    let revoked = world.json(&format!("token revoke {}", app["id"].as_str().unwrap()));
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(world.json("check")["tokens"], 1);
}

#[test]
fn a_found_token_is_revoked_by_itself_without_standing_in_the_arguments() {
    let world = World::begun();
    let token = world.token();
    let said = world.says_with("token revoke -", &token);
    assert!(said.contains("revoked"), "{said}");
    assert_eq!(world.run_with("token revoke -", "kw_unknown").code, 1);
}

#[test]
fn parallel_commands_lose_no_change() {
    const COMMANDS: usize = 20;
    let world = World::begun();
    let children: Vec<Child> = (0..COMMANDS).map(|_| world.spawn("token create --workspace default")).collect();
    let mut tokens: Vec<String> =
        children.into_iter().map(|child| said(child.wait_with_output().unwrap()).out).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), COMMANDS, "each has its own");
    assert_eq!(world.json("token list").as_array().unwrap().len(), COMMANDS + 1);
    assert_eq!(world.json("audit verify")["records"], COMMANDS + 4);
}

#[test]
fn parallel_first_commands_agree_on_one_new_encryption_key() {
    let mut world = World::new();
    world.environment.push(("OPENAI_API_KEY", KEY.to_string()));
    let children: Vec<Child> = (0..4).map(|_| world.spawn("token create --workspace default")).collect();
    for child in children {
        let said = said(child.wait_with_output().unwrap());
        assert_eq!(said.code, 0, "{}", said.words);
    }
    assert_eq!(world.json("token list").as_array().unwrap().len(), 4);
    assert!(files(folder(&world)).iter().all(|file| !holds(&fs::read(file).unwrap(), KEY)));
}

fn folder(world: &World) -> &Path {
    world.folder.path()
}

#[test]
fn a_key_stands_in_no_file_no_argument_and_no_output() {
    let world = World::begun();
    let set = "credential set --provider openai --platform --json";
    let mut child = world.spawn(set);
    // It waits for its input, so it can be looked at.
    let arguments = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap_or_default();
    child.stdin.take().unwrap().write_all(format!("{KEY}\n").as_bytes()).unwrap();
    let said = said(child.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{}", said.words);
    let token = world.token();
    assert!(!holds(&arguments, KEY) && !said.out.contains(KEY) && !said.words.contains(KEY));
    let files = files(folder(&world));
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(!holds(&bytes, KEY) && !holds(&bytes, token.trim_end()), "{}", file.display());
    }
    assert_eq!(world.run(&format!("credential set --provider openai --platform --key {KEY}")).code, 2);
}

#[cfg(target_os = "linux")]
#[test]
fn no_core_dump_holds_our_memory() {
    let world = World::begun();
    let mut child = world.spawn("credential set --provider openai --platform");
    let limits = || fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap_or_default();
    let is_set = |limits: String| {
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).map(str::to_string);
        line.is_some_and(|line| line.split_whitespace().skip(4).take(2).all(|limit| limit == "0"))
    };
    // The first thing it does, yet after it was started: asked for at most five seconds.
    let waited = (0..500).any(|_| {
        is_set(limits()) || {
            std::thread::sleep(std::time::Duration::from_millis(10));
            false
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(waited);
}

#[test]
fn a_key_that_is_missing_or_a_token_of_ours_is_refused_and_not_repeated() {
    let world = World::begun();
    let token = world.token();
    for (key, why) in [("", "is missing"), ("sk with spaces", "holds spaces"), (token.as_str(), "our own tokens")] {
        let said = world.run_with("credential set --provider openai --workspace default", key);
        assert!(said.code == 1 && said.words.contains(why), "{}", said.words);
        assert!(key.is_empty() || !said.words.contains(key.trim_end()));
    }
    assert!(world.json("credential list").as_array().unwrap().is_empty());
}

#[test]
fn another_encryption_key_is_told_from_damage() {
    let world = World::begun();
    let other = world.says("keys generate");
    fs::write(world.path("keyway.key"), other).unwrap();
    for line in ["check", "token list", "token create --workspace default", "resolve gpt-4o"] {
        let words = world.refuses(line);
        assert!(words.contains("does not open with these encryption keys"), "{words}");
    }
}

#[test]
fn a_lost_encryption_key_is_named_and_no_new_one_is_made() {
    let mut world = World::new();
    world.environment.push(("OPENAI_API_KEY", KEY.to_string()));
    world.token();
    fs::remove_file(world.path("keyway-data/keyway.key")).unwrap();
    let words = world.refuses("token create --workspace default");
    assert!(words.contains("no encryption key") && words.contains("keyway-data/keyway.key"), "{words}");
    assert!(!world.path("keyway-data/keyway.key").exists());
}

#[test]
fn a_rotation_lets_the_old_key_go() {
    let world = World::begun();
    world.says_with("credential set --provider openai --workspace default", KEY);
    let settings = fs::read_to_string(world.path("gateway.toml")).unwrap();
    let new = world.says("keys generate");
    fs::write(world.path("new.key"), &new).unwrap();
    let keys = |list: &str| {
        fs::write(world.path("gateway.toml"), settings.replace("{ file = \"keyway.key\" }", list)).unwrap()
    };
    keys("{ file = \"new.key\" }, { file = \"keyway.key\" }");
    assert_eq!(world.json("keys list")["toRotate"], 1);
    let rotated = world.json("keys rotate");
    assert_eq!((rotated["resealed"].as_u64(), rotated["already"].as_u64()), (Some(1), Some(0)));
    assert_eq!(world.json("keys rotate")["already"], 1, "done again it finds nothing to do");
    keys("{ file = \"new.key\" }");
    let listed = world.json("keys list");
    assert_eq!((listed["credentials"].as_u64(), listed["unopenable"].as_u64()), (Some(1), Some(0)));
    assert!(world.run("audit verify").words.contains("no longer held"));
}

const TWO_PROVIDERS: &str = r#"
[[provider]]
id = "first"
kind = "openai"
api_key = "sk-declared-1234"
priority = 1
[[provider]]
id = "second"
kind = "openai"
[[model]]
provider = "first"
id = "twin"
[[model]]
provider = "second"
id = "twin"
[[org]]
id = "acme"
[[workspace]]
id = "team"
name = "The Team"
[[workspace]]
id = "other"
"#;

#[test]
fn resolving_shows_the_plan_and_why_other_targets_fell_out() {
    let world = World::with_settings(TWO_PROVIDERS);
    let plan = world.says("resolve twin --workspace team");
    assert!(plan.contains("rule: exact model id\n1. first twin"), "{plan}");
    assert!(plan.contains("dropped: second second:twin: no active credential"), "{plan}");
    let plan = world.json("resolve twin --workspace team");
    assert_eq!(plan["targets"].as_array().unwrap().len(), 1);
    assert_eq!(plan["targets"][0]["credential"]["scope"], "platform");
    assert_eq!(plan["dropped"][0]["why"], "no active credential");
    let words = world.refuses("resolve twin --workspace team --kind agent");
    assert!(words.contains("not approved for agent tokens"), "{words}");
    assert_eq!(world.run("resolve twin").code, 2, "which of the two workspaces?");
    assert!(!world.path("keyway-data").exists(), "looking makes nothing");
}

#[test]
fn declared_things_are_used_by_their_short_id_and_never_changed() {
    let world = World::with_settings(TWO_PROVIDERS);
    world.says("token create --workspace team");
    let line = "credential set --provider second --platform --grant team,other";
    let set: Value = serde_json::from_str(&world.says_with(&format!("{line} --json"), KEY)).unwrap();
    assert_eq!(set["unlocks"]["models"][0], "second:twin");
    assert_eq!(set["unlocks"]["workspaces"], serde_json::json!(["The Team", "other"]));
    let said = world.run_with("credential set --provider first --platform", KEY);
    assert!(said.code == 1 && said.words.contains("declared"), "{}", said.words);
    assert!(world.refuses("credential delete --provider first --platform").contains("declared"));
    world.says("credential delete --provider second --platform");
    assert_eq!(world.json("credential list").as_array().unwrap().len(), 1);
}

#[test]
fn all_mistakes_of_a_file_are_said_at_once() {
    let world = World::with_settings("lisen = 1\n[breaker]\nopen_for = 5\n");
    let words = world.refuses("check");
    assert!(
        words.contains("gateway.toml:1") && words.contains("gateway.toml:3") && words.contains("2 problems"),
        "{words}"
    );
    let said = world.run("check --json");
    let error: Value = serde_json::from_str(&said.words).unwrap();
    assert_eq!(error["error"]["code"], "config_invalid");
}

#[test]
fn what_init_would_overwrite_it_refuses_and_leaves() {
    let world = World::begun();
    let before: Vec<_> = ["gateway.toml", "keyway.key"].map(|name| fs::read(world.path(name)).unwrap()).into();
    assert!(world.refuses("init").contains("not overwritten"));
    fs::remove_file(world.path("gateway.toml")).unwrap();
    assert!(world.refuses("init").contains("keyway.key is there already"));
    assert!(!world.path("gateway.toml").exists());
    fs::rename(world.path("keyway.key"), world.path("saved")).unwrap();
    assert!(world.refuses("init").contains("directory.sealed is there already"));
    assert_eq!(fs::read(world.path("saved")).unwrap(), before[1]);
    assert!(
        !world.path("gateway.toml").exists() && !world.path("keyway.key").exists(),
        "what is half done is taken back"
    );
    let made = world.json("init --dir elsewhere --org acme --workspace team --admin ada@example.com");
    assert_eq!((made["workspace"].as_str(), made["org"].as_str()), (Some("team"), Some("acme")));
    assert_eq!(world.json("--config elsewhere/gateway.toml check")["tokens"], 1);
}

#[test]
fn roles_and_users_of_a_token_are_held_against_who_they_are() {
    let world = World::begun();
    let token = world.json("token create --workspace default --user admin@localhost --role workspace_admin");
    assert_eq!(token["user"], "admin@localhost");
    assert!(token["madeBy"].as_str().unwrap().starts_with("cli:ada"), "{token}");
    assert!(world.refuses("token create --workspace default --user eve@localhost").contains("no user `eve@localhost`"));
    assert!(world.refuses("token create --workspace defualt").contains("did you mean `default`?"));
    assert_eq!(world.run("token create --workspace default --role king").code, 2);
    assert_eq!(world.run("token create --workspace default --expires soon").code, 2);
}

#[test]
fn a_log_that_was_cut_lacks_the_link_that_was_noted() {
    let world = World::begun();
    let before = fs::read(world.path("keyway-data/directory.sealed")).unwrap();
    world.token();
    let head = world.json("audit verify")["head"].as_str().unwrap().to_string();
    world.says(&format!("audit verify --head {head}"));
    fs::write(world.path("keyway-data/directory.sealed"), before).unwrap();
    let said = world.run(&format!("audit verify --head {head}"));
    assert!(said.code == 1 && said.words.contains("was cut"), "{}", said.words);
}

#[test]
fn completions_are_made_for_every_usual_shell() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.says(&format!("completions {shell}")).contains("keyway"), "{shell}");
    }
    assert_eq!(world.run("completions tcsh").code, 2);
}
