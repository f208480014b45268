//! The whole directory as one value: what the sealed file holds, and what `gateway.toml` adds to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::entity::{Credential, Identity, Model, Org, Provider, Route, Token, User, Workspace};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Directory {
    /// Grows with every change; replicas and caches compare it.
    pub version: u64,
    /// The last small number given to a provider, model, route or credential. Numbers are never reused.
    pub last_number: u32,
    pub orgs: Vec<Org>,
    pub workspaces: Vec<Workspace>,
    pub users: Vec<User>,
    pub tokens: Vec<Token>,
    pub providers: Vec<Provider>,
    pub models: Vec<Model>,
    pub credentials: Vec<Credential>,
    pub routes: Vec<Route>,
    pub identities: Vec<Identity>,
}

impl Directory {
    /// The next small number.
    pub fn number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    /// Gives what `gateway.toml` declares its numbers: drawn from its ids, so that they are the same at every start and on
    /// every replica, and from a range that stored ones, which count from 1, don't reach.
    pub fn number_declared(&mut self) {
        let mut taken = BTreeSet::new();
        let providers = self.providers.iter_mut().map(|one| (one.id.uuid(), &mut one.number));
        let models = self.models.iter_mut().map(|one| (one.id.uuid(), &mut one.number));
        let credentials = self.credentials.iter_mut().map(|one| (one.id.uuid(), &mut one.number));
        let routes = self.routes.iter_mut().map(|one| (one.id.uuid(), &mut one.number));
        for (id, number) in providers.chain(models).chain(credentials).chain(routes) {
            let mut drawn = (id.as_u128() % u128::from(DECLARED_NUMBERS)) as u32;
            // Two ids that draw the same are rare; the one that is declared later moves on.
            while !taken.insert(drawn) {
                drawn = (drawn + 1) % DECLARED_NUMBERS;
            }
            *number = Some(DECLARED_NUMBERS + drawn);
        }
    }
}

/// Where the numbers of declared entities begin, and how many there are: the upper half of what a signed 32-bit number
/// holds, for that is what clients of these numbers keep them in.
const DECLARED_NUMBERS: u32 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entity::{Owner, RouteKind, RouteTarget};
    use crate::domain::id::Id;
    use crate::domain::time::Timestamp;

    fn declaring(ids: &[u128]) -> Directory {
        let target = RouteTarget { provider: Id::random(), model: None };
        let route = |id: &u128| {
            let id = Id::from_uuid(uuid::Uuid::from_u128(*id));
            Route::new(id, Owner::Platform, RouteKind::Role, "coder", target.clone(), Timestamp(0))
        };
        let mut directory = Directory { routes: ids.iter().map(route).collect(), ..Directory::default() };
        directory.number_declared();
        directory
    }

    #[test]
    fn declared_numbers_come_from_ids_fit_32_signed_bits_and_are_never_shared() {
        let last = u128::from(DECLARED_NUMBERS) - 1;
        let numbers =
            |ids: &[u128]| declaring(ids).routes.iter().map(|route| route.number.unwrap()).collect::<Vec<_>>();
        assert_eq!(numbers(&[7, last]), [DECLARED_NUMBERS + 7, i32::MAX as u32]);
        assert_eq!(numbers(&[last, last]), [i32::MAX as u32, DECLARED_NUMBERS], "the second one moves on");
    }
}
