//! The settings as they are meant, one struct a table of `gateway.toml`, and the defaults with their reasons.
//!
//! Field names are those of the file. Nothing here knows how a file is read.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::address::{self, BaseUrl, Network};
use crate::domain::limits::{Unknown, WhenShort};
use crate::domain::prices::Unpriced;
use crate::domain::protocol::Protocol;
use crate::domain::secret::Secret;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// `[listen]`: where clients and operators reach us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub data: SocketAddr,
    pub admin: SocketAddr,
    /// TLS of the data listener.
    pub tls: Option<TlsFiles>,
    pub admin_tls: Option<TlsFiles>,
    /// Peers whose word on the client's address is taken.
    pub trusted_proxies: Vec<Network>,
    /// Do trusted proxies say it by the PROXY protocol, before anything else?
    pub proxy_protocol: bool,
    /// Data-plane threads; without a number, one per core.
    pub cores: Option<usize>,
    pub http2: Http2,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            data: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            tls: None,
            admin_tls: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            cores: None,
            http2: Http2::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// `[listen.http2]`: what one HTTP/2 connection of a client may hold and ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2 {
    pub streams: u32,
    pub stream_window: usize,
    pub connection_window: usize,
    pub frame: usize,
    pub header_list: usize,
    pub send_buffer: usize,
    /// Streams the peer reset before we took them up: the rapid reset attack.
    pub pending_resets: usize,
    /// Streams we had to reset for the peer's faults.
    pub local_resets: usize,
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            streams: 100,
            stream_window: 64 * KIB,
            connection_window: MIB,
            frame: 16 * KIB,
            header_list: 16 * KIB,
            send_buffer: 64 * KIB,
            pending_resets: 20,
            local_resets: 128,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
        }
    }
}

/// `[data]`: where what we keep lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    pub dir: PathBuf,
}

/// `[store]`: what is kept at hand of a directory that is larger than memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    pub bytes: usize,
    /// How long what is at hand is served while the store does not answer.
    pub serve_without: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self { bytes: 256 << 20, serve_without: Duration::from_secs(3_600) }
    }
}

/// `[store]`: who keeps the directory.
#[derive(Clone, Debug)]
pub enum Store {
    SealedFile,
    /// The URL holds a password, so it is a secret as a whole.
    Postgres(Arc<Secret>),
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::SealedFile, Self::SealedFile) => true,
            (Self::Postgres(one), Self::Postgres(another)) => one.expose() == another.expose(),
            (Self::SealedFile, Self::Postgres(_)) | (Self::Postgres(_), Self::SealedFile) => false,
        }
    }
}

/// `[encryption]`: the master keys. The first seals, all open; none stated means the key file in `[data] dir`.
#[derive(Clone, Debug, Default)]
pub struct Encryption {
    pub keys: Vec<Arc<Secret>>,
}

impl PartialEq for Encryption {
    fn eq(&self, other: &Self) -> bool {
        self.keys.iter().map(|key| key.expose()).eq(other.keys.iter().map(|key| key.expose()))
    }
}

/// `[routing]`: what holds where nothing closer says anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    pub default: Option<String>,
    /// For agent tokens whose model nobody knows.
    pub fallback: Option<String>,
    pub protocol_default: Vec<(Protocol, String)>,
}

impl Routing {
    pub fn default_of(&self, protocol: Protocol) -> Option<&str> {
        self.protocol_default.iter().find(|(of, _)| *of == protocol).map(|(_, model)| model.as_str())
    }
}

/// `[attempts]`: how providers are called, and when the next one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempts {
    pub max: u32,
    /// Until a call's answer is committed.
    pub deadline: Duration,
    /// Retries per hundred recent calls.
    pub retry_budget: u32,
    /// Retries a second that are always allowed: at a handful of calls a share alone would forbid every failover.
    pub retry_floor: u32,
    pub connect_timeout: Duration,
    pub tls_timeout: Duration,
    /// Between two events of a stream.
    pub idle_timeout: Duration,
    /// How long, how many events and how many bytes a stream may be held before its first content.
    pub hold: Duration,
    pub hold_events: usize,
    pub hold_bytes: usize,
    /// Silence towards the client is bridged this often.
    pub keep_alive: Duration,
    /// Idle connections to providers: shorter than the 30 s after which many peers hang up.
    pub pool_idle: Duration,
    /// Idle HTTP/1.1 connections a core keeps.
    pub pool_connections: usize,
    /// The wait for a free place where `max_parallel` is reached, and how many may wait.
    pub parallel_wait: Duration,
    pub parallel_waiters: usize,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            max: 4,
            deadline: Duration::from_secs(600),
            retry_budget: 20,
            retry_floor: 10,
            connect_timeout: Duration::from_secs(5),
            tls_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            hold: Duration::from_secs(15),
            hold_events: 64,
            hold_bytes: 256 * KIB,
            keep_alive: Duration::from_secs(15),
            pool_idle: Duration::from_secs(20),
            pool_connections: 1_024,
            parallel_wait: Duration::from_secs(1),
            parallel_waiters: 64,
        }
    }
}

