//! Opens what a configuration says we keep: the encryption keys, and the store under them.
//!
//! The server and every command go through here, so that they agree on where keys come from. It makes a key only where
//! nothing was ever sealed: a new key beside an old sealed file would only hide that the right one is missing.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::config::{self, Config, Env};
use crate::directory::{Access, Actor, DirectoryError, named, tokens};
use crate::domain::secret::Secret;
use crate::store::mirror::Mirror;
use crate::store::part::{Holder, Need, Page};
use crate::store::seal::{Keyring, KeyringError, MasterKey, NoRandomness, NotAMasterKey, Salt};
use crate::store::{Store, StoreError};

/// The key's name, in the data folder and among a supervisor's credentials.
pub const KEY_FILE: &str = "keyway.key";
const SEALED_FILE: &str = "directory.sealed";
const MIRROR: &str = "mirror.sqlite";
/// Where systemd puts the credentials that it hands to a service.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// Longest key file: a passphrase has at most 1,024 characters.
const KEY_FILE_MAX: u64 = 4_096;
/// What could not be done with a key file; only this one can mean that the place is not for writing.
const WRITTEN: &str = "written";

/// A store that is open, and what should be said about it.
pub struct Opened {
    pub store: Store,
    pub kept: Kept,
    pub warnings: Vec<String>,
}

/// Where the directory lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    SealedFile(PathBuf),
    /// In the database that [store] url names.
    Postgres,
    /// Nowhere: it goes with the process.
    Memory,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{source} (from {place})")]
    Key { place: String, source: NotAMasterKey },
    #[error("the encryption key {} can't be {doing}: {source}", path.display())]
    KeyFile { path: PathBuf, doing: &'static str, source: io::Error },
    #[error(
        "there is a sealed file {} but no encryption key; set [encryption] keys or KEYWAY_ENCRYPTION_KEYS to the one \
         that sealed it, or put it back at {}", sealed.display(), key.display()
    )]
    KeyGone { sealed: PathBuf, key: PathBuf },
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A master key as text, and where it was found.
pub struct Found {
    pub place: String,
    text: Arc<Secret>,
}

impl Found {
    pub fn parse(&self) -> Result<MasterKey, OpenError> {
        MasterKey::parse(&self.text).map_err(|source| OpenError::Key { place: self.place.clone(), source })
    }
}

/// The sealed file of a configuration, whether or not it is there yet.
pub fn sealed_file(config: &Config) -> PathBuf {
    // Put together anew, so that `./` in two settings does not show up as `././`.
    config.data.dir.join(SEALED_FILE).components().collect()
}

/// What this machine remembers of a database.
pub fn mirror(config: &Config) -> PathBuf {
    config.data.dir.join(MIRROR)
}

/// Opens the store to serve from it: a database that is away is no hindrance if the mirror remembers enough of it.
pub async fn open_to_serve(config: &Config) -> Result<Opened, OpenError> {
    let config::Store::Postgres(url) = &config.store else { return open(config).await };
    let error = match open_database(config, url).await {
        Err(OpenError::Store(error @ StoreError::Away { .. })) => error,
        opened => return opened,
    };
    let (mut warnings, keys) = stated_keys(config)?;
    match Mirror::keyring(&mirror(config), &keys).await {
        Ok(Some(keyring)) => {
            warnings.push(error.to_string());
            Ok(Opened { store: Store::postgres_apart(url, keyring)?, kept: Kept::Postgres, warnings })
        }
        Ok(None) => Err(error.into()),
        Err(unusable) => {
            tracing::warn!("{unusable}");
            Err(error.into())
        }
    }
}

/// Opens the store, and makes what is missing: folder, key, empty directory.
pub async fn open(config: &Config) -> Result<Opened, OpenError> {
    if let config::Store::Postgres(url) = &config.store {
        return open_database(config, url).await;
    }
    match open_file(config).await {
        Err(error) if config.source.is_none() && is_unwritable(&error) => in_memory(config, &error),
        result => result,
    }
}

/// Opens the store if there is one, and makes nothing: for commands that only look.
pub async fn look(config: &Config) -> Result<Opened, OpenError> {
    if let config::Store::Postgres(url) = &config.store {
        let (mut warnings, keys) = stated_keys(config)?;
        if let Some(store) = Store::existing_postgres(url, keys).await? {
            return Ok(Opened { store, kept: Kept::Postgres, warnings });
        }
        warnings.push("the database holds no directory yet; the first start or change makes it".to_string());
        let (_, keys) = stated_keys(config)?;
        return Ok(Opened { store: memory(keys)?, kept: Kept::Memory, warnings });
    }
    match sealed_file(config).exists() {
        true => open_file(config).await,
        false => {
            let (warnings, keys) = stated_keys(config)?;
            Ok(Opened { store: memory(keys)?, kept: Kept::Memory, warnings })
        }
    }
}

