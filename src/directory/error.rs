//! Why a change did not happen: what, why, and what to do. Never a key, a token or a name the asker may not see.

use crate::domain::address::EgressDenied;
use crate::domain::model_name;
use crate::domain::permission::{AccessRole, Permission};
use crate::domain::time::Timestamp;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Also what is said of something that exists and that the asker may not see.
    #[error("there is no {kind} `{name}`{hint}")]
    NotFound {
        kind: &'static str,
        name: String,
        /// Empty, or a `;` and what to do.
        hint: String,
    },
    #[error("{by} lacks the permission {permission:?}; it takes the role {} or more", permission.least_role())]
    Denied { by: String, permission: Permission },
    #[error("the role {asked} is more than {held}, and nobody gives more than they hold; ask for {held} or less")]
    RoleTooHigh { asked: AccessRole, held: AccessRole },
    #[error("the user {user} holds {held} there, and their token can't hold {asked}; {remedy}")]
    UserHoldsLess { user: String, held: &'static str, asked: AccessRole, remedy: String },
    #[error("there is already {kind} `{name}`; choose another name")]
    Exists { kind: &'static str, name: String },
    #[error("the {kind} `{name}` is declared in gateway.toml or by the environment; change it there")]
    Declared { kind: &'static str, name: String },
    #[error("{what} {why}; {remedy}")]
    Invalid {
        /// As an API's body spells it; empty where it is no single field.
        field: &'static str,
        what: &'static str,
        why: String,
        remedy: String,
    },
    #[error(
        "Enterprise features are not enabled: the org `{org}` does not let its workspaces bring keys of their own; \
         have its feature `byok` switched on, or use a platform credential"
    )]
    EnterpriseRequired { org: String },
    #[error("the user {0} is disabled; enable them first")]
    UserDisabled(String),
    #[error("this token stands for no user, so it has no tokens of its own; ask for one that was made for you")]
    NoUser,
    #[error("the user {0} already has a token of their own, or a key, and only their own tokens make more")]
    Claimed(String),
    #[error("this token was not made by its user, and ends no other than itself")]
    NotOwn,
    #[error("the token `{label}` was made to expire at {}, which is past; give a later moment", at.iso8601())]
    Expired { label: String, at: Timestamp },
    #[error(transparent)]
    Egress(#[from] EgressDenied),
    #[error("somebody changed the same {kind} at the same moment; look at it and try again")]
    Raced { kind: &'static str },
    #[error("the {kind} is no longer as you last saw it; look at it again and decide anew")]
    Changed { kind: &'static str },
    #[error("the {kind} `{name}` is still in use: {by}; {remedy}")]
    InUse { kind: &'static str, name: String, by: String, remedy: &'static str },
    #[error("the system gives no random bytes; nothing was changed")]
    NoRandomness,
    #[error(transparent)]
    Broken(#[from] crate::store::audit::Broken),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DirectoryError {
    /// The whole table: a stable word for programs, beside the sentence for people, and its HTTP status.
    pub const fn row(&self) -> (&'static str, u16) {
        match self {
            Self::NotFound { .. } => ("not_found", 404),
            Self::Denied { .. } | Self::RoleTooHigh { .. } | Self::UserHoldsLess { .. } => ("permission_denied", 403),
            Self::NoUser | Self::Claimed(_) | Self::NotOwn => ("permission_denied", 403),
            Self::Exists { .. } => ("already_exists", 409),
            Self::Declared { .. } => ("declared", 409),
            Self::Invalid { .. } | Self::Expired { .. } | Self::UserDisabled(_) => ("invalid", 400),
            Self::EnterpriseRequired { .. } => ("enterprise_required", 403),
            Self::Egress(_) => ("egress_denied", 400),
            Self::Raced { .. } => ("conflict", 409),
            Self::Changed { .. } => ("precondition_failed", 412),
            Self::InUse { .. } => ("in_use", 409),
            Self::Broken(_) => ("audit_broken", 500),
            Self::NoRandomness | Self::Store(_) => ("store_unavailable", 503),
        }
    }

    pub const fn code(&self) -> &'static str {
        self.row().0
    }

    /// Every code of the table above with its status; the documents are held to all of them.
    pub const CODES: [(&'static str, u16); 12] = [
        ("not_found", 404),
        ("permission_denied", 403),
        ("already_exists", 409),
        ("declared", 409),
        ("invalid", 400),
        ("enterprise_required", 403),
        ("egress_denied", 400),
        ("conflict", 409),
        ("precondition_failed", 412),
        ("in_use", 409),
        ("audit_broken", 500),
        ("store_unavailable", 503),
    ];

    /// Names the field at fault as the API spells it.
    #[must_use]
    pub fn at(self, name: &'static str) -> Self {
        match self {
            Self::Invalid { what, why, remedy, .. } => Self::Invalid { field: name, what, why, remedy },
            other => other,
        }
    }

    pub fn invalid(what: &'static str, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Invalid { field: "", what, why: why.into(), remedy: remedy.into() }
    }
}

/// Longest name of an org, workspace or label-like text: it stands in URLs, metrics and log lines.
const NAME_MAX: usize = 64;
/// Labels are for people to tell things apart; more is a document.
const LABEL_MAX: usize = 200;

/// A name that can stand in a URL and a metric.
pub(super) fn name(what: &'static str, text: &str) -> Result<(), DirectoryError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(fits) {
        true => Ok(()),
        false => Err(DirectoryError::invalid(
            what,
            "is no name",
            format!("use 1 to {NAME_MAX} letters, digits, `.`, `_` and `-`"),
        )),
    }
}

/// Free text on one line.
pub(super) fn label(what: &'static str, text: &str) -> Result<(), DirectoryError> {
    match text.len() <= LABEL_MAX && !text.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(DirectoryError::invalid(
            what,
            "is too long or holds control characters",
            format!("use one line of at most {LABEL_MAX} bytes"),
        )),
    }
}

/// What a call can name as its model.
pub(super) fn model_id(what: &'static str, text: &str) -> Result<(), DirectoryError> {
    match model_name::is_one(text) {
        true => Ok(()),
        false => Err(DirectoryError::invalid(
            what,
            "is no model id",
            format!("use 1 to {} bytes without control characters and `..`", model_name::LONGEST),
        )),
    }
}
