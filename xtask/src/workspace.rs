//! Where things are: the repository, its target folder, the cargo executable and its metadata.
//!
//! In: the environment. Out: absolute paths, commands ready to run in the repository's root, and
//! the dependency graph as cargo sees it.
//!
//! Not here: what anything means; `rules::direction` judges the graph.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

/// The repository and the folders that belong to it.
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo builds: `CARGO_TARGET_DIR`, or `target`.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Finds the repository that this executable was compiled from.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .context("CARGO_MANIFEST_DIR is not set; start this as `cargo xtask`")?;
        let root = Path::new(&manifest).parent().context("`xtask` has no parent folder")?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root: root.to_owned(), target })
    }

    /// Where parts from package registries are installed.
    pub(crate) fn parts(&self) -> PathBuf {
        self.folder_from("WRIT_PARTS", || self.target.join("parts"))
    }

    /// Where test data that nobody here wrote is read from.
    pub(crate) fn corpora(&self) -> PathBuf {
        self.folder_from("WRIT_CORPORA", || self.root.join("../shared/corpora"))
    }

    /// Where the executables that end-to-end tests start are built.
    pub(crate) fn executables(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// A cargo command in the root, with the folders that tests read in its environment.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command(cargo());
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// Any command in the root, with the folders that tests read in its environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("WRIT_BIN_DIR", self.executables())
            .env("WRIT_PARTS", self.parts())
            .env("WRIT_CORPORA", self.corpora());
        command
    }

    /// The dependency graph; resolved for this machine and with every member's features.
    pub(crate) fn metadata(&self) -> anyhow::Result<Metadata> {
        let mut command = self.cargo();
        command.args(["metadata", "--format-version", "1"]);
        let text = read(&mut command)?;
        serde_json::from_str(&text).context("cannot read the output of `cargo metadata`")
    }

    fn folder_from(&self, variable: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
        match env::var_os(variable) {
            Some(folder) if !folder.is_empty() => self.root.join(folder),
            _ => default(),
        }
    }
}

fn cargo() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a command with this process's input and output; fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", spoken(command)))?;
    ensure!(status.success(), "`{}` ended with {status}", spoken(command));
    Ok(())
}

/// Runs a command and returns its standard output; fails unless it succeeds.
pub(crate) fn read(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", spoken(command)))?;
    if !output.status.success() {
        bail!("`{}` ended with {}", spoken(command), output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("the output of `{}` is not UTF-8", spoken(command)))
}

/// The command as a person would type it.
pub(crate) fn spoken(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// What `cargo metadata` says, as far as the rules need it.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Every package in the graph.
    pub(crate) packages: Vec<Package>,
    /// Package ids of the members.
    pub(crate) workspace_members: Vec<String>,
    /// The edges.
    pub(crate) resolve: Resolve,
}

/// One package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Its name, as in its manifest.
    pub(crate) name: String,
    /// Its unique id.
    pub(crate) id: String,
}

/// The resolved graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    /// One node a package.
    pub(crate) nodes: Vec<Node>,
}

/// One package's edges.
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    /// The package.
    pub(crate) id: String,
    /// What it depends on.
    pub(crate) deps: Vec<Edge>,
}

/// One edge.
#[derive(Debug, Deserialize)]
pub(crate) struct Edge {
    /// The package depended on.
    pub(crate) pkg: String,
    /// In which roles.
    pub(crate) dep_kinds: Vec<EdgeKind>,
}

/// The role of an edge.
#[derive(Debug, Deserialize)]
pub(crate) struct EdgeKind {
    /// `None` is a normal dependency; otherwise `dev` or `build`.
    pub(crate) kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_is_an_error_that_names_it() {
        let error = run(Command::new("false").arg("--because")).unwrap_err().to_string();

        assert!(error.contains("`false --because`"), "{error}");
    }

    #[test]
    fn a_spoken_command_names_no_folder_of_the_program() {
        let mut command = Command::new("/some/where/cargo");

        assert_eq!(spoken(command.arg("build")), "cargo build");
    }
}