/// The keys that are there, and what should be said about them.
fn stated_keys(config: &Config) -> Result<(Vec<String>, Vec<MasterKey>), OpenError> {
    let mut warnings = Vec::new();
    let keys = found(config, &mut warnings)?.iter().map(Found::parse).collect::<Result<_, _>>()?;
    Ok((warnings, keys))
}

/// Many processes share a database, so none of them makes up a key for it.
async fn open_database(config: &Config, url: &Arc<Secret>) -> Result<Opened, OpenError> {
    let (warnings, keys) = stated_keys(config)?;
    let store = Store::postgres(url, keys).await?;
    Ok(Opened { store, kept: Kept::Postgres, warnings })
}

async fn open_file(config: &Config) -> Result<Opened, OpenError> {
    let mut warnings = Vec::new();
    let mut keys = found(config, &mut warnings)?;
    if keys.is_empty() {
        keys.push(generated(config, &mut warnings)?);
    }
    let keys = keys.iter().map(Found::parse).collect::<Result<_, _>>()?;
    let path = sealed_file(config);
    let store = Store::sealed_file(path.clone(), keys).await?;
    Ok(Opened { store, kept: Kept::SealedFile(path), warnings })
}

/// The keys in the order in which they are tried: stated ones, else the supervisor's, else the data folder's.
pub fn found(config: &Config, warnings: &mut Vec<String>) -> Result<Vec<Found>, OpenError> {
    found_in(config, &|name| std::env::var(name).ok(), warnings)
}

fn found_in(config: &Config, env: Env<'_>, warnings: &mut Vec<String>) -> Result<Vec<Found>, OpenError> {
    if !config.encryption.keys.is_empty() {
        let numbered = config.encryption.keys.iter().zip(1..);
        let stated = |(text, number): (&Arc<Secret>, usize)| Found {
            place: format!("no. {number} of the encryption keys that are set"),
            text: text.clone(),
        };
        return Ok(numbered.map(stated).collect());
    }
    let handed = env(CREDENTIALS_DIRECTORY).map(|folder| Path::new(&folder).join(KEY_FILE));
    let places = handed.into_iter().chain([config.data.dir.join(KEY_FILE)]);
    for path in places {
        if let Some(found) = read(&path, warnings)? {
            return Ok(vec![found]);
        }
    }
    Ok(Vec::new())
}

