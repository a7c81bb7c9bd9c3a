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
    /// Bash, with `-euo pipefail`.
    Bash,
    /// JavaScript, an ECMAScript module.
    JavaScript,
    /// Python 3.
    Python,
}

impl CodeLanguage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bash, Self::JavaScript, Self::Python];

    /// Its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::JavaScript => "javascript",
            Self::Python => "python",
        }
    }
}

impl fmt::Display for CodeLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A string names no language that the sandbox runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `bash`, `javascript` or `python`")]
pub struct UnknownLanguage;

impl FromStr for CodeLanguage {
    type Err = UnknownLanguage;

    /// As documents write it; `js` is the specification's other name for JavaScript.
    fn from_str(s: &str) -> Result<Self, UnknownLanguage> {
        match s {
            "js" => Ok(Self::JavaScript),
            name => {
                Self::ALL.into_iter().find(|known| known.as_str() == name).ok_or(UnknownLanguage)
            }
        }
    }
}
