//! A directory on its way from one store to another: text that anybody may carry, with each key sealed as it lies in its
//! store, and a seal over the whole.
//!
//! Reads and writes the text; knows neither the store it comes from nor the one it goes to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::audit::Head;
use super::seal::{Binding, Keyring, KeyringError, MasterKey, NoRandomness, Purpose, Salt, WrongKey};
use crate::domain::directory::Directory;
use crate::domain::entity::{Credential, KeyMaterial, SealedBytes};
use crate::domain::id::Id;

/// Grows when an older version could no longer read what is written.
const FORMAT: u16 = 1;

#[derive(Debug, thiserror::Error)]
pub enum NotAnExport {
    #[error("this is no export of Keyway's, or it was cut short: {0}")]
    Malformed(String),
    #[error(
        "this export has format {0}, and this version of Keyway reads up to {FORMAT}; use the version that wrote it"
    )]
    TooNew(u16),
    #[error("the export does not open with these encryption keys: {0}")]
    WrongKey(#[from] WrongKey),
    #[error("the export was altered since it was written; export again")]
    Altered,
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// As it is written.
#[derive(Serialize, Deserialize)]
pub struct Export {
    keyway_export: u16,
    /// With the salt the same passphrase is the same key again.
    salt: String,
    check: SealedBytes,
    /// The end of the audit log that stays behind.
    audit: Head,
    directory: Box<RawValue>,
    /// Of nothing, bound to all of the above: who alters it needs the key.
    seal: SealedBytes,
}

/// What came out of an export, its keys under the keyring of where it goes.
pub struct Unpacked {
    pub directory: Directory,
    /// These keys open with none of the given encryption keys; they are as they were.
    pub unopenable: Vec<Id<Credential>>,
}

impl Export {
    pub(super) fn of(directory: &Directory, audit: Head, keyring: &Keyring) -> Result<Self, NotAnExport> {
        let directory = serde_json::value::to_raw_value(directory).map_err(|error| malformed(&error))?;
        let (salt, check) = (STANDARD.encode(keyring.salt().0), keyring.check_value()?);
        let seal = keyring.seal(Purpose::Directory, &binding(&salt, audit, &directory), b"")?;
        Ok(Self { keyway_export: FORMAT, salt, check, audit, directory, seal })
    }

    pub fn parse(text: &[u8]) -> Result<Self, NotAnExport> {
        let export: Self = serde_json::from_slice(text).map_err(|error| malformed(&error))?;
        match export.keyway_export {
            0..=FORMAT => Ok(export),
            format => Err(NotAnExport::TooNew(format)),
        }
    }

    /// Slow where an encryption key is a passphrase.
    pub fn unpack(self, keys: &[MasterKey], into: &Keyring) -> Result<Unpacked, NotAnExport> {
        let salt = STANDARD.decode(&self.salt).ok().and_then(|salt| salt.try_into().ok());
        let keyring = Keyring::new(keys, Salt(salt.ok_or(NotAnExport::Altered)?))?;
        keyring.check(&self.check)?;
        let sealed_for = binding(&self.salt, self.audit, &self.directory);
        keyring.open(Purpose::Directory, &sealed_for, &self.seal).map_err(|_| NotAnExport::Altered)?;
        let mut directory: Directory = serde_json::from_str(self.directory.get()).map_err(|error| malformed(&error))?;
        let mut unopenable = Vec::new();
        let sealed = directory.credentials.iter_mut().filter(|one| matches!(one.key, KeyMaterial::Sealed(_)));
        for credential in sealed {
            match keyring.open_credential(credential) {
                Ok(key) => into.seal_credential(credential, key)?,
                Err(_) => unopenable.push(credential.id),
            }
        }
        Ok(Unpacked { directory, unopenable })
    }

    pub const fn audit_head(&self) -> Head {
        self.audit
    }
}

/// The parser's own message could repeat what stands there.
fn malformed(error: &serde_json::Error) -> NotAnExport {
    NotAnExport::Malformed(format!("line {}, column {}", error.line(), error.column()))
}

fn binding(salt: &str, audit: Head, directory: &RawValue) -> Binding {
    Binding::default()
        .with(b"export 1")
        .with(salt.as_bytes())
        .with(&audit.seq.to_be_bytes())
        .with(audit.link.to_string().as_bytes())
        .with(digest(&SHA256, directory.get().as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::store::seal::credential::tests::credential;
    use crate::store::seal::tests::master_key;

    fn keyring(keys: &[&str], salt: u8) -> Keyring {
        let keys: Vec<_> = keys.iter().map(|key| master_key(key)).collect();
        Keyring::new(&keys, Salt([salt; Salt::LENGTH])).unwrap()
    }

    fn written(keyring: &Keyring, sealed_by: &[&Keyring]) -> String {
        let mut directory = Directory::default();
        for keyring in sealed_by {
            let mut credential = credential();
            keyring.seal_credential(&mut credential, Secret::from("sk-abcdefgh1234".to_string())).unwrap();
            directory.credentials.push(credential);
        }
        serde_json::to_string(&Export::of(&directory, Head::START, keyring).unwrap()).unwrap()
    }

    #[test]
    fn keys_come_out_under_the_keyring_of_where_they_go_and_lost_ones_are_named() {
        let (from, gone, into) = (keyring(&["a"], 1), keyring(&["gone"], 1), keyring(&["b", "a"], 2));
        let text = written(&from, &[&from, &gone]);
        assert!(!text.contains("sk-abc"));
        let unpacked = Export::parse(text.as_bytes()).unwrap().unpack(&[master_key("a")], &into).unwrap();
        let [one, other] = &unpacked.directory.credentials[..] else { panic!("there were two") };
        assert_eq!(into.open_credential(one).unwrap().expose(), b"sk-abcdefgh1234");
        assert!(keyring(&["b"], 3).open_credential(one).is_ok(), "it is under the first key");
        assert_eq!(unpacked.unopenable, [other.id]);
    }

    #[test]
    fn an_export_that_was_altered_or_cut_or_has_another_key_is_refused() {
        let from = keyring(&["a"], 1);
        let text = written(&from, &[&from]);
        let unpack = |text: &str, key| Export::parse(text.as_bytes())?.unpack(&[master_key(key)], &from).map(drop);
        assert!(unpack(&text, "a").is_ok());
        assert!(matches!(unpack(&text, "b"), Err(NotAnExport::WrongKey(_))));
        assert!(matches!(unpack(&text[..text.len() - 9], "a"), Err(NotAnExport::Malformed(_))));
        for (from, to) in
            [("\"weight\":1", "\"weight\":2"), ("\"seq\":0", "\"seq\":1"), ("\"version\":0", "\"version\":0 ")]
        {
            assert!(text.contains(from));
            assert!(matches!(unpack(&text.replace(from, to), "a"), Err(NotAnExport::Altered)), "{from}");
        }
        assert!(matches!(unpack(&text.replace("_export\":1", "_export\":2"), "a"), Err(NotAnExport::TooNew(2))));
    }
}
