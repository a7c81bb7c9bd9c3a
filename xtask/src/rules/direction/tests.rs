//! Which edges the design forbids.

use serde_json::{Value, json};

use super::*;

/// A graph of `(from, to, kind)`; names with `writ-` are members.
fn found(edges: &[(&str, &str, Option<&str>)]) -> Vec<String> {
    let names: BTreeSet<_> = edges.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
    let node = |name: &str| -> Value {
        let of_it = edges.iter().filter(|(from, _, _)| *from == name);
        let deps = of_it.map(|(_, to, kind)| json!({"pkg": to, "dep_kinds": [{"kind": kind}]}));
        json!({"id": name, "deps": deps.collect::<Vec<_>>()})
    };
    let members = names.iter().filter(|name| name.starts_with("writ-") || **name == "xtask");
    let metadata = json!({
        "packages": names.iter().map(|name| json!({"name": name, "id": name})).collect::<Vec<_>>(),
        "workspace_members": members.collect::<Vec<_>>(),
        "resolve": {"nodes": names.iter().map(|name| node(name)).collect::<Vec<_>>()},
    });
    let metadata = serde_json::from_value(metadata).unwrap();
    check(&metadata).into_iter().map(|finding| finding.what).collect()
}

#[test]
fn an_edge_up_the_list_passes() {
    assert_eq!(
        found(&[("writ-cli", "writ-server", None), ("writ-server", "writ-model", None)]),
        Vec::<String>::new()
    );
}

#[test]
fn an_edge_down_the_list_is_found_whatever_its_kind() {
    for kind in [None, Some("build"), Some("dev")] {
        assert_eq!(
            found(&[("writ-model", "writ-evidence", kind)]),
            ["`model` depends on `evidence`"]
        );
    }
}

#[test]
fn only_tests_may_use_the_testkit() {
    assert_eq!(found(&[("writ-cli", "writ-testkit", None)]), ["`cli` depends on `testkit`"]);
    assert_eq!(found(&[("writ-cli", "writ-testkit", Some("dev"))]), Vec::<String>::new());
}

#[test]
fn nothing_uses_xtask() {
    assert_eq!(found(&[("writ-cli", "xtask", Some("dev"))]), ["`cli` depends on `xtask`"]);
}

#[test]
fn a_crate_without_a_place_is_found() {
    assert_eq!(found(&[("writ-surprise", "serde", None)]), ["the crate has no place in the list"]);
}

#[test]
fn a_secret_managers_client_is_found_through_other_crates() {
    assert_eq!(
        found(&[("writ-runner", "middle", None), ("middle", "vaultrs", None)]),
        ["`runner` links `vaultrs`"]
    );
    assert_eq!(found(&[("writ-jail", "vaultrs", None)]), Vec::<String>::new());
    assert_eq!(found(&[("writ-runner", "vaultrs", Some("dev"))]), Vec::<String>::new());
}

#[test]
fn nobody_links_the_jail() {
    assert_eq!(found(&[("writ-cli", "writ-jail", None)]), ["`cli` links `jail`"]);
}

#[test]
fn the_server_links_no_confinement() {
    assert_eq!(
        found(&[("writ-server", "middle", None), ("middle", "writ-confine", None)]),
        ["`server` links `confine`"]
    );
}
