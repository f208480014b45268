//! Promise: when most of a budget is spent somebody hears of it, once, signed, and again until it is taken; and whoever does not
//! listen keeps nobody waiting.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use keyway::domain::money::Nanodollars;
use ring::hmac;
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::budgets::{CENT, MODEL, PRICED, calls};
use super::caller::Caller;
use super::gateway::{Gateway, Process, configuration, eventually, practice};
use super::replicas::Office;
use crate::support::postgres::shared;

const SECRET: &str = "0123456789abcdef0123";

/// Somebody who listens, and the notices that were heard, each rightly signed.
#[derive(Clone, Default)]
struct Listener {
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Listener {
    /// Answers with these statuses, the last one from then on.
    async fn opens(statuses: &'static [u16]) -> (Self, SocketAddr) {
        let (listener, socket) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (address, of) = (socket.local_addr().unwrap(), listener.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                of.hears(stream, statuses).await;
            }
        });
        (listener, address)
    }

    async fn hears(&self, mut stream: TcpStream, statuses: &[u16]) {
        let mut bytes = Vec::new();
        let (head, body) = loop {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "it ends with its body");
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length: usize = header(head, "content-length").parse().unwrap();
            if body.len() >= length {
                break (head.to_string(), body.to_string());
            }
        };
        assert!(head.starts_with("POST /keyway HTTP/1.1\r\n"), "{head}");
        let signature = header(&head, "x-keyway-signature");
        let (time, signed) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let right = hmac::sign(&key, format!("{time}.{body}").as_bytes());
        let right: String = right.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(signed, right);
        let notice: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(header(&head, "x-keyway-event"), notice["id"].as_str().unwrap());
        let status = {
            let mut heard = self.heard.lock().unwrap();
            let status = statuses.get(heard.len()).or(statuses.last()).copied().unwrap();
            heard.push(notice);
            status
        };
        let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    async fn has_heard(&self, notices: usize) -> Vec<Value> {
        eventually("a notice", || self.heard.lock().unwrap().len() >= notices).await;
        self.heard.lock().unwrap().clone()
    }
}

fn header(head: &str, name: &str) -> String {
    let of = |line: &str| {
        line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().into())
    };
    head.lines().find_map(of).unwrap_or_else(|| panic!("{name} is missing in {head}"))
}

fn settings(at: SocketAddr, percents: &str) -> String {
    format!(
        "[budgets]\nwarn_percents = {percents}\n[budgets.webhook]\nurl = \"http://{at}/keyway\"\nsecret = \"{SECRET}\"\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_runs_out_is_told_until_it_is_heard_and_not_again_after_a_restart() {
    let (listener, at) = Listener::opens(&[500, 200]).await;
    let limited = "limits.money_per_month = \"0.1\"\n";
    let text = format!("{}{limited}{PRICED}", configuration(practice(), &settings(at, "[80, 100]")));
    let mut gateway = Gateway::start(&text).await;
    assert_eq!(calls(gateway.data, &gateway.token, 1, 8).await, (8, 0));
    let heard = listener.has_heard(2).await;
    assert_eq!(heard[0], heard[1], "the first try was answered with 500");
    let told = |field: &str| heard[0][field].clone();
    assert_eq!((told("percent"), told("limit"), told("spent")), (80.into(), "0.1".into(), "0.08".into()));
    assert_eq!((told("period"), heard[0]["holder"]["kind"].clone()), ("month".into(), "workspace".into()));
    assert!(gateway.metrics().await.contains("keyway_budget_warnings_total 1\n"));

    gateway.process.signal(Signal::KILL);
    gateway.process.exit().await;
    let again = Process::start(gateway.folder.path(), &["serve"], &[]);
    let (data, _) = again.addresses().await;
    assert_eq!(calls(data, &gateway.token, 1, 3).await, (2, 1));
    assert_eq!(listener.has_heard(3).await[2]["percent"], 100, "80 was told before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_spends_its_money_is_told_by_its_name_as_is_the_one_above_it() {
    let (listener, at) = Listener::opens(&[200]).await;
    let limited = "limits.run_money = \"0.1\"\n";
    let text = format!("{}{limited}{PRICED}", configuration(practice(), &settings(at, "[80, 100]")));
    let mut gateway = Gateway::start(&text).await;
    let spends = async |data, times: usize| {
        for _ in 0..times {
            let caller = Caller::to(data).await.with_token(&gateway.token);
            assert_eq!({ caller }.chat_of_run(MODEL, "part", "nightly").await.status, 200);
        }
    };
    spends(gateway.data, 8).await;
    let told = |heard: &[Value], percent: u64| {
        let mut runs: Vec<_> = heard.iter().filter(|one| one["percent"] == percent).collect();
        runs.sort_by_key(|one| one["holder"]["id"].to_string());
        assert!(runs.iter().all(|one| one["holder"]["kind"] == "run" && one["periodBegins"].is_null()), "{runs:?}");
        runs.iter().map(|one| one["holder"]["id"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    let heard = listener.has_heard(2).await;
    assert_eq!((told(&heard, 80), heard[0]["spent"].clone()), (vec!["nightly".into(), "part".into()], "0.08".into()));

    gateway.process.signal(Signal::KILL);
    gateway.process.exit().await;
    let again = Process::start(gateway.folder.path(), &["serve"], &[]);
    spends(again.addresses().await.0, 2).await;
    let heard = listener.has_heard(4).await;
    assert_eq!((told(&heard, 80).len(), told(&heard, 100)), (2, vec!["nightly".into(), "part".into()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_listens_and_hangs_keeps_nobody_waiting() {
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limited = "limits.money_per_day = \"0.3\"\n";
    let settings = settings(hangs.local_addr().unwrap(), "[10, 20, 30]");
    let gateway = Gateway::start(&format!("{}{limited}{PRICED}", configuration(practice(), &settings))).await;
    assert_eq!(calls(gateway.data, &gateway.token, 2, 6).await, (12, 0));
    let (_held, _) = hangs.accept().await.unwrap();
    assert_eq!(calls(gateway.data, &gateway.token, 3, 6).await, (18, 0));
    assert_eq!(calls(gateway.data, &gateway.token, 1, 1).await, (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_replicas_one_tells_it() {
    let (listener, at) = Listener::opens(&[200]).await;
    let mut office = Office::new(&shared().database().await).await;
    office.settings = format!("{}{}{PRICED}", settings(at, "[50, 100]"), office.settings);
    let limit = Some(Nanodollars(20 * CENT));
    office.change(move |directory| directory.workspaces[0].limits.money_per_day = limit).await;
    let (token, _) = office.token().await;
    let (one, two) = tokio::join!(office.replica(), office.replica());
    // Neither of them has spent half of it.
    tokio::join!(calls(one.data, &token, 1, 6), calls(two.data, &token, 1, 6));
    assert_eq!(listener.has_heard(1).await[0]["percent"], 50);
    tokio::join!(calls(one.data, &token, 1, 10), calls(two.data, &token, 1, 10));
    let heard = listener.has_heard(2).await;
    assert_eq!((&heard[1]["percent"], &heard[1]["spent"]), (&100.into(), &"0.2".into()));
}
