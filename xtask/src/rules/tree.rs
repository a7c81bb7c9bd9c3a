//! The files that rules look at, held in memory.
//!
//! In: the repository's folder. Out: every text file in it, with `/` between folders whatever the
//! machine; Rust files also as [`Source`].
//!
//! Invariants: hidden folders other than `.ci`, `.config` and `.cargo`, build output (a folder with
//! `CACHEDIR.TAG`), `target` and `node_modules` are not entered; files that are not UTF-8 are not
//! text and are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::source::Source;

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &["target", "node_modules"];
/// Hidden folders that hold something of ours.
const HIDDEN: &[&str] = &[".ci", ".config", ".cargo"];

/// Where a linked worktree keeps the way to its repository: a file of this machine's, not of ours.
const WORKTREE: &str = ".git";

/// One text file.
pub(crate) struct File {
    /// Where it is, relative to the root.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// What it says, if it is Rust.
    pub(crate) source: Option<Source>,
}

/// All text files, by path.
pub(crate) struct Tree {
    files: BTreeMap<String, File>,
    folders: BTreeSet<String>,
}

impl Tree {
    /// Reads the repository.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut texts = Vec::new();
        collect(root, "", &mut texts)?;
        Ok(Self::new(texts))
    }

    /// Makes a tree of the given paths and texts.
    pub(crate) fn new(texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = BTreeSet::new();
        for (path, text) in texts {
            folders.extend(
                path.match_indices('/').filter_map(|(at, _)| path.get(..at)).map(str::to_owned),
            );
            let source = has_extension(&path, "rs").then(|| Source::read(&text));
            files.insert(path.clone(), File { path, text, source });
        }
        Self { files, folders }
    }

    /// All files in the order of their paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    /// The Rust files with what they say.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files().filter_map(|file| Some((file, file.source.as_ref()?)))
    }

    /// The file at a path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// Whether a file or folder is there. `""` is the root.
    pub(crate) fn has(&self, path: &str) -> bool {
        path.is_empty() || self.files.contains_key(path) || self.folders.contains(path)
    }

    /// Whether only a test build compiles this Rust file: it is in a crate's `tests` or `benches`
    /// folder, or its parent module declares it under `#[cfg(test)]`, or its parent is such a file.
    pub(crate) fn is_test(&self, path: &str) -> bool {
        let Some((folder, name)) = path.rsplit_once('/') else { return false };
        if !folder.split('/').any(|part| part == "src") {
            return folder.split('/').any(|part| part == "tests" || part == "benches");
        }
        let stem = name.trim_end_matches(".rs");
        if matches!(stem, "lib" | "main") {
            return false;
        }
        let parents =
            [format!("{folder}.rs"), format!("{folder}/lib.rs"), format!("{folder}/main.rs")];
        parents.iter().filter_map(|parent| self.file(parent)).any(|parent| {
            let declared =
                parent.source.as_ref().is_some_and(|source| source.declares_test_module(stem));
            declared || self.is_test(&parent.path)
        })
    }
}

/// Whether a path's name ends in `.` and the extension, spelled exactly so.
pub(super) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

fn collect(root: &Path, folder: &str, texts: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let shown = if folder.is_empty() { "." } else { folder };
    let entries =
        fs::read_dir(root.join(folder)).with_context(|| format!("cannot list `{shown}`"))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list `{shown}`"))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type().with_context(|| format!("cannot look at `{path}`"))?;
        if kind.is_dir() && enters(&name, &entry.path()) {
            collect(root, &path, texts)?;
        } else if kind.is_file()
            && name != WORKTREE
            && let Ok(text) = String::from_utf8(
                fs::read(entry.path()).with_context(|| format!("cannot read `{path}`"))?,
            )
        {
            texts.push((path, text));
        }
    }
    Ok(())
}

fn enters(name: &str, folder: &Path) -> bool {
    let hidden = name.starts_with('.') && !HIDDEN.contains(&name);
    !hidden && !SKIPPED.contains(&name) && !folder.join("CACHEDIR.TAG").exists()
}

#[cfg(test)]
pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::new(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_test_code_only_if_its_parent_says_so() {
        let tree = tree(&[
            ("crates/a/src/lib.rs", "mod b;"),
            ("crates/a/src/b.rs", "#[cfg(test)]\nmod tests;\nmod tests_not;"),
            ("crates/a/src/b/tests.rs", "mod deeper;"),
            ("crates/a/src/b/tests/deeper.rs", ""),
            ("crates/a/src/b/tests_not.rs", ""),
            ("crates/a/tests/whole.rs", ""),
        ]);

        let tests: Vec<_> =
            tree.files().filter(|file| tree.is_test(&file.path)).map(|file| &file.path).collect();

        assert_eq!(
            tests,
            [
                "crates/a/src/b/tests.rs",
                "crates/a/src/b/tests/deeper.rs",
                "crates/a/tests/whole.rs"
            ]
        );
    }

    #[test]
    fn a_file_called_tests_that_nobody_declares_is_production() {
        let tree = tree(&[("crates/a/src/lib.rs", "mod tests;"), ("crates/a/src/tests.rs", "")]);

        assert!(!tree.is_test("crates/a/src/tests.rs"));
    }

    #[test]
    fn folders_are_there_when_a_file_is_in_them() {
        let tree = tree(&[("docs/adr/one.md", "")]);

        assert!(tree.has("docs/adr") && tree.has("docs") && tree.has("docs/adr/one.md"));
        assert!(!tree.has("docs/ad"));
    }
}
