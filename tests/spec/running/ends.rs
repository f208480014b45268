//! Promise: a process that is told to end loses nothing that it has begun, and does not wait for ever.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use rustix::process::Signal;

use super::caller::{Caller, text};
use super::gateway::{Gateway, configuration, eventually, practice};
use crate::program::is_alive;

#[tokio::test]
async fn sigterm_lets_streams_finish_and_ends_well() {
    let mut gateway = Gateway::start(&configuration(practice(), "")).await;
    let mut health = Caller::to(gateway.admin).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut caller = gateway.caller().await;
        let body = caller.stream("practice-chunks-50-20ms").await;
        streams.push((caller, body));
    }
    gateway.process.signal(Signal::TERM);
    gateway.process.says("draining").await;
    assert_eq!(health.get("/readyz").await.status, 503);
    let told = Instant::now();
    // Each core closes its own listener.
    while tokio::net::TcpStream::connect(gateway.data).await.is_ok() {
        assert!(told.elapsed() < Duration::from_secs(5), "no new connections");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (_caller, body) in streams {
        assert!(text(body).await.unwrap().contains("[DONE]"));
    }
    let ended = Instant::now();
    assert!(gateway.process.exit().await.success(), "{}", gateway.process.log());
    assert!(ended.elapsed() < Duration::from_secs(5));
    let log = gateway.process.log();
    assert_eq!(log.matches("served chat_completions").count(), 10, "each call has its line: {log}");
}

#[tokio::test]
async fn the_drain_s_limit_cuts_what_would_go_on() {
    let mut gateway = Gateway::start(&configuration(practice(), "drain_timeout = \"500ms\"")).await;
    let mut caller = gateway.caller().await;
    let body = caller.stream("practice-chunks-1000-20ms").await;
    gateway.process.signal(Signal::TERM);
    let told = Instant::now();
    assert!(gateway.process.exit().await.success());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
    assert!(text(body).await.map_or(true, |text| !text.contains("[DONE]")), "a cut stream does not look whole");
}

#[tokio::test]
async fn the_drain_s_limit_ends_programs_with_their_calls() {
    let program = "[[provider]]\nid = \"program\"\nkind = \"agent-sdk\"\n\
        command = [\"/bin/sh\", \"-c\", \"echo $$ > new; mv new pid; sleep 600\"]\n";
    let mut gateway = Gateway::start(&(configuration(practice(), "drain_timeout = \"500ms\"") + program)).await;
    let mut caller = gateway.caller().await;
    let asking = tokio::spawn(async move { caller.chat("program:any").await.map(drop) });
    let pid = || std::fs::read_to_string(gateway.folder.path().join("pid")).ok();
    eventually("the program to run", || pid().is_some()).await;
    let group = pid().unwrap().trim().to_string();
    assert!(is_alive(&group));
    gateway.process.signal(Signal::TERM);
    assert!(gateway.process.exit().await.success());
    eventually("the program to end", || !is_alive(&group)).await;
    assert!(asking.await.unwrap().is_err(), "its call was cut");
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut gateway = Gateway::start(&configuration(practice(), "")).await;
    let mut caller = gateway.caller().await;
    let mut body = caller.stream("practice-chunks-1000-20ms").await;
    gateway.process.signal(Signal::TERM);
    gateway.process.says("draining").await;
    body.frame().await.unwrap().unwrap();
    assert!(!gateway.process.has_ended());
    gateway.process.signal(Signal::TERM);
    let told = Instant::now();
    assert!(gateway.process.exit().await.success());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
}
