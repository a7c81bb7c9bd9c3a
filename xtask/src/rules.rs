//! The house rules as checks: `docs` say why, each file below says what.
//!
//! In: the files of the repository and cargo's dependency graph. Out: findings, printed one a line
//! as `path:line: rule: what; remedy`; an error unless none is left. Warnings do not fail.
//!
//! A rule is a function from a [`Tree`] (or the graph) to findings; it reads nothing itself, so its
//! tests feed it files that break it.

use anyhow::bail;

use crate::report::say;
use crate::workspace::Workspace;

mod direction;
mod errors;
mod exceptions;
mod finding;
mod header;
mod jail_closure;
mod links;
mod names;
mod purity;
mod size;
mod text;
mod tree;
mod unsafe_code;
mod unused;

use finding::Finding;
use tree::Tree;

/// Rules that look at files only.
const FILE_RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    header::check,
    names::check,
    size::check,
    text::check,
    links::check,
    errors::check,
    purity::check,
    unsafe_code::check,
    unused::check,
];

/// Checks every rule.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let tree = Tree::read(&workspace.root)?;
    let mut findings: Vec<Finding> = FILE_RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.extend(direction::check(&workspace.metadata()?));
    findings.extend(jail_closure::check(&tree, &jail_closure::names(workspace)?));
    let mut findings = exceptions::apply(&tree, findings)?;
    findings.sort();
    for finding in &findings {
        say(&finding.to_string());
    }
    match findings.iter().filter(|finding| finding.fails).count() {
        0 => Ok(()),
        count => bail!("{count} findings break the house rules"),
    }
}

/// Rewrites the committed lists that are derived from the code.
pub(crate) fn bless(workspace: &Workspace) -> anyhow::Result<()> {
    jail_closure::bless(workspace)?;
    errors::bless(workspace)
}
