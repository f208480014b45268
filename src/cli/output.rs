//! The only place that prints: results on standard output, words on standard error.

use std::io::{self, Write};

use serde::Serialize;

use super::failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// The result: `value` for programs, `text` for people, one of them.
    pub(super) fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        self.write_result(&self.rendered(value, text)?).or_else(|error| match error.kind() {
            // Whoever reads only the first lines wants no more.
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error.into()),
        })
    }

    /// A result that is shown once and never again: that nobody took it is a failure.
    pub(super) fn only_result(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        Ok(self.write_result(&self.rendered(value, text)?)?)
    }

    fn rendered(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<String, Failure> {
        match self.json {
            true => serde_json::to_string_pretty(value).map_err(|error| Failure::problem(error.to_string())),
            false => Ok(text()),
        }
    }

    fn write_result(self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.trim_end_matches('\n').as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()
    }

    /// Words beside the result; left out where a program reads.
    pub(super) fn say(self, text: &str) {
        if !self.json {
            Self::write_words(text);
        }
    }

    /// What works, but should be looked at: said to programs' logs too.
    pub(super) fn warn(self, text: &str) {
        Self::write_words(&format!("warning: {text}"));
    }

    pub(super) fn failure(self, failure: &Failure) {
        match self.json {
            true => Self::write_words(&failure.as_json()),
            false => Self::write_words(&failure.to_string()),
        }
    }

    fn write_words(text: &str) {
        // There is nowhere else to say that it could not be said.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Rows under a head, each column as wide as its widest cell.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_string()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_string(), "b".to_string()], vec!["long".to_string(), String::new()]];
        assert_eq!(table(&["id", "name"], &rows), "id    name\na     b\nlong");
    }
}
