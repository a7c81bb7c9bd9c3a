//! The one list of exceptions from house rules, each with its reason: `xtask/exceptions.toml`.
//!
//! In: all findings. Out: those that no exception covers, and a finding for each exception that
//! covers nothing, excuses a rule that has no exceptions, or gives no reason.

use anyhow::Context as _;
use serde::Deserialize;

use super::finding::Finding;
use super::tree::Tree;

const LIST: &str = "xtask/exceptions.toml";
/// Rules about form. Rules about who may do what have no exceptions.
const EXCUSABLE: &[&str] = &["size", "text"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    exception: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    rule: String,
    path: String,
    reason: String,
}

/// Takes away what is excused, adds what is wrong with the excuses.
pub(super) fn apply(tree: &Tree, findings: Vec<Finding>) -> anyhow::Result<Vec<Finding>> {
    let text = tree.file(LIST).map(|file| file.text.as_str()).unwrap_or_default();
    let list: List = toml::from_str(text).with_context(|| format!("cannot read `{LIST}`"))?;
    let mut kept: Vec<Finding> =
        list.exception.iter().filter_map(|e| fault(e, &findings)).collect();
    let excused = |finding: &Finding| list.exception.iter().any(|e| e.covers(finding));
    kept.extend(findings.into_iter().filter(|finding| !excused(finding)));
    Ok(kept)
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        EXCUSABLE.contains(&finding.rule) && self.rule == finding.rule && self.path == finding.path
    }
}

fn fault(exception: &Exception, findings: &[Finding]) -> Option<Finding> {
    let Exception { rule, path, reason } = exception;
    let (what, remedy) = if !EXCUSABLE.contains(&rule.as_str()) {
        (format!("`{rule}` has no exceptions"), "mend the code")
    } else if reason.trim().is_empty() {
        (format!("no reason for `{path}`"), "say why")
    } else if !findings.iter().any(|finding| exception.covers(finding)) {
        (format!("`{path}` needs no exception from `{rule}`"), "remove it")
    } else {
        return None;
    };
    Some(Finding { path: LIST.to_owned(), line: 0, rule: "exceptions", what, remedy, fails: true })
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn left(list: &str, rule: &'static str) -> Vec<String> {
        let finding = Finding {
            path: "a/src/b.rs".to_owned(),
            line: 0,
            rule,
            what: "bad".to_owned(),
            remedy: "mend it",
            fails: true,
        };
        let left = apply(&tree(&[(LIST, list)]), vec![finding]).unwrap();
        left.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn an_exception_excuses_its_rule_in_its_file() {
        let list = "[[exception]]\nrule = \"size\"\npath = \"a/src/b.rs\"\nreason = \"a table\"";

        assert_eq!(left(list, "size"), Vec::<String>::new());
        assert_eq!(left(list, "text"), ["`a/src/b.rs` needs no exception from `size`", "bad"]);
    }

    #[test]
    fn rules_about_rights_have_no_exceptions() {
        let list = "[[exception]]\nrule = \"unsafe\"\npath = \"a/src/b.rs\"\nreason = \"speed\"";

        assert_eq!(left(list, "unsafe"), ["`unsafe` has no exceptions", "bad"]);
    }

    #[test]
    fn an_exception_without_a_reason_is_found() {
        let list = "[[exception]]\nrule = \"size\"\npath = \"a/src/b.rs\"\nreason = \" \"";

        assert_eq!(left(list, "size"), ["no reason for `a/src/b.rs`"]);
    }

    #[test]
    fn without_a_list_nothing_is_excused() {
        assert_eq!(apply(&tree(&[]), Vec::new()).unwrap(), []);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_an_error() {
        assert!(apply(&tree(&[(LIST, "[[exception]]\nrule = 1")]), Vec::new()).is_err());
    }
}
