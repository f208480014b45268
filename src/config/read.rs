//! One written value, and what it can be read as. A value of another type is a problem that says what to write.

use std::fs::File;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::table::{Reader, Written};
use super::value::{self, Unfilled};
use crate::domain::money::Nanodollars;
use crate::domain::secret::Secret;

/// Longest file that `{ file = "…" }` may name: private keys and prompts are far shorter.
const NAMED_FILE_MAX: u64 = 1 << 20;

/// Longest name of a provider, org, workspace: it stands in URLs, metrics and log lines.
const NAME_MAX: usize = 64;

/// A value and the setting it was written for.
pub(super) struct Value<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) path: String,
    pub(super) raw: &'r DeValue<'r>,
    pub(super) at: usize,
}

impl<'r> Value<'r> {
    /// Reports that this value won't do, and gives nothing.
    pub(super) fn wrong<T>(&self, what: &str, remedy: &str) -> Option<T> {
        self.reader.problem(self.at, format!("`{}` {what}", self.path), remedy.to_string());
        None
    }

    fn not<T>(&self, wanted: &str) -> Option<T> {
        let is = match self.raw {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.wrong(&format!("is {is}"), &format!("write {wanted}"))
    }

    /// A string with its variables filled in; never empty.
    pub(super) fn text(&self) -> Option<String> {
        self.text_or("text in quotes")
    }

    /// A string as the file says it, for messages: what a variable holds may be a secret.
    pub(super) fn shown(&self) -> &'r str {
        self.raw.as_str().unwrap_or("…")
    }

    fn unfit<T>(&self, wanted: &str) -> Option<T> {
        match self.raw {
            DeValue::String(written) => self.wrong(&format!("can't be `{written}`"), &format!("write {wanted}")),
            _ => self.not(wanted),
        }
    }

    fn text_or(&self, wanted: &str) -> Option<String> {
        let DeValue::String(written) = self.raw else { return self.not(wanted) };
        match value::fill(written, self.reader.env) {
            Ok(text) if text.is_empty() => self.wrong("is empty", &format!("write {wanted}, or leave the setting out")),
            Ok(text) => Some(text),
            Err(Unfilled::Missing(name)) => self.wrong(
                &format!("needs the environment variable {name}, which is not set"),
                &format!("set {name}, or write $${{{name}}} if the text itself is meant"),
            ),
            Err(Unfilled::Malformed) => self.wrong(
                "holds `${` without a variable's name and `}`",
                "write ${NAME}, or $${ if the text itself is meant",
            ),
        }
    }

    pub(super) fn written(&self) -> Option<Written<String>> {
        self.text().map(|value| Written { value, at: self.at })
    }

    /// A name that can stand in a URL, a metric and a model string.
    pub(super) fn name(&self) -> Option<Written<String>> {
        let name = self.written()?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.value.len() > NAME_MAX || !name.value.bytes().all(fits) {
            return self.unfit(&format!("a name of at most {NAME_MAX} letters, digits, `.`, `_` and `-`"));
        }
        Some(name)
    }

    pub(super) fn parsed<T: FromStr>(&self, example: &str) -> Option<T> {
        let text = self.text_or(&format!("text such as \"{example}\""))?;
        text.parse().ok().or_else(|| self.unfit(&format!("for example \"{example}\"")))
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        const WANTED: &str = "a duration such as \"500ms\", \"15s\", \"5m\" or \"1h\"";
        let text = self.text_or(WANTED)?;
        match value::duration(&text) {
            Some(Duration::ZERO) => {
                self.wrong("is zero, which would end everything at once", &format!("write {WANTED}"))
            }
            Some(duration) => Some(duration),
            None => self.unfit(WANTED),
        }
    }

