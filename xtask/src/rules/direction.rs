//! Crates depend on earlier crates of one list only, and secrets' clients stay in the jail.
//!
//! In: cargo's resolved graph. Out: an edge that points down the list; `testkit` or `xtask` linked
//! into a product; a secret manager's client reached from any crate but the jail; the jail or the
//! confinement reached from the server.
//!
//! Invariant: normal and build dependencies count in full; dev-dependencies may also use `testkit`.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use crate::workspace::{Metadata, Node};

/// The crates without effects; they come first in [`ORDER`].
pub(super) const PURE: &[&str] =
    &["model", "schedule", "evidence", "policy", "workflow", "jail-link"];

/// All crates; each may depend on those before it.
const ORDER: &[&str] = &[
    "quickjs",
    "model",
    "schedule",
    "evidence",
    "policy",
    "workflow",
    "jail-link",
    "api",
    "sqlite",
    "server",
    "engine",
    "confine",
    "jail",
    "runner",
    "gateway",
    "cli",
];

/// Clients of secret managers, by the beginning of their names.
const SECRET_CLIENTS: &[&str] = &[
    "aws-sdk-",
    "aws-sigv4",
    "azure_identity",
    "azure_security_keyvault",
    "bitwarden",
    "google-cloud-secretmanager",
    "hashicorp_vault",
    "onepassword",
    "rustify",
    "vaultrs",
];

/// Finds edges that the design forbids.
pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let graph = Graph::of(metadata);
    let mut findings = Vec::new();
    for (member, id) in graph.members.iter().filter(|(member, _)| is_product(member)) {
        findings.extend(graph.downward_edges(member, id));
        findings.extend(graph.forbidden_reach(member, id));
    }
    findings
}

/// The graph by package id; members' names without their `writ-` prefix.
struct Graph<'a> {
    names: BTreeMap<&'a str, &'a str>,
    nodes: BTreeMap<&'a str, &'a Node>,
    members: BTreeMap<&'a str, &'a str>,
}

impl<'a> Graph<'a> {
    fn of(metadata: &'a Metadata) -> Self {
        let mut names = BTreeMap::new();
        let mut members = BTreeMap::new();
        for package in &metadata.packages {
            let (id, mut name) = (package.id.as_str(), package.name.as_str());
            if metadata.workspace_members.contains(&package.id) {
                name = name.trim_start_matches("writ-");
                members.insert(name, id);
            }
            names.insert(id, name);
        }
        let nodes = metadata.resolve.nodes.iter();
        Self { names, nodes: nodes.map(|node| (node.id.as_str(), node)).collect(), members }
    }

    /// What the package names in its manifest: id, name, and whether only its tests use it.
    fn edges(&self, id: &str) -> Vec<(&'a str, &'a str, bool)> {
        let edges = self.nodes.get(id).map(|node| node.deps.as_slice()).unwrap_or_default();
        let named = edges.iter().filter_map(|edge| {
            let only_tests = edge.dep_kinds.iter().all(|role| role.kind.as_deref() == Some("dev"));
            Some((edge.pkg.as_str(), *self.names.get(edge.pkg.as_str())?, only_tests))
        });
        named.collect()
    }

    fn downward_edges(&self, member: &str, id: &str) -> Vec<Finding> {
        let Some(own) = position(member) else {
            return vec![finding(member, "the crate has no place in the list".to_owned())];
        };
        let edges = self.edges(id).into_iter();
        let internal = edges.filter(|(_, to, _)| self.members.contains_key(to));
        let down = internal.filter(|(_, to, only_tests)| match position(to) {
            Some(place) => place >= own,
            None => !(*only_tests && *to == "testkit"),
        });
        down.map(|(_, to, _)| finding(member, format!("`{member}` depends on `{to}`"))).collect()
    }

    /// The jail counts as a secret manager's client: it is started, never linked.
    fn forbidden_reach(&self, member: &str, id: &'a str) -> Vec<Finding> {
        let bad = self.reach(id).into_iter().filter(|name| match member {
            "jail" => false,
            "server" => matches!(*name, "jail" | "confine") || is_secret_client(name),
            _ => *name == "jail" || is_secret_client(name),
        });
        bad.map(|name| finding(member, format!("`{member}` links `{name}`"))).collect()
    }

    /// Names of everything that is linked into a member or runs while it is built.
    fn reach(&self, id: &'a str) -> BTreeSet<&'a str> {
        let mut names = BTreeSet::new();
        let mut seen = BTreeSet::from([id]);
        let mut waiting = vec![id];
        while let Some(from) = waiting.pop() {
            for (to, name, only_tests) in self.edges(from) {
                if !only_tests && seen.insert(to) {
                    names.insert(name);
                    waiting.push(to);
                }
            }
        }
        names
    }
}

fn is_product(member: &str) -> bool {
    !matches!(member, "testkit" | "xtask")
}

fn position(member: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == member)
}

fn is_secret_client(name: &str) -> bool {
    SECRET_CLIENTS.iter().any(|client| name.starts_with(client))
}

fn finding(member: &str, what: String) -> Finding {
    Finding {
        path: format!("crates/{member}/Cargo.toml"),
        line: 0,
        rule: "direction",
        what,
        remedy: "dependencies point up the list in `rules/direction.rs`; move the shared noun up",
        fails: true,
    }
}

#[cfg(test)]
mod tests;
