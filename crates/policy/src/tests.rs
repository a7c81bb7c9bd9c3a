//! A tenant with one owner is enough to show how a decision is made, and that an error denies.

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use writ_evidence::{
    charter::{
        Change, CharterState, EntryBody, Genesis, RunnerEnrollment, UnverifiedEntry, sign_root,
    },
    key::{Algorithm, SigningKey},
    seal::SealingPrivateKey,
};
use writ_model::{Principal, RunnerGroupId, RunnerId, TenantId};

use crate::{Policies, Right};

#[test]
fn the_deciding_policy_and_the_path_are_named() {
    let policies = Policies::built_in().unwrap();
    let permit = policies.decide(&tenant(), &person("owner"), Right::AuditRead).unwrap();

    assert_eq!(permit.policies(), ["role-owner"]);
    assert!(permit.because()[0].contains("binding owner → tenant"), "{:?}", permit.because());
}

#[test]
fn somebody_unknown_is_denied_and_told_which_roles_would_do() {
    let policies = Policies::built_in().unwrap();
    let denied = policies.decide(&tenant(), &person("nobody"), Right::AuditRead).unwrap_err();

    assert_eq!(denied.code, "policy-denied");
    assert!(denied.reason.contains("owner, auditor"), "{}", denied.reason);
}

#[test]
fn an_evaluation_error_denies_whatever_else_permits() {
    let policies = Policies::unvalidated(
        "permit (principal, action, resource);
         permit (principal, action, resource) when { resource.no_such_attribute };",
    );
    let denied = policies.decide(&tenant(), &person("owner"), Right::AuditRead).unwrap_err();

    assert_eq!(denied.code, "policy-error");
}

#[test]
fn a_policy_that_does_not_fit_the_schema_is_refused() {
    assert!(Policies::parse("permit (principal, action, resource) when { resource.no };").is_err());
}

pub(crate) fn person(sub: &str) -> Principal {
    Principal { iss: "https://idp.example".to_owned(), sub: sub.to_owned() }
}

fn key() -> SigningKey {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    SigningKey::from_pkcs8(Algorithm::EdDsa, document.as_ref()).unwrap()
}

pub(crate) fn tenant() -> CharterState {
    let root = key();
    let genesis = Genesis {
        roots: vec![root.public().clone()],
        threshold: 1,
        issuers: Vec::new(),
        owners: vec![person("owner")],
        runner: RunnerEnrollment {
            id: RunnerId::from_bits(1),
            group: RunnerGroupId::from_bits(1),
            jail_key: key().public().clone(),
            link_key: key().public().clone(),
            sealing_key: SealingPrivateKey::from_bytes(&[1; 32]).public(),
        },
    };
    let body = EntryBody { seq: 0, prev: None, change: Change::Genesis(genesis) };
    let body = serde_json::to_string(&body).unwrap();
    let signatures = vec![sign_root(&body, &root, &SystemRandom::new()).unwrap()];
    let entry = UnverifiedEntry::Roots { body, signatures };
    CharterState::found(&entry, TenantId(entry.digest())).unwrap()
}
