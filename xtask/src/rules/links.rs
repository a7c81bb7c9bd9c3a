//! Relative links in Markdown lead to files that are there.
//!
//! In: all `.md` files. Out: a finding for each link whose file or folder is missing or outside the
//! repository. Code blocks and inline code hold no links.
//!
//! Not here: links to other hosts, and whether a heading that a link names exists.

use super::finding::Finding;
use super::tree::{File, Tree, has_extension};

/// Finds links that lead nowhere.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let documents = tree.files().filter(|file| has_extension(&file.path, "md"));
    documents.flat_map(|file| of_file(tree, file)).collect()
}

fn of_file(tree: &Tree, file: &File) -> Vec<Finding> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    for (line, number) in prose(&file.text) {
        for target in targets(&line).into_iter().filter(|target| is_relative(target)) {
            let path = target.split(['#', '?']).next().unwrap_or_default();
            if !resolve(folder, path).is_some_and(|path| tree.has(&path)) {
                findings.push(Finding {
                    path: file.path.clone(),
                    line: number,
                    rule: "links",
                    what: format!("`{target}` leads nowhere"),
                    remedy: "mend the link or write the page",
                    fails: true,
                });
            }
        }
    }
    findings
}

/// Lines outside code blocks, without their inline code, numbered from 1.
fn prose(text: &str) -> Vec<(String, usize)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let opens = ["```", "~~~"].into_iter().find(|fence| line.trim_start().starts_with(fence));
        match (fence, opens) {
            (None, Some(_)) => fence = opens,
            (Some(open), Some(close)) if open == close => fence = None,
            (Some(_), _) => {}
            (None, None) => lines.push((line.split('`').step_by(2).collect(), number)),
        }
    }
    lines
}

/// Targets of `[text](target "title")` and `[name]: target`.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.split("](").skip(1).filter_map(|after| after.split(')').next());
    let defined =
        line.starts_with('[').then(|| line.split_once("]: ")).flatten().map(|(_, target)| target);
    let words = inline.chain(defined).filter_map(|target| target.split_whitespace().next());
    words.map(|word| word.trim_start_matches('<').trim_end_matches('>')).collect()
}

fn is_relative(target: &str) -> bool {
    let has_scheme = target.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
    });
    !has_scheme && !target.starts_with('#') && !target.starts_with("//")
}

/// The path from the root, or nothing when it leaves the repository.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let begin = if target.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in begin.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn broken(text: &str) -> Vec<String> {
        let files = [("docs/a.md", text), ("docs/adr/b.md", ""), ("README.md", "")];
        check(&tree(&files)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        for target in ["c.md", "adr/c.md#x", "../../README.md", "/c.md", "b.md \"title\""] {
            assert_eq!(broken(&format!("See [it]({target}).")).len(), 1, "{target}");
        }
        assert_eq!(broken("[it]: c.md"), ["`c.md` leads nowhere"]);
    }

    #[test]
    fn a_link_to_a_file_a_folder_or_elsewhere_passes() {
        for target in [
            "adr/b.md",
            "adr/b.md#x",
            "adr/",
            "../README.md",
            "/README.md",
            "#x",
            "https://a.example/b",
            "mailto:a@b.example",
        ] {
            assert_eq!(broken(&format!("See [it]({target}).")), Vec::<String>::new(), "{target}");
        }
    }

    #[test]
    fn every_link_of_a_line_is_looked_at() {
        assert_eq!(
            broken("[a](x.md) and [b](y.md)"),
            ["`x.md` leads nowhere", "`y.md` leads nowhere"]
        );
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(
            broken("`[a](x.md)`\n```\n[a](x.md)\n```\n~~~\n```\n[a](x.md)\n~~~"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn links_behind_a_code_block_are_looked_at() {
        assert_eq!(broken("```\n```\n[a](x.md)").len(), 1);
    }
}
