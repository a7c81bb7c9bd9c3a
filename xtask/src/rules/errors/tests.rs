//! Codes without pages, pages without codes, pages that say too little.

use super::super::tree::tree;
use super::*;

const CODE: &str = "impl F { fn new(code: &str) {} }\nfn a() { F::new(\"a-b\") }";
const PAGE: &str = "# a-b\n\n*What happened:* This.\n\n*Why:* That.\n\n*What to do:* Those.\n";

fn findings(files: &[(&str, &str)]) -> Vec<String> {
    check(&tree(files)).iter().map(ToString::to_string).collect()
}

#[test]
fn a_code_with_its_page_and_a_list_in_step_passes() {
    let list = list(["a-b"].into_iter());
    let files = [("crates/a/src/lib.rs", CODE), ("docs/errors/a-b.md", PAGE), (LIST, &list)];

    assert_eq!(findings(&files), Vec::<String>::new());
}

#[test]
fn a_code_without_a_page_is_found_where_it_is_said() {
    let list = list([].into_iter());

    let found = findings(&[("crates/a/src/lib.rs", CODE), (LIST, &list)]);

    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("crates/a/src/lib.rs:2: errors: `a-b` has no page;"), "{found:?}");
}

#[test]
fn a_page_without_a_code_is_found() {
    let list = list(["a-b"].into_iter());

    let found = findings(&[("docs/errors/a-b.md", PAGE), (LIST, &list)]);

    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("docs/errors/a-b.md: errors: no code of this name"), "{found:?}");
}

#[test]
fn a_page_that_lacks_a_part_or_is_long_is_found() {
    let list = list(["a-b"].into_iter());
    for broken in [
        PAGE.replace("# a-b", "# a-c"),
        PAGE.replace("*Why:* That.", "Because."),
        PAGE.replace("*What to do:* Those.", "*What to do:* "),
        PAGE.replace("*What to do:*", "*Why:*"),
        format!("{PAGE}{}", "\nmore\n".repeat(LINES_MAX)),
    ] {
        let files = [("crates/a/src/lib.rs", CODE), ("docs/errors/a-b.md", &broken), (LIST, &list)];
        assert_eq!(findings(&files).len(), 1, "{broken}");
    }
}

#[test]
fn a_list_that_is_not_the_folders_is_found() {
    let found = findings(&[("crates/a/src/lib.rs", CODE), ("docs/errors/a-b.md", PAGE)]);

    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(LIST), "{found:?}");
}
