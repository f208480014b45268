//! Takes settings off a parsed file one by one, and reports what is wrong and what nobody asked for.
//!
//! A setting is known because some code asks for it: there is no second list of names to keep in step.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::read::Value;
use super::value::{duration_text, size_text};
use crate::domain::nearest::nearest;

/// What every table of one file shares.
pub(super) struct Reader<'r> {
    pub(super) name: String,
    /// What paths in the file are relative to.
    pub(super) folder: PathBuf,
    pub(super) text: &'r str,
    pub(super) env: &'r dyn Fn(&str) -> Option<String>,
    pub(super) found: RefCell<Found>,
}

/// What reading brings up beside the values.
#[derive(Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Every setting asked for, with its default; kept only if wanted.
    pub(super) settings: Option<Vec<Setting>>,
}

/// A setting that this build knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `limits.body`, `provider.base_url`.
    pub path: String,
    /// As `gateway.toml` would say it. `None`: nothing holds until it is set.
    pub default: Option<String>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Written<T> {
    pub(super) value: T,
    /// The byte of the file it begins at.
    pub(super) at: usize,
}

impl Reader<'_> {
    pub(super) fn problem(&self, at: usize, what: String, remedy: String) {
        let problem = self.at(at, what, remedy);
        self.found.borrow_mut().problems.push(problem);
    }

    pub(super) fn warning(&self, at: usize, what: String, remedy: String) {
        let warning = self.at(at, what, remedy);
        self.found.borrow_mut().warnings.push(warning);
    }

    fn at(&self, at: usize, what: String, remedy: String) -> Problem {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
        Problem { file: self.name.clone(), line, column, what, remedy }
    }
}

/// One table of the file, or an absent one, of which every setting has its default.
pub(super) struct Table<'r> {
    pub(super) reader: &'r Reader<'r>,
    path: String,
    /// Where it begins, for what it lacks.
    pub(super) at: usize,
    entries: Option<&'r DeTable<'r>>,
    asked: Vec<&'static str>,
}

impl<'r> Table<'r> {
    /// Reads a whole file and reports what it holds beside that.
    pub(super) fn root<T>(reader: &'r Reader<'r>, document: &'r DeTable<'r>, read: impl FnOnce(&mut Self) -> T) -> T {
        Self { reader, path: String::new(), at: 0, entries: Some(document), asked: Vec::new() }.whole(read)
    }

    fn absent(&self, key: &str) -> Self {
        Self { reader: self.reader, path: self.path_of(key), at: self.at, entries: None, asked: Vec::new() }
    }

    fn of(value: &Value<'r>) -> Option<Self> {
        let entries = value.table()?;
        Some(Self {
            reader: value.reader,
            path: value.path.clone(),
            at: value.at,
            entries: Some(entries),
            asked: vec![],
        })
    }

