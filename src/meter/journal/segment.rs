//! The journal's files: numbered, each begun anew and only ever appended to, gone once the ledger has all of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::frame::{Decoded, decode};
use crate::domain::ledger::Written;

/// What each file begins with, and which way of writing follows.
const MAGIC: &[u8; 8] = b"KWJRNL1\n";
const SUFFIX: &str = ".journal";

/// A file this long is followed by another, so that the disk gets its space back in pieces.
pub(super) const SEGMENT_BYTES: u64 = 16 << 20;

/// What is read at a time: some thousand entries. Longer than the longest of them.
const READ_BYTES: u64 = 2 << 20;

/// A place in the journal: a file, and how far in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) bytes: u64,
}

impl Place {
    pub(super) const fn start_of(segment: u64) -> Self {
        Self { segment, bytes: MAGIC.len() as u64 }
    }
}

fn path(folder: &Path, segment: u64) -> PathBuf {
    // As many digits as a number may have, so that names sort as numbers do.
    folder.join(format!("{segment:020}{SUFFIX}"))
}

/// Makes the folder if it is not there.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The files that are there, with their lengths, the oldest first.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let number = file.file_name().to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        if let Some(number) = number {
            found.push((number, file.metadata()?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A new file, its name on the disk.
pub(super) fn begin(folder: &Path, segment: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path(folder, segment))?;
    file.write_all(MAGIC)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Forgets a file. One that is gone already is as good.
pub(super) fn remove(folder: &Path, segment: u64) -> io::Result<u64> {
    let path = path(folder, segment);
    let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(length),
    }
}

/// What was read from a place on.
pub(super) struct Piece {
    bytes: Vec<u8>,
    /// Where in them each entry lies.
    entries: Vec<Range<usize>>,
    /// Where to read on in this file; `None` behind its last whole entry, where nobody writes any more.
    pub(super) next: Option<u64>,
    /// Bytes that no entry could be made of.
    pub(super) lost_bytes: u64,
}

impl Piece {
    /// So many of them at a time: read, they take more room than in the file. Without those that a later version wrote.
    pub(super) fn entries(&self, at_once: usize) -> impl Iterator<Item = Vec<Written<'_>>> {
        self.entries.chunks(at_once).map(|some| {
            let mut entries = Vec::with_capacity(some.len());
            entries.extend(some.iter().filter_map(|entry| Written::read(&self.bytes[entry.clone()])));
            entries
        })
    }

    pub(super) const fn count(&self) -> usize {
        self.entries.len()
    }
}

/// Reads some entries of a file from a place on, up to `end`, or to the file's end where nobody writes to it any more.
pub(super) fn read(folder: &Path, from: Place, end: Option<u64>) -> io::Result<Piece> {
    let mut file = match File::open(path(folder, from.segment)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Piece { bytes: Vec::new(), entries: Vec::new(), next: None, lost_bytes: 0 });
        }
        file => file?,
    };
    let length = end.unwrap_or(file.metadata()?.len());
    let wanted = length.saturating_sub(from.bytes).min(READ_BYTES);
    let mut bytes = Vec::with_capacity(wanted as usize);
    file.seek(SeekFrom::Start(from.bytes))?;
    file.take(wanted).read_to_end(&mut bytes)?;
    let (mut entries, mut at, mut lost) = (Vec::new(), 0, 0);
    loop {
        match decode(&bytes[at..]) {
            Decoded::Entry(entry, length) => {
                at += length;
                entries.push(at - entry.len()..at);
            }
            Decoded::Cut => break,
            Decoded::Damaged => {
                let whole = (at + 1..bytes.len()).find(|at| matches!(decode(&bytes[*at..]), Decoded::Entry(..)));
                let next = whole.unwrap_or(bytes.len());
                lost += next - at;
                at = next;
            }
        }
    }
    let next = from.bytes + at as u64;
    // Cut by what is read at a time: the rest comes with the next reading.
    let is_behind = at > 0 && from.bytes + (bytes.len() as u64) < length;
    let (next, behind) = match end {
        _ if is_behind => (Some(next), 0),
        // What is being written to is never passed by, whatever stands in it.
        Some(end) => (Some(end), end.saturating_sub(next)),
        None => (None, length.saturating_sub(next)),
    };
    Ok(Piece { bytes, entries, next, lost_bytes: lost as u64 + behind })
}

