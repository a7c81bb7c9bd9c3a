//! Every Rust file opens with a `//!` header that says what question it answers.

use super::finding::Finding;
use super::tree::Tree;

/// Finds files whose first line is not a module comment with words in it.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let bare = tree.rust().filter(|(file, _)| !opens_with_words(&file.text));
    bare.map(|(file, _)| Finding {
        path: file.path.clone(),
        line: 1,
        rule: "header",
        what: "the file does not open with `//!`".to_owned(),
        remedy: "say first what question the file answers, what goes in and out, what is not here",
        fails: true,
    })
    .collect()
}

fn opens_with_words(text: &str) -> bool {
    let first = text.lines().next().and_then(|line| line.strip_prefix("//!"));
    first.is_some_and(|words| !words.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    #[test]
    fn a_file_without_a_header_is_found() {
        for text in ["", "use a;\n//! Late.", "// Not a module comment.", "//!\n//! Late."] {
            assert_eq!(check(&tree(&[("a/src/b.rs", text)])).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_file_with_a_header_passes() {
        assert_eq!(check(&tree(&[("a/src/b.rs", "//! Answers.\n")])), []);
    }
}
