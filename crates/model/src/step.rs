//! Which step of a run: the task's JSON Pointer and how often it has been entered.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Names a step. Stable across replays, whatever order parallel branches finish in (DESIGN §6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepId {
    /// RFC 6901 pointer of the task within the document, such as `/do/2/score`.
    pub task: String,
    /// How many times this run has entered the task before; the first time is 0.
    pub iteration: u32,
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.task, self.iteration)
    }
}

/// A language that code steps may be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeLanguage {
    /// CPython 3.
    Python,
}

impl fmt::Display for CodeLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Python => "python",
        })
    }
}

/// A string names no language that the sandbox runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `python`")]
pub struct UnknownLanguage;

impl FromStr for CodeLanguage {
    type Err = UnknownLanguage;

    fn from_str(s: &str) -> Result<Self, UnknownLanguage> {
        match s {
            "python" => Ok(Self::Python),
            _ => Err(UnknownLanguage),
        }
    }
}
