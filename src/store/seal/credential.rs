//! Credentials: sealed one by one, each to the row, owner, provider and host it was entered for.

use super::{Binding, Keyring, NoRandomness, Parts, Purpose, Unopenable};
use crate::domain::address::Address;
use crate::domain::entity::{Credential, KeyMaterial, Owner};
use crate::domain::id::Id;
use crate::domain::secret::Secret;

impl Binding {
    /// Owner, provider, row, and the scheme and host the key was entered for.
    pub fn credential(credential: &Credential) -> Self {
        let (scope, owner) = match credential.owner {
            Owner::Platform => ("platform", uuid::Uuid::nil()),
            Owner::Workspace(id) => ("workspace", id.uuid()),
            Owner::User(id) => ("user", id.uuid()),
        };
        Self::default()
            .with(scope.as_bytes())
            .with(owner.as_bytes())
            .with(credential.provider.uuid().as_bytes())
            .with(credential.id.uuid().as_bytes())
            .with(credential.entered_for.as_bytes())
    }
}

impl Keyring {
    /// Puts a new key into a credential. Owner, provider, id and `entered_for` must be set before: it is bound to them.
    pub fn seal_credential(&self, credential: &mut Credential, key: Secret) -> Result<(), NoRandomness> {
        let sealed = self.seal(Purpose::Credential, &Binding::credential(credential), key.expose())?;
        credential.key = KeyMaterial::Sealed(sealed);
        credential.last4 = key.last4();
        Ok(())
    }

    /// A copy of the key, for one dispatch; a declared one is handed out as it is.
    pub fn open_credential(&self, credential: &Credential) -> Result<Secret, Unopenable> {
        match &credential.key {
            KeyMaterial::None => Err(Unopenable::NoKey),
            KeyMaterial::Declared(key) => Ok(Secret::new(key.expose().to_vec())),
            KeyMaterial::Sealed(sealed) => self.open(Purpose::Credential, &Binding::credential(credential), sealed),
        }
    }

    /// Seals a key anew for another address, at its holder's word. One that does not open stays where it was.
    pub fn readdress_credential(&self, credential: &mut Credential, address: &Address) -> Result<(), NotMoved> {
        let mut moved = Credential { entered_for: address.to_string(), ..credential.clone() };
        if matches!(credential.key, KeyMaterial::Sealed(_)) {
            let key = self.open_credential(credential)?;
            self.seal_credential(&mut moved, key)?;
        }
        *credential = moved;
        Ok(())
    }

    /// Re-seals what an older key sealed. What does not open stays as it is and is counted, never dropped.
    pub fn reseal_credentials<'a>(
        &self,
        credentials: impl IntoIterator<Item = &'a mut Credential>,
    ) -> Result<Resealing, NoRandomness> {
        let mut count = Resealing::default();
        for credential in credentials {
            match self.seal_on(credential) {
                SealedWith::Nothing => {}
                SealedWith::Current => count.current += 1,
                SealedWith::Older(key) => {
                    let binding = Binding::credential(credential);
                    credential.key = KeyMaterial::Sealed(self.seal(Purpose::Credential, &binding, key.expose())?);
                    count.resealed += 1;
                }
                SealedWith::Unknown => count.unopenable.push(credential.id),
            }
        }
        Ok(count)
    }

    /// What a rotation would find.
    pub fn count_credentials<'a>(&self, credentials: impl IntoIterator<Item = &'a Credential>) -> Resealing {
        let mut count = Resealing::default();
        for credential in credentials {
            match self.seal_on(credential) {
                SealedWith::Nothing => {}
                SealedWith::Current => count.current += 1,
                SealedWith::Older(_) => count.resealed += 1,
                SealedWith::Unknown => count.unopenable.push(credential.id),
            }
        }
        count
    }

    /// The hint of a sealed value may lie: only a key that opens it is the key it is under.
    fn seal_on(&self, credential: &Credential) -> SealedWith {
        let KeyMaterial::Sealed(sealed) = &credential.key else { return SealedWith::Nothing };
        let binding = Binding::credential(credential);
        let parts = Parts::read(&sealed.0);
        if parts.is_ok_and(|parts| self.keys[0].open(Purpose::Credential, &binding, &parts).is_some()) {
            return SealedWith::Current;
        }
        self.open(Purpose::Credential, &binding, sealed).map_or(SealedWith::Unknown, SealedWith::Older)
    }

    /// Is the key that a credential says it was sealed with gone? Asks no more than what is written on it, so a list can.
    pub fn has_lost_the_key_of(&self, credential: &Credential) -> bool {
        match &credential.key {
            KeyMaterial::None | KeyMaterial::Declared(_) => false,
            KeyMaterial::Sealed(sealed) => {
                Parts::read(&sealed.0).map_or(true, |parts| self.keys.iter().all(|key| key.id != parts.key))
            }
        }
    }
}

/// The key that a credential's key is under.
enum SealedWith {
    Nothing,
    Current,
    Older(Secret),
    Unknown,
}

/// Why a key can't be sealed anew for another address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotMoved {
    #[error(transparent)]
    Unopenable(#[from] Unopenable),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// What a rotation found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealing {
    /// Already under the first key.
    pub current: usize,
    pub resealed: usize,
    pub unopenable: Vec<Id<Credential>>,
}

impl Resealing {
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.current += more.current;
        self.resealed += more.resealed;
        self.unopenable.extend(more.unopenable);
        self
    }
}

