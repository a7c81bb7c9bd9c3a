//! What is linked into `writ-jail` is a committed list, so that a change of it is a change to review.
//!
//! In: what cargo resolves for the jail alone on Linux, and `crates/jail/dependencies.txt`. Out: a
//! finding for each name that only one of the two has.
//!
//! Invariant: versions are not in the list (`Cargo.lock` holds them); procedural macros are, because
//! they write code of the jail.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Context as _;

use super::finding::Finding;
use super::tree::Tree;
use crate::workspace::{Workspace, read};

const LIST: &str = "crates/jail/dependencies.txt";
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Names of all packages that the jail's executable is made of.
pub(super) fn names(workspace: &Workspace) -> anyhow::Result<BTreeSet<String>> {
    let mut tree = workspace.cargo();
    tree.args(["tree", "--package=writ-jail", "--edges=normal", "--prefix=none"]);
    tree.args(["--format={p}", "--target", PLATFORM]);
    Ok(names_in(&read(&mut tree)?))
}

/// Compares with the committed list.
pub(super) fn check(tree: &Tree, actual: &BTreeSet<String>) -> Vec<Finding> {
    let committed = tree.file(LIST).map(|file| names_in(&file.text)).unwrap_or_default();
    let added = actual.difference(&committed).map(|name| format!("+ {name}"));
    let removed = committed.difference(actual).map(|name| format!("- {name}"));
    let changes = added.chain(removed);
    changes
        .map(|change| Finding {
            path: LIST.to_owned(),
            line: 0,
            rule: "jail-closure",
            what: change,
            remedy: "if the jail really needs it: `cargo xtask check --bless`, and have it reviewed",
            fails: true,
        })
        .collect()
}

/// Rewrites the committed list.
pub(super) fn bless(workspace: &Workspace) -> anyhow::Result<()> {
    let mut text: String = names(workspace)?.into_iter().collect::<Vec<_>>().join("\n");
    text.push('\n');
    fs::write(workspace.root.join(LIST), text).with_context(|| format!("cannot write `{LIST}`"))
}

fn names_in(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn changes(committed: &str, actual: &str) -> Vec<String> {
        let tree = tree(&[(LIST, committed)]);
        check(&tree, &names_in(actual)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_new_and_a_lost_dependency_are_found() {
        assert_eq!(changes("a\nb\n", "a v1.0.0\nc v2.0.0 (*)\n"), ["+ c", "- b"]);
    }

    #[test]
    fn a_missing_list_is_found() {
        assert_eq!(check(&tree(&[]), &names_in("a")).len(), 1);
    }

    #[test]
    fn another_version_of_the_same_dependency_passes() {
        assert_eq!(changes("a\n", "a v2.0.0\na v1.0.0 (proc-macro)\n"), Vec::<String>::new());
    }
}
