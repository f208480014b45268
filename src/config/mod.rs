//! As written → as meant: `gateway.toml` and the environment become one immutable value.
//!
//! Takes a file's path and a way to look up variables; gives a [`Config`], or every [`Problem`] at once. Reads the
//! files that settings name (secrets, certificates) and nothing else. Must never know who uses a setting, and keeps
//! nothing global: a reload is a second value, and [`differences`] says whether it may take the first one's place.

mod declared;
mod environment;
mod file;
mod problem;
mod read;
mod settings;
mod table;
mod value;

use std::cell::RefCell;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use toml::de::DeTable;
use zeroize::Zeroizing;

pub use problem::{Problem, Problems};
pub use settings::{
    Attempts, Breaker, Budgets, Cache, Data, Egress, Encryption, Http2, Journal, Ledger, Limits, Listen, Log,
    LogFormat, LogLevel, Metrics, Routing, Store, TlsFiles, Webhook,
};
pub use table::Setting;

use crate::domain::directory::Directory;
use crate::domain::time::Timestamp;
use table::{Found, Reader, Table};

/// Looks up an environment variable.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Longest `gateway.toml`: ten thousand models fit, and a device file by mistake does not fill the memory.
const FILE_MAX: u64 = 8 << 20;

/// Everything that is set, whole and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it comes from; `None` after a start from the environment alone.
    pub source: Option<PathBuf>,
    /// Twelve hexadecimal digits that differ where replicas are configured differently. Holds no variable's value.
    pub hash: String,
    /// What works, but should be looked at.
    pub warnings: Vec<Problem>,
    /// How long calls in progress may go on after SIGTERM.
    pub drain_timeout: Duration,
    pub listen: Listen,
    pub data: Data,
    pub store: Store,
    pub cache: Cache,
    pub encryption: Encryption,
    pub routing: Routing,
    pub attempts: Attempts,
    pub breaker: Breaker,
    pub limits: Limits,
    pub egress: Egress,
    pub journal: Journal,
    pub ledger: Ledger,
    pub budgets: Budgets,
    pub log: Log,
    pub metrics: Metrics,
    /// The entities that the file (or the environment) declares: read-only everywhere else.
    pub declared: Arc<Directory>,
}

impl Config {
    /// Reads a file. `KEYWAY_LISTEN` and the like override what it says.
    pub fn load(path: &Path, env: Env<'_>) -> Result<Self, Problems> {
        let (text, written_at) = read_file(path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut config = parse(path.display().to_string(), folder, &text, env, written_at)?;
        config.source = Some(path.to_path_buf());
        environment::override_settings(&mut config, env)?;
        Ok(config)
    }

    /// Reads a text that no file holds, called by a name in what is said about it.
    pub fn from_text(name: &str, text: &str, env: Env<'_>) -> Result<Self, Problems> {
        let mut config = parse(name.to_string(), PathBuf::new(), text, env, Timestamp::now())?;
        environment::override_settings(&mut config, env)?;
        Ok(config)
    }

    /// A start without a file: the presets' own variables, and one workspace.
    pub fn from_environment(env: Env<'_>) -> Result<Self, Problems> {
        environment::config(env, Timestamp::now())
    }
}

/// The file to read: the first of `--config`, `KEYWAY_CONFIG`, `./gateway.toml`, `/etc/keyway/gateway.toml`.
/// The first two count even if there is no such file: reading it then says so.
pub fn find_config(explicit: Option<&Path>, env: Env<'_>) -> Option<PathBuf> {
    let stated = explicit
        .map(Path::to_path_buf)
        .or_else(|| env("KEYWAY_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
    let usual =
        || ["./gateway.toml", "/etc/keyway/gateway.toml"].map(PathBuf::from).into_iter().find(|path| path.exists());
    stated.or_else(usual)
}

/// The settings that differ and can't change while we run: a reload that holds any is refused, naming them.
pub fn differences(old: &Config, new: &Config) -> Vec<&'static str> {
    let fixed = [
        ("[listen] data", old.listen.data != new.listen.data),
        ("[listen] admin", old.listen.admin != new.listen.admin),
        ("[listen] cores", old.listen.cores != new.listen.cores),
        ("[data] dir", old.data != new.data),
        ("[store]", old.store != new.store || old.cache != new.cache),
        ("[encryption] keys", old.encryption != new.encryption),
        ("[attempts] connect_timeout", old.attempts.connect_timeout != new.attempts.connect_timeout),
        ("[attempts] tls_timeout", old.attempts.tls_timeout != new.attempts.tls_timeout),
        ("[attempts] pool_idle", old.attempts.pool_idle != new.attempts.pool_idle),
        ("[attempts] pool_connections", old.attempts.pool_connections != new.attempts.pool_connections),
        ("[egress] ca", old.egress.ca != new.egress.ca),
        ("[journal] sync", old.journal.sync != new.journal.sync),
        ("[journal] wait", old.journal.wait != new.journal.wait),
        ("[journal] limit", old.journal.limit != new.journal.limit),
        ("[log] format", old.log.format != new.log.format),
    ];
    fixed.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Every setting this build knows, with its default. The example file and the docs are held against it.
pub fn settings() -> Vec<Setting> {
    let nothing = |_: &str| None;
    let found = Found { settings: Some(Vec::new()), ..Found::default() };
    let reader =
        Reader { name: String::new(), folder: PathBuf::new(), text: "", env: &nothing, found: RefCell::new(found) };
    let empty = DeTable::new();
    Table::root(&reader, &empty, |root| file::config(root, Timestamp(0)));
    reader.found.into_inner().settings.unwrap_or_default()
}

fn read_file(path: &Path) -> Result<(Zeroizing<String>, Timestamp), Problems> {
    let unreadable = |error: std::io::Error| Problem {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        what: format!("can't be read ({error})"),
        remedy: "name another file with --config or KEYWAY_CONFIG, or correct this one".into(),
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(unreadable)?;
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_MAX {
        return Err(unreadable(std::io::Error::other("it is larger than 8 MiB")).into());
    }
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((text, Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))))
}

fn parse(name: String, folder: PathBuf, text: &str, env: Env<'_>, now: Timestamp) -> Result<Config, Problems> {
    let reader = Reader { name, folder, text, env, found: RefCell::default() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.problem(at, error.message().to_string(), "correct the spelling of this line (see toml.io)".into());
    }
    // What a misspelt file seems to say may not be what it says: only the spelling is reported then.
    if !errors.is_empty() {
        Problems::none(reader.found.take().problems)?;
    }
    let config = Table::root(&reader, document.get_ref(), |root| file::config(root, now));
    let Found { problems, warnings, .. } = reader.found.take();
    Problems::none(problems)?;
    Ok(Config { hash: hash(text), warnings, ..config })
}

fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}
