//! As written → as meant: the settings tables of `gateway.toml`, each setting in one line.
//!
//! A setting is a line here, a field in `settings.rs` and a line in `gateway.toml.example`. The entities that a file
//! declares are read in `declared`.

use std::sync::Arc;
use std::time::Duration;

use super::Config;
use super::declared;
use super::read::Value;
use super::settings::{
    Attempts, Breaker, Budgets, Cache, Data, Egress, Encryption, Http2, Journal, Ledger, Limits, Listen, Log,
    LogFormat, LogLevel, Metrics, Routing, Store, TlsFiles, Webhook,
};
use super::table::Table;
use crate::domain::address;
use crate::domain::limits::{Unknown, WhenShort};
use crate::domain::prices::Unpriced;
use crate::domain::protocol::Protocol;
use crate::domain::time::Timestamp;

/// How long calls in progress may go on once we are told to stop: orchestrators kill after 30 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Where data lies if nobody says otherwise, relative to the file.
const DATA_DIR: &str = "./keyway-data";

/// Notices are signed with no less.
const LEAST_SECRET: usize = 16;

/// Days are forgotten as a whole, and one of them is not over yet.
const LEAST_RETENTION: Duration = Duration::from_secs(2 * 86_400);

/// Any number from here on.
const AT_LEAST_ONE: std::ops::RangeInclusive<u64> = 1..=u64::MAX;

/// More threads than any machine we know of has cores.
const CORES_MAX: u64 = 1_024;

/// HTTP/2's own bounds: windows below 2^31, frames from 16 KiB to 16 MiB; a slip of the unit is caught by them.
const WINDOW_MAX: usize = (1 << 31) - 1;
const FRAME: std::ops::RangeInclusive<usize> = 16_384..=16_777_215;

/// Everything a file may say; where it came from is the caller's to add. `now` is when its entities count as made.
pub(super) fn config(root: &mut Table<'_>, now: Timestamp) -> Config {
    let egress = root.section("egress", egress);
    let (store, cache) = root.section("store", store);
    Config {
        source: None,
        hash: String::new(),
        warnings: Vec::new(),
        drain_timeout: root.duration("drain_timeout", DRAIN_TIMEOUT),
        listen: root.section("listen", listen),
        data: root.section("data", data),
        store,
        cache,
        encryption: root.section("encryption", encryption),
        routing: root.section("routing", routing),
        attempts: root.section("attempts", attempts),
        breaker: root.section("breaker", breaker),
        limits: root.section("limits", limits),
        journal: root.section("journal", journal),
        ledger: root.section("ledger", ledger),
        budgets: root.section("budgets", |table| budgets(table, &egress.rules)),
        log: root.section("log", log),
        metrics: root.section("metrics", metrics),
        declared: Arc::new(declared::directory(root, &egress.rules, now)),
        egress,
    }
}

fn listen(table: &mut Table<'_>) -> Listen {
    let default = Listen::default();
    let listen = Listen {
        data: table.parsed("data", default.data, "127.0.0.1:8080"),
        admin: table.parsed("admin", default.admin, "127.0.0.1:8081"),
        tls: table.optional_section("tls", tls),
        admin_tls: table.optional_section("admin_tls", tls),
        trusted_proxies: table.list("trusted_proxies", |value| value.parsed("10.0.0.0/8")),
        proxy_protocol: table.flag("proxy_protocol", default.proxy_protocol),
        cores: table.get("cores", |value| value.number(1..=CORES_MAX)),
        http2: table.section("http2", http2),
    };
    if listen.data == listen.admin && listen.data.port() != 0 {
        let remedy = "give one of them another port";
        table.reader.problem(
            table.at,
            format!("`listen.data` and `listen.admin` are both {}", listen.data),
            remedy.into(),
        );
    }
    if listen.proxy_protocol && listen.trusted_proxies.is_empty() {
        let what = "`listen.proxy_protocol` is on, but no peer may use it".to_string();
        table.reader.problem(table.at, what, "add the proxies' addresses to `trusted_proxies`".into());
    }
    if !listen.admin.ip().is_loopback() && listen.admin_tls.is_none() {
        let what =
            format!("the admin API listens on {} without TLS, so tokens cross the network readable", listen.admin);
        table.reader.warning(table.at, what, "set `listen.admin_tls`, or listen on 127.0.0.1".into());
    }
    listen
}

fn tls(table: &mut Table<'_>) -> Option<TlsFiles> {
    let certificate = table.required("certificate", "\"cert.pem\"", Value::file);
    let key = table.required("key", "\"key.pem\"", Value::private_file);
    Some(TlsFiles { certificate: certificate?, key: key? })
}

