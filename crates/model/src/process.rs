//! What a process of a `run` task is given beside its code, and what is made of its end.
//!
//! Serverless Workflow 1.0.3, "Run task": `stdin`, `arguments`, `environment`, `return`.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Most bytes of all arguments and the environment together; the kernel's own limit is higher.
const ARGUMENTS_MAX: usize = 64 * 1024;
/// Names that the sandbox sets, or that the loader and the interpreters take orders from.
const RESERVED: [&str; 6] = ["BASH_ENV", "ENV", "HOME", "IFS", "LANG", "PATH"];
const RESERVED_PREFIXES: [&str; 4] = ["LD_", "NODE_", "PYTHON", "WRIT_"];

/// What a process is given: run data, so its `Debug` shows none of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessInput {
    /// All of its standard input.
    pub stdin: String,
    /// Its arguments, after its own name.
    pub arguments: Vec<String>,
    /// Variables beside those that the sandbox sets.
    pub environment: BTreeMap<String, String>,
}

impl ProcessInput {
    /// One value of JSON on standard input, and nothing else.
    #[must_use]
    pub fn json(value: &serde_json::Value) -> Self {
        Self { stdin: value.to_string(), ..Self::default() }
    }

    /// Whether a process can be started with it: no NUL in arguments and environment, names that
    /// are allowed, and at most 64 KiB of both together.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let pairs = self.environment.iter().flat_map(|(name, value)| [name, value]);
        let size: usize = self.arguments.iter().chain(pairs.clone()).map(String::len).sum();
        size <= ARGUMENTS_MAX
            && !self.arguments.iter().chain(pairs).any(|text| text.contains('\0'))
            && self.environment.keys().all(|name| is_environment_name(name))
    }
}

impl fmt::Debug for ProcessInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessInput")
    }
}

/// Whether a variable of this name may be set for a process: letters, digits and underscores, and
/// none that the sandbox, the loader or an interpreter takes orders from.
#[must_use]
pub fn is_environment_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = name.bytes().next();
    first.is_some_and(|b| !b.is_ascii_digit())
        && name.bytes().all(allowed)
        && !RESERVED.contains(&name)
        && !RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What a task's output is made from (`return`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessReturn {
    /// JSON: the file that `$WRIT_OUTPUT` names, else the last line of stdout. Writ's own, and
    /// what a `script` without `return` means.
    #[default]
    Output,
    /// What it wrote to stdout, as text.
    Stdout,
    /// What it wrote to stderr, as text, cut to 64 KiB.
    Stderr,
    /// Its exit status, a number. One that is not 0 is no error then.
    Code,
    /// `{code, stdout, stderr}`. An exit status that is not 0 is no error then.
    All,
    /// `null`.
    None,
}

impl ProcessReturn {
    /// What a document calls it; [`ProcessReturn::Output`] is what no `return` means.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            "code" => Self::Code,
            "all" => Self::All,
            "none" => Self::None,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_something_takes_orders_from_are_refused() {
        for name in ["PATH", "LD_PRELOAD", "BASH_ENV", "NODE_OPTIONS", "PYTHONPATH", "WRIT_OUTPUT"]
        {
            assert!(!is_environment_name(name), "{name}");
        }
        for name in ["", "1A", "A-B", "A=B", "Ä"] {
            assert!(!is_environment_name(name), "{name}");
        }
        for name in ["REPOSITORY", "_x", "ENVIRONMENT", "HOMEPAGE"] {
            assert!(is_environment_name(name), "{name}");
        }
    }

    #[test]
    fn what_no_process_can_be_started_with_is_invalid() {
        let argument = |text: &str| ProcessInput {
            arguments: vec![text.to_owned()],
            ..ProcessInput::default()
        };
        assert!(argument("plain").is_valid());
        assert!(!argument("a\0b").is_valid());
        assert!(!argument(&"x".repeat(ARGUMENTS_MAX + 1)).is_valid());
    }

    #[test]
    fn run_data_is_not_printed() {
        let input = ProcessInput { stdin: "CANARY".to_owned(), ..ProcessInput::default() };
        assert_eq!(format!("{input:?}"), "ProcessInput");
    }
}