#[cfg(test)]
mod tests {
    use super::super::frame::encode;
    use super::*;
    use crate::domain::ledger::Entry;
    use crate::domain::ledger::tests::entry;

    fn write(folder: &Path, segment: u64, bytes: &[u8]) {
        begin(folder, segment).unwrap().write_all(bytes).unwrap();
    }

    fn found(piece: &Piece) -> Vec<Entry<'_>> {
        piece.entries(2).flatten().map(|written| written.entry).collect()
    }

    #[test]
    fn a_file_cut_anywhere_gives_all_that_is_whole_before() {
        let folder = tempfile::tempdir().unwrap();
        let (mut bytes, entries) = (Vec::new(), [entry(), entry(), entry()]);
        let mut ends = vec![0];
        for entry in &entries {
            encode(entry, &mut bytes);
            ends.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            write(folder.path(), cut as u64, &bytes[..cut]);
            let read = read(folder.path(), Place::start_of(cut as u64), None).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!((&found(&read)[..], read.next), (&entries[..whole], None), "{cut}");
            assert_eq!(read.lost_bytes, (cut - ends[whole]) as u64);
        }
    }

    #[test]
    fn a_file_that_is_written_to_is_read_up_to_what_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        encode(&entry(), &mut bytes);
        write(folder.path(), 1, &[&bytes[..], &bytes[..10]].concat());
        let end = Place::start_of(1).bytes + bytes.len() as u64;
        let one = read(folder.path(), Place::start_of(1), Some(end)).unwrap();
        assert_eq!((one.count(), one.next), (1, Some(end)));
        let none = read(folder.path(), Place { segment: 1, bytes: end }, Some(end)).unwrap();
        assert_eq!((none.count(), none.next), (0, Some(end)));
    }

    #[test]
    fn damage_costs_the_entry_it_hits_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (mut bytes, entries) = (Vec::new(), [entry(), entry(), entry()]);
        entries.iter().for_each(|entry| encode(entry, &mut bytes));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        write(folder.path(), 1, &bytes);
        let piece = read(folder.path(), Place::start_of(1), None).unwrap();
        assert_eq!(found(&piece), [entries[0].clone(), entries[2].clone()]);
        assert!(piece.lost_bytes > 0 && piece.next.is_none());
    }

    #[test]
    fn a_record_of_a_later_version_is_counted_and_not_taken_for_an_entry() {
        let folder = tempfile::tempdir().unwrap();
        let (body, mut bytes) = ([u8::MAX; 3], Vec::new());
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(crc32fast::hash(&body).to_le_bytes());
        bytes.extend(body);
        encode(&entry(), &mut bytes);
        write(folder.path(), 1, &bytes);
        let piece = read(folder.path(), Place::start_of(1), None).unwrap();
        assert_eq!((piece.count(), found(&piece).len(), piece.lost_bytes), (2, 1, 0));
    }

    #[test]
    fn a_long_file_is_read_in_pieces_that_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        let mut count = 0;
        while (bytes.len() as u64) < 2 * READ_BYTES + 999 {
            encode(&entry(), &mut bytes);
            count += 1;
        }
        write(folder.path(), 1, &bytes);
        let (mut place, mut found) = (Place::start_of(1), 0);
        loop {
            let piece = read(folder.path(), place, None).unwrap();
            found += piece.count();
            assert_eq!(piece.lost_bytes, 0);
            match piece.next {
                Some(next) => place.bytes = next,
                None => break,
            }
        }
        assert_eq!(found, count);
    }
}