fn http2(table: &mut Table<'_>) -> Http2 {
    let default = Http2::default();
    let http2 = Http2 {
        streams: table.number("streams", default.streams, AT_LEAST_ONE),
        stream_window: table.size("stream_window", default.stream_window),
        connection_window: table.size("connection_window", default.connection_window),
        frame: table.size("frame", default.frame),
        header_list: table.size("header_list", default.header_list),
        send_buffer: table.size("send_buffer", default.send_buffer),
        pending_resets: table.number("pending_resets", default.pending_resets, AT_LEAST_ONE),
        local_resets: table.number("local_resets", default.local_resets, AT_LEAST_ONE),
        ping_interval: table.duration("ping_interval", default.ping_interval),
        ping_timeout: table.duration("ping_timeout", default.ping_timeout),
    };
    let windows = [http2.stream_window, http2.connection_window, http2.send_buffer, http2.header_list];
    if windows.iter().any(|size| *size > WINDOW_MAX) {
        let what = "a window or buffer of `listen.http2` is 2 GiB or more".to_string();
        table.reader.problem(table.at, what, "HTTP/2 allows less than 2GiB; write a smaller size".into());
    }
    if !FRAME.contains(&http2.frame) {
        let what = "`listen.http2.frame` is a size that HTTP/2 does not allow".to_string();
        table.reader.problem(table.at, what, "write a size from \"16KiB\" up to, not including, \"16MiB\"".into());
    }
    http2
}

fn data(table: &mut Table<'_>) -> Data {
    let default = table.reader.folder.join(DATA_DIR);
    Data { dir: table.or("dir", default, |_| format!("\"{DATA_DIR}\""), Value::path) }
}

fn store(table: &mut Table<'_>) -> (Store, Cache) {
    let default = Cache::default();
    let store = keeper(table);
    let cache = Cache {
        bytes: table.size("cache", default.bytes),
        serve_without: table.duration("serve_without", default.serve_without),
    };
    (store, cache)
}

fn keeper(table: &mut Table<'_>) -> Store {
    const SEALED_FILE: &str = "sealed-file";
    const KINDS: [(&str, &str); 2] = [(SEALED_FILE, SEALED_FILE), ("postgres", "postgres")];
    let kind = table.choice("kind", SEALED_FILE, &KINDS);
    let (url, at) = (table.get("url", Value::secret), table.at);
    match (kind, url) {
        ("postgres", Some(url)) => Store::Postgres(url),
        ("postgres", None) => {
            table.lacks("url", "\"${DATABASE_URL}\"");
            Store::SealedFile
        }
        (_, Some(_)) => {
            let what = "`store.url` is set, but the store is a sealed file".to_string();
            table.reader.problem(at, what, "set `store.kind = \"postgres\"`, or leave `url` out".into());
            Store::SealedFile
        }
        (_, None) => Store::SealedFile,
    }
}

fn encryption(table: &mut Table<'_>) -> Encryption {
    Encryption { keys: table.list("keys", Value::secret) }
}

fn routing(table: &mut Table<'_>) -> Routing {
    Routing {
        default: table.get("default", Value::text),
        fallback: table.get("fallback", Value::text),
        protocol_default: table.section("protocol_default", |table| {
            let all = [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini, Protocol::Bedrock];
            let stated = all.into_iter().map(|protocol| (protocol, table.get(protocol.name(), Value::text)));
            stated.filter_map(|(protocol, model)| Some((protocol, model?))).collect()
        }),
    }
}

fn attempts(table: &mut Table<'_>) -> Attempts {
    let default = Attempts::default();
    Attempts {
        // Above this, a single bad call could keep every provider busy.
        max: table.number("max", default.max, 1..=32),
        deadline: table.duration("deadline", default.deadline),
        retry_budget: table.number("retry_budget", default.retry_budget, 0..=100),
        retry_floor: table.number("retry_floor", default.retry_floor, 0..=u64::MAX),
        connect_timeout: table.duration("connect_timeout", default.connect_timeout),
        tls_timeout: table.duration("tls_timeout", default.tls_timeout),
        idle_timeout: table.duration("idle_timeout", default.idle_timeout),
        hold: table.duration("hold", default.hold),
        hold_events: table.number("hold_events", default.hold_events, AT_LEAST_ONE),
        hold_bytes: table.size("hold_bytes", default.hold_bytes),
        keep_alive: table.duration("keep_alive", default.keep_alive),
        pool_idle: table.duration("pool_idle", default.pool_idle),
        pool_connections: table.number("pool_connections", default.pool_connections, 0..=u64::MAX),
        parallel_wait: table.duration("parallel_wait", default.parallel_wait),
        parallel_waiters: table.number("parallel_waiters", default.parallel_waiters, 0..=u64::MAX),
    }
}

fn breaker(table: &mut Table<'_>) -> Breaker {
    let default = Breaker::default();
    Breaker {
        failures: table.number("failures", default.failures, AT_LEAST_ONE),
        open_for: table.duration("open_for", default.open_for),
        window: table.duration("window", default.window),
        least_calls: table.number("least_calls", default.least_calls, AT_LEAST_ONE),
        failing_percent: table.number("failing_percent", default.failing_percent, 1..=100),
    }
}

