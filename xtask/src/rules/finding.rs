//! One place that breaks a rule, and how to mend it.

use std::fmt;

/// A rule broken at a place. Ordered by place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// File, relative to the repository's root.
    pub(crate) path: String,
    /// Line from 1; 0 is the file as a whole.
    pub(crate) line: usize,
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) remedy: &'static str,
    /// Whether the check fails because of it, or only warns.
    pub(crate) fails: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, what, remedy, fails } = self;
        let kind = if *fails { "" } else { "warning: " };
        match line {
            0 => write!(f, "{path}: {kind}{rule}: {what}; {remedy}"),
            _ => write!(f, "{path}:{line}: {kind}{rule}: {what}; {remedy}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_place_rule_fault_remedy() {
        let mut finding = Finding {
            path: "a/b.rs".to_owned(),
            line: 7,
            rule: "size",
            what: "too long".to_owned(),
            remedy: "split it",
            fails: true,
        };
        assert_eq!(finding.to_string(), "a/b.rs:7: size: too long; split it");

        finding.line = 0;
        finding.fails = false;
        assert_eq!(finding.to_string(), "a/b.rs: warning: size: too long; split it");
    }
}
