//! Promise: a reload loses no request and takes up all or nothing; what is not taken up is said.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use keyway::app::open;
use keyway::directory::{Access, Actor, tokens};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::caller::{Caller, text};
use super::gateway::{Gateway, SOON, configuration, eventually, practice};

/// Reloads that the suite has time for. `benches/reloads` asks for a thousand.
const RELOADS: u64 = 200;

/// Calls without a pause until told to stop; gives what went wrong.
async fn calls(data: std::net::SocketAddr, token: String, stop: Arc<AtomicBool>, made: Arc<AtomicU64>) -> Vec<String> {
    let (mut caller, mut failed) = (Caller::to(data).await.with_token(&token), Vec::new());
    while !stop.load(Relaxed) {
        if made.fetch_add(1, Relaxed).is_multiple_of(4) {
            let body = caller.stream("practice-chunks-5-2ms").await;
            match text(body).await {
                Ok(text) if text.contains("[DONE]") => {}
                other => failed.push(format!("{other:?}")),
            }
        } else {
            match caller.chat("default").await {
                Ok(answer) if answer.status == 200 => {}
                other => failed.push(format!("{other:?}")),
            }
        }
    }
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_fail_no_request() {
    let practice = practice();
    let text = |number: u64| configuration(practice, &format!("[attempts]\nmax = {}\n", 2 + number % 3));
    let gateway = Gateway::start(&text(0)).await;
    let wanted = std::env::var("KEYWAY_RELOADS").ok().and_then(|number| number.parse().ok()).unwrap_or(RELOADS);
    let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut load = JoinSet::new();
    for _ in 0..4 {
        load.spawn(calls(gateway.data, gateway.token.clone(), stop.clone(), made.clone()));
    }
    let began = Instant::now();
    for number in 0..wanted {
        gateway.write(&text(number));
        gateway.reload().await;
    }
    let took = began.elapsed();
    stop.store(true, Relaxed);
    let failed: Vec<String> = load.join_all().await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{} of {} failed: {:?}", failed.len(), made.load(Relaxed), failed.first());
    assert!(gateway.reloads().await.0 >= wanted && made.load(Relaxed) > wanted);
    assert!(took < Duration::from_millis(60) * u32::try_from(wanted).unwrap(), "{wanted} reloads took {took:?}");
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_is_said_until_it_is_mended() {
    let good = configuration(practice(), "");
    let gateway = Gateway::start(&good).await;
    let (_, before) = gateway.ready().await;
    gateway.write(&format!("[limts]\nbody = \"1B\"\n{good}"));
    gateway.reload().await;

    assert_eq!(gateway.caller().await.chat("default").await.unwrap().status, 200);
    let (status, ready) = gateway.ready().await;
    assert_eq!((status, &ready["status"]), (200, &"degraded".into()));
    assert!(ready["troubles"][0].as_str().unwrap().contains("limts"), "{ready}");
    assert_eq!(ready["config"], before["config"]);
    assert_eq!(gateway.reloads().await, (0, 1));
    gateway.process.says("what was running goes on unchanged").await;

    gateway.write(&good);
    gateway.reload().await;
    assert_eq!(gateway.ready().await.1["status"], "ready");
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_by_name_and_the_rest_with_it() {
    let practice = practice();
    let gateway = Gateway::start(&configuration(practice, "")).await;
    let settings = "[listen]\ncores = 1\n[attempts]\npool_idle = \"9s\"\n[limits]\nbody = \"1KiB\"\n\
                    [encryption]\nkeys = [\"raw:0123456789abcdef0123456789abcdef\"]\n[log]\nformat = \"json\"\n";
    gateway.write(&configuration(practice, settings));
    gateway.reload().await;
    let (_, ready) = gateway.ready().await;
    let trouble = ready["troubles"][0].as_str().unwrap();
    for name in ["[listen] cores", "[attempts] pool_idle", "[encryption] keys", "[log] format"] {
        assert!(trouble.contains(name), "{trouble}");
    }
    assert_eq!(gateway.caller().await.says(2_000).await.status, 200, "all or nothing");
}

#[tokio::test]
async fn limits_are_taken_up_by_a_reload() {
    let practice = practice();
    let gateway = Gateway::start(&configuration(practice, "")).await;
    let mut early = gateway.caller().await;
    assert_eq!(early.says(2_000).await.status, 200);
    gateway.write(&configuration(
        practice,
        "[limits]\nbody = \"1KiB\"\nbodies_in_flight = \"1MiB\"\nheaders = 3\nconnections = 3\n\
         [metrics]\nenabled = false\n[log]\nlevel = \"warn\"\n",
    ));
    gateway.process.signal(Signal::HUP);
    let began = Instant::now();
    while Caller::to(gateway.admin).await.get("/metrics").await.status != 404 {
        assert!(began.elapsed() < SOON);
    }
    assert_eq!(early.says(2_000).await.status, 413);
    // New connections take few header lines: host, authorization, content type and length are too many.
    let refused = gateway.caller().await.chat("default").await;
    assert!(!refused.is_ok_and(|answer| answer.status == 200));
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(TcpStream::connect(gateway.data).await.unwrap());
    }
    // Which of them comes last is the cores' affair.
    let is_closed = |one: &TcpStream| match one.try_read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    let began = Instant::now();
    while !others.iter().any(is_closed) {
        assert!(began.elapsed() < SOON, "a fourth connection found a place");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let log = gateway.process.log();
    assert!(!log.contains("reloaded"), "said under the new level: {log}");
}

#[tokio::test]
async fn proxies_are_trusted_from_a_reload_on() {
    let practice = practice();
    let gateway = Gateway::start(&configuration(practice, "")).await;
    let proxied = async || {
        let mut stream = TcpStream::connect(gateway.data).await.unwrap();
        let head = "PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\nGET /v1/models HTTP/1.1\r\nhost: h\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(proxied().await, "HTTP/1.1 400");
    let settings = "[listen]\ntrusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = true\n";
    gateway.write(&configuration(practice, settings));
    gateway.reload().await;
    assert_eq!(proxied().await, "HTTP/1.1 401");
}

#[tokio::test]
async fn what_another_process_changes_holds_within_a_second() {
    let gateway = Gateway::start(&configuration(practice(), "")).await;
    let config = gateway.config();
    let opened = open::open(&config).await.unwrap();
    let access = Access {
        store: opened.store.clone(),
        declared: config.declared.clone(),
        egress: Arc::new(config.egress.rules.clone()),
        actor: Actor::operator("test"),
    };
    let workspace = config.declared.workspaces[0].id;
    let made = tokens::create(&access, tokens::NewToken::of(workspace)).await.unwrap();
    let mut caller = Caller::to(gateway.data).await.with_token(std::str::from_utf8(made.text.expose()).unwrap());
    let began = Instant::now();
    while caller.chat("default").await.unwrap().status == 401 {
        assert!(began.elapsed() < Duration::from_secs(1), "a token of another process is not known after a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokens::revoke(&access, made.line.id).await.unwrap();
    let began = Instant::now();
    while caller.chat("default").await.unwrap().status != 401 {
        assert!(began.elapsed() < Duration::from_secs(1), "a revoked token still counts after a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_broken_sealed_file_changes_nothing_and_is_said_until_it_is_mended() {
    let gateway = Gateway::start(&configuration(practice(), "")).await;
    let sealed = open::sealed_file(&gateway.config());
    let good = fs::read(&sealed).unwrap();
    let replace = |bytes: &[u8]| {
        let new = sealed.with_extension("other");
        fs::write(&new, bytes).unwrap();
        fs::rename(new, &sealed).unwrap();
    };
    replace(&good[..good.len() / 2]);
    gateway.process.says("what was running goes on unchanged").await;
    assert_eq!(gateway.ready().await.1["status"], "degraded");
    assert_eq!(gateway.caller().await.chat("default").await.unwrap().status, 200);
    // A poll that finds nothing new is no news that it is well.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(gateway.ready().await.1["status"], "degraded");
    replace(&good);
    eventually("the mended file to be taken up", || gateway.process.log().contains("took up a changed directory"))
        .await;
    assert_eq!(gateway.ready().await.1["status"], "ready");
}
