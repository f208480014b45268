//! Promise: an upstream key, however it was entered, and the master key are found nowhere outside of what sealed them: in no
//! answer, log, metric or audit record, in no file or backup, and in nothing that the system shows of the process.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::Method;
use serde_json::{Value, json};

use super::caller::Caller;
use super::gateway::{Process, practice};
use crate::support::postgres::shared;

const MASTER: &str = "planted-master-0123456789abcdef0";
/// By the command line, by the API, tried and never saved, and in bodies that are refused.
const KEYS: [&str; 5] = [
    "sk-planted-cli-Zq7Xw2",
    "sk-planted-api-Hk4Tb9",
    "sk-planted-config-Vn3Rd8",
    "sk-planted-tried-Lm6Py1",
    "sk-planted-odd-Cw5Fs0",
];

/// Runs a command to its end and gives what it printed on either output.
fn run(folder: &Path, line: &str, stdin: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_keyway"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "keyway {line}: {said}");
    said
}

/// Everything that was heard or found, each under the name of its place.
struct Found(Vec<(String, Vec<u8>)>);

impl Found {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    async fn ask(&mut self, caller: &mut Caller, method: Method, path: &str, body: Value) -> (u16, String) {
        self.ask_with(caller, method, path, &body.to_string()).await
    }

    async fn ask_with(&mut self, caller: &mut Caller, method: Method, path: &str, body: &str) -> (u16, String) {
        let answer = caller.asks(method.clone(), path, body).await;
        self.add(format!("{method} {path}"), answer.body.clone());
        (answer.status, answer.body)
    }

    fn files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => self.files(&entry.path()),
                kind if kind.is_file() && entry.file_name() != "master.key" => {
                    self.add(entry.path().display().to_string(), fs::read(entry.path()).unwrap());
                }
                _ => {}
            }
        }
    }

    /// As it is, in base64 and in hex: what stands before and behind it turns base64 at its ends only.
    fn check_for(&self, secret: &str) {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut spelt = vec![secret.to_string(), hex];
        for skipped in 0..3 {
            let inner = &secret.as_bytes()[skipped..];
            spelt.push(BASE64_STANDARD.encode(&inner[..inner.len() / 3 * 3]));
        }
        for (place, bytes) in &self.0 {
            for text in &spelt {
                let is_there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(!is_there, "{secret} as {text} in {place}: {}", String::from_utf8_lossy(bytes));
            }
        }
    }
}

