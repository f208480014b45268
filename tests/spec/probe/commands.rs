//! The same from the command line.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::super::support::Answer;
use super::{models, sockets};

fn keyway(folder: &Path, line: &str, stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_keyway"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that takes no input may be gone before it is written.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn done(folder: &Path, line: &str, stdin: &str) -> String {
    // The provider answers on this runtime's other thread.
    let output = tokio::task::block_in_place(|| keyway(folder, line, stdin));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &Path, line: &str, stdin: &str) -> String {
    let output = tokio::task::block_in_place(|| keyway(folder, line, stdin));
    assert_eq!(output.status.code(), Some(1), "{line}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_tried_and_models_taken_from_the_command_line() {
    let world = sockets().stands();
    let (folder, base) = (tempfile::tempdir().unwrap(), world.entity("primary").base_url);
    let settings = format!(
        "[egress]\nhttp = [\"127.0.0.1\"]\n[[provider]]\nid = \"p\"\nkind = \"custom\"\nbase_url = \"{base}\"\n\
         api_key = \"sk-declared\"\n[[org]]\nid = \"team\"\n[[workspace]]\nid = \"team\"\n"
    );
    std::fs::write(folder.path().join("gateway.toml"), settings).unwrap();
    let (folder, provider) = (folder.path(), world.provider("primary"));
    provider.answers(models(&["a", "b"]));
    assert!(done(folder, "check --live", "").contains("it answers and lists 2 models"));
    assert_eq!(provider.last().header("authorization"), Some("Bearer sk-declared"));
    assert!(done(folder, "credential test --provider p", "sk-tried\n").contains("lists 2 models"));
    assert_eq!(provider.last().header("authorization"), Some("Bearer sk-tried"));

    let listed: Value = serde_json::from_str(&done(folder, "credential list --json", "")).unwrap();
    let id = listed[0]["id"].as_str().unwrap();
    provider.answers(Answer::whole("OK"));
    assert!(done(folder, &format!("credential test {id} --model m"), "").contains("m answers"));

    provider.answers(models(&["a", "b"]));
    let shown: Value = serde_json::from_str(&done(folder, "models discover p --dry-run --json", "")).unwrap();
    assert_eq!(shown["added"], serde_json::json!(["a", "b"]));
    assert!(done(folder, "models discover p", "").contains("+ b"));
    let again: Value = serde_json::from_str(&done(folder, "models discover p --json", "")).unwrap();
    assert_eq!((&again["added"], &again["found"]), (&serde_json::json!([]), &2.into()));

    provider.answers(Answer::json(
        401,
        "{\"error\":{\"message\":\"Incorrect API key: sk-tried\",\"code\":\"invalid_api_key\"}}",
    ));
    let words = refused(folder, "credential test --provider p", "sk-tried\n");
    assert!(words.contains("refused the credential") && !words.contains("sk-tried"), "{words}");
    let output = tokio::task::block_in_place(|| keyway(folder, "check --live", ""));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("it fails"));
}
