//! Text that has no place in the repository: a machine's paths, a registry's host, unfinished work,
//! silenced lints, ignored tests.
//!
//! In: every text file except lock files. Out: a finding for each line. Attributes count in code
//! only; words and paths count in comments and documents too.

use super::finding::Finding;
use super::tree::{File, Tree};
use crate::source::Source;

/// Attributes that silence something.
const ATTRIBUTES: &[(&[&str], &str, &str)] = &[
    (&["[", "allow", "("], "`allow` attribute", "use `#[expect(lint, reason = \"…\")]`"),
    (&["[", "ignore"], "ignored test", "mend the test or remove it"),
    (&["todo", "!"], "unfinished code", "finish it, or return a typed error"),
];

/// Words that mark unfinished work. Split, so that this file does not contain them.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];
/// Beginnings of paths that exist on one machine only.
const MACHINE: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];
/// Hosts of package registries; which one is used is the machine's configuration.
const HOSTS: &[&str] = &[
    concat!("registry.", "npmjs.org"),
    concat!("py", "pi.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("deb.", "debian.org"),
];

/// Finds text that has no place here.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().filter(|file| !is_lock_file(&file.path)) {
        findings.extend(of_lines(file));
        findings.extend(file.source.iter().flat_map(|source| of_tokens(file, source)));
    }
    findings
}

/// Cargo's own lock file names the registry's index.
fn is_lock_file(path: &str) -> bool {
    path == "Cargo.lock"
}

fn of_lines(file: &File) -> Vec<Finding> {
    let numbered = file.text.lines().zip(1..);
    let bad = numbered.filter_map(|(line, number)| {
        let (what, remedy) = fault_in(line)?;
        Some(finding(file, number, what, remedy))
    });
    bad.collect()
}

fn fault_in(line: &str) -> Option<(String, &'static str)> {
    let has = |needle: &&&str| contains_word(line, needle);
    if let Some(word) = UNFINISHED.iter().find(has) {
        return Some((format!("`{word}`"), "finish it, or open an issue"));
    }
    if let Some(path) = MACHINE.iter().find(has) {
        return Some((format!("a machine's path `{path}…`"), "take the path from the environment"));
    }
    let host = HOSTS.iter().find(has)?;
    Some((
        format!("a registry's host `{host}`"),
        "leave the registry to the machine's configuration",
    ))
}

/// Whether `needle` stands in `line` as a word or path of its own.
fn contains_word(line: &str, needle: &str) -> bool {
    let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')');
    line.match_indices(needle).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + needle.len()..).and_then(|text| text.chars().next());
        let ends = needle.ends_with('/') || !after.is_some_and(|c| c.is_alphanumeric() || c == '_');
        ends && !before.is_some_and(is_inner)
    })
}

fn of_tokens(file: &File, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut rest = source.tokens();
    while let Some((first, after)) = rest.split_first() {
        for (shape, what, remedy) in ATTRIBUTES {
            let fits = shape.iter().zip(rest).all(|(expected, token)| token.text == *expected);
            if fits && rest.len() >= shape.len() {
                findings.push(finding(file, first.line, (*what).to_owned(), remedy));
            }
        }
        rest = after;
    }
    findings
}

fn finding(file: &File, line: usize, what: String, remedy: &'static str) -> Finding {
    Finding { path: file.path.clone(), line, rule: "text", what, remedy, fails: true }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&tree(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn silenced_lints_ignored_tests_and_unfinished_code_are_found() {
        let text = "#[allow(dead_code)]\n#![allow(a)]\n#[ignore]\n#[ignore = \"slow\"]\nfn a() { todo!() }";

        assert_eq!(lines("a/src/b.rs", text), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_same_words_in_comments_and_strings_are_not_attributes() {
        assert_eq!(lines("a/src/b.rs", "// #[allow(a)]\nconst B: &str = \"#[ignore]\";"), [0; 0]);
    }

    #[test]
    fn a_machines_path_is_found_in_any_file() {
        for (path, machine) in
            [("a.md", MACHINE[0]), ("b.toml", MACHINE[1]), ("c/src/d.rs", MACHINE[0])]
        {
            assert_eq!(lines(path, &format!("\n\"{machine}x\"")), [2], "{path}");
        }
    }

    #[test]
    fn a_folder_of_the_same_name_further_in_passes() {
        assert_eq!(
            lines("a.md", &format!("docs{}x and ${{A}}{}x", MACHINE[0], MACHINE[1])),
            [0; 0]
        );
    }

    #[test]
    fn unfinished_work_is_found_as_a_word_only() {
        assert_eq!(lines("a.md", UNFINISHED[0]), [1]);
        assert_eq!(lines("a.rs", &format!("//! A.\n// {}: later", UNFINISHED[1])), [2]);
        assert_eq!(lines("a.md", &format!("{}S_OF_OTHERS", UNFINISHED[0])), [0; 0]);
    }

    #[test]
    fn a_registrys_host_is_found_except_in_cargos_lock_file() {
        assert_eq!(lines("package-lock.json", &format!("https://{}/x", HOSTS[0])), [1]);
        assert_eq!(lines("Cargo.lock", HOSTS[0]), [0; 0]);
    }
}
