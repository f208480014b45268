//! What every store holds, and how a change is made to it: the rules that do not depend on where it lies.
//!
//! Pure: contents, act, rule and moment in; the next contents out. Knows no file and no lock.

use serde::{Deserialize, Serialize};

use super::audit::{Act, AuditLog};
use super::error::{ChangeError, StoreError};
use super::seal::Keyring;
use crate::domain::directory::Directory;
use crate::domain::time::Timestamp;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Contents {
    pub(super) directory: Directory,
    pub(super) audit: AuditLog,
}

impl Contents {
    /// One transaction: the rule, the version, the audit record; all or nothing.
    pub(super) fn change<T, E>(
        mut self,
        act: &Act,
        at: Timestamp,
        keyring: &Keyring,
        rule: impl FnOnce(&mut Directory) -> Result<T, ChangeError<E>>,
    ) -> Result<(Self, T), ChangeError<E>> {
        let (version, last_number) = (self.directory.version, self.directory.last_number);
        let value = rule(&mut self.directory)?;
        if holds_declared(&self.directory) {
            return Err(StoreError::Declared.into());
        }
        // A rule may put a whole imported directory here; versions still only grow, and numbers are never given twice.
        self.directory.version = version + 1;
        self.directory.last_number = self.directory.last_number.max(last_number);
        self.audit.append(act, at, version + 1, keyring);
        Ok((self, value))
    }
}

/// `declared` is not written down, so a declared entity would come back as one that people may change.
pub(super) fn holds_declared(directory: &Directory) -> bool {
    directory.orgs.iter().any(|org| org.declared)
        || directory.workspaces.iter().any(|workspace| workspace.declared)
        || directory.providers.iter().any(|provider| provider.declared)
        || directory.models.iter().any(|model| model.declared)
        || directory.credentials.iter().any(|credential| credential.declared)
        || directory.routes.iter().any(|route| route.declared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seal::credential::tests::credential;
    use crate::store::seal::tests::keyring;

    fn change<T>(
        contents: Contents,
        rule: impl FnOnce(&mut Directory) -> Result<T, &'static str>,
    ) -> Result<(Contents, T), ChangeError<&'static str>> {
        let rule = |directory: &mut Directory| rule(directory).map_err(ChangeError::Refused);
        contents.change(&Act::new("cli:root", "change", "all"), Timestamp(1), &keyring(&["a"]), rule)
    }

    #[test]
    fn a_change_moves_the_version_by_one_and_leaves_a_record() {
        let (contents, number) = change(Contents::default(), |directory| Ok(directory.number())).unwrap();
        assert_eq!((number, contents.directory.version), (1, 1));
        assert_eq!(contents.audit.newest().unwrap().version, 1);
    }

    #[test]
    fn a_refused_change_gives_the_rules_own_reason() {
        assert!(matches!(change::<()>(Contents::default(), |_| Err("no")), Err(ChangeError::Refused("no"))));
    }

    #[test]
    fn an_import_cannot_turn_versions_or_numbers_back() {
        let (mut contents, ()) = change(Contents::default(), |_| Ok(())).unwrap();
        contents.directory.last_number = 7;
        let (contents, ()) = change(contents, |directory| {
            *directory = Directory::default();
            Ok(())
        })
        .unwrap();
        assert_eq!((contents.directory.version, contents.directory.last_number), (2, 7));
    }

    #[test]
    fn a_declared_entity_is_never_stored() {
        let result = change(Contents::default(), |directory| {
            directory.credentials.push(crate::domain::entity::Credential { declared: true, ..credential() });
            Ok(())
        });
        assert!(matches!(result, Err(ChangeError::Store(StoreError::Declared))));
    }
}
