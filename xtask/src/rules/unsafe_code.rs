//! `unsafe` only in `confine` and in the jail's secret memory.
//!
//! The reason for each block is clippy's to ask for (`undocumented_unsafe_blocks`).

use super::finding::Finding;
use super::tree::Tree;

/// Finds the word in code, tests included, outside the files that may use it.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let others = tree.rust().filter(|(file, _)| !may_use_it(&file.path));
    let tokens = others.flat_map(|(file, source)| source.tokens().iter().map(move |t| (file, t)));
    tokens
        .filter(|(_, token)| token.text == "unsafe")
        .map(|(file, token)| Finding {
            path: file.path.clone(),
            line: token.line,
            rule: "unsafe",
            what: "unsafe code outside `confine` and the jail's secret memory".to_owned(),
            remedy: "find a safe interface, or put a small one into `confine`",
            fails: true,
        })
        .collect()
}

fn may_use_it(path: &str) -> bool {
    let of_secret_memory =
        path.rsplit('/').next().is_some_and(|name| name.starts_with("secret_memory"));
    path.starts_with("crates/confine/")
        || (path.starts_with("crates/jail/src/") && of_secret_memory)
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    const TEXT: &str = "//! Not unsafe.\nfn a() { unsafe { b() } }";

    #[test]
    fn unsafe_code_elsewhere_is_found_with_its_line() {
        for path in [
            "crates/jail/src/flow.rs",
            "crates/confined/src/a.rs",
            "crates/cli/src/secret_memory.rs",
        ] {
            let findings = check(&tree(&[(path, TEXT)]));

            assert_eq!(
                findings.iter().map(|finding| finding.line).collect::<Vec<_>>(),
                [2],
                "{path}"
            );
        }
    }

    #[test]
    fn unsafe_code_where_it_belongs_passes() {
        for path in [
            "crates/confine/src/sys.rs",
            "crates/confine/tests/a.rs",
            "crates/jail/src/cell/secret_memory.rs",
        ] {
            assert_eq!(check(&tree(&[(path, TEXT)])), [], "{path}");
        }
    }
}