fn limits(table: &mut Table<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        connections: table.number("connections", default.connections, AT_LEAST_ONE),
        connections_per_address: table.number("connections_per_address", default.connections_per_address, AT_LEAST_ONE),
        requests_in_flight: table.number("requests_in_flight", default.requests_in_flight, AT_LEAST_ONE),
        requests_in_flight_per_workspace: table.number(
            "requests_in_flight_per_workspace",
            default.requests_in_flight_per_workspace,
            AT_LEAST_ONE,
        ),
        requests_in_flight_per_provider: table.number(
            "requests_in_flight_per_provider",
            default.requests_in_flight_per_provider,
            AT_LEAST_ONE,
        ),
        body: table.size("body", default.body),
        admin_body: table.size("admin_body", default.admin_body),
        multipart_stream: table.size("multipart_stream", default.multipart_stream),
        bodies_in_flight: table.size("bodies_in_flight", default.bodies_in_flight),
        answer: table.size("answer", default.answer),
        headers: table.number("headers", default.headers, AT_LEAST_ONE),
        head: table.size("head", default.head),
        idle_timeout: table.duration("idle_timeout", default.idle_timeout),
        head_timeout: table.duration("head_timeout", default.head_timeout),
        handshake_timeout: table.duration("handshake_timeout", default.handshake_timeout),
        body_timeout: table.duration("body_timeout", default.body_timeout),
        write_timeout: table.duration("write_timeout", default.write_timeout),
        connection_age: table.duration("connection_age", default.connection_age),
    };
    if limits.bodies_in_flight < limits.body {
        let what = "`limits.bodies_in_flight` is less than `limits.body`, so the largest body could never come in";
        table.reader.problem(table.at, what.into(), "raise the one or lower the other".into());
    }
    limits
}

fn egress(table: &mut Table<'_>) -> Egress {
    let rules = address::Egress {
        http: table.list("http", Value::host),
        private_networks: table.list("private_networks", |value| value.parsed("10.0.0.0/8")),
        ports: table.list("ports", |value| value.number(1..=65_535)),
    };
    Egress { rules, ca: table.get("ca", Value::file) }
}

fn journal(table: &mut Table<'_>) -> Journal {
    let default = Journal::default();
    Journal {
        sync: table.duration("sync", default.sync),
        wait: table.duration("wait", default.wait),
        limit: table.size("limit", default.limit),
    }
}

fn budgets(table: &mut Table<'_>, egress: &address::Egress) -> Budgets {
    let default = Budgets::default();
    let mut budgets = Budgets {
        media_tokens: table.number("media_tokens", default.media_tokens, 0..=u64::MAX),
        when_unknown: table.choice("when_unknown", default.when_unknown, &Unknown::ALL),
        when_short: table.choice("when_short", default.when_short, &WhenShort::ALL),
        warn_percents: table.or(
            "warn_percents",
            default.warn_percents,
            |percents| format!("{percents:?}"),
            |value| Some(value.list(|percent| percent.number(1..=100))),
        ),
        webhook: table.optional_section("webhook", |table| webhook(table, egress)),
    };
    budgets.warn_percents.sort_unstable();
    budgets
}

fn webhook(table: &mut Table<'_>, egress: &address::Egress) -> Option<Webhook> {
    let url = table.required("url", "\"https://…\"", |value| declared::some_url(value, egress));
    let secret = table.required("secret", "{ file = \"webhook.key\" }", |value| {
        let secret = value.secret()?;
        match secret.expose().len() {
            // Whoever can guess it can say what he likes to whoever listens.
            0..LEAST_SECRET => value.wrong("is shorter than 16 bytes", "draw one with `openssl rand -hex 32`"),
            _ => Some(secret),
        }
    });
    Some(Webhook { url: url?, secret: secret? })
}

fn ledger(table: &mut Table<'_>) -> Ledger {
    let default = Ledger::default();
    let ledger = Ledger {
        retention: table.duration("retention", default.retention),
        unpriced: table.choice("unpriced", default.unpriced, &Unpriced::ALL),
    };
    if ledger.retention < LEAST_RETENTION {
        let what = "`ledger.retention` is less than two days, so a day's sums could go before it is over".to_string();
        table.reader.problem(table.at, what, "write two days or more, for example \"400d\"".into());
    }
    ledger
}

fn log(table: &mut Table<'_>) -> Log {
    let default = Log::default();
    Log {
        level: table.choice("level", default.level, &LogLevel::ALL),
        format: table.choice("format", default.format, &LogFormat::ALL),
        exchanges: table.flag("exchanges", default.exchanges),
    }
}

fn metrics(table: &mut Table<'_>) -> Metrics {
    Metrics { enabled: table.flag("enabled", Metrics::default().enabled) }
}
