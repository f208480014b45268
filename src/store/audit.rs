//! The audit log: who changed what, each record chained to the one before by HMAC.
//!
//! An edit, a deletion or another order breaks the chain; a cut tail shows against the head, which is logged with every
//! change. Pure: the store says when, and appends in the same transaction as the change.

use std::collections::VecDeque;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::seal::{Binding, KeyId, Keyring};
use crate::domain::time::Timestamp;

/// Records kept in the sealed file: years of a small installation's changes, and below 4 MiB to write with each. Older
/// ones are in the operator's log. A database keeps them all.
pub const RECORDS_MAX: usize = 10_000;

/// Bytes kept of each text, so that no name a client chose makes the log grow without bound.
pub const TEXT_MAX: usize = 256;

/// Who does what to which entity. Names and ids only: never a key, a token or text of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    by: String,
    action: &'static str,
    entity: String,
}

impl Act {
    /// `by` is a user's or token's id, or `cli:USER`; `entity` is for example `credential 4f1c…`.
    pub fn new(by: &str, action: &'static str, entity: impl fmt::Display) -> Self {
        Self { by: short(by), action, entity: short(&entity.to_string()) }
    }
}

fn short(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX)].to_string()
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub seq: u64,
    pub at: Timestamp,
    pub by: String,
    pub action: String,
    pub entity: String,
    /// The directory's version that the change made.
    pub version: u64,
    /// The key the link was made with.
    pub key: KeyId,
    pub link: Link,
}

impl Record {
    /// The record of `act`, as the link after `head`.
    pub(super) fn after(head: Head, act: &Act, at: Timestamp, version: u64, keyring: &Keyring) -> Self {
        let mut record = Self {
            seq: head.seq + 1,
            at,
            by: act.by.clone(),
            action: act.action.to_string(),
            entity: act.entity.clone(),
            version,
            key: keyring.current(),
            link: head.link,
        };
        let (key, link) = keyring.link(&record.message(&head.link));
        (record.key, record.link) = (key, Link(link));
        record
    }

    pub(super) fn head(&self) -> Head {
        Head { seq: self.seq, link: self.link }
    }

    /// One line per change, with the head of the chain: what a cut tail is held against.
    pub(super) fn log(&self) {
        tracing::info!(
            version = self.version,
            by = self.by,
            action = self.action,
            entity = self.entity,
            audit_seq = self.seq,
            audit_head = %self.link,
            "the directory changed"
        );
    }

    /// Everything but the link and its key, after the link of the record before.
    fn message(&self, before: &Link) -> Binding {
        Binding::default()
            .with(&before.0)
            .with(&self.seq.to_be_bytes())
            .with(&self.at.0.to_be_bytes())
            .with(self.by.as_bytes())
            .with(self.action.as_bytes())
            .with(self.entity.as_bytes())
            .with(&self.version.to_be_bytes())
    }
}

/// HMAC-SHA256 over a record and the link before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link([u8; 32]);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_| de::Error::custom("a link has 32 bytes"))
    }
}

/// The end of the chain: what a log line or an export remembers of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub seq: u64,
    pub link: Link,
}

impl Head {
    /// Before the first record.
    pub(super) const START: Self = Self { seq: 0, link: Link([0; 32]) };
}

/// The newest records, and the link of the last one that was let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLog {
    before: Head,
    records: VecDeque<Record>,
}

impl Default for AuditLog {
    fn default() -> Self {
        Self { before: Head::START, records: VecDeque::new() }
    }
}

/// What a whole chain says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub records: usize,
    /// They name a key that the keyring does not hold, so nothing can be said for them.
    pub unknown_key: usize,
    pub head: Head,
    /// Is the link that was asked for in the chain? `None`: none was.
    pub holds_expected: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("the audit chain breaks at record {seq}: it, or one before it, was changed, removed or moved")]
    At { seq: u64 },
    #[error(
        "the audit chain ends at record {end}, and its store remembers record {head} as the last: its tail was cut"
    )]
    Cut { end: u64, head: u64 },
}

/// Goes along a chain, record by record.
pub(super) struct Walk<'a> {
    keyring: &'a Keyring,
    expected: Option<&'a str>,
    verified: Verified,
}

impl<'a> Walk<'a> {
    /// `before` is where the first record is linked to, `expected` the link that somebody remembers.
    pub(super) fn from(before: Head, expected: Option<&'a str>, keyring: &'a Keyring) -> Self {
        let verified = Verified { records: 0, unknown_key: 0, head: before, holds_expected: expected.map(|_| false) };
        let mut walk = Self { keyring, expected, verified };
        walk.is_expected();
        walk
    }

    /// The last record that was walked over.
    pub(super) fn seq(&self) -> u64 {
        self.verified.head.seq
    }

    pub(super) fn step(&mut self, record: &Record) -> Result<(), Broken> {
        let broken = Broken::At { seq: record.seq };
        let before = self.verified.head;
        if before.seq.checked_add(1) != Some(record.seq) {
            return Err(broken);
        }
        match self.keyring.is_link(record.key, &record.message(&before.link), &record.link.0) {
            Some(true) => {}
            Some(false) => return Err(broken),
            None => self.verified.unknown_key += 1,
        }
        self.verified.records += 1;
        self.verified.head = record.head();
        self.is_expected();
        Ok(())
    }

