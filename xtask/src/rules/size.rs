//! Files stay short, net of their tests: a warning above 300 lines, a failure above 500.

use super::finding::Finding;
use super::tree::Tree;

const WARN_ABOVE: usize = 300;
const FAIL_ABOVE: usize = 500;

/// Finds files that are too long. A file that is all tests has no length here.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let production = tree.rust().filter(|(file, _)| !tree.is_test(&file.path));
    let measured = production.map(|(file, source)| (file, source.production_lines()));
    let long = measured.filter(|(_, lines)| *lines > WARN_ABOVE);
    long.map(|(file, lines)| Finding {
        path: file.path.clone(),
        line: 0,
        rule: "size",
        what: format!("{lines} lines net of tests; {WARN_ABOVE} is long, {FAIL_ABOVE} the limit"),
        remedy: "split it by question, or add an exception with its reason",
        fails: lines > FAIL_ABOVE,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn verdict(text: &str) -> Option<bool> {
        check(&tree(&[("a/src/b.rs", text)])).first().map(|finding| finding.fails)
    }

    #[test]
    fn a_long_file_warns_and_a_longer_one_fails() {
        assert_eq!(verdict(&"use a;\n".repeat(300)), None);
        assert_eq!(verdict(&"use a;\n".repeat(301)), Some(false));
        assert_eq!(verdict(&"use a;\n".repeat(500)), Some(false));
        assert_eq!(verdict(&"use a;\n".repeat(501)), Some(true));
    }

    #[test]
    fn lines_of_tests_do_not_count() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "use a;\n".repeat(600));

        assert_eq!(verdict(&tests), None);
    }

    #[test]
    fn a_file_that_only_tests_compile_does_not_count() {
        let long = "use a;\n".repeat(600);
        let files = [("a/src/b.rs", "#[cfg(test)]\nmod tests;"), ("a/src/b/tests.rs", &long)];

        assert_eq!(check(&tree(&files)), []);
    }
}