async fn search(store: &str, database: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("master.key"), format!("raw:{MASTER}")).unwrap();
    let provider = format!("kind = \"custom\"\nbase_url = \"http://{}/v1\"\n", practice());
    let settings = format!(
        "{store}[encryption]\nkeys = [{{ file = \"master.key\" }}]\n[egress]\nhttp = [\"127.0.0.1\"]\n[log]\nlevel = \"trace\"\n\
         [[provider]]\nid = \"one\"\n{provider}[[provider]]\nid = \"two\"\n{provider}[[provider]]\nid = \"three\"\n{provider}"
    );
    fs::write(folder.join("gateway.toml"), settings).unwrap();
    let team = "[[org]]\nid = \"acme\"\nfeatures = [\"byok\"]\n[[workspace]]\nid = \"team\"\norg = \"acme\"\n";
    fs::write(folder.join("team.toml"), team).unwrap();
    run(folder, "apply team.toml", "");
    let mut found = Found(Vec::new());
    let [cli, api, config, tried, odd] = KEYS;
    found.add("credential set", run(folder, "credential set --provider one --workspace team", cli));
    let token = run(folder, "token create --workspace team --role platform_admin", "");
    let token = token.split_whitespace().find(|word| word.starts_with("kw_")).unwrap();
    let process = Process::start(folder, &["serve"], &[]);
    let (data, admin) = process.addresses().await;
    let mut admin = Caller::to(admin).await.with_token(token);
    let caller = &mut admin;

    let (_, providers) = found.ask(caller, Method::GET, "/api/v1/providers", json!({})).await;
    let providers: Value = serde_json::from_str(&providers).unwrap();
    let two = providers["items"].as_array().unwrap().iter().find(|one| one["name"] == "two").unwrap();
    let new = |key: &str| json!({"providerId": two["id"], "scope": "platform", "label": "shared", "apiKey": key});
    let (status, set) = found.ask(caller, Method::POST, "/api/v1/credentials", new(api)).await;
    assert_eq!(status, 201, "{set}");
    let (_, me) = found.ask(caller, Method::GET, "/api/v1/me", json!({})).await;
    let me: Value = serde_json::from_str(&me).unwrap();
    let workspace = format!("/api/v1/workspaces/{}", me["workspaceId"].as_str().unwrap());
    let bound = json!({"provider": "three", "model": "practice-small", "apiKey": config});
    let (status, said) = found.ask(caller, Method::PUT, &format!("{workspace}/model-config"), bound).await;
    assert_eq!(status, 200, "{said}");
    let bound = json!({"provider": "three", "model": "practice-fail-401", "apiKey": tried});
    let (status, said) = found.ask(caller, Method::POST, &format!("{workspace}/model-config/test"), bound).await;
    assert_eq!(status, 200, "{said}");
    // What is refused is not quoted: not where it is no JSON, not where a key stands for something else.
    for body in [new(odd).to_string().replace("\"scope\":", "\"scope\""), new(odd).to_string().replace("platform", odd)]
    {
        let (status, said) = found.ask_with(caller, Method::POST, "/api/v1/credentials", &body).await;
        assert_eq!(status, 400, "{said}");
    }
    let (status, said) =
        found.ask(caller, Method::POST, "/api/v1/credentials", json!({ odd: odd, "apiKey": odd })).await;
    assert_eq!(status, 400, "{said}");

    let mut client = Caller::to(data).await.with_token(token);
    for provider in ["one", "two", "three"] {
        for (model, status) in [("practice-small", 200), ("practice-fail-500", 500), ("practice-fail-401", 502)] {
            let answer = client.chat(&format!("{provider}:{model}")).await.unwrap();
            assert_eq!(answer.status, status, "{}", answer.body);
            found.add(format!("a call of {provider}:{model}"), answer.body);
        }
    }
    found.add(
        "a call with a key as its token",
        Caller::to(data).await.with_token(odd).chat("default").await.unwrap().body,
    );
    for credential in ["/api/v1/credentials?scope=platform", "/api/v1/credentials?scope=workspace"] {
        let (_, listed) = found.ask(caller, Method::GET, credential, json!({})).await;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        for one in listed["items"].as_array().unwrap() {
            let path = format!("/api/v1/credentials/{}", one["id"].as_str().unwrap());
            found.ask(caller, Method::GET, &path, json!({})).await;
            found.ask(caller, Method::POST, &format!("{path}/validate"), json!({})).await;
        }
    }
    let config_path = format!("{workspace}/model-config");
    for path in
        ["/metrics", "/readyz", "/api/v1/audit", "/api/v1/catalog", "/api/v1/models", "/api/v1/routes", &config_path]
    {
        let (status, said) = found.ask(caller, Method::GET, path, json!({})).await;
        assert_eq!(status, 200, "{path}: {said}");
    }
    for shown in ["environ", "cmdline", "maps"] {
        found.add(shown, fs::read(format!("/proc/{}/{shown}", process.pid())).unwrap());
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "no core file would be written: {core}");

    for line in ["credential list", "audit verify", "check"] {
        found.add(line, run(folder, line, ""));
    }
    found.add("export", run(folder, "export", ""));
    found.add("log", process.log());
    found.add("stdout", process.stdout.lock().unwrap().clone());
    found.files(folder);
    if let Some(url) = database {
        found.add("backup", shared().dump(url));
    }
    let says_something = |text: &str| found.0.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(text));
    assert!(says_something("Xw2\"") && says_something("\"sealed\"") && says_something("practice-fail-401"));
    KEYS.into_iter().chain([MASTER]).for_each(|secret| found.check_for(secret));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_key_is_found_nowhere_with_the_sealed_file() {
    search("", None).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_key_is_found_nowhere_with_postgres() {
    let url = shared().database().await;
    search(&format!("[store]\nkind = \"postgres\"\nurl = \"{url}\"\n"), Some(&url)).await;
}