/// The key in a file, if the file is there.
fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Option<Found>, OpenError> {
    let failed = |source| OpenError::KeyFile { path: path.to_path_buf(), doing: "read", source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if metadata.mode() & 0o077 != 0 {
        warnings.push(format!("others may read the encryption key {0}; run `chmod 600 {0}`", path.display()));
    }
    // Room for all of it at once, so that growing leaves no copy behind.
    let mut text = Vec::with_capacity(usize::try_from(KEY_FILE_MAX).unwrap_or_default() + 1);
    file.take(KEY_FILE_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > KEY_FILE_MAX {
        return Err(failed(io::Error::other(format!("it is longer than {KEY_FILE_MAX} bytes, so it is no key"))));
    }
    Ok(Some(Found { place: path.display().to_string(), text: Arc::new(Secret::new(text)) }))
}

/// A new key in the data folder, where nothing was sealed yet.
fn generated(config: &Config, warnings: &mut Vec<String>) -> Result<Found, OpenError> {
    let (sealed, key) = (sealed_file(config), config.data.dir.join(KEY_FILE));
    if sealed.exists() {
        // Unless another process has made both since we looked.
        return read(&key, warnings)?.ok_or(OpenError::KeyGone { sealed, key });
    }
    match write_new_key(&key) {
        Ok(()) => warnings.push(format!(
            "a new encryption key was written to {}; keep a copy elsewhere, for nothing opens without it",
            key.display()
        )),
        // Another process was faster: its key is the one.
        Err(OpenError::KeyFile { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    read(&key, warnings)?.ok_or(OpenError::KeyGone { sealed, key })
}

/// Writes a new random key that only its owner can read. A file that is there is never touched, and nobody ever sees a
/// half-written one.
pub fn write_new_key(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::KeyFile { path: path.to_path_buf(), doing: WRITTEN, source };
    let text = MasterKey::generate()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let temporary = folder.join(format!("{KEY_FILE}.new-{}", Uuid::new_v4().simple()));
    let written = write_private(&temporary, &text).and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    written.and(removed).and_then(|()| fs::File::open(folder)?.sync_all()).map_err(failed)
}

fn write_private(path: &Path, text: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.expose())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Is this a place where nothing can be made? What is there and can't be read is another matter.
fn is_unwritable(error: &OpenError) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    let source = match error {
        OpenError::KeyFile { source, doing: WRITTEN, .. } => source,
        OpenError::Store(StoreError::Unwritable { source, .. }) => source,
        _ => return false,
    };
    matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem | NotADirectory | NotFound)
}

/// For a start from the environment alone in a place where nothing can be written.
fn in_memory(config: &Config, error: &OpenError) -> Result<Opened, OpenError> {
    let mut warnings = Vec::new();
    let keys = config.encryption.keys.iter().map(|text| Found { place: "the environment".into(), text: text.clone() });
    let keys = keys.map(|found| found.parse()).collect::<Result<Vec<_>, _>>()?;
    warnings.push(format!(
        "nothing can be kept, so credentials and tokens go with this process ({error}); \
         set KEYWAY_DATA to a folder that can be written to"
    ));
    Ok(Opened { store: memory(keys)?, kept: Kept::Memory, warnings })
}

fn memory(mut keys: Vec<MasterKey>) -> Result<Store, OpenError> {
    if keys.is_empty() {
        let text = MasterKey::generate()?;
        keys.push(Found { place: "a random key".into(), text: Arc::new(text) }.parse()?);
    }
    Ok(Store::memory(Keyring::new(&keys, Salt::random()?)?))
}

/// The token of a start without a file, made once: `None` where there is no workspace that could have one, or where the
/// workspace has tokens already.
pub async fn first_token(opened: &Opened, config: &Config) -> Result<Option<Secret>, DirectoryError> {
    let access = Access {
        store: opened.store.clone(),
        declared: config.declared.clone(),
        egress: Arc::new(config.egress.rules.clone()),
        actor: Actor::operator("first start"),
    };
    let stored = access.load(named::some_workspaces()).await?;
    let Some(workspace) = access.known(&stored).workspaces().next().map(|workspace| workspace.id) else {
        return Ok(None);
    };
    let any = access.load(Need::Tokens(Holder::Workspace(workspace), Page::first(1))).await?;
    if !any.tokens.is_empty() {
        return Ok(None);
    }
    let new = tokens::NewToken { label: "first start".into(), ..tokens::NewToken::of(workspace) };
    Ok(Some(tokens::create(&access, new).await?.text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn config(folder: &Path) -> Config {
        let mut config = Config::from_environment(&nothing).unwrap();
        config.data.dir = folder.join("data");
        config.source = Some(folder.join("gateway.toml"));
        config
    }

    #[tokio::test]
    async fn the_first_start_makes_a_key_that_later_starts_find() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let first = open(&config).await.unwrap();
        assert!(first.warnings[0].contains("new encryption key"), "{:?}", first.warnings);
        let key = config.data.dir.join(KEY_FILE);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(first_token(&first, &config).await.unwrap().is_some());
        let second = open(&config).await.unwrap();
        assert!(second.warnings.is_empty());
        assert!(first_token(&second, &config).await.unwrap().is_none());
        fs::remove_file(&key).unwrap();
        assert!(matches!(open(&config).await, Err(OpenError::KeyGone { .. })));
        assert!(!key.exists(), "a new key would only hide that the right one is gone");
    }

    #[tokio::test]
    async fn looking_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        assert_eq!(look(&config).await.unwrap().kept, Kept::Memory);
        assert!(!config.data.dir.exists());
    }

    #[tokio::test]
    async fn a_supervisor_s_credential_is_found_before_the_data_folder_s() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        write_new_key(&folder.path().join("handed").join(KEY_FILE)).unwrap();
        write_new_key(&config.data.dir.join(KEY_FILE)).unwrap();
        let handed = folder.path().join("handed").display().to_string();
        let env = |name: &str| (name == CREDENTIALS_DIRECTORY).then(|| handed.clone());
        let found = found_in(&config, &env, &mut Vec::new()).unwrap();
        assert!(found.len() == 1 && found[0].place.contains("handed"));
        let again = write_new_key(&config.data.dir.join(KEY_FILE));
        assert!(matches!(again, Err(OpenError::KeyFile { .. })), "a key is never overwritten");
    }

    #[tokio::test]
    async fn without_a_file_and_without_a_writable_place_it_stays_in_memory_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        // Not even root can make a folder in /proc.
        config.data.dir = PathBuf::from("/proc/keyway-data");
        assert!(open(&config).await.is_err(), "a file that names a folder means it");
        config.source = None;
        let opened = open(&config).await.unwrap();
        assert!(opened.kept == Kept::Memory && opened.warnings[0].contains("KEYWAY_DATA"));
    }

    #[test]
    fn keys_left_out_and_readable_by_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let key = config.data.dir.join(KEY_FILE);
        write_new_key(&key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let mut warnings = Vec::new();
        found(&config, &mut warnings).unwrap();
        assert!(warnings[0].contains("chmod 600"), "{warnings:?}");
    }
}
