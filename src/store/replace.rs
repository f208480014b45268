//! Replaces the sealed file and its previous generation, in an order that survives the process's death at any point.
//!
//! Only whoever holds the lock may call this.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, OFlags, Uid};

use super::error::StoreError;
use super::file::Names;
use super::seal::master;

/// A new generation: `previous` becomes the old one, then the file the new one. Both are on the disk before either name
/// moves, so a full disk or a kill changes nothing, and in between `previous` and the file are merely alike.
pub(super) fn keep_previous(names: &Names, old: &[u8], new: &[u8]) -> Result<(), StoreError> {
    let (new, old) = (Temporary::write(names, new)?, Temporary::write(names, old)?);
    old.rename(&names.previous)?;
    new.rename(&names.file)?;
    sync_folder(names)
}

/// A new generation that leaves nothing of the old one: first `previous` goes, for good, then the file is replaced, and
/// at last a copy of the new one takes `previous`'s place. Whenever the process dies, either the change did not happen
/// or no name leads to the old bytes; in between there is one generation beside none.
pub(super) fn forget_previous(names: &Names, new: &[u8]) -> Result<(), StoreError> {
    let (first, second) = (Temporary::write(names, new)?, Temporary::write(names, new)?);
    match fs::remove_file(&names.previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::writing("removing", &names.previous, error));
        }
        _ => sync(&names.folder).map_err(|error| StoreError::writing("syncing", &names.folder, error))?,
    }
    first.rename(&names.file)?;
    // The change stands from here on; that its copy is missing until the next change is no reason to call it refused.
    if let Err(error) = second.rename(&names.previous) {
        tracing::warn!(%error, "the sealed file has no previous generation until the next change");
    }
    sync_folder(names)
}

/// The renames are only safe from a power cut once their folder is on the disk.
pub(super) fn sync_folder(names: &Names) -> Result<(), StoreError> {
    sync(&names.folder).map_err(|source| StoreError::NotDurable { folder: names.folder.clone(), source })
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes what killed writers left. Under the lock no living one has any.
pub(super) fn sweep(names: &Names) {
    let prefix = prefix(names);
    let Ok(entries) = fs::read_dir(&names.folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            // One that stays only takes room, and the next writer tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn prefix(names: &Names) -> std::ffi::OsString {
    let mut prefix = names.file.file_name().unwrap_or_default().to_os_string();
    prefix.push(".new-");
    prefix
}

/// A file written whole and synced, under a name nobody reads; gone when dropped before it got its real one.
pub(super) struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    pub(super) fn write(names: &Names, image: &[u8]) -> Result<Self, StoreError> {
        let mut random = [0; 8];
        master::fill(&mut random)?;
        let mut name = prefix(names);
        name.push(format!("{:016x}", u64::from_be_bytes(random)));
        let path = names.folder.join(name);
        let failed = |error| StoreError::writing("writing", &names.file, error);
        let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).custom_flags(flags).open(&path);
        let mut file = file.map_err(failed)?;
        // From here on it is removed whatever fails.
        let temporary = Self { path, renamed: false };
        give_to_folders_owner(&file, names).map_err(failed)?;
        file.write_all(image).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(temporary)
    }

    pub(super) fn rename(mut self, to: &Path) -> Result<(), StoreError> {
        fs::rename(&self.path, to).map_err(|error| StoreError::writing("replacing", to, error))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // What cannot be removed now is swept by the next writer.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A command that root runs must not lock out the server, which runs as the folder's owner.
pub(super) fn give_to_folders_owner(file: &File, names: &Names) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (folder, own) = (fs::metadata(&names.folder)?, file.metadata()?);
    if (folder.uid(), folder.gid()) != (own.uid(), own.gid()) {
        rustix::fs::fchown(file, Some(Uid::from_raw(folder.uid())), Some(Gid::from_raw(folder.gid())))?;
    }
    Ok(())
}
