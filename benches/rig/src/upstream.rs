//! The mock provider: answers what the model id asks for, and counts.
//!
//! Takes requests of the chat protocol, gives scripted answers and `GET /counts`. Checks that the credential shown is
//! the one the call's `user` field names (`"user":"k3"` must come with KEY-3; none with KEY). Must be much cheaper than
//! what stands before it: answers are prepared once per core, and bodies are not read beyond their ends.

use std::collections::HashMap;
use std::io::Result as Io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cores;
use crate::flags::Flags;
use crate::script::{Script, Usage};
use crate::wire::{Body, Connection, find};

/// How much of a body's beginning and end is searched: the driver writes what we look for first, a gateway that adds
/// `stream_options` may write it last.
const EDGE_BYTES: usize = 512;

/// Unpaced streams go out in writes of about this size, each event a chunk of its own.
const BURST_BYTES: usize = 16 << 10;

/// Prepared answers a core keeps; a run uses about ten models.
const PREPARED_MAX: usize = 64;

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    wrong_credentials: AtomicU64,
    unknown_models: AtomicU64,
    /// Requests whose model still bore the gateway's prefix: passed through, not rewritten.
    prefixed: AtomicU64,
    usage_asked: AtomicU64,
    finished: AtomicU64,
    left: AtomicU64,
}

#[derive(Clone)]
struct Core {
    key: Arc<str>,
    counts: Arc<Counts>,
}

pub fn run(flags: &Flags) -> Result<(), String> {
    let key: Arc<str> = flags.text("key").unwrap_or("upstream-key").into();
    let counts = Arc::new(Counts::default());
    let build = || Core { key: key.clone(), counts: counts.clone() };
    cores::serve(flags.address("address")?, build, serve)
}

async fn serve(core: Core, stream: TcpStream) {
    if answer_all(&core, Connection::new(stream)).await.is_err() {
        core.counts.left.fetch_add(1, Relaxed);
    }
}

