//! What breakers are kept for, and which of them an attempt's end speaks of.
//!
//! Pure values. It knows no time and no state.

use crate::domain::address::Address;
use crate::domain::entity::{SavedCredential, Workspace};
use crate::domain::failure::{Blame, Failure};
use crate::domain::id::Id;

/// What one attempt at one target may trip. Borrowed: asking a healthy target costs no allocation.
#[derive(Clone, Copy, Debug)]
pub struct TargetKeys<'a> {
    pub workspace: Id<Workspace>,
    /// The address really called.
    pub address: &'a Address,
    /// `None` for a model id that is not registered: what a client makes up counts against no model.
    pub model: Option<&'a str>,
    /// `None` where the kind needs no key.
    pub credential: Option<SavedCredential>,
}

impl<'a> TargetKeys<'a> {
    pub(super) fn subjects(&self) -> [Option<Subject<'a>>; 4] {
        [
            Some(Subject::Address(self.address)),
            self.model.map(|model| Subject::AddressAndModel(self.address, model)),
            self.credential.map(Subject::Credential),
            self.credential.map(|credential| Subject::CredentialAndModel(credential, self.model)),
        ]
    }
}

/// One of the four things a breaker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject<'a> {
    Address(&'a Address),
    AddressAndModel(&'a Address, &'a str),
    Credential(SavedCredential),
    /// Without a model: all that are not registered, together.
    CredentialAndModel(SavedCredential, Option<&'a str>),
}

/// The same, owned: made only when something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Address(Address),
    AddressAndModel(Address, Box<str>),
    Credential(SavedCredential),
    CredentialAndModel(SavedCredential, Option<Box<str>>),
}

impl Key {
    pub(super) fn subject(&self) -> Subject<'_> {
        match self {
            Self::Address(address) => Subject::Address(address),
            Self::AddressAndModel(address, model) => Subject::AddressAndModel(address, model),
            Self::Credential(credential) => Subject::Credential(*credential),
            Self::CredentialAndModel(credential, model) => Subject::CredentialAndModel(*credential, model.as_deref()),
        }
    }

    /// The name in metrics and health displays: one of four.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::AddressAndModel(..) => "address_model",
            Self::Credential(_) => "credential",
            Self::CredentialAndModel(..) => "credential_model",
        }
    }
}

/// What an attempt's end says of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Bad,
    Nothing,
}

impl Subject<'_> {
    pub(super) fn to_key(self) -> Key {
        match self {
            Self::Address(address) => Key::Address(address.clone()),
            Self::AddressAndModel(address, model) => Key::AddressAndModel(address.clone(), model.into()),
            Self::Credential(credential) => Key::Credential(credential),
            Self::CredentialAndModel(credential, model) => Key::CredentialAndModel(credential, model.map(Into::into)),
        }
    }

    pub(super) fn verdict(self, failure: &Failure) -> Verdict {
        let blamed = match (self, failure.blame()) {
            // A rate that is said to end at a moment is a hold, not a failure; nor does an unregistered model count.
            (Self::CredentialAndModel(_, model), Blame::CredentialAndModel) => {
                model.is_some() && !matches!(failure, Failure::RateLimited { retry_after: Some(_) })
            }
            (Self::Address(_), Blame::Address)
            | (Self::AddressAndModel(..), Blame::AddressAndModel)
            | (Self::Credential(_), Blame::Credential) => true,
            _ => false,
        };
        match blamed {
            true => Verdict::Bad,
            false if self.is_proven_by(failure) => Verdict::Good,
            false => Verdict::Nothing,
        }
    }

    /// Only a success proves a credential; an address is proven by any answer, a model by a refusal of this very call.
    fn is_proven_by(self, failure: &Failure) -> bool {
        let refused = matches!(failure, Failure::CallRejected(_) | Failure::ContextTooLong);
        match self {
            Self::Address(_) => {
                let answered =
                    matches!(failure.blame(), Blame::AddressAndModel | Blame::Credential | Blame::CredentialAndModel);
                refused || answered || matches!(failure, Failure::ModelUnknown)
            }
            Self::AddressAndModel(..) => refused,
            Self::Credential(_) | Self::CredentialAndModel(..) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::time::Timestamp;

    fn credential() -> SavedCredential {
        SavedCredential { id: Id::declared("credential", "c"), at: Timestamp(1) }
    }

    fn verdicts(failure: Failure) -> [Verdict; 4] {
        let address = Address { tls: true, host: "api.example".into(), port: 443 };
        let keys =
            TargetKeys { workspace: Id::random(), address: &address, model: Some("m"), credential: Some(credential()) };
        keys.subjects().map(|subject| subject.unwrap().verdict(&failure))
    }

    #[test]
    fn each_failure_speaks_of_the_one_it_blames_and_of_what_it_proves_to_work() {
        use Verdict::{Bad, Good, Nothing};
        assert_eq!(verdicts(Failure::ConnectTimedOut), [Bad, Nothing, Nothing, Nothing]);
        assert_eq!(verdicts(Failure::Overloaded(503)), [Good, Bad, Nothing, Nothing]);
        assert_eq!(verdicts(Failure::CredentialRefused { status: 403 }), [Good, Nothing, Bad, Nothing]);
        assert_eq!(verdicts(Failure::RateLimited { retry_after: None }), [Good, Nothing, Nothing, Bad]);
        let hold = Failure::RateLimited { retry_after: Some(Duration::from_secs(1)) };
        assert_eq!(verdicts(hold), [Good, Nothing, Nothing, Nothing]);
        assert_eq!(verdicts(Failure::CallRejected(400)), [Good, Good, Nothing, Nothing]);
        assert_eq!(verdicts(Failure::ModelUnknown), [Good, Nothing, Nothing, Nothing]);
        for nobodys in [Failure::ClientTimedOut, Failure::Internal("x"), Failure::Busy] {
            assert_eq!(verdicts(nobodys), [Nothing; 4]);
        }
    }

    #[test]
    fn a_model_that_is_not_registered_is_never_blamed() {
        let address = Address { tls: true, host: "api.example".into(), port: 443 };
        let keys =
            TargetKeys { workspace: Id::random(), address: &address, model: None, credential: Some(credential()) };
        for failure in [Failure::Overloaded(500), Failure::RateLimited { retry_after: None }] {
            let blamed = |subject: Subject<'_>| subject.verdict(&failure) == Verdict::Bad;
            assert!(!keys.subjects().into_iter().flatten().any(blamed));
        }
    }

    #[test]
    fn an_owned_key_equals_the_subject_it_was_made_of() {
        let address = Address { tls: true, host: "api.example".into(), port: 443 };
        let subject = Subject::AddressAndModel(&address, "m");
        assert_eq!(subject.to_key().subject(), subject);
    }
}
