//! The load driver: keep-alive connections, closed loop, open loop (`--rate`), held streams (`--hold`) and clients that
//! leave (`--abort-after`). Checks every answer against the script's bytes; prints one JSON line.
//!
//! Must never be lenient: what it cannot account for is an error.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use crate::cores;
use crate::flags::Flags;
use crate::script::{Script, Usage};
use crate::tally::{Check, Expected, Tally};
use crate::wire::Connection;

/// How long after its end a run waits for what is under way, before it is booked as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Open-loop calls under way at most; beyond it the target is far behind, and ticks are booked as skipped.
const OPEN_CALLS_MAX: usize = 1024;

/// A tick this far behind means that the driver could not keep its rate.
const LATE: Duration = Duration::from_millis(5);

/// What text a prompt repeats: escapes and non-ASCII too, as real prompts have them.
const PROMPT: &str =
    r#"The quick brown fox said: \"jump over the lazy dog\",\nand the café's owner agreed, since 3 < 5.\t"#;

struct Load {
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    expected: Expected,
    seconds: Duration,
    ramp: Duration,
    abort_after: Option<u64>,
    hold: bool,
    /// Calls at most; the run ends with the last one even if time is left.
    calls: u64,
}

/// One thread's share of the load.
struct Share {
    load: &'static Load,
    tally: RefCell<Tally>,
    end: Instant,
    calls_begun: Cell<u64>,
    /// Held streams that have had their first byte.
    holding: watch::Sender<usize>,
}

enum Ending {
    Reusable,
    Closed,
}

pub fn run(flags: &Flags) -> Result<(), String> {
    let load: &'static Load = Box::leak(Box::new(Load::read(flags)?));
    let connections: usize = flags.number("connections", 1)?;
    let rate: u32 = flags.number("rate", 0)?;
    let threads: usize = flags.number("threads", 1)?;
    let start = std::time::Instant::now();
    let mut total = Tally::default();
    let shares: Vec<_> = (0..threads)
        .map(|thread| {
            let own: Vec<usize> = (0..connections).filter(|at| at % threads == thread).collect();
            thread::spawn(move || drive(load, &own, connections, rate / u32::try_from(threads).unwrap_or(1)))
        })
        .collect();
    for share in shares {
        total.add(share.join().map_err(|_| "a driver thread panicked".to_owned())??);
    }
    println!("{}", total.json(start.elapsed().as_secs_f64()));
    Ok(())
}

impl Load {
    fn read(flags: &Flags) -> Result<Self, String> {
        let model = flags.text("model").unwrap_or("bench-small");
        let script = Script::named(model).ok_or_else(|| format!("`{model}` names no script"))?;
        let usage = if flags.has("no-usage") { Usage::NotAsked } else { Usage::Asked };
        let bearers = flags.text("bearers").ok_or("--bearers FILE is missing: one bearer a line")?;
        let bearers = std::fs::read_to_string(bearers).map_err(|error| format!("cannot read {bearers}: {error}"))?;
        let path = flags.text("path").unwrap_or("/v1/chat/completions");
        let bytes = flags.number("body-bytes", 0)?;
        let build = |(at, bearer)| request(path, bearer, &body(model, at, &script, usage, bytes));
        let abort_after = if flags.has("abort-after") { Some(flags.number("abort-after", 1)?) } else { None };
        Ok(Self {
            address: flags.address("address")?,
            requests: bearers.lines().enumerate().map(build).collect(),
            expected: Expected::of(&script, model, usage),
            seconds: Duration::from_secs_f64(flags.number("seconds", 2.0)?),
            ramp: Duration::from_millis(flags.number("ramp-ms", 0)?),
            abort_after,
            hold: flags.has("hold"),
            calls: flags.number("requests", u64::MAX)?,
        })
    }
}

