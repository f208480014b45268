//! The whole directory as one value: what the sealed file holds, and what `gateway.toml` adds to it.

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
}
