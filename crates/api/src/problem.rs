//! Errors as problem documents (RFC 9457), with a stable code, a cause and a remedy.

use serde::{Deserialize, Serialize};

/// Media type of a [`Problem`].
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// Why a request was not served. Holds no run data and no credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: String,
    /// What went wrong, in a sentence.
    pub detail: String,
    /// What to do about it; empty if nothing can be done by the caller.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// The jail's statement that the control plane has kept, where another one was reported; compact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
}

impl Problem {
    /// A problem without a remedy.
    #[must_use]
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        let (detail, remedy) = (detail.into(), String::new());
        Self { status, code: code.to_owned(), detail, remedy, statement: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}
