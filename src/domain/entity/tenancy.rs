//! Orgs, workspaces, users and the tokens that stand for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::provider::Provider;
use crate::domain::id::Id;
use crate::domain::limits::Limits;
use crate::domain::permission::AccessRole;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;

/// Owns workspaces and gates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    pub id: Id<Org>,
    pub name: String,
    pub limits: Limits,
    pub features: Features,
    pub default_gate: Gate,
    /// On or off per provider, where it differs from `default_gate`.
    pub gates: BTreeMap<Id<Provider>, Gate>,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    #[serde(skip)]
    pub declared: bool,
}

impl Org {
    pub fn new(id: Id<Self>, name: &str, now: Timestamp) -> Self {
        Self {
            id,
            name: name.to_string(),
            limits: Limits::default(),
            features: Features { byok: true },
            default_gate: Gate::Allow,
            gates: BTreeMap::new(),
            created_at: now,
            deleted_at: None,
            declared: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    Allow,
    Deny,
}

/// What an org's plan includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// May its workspaces configure providers and keys of their own?
    pub byok: bool,
}

/// Owns credentials, defaults, routes, tokens and limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    pub id: Id<Workspace>,
    pub org: Id<Org>,
    pub name: String,
    pub default: Option<DefaultChoice>,
    pub projects: BTreeMap<String, DefaultChoice>,
    pub limits: Limits,
    /// May it use the platform's credential when its own fails?
    pub fallback_to_platform: bool,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    #[serde(skip)]
    pub declared: bool,
}

impl Workspace {
    pub fn new(id: Id<Self>, org: Id<Org>, name: &str, now: Timestamp) -> Self {
        Self {
            id,
            org,
            name: name.to_string(),
            default: None,
            projects: BTreeMap::new(),
            limits: Limits::default(),
            fallback_to_platform: false,
            created_at: now,
            deleted_at: None,
            declared: false,
        }
    }
}

/// A default: a provider, and a model unless the provider's own default is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultChoice {
    pub provider: Id<Provider>,
    pub model: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: Id<User>,
    pub email: String,
    pub name: String,
    pub limits: Limits,
    pub platform_admin: bool,
    pub disabled: bool,
    pub org_roles: BTreeMap<Id<Org>, AccessRole>,
    pub workspace_roles: BTreeMap<Id<Workspace>, AccessRole>,
    pub created_at: Timestamp,
}

/// The record of a token; the token itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub id: Id<Token>,
    pub hash: TokenHash,
    pub workspace: Id<Workspace>,
    pub user: Option<Id<User>>,
    pub project: Option<String>,
    pub made_by: String,
    /// Did the user this token stands for make it? Only then may it spend that user's own credentials.
    pub made_by_its_user: bool,
    pub role: AccessRole,
    pub kind: TokenKind,
    /// Empty allows every model.
    pub models: Vec<String>,
    pub expires_at: Option<Timestamp>,
    pub limits: Limits,
    pub label: String,
    pub may_batch: bool,
    pub may_assert_user: bool,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// A member's token for chat, without expiry or limits.
    pub fn new(id: Id<Self>, hash: TokenHash, workspace: Id<Workspace>, made_by: &str, now: Timestamp) -> Self {
        Self {
            id,
            hash,
            workspace,
            user: None,
            project: None,
            made_by: made_by.to_string(),
            made_by_its_user: false,
            role: AccessRole::Member,
            kind: TokenKind::Chat,
            models: Vec::new(),
            expires_at: None,
            limits: Limits::default(),
            label: String::new(),
            may_batch: false,
            may_assert_user: false,
            created_at: now,
            revoked_at: None,
        }
    }
}

/// Which of a model's approvals a token is held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    #[default]
    Chat,
    Agent,
}