/// `[breaker]`: when a provider or credential is left alone, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
    pub open_for: Duration,
    /// The recent past in which a share of failing calls opens it too.
    pub window: Duration,
    /// Fewer calls than this in the window say nothing.
    pub least_calls: u32,
    pub failing_percent: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 3,
            open_for: Duration::from_secs(300),
            window: Duration::from_secs(10),
            least_calls: 20,
            failing_percent: 50,
        }
    }
}

/// `[limits]`: what peers may send and hold. More is refused, never queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections: usize,
    /// Among those that have not yet shown a valid token.
    pub connections_per_address: usize,
    pub requests_in_flight: usize,
    pub requests_in_flight_per_workspace: usize,
    pub requests_in_flight_per_provider: usize,
    pub body: usize,
    pub admin_body: usize,
    /// A multipart body larger than `body` streams through, up to here.
    pub multipart_stream: usize,
    /// All bodies held at one time. Eight of the largest bodies at once.
    pub bodies_in_flight: usize,
    /// A provider's whole answer.
    pub answer: usize,
    pub headers: usize,
    pub head: usize,
    /// How long a connection may say nothing between requests.
    pub idle_timeout: Duration,
    /// From a head's first byte to its last.
    pub head_timeout: Duration,
    pub handshake_timeout: Duration,
    /// How long a body, or an answer's reader, may stand still.
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub connection_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 256,
            requests_in_flight: 4_096,
            requests_in_flight_per_workspace: 512,
            requests_in_flight_per_provider: 1_024,
            body: 32 * MIB,
            admin_body: 64 * KIB,
            multipart_stream: 512 * MIB,
            bodies_in_flight: 256 * MIB,
            answer: 32 * MIB,
            headers: 64,
            head: 32 * KIB,
            idle_timeout: Duration::from_secs(75),
            head_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            connection_age: Duration::from_secs(3_600),
        }
    }
}

/// `[egress]`: the exceptions from «https to public addresses on port 443».
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    pub rules: address::Egress,
    /// PEM certificates trusted for providers, beside the built-in ones.
    pub ca: Option<PathBuf>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
    /// One line per exchange.
    pub exchanges: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Pretty, exchanges: true }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub const ALL: [(&'static str, Self); 6] = [
        ("off", Self::Off),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Pretty,
    Json,
}

impl LogFormat {
    pub const ALL: [(&'static str, Self); 2] = [("pretty", Self::Pretty), ("json", Self::Json)];
}

/// `[journal]`: where exchanges are written down first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// How often it is brought to the disk itself; zero is before each answer's end.
    pub sync: Duration,
    /// How long the end of an answer waits until its exchange is written.
    pub wait: Duration,
    /// What it may take of the disk while the ledger is away.
    pub limit: usize,
}

impl Default for Journal {
    fn default() -> Self {
        Self { sync: Duration::from_millis(10), wait: Duration::from_millis(100), limit: 1 << 30 }
    }
}

/// `[ledger]`: what is kept of exchanges, and what becomes of those whose price nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    pub retention: Duration,
    pub unpriced: Unpriced,
}

impl Default for Ledger {
    fn default() -> Self {
        // A year to compare with, and the month that is being compared.
        Self { retention: Duration::from_secs(400 * 86_400), unpriced: Unpriced::Allow }
    }
}

/// `[metrics]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Is `/metrics` served?
    pub enabled: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// `[budgets]`: how limits of money and text are held.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// What an image, a sound or a document of a call is reckoned as, in units of text.
    pub media_tokens: u64,
    pub when_unknown: Unknown,
    pub when_short: WhenShort,
    /// Percentages of a budget at which somebody is told.
    pub warn_percents: Vec<u32>,
    /// Who is told, besides the log and the metrics.
    pub webhook: Option<Webhook>,
}

/// `[budgets.webhook]`: where notices go, and what they are signed with.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub url: BaseUrl,
    pub secret: Arc<Secret>,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            media_tokens: 2_000,
            when_unknown: Unknown::Refuse,
            when_short: WhenShort::Refuse,
            warn_percents: vec![80],
            webhook: None,
        }
    }
}