async fn answer_all(core: &Core, mut connection: Connection) -> Io<()> {
    while let Some(head) = connection.head().await? {
        let mut edges = Edges::default();
        let mut body = head.body;
        while let Some(piece) = connection.piece(&mut body).await? {
            edges.push(piece);
        }
        match head.second.as_str() {
            "/counts" => connection.write(&whole("200 OK", &core.counts.json())).await?,
            _ if head.body == Body::Done => {
                connection.write(&whole("200 OK", r#"{"object":"list","data":[]}"#)).await?
            }
            _ => answer(core, &mut connection, &edges, &head.authorization).await?,
        }
        if head.closes {
            break;
        }
    }
    Ok(())
}

async fn answer(core: &Core, connection: &mut Connection, edges: &Edges, authorization: &str) -> Io<()> {
    let counts = &core.counts;
    counts.requests.fetch_add(1, Relaxed);
    if !core.is_owed(edges.text_after(br#""user":"k"#), authorization) {
        counts.wrong_credentials.fetch_add(1, Relaxed);
        return connection.write(&whole("401 Unauthorized", r#"{"error":{"message":"wrong credential"}}"#)).await;
    }
    let written = edges.text_after(br#""model":""#).unwrap_or_default();
    let model = written.strip_prefix("bench:").unwrap_or(written);
    counts.prefixed.fetch_add(u64::from(model.len() < written.len()), Relaxed);
    let Some(prepared) = prepared(model, edges.usage()) else {
        counts.unknown_models.fetch_add(1, Relaxed);
        return connection.write(&whole("404 Not Found", r#"{"error":{"message":"no such model"}}"#)).await;
    };
    counts.usage_asked.fetch_add(u64::from(edges.usage() == Usage::Asked), Relaxed);
    send(connection, &prepared).await?;
    counts.finished.fetch_add(1, Relaxed);
    Ok(())
}

impl Core {
    fn is_owed(&self, holder: Option<&str>, authorization: &str) -> bool {
        let Some(shown) = authorization.strip_prefix("Bearer ") else {
            return false;
        };
        match holder {
            None => *shown == *self.key,
            Some(number) => shown.strip_prefix(&*self.key).and_then(|rest| rest.strip_prefix('-')) == Some(number),
        }
    }
}

async fn send(connection: &mut Connection, prepared: &Prepared) -> Io<()> {
    let mut due = Instant::now();
    for (at, write) in prepared.writes.iter().enumerate() {
        if let Script::Paced { pause, .. } = prepared.script
            && at > 0
        {
            due += pause;
            tokio::time::sleep_until(due).await;
        }
        connection.write(write).await?;
    }
    Ok(())
}

/// One model's answer as it goes over the wire.
struct Prepared {
    script: Script,
    writes: Vec<Vec<u8>>,
}

thread_local! {
    static PREPARED: std::cell::RefCell<HashMap<(String, Usage), Arc<Prepared>>> = std::cell::RefCell::default();
}

fn prepared(model: &str, usage: Usage) -> Option<Arc<Prepared>> {
    PREPARED.with_borrow_mut(|known| {
        if let Some(found) = known.get(&(model.to_owned(), usage)) {
            return Some(found.clone());
        }
        let fresh = Arc::new(prepare(model, usage)?);
        if known.len() < PREPARED_MAX {
            known.insert((model.to_owned(), usage), fresh.clone());
        }
        Some(fresh)
    })
}

fn prepare(model: &str, usage: Usage) -> Option<Prepared> {
    let script = Script::named(model)?;
    let pieces = script.pieces(model, usage);
    if !script.streams() {
        return Some(Prepared { script, writes: vec![whole("200 OK", &pieces[0])] });
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
    // A paced stream's finish, usage and `[DONE]` come together, as providers send them.
    let last_content = pieces.len() - if usage == Usage::Asked { 3 } else { 2 };
    let mut writes = vec![head.as_bytes().to_vec()];
    for (at, piece) in pieces.iter().enumerate() {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        let joins = at == 0 || at > last_content || matches!(script, Script::Burst { .. });
        match writes.last_mut() {
            Some(write) if joins && write.len() < BURST_BYTES => write.extend_from_slice(chunk.as_bytes()),
            _ => writes.push(chunk.into_bytes()),
        }
    }
    writes.last_mut()?.extend_from_slice(b"0\r\n\r\n");
    Some(Prepared { script, writes })
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

impl Counts {
    fn json(&self) -> String {
        let fields = [
            ("requests", &self.requests),
            ("wrong_credentials", &self.wrong_credentials),
            ("unknown_models", &self.unknown_models),
            ("prefixed", &self.prefixed),
            ("usage_asked", &self.usage_asked),
            ("finished", &self.finished),
            ("left", &self.left),
        ];
        let fields: Vec<String> =
            fields.iter().map(|(name, count)| format!("\"{name}\":{}", count.load(Relaxed))).collect();
        format!("{{{}}}", fields.join(","))
    }
}

/// A body's first and last bytes.
#[derive(Default)]
struct Edges {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Edges {
    fn push(&mut self, piece: &[u8]) {
        let room = EDGE_BYTES.saturating_sub(self.first.len()).min(piece.len());
        self.first.extend_from_slice(&piece[..room]);
        self.last.extend_from_slice(&piece[piece.len().saturating_sub(EDGE_BYTES)..]);
        let excess = self.last.len().saturating_sub(EDGE_BYTES);
        self.last.drain(..excess);
    }

    fn text_after(&self, mark: &[u8]) -> Option<&str> {
        let rest = &self.first[find(&self.first, mark)? + mark.len()..];
        let end = rest.iter().position(|byte| *byte == b'"')?;
        std::str::from_utf8(&rest[..end]).ok()
    }

    fn usage(&self) -> Usage {
        let mark = br#""include_usage":true"#;
        let asked = find(&self.first, mark).or_else(|| find(&self.last, mark)).is_some();
        if asked { Usage::Asked } else { Usage::NotAsked }
    }
}
