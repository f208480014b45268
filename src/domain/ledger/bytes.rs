//! An entry as bytes: one that says how the rest is written, then its fields one after the other.

use postcard::ser_flavors::Flavor;
use uuid::Uuid;

use super::Entry;

/// How the fields are written. A version that adds one takes the next number, and goes on reading those before it: entries
/// lie in a ledger for years.
const FIELDS: u8 = 1;

/// Appends to what is there.
struct Behind<'o>(&'o mut Vec<u8>);

impl Flavor for Behind<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// An entry together with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<'b> {
    pub entry: Entry<'b>,
    pub bytes: &'b [u8],
}

impl<'b> Written<'b> {
    /// `None` for bytes that `Entry::write` never made.
    pub fn read(bytes: &'b [u8]) -> Option<Self> {
        Entry::read(bytes).map(|entry| Self { entry, bytes })
    }
}

/// An entry as it comes out of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub id: Uuid,
    pub bytes: Vec<u8>,
}

impl Kept {
    /// `None` where a later version wrote it.
    pub fn entry(&self) -> Option<Entry<'_>> {
        Entry::read(&self.bytes)
    }
}

impl From<&Entry<'_>> for Kept {
    fn from(entry: &Entry<'_>) -> Self {
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        Self { id: entry.id, bytes }
    }
}

impl<'b> Entry<'b> {
    /// Appends its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(FIELDS);
        let start = out.len();
        // Plain values of known lengths, and a Vec takes all of them: nothing can go wrong.
        if postcard::serialize_with_flavor(self, Behind(out)).is_err() {
            out.truncate(start);
        }
    }

    /// `None` for bytes that `write` never made.
    pub fn read(bytes: &'b [u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&FIELDS, fields) => postcard::from_bytes(fields).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_another_way_of_writing_or_cut_short_are_no_entry() {
        let entry = crate::domain::ledger::tests::entry();
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        assert_eq!(Entry::read(&bytes), Some(entry));
        for end in 0..bytes.len() {
            assert_eq!(Entry::read(&bytes[..end]), None, "{end}");
        }
        bytes[0] += 1;
        assert_eq!(Entry::read(&bytes), None);
    }
}
