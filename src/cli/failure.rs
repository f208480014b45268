//! Why a command did not do what it was asked.

use std::fmt;

use crate::admin::probing::ProbingError;
use crate::app::Trouble;
use crate::app::open::OpenError;
use crate::config::Problems;
use crate::directory::DirectoryError;
use crate::snapshot::Unbuildable;
use crate::store::StoreError;
use crate::store::export::NotAnExport;

/// What is said of it, and with which exit code.
#[derive(Debug)]
pub(super) struct Failure {
    code: &'static str,
    text: String,
    exit: u8,
}

impl Failure {
    /// It was asked for rightly and could not be done.
    pub(super) fn problem(text: impl Into<String>) -> Self {
        Self { code: "problem", text: text.into(), exit: 1 }
    }

    /// It was asked for wrongly.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { code: "usage", text: text.into(), exit: 2 }
    }

    pub(super) fn coded(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, ..Self::problem(text) }
    }

    pub(super) fn exit_code(&self) -> u8 {
        self.exit
    }

    pub(super) fn as_json(&self) -> String {
        serde_json::json!({ "error": { "code": self.code, "message": self.text } }).to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keyway: {}", self.text)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let count = problems.iter().count();
        let plural = if count == 1 { "" } else { "s" };
        Self::coded("config_invalid", format!("{count} problem{plural} with the settings\n{problems}"))
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        Self::coded(error.code(), error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::coded("store_unavailable", error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::coded("store_unavailable", error.to_string())
    }
}

impl From<NotAnExport> for Failure {
    fn from(error: NotAnExport) -> Self {
        Self::coded("export_invalid", error.to_string())
    }
}

impl From<Unbuildable> for Failure {
    fn from(error: Unbuildable) -> Self {
        Self::coded("directory_invalid", error.to_string())
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Config(problems) => problems.into(),
            Trouble::Open(error) => error.into(),
            Trouble::Store(error) => error.into(),
            Trouble::Directory(error) => error.into(),
            Trouble::Unbuildable(error) => error.into(),
            other => Self::coded("start_failed", other.to_string()),
        }
    }
}

impl From<ProbingError> for Failure {
    fn from(error: ProbingError) -> Self {
        match error {
            ProbingError::Directory(error) => error.into(),
            ProbingError::Probe(error) => Self::coded(error.code(), error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::problem(error.to_string())
    }
}