    pub(super) fn size(&self) -> Option<usize> {
        const WANTED: &str = "a size such as \"64KiB\" or \"32MiB\"";
        let text = self.text_or(WANTED)?;
        match value::size(&text) {
            Some(0) => self.wrong("is zero, which would refuse everything", &format!("write {WANTED}")),
            Some(size) => Some(size),
            None => self.unfit(WANTED),
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.raw {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.not("true or false"),
        }
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Option<T> {
        let wanted = match range.end() {
            &u64::MAX => format!("a whole number of at least {}", range.start()),
            end => format!("a whole number from {} to {end}", range.start()),
        };
        let DeValue::Integer(written) = self.raw else { return self.not(&wanted) };
        let number =
            u64::from_str_radix(written.as_str(), written.radix()).ok().filter(|number| range.contains(number));
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(number),
            None => self.unfit_number(written.as_str(), &wanted),
        }
    }

    fn unfit_number<T>(&self, written: &str, wanted: &str) -> Option<T> {
        match self.raw {
            DeValue::String(_) => self.unfit(wanted),
            _ => self.wrong(&format!("can't be {written}"), &format!("write {wanted}")),
        }
    }

    pub(super) fn choice<T: Copy>(&self, all: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = all.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let wanted = names.join(" or ");
        let text = self.text_or(&wanted)?;
        let chosen = all.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        chosen.or_else(|| self.unfit(&wanted))
    }

    /// Dollars, read from the digits as they stand: no amount ever passes through a float.
    pub(super) fn money(&self) -> Option<Nanodollars> {
        const WANTED: &str = "dollars as a decimal such as 0.15, with at most nine places";
        let text = match self.raw {
            DeValue::Float(written) => written.as_str().to_string(),
            DeValue::Integer(written) if written.radix() == 10 => written.as_str().to_string(),
            _ => self.text_or(WANTED)?,
        };
        let amount = text.parse().ok().filter(|amount| *amount >= Nanodollars(0));
        amount.or_else(|| self.unfit_number(&text, WANTED))
    }

    /// A host without scheme, port or path.
    pub(super) fn host(&self) -> Option<String> {
        let host = self.text_or("a host such as \"127.0.0.1\"")?;
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if is_address || is_name { Some(host) } else { self.unfit("a host alone, such as \"127.0.0.1\" or \"ai-02\"") }
    }

    /// A JSON number, digit by digit as it was written.
    pub(super) fn decimal(&self) -> Option<String> {
        let written = match self.raw {
            DeValue::Float(written) => written.as_str(),
            DeValue::Integer(written) if written.radix() == 10 => written.as_str(),
            _ => return self.not("a number such as 0.7"),
        };
        match serde_json::from_str::<serde_json::Number>(written) {
            Ok(_) => Some(written.to_string()),
            Err(_) => self.wrong(&format!("can't be {written}"), "write a number such as 0.7"),
        }
    }

    pub(super) fn table(&self) -> Option<&'r DeTable<'r>> {
        match self.raw {
            DeValue::Table(table) => Some(table),
            _ => self.not("a table"),
        }
    }

    /// Each value of a list; those that won't do are reported and left out.
    pub(super) fn list<T>(&self, read: impl FnMut(&Value<'r>) -> Option<T>) -> Vec<T> {
        let DeValue::Array(values) = self.raw else {
            return self.not("a list in [ ]").unwrap_or_default();
        };
        let each = values.iter().map(|one| Value {
            reader: self.reader,
            path: self.path.clone(),
            raw: one.get_ref(),
            at: one.span().start,
        });
        let mut read = read;
        each.filter_map(|value| read(&value)).collect()
    }

    /// A path, relative to the file that says it.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.text_or("a path in quotes").map(|path| self.reader.folder.join(path))
    }

    /// The path of a file that can be read now; better said here than at the first call.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let path = self.path()?;
        match File::open(&path) {
            Ok(_) => Some(path),
            Err(error) => self.unreadable(&path, &error),
        }
    }

    /// The path of a file that only its owner should be able to read.
    pub(super) fn private_file(&self) -> Option<PathBuf> {
        let path = self.file()?;
        self.warn_if_others_may_read(&path);
        Some(path)
    }

    /// Text, or the contents of `{ file = "…" }`.
    pub(super) fn text_or_file(&self) -> Option<String> {
        if !self.is_table() {
            return self.text_or("text, or { file = \"…\" }");
        }
        let bytes = self.named_file(Value::file)?;
        match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(_) => self.wrong("names a file that is not UTF-8 text", "name a text file"),
        }
    }

    /// A secret as text, or from `{ file = "…" }` without the newlines at its end.
    pub(super) fn secret(&self) -> Option<Arc<Secret>> {
        if !self.is_table() {
            return self.text_or("text, or { file = \"…\" }").map(|text| Arc::new(Secret::from(text)));
        }
        let secret = Secret::new(self.named_file(Value::private_file)?);
        let end = secret.expose().iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        match end {
            0 => self.wrong("names an empty file", "put the secret into it"),
            end => Some(Arc::new(Secret::new(secret.expose()[..end].to_vec()))),
        }
    }

    fn named_file(&self, open: impl FnOnce(&Value<'r>) -> Option<PathBuf>) -> Option<Vec<u8>> {
        let path = self.section(|table| table.required("file", "\"…\"", open))??;
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(NAMED_FILE_MAX + 1).read_to_end(&mut bytes)) {
            Ok(read) if read as u64 > NAMED_FILE_MAX => {
                self.wrong(&format!("names {}, which is larger than 1 MiB", path.display()), "name another file")
            }
            Ok(_) => Some(bytes),
            Err(error) => self.unreadable(&path, &error),
        }
    }

    fn unreadable<T>(&self, path: &Path, error: &std::io::Error) -> Option<T> {
        let what = format!("names {}, which can't be read ({error})", path.display());
        self.wrong(&what, "create it, correct the path, or give us the right to read it")
    }

    #[cfg(unix)]
    fn warn_if_others_may_read(&self, path: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(metadata) = std::fs::metadata(path) else { return };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let what = format!("`{}` names {}, which others may read (mode {mode:04o})", self.path, path.display());
            self.reader.warning(self.at, what, format!("run chmod 0600 {}", path.display()));
        }
    }

    #[cfg(not(unix))]
    fn warn_if_others_may_read(&self, _path: &Path) {}
}
