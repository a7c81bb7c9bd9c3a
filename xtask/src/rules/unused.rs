//! Each dependency that a manifest names is used by the code that it is named for.
//!
//! In: the members' manifests and Rust files. Out: a finding for a dependency that no file of the crate
//! names, for one that only tests name and that is no dev-dependency, and for one of the workspace's list
//! that no member takes.
//!
//! Invariant: a name counts in code only; a comment or a string uses nothing.
//!
//! Not here: features of a dependency, and whether it is used for good reason; what an executable is
//! made of is judged by `direction` and `jail_closure`.

use std::collections::BTreeSet;

use toml::Table;

use super::finding::Finding;
use super::tree::{File, Tree};
use crate::source::Token;

const ROOT: &str = "Cargo.toml";

/// Which code a section's dependencies are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Product,
    Tests,
    Build,
}

const SECTIONS: &[(&str, For)] = &[
    ("dependencies", For::Product),
    ("dev-dependencies", For::Tests),
    ("build-dependencies", For::Build),
];

/// Finds dependencies that nothing uses.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut taken = BTreeSet::new();
    let manifests = tree.files().filter(|file| file.path.ends_with("/Cargo.toml"));
    for (manifest, table) in manifests.filter_map(|file| Some((file, file.text.parse().ok()?))) {
        let words = Words::of(tree, manifest);
        for (kind, name) in named(&table) {
            findings.extend(words.fault(kind, &name).map(|what| finding(manifest, &name, what)));
            taken.insert(name);
        }
    }
    findings.extend(left_over(tree, &taken));
    findings
}

/// Words of a crate's code, by what compiles it.
struct Words {
    product: BTreeSet<String>,
    tests: BTreeSet<String>,
    build: BTreeSet<String>,
}

impl Words {
    fn of(tree: &Tree, manifest: &File) -> Self {
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        let mut words =
            Self { product: BTreeSet::new(), tests: BTreeSet::new(), build: BTreeSet::new() };
        for (file, source) in tree.rust() {
            let Some(inner) = file.path.strip_prefix(folder) else { continue };
            let texts = |tokens: &[Token]| -> Vec<String> {
                tokens.iter().map(|token| token.text.clone()).collect()
            };
            if inner == "build.rs" {
                words.build.extend(texts(source.tokens()));
            } else {
                words.tests.extend(texts(source.tokens()));
                // A fuzz target or an example is a product of its own crate.
                if !tree.is_test(&file.path) {
                    words.product.extend(texts(&source.production()));
                }
            }
        }
        words
    }

    fn fault(&self, kind: For, name: &str) -> Option<&'static str> {
        let word = name.replace('-', "_");
        match kind {
            For::Product if self.product.contains(&word) => None,
            For::Product if self.tests.contains(&word) => Some("is used by tests only"),
            For::Tests if self.tests.contains(&word) => None,
            For::Build if self.build.contains(&word) => None,
            For::Product | For::Tests | For::Build => Some("is not used"),
        }
    }
}

/// Dependencies of a manifest, those of single targets too.
fn named(manifest: &Table) -> Vec<(For, String)> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let of_targets = targets.into_iter().flat_map(|targets| targets.values());
    let tables = std::iter::once(manifest).chain(of_targets.filter_map(toml::Value::as_table));
    let mut found = Vec::new();
    for table in tables {
        for (section, kind) in SECTIONS {
            let names = table.get(*section).and_then(toml::Value::as_table);
            found.extend(
                names.into_iter().flat_map(|names| names.keys().map(|name| (*kind, name.clone()))),
            );
        }
    }
    found
}

/// What the workspace's own list names and no member takes.
fn left_over(tree: &Tree, taken: &BTreeSet<String>) -> Vec<Finding> {
    let Some(root) = tree.file(ROOT) else { return Vec::new() };
    let table: Table = root.text.parse().unwrap_or_default();
    let listed = table
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table);
    let names = listed.into_iter().flat_map(|listed| listed.keys());
    let unused = names.filter(|name| !taken.contains(*name));
    unused.map(|name| finding(root, name, "is taken by no member")).collect()
}

fn finding(manifest: &File, name: &str, what: &str) -> Finding {
    let numbered = manifest.text.lines().zip(1..);
    let line = numbered.filter(|(line, _)| line.split(['.', ' ', '=']).next() == Some(name));
    Finding {
        path: manifest.path.clone(),
        line: line.map(|(_, number)| number).next().unwrap_or(0),
        rule: "unused",
        what: format!("dependency `{name}` {what}"),
        remedy: "remove it, or name it in the section that it is for",
        fails: true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn faults(manifest: &str, code: &[(&str, &str)]) -> Vec<String> {
        let files = [&[("crates/a/Cargo.toml", manifest)], code].concat();
        check(&tree(&files)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_dependency_that_no_code_names_is_found() {
        let code = [("crates/a/src/lib.rs", "// serde_json\nconst A: &str = \"serde_json\";")];

        assert_eq!(
            faults("[dependencies]\nserde-json.workspace = true", &code),
            ["dependency `serde-json` is not used"]
        );
    }

    #[test]
    fn a_dependency_that_only_tests_name_is_found() {
        let code = [
            ("crates/a/src/lib.rs", "#[cfg(test)]\nmod tests { use serde::A; }"),
            ("crates/a/tests/b.rs", "use other_one::B;"),
        ];

        assert_eq!(
            faults("[dependencies]\nserde = \"1\"\nother-one = \"1\"", &code),
            [
                "dependency `other-one` is used by tests only",
                "dependency `serde` is used by tests only"
            ]
        );
        assert_eq!(
            faults("[dev-dependencies]\nserde = \"1\"\nother-one = \"1\"", &code),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_another_crate_uses_does_not_count() {
        let code = [("crates/ab/src/lib.rs", "use serde::A;")];

        assert_eq!(
            faults("[dependencies]\nserde = \"1\"", &code),
            ["dependency `serde` is not used"]
        );
    }

    #[test]
    fn a_build_scripts_and_a_targets_dependencies_are_looked_at() {
        let manifest =
            "[build-dependencies]\ncc = \"1\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\"";
        let used = [("crates/a/build.rs", "use cc::A;"), ("crates/a/src/lib.rs", "use libc::B;")];

        assert_eq!(faults(manifest, &used), Vec::<String>::new());
        assert_eq!(faults(manifest, &[]).len(), 2);
    }

    #[test]
    fn the_workspaces_list_holds_nothing_that_no_member_takes() {
        let files = [
            ("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\nleft = \"1\""),
            ("crates/a/Cargo.toml", "[dependencies]\nserde.workspace = true"),
            ("crates/a/src/lib.rs", "use serde::A;"),
        ];

        let found: Vec<String> = check(&tree(&files)).iter().map(ToString::to_string).collect();

        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("Cargo.toml:3: unused: dependency `left` is taken by no member")
        );
    }
}
