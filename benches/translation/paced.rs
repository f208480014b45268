//! Streams at the pace of a model, through a gateway that stands: CPU time per event, translated and passed through.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use keyway::domain::protocol::Protocol;
use serde_json::{Value, json};

use super::gateway::Gateway;
use super::{conversation, cpu, streams};

/// As `benches/run` has them: so many streams at once, of so many events, so long apart.
const STREAMS: usize = 100;
const EVENTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);
/// A provider's and a client's threads do little.
const STACK_BYTES: usize = 256 * 1024;

/// The pair beside both of its protocols passed through, round by round.
pub(crate) fn measure(client: Protocol, upstream: Protocol, rounds: usize) -> Value {
    let translated = Way::new(client, upstream);
    // Nobody calls us in Bedrock's protocol.
    let passed: Vec<Way> = [client, upstream]
        .into_iter()
        .filter(|protocol| *protocol != Protocol::Bedrock)
        .map(|protocol| Way::new(protocol, protocol))
        .collect();
    let mut samples = Vec::new();
    for _ in 0..rounds {
        let passed: Vec<f64> = passed.iter().map(Way::us_per_event).collect();
        samples.push((translated.us_per_event(), passed));
    }
    // Held against the cheaper way to pass through.
    let ratio = |(own, passed): &(f64, Vec<f64>)| own / passed.iter().copied().fold(f64::MAX, f64::min);
    let mut ratios: Vec<f64> = samples.iter().map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    json!({
        "client": client.name(), "provider": upstream.name(), "ratio": ratios[ratios.len() / 2],
        "rounds": samples.iter().map(|(own, passed)| json!({"translated_us": own, "passed_us": passed})).collect::<Vec<_>>(),
    })
}

/// A provider, a gateway before it, and what a client says to it.
struct Way {
    gateway: Gateway,
    request: Vec<u8>,
    last: &'static [u8],
}

impl Way {
    fn new(client: Protocol, upstream: Protocol) -> Self {
        let gateway = Gateway::start(upstream, provider(upstream));
        let mut body: Value = serde_json::from_slice(&conversation::of(client, 1_000)).unwrap();
        let path = match client {
            Protocol::Chat | Protocol::Bedrock => "/v1/chat/completions",
            Protocol::Responses => "/v1/responses",
            Protocol::Messages => "/v1/messages",
            Protocol::Gemini => "/v1beta/models/bench:bench:streamGenerateContent?alt=sse",
        };
        if client != Protocol::Gemini {
            body["model"] = json!("bench:bench");
        }
        if client == Protocol::Chat {
            body["stream_options"] = json!({"include_usage": true});
        }
        let (body, token) = (body.to_string(), &gateway.token);
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let last: &[u8] = match client {
            Protocol::Chat | Protocol::Bedrock => b"[DONE]",
            Protocol::Responses => b"response.completed",
            Protocol::Messages => b"message_stop",
            Protocol::Gemini => b"STOP",
        };
        Self { gateway, request: request.into_bytes(), last }
    }

    /// All streams at once, and what the gateway's thread spent on each of their events.
    fn us_per_event(&self) -> f64 {
        let before = cpu::at(&self.gateway.cpu);
        thread::scope(|scope| {
            for _ in 0..STREAMS {
                thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || self.call()).unwrap();
            }
        });
        (cpu::at(&self.gateway.cpu) - before) as f64 / 1_000.0 / (STREAMS * EVENTS) as f64
    }

    fn call(&self) {
        let mut stream = TcpStream::connect(self.gateway.address).unwrap();
        stream.write_all(&self.request).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        let is_whole = memchr::memmem::find(&heard, self.last).is_some();
        assert!(is_whole, "{}", String::from_utf8_lossy(&heard[..heard.len().min(2_000)]));
    }
}

/// Answers every request with a stream of this protocol, for as long as the process lives.
fn provider(upstream: Protocol) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream: &'static [Vec<u8>] = streams::of(upstream, EVENTS).leak();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let serve = move || drop(answer(connection.unwrap(), upstream, stream));
            thread::Builder::new().stack_size(STACK_BYTES).spawn(serve).unwrap();
        }
    });
    address
}

fn answer(mut connection: TcpStream, upstream: Protocol, stream: &[Vec<u8>]) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut read = Vec::new();
    while heard(&mut connection, &mut read)? {
        let kind = match upstream {
            Protocol::Bedrock => "application/vnd.amazon.eventstream",
            Protocol::Chat | Protocol::Responses | Protocol::Messages | Protocol::Gemini => "text/event-stream",
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
        connection.write_all(head.as_bytes())?;
        let mut due = Instant::now();
        for (at, event) in stream.iter().enumerate() {
            connection.write_all(&[format!("{:x}\r\n", event.len()).as_bytes(), event, b"\r\n"].concat())?;
            // The end comes at once, as providers send it.
            if at < EVENTS {
                due += PAUSE;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        connection.write_all(b"0\r\n\r\n")?;
    }
    Ok(())
}

/// Reads one whole request away.
fn heard(connection: &mut TcpStream, read: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(head) = memchr::memmem::find(read, b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
            let whole = head + 4 + length.unwrap_or(0);
            if read.len() >= whole {
                read.drain(..whole);
                return Ok(true);
            }
        }
        match connection.read(&mut buffer)? {
            0 => return Ok(false),
            more => read.extend_from_slice(&buffer[..more]),
        }
    }
}
