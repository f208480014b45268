//! The log: events through tracing, and one line per exchange, all on standard error.

use std::io::Write;

use tracing_subscriber::filter::LevelFilter;

use super::Server;
use crate::config::{Log, LogFormat, LogLevel};
use crate::meter::{LineFormat, write_line};

/// Starts the log once per process; a second start in one process (as in tests) changes nothing.
pub(super) fn start(log: &Log) {
    let builder =
        tracing_subscriber::fmt().with_max_level(level(log.level)).with_writer(std::io::stderr).with_ansi(false);
    // Fails only where a log was started before.
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Pretty => builder.with_target(false).try_init(),
    };
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
