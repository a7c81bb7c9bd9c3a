//! What of a cell's word is signed.

#![cfg(test)]

use serde_json::{Value, json};
use writ_evidence::statement::DecisionRecord;
use writ_model::{ConnectionHost, Digest, PinnedConnection, Principal};

use super::*;

#[test]
fn a_test_passes_only_if_every_host_was_reached() {
    let tested = receipt(json!({ "reached": 2 }));

    assert_eq!(tested.outcome, TestOutcome::Ok);
    assert_eq!(tested.reached, connection().hosts);
}

#[test]
fn a_failure_names_the_secret_the_host_or_neither() {
    let secret = receipt(json!({
        "reached": 0, "failed": { "code": "vault-denied", "status": 403, "about": "local:a/b" },
    }));
    let host = receipt(json!({ "reached": 1, "failed": { "code": "tls-failed" } }));
    let died = found(&connection(), pending(), CellOutcome::Failed(failed("cell-died")));

    assert_eq!(secret.outcome, outcome("vault-denied", Some(403), TestStage::Secret));
    assert!(secret.reached.is_empty());
    assert_eq!(host.outcome, outcome("tls-failed", None, TestStage::Host(named("b.example"))));
    assert_eq!(host.reached, [named("a.example")]);
    assert_eq!(died.outcome, outcome("cell-died", None, TestStage::Cell));
}

#[test]
fn a_reference_that_a_cell_makes_up_is_not_signed() {
    let made_up = json!({
        "reached": 0, "failed": { "code": "vault-denied", "about": "local:somebody/else" },
    });
    let tested = receipt(made_up);

    assert_eq!(tested.secret, connection().secret);
    assert!(!serde_json::to_string(&tested).unwrap().contains("somebody"));
}

#[test]
fn a_cell_that_contradicts_itself_or_the_charter_is_not_believed() {
    for said in [
        json!({ "reached": 3 }),
        json!({ "reached": 1 }),
        json!({ "reached": 0 }),
        json!({ "reached": 2, "failed": { "code": "tls-failed" } }),
        json!({ "reached": 2, "more": 1 }),
        json!({ "reached": -1 }),
        json!("all is well"),
        json!(null),
    ] {
        let tested = receipt(said.clone());

        let expected = outcome("cell-malformed", None, TestStage::Cell);
        assert_eq!(tested.outcome, expected, "{said}");
        assert!(tested.reached.is_empty(), "{said}");
    }
}

fn receipt(said: Value) -> ConnectionTested {
    found(&connection(), pending(), CellOutcome::Output(said))
}

fn outcome(code: &str, status: Option<u16>, at: TestStage) -> TestOutcome {
    TestOutcome::Failed { code: code.to_owned(), status, at }
}

fn failed(code: &str) -> FailedStep {
    FailedStep { code: code.to_owned(), status: None, retry_after_s: None, about: None }
}

fn named(host: &str) -> ConnectionHost {
    ConnectionHost { host: host.to_owned(), port: 443, plaintext: false }
}

fn connection() -> Connection {
    serde_json::from_value(json!({
        "name": "secops/github", "kind": "bearer", "secret": "local:github/token",
        "hosts": [{ "host": "a.example", "port": 443 }, { "host": "b.example", "port": 443 }],
    }))
    .unwrap()
}

fn pending() -> ConnectionTested {
    let Connection { name, secret, .. } = connection();
    ConnectionTested {
        writ: Digest::from_bytes([1; 32]),
        principal: Principal { iss: "https://idp.example".to_owned(), sub: "ann".to_owned() },
        connection: PinnedConnection { name, digest: Digest::from_bytes([2; 32]) },
        secret,
        decision: DecisionRecord { policies: Vec::new(), because: Vec::new() },
        started_at: UnixTime(1_764_000_000),
        reached: Vec::new(),
        outcome: TestOutcome::Ok,
    }
}
