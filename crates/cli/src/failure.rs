//! How a command fails: a code, a cause, a remedy, where to read more, and an exit status.
//!
//! Exit statuses: 1 refused or failed; 2 wrong usage; 3 the run faulted; 4 not logged in;
//! 5 something could not be reached.

use std::{error::Error, fmt};

use writ_api::CallError;

use crate::{command::explain, output::plain};

/// Refused or failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// The run that was waited for faulted or was refused.
pub(crate) const EXIT_RUN_FAULTED: u8 = 3;
/// Nobody is logged in, or no longer.
pub(crate) const EXIT_NOT_LOGGED_IN: u8 = 4;
/// Something could not be reached.
pub(crate) const EXIT_UNREACHABLE: u8 = 5;

/// What went wrong, for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    code: String,
    cause: String,
    remedy: String,
    pub(crate) exit: u8,
}

impl Failure {
    /// A failure with a code and a cause.
    pub(crate) fn new(code: &str, cause: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            cause: cause.into(),
            remedy: String::new(),
            exit: EXIT_FAILED,
        }
    }

    /// A failure whose cause is an error and everything behind it.
    pub(crate) fn because(code: &str, attempt: &str, error: &dyn Error) -> Self {
        let mut cause = format!("{attempt}: {error}");
        let mut source = error.source();
        while let Some(inner) = source {
            cause.push_str(": ");
            cause.push_str(&inner.to_string());
            source = inner.source();
        }
        Self::new(code, cause)
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// Says what to do about it.
    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Says what to do about it, unless that was said already.
    pub(crate) fn or_remedy(self, remedy: &str) -> Self {
        if self.remedy.is_empty() { self.with_remedy(remedy) } else { self }
    }

    /// Sets the exit status.
    pub(crate) const fn with_exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", plain(&self.code), plain(&self.cause))?;
        if !self.remedy.is_empty() {
            write!(f, "\n  remedy: {}", plain(&self.remedy))?;
        }
        if explain::page(&self.code).is_some() {
            write!(f, "\n  more: `writ explain {}`", self.code)?;
        }
        Ok(())
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Problem(problem) => {
                let login = problem.status == 401;
                let exit = if login { EXIT_NOT_LOGGED_IN } else { EXIT_FAILED };
                Self::new(&problem.code, problem.detail).with_remedy(problem.remedy).with_exit(exit)
            }
            unreachable @ CallError::Unreachable { .. } => {
                Self::because("unreachable", "no answer", &unreachable)
                    .with_remedy("is `writ dev` running?")
                    .with_exit(EXIT_UNREACHABLE)
            }
            other @ (CallError::Contract { .. } | CallError::Signing) => {
                Self::new(other.code(), other.to_string())
            }
        }
    }
}