/// The call of bearer `number`, whose own credential the mock provider expects (`"user":"k3"`).
fn body(model: &str, number: usize, script: &Script, usage: Usage, bytes: usize) -> String {
    let stream = match (script.streams(), usage) {
        (false, _) => "",
        (true, Usage::NotAsked) => r#""stream":true,"#,
        (true, Usage::Asked) => r#""stream":true,"stream_options":{"include_usage":true},"#,
    };
    let front = format!(
        r#"{{"model":"bench:{model}","user":"k{number}",{stream}"temperature":0.7,"max_tokens":256,"messages":[{{"role":"system","content":"You are brief."}},{{"role":"user","content":""#
    );
    let back = r#""}]}"#;
    let wanted = bytes.saturating_sub(front.len() + back.len());
    let mut prompt = PROMPT.repeat(wanted / PROMPT.len());
    prompt.push_str(&"x".repeat(wanted - prompt.len()));
    format!("{front}{prompt}{back}")
}

fn request(path: &str, bearer: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {bearer}\r\ncontent-type: application/json\r\naccept: */*\r\nuser-agent: rig/1\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn drive(load: &'static Load, own: &[usize], connections: usize, rate: u32) -> Result<Tally, String> {
    let runtime = cores::runtime()?;
    let tasks = LocalSet::new();
    let share = tasks.block_on(&runtime, async {
        let share = Rc::new(Share::new(load));
        if rate > 0 {
            open_loop(&share, own.len(), rate).await
        } else {
            closed_loop(&share, own, connections).await
        }
        share
    });
    drop(tasks);
    Ok(share.tally.take())
}

impl Share {
    fn new(load: &'static Load) -> Self {
        let end = Instant::now() + load.seconds;
        Self { load, tally: RefCell::default(), end, calls_begun: Cell::new(0), holding: watch::Sender::new(0) }
    }

    async fn connect(&self) -> Option<Connection> {
        let connected = TcpStream::connect(self.load.address).await.and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => Some(Connection::new(stream)),
            Err(error) => {
                let mut tally = self.tally.borrow_mut();
                tally.broken += 1;
                tally.complains(|| format!("cannot connect: {error}"));
                None
            }
        }
    }

    /// One call and its answer, booked. A connection that cannot be used again comes back as none.
    async fn once(&self, mut connection: Connection, request: &[u8]) -> Option<Connection> {
        let mut check = Check::new(&self.load.expected);
        let ending = self.exchange(&mut connection, request, &mut check).await;
        let mut tally = self.tally.borrow_mut();
        match ending {
            Ok(Ending::Reusable) => Some(connection),
            Ok(Ending::Closed) => {
                tally.reconnects += 1;
                None
            }
            Err(error) => {
                tally.broken += 1;
                tally.complains(|| error.to_string());
                if check.began() {
                    check.ends(&mut tally);
                }
                None
            }
        }
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        request: &[u8],
        check: &mut Check<'_>,
    ) -> std::io::Result<Ending> {
        let start = Instant::now();
        connection.write(request).await?;
        let head = connection.head().await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let first_byte_us = micros(start);
        self.holding.send_if_modified(|held| {
            *held += 1;
            self.load.hold
        });
        let mut body = head.body;
        if head.second != "200" {
            return self.refused(connection, &head.second, body).await;
        }
        let mut pieces = 0;
        while let Some(piece) = connection.piece(&mut body).await? {
            check.push(piece);
            pieces += 1;
            if self.load.abort_after.is_some_and(|after| pieces >= after) {
                self.tally.borrow_mut().aborted += 1;
                return Ok(Ending::Closed);
            }
        }
        let mut tally = self.tally.borrow_mut();
        tally.requests += 1;
        tally.timed(first_byte_us, micros(start));
        std::mem::replace(check, Check::new(&self.load.expected)).ends(&mut tally);
        Ok(if head.closes { Ending::Closed } else { Ending::Reusable })
    }

    async fn refused(
        &self,
        connection: &mut Connection,
        status: &str,
        mut body: crate::wire::Body,
    ) -> std::io::Result<Ending> {
        let mut text = Vec::new();
        while let Some(piece) = connection.piece(&mut body).await? {
            text.extend_from_slice(&piece[..piece.len().min(300)]);
        }
        self.note_refusal(status, &text);
        // A refusing target must not be hammered: that would measure refusals.
        sleep(Duration::from_millis(10)).await;
        Ok(Ending::Closed)
    }

    fn note_refusal(&self, status: &str, text: &[u8]) {
        let mut tally = self.tally.borrow_mut();
        tally.refused += 1;
        tally.complains(|| format!("status {status}: {}", String::from_utf8_lossy(text)));
    }
}

fn micros(start: Instant) -> f32 {
    start.elapsed().as_nanos() as f32 / 1000.0
}

async fn closed_loop(share: &Rc<Share>, own: &[usize], connections: usize) {
    let mut tasks = Vec::new();
    for &at in own {
        let delay = share.load.ramp.mul_f64(at as f64 / connections as f64);
        let one = share.clone();
        tasks.push(tokio::task::spawn_local(async move { one.connection(at, delay).await }));
    }
    if share.load.hold {
        announce(share, own.len()).await;
    }
    for task in tasks {
        // A panic in a task is the driver's own fault and must not look like a good run.
        if timeout_at(share.end + PATIENCE, task).await.is_ok_and(|joined| joined.is_ok()) {
            continue;
        }
        share.tally.borrow_mut().stuck += 1;
    }
}

/// Tells the caller, who measures memory meanwhile, that all streams are held (or will never be).
async fn announce(share: &Share, wanted: usize) {
    let mut holding = share.holding.subscribe();
    let all = holding.wait_for(|held| *held >= wanted);
    let held = timeout_at(share.end, all).await.is_ok();
    println!("{{\"held\":{held}}}");
}

impl Share {
    async fn connection(&self, at: usize, delay: Duration) {
        let request = &self.load.requests[at % self.load.requests.len()];
        sleep(delay).await;
        let mut idle = None;
        while Instant::now() < self.end && self.calls_begun.get() < self.load.calls {
            self.calls_begun.set(self.calls_begun.get() + 1);
            let connection = match idle.take() {
                Some(connection) => Some(connection),
                None => self.connect().await,
            };
            match connection {
                Some(connection) => idle = self.once(connection, request).await,
                None => sleep(Duration::from_millis(100)).await,
            }
            if self.load.hold {
                return;
            }
        }
    }
}

/// A call each tick, whatever became of the ones before. Connections are taken in turn, so that all cores are used.
async fn open_loop(share: &Rc<Share>, connections: usize, rate: u32) {
    let idle = Rc::new(RefCell::new(VecDeque::new()));
    for _ in 0..connections {
        let connection = share.connect().await;
        idle.borrow_mut().extend(connection);
    }
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut busy: Vec<JoinHandle<()>> = Vec::new();
    let count = (share.load.seconds.as_secs_f64() * f64::from(rate)) as usize;
    for at in 0..count {
        let due = ticks.tick().await;
        share.tally.borrow_mut().late += u64::from(due.elapsed() > LATE);
        if busy.len() >= OPEN_CALLS_MAX {
            share.tally.borrow_mut().skipped += 1;
            busy.retain(|task| !task.is_finished());
            continue;
        }
        let free = idle.borrow_mut().pop_front();
        let (share, idle) = (share.clone(), idle.clone());
        busy.push(tokio::task::spawn_local(async move {
            let connection = match free {
                Some(connection) => Some(connection),
                None => share.connect().await,
            };
            let request = &share.load.requests[at % share.load.requests.len()];
            if let Some(connection) = connection {
                let again = share.once(connection, request).await;
                idle.borrow_mut().extend(again);
            }
        }));
        busy.retain(|task| !task.is_finished());
    }
    for task in busy {
        if timeout_at(share.end + PATIENCE, task).await.is_err() {
            share.tally.borrow_mut().stuck += 1;
        }
    }
}
