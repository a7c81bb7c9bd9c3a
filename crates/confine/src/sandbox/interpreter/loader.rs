//! The dynamic loader: where it is, and which shared libraries it says that a program needs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::InterpreterError;

/// Where glibc programs have their loader.
#[cfg(target_arch = "x86_64")]
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(target_arch = "aarch64")]
const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

/// The machine's dynamic loader.
pub(super) struct Loader {
    real: PathBuf,
}

impl Loader {
    pub(super) fn find() -> Result<Self, InterpreterError> {
        let unusable = |_| InterpreterError::Answer { path: LOADER.into() };
        Ok(Self { real: fs::canonicalize(LOADER).map_err(unusable)? })
    }

    #[cfg(test)]
    pub(super) fn at(real: impl Into<PathBuf>) -> Self {
        Self { real: real.into() }
    }

    /// As the headers of programs name it.
    pub(super) fn path() -> &'static Path {
        Path::new(LOADER)
    }

    /// The file itself.
    pub(super) fn real(&self) -> &Path {
        &self.real
    }

    /// The link that programs find it by, where it does not lie beneath one of these.
    pub(super) fn links(&self, readable: &BTreeSet<PathBuf>) -> Vec<(PathBuf, PathBuf)> {
        if readable.iter().any(|place| Self::path().starts_with(place)) {
            return Vec::new();
        }
        vec![(Self::path().to_owned(), self.real.clone())]
    }

    /// The shared libraries of a program, as the loader would find them, and the loader itself.
    pub(super) fn libraries(&self, program: &Path) -> Result<BTreeSet<PathBuf>, InterpreterError> {
        let output = Command::new(&self.real)
            .arg("--list")
            .arg(program)
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|source| InterpreterError::start(program, source))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let listed = text.lines().filter_map(|line| {
            let (_, found) = line.split_once("=>")?;
            found.split_whitespace().next().filter(|path| path.starts_with('/'))
        });
        let missing = text.contains("not found");
        if !output.status.success() || missing {
            return Err(InterpreterError::Answer { path: program.to_owned() });
        }
        Ok(listed.map(PathBuf::from).chain([self.real.clone()]).collect())
    }
}
