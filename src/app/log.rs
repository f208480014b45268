//! The log: events through tracing, and one line per exchange, all on standard error.

use std::io::Write;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use super::running::Server;
use crate::config::{Log, LogFormat, LogLevel};
use crate::meter::{LineFormat, write_line};

/// Changes how much is written while the process runs.
pub(super) struct Level(reload::Handle<LevelFilter, Registry>);

impl Level {
    pub(super) fn set(&self, log: &Log) {
        // Fails only where the log is not ours, as in tests that started one before.
        let _ = self.0.reload(level(log.level));
    }
}

/// Starts the log once per process; a second start in one process (as in tests) changes nothing.
pub(super) fn start(log: &Log) -> Level {
    let (filter, handle) = reload::Layer::new(level(log.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.with_target(false).boxed(),
    };
    // Fails only where a log was started before.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Level(handle)
}

const fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Writes the lines of all exchanges that were settled since the last time, in one write.
pub(super) fn write_records(server: &Server) {
    let records = server.gateway.meter.records.take();
    if records.is_empty() {
        return;
    }
    let format = match server.config.load().log.format {
        LogFormat::Json => LineFormat::Json,
        LogFormat::Pretty => LineFormat::Pretty,
    };
    let mut lines = Vec::with_capacity(records.len() * 256);
    for record in &records {
        write_line(&mut lines, record, format);
    }
    // A log that can't be written must not stop the gateway, and there is nowhere else to say so.
    let _ = std::io::stderr().lock().write_all(&lines);
}
