//! Each stable code that a person may meet has a page, `docs/errors/<code>.md`, and no page is left over.
//!
//! In: the codes that the crates say (`codes`), the pages, and the list of pages that `writ explain`
//! carries. Out: a finding for a code without a page, a page without a code, a page without its three
//! parts, a code that can't be read from the code, and a list that is not the folder's.
//!
//! Invariant: nobody keeps a list of codes by hand, so none can be forgotten.
//!
//! Not here: whether what a page says is true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::Context as _;

use super::finding::Finding;
use super::tree::{File, Tree};
use crate::workspace::Workspace;

mod codes;

use codes::Said;

const FOLDER: &str = "docs/errors/";
/// What `writ explain` carries.
const LIST: &str = "crates/cli/src/command/explain/pages.rs";
/// What every page says, each at the beginning of a paragraph.
const PARTS: &[&str] = &["*What happened:* ", "*Why:* ", "*What to do:* "];
/// Longest page, in lines.
const LINES_MAX: usize = 20;

/// Finds codes and pages that don't go together.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let found = codes::find(tree);
    let mut said: BTreeMap<&str, &Said> = BTreeMap::new();
    for code in &found.said {
        said.entry(&code.code).or_insert(code);
    }
    let pages: BTreeMap<&str, &File> = pages(tree).collect();
    let mut findings: Vec<Finding> = found
        .unread
        .iter()
        .map(|(path, line, what)| {
            finding(path, *line, what.clone(), "write the code here, or call what holds it `code`")
        })
        .collect();
    for (code, place) in &said {
        if !pages.contains_key(code) {
            let what = format!("`{code}` has no page");
            findings.push(finding(&place.path, place.line, what, "write `docs/errors/<code>.md`"));
        }
    }
    for (code, page) in &pages {
        if !said.contains_key(code) {
            let what = "no code of this name is said".to_owned();
            findings.push(finding(&page.path, 0, what, "remove the page"));
        }
        findings.extend(faults(code, page));
    }
    findings.extend(list_fault(tree, pages.keys().copied()));
    findings
}

/// Rewrites the list of pages that `writ explain` carries.
pub(super) fn bless(workspace: &Workspace) -> anyhow::Result<()> {
    let tree = Tree::read(&workspace.root)?;
    let text = list(pages(&tree).map(|(code, _)| code));
    fs::write(workspace.root.join(LIST), text).with_context(|| format!("cannot write `{LIST}`"))
}

fn pages(tree: &Tree) -> impl Iterator<Item = (&str, &File)> {
    tree.files().filter_map(|file| {
        let code = file.path.strip_prefix(FOLDER)?.strip_suffix(".md")?;
        Some((code, file))
    })
}

fn faults(code: &str, page: &File) -> Vec<Finding> {
    let mut faults = Vec::new();
    if page.text.lines().next() != Some(&format!("# {code}")) {
        faults.push(format!("the first line is not `# {code}`"));
    }
    let parts: Vec<&str> = page.text.lines().filter(|line| line.starts_with('*')).collect();
    let in_order = parts.len() == PARTS.len()
        && parts
            .iter()
            .zip(PARTS)
            .all(|(line, part)| line.len() > part.len() && line.starts_with(part));
    if !in_order {
        let wanted: Vec<&str> = PARTS.iter().map(|part| part.trim()).collect();
        faults.push(format!("the paragraphs are not {}", wanted.join(" ")));
    }
    if page.text.lines().count() > LINES_MAX {
        faults.push(format!("more than {LINES_MAX} lines"));
    }
    let remedy = "say what happened, why, and what to do, in few words";
    faults.into_iter().map(|what| finding(&page.path, 0, what, remedy)).collect()
}

fn list_fault<'a>(tree: &Tree, pages: impl Iterator<Item = &'a str>) -> Option<Finding> {
    let committed = tree.file(LIST).map_or("", |file| &file.text);
    (committed != list(pages)).then(|| {
        let what = "not the pages of `docs/errors`".to_owned();
        finding(LIST, 0, what, "`cargo xtask rules --bless` rewrites it")
    })
}

fn list<'a>(pages: impl Iterator<Item = &'a str>) -> String {
    let pages: BTreeSet<&str> = pages.collect();
    let lines: Vec<String> = pages.iter().map(|code| format!("    \"{code}\",")).collect();
    format!("{LIST_HEADER}embed! {{\n{}\n}}\n", lines.join("\n"))
}

const LIST_HEADER: &str = "\
//! The pages that `writ explain` prints. Written by `cargo xtask rules --bless` from `docs/errors`.

";

fn finding(path: &str, line: usize, what: String, remedy: &'static str) -> Finding {
    Finding { path: path.to_owned(), line, rule: "errors", what, remedy, fails: true }
}

#[cfg(test)]
mod tests;