    /// Reads all that is known of this table; what is left over is unknown.
    fn whole<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = read(&mut self);
        for (key, _) in self.entries.into_iter().flat_map(|entries| entries.iter()) {
            if !self.asked.contains(&key.get_ref().as_ref()) {
                self.unknown(key);
            }
        }
        value
    }

    fn unknown(&self, key: &Spanned<std::borrow::Cow<'_, str>>) {
        let name = key.get_ref();
        let place = if self.path.is_empty() { "at the top".to_string() } else { format!("in `{}`", self.path) };
        let remedy = match nearest(name, self.asked.iter().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("known here: {}", self.asked.join(", ")),
        };
        self.reader.problem(key.span().start, format!("unknown setting `{name}` {place}"), remedy);
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// Every question passes here, so this is where a setting becomes known.
    fn ask(&mut self, key: &'static str, default: impl FnOnce() -> Option<String>) -> Option<Value<'r>> {
        if let Some(settings) = &mut self.reader.found.borrow_mut().settings {
            settings.push(Setting { path: self.path_of(key), default: default() });
        }
        self.asked.push(key);
        self.value(key)
    }

    fn value(&self, key: &str) -> Option<Value<'r>> {
        let raw = self.entries?.get(key)?;
        Some(Value { reader: self.reader, path: self.path_of(key), raw: raw.get_ref(), at: raw.span().start })
    }

    /// Does the file say anything about it?
    pub(super) fn states(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// A setting without a default.
    pub(super) fn get<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'r>) -> Option<T>) -> Option<T> {
        self.ask(key, || None).and_then(|value| read(&value))
    }

    /// A setting whose absence is a problem.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&Value<'r>) -> Option<T>,
    ) -> Option<T> {
        match self.ask(key, || None) {
            Some(value) => read(&value),
            None => {
                self.lacks(key, example);
                None
            }
        }
    }

    pub(super) fn lacks(&self, key: &str, example: &str) {
        let what = format!("`{}` is missing", self.path_of(key));
        self.reader.problem(self.at, what, format!("add `{key} = {example}`"));
    }

    /// A setting with a default, and how the default is spelled.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        spelled: impl FnOnce(&T) -> String,
        read: impl FnOnce(&Value<'r>) -> Option<T>,
    ) -> T {
        let value = self.ask(key, || Some(spelled(&default)));
        value.and_then(|value| read(&value)).unwrap_or(default)
    }

    pub(super) fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        self.or(key, default, |default| quoted(&duration_text(*default)), Value::duration)
    }

    pub(super) fn size(&mut self, key: &'static str, default: usize) -> usize {
        self.or(key, default, |default| quoted(&size_text(*default)), Value::size)
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.or(key, default, bool::to_string, Value::flag)
    }

    pub(super) fn number<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<u64>) -> T
    where
        T: TryFrom<u64> + ToString,
    {
        self.or(key, default, T::to_string, |value| value.number(range))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy + PartialEq>(&mut self, key: &'static str, default: T, all: &[(&str, T)]) -> T {
        let name_of =
            |value: &T| all.iter().find(|(_, one)| one == value).map_or_else(String::new, |(name, _)| quoted(name));
        self.or(key, default, name_of, |value| value.choice(all))
    }

    /// What parses from a string, and prints as it parses.
    pub(super) fn parsed<T>(&mut self, key: &'static str, default: T, example: &str) -> T
    where
        T: std::str::FromStr + ToString,
    {
        self.or(key, default, |default| quoted(&default.to_string()), |value| value.parsed(example))
    }

    /// A list, each of whose values is read alone; empty by default.
    pub(super) fn list<T>(&mut self, key: &'static str, read: impl FnMut(&Value<'r>) -> Option<T>) -> Vec<T> {
        let value = self.ask(key, || Some("[]".to_string()));
        value.map(|value| value.list(read)).unwrap_or_default()
    }

    /// A table within this one. Where it is absent, `read` sees an empty one and so gives the defaults.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.asked.push(key);
        self.value(key).and_then(|value| Self::of(&value)).unwrap_or_else(|| self.absent(key)).whole(read)
    }

    /// A table that may be left out as a whole.
    pub(super) fn optional_section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        if !self.states(key) && !self.only_lists_settings() {
            self.asked.push(key);
            return None;
        }
        self.section(key, read)
    }

    /// Every `[[key]]`, in the file's order.
    pub(super) fn each<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        self.asked.push(key);
        match self.value(key) {
            Some(value) => value.list(|one| Self::of(one).map(|table| table.whole(&mut read))),
            None => self.only_lists_settings().then(|| self.absent(key).whole(read)).into_iter().collect(),
        }
    }

    /// Every entry of a table whose keys are names that people choose.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, &Value<'r>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.ask(key, || Some("{}".to_string())) else { return Vec::new() };
        let entries = value.table().into_iter().flat_map(|entries| entries.iter());
        let entries = entries.filter_map(|(name, raw)| {
            let path = format!("{}.{}", value.path, name.get_ref());
            read(name.get_ref(), &Value { reader: value.reader, path, raw: raw.get_ref(), at: raw.span().start })
        });
        entries.collect()
    }

    /// Is nothing read but the names of settings? Then absent tables are walked too, and their values dropped.
    fn only_lists_settings(&self) -> bool {
        self.reader.found.borrow().settings.is_some()
    }
}

impl<'r> Value<'r> {
    /// Reads a table inside a value, as [`Table::section`] does.
    pub(super) fn section<T>(&self, read: impl FnOnce(&mut Table<'r>) -> T) -> Option<T> {
        Table::of(self).map(|table| table.whole(read))
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.raw, DeValue::Table(_))
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
