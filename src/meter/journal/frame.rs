//! One entry as the journal holds it: length, checksum, its bytes. Bytes in, entries out.
//!
//! ```text
//! length: u32 little-endian │ CRC-32 of what follows: u32 little-endian │ the entry's bytes
//! ```

use crate::domain::ledger::Entry;

/// Before each entry.
const HEAD: usize = 8;

/// No entry is longer: a whole trail of the longest names is 60 KiB. A length beyond it is damage.
const ENTRY_MAX: usize = 1 << 20;

/// Appends an entry's frame.
pub(super) fn encode(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    entry.write(out);
    let body = &out[start + HEAD..];
    let (length, checksum) = (body.len() as u32, crc32fast::hash(body));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEAD].copy_from_slice(&checksum.to_le_bytes());
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Decoded<'b> {
    /// An entry's bytes, and how many the frame takes.
    Entry(&'b [u8], usize),
    /// It does not end here: more may come, or what wrote it was killed.
    Cut,
    /// What stands here was never written so.
    Damaged,
}

pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
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
    Decoded::Entry(body, HEAD + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::tests::entry;

    #[test]
    fn what_is_written_is_read_back() {
        let (first, second) = (entry(), entry());
        let mut bytes = Vec::new();
        encode(&first, &mut bytes);
        let length = bytes.len();
        encode(&second, &mut bytes);
        for (entry, from, to) in [(first, 0, length), (second, length, bytes.len())] {
            let Decoded::Entry(body, taken) = decode(&bytes[from..]) else { panic!("no entry at {from}") };
            assert_eq!((Entry::read(body), taken), (Some(entry), to - from));
        }
        assert!(length < 256, "{length} bytes");
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
