//! Which claims each operation takes: its own, all of them, and no others.

#![cfg(test)]

use serde_json::{Map, Value, json};

use super::*;

/// A well-formed value of each claim that only some operations take.
fn all() -> Map<String, Value> {
    let digest = Digest::from_bytes([1; 32]).to_string();
    let inp = KeyedDigest::from_bytes([2; 32]);
    let claims = json!({
        "aud": RunnerGroupId::from_bits(1), "cnt": digest, "inp": inp, "authorization_details": [],
        "reason": "INC-1", "step": StepId { task: "/do/0/a".to_owned(), iteration: 0 }, "attempt": 1,
        "decision": "retry", "payload": KeyedDigest::from_bytes([6; 32]),
    });
    claims.as_object().unwrap().clone()
}

fn wire(op: Operation, res: Option<&str>, names: &[&str]) -> Option<WritClaims> {
    let mut claims = json!({
        "ver": 1, "ten": TenantId(Digest::from_bytes([3; 32])), "iss": "https://idp.example",
        "sub": "ann", "idc": Digest::from_bytes([4; 32]), "jti": "0123456789abcdef",
        "iat": 1_764_000_000, "exp": 1_764_000_120, "charter": Digest::from_bytes([5; 32]),
        "op": op,
    });
    for name in names {
        claims[*name] = all()[*name].clone();
    }
    if op == Operation::RunApprove && names.contains(&"decision") {
        claims["decision"] = "approve".into();
    }
    if let Some(res) = res {
        claims["res"] = res.into();
    }
    serde_json::from_value::<WireClaims>(claims).ok()?.into_claims()
}

/// What each operation takes besides `res`; an example of that.
const TAKES: [(Operation, Option<&str>, &[&str]); 7] = [
    (Operation::RunStart, Some("secops/a"), &["aud", "cnt", "inp", "authorization_details"]),
    (Operation::RunResume, Some(RUN), &["aud", "step", "attempt", "decision"]),
    (Operation::RunCancel, Some(RUN), &["aud"]),
    (Operation::RunApprove, Some(RUN), &["aud", "step", "attempt", "payload", "decision"]),
    (Operation::ConnectionTest, Some("secops/github"), &["aud"]),
    (Operation::SessionRevoke, Some(SESSION), &["aud"]),
    (Operation::CharterAppend, None, &["cnt"]),
];
const SESSION: &str = "sha256:EOdm_nWhrMjL23serPmAshs208LbwRjIYJTeoU4hm-8";
const RUN: &str = "run_00000000000000000000000000000001";

#[test]
fn each_operation_takes_its_own_claims_and_is_written_as_it_was_read() {
    assert_eq!(TAKES.map(|(op, _, _)| op), Operation::ALL);
    for (op, res, names) in TAKES {
        let claims = wire(op, res, names).unwrap_or_else(|| panic!("{op:?}"));
        let again = WireClaims::from_claims(&claims).into_claims();

        assert_eq!(claims.order.operation(), op);
        assert_eq!(again.as_ref(), Some(&claims));
    }
}

#[test]
fn a_claim_too_few_or_too_many_is_refused() {
    for (op, res, names) in TAKES {
        assert_eq!(wire(op, None, names).is_some(), res.is_none(), "{op:?} without res");
        for missing in names {
            let fewer: Vec<&str> = names.iter().copied().filter(|name| name != missing).collect();
            assert!(wire(op, res, &fewer).is_none(), "{op:?} without {missing}");
        }
        let others = all();
        let others = others.keys().map(String::as_str).filter(|name| !names.contains(name));
        // A run may be started with a reason or without.
        for more in others.filter(|name| (op, *name) != (Operation::RunStart, "reason")) {
            let more_names = [names, &[more]].concat();
            assert!(wire(op, res, &more_names).is_none(), "{op:?} with {more}");
        }
        let with_res = wire(op, Some(res.unwrap_or("secops/a")), names);
        assert_eq!(with_res.is_some(), res.is_some(), "{op:?} with res");
    }
}

#[test]
fn what_is_tested_is_named_as_a_connection_is() {
    for res in ["github", "secops/", "secops/github/more", "secops/../github", RUN, ""] {
        assert!(wire(Operation::ConnectionTest, Some(res), &["aud"]).is_none(), "{res}");
    }
}