    fn is_expected(&mut self) {
        if self.expected.is_some_and(|expected| self.verified.head.link.to_string() == expected) {
            self.verified.holds_expected = Some(true);
        }
    }

    /// `head` is what the store remembers beside the records.
    pub(super) fn end(self, head: Head) -> Result<Verified, Broken> {
        match self.verified.head == head {
            true => Ok(self.verified),
            false => Err(Broken::Cut { end: self.verified.head.seq, head: head.seq }),
        }
    }
}

impl AuditLog {
    pub(super) fn append(&mut self, act: &Act, at: Timestamp, version: u64, keyring: &Keyring) {
        self.records.push_back(Record::after(self.head(), act, at, version, keyring));
        self.let_go();
    }

    fn let_go(&mut self) {
        while self.records.len() > RECORDS_MAX
            && let Some(oldest) = self.records.pop_front()
        {
            self.before = oldest.head();
        }
    }

    pub(super) fn newest(&self) -> Option<&Record> {
        self.records.back()
    }

    fn head(&self) -> Head {
        self.newest().map_or(self.before, Record::head)
    }

    /// The newest first, of those before one.
    pub(super) fn page(&self, before: Option<u64>, limit: u32) -> Vec<Record> {
        let older = self.records.iter().rev().filter(|record| before.is_none_or(|before| record.seq < before));
        older.take(limit as usize).cloned().collect()
    }

    /// Walks the whole chain. A cut tail shows against a link that somebody remembers, for what stands in one file is cut
    /// together.
    pub(super) fn verify(&self, expected: Option<&str>, keyring: &Keyring) -> Result<Verified, Broken> {
        let mut walk = Walk::from(self.before, expected, keyring);
        self.records.iter().try_for_each(|record| walk.step(record))?;
        walk.end(self.head())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seal::tests::keyring;

    fn log(keyring: &Keyring, records: u64) -> AuditLog {
        let mut log = AuditLog::default();
        for version in 1..=records {
            log.append(&Act::new("cli:root", "create", "org 1"), Timestamp(version as i64), version, keyring);
        }
        log
    }

    #[test]
    fn an_untouched_chain_holds_and_goes_on_after_a_rotation() {
        let (old, both, new) = (keyring(&["old"]), keyring(&["new", "old"]), keyring(&["new"]));
        let mut log = log(&old, 3);
        log.append(&Act::new("cli:root", "rotate", "keys"), Timestamp(4), 4, &both);
        for (keyring, unknown_key) in [(&both, 0), (&new, 3)] {
            let verified = log.verify(None, keyring).unwrap();
            assert_eq!((verified.records, verified.unknown_key), (4, unknown_key));
        }
    }

    #[test]
    fn any_edit_deletion_reorder_or_forged_record_breaks_the_chain() {
        let keyring = keyring(&["a"]);
        let edits: [fn(&mut AuditLog); 8] = [
            |log| log.records[2].by = "somebody".into(),
            |log| log.records[2].action = "delete".into(),
            |log| log.records[2].entity = "org 2".into(),
            |log| log.records[2].at = Timestamp(99),
            |log| log.records[2].version = 99,
            |log| drop(log.records.remove(2)),
            |log| drop(log.records.pop_front()),
            |log| log.records.swap(1, 2),
        ];
        for edit in edits {
            let mut log = log(&keyring, 5);
            edit(&mut log);
            assert!(log.verify(None, &keyring).is_err());
        }
    }

    #[test]
    fn a_cut_tail_shows_against_the_head_that_was_logged() {
        let keyring = keyring(&["a"]);
        let mut log = log(&keyring, 5);
        let logged = log.head().link.to_string();
        assert_eq!(log.verify(Some(&logged), &keyring).unwrap().holds_expected, Some(true));
        log.records.pop_back();
        assert_eq!(log.verify(Some(&logged), &keyring).unwrap().holds_expected, Some(false));
        assert_eq!(log.verify(None, &keyring).unwrap().holds_expected, None);
    }

    #[test]
    fn pages_go_back_from_the_newest() {
        let log = log(&keyring(&["a"]), 5);
        let seqs = |before, limit| log.page(before, limit).iter().map(|record| record.seq).collect::<Vec<_>>();
        assert_eq!(seqs(None, 2), [5, 4]);
        assert_eq!(seqs(Some(4), 2), [3, 2]);
        assert_eq!(seqs(Some(1), 2), [] as [u64; 0]);
    }

    #[test]
    fn the_log_keeps_the_newest_records_and_the_chain_still_holds() {
        let keyring = keyring(&["a"]);
        let log = log(&keyring, RECORDS_MAX as u64 + 5);
        assert_eq!(log.records.len(), RECORDS_MAX);
        assert_eq!(log.records[0].seq, 6);
        assert_eq!(log.verify(None, &keyring).unwrap().records, RECORDS_MAX);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let act = Act::new(&"ä".repeat(500), "create", "x".repeat(500));
        assert_eq!((act.by.len(), act.entity.len()), (256, 256));
        assert_eq!(Act::new(&format!("a{}", "ä".repeat(500)), "create", "").by.len(), 255);
    }
}
