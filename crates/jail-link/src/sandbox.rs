//! What the runner asks of launcher B: run this code, confined, and tell how it ended.
//!
//! The order travels with a descriptor to answer on, so that sandboxes run side by side.

use serde::{Deserialize, Serialize};
use writ_model::{CodeLanguage, ProcessInput, ProcessReturn};

/// One code step.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxOrder {
    /// Its language.
    pub language: CodeLanguage,
    /// Its text.
    pub code: String,
    /// What it is given.
    pub input: ProcessInput,
    /// What its output is made from.
    pub returns: ProcessReturn,
    /// Wall-clock limit in seconds.
    pub limit_wall_s: u32,
    /// Memory limit in bytes.
    pub limit_memory: u64,
}

/// How it ended.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxReport {
    /// JSON of the output, or why there is none.
    pub result: Result<String, SandboxFailure>,
    /// What it wrote to stderr, cut to 64 KiB: run data, encrypted like an output.
    pub log: String,
}

/// Why a code step has no output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxFailure {
    /// The sandbox could not be set up, so nothing ran.
    #[error("the sandbox could not be set up: `{measure}` is missing")]
    NotConfined {
        /// What is missing.
        measure: String,
    },
    /// This machine has no interpreter of the language.
    #[error("this machine has no interpreter of {language}")]
    NoInterpreter {
        /// Of which.
        language: CodeLanguage,
    },
    /// No process can be started with these arguments and variables.
    #[error("no process can be started with these arguments and variables")]
    Arguments,
    /// The code ended with a failure.
    #[error("the code exited with status {status}")]
    Exited {
        /// Its exit status.
        status: i32,
    },
    /// A signal ended it.
    #[error("the code was ended by signal {signal}")]
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// It ran longer than its wall-clock limit.
    #[error("the code ran longer than its limit")]
    TimedOut,
    /// It used more memory than its limit.
    #[error("the code used more memory than its limit")]
    OutOfMemory,
    /// It wrote more than the limit.
    #[error("the code wrote more than its limit")]
    TooMuchOutput,
    /// What it wrote is not JSON.
    #[error("the code's output is not JSON")]
    NotJson,
    /// What it wrote is not UTF-8.
    #[error("what the code wrote is not UTF-8")]
    NotText,
}

impl SandboxFailure {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotConfined { .. } => "sandbox-not-confined",
            Self::NoInterpreter { .. } => "interpreter-not-found",
            Self::Arguments => "process-arguments",
            Self::Exited { .. } => "code-exited",
            Self::Signaled { .. } => "code-signaled",
            Self::TimedOut => "code-timed-out",
            Self::OutOfMemory => "code-out-of-memory",
            Self::TooMuchOutput => "code-too-much-output",
            Self::NotJson => "code-output-not-json",
            Self::NotText => "code-output-not-text",
        }
    }
}
