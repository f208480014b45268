//! Promise: a start needs nothing beyond what it can't guess, and says what is wrong where it can't be.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::caller::Caller;
use super::gateway::{Gateway, Process, configuration, eventually, practice};

const KEY: (&str, &str) = ("OPENAI_API_KEY", "sk-of-the-environment");

/// The token that a process prints, a line on its own.
async fn printed_token(process: &Process) -> String {
    let printed = || process.stdout.lock().unwrap().clone();
    let token = |text: String| Some(text[text.find("kw_")?..].split_whitespace().next()?.trim_matches('"').to_string());
    eventually("a token", || token(printed()).is_some()).await;
    token(printed()).unwrap()
}

#[tokio::test]
async fn the_environment_alone_is_enough_and_the_token_is_printed_once() {
    let (folder, base) = (tempfile::tempdir().unwrap(), format!("http://{}/v1", practice()));
    let variables = [KEY, ("OPENAI_BASE_URL", base.as_str())];
    let mut first = Process::start(folder.path(), &["serve"], &variables);
    let (data, _) = first.addresses().await;
    let token = printed_token(&first).await;
    let answer = Caller::to(data).await.with_token(&token).chat("practice-small").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    first.signal(Signal::TERM);
    assert!(first.exit().await.success());
    assert!(!first.log().contains(&token), "a log is kept, so the token is printed and not logged");

    let second = Process::start(folder.path(), &["serve"], &variables);
    let (data, _) = second.addresses().await;
    let answer = Caller::to(data).await.with_token(&token).chat("practice-small").await.unwrap();
    assert_eq!(answer.status, 200, "the first start's token still counts");
    second.says("directory.sealed").await;
    assert!(!second.stdout.lock().unwrap().contains("kw_"));
}

#[tokio::test]
async fn where_nothing_can_be_written_each_start_has_its_own_token() {
    let (folder, base) = (tempfile::tempdir().unwrap(), format!("http://{}/v1", practice()));
    let variables = [KEY, ("OPENAI_BASE_URL", base.as_str()), ("KEYWAY_DATA", "/proc/keyway-data")];
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let process = Process::start(folder.path(), &["serve"], &variables);
        let (data, _) = process.addresses().await;
        let token = printed_token(&process).await;
        assert_eq!(Caller::to(data).await.with_token(&token).chat("practice-small").await.unwrap().status, 200);
        process.says("KEYWAY_DATA").await;
        tokens.push(token);
    }
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn a_start_without_any_provider_or_with_too_few_files_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("few-files"), "ulimit -Sn 200; ulimit -Hn 200; exec \"$0\" serve").unwrap();
    let process = Process::start_by(folder.path(), &["/bin/sh", "-c", ". ./few-files"]);
    process.says("no provider is known").await;
    process.says("200 open files are allowed").await;
    process.addresses().await;
}

#[tokio::test]
async fn the_demo_answers_at_once_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut process = Process::start(folder.path(), &["demo"], &[]);
    let token = printed_token(&process).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let (data, admin) = process.addresses().await;
    let mut caller = Caller::to(data).await.with_token(&token);
    for model in ["default", "fast", "role:summariser", "practice-json", "practice-chunks-3-1ms"] {
        let answer = caller.chat(model).await.unwrap();
        assert_eq!(answer.status, 200, "{model}: {}", answer.body);
    }
    assert!(caller.get("/v1/models").await.body.contains("practice-tools"));
    assert_eq!(Caller::to(admin).await.get("/readyz").await.status, 200);
    let printed = process.stdout.lock().unwrap().clone();
    assert!(printed.contains("curl") && printed.contains("from openai import OpenAI"), "{printed}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    process.signal(Signal::INT);
    assert!(process.exit().await.success());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "its state is gone");
}

#[tokio::test]
async fn a_demo_takes_other_ports_where_its_own_are_taken_and_keeps_its_state_if_told() {
    let folder = tempfile::tempdir().unwrap();
    // Whether or not these are free, two demos can't both have them.
    let unset = [("KEYWAY_LISTEN", ""), ("KEYWAY_ADMIN_LISTEN", "")];
    let one = Process::start(folder.path(), &["demo"], &unset);
    let (first, _) = one.addresses().await;
    let mut two = Process::start(folder.path(), &["demo", "--keep"], &unset);
    let (second, _) = two.addresses().await;
    assert_ne!(first, second);
    let token = printed_token(&two).await;
    assert_eq!(Caller::to(second).await.with_token(&token).chat("default").await.unwrap().status, 200);
    two.signal(Signal::TERM);
    assert!(two.exit().await.success());
    drop(one);
    assert!(folder.path().join("keyway-demo/gateway.toml").exists());

    let again = Process::start(folder.path(), &["demo", "--keep"], &unset);
    let (data, _) = again.addresses().await;
    for token in [token, printed_token(&again).await] {
        assert_eq!(Caller::to(data).await.with_token(&token).chat("default").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let good = configuration(practice(), "");
    let store = format!("[store]\nkind = \"postgres\"\nurl = \"postgres://nobody@{address}/keyway?sslmode=disable\"\n");
    let keys = "[encryption]\nkeys = [\"raw:0123456789abcdef0123456789abcdef\"]\n";
    let postgres = configuration(practice(), &(store + keys));
    let no_ca = good.replace("[egress]", "[egress]\nca = \"missing.pem\"");
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 5] = [
        (&good, &[("KEYWAY_LISTEN", &address)], &address),
        (&good, &[("KEYWAY_ADMIN_LISTEN", &address)], &address),
        (&postgres, &[], "the database is away"),
        ("[listn]", &[], "listn"),
        (&no_ca, &[], "missing.pem"),
    ];
    for (text, variables, named) in cases {
        fs::write(folder.path().join("gateway.toml"), text).unwrap();
        let mut process = Process::start(folder.path(), &["serve"], variables);
        assert!(!process.exit().await.success());
        process.says(named).await;
    }
    fs::remove_file(folder.path().join("gateway.toml")).unwrap();
    let mut process = Process::start(folder.path(), &["serve"], &[("DATABASE_URL", "postgres://db/keyway")]);
    assert!(!process.exit().await.success());
    process.says("KEYWAY_ENCRYPTION_KEYS").await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_key_can_be_read_from_the_process_or_its_log() {
    let mut gateway = Gateway::start(&configuration(practice(), "[log]\nlevel = \"trace\"\n")).await;
    gateway.caller().await.chat("default").await.unwrap();
    Caller::to(gateway.data).await.with_token("kw_wrong_but_long_enough_to_look_at").chat("default").await.unwrap();
    gateway.reload().await;
    let of = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", gateway.process.pid())).unwrap();
    let limits = of("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let files: Vec<&str> = files.split_whitespace().collect();
    assert_eq!(files[3], files[4], "all the descriptors that the system allows");
    let cmdline = of("cmdline");
    gateway.process.signal(Signal::TERM);
    gateway.process.exit().await;
    for text in [cmdline, gateway.process.log()] {
        for secret in ["sk-the-providers-own-key", gateway.token.as_str(), "kw_wrong", "Hello"] {
            assert!(!text.contains(secret), "{secret} stands in {text}");
        }
    }
}
