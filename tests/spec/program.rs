//! Promise: a program on this machine answers like a provider, and nothing is left of it when nobody wants it any more.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use keyway::meter::Outcome;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Reply, World};

/// Longer than a busy machine takes for anything here.
const SOON: Duration = Duration::from_secs(60);

/// A gateway with such a program, a shell script in this folder.
fn world(folder: &Path, script: &str) -> World {
    fs::write(folder.join("program"), script).unwrap();
    let command = json!(["/bin/sh", folder.join("program"), folder, "{model}", "{system}"]);
    let program =
        format!("[[provider]]\nid = \"program\"\nkind = \"agent-sdk\"\ntimeout = \"2m\"\ncommand = {command}\n");
    World::on_loopback(["primary"]).and(&program).stands()
}

/// Hears its question, and says what lies in the folder.
const SPEAKS: &str = "cat > $1/heard; echo \"$2|$3\" > $1/told; cat $1/said";

/// The golden stream of Messages, as a program says it.
fn said() -> String {
    let stream = fs::read_to_string("tests/golden/messages/text/stream.sse").unwrap();
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut lines: Vec<String> = vec![json!({"type": "system", "subtype": "init"}).to_string(), "not JSON".into()];
    lines.extend(
        events.map(|event| format!("{{\"type\":\"stream_event\",\"event\":{event},\"parent_tool_use_id\":null}}")),
    );
    let mut message: Value =
        serde_json::from_slice(&fs::read("tests/golden/messages/text/answer.json").unwrap()).unwrap();
    let usage = message["usage"].take();
    lines.push(json!({"type": "assistant", "message": message}).to_string());
    lines.push(json!({"type": "result", "subtype": "success", "is_error": false, "usage": usage}).to_string());
    lines.join("\n") + "\n"
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn content(reply: &Reply) -> String {
    let body: Value = serde_json::from_slice(&reply.bytes).unwrap();
    body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_string()
}

#[tokio::test]
async fn a_program_answers_whole_and_streamed_in_every_protocol() {
    let folder = folder();
    let world = world(folder.path(), SPEAKS);
    fs::write(folder.path().join("said"), said()).unwrap();
    let body = r#"{"model":"program:opus","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]}"#;
    let whole = world.client().posts("/v1/chat/completions", body).await;
    assert_eq!((whole.status, content(&whole).as_str()), (200, "Hi, Zoë! 👋"), "{}", whole.text());
    assert_eq!(fs::read_to_string(folder.path().join("told")).unwrap(), "opus|Be brief.\n");
    let heard: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("heard")).unwrap()).unwrap();
    assert_eq!((&heard["type"], &heard["message"]["role"]), (&json!("user"), &json!("user")));
    assert!(heard["message"]["content"].to_string().contains("hi"));
    let streamed = world.client().posts("/v1/chat/completions", body).streamed().await;
    assert!(streamed.text().contains("Zo") && streamed.text().ends_with("data: [DONE]\n\n"), "{}", streamed.text());
    let message =
        r#"{"model":"program:opus","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let own = world.client().posts("/v1/messages", message).await;
    assert!(own.text().contains("event: message_stop"), "{}", own.text());
    assert!(world.outcomes().iter().all(|outcome| *outcome == Outcome::Served));
    assert_eq!(world.records()[0].usage.output_total(), 6);
}

