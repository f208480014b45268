//! One line per exchange: fields, not prose, and nothing that a client wrote but a registered model's name.
//!
//! Written piece by piece, for each call pays for its line, and `write!` would cost several times as much.

use uuid::Uuid;

use super::record::Record;
use crate::domain::time::Timestamp;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    Json,
    Pretty,
}

/// Appends a record's line. The caller writes many at once.
pub fn write_line(out: &mut Vec<u8>, record: &Record, format: LineFormat) {
    let mut line = Line { out, digits: itoa::Buffer::new() };
    match format {
        LineFormat::Json => json(&mut line, record),
        LineFormat::Pretty => pretty(&mut line, record),
    }
    line.text("\n");
}

fn json(line: &mut Line<'_>, record: &Record) {
    let (provider, model) = names(record);
    line.text(r#"{"time":""#).time(record.at);
    line.text(r#"","level":"INFO","event":"exchange","exchange":""#).id(record.id);
    line.text(r#"","workspace":"#).quoted(&record.workspace_name);
    line.text(r#","operation":""#).text(record.operation.name());
    line.text(r#"","provider":"#).quoted(provider);
    line.text(r#","model":"#).quoted(model);
    line.text(r#","attempts":"#).number(record.trail.tried() as u64);
    line.text(r#","outcome":""#).text(record.outcome.name()).text("\"");
    if let Some(code) = record.refusal {
        line.text(r#","refusal":""#).text(code).text("\"");
    }
    if let Some(failure) = record.trail.last_failure() {
        line.text(r#","failure":""#).text(failure.name()).text("\"");
    }
    line.text(r#","input_tokens":"#).number(record.usage.input_total());
    line.text(r#","output_tokens":"#).number(record.usage.output_total());
    // Milliseconds to a tenth.
    let tenths = (record.total.as_micros() as u64).saturating_add(50) / 100;
    line.text(r#","ms":"#).number(tenths / 10).text(".").number(tenths % 10);
    line.text(r#","own_us":"#).number(record.overhead.as_micros() as u64).text("}");
}

fn pretty(line: &mut Line<'_>, record: &Record) {
    let (provider, model) = names(record);
    line.time(record.at);
    for word in [record.outcome.name(), record.operation.name(), &record.workspace_name, provider, model] {
        line.text(" ").text(word);
    }
    if let Some(code) = record.refusal {
        line.text(" ").text(code);
    }
    if let Some(failure) = record.trail.last_failure() {
        line.text(" after ").text(failure.name());
    }
    line.text(" attempts=").number(record.trail.tried() as u64);
    line.text(" in=").number(record.usage.input_total());
    line.text(" out=").number(record.usage.output_total());
    line.text(" ").number(record.total.as_millis() as u64).text("ms ").id(record.id);
}

struct Line<'o> {
    out: &'o mut Vec<u8>,
    digits: itoa::Buffer,
}

impl Line<'_> {
    fn text(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.out.extend_from_slice(self.digits.format(number).as_bytes());
        self
    }

    fn time(&mut self, time: Timestamp) -> &mut Self {
        self.out.extend_from_slice(&time.letters());
        self
    }

    fn id(&mut self, id: Uuid) -> &mut Self {
        let mut letters = Uuid::encode_buffer();
        self.text(id.hyphenated().encode_lower(&mut letters))
    }

    /// A JSON string.
    fn quoted(&mut self, text: &str) -> &mut Self {
        // Writing to a Vec can't fail.
        let _ = serde_json::to_writer(&mut *self.out, text);
        self
    }
}

/// Unregistered ids are a client's own words, so they stay out of the log.
fn names(record: &Record) -> (&str, &str) {
    match &record.from {
        Some(from) if from.is_registered => (&from.provider, &from.model),
        Some(from) => (&from.provider, "other"),
        None => ("-", "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    fn line(format: LineFormat) -> String {
        let mut out = Vec::new();
        write_line(&mut out, &record(), format);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_for_machines_is_one_json_object() {
        let line = line(LineFormat::Json);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "time": "2026-03-22T00:00:00.007Z", "level": "INFO", "event": "exchange",
            "exchange": "00000000-0000-0000-0000-000000000000", "workspace": "w", "operation": "chat_completions",
            "provider": "a\"b", "model": "m", "attempts": 1, "outcome": "failed", "refusal": "timed_out",
            "failure": "timeout", "input_tokens": 3, "output_tokens": 1234, "ms": 12.4, "own_us": 77,
        });
        assert_eq!(read, expected);
        assert!(line.ends_with("}\n"));
    }

    #[test]
    fn a_line_for_people_is_short() {
        let expected = "2026-03-22T00:00:00.007Z failed chat_completions w a\"b m timed_out after timeout attempts=1 \
                        in=3 out=1234 12ms 00000000-0000-0000-0000-000000000000\n";
        assert_eq!(line(LineFormat::Pretty), expected);
    }
}