#[cfg(test)]
pub(in crate::store) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::entity::{Grant, Overrides};
    use crate::domain::time::Timestamp;
    use crate::store::seal::tests::keyring;
    use crate::store::seal::{KeyId, OVERHEAD};

    pub(crate) fn credential() -> Credential {
        Credential {
            id: Id::random(),
            number: Some(1),
            owner: Owner::Workspace(Id::random()),
            provider: Id::random(),
            key: KeyMaterial::None,
            entered_for: "https://api.openai.com".into(),
            last4: String::new(),
            label: String::new(),
            active: true,
            weight: 1,
            max_parallel: None,
            overrides: Overrides::default(),
            grant: Grant::All,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            deleted_at: None,
            declared: false,
        }
    }

    fn sealed_by(keyring: &Keyring) -> Credential {
        let mut credential = credential();
        keyring.seal_credential(&mut credential, Secret::from("sk-abcdefgh1234".to_string())).unwrap();
        credential
    }

    fn bytes(credential: &mut Credential) -> &mut Vec<u8> {
        match &mut credential.key {
            KeyMaterial::Sealed(sealed) => &mut sealed.0,
            _ => panic!("the credential is not sealed"),
        }
    }

    #[test]
    fn a_sealed_key_opens_where_it_was_entered_and_shows_only_its_end() {
        let keyring = keyring(&["a"]);
        let mut credential = sealed_by(&keyring);
        assert_eq!(credential.last4, "1234");
        assert_eq!(keyring.open_credential(&credential).unwrap().expose(), b"sk-abcdefgh1234");
        assert_eq!(bytes(&mut credential).len(), 15 + OVERHEAD);
    }

    #[test]
    fn a_sealed_key_moved_to_another_row_owner_provider_or_host_does_not_open() {
        let keyring = keyring(&["a"]);
        let mut credential = sealed_by(&keyring);
        let owner = credential.owner;
        let moves: [fn(&mut Credential); 6] = [
            |c| c.id = Id::random(),
            |c| c.owner = Owner::Workspace(Id::random()),
            |c| c.owner = Owner::Platform,
            |c| c.provider = Id::random(),
            |c| c.entered_for = "http://api.openai.com".into(),
            |c| c.entered_for = "https://api.evil.com".into(),
        ];
        for elsewhere in moves {
            let mut moved = credential.clone();
            elsewhere(&mut moved);
            assert_eq!(keyring.open_credential(&moved).unwrap_err(), Unopenable::Altered);
        }
        // The same id as another kind of owner is another owner too.
        let Owner::Workspace(id) = owner else { panic!("the test's credential is a workspace's") };
        credential.owner = Owner::User(Id::from_uuid(id.uuid()));
        assert_eq!(keyring.open_credential(&credential).unwrap_err(), Unopenable::Altered);
    }

    #[test]
    fn a_readdressed_key_opens_at_its_new_address_and_one_that_does_not_open_stays() {
        let (ours, others) = (keyring(&["a"]), keyring(&["b"]));
        let mut credential = sealed_by(&ours);
        let elsewhere = Address { tls: true, host: "eu.api.openai.com".into(), port: 443 };
        let before = credential.entered_for.clone();
        assert!(matches!(others.readdress_credential(&mut credential, &elsewhere), Err(NotMoved::Unopenable(_))));
        assert_eq!(credential.entered_for, before);
        ours.readdress_credential(&mut credential, &elsewhere).unwrap();
        assert!(credential.is_for(&elsewhere));
        assert_eq!(ours.open_credential(&credential).unwrap().expose(), b"sk-abcdefgh1234");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_sealed_key_is_noticed() {
        let keyring = keyring(&["a"]);
        let credential = sealed_by(&keyring);
        let length = bytes(&mut credential.clone()).len();
        for bit in 0..length * 8 {
            let mut flipped = credential.clone();
            bytes(&mut flipped)[bit / 8] ^= 1 << (bit % 8);
            // The key id is a hint: a flipped one costs tries, and the value still opens as what it is.
            let hint = (1..=KeyId::LENGTH).contains(&(bit / 8));
            assert_eq!(keyring.open_credential(&flipped).is_ok(), hint, "bit {bit}");
        }
        for cut in 0..length {
            let mut short = credential.clone();
            bytes(&mut short).truncate(cut);
            assert!(keyring.open_credential(&short).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_rotation_seals_with_the_new_key_opens_with_both_and_counts_what_is_lost() {
        let (old, both, new) = (keyring(&["old"]), keyring(&["new", "old"]), keyring(&["new"]));
        let mut all = vec![sealed_by(&old), sealed_by(&both), sealed_by(&keyring(&["gone"])), credential()];
        assert!(both.open_credential(&all[0]).is_ok());
        assert_eq!(new.open_credential(&all[0]).unwrap_err(), Unopenable::UnknownKey(old.current()));
        let lost = |keyring: &Keyring| all.iter().map(|one| keyring.has_lost_the_key_of(one)).collect::<Vec<_>>();
        assert_eq!((lost(&both), lost(&new)), (vec![false, false, true, false], vec![true, false, true, false]));

        let found = Resealing { current: 1, resealed: 1, unopenable: vec![all[2].id] };
        assert_eq!(both.count_credentials(&all), found);
        assert_eq!(both.reseal_credentials(&mut all).unwrap(), found);
        assert!(new.open_credential(&all[0]).is_ok());
        assert!(new.open_credential(&all[1]).is_ok());
        assert_eq!(both.reseal_credentials(&mut all).unwrap().current, 2);
    }

    #[test]
    fn a_declared_key_is_handed_out_as_a_copy_and_an_absent_one_is_named() {
        let (keyring, mut credential) = (keyring(&["a"]), credential());
        assert_eq!(keyring.open_credential(&credential).unwrap_err(), Unopenable::NoKey);
        credential.key = KeyMaterial::Declared(Arc::new(Secret::from("sk-declared".to_string())));
        assert_eq!(keyring.open_credential(&credential).unwrap().expose(), b"sk-declared");
    }
}
