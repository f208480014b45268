//! The command line on Postgres, and from one store to the other.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::postgres::shared;

const PLANTED: &str = "sk-planted-0123456789WXYZ";

/// A folder with settings, and whatever store they name.
struct World(tempfile::TempDir);

impl World {
    fn with(store: &str, more: &str) -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        let key = "[encryption]\nkeys = [{ file = \"keyway.key\" }]\n";
        let openai = "[[provider]]\nid = \"openai\"\nkind = \"openai\"\n";
        world.write("gateway.toml", &format!("[data]\ndir = \"data\"\n{store}{key}{openai}{more}"));
        world.write("keyway.key", "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
        world
    }

    fn sealed_file() -> Self {
        Self::with("", "")
    }

    async fn postgres() -> Self {
        let url = shared().database().await;
        Self::with(&format!("[store]\nkind = \"postgres\"\nurl = \"{url}\"\n"), "")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    /// Exit code, standard output, words.
    fn run(&self, line: &str, stdin: &str) -> (i32, String, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyway"))
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env_clear()
            .env("USER", "ada")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn says_with(&self, line: &str, stdin: &str) -> String {
        let (code, out, words) = self.run(line, stdin);
        assert_eq!(code, 0, "keyway {line}: {words}");
        out
    }

    fn says(&self, line: &str) -> String {
        self.says_with(line, "")
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.says(&format!("{line} --json"))).unwrap()
    }

    fn refuses(&self, line: &str) -> String {
        let (code, _, words) = self.run(line, "");
        assert_eq!(code, 1, "keyway {line}: {words}");
        words
    }

    /// An org, a workspace, a token and a key of the workspace's.
    fn furnish(&self) {
        self.write("acme.toml", "[[org]]\nid = \"acme\"\n[[workspace]]\nid = \"team\"\n");
        self.says("apply acme.toml");
        self.says_with("credential set --provider openai --workspace team", PLANTED);
        self.says("token create --workspace team --label first");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_brought_up_to_date_by_a_command_that_says_what_is_missing() {
    let world = World::postgres().await;
    assert!(world.refuses("migrate --check").contains("behind"));
    let done = world.json("migrate");
    assert!(done["pending"].as_u64().unwrap() > 0 && done["done"] == true);
    assert_eq!(world.json("migrate --check")["pending"], 0);
    let file = World::sealed_file();
    assert!(file.says("migrate").contains("no tables"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_goes_from_the_sealed_file_to_postgres_and_back_with_its_ids_and_keys() {
    let (file, database, back) = (World::sealed_file(), World::postgres().await, World::sealed_file());
    file.furnish();
    let lists = |world: &World| (world.json("credential list"), world.json("token list"));
    let before = lists(&file);
    let export = file.says("export");
    assert!(!export.contains(PLANTED) && export.contains("\"sealed\""));
    database.write("export.json", &export);
    let imported = database.json("import export.json");
    assert_eq!((imported["workspaces"].as_u64(), imported["unopenable"].as_array().unwrap().len()), (Some(1), 0));
    assert_eq!(lists(&database), before);
    assert_eq!(database.json("keys list")["credentials"], 1, "the key opens there");
    back.write("export.json", &database.says("export"));
    back.says("import export.json");
    assert_eq!(lists(&back), before);
    assert_eq!(back.json("keys list")["unopenable"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_replaces_nothing_unless_told_to_and_takes_nothing_that_was_altered() {
    let (file, database) = (World::sealed_file(), World::postgres().await);
    file.furnish();
    let export = file.says("export");
    database.write("export.json", &export);
    database.write(
        "altered.json",
        &export
            .replace("\"platform_admin\":false", "\"platform_admin\":true")
            .replace("\"byok\":true", "\"byok\":false"),
    );
    assert!(database.refuses("import altered.json").contains("altered"));
    database.says("import export.json");
    assert!(database.refuses("import export.json").contains("--replace"));
    database.says("token create --workspace team --label second");
    assert_eq!(database.json("token list").as_array().unwrap().len(), 2);
    database.says("import export.json --replace");
    assert_eq!(database.json("token list").as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_applied_as_it_was_shown_and_again_it_changes_nothing() {
    for world in [World::sealed_file(), World::postgres().await] {
        let shop = |url: &str, key: &str| {
            format!(
                "[[org]]\nid = \"acme\"\n[[workspace]]\nid = \"team\"\ndefault = \"shop:m\"\n\
                 [[provider]]\nid = \"shop\"\nkind = \"custom\"\nbase_url = \"{url}\"\napi_key = \"{key}\"\n\
                 [[model]]\nprovider = \"shop\"\nid = \"m\"\n\
                 [[route]]\nalias = \"quick\"\nprovider = \"shop\"\nmodel = \"m\"\n"
            )
        };
        world.write("shop.toml", &shop("https://one.example.com/v1", PLANTED));
        let shown = world.json("apply shop.toml --dry-run");
        assert_eq!(shown["rows"].as_array().unwrap().len(), 6, "{shown}");
        assert_eq!(world.json("credential list").as_array().unwrap().len(), 0, "nothing was stored");
        assert_eq!(world.json("apply shop.toml"), shown);
        let again = world.json("apply shop.toml");
        assert_eq!((again["rows"].as_array().unwrap().len(), again["unchanged"].as_u64()), (0, Some(6)), "{again}");

        world.write("shop.toml", &shop("https://one.example.com/v1", "sk-another-0123456789"));
        let words = world.says("apply shop.toml --dry-run");
        assert!(words.contains("~ credential") && words.contains("key: ") && !words.contains("another"), "{words}");
        world.write("shop.toml", &shop("https://two.example.com/v1", PLANTED));
        let words = world.says("apply shop.toml");
        assert!(words.contains("~ provider shop\n    base_url: ") && words.contains("two.example.com"), "{words}");
        assert!(words.ends_with("0 added, 2 changed, 4 were so already\n"), "{words}");
        assert!(world.says("resolve quick --workspace team").contains("shop"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_names_what_is_declared_or_has_another_id_is_refused_whole() {
    let world = World::sealed_file();
    world.write("declared.toml", "[[provider]]\nid = \"openai\"\nkind = \"openai\"\n");
    assert!(world.refuses("apply declared.toml").contains("declared in gateway.toml"));
    world.write("first.toml", "[[org]]\nid = \"acme\"\n");
    world.says("apply first.toml");
    world.write("second.toml", "[[org]]\nid = \"new\"\n[[org]]\nid = \"other\"\nname = \"ACME\"\n");
    assert!(world.refuses("apply second.toml").contains("already"));
    assert_eq!(world.json("apply first.toml --dry-run")["unchanged"], 1);
    world.write("new.toml", "[[org]]\nid = \"new\"\n");
    assert_eq!(world.json("apply new.toml --dry-run")["rows"].as_array().unwrap().len(), 1, "nothing of it was stored");
}
