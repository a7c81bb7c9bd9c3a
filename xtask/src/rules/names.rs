//! Files, folders and modules are called by what they hold, never `utils` or its kin.

use super::finding::Finding;
use super::tree::{File, Tree};
use crate::source::Source;

const BANNED: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];
const REMEDY: &str = "call it by what it holds, or move what it holds to where it is used";

/// Finds banned names of files, folders and inline modules, and every `mod.rs`.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .flat_map(|(file, source)| of_path(file).into_iter().chain(of_modules(file, source)))
        .collect()
}

fn of_path(file: &File) -> Option<Finding> {
    let mut parts = file.path.split('/').map(|part| part.trim_end_matches(".rs"));
    if file.path.ends_with("/mod.rs") {
        return Some(finding(
            file,
            0,
            "`mod.rs`",
            "call the file `<module>.rs`, beside its folder",
        ));
    }
    let bad = parts.find(|part| BANNED.contains(part))?;
    Some(finding(file, 0, &format!("`{bad}` in the path"), REMEDY))
}

fn of_modules(file: &File, source: &Source) -> Vec<Finding> {
    let tokens = source.tokens();
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    let bad =
        pairs.filter(|(word, name)| word.text == "mod" && BANNED.contains(&name.text.as_str()));
    bad.map(|(_, name)| finding(file, name.line, &format!("module `{}`", name.text), REMEDY))
        .collect()
}

fn finding(file: &File, line: usize, what: &str, remedy: &'static str) -> Finding {
    let what = format!("{what} says nothing");
    Finding { path: file.path.clone(), line, rule: "names", what, remedy, fails: true }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    #[test]
    fn names_that_say_nothing_are_found() {
        for path in ["a/src/utils.rs", "a/src/common/b.rs", "a/src/b/mod.rs", "a/tests/helpers.rs"]
        {
            assert_eq!(check(&tree(&[(path, "")])).len(), 1, "{path}");
        }
    }

    #[test]
    fn an_inline_module_that_says_nothing_is_found_with_its_line() {
        let findings = check(&tree(&[("a/src/b.rs", "//! B.\nmod manager { }")]));

        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn names_that_only_contain_such_a_word_pass() {
        assert_eq!(check(&tree(&[("a/src/secret_manager.rs", "mod common_prefix;")])), []);
    }
}
