//! One entry as the journal holds it: length, checksum, JSON. Bytes in, entries out.
//!
//! ```text
//! length: u32 little-endian │ CRC-32 of what follows: u32 little-endian │ the entry as JSON
//! ```

use crate::domain::ledger::Entry;

/// Before each entry.
const HEAD: usize = 8;

/// No entry is longer: a whole trail of the longest names is 60 KiB. A length beyond it is damage.
const ENTRY_MAX: usize = 1 << 20;

/// Appends an entry's frame.
pub(super) fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    // An entry is plain values, and a Vec takes all that is written to it.
    if serde_json::to_writer(&mut *out, entry).is_err() {
        return out.truncate(start);
    }
    let body = &out[start + HEAD..];
    let (length, checksum) = (body.len() as u32, crc32fast::hash(body));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEAD].copy_from_slice(&checksum.to_le_bytes());
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Decoded {
    /// An entry, and how many bytes it takes.
    Entry(Box<Entry>, usize),
    /// It does not end here: more may come, or what wrote it was killed.
    Cut,
    /// What stands here was never written so.
    Damaged,
}

pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return Decoded::Cut };
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (length, checksum) = (number(0) as usize, number(4));
    if length == 0 || length > ENTRY_MAX {
        return Decoded::Damaged;
    }
    let Some(body) = rest.get(..length) else { return Decoded::Cut };
    if crc32fast::hash(body) != checksum {
        return Decoded::Damaged;
    }
    match serde_json::from_slice(body) {
        Ok(entry) => Decoded::Entry(Box::new(entry), HEAD + length),
        Err(_) => Decoded::Damaged,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::id::Id;
    use crate::domain::ledger::{From, PricedBy, Tried};
    use crate::domain::money::Nanodollars;
    use crate::domain::time::Timestamp;
    use crate::domain::usage::{Basis, Usage};
    use uuid::Uuid;

    pub(in crate::meter::journal) fn entry() -> Entry {
        let tried = Tried {
            provider: "openai".into(),
            model: "gpt-4o".into(),
            scope: Some("platform".into()),
            end: "answered".into(),
            status: Some(200),
            why: None,
            took_us: 1_234,
            usage: None,
            cost: None,
        };
        Entry {
            id: Uuid::now_v7(),
            began_at: Timestamp(1_774_137_600_000),
            org: Id::random(),
            workspace: Id::random(),
            token: Id::random(),
            user: Some("ada".into()),
            run: Some("nightly".into()),
            parent_run: None,
            protocol: "chat".into(),
            operation: "chat_completions".into(),
            delivery: "streamed".into(),
            from: Some(From {
                provider: "openai".into(),
                provider_id: Id::random(),
                model: "gpt-4o".into(),
                scope: Some("platform".into()),
                credential: None,
            }),
            outcome: "served".into(),
            refusal: None,
            usage: Usage { input: 7, output: 2, cost: Some(Nanodollars(5)), ..Usage::default() },
            basis: Basis::Reported,
            cost: Some(Nanodollars(5)),
            priced_by: PricedBy::Provider,
            overhead_cost: Nanodollars(0),
            attempts: vec![tried],
            first_event_us: Some(900),
            total_us: 1_500,
            own_us: 60,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (first, second) = (entry(), entry());
        let mut bytes = Vec::new();
        encode(&first, &mut bytes);
        let length = bytes.len();
        encode(&second, &mut bytes);
        assert_eq!(decode(&bytes), Decoded::Entry(Box::new(first), length));
        assert_eq!(decode(&bytes[length..]), Decoded::Entry(Box::new(second), bytes.len() - length));
        assert!(length < 1_024, "{length} bytes");
    }

    #[test]
    fn a_frame_cut_anywhere_is_cut_and_a_changed_byte_is_damage() {
        let mut bytes = Vec::new();
        encode(&entry(), &mut bytes);
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Decoded::Cut, "{end}");
        }
        for at in 4..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), Decoded::Damaged, "{at}");
        }
        assert_eq!(decode(&[0; 64]), Decoded::Damaged, "a hole in a file is no entry");
    }
}