const HI: &str = r#"{"model":"program:opus","messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test]
async fn what_a_program_can_not_do_or_fails_at_is_told_as_a_provider_s_failure() {
    let folder = folder();
    let world = world(folder.path(), SPEAKS);
    let ask = |more: &str| {
        let body = HI.replacen('{', &format!("{{{more}"), 1);
        world.client().posts("/v1/chat/completions", body)
    };
    let tools = r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"#;
    ask(tools).await.is_refused(400, "unsupported_by_target");
    let stop = ask(r#""stop":["x"],"#).await;
    stop.is_refused(400, "unsupported_by_target");
    assert!(stop.text().contains("`stop`"), "in the client's own words: {}", stop.text());
    let counted = world.client().posts("/v1/messages/count_tokens", HI).await;
    assert_eq!(counted.status, 400, "it counts nothing: {}", counted.text());
    assert!(!folder.path().join("heard").exists(), "no program was started for any of them");
    let failed = json!({"type": "result", "subtype": "success", "is_error": true, "api_error_status": 429, "result": "Slow down"});
    fs::write(folder.path().join("said"), format!("{failed}\n")).unwrap();
    assert_eq!(ask("").await.status, 429);
    assert_eq!(ask("").streamed().await.status, 429);
    fs::write(folder.path().join("said"), said()).unwrap();
    let warm = ask(r#""temperature":0.5,"#).await;
    assert_eq!((warm.status, warm.header("x-keyway-dropped")), (200, Some("temperature")));
}

/// Nobody's answer comes of such a program, and the call hears that its provider failed.
async fn check_broken(script: &str) {
    let folder = folder();
    let world = world(folder.path(), script);
    let whole = world.client().posts("/v1/chat/completions", HI).await;
    assert_eq!(whole.status, 502, "{script}: {}", whole.text());
    assert_eq!(world.client().posts("/v1/chat/completions", HI).streamed().await.status, 502, "{script}");
}

#[tokio::test]
async fn a_program_that_ends_without_its_last_word_or_says_only_nonsense_has_failed() {
    check_broken("echo nothing").await;
    check_broken("exit 3").await;
    check_broken("printf '{\"type\":\"result\"'").await;
    check_broken("cat /dev/zero").await;
    check_broken("yes $(head -c 65536 /dev/zero | tr '\\0' x)").await;
}

#[tokio::test]
async fn a_command_that_is_not_there_is_a_provider_that_can_not_be_reached() {
    let program = "[[provider]]\nid = \"program\"\nkind = \"agent-sdk\"\ncommand = [\"/nowhere/program\"]\n";
    let world = World::on_loopback(["primary"]).and(program).stands();
    assert_eq!(world.client().posts("/v1/chat/completions", HI).await.status, 502);
}

#[tokio::test]
async fn a_program_need_not_listen_nor_end_well_to_be_believed() {
    let folder = folder();
    let world = world(folder.path(), "cat $1/said; exit 3");
    fs::write(folder.path().join("said"), said()).unwrap();
    let long = HI.replace("hi", &"long ".repeat(100_000));
    let reply = world.client().posts("/v1/chat/completions", long).await;
    assert_eq!((reply.status, content(&reply).as_str()), (200, "Hi, Zoë! 👋"), "{}", reply.text());
}

/// Says its number, and stays with a child of its own.
const STAYS: &str = "echo $$ > $1/$$.new; mv $1/$$.new $1/$$.pid; sleep 600 & sleep 600";

/// The numbers of those that have said them.
fn started(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(".pid")?.to_string())).collect()
}

fn asks_and_waits(world: &World) -> tokio::task::JoinHandle<String> {
    let length = HI.len();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{HI}"
    );
    let client = world.client();
    tokio::spawn(async move { client.raw(&head).await })
}

#[tokio::test]
async fn programs_that_nobody_waits_for_any_more_are_ended_with_all_that_they_started() {
    let folder = folder();
    let world = world(folder.path(), STAYS);
    let asking: Vec<_> = (0..8).map(|_| asks_and_waits(&world)).collect();
    let groups = until(|| Some(started(folder.path())).filter(|groups| groups.len() == 8)).await;
    let one_more = world.client().posts("/v1/chat/completions", HI).await;
    assert_ne!(one_more.status, 200, "no more than eight run at once");
    assert_eq!(started(folder.path()).len(), 8);
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    for group in &groups {
        until(|| (!is_alive(group)).then_some(())).await;
    }
    fs::write(folder.path().join("program"), SPEAKS).unwrap();
    fs::write(folder.path().join("said"), said()).unwrap();
    // A place is free as soon as its program was waited for.
    let began = Instant::now();
    while world.client().posts("/v1/chat/completions", HI).await.status != 200 {
        assert!(began.elapsed() < SOON, "their places are free again");
    }
}

/// Is anything left of this process group, but for what waits to be reaped?
pub(crate) fn is_alive(group: &str) -> bool {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    // PID (NAME) STATE PARENT GROUP …
    let mut found = processes.filter_map(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.to_string()));
    found.any(|rest| {
        let fields: Vec<&str> = rest.split(' ').collect();
        fields[2] == group && fields[0] != "Z"
    })
}

async fn until<T>(found: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < SOON, "it never came to that");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
