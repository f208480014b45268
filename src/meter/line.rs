//! One line per exchange: fields, not prose, and nothing that a client wrote but a registered model's name.

use std::io::Write;

use super::record::Record;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    Json,
    Pretty,
}

/// Appends a record's line. The caller writes many at once.
pub fn write_line(out: &mut Vec<u8>, record: &Record, format: LineFormat) {
    // Writing to a Vec can't fail.
    let _ = match format {
        LineFormat::Json => json(out, record),
        LineFormat::Pretty => pretty(out, record),
    };
}

fn json(out: &mut Vec<u8>, record: &Record) -> std::io::Result<()> {
    let (provider, model) = names(record);
    write!(
        out,
        r#"{{"time":"{}","level":"INFO","event":"exchange","exchange":"{}","workspace":"#,
        record.at.iso8601(),
        record.id
    )?;
    quoted(out, &record.workspace_name)?;
    write!(out, r#","operation":"{}","provider":"#, record.operation.name())?;
    quoted(out, provider)?;
    out.extend_from_slice(br#","model":"#);
    quoted(out, model)?;
    write!(out, r#","attempts":{},"outcome":"{}""#, record.trail.tried(), record.outcome.name())?;
    if let Some(code) = record.refusal {
        write!(out, r#","refusal":"{code}""#)?;
    }
    if let Some(failure) = record.trail.last_failure() {
        write!(out, r#","failure":"{}""#, failure.name())?;
    }
    let (usage, ms) = (&record.usage, record.total.as_secs_f64() * 1e3);
    write!(
        out,
        r#","input_tokens":{},"output_tokens":{},"ms":{ms:.1},"own_us":{}}}"#,
        usage.input_total(),
        usage.output_total(),
        record.overhead.as_micros()
    )?;
    out.push(b'\n');
    Ok(())
}

fn pretty(out: &mut Vec<u8>, record: &Record) -> std::io::Result<()> {
    let (provider, model) = names(record);
    write!(
        out,
        "{} {} {} {provider} {model} {}",
        record.at.iso8601(),
        record.outcome.name(),
        record.operation.name(),
        record.workspace_name
    )?;
    if let Some(code) = record.refusal {
        write!(out, " {code}")?;
    }
    if let Some(failure) = record.trail.last_failure() {
        write!(out, " after {}", failure.name())?;
    }
    let (usage, ms) = (&record.usage, record.total.as_millis());
    writeln!(
        out,
        " attempts={} in={} out={} {ms}ms {}",
        record.trail.tried(),
        usage.input_total(),
        usage.output_total(),
        record.id
    )
}

/// Unregistered ids are a client's own words, so they stay out of the log.
fn names(record: &Record) -> (&str, &str) {
    match &record.from {
        Some(from) if from.is_registered => (&from.provider, &from.model),
        Some(from) => (&from.provider, "other"),
        None => ("-", "-"),
    }
}

/// A JSON string.
fn quoted(out: &mut Vec<u8>, text: &str) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, text).map_err(Into::into)
}
