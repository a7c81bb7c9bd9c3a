//! How strong a login has to be, whose issuer's tokens count, and records from before that could be said.

#![cfg(test)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use writ_evidence::{
    charter::{Binding, Change, Scope, Workspace},
    idc::{IdcError, VerifiedIdc},
    issuer::{FetchedKeys, IdTokenAlgorithm, Issuer, IssuerClient, Requirement, TokenKeys},
    writ::Operation,
};
use writ_model::{Grantee, Principal, Role};
use writ_policy::Policies;
use writ_testkit::{
    rsa_issuer::RsaIssuer,
    tenant::{NOON, Tenant},
};

const ACME: &str = "https://acme.example";

/// An issuer with one pinned key, whose client's logins have to meet these requirements.
fn issuer(rsa: &RsaIssuer, requires: Vec<Requirement>) -> Issuer {
    let operations = vec![Operation::RunStart, Operation::CharterAppend];
    let client = IssuerClient { requires, ..IssuerClient::new("writ-cli", operations) };
    Issuer {
        keys: vec![rsa.key(None).unwrap()],
        ..Issuer::new(ACME, vec![IdTokenAlgorithm::Rs256], vec![client])
    }
}

fn claims(nonce: &str, more: &Value) -> Value {
    let mut claims = json!({
        "iss": ACME, "sub": "ann", "aud": "writ-cli", "nonce": nonce,
        "iat": NOON, "exp": NOON.plus(3600),
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name.as_str()] = value.clone();
    }
    claims
}

fn login(rsa: &RsaIssuer, issuer: Issuer, more: &Value) -> Result<VerifiedIdc, IdcError> {
    let login = rsa.log_in(IdTokenAlgorithm::Rs256, |nonce| claims(&nonce, more)).unwrap();
    login.idc.verify(&[issuer], TokenKeys::Fetched(&FetchedKeys::default()), NOON)
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

#[test]
fn an_operation_is_signed_by_a_login_that_is_as_strong_as_the_charter_asks_and_by_no_weaker() {
    let acr = Requirement { acr: texts(&["phr", "phrh"]), ..Requirement::default() };
    let all = Requirement { amr_all: texts(&["pwd", "otp"]), ..Requirement::default() };
    let any = Requirement { amr_any: texts(&["hwk", "pop"]), ..Requirement::default() };
    let age = Requirement { max_auth_age_s: Some(600), ..Requirement::default() };
    let rsa = RsaIssuer::new().unwrap();
    let cases = [
        (&acr, json!({ "acr": "phr" }), Ok(())),
        (&acr, json!({ "acr": "phrh" }), Ok(())),
        (&acr, json!({ "acr": "phr phrh" }), Err("idc-acr")),
        (&acr, json!({ "acr": ["phr"] }), Err("idc-acr")),
        (&acr, json!({}), Err("idc-acr")),
        (&all, json!({ "amr": ["otp", "x", "pwd"] }), Ok(())),
        (&all, json!({ "amr": ["otp"] }), Err("idc-amr")),
        (&all, json!({ "amr": "pwd otp" }), Err("idc-amr")),
        (&all, json!({}), Err("idc-amr")),
        (&any, json!({ "amr": ["pop"] }), Ok(())),
        (&any, json!({ "amr": ["pwd"] }), Err("idc-amr")),
        (&any, json!({ "amr": [] }), Err("idc-amr")),
        (&age, json!({ "auth_time": NOON.0 - 600 }), Ok(())),
        (&age, json!({ "auth_time": NOON.0 - 660 }), Err("idc-auth-age")),
        (&age, json!({ "auth_time": NOON.0 + 3600 }), Err("idc-auth-age")),
        (&age, json!({ "auth_time": NOON.0.to_string() }), Err("idc-auth-age")),
        (&age, json!({}), Err("idc-auth-age")),
    ];
    for (asked, shown, expected) in cases {
        let idc = login(&rsa, issuer(&rsa, vec![asked.clone()]), &shown).unwrap();
        let signed = idc.may_sign(Operation::RunStart).map_err(|error| error.code());
        assert_eq!(signed, expected, "{asked:?} {shown}");
        assert_eq!(idc.may_sign(Operation::RunCancel).unwrap_err().code(), "writ-client");
    }
}

#[test]
fn a_requirement_is_asked_of_the_operations_it_names_and_every_one_of_several_holds() {
    let rsa = RsaIssuer::new().unwrap();
    let changes = Requirement {
        operations: vec![Operation::CharterAppend],
        acr: texts(&["phr"]),
        ..Requirement::default()
    };
    let everything = Requirement { amr_all: texts(&["otp"]), ..Requirement::default() };
    let strength = |shown: &Value| {
        let idc = login(&rsa, issuer(&rsa, vec![changes.clone(), everything.clone()]), shown);
        let idc = idc.unwrap();
        let may = |operation| idc.may_sign(operation).map_err(|error| error.code());
        (may(Operation::RunStart), may(Operation::CharterAppend))
    };

    assert_eq!(strength(&json!({})), (Err("idc-amr"), Err("idc-acr")));
    assert_eq!(strength(&json!({ "amr": ["otp"] })), (Ok(()), Err("idc-acr")));
    assert_eq!(strength(&json!({ "acr": "phr" })), (Err("idc-amr"), Err("idc-amr")));
    assert_eq!(strength(&json!({ "amr": ["otp"], "acr": "phr" })), (Ok(()), Ok(())));
}

#[test]
fn a_refreshed_token_shows_what_it_says_and_of_what_it_leaves_out_what_the_first_one_said() {
    let rsa = RsaIssuer::new().unwrap();
    let asked = Requirement { acr: texts(&["phr"]), ..Requirement::default() };
    let issuers = [issuer(&rsa, vec![asked])];
    for (first, second, strong) in [
        (json!({ "acr": "phr" }), json!({}), true),
        (json!({ "acr": "phr" }), json!({ "acr": "0" }), false),
        (json!({ "acr": "0" }), json!({ "acr": "phr" }), true),
    ] {
        let mut nonce = String::new();
        let mut login = rsa
            .log_in(IdTokenAlgorithm::Rs256, |drawn| {
                nonce.clone_from(&drawn);
                claims(&drawn, &first)
            })
            .unwrap();
        let second = claims(&nonce, &second);
        login.idc.refreshed = Some(rsa.sign(IdTokenAlgorithm::Rs256, &second).unwrap());
        let keys = FetchedKeys::default();
        let idc = login.idc.verify(&issuers, TokenKeys::Fetched(&keys), NOON).unwrap();
        assert_eq!(idc.may_sign(Operation::RunStart).is_ok(), strong, "{first} {second}");
    }
}

#[test]
fn a_token_without_each_pinned_claim_is_another_customers() {
    let rsa = RsaIssuer::new().unwrap();
    let pinned = [("tid", "t1"), ("hd", "acme.example")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let issuer = Issuer { pinned_claims: BTreeMap::from(pinned), ..issuer(&rsa, Vec::new()) };
    let verify = |more: Value| login(&rsa, issuer.clone(), &more).map(drop);

    assert_eq!(verify(json!({ "tid": "t1", "hd": "acme.example" })), Ok(()));
    for more in [
        json!({ "tid": "t1" }),
        json!({ "hd": "acme.example" }),
        json!({ "tid": "t2", "hd": "acme.example" }),
        json!({ "tid": "T1", "hd": "acme.example" }),
        json!({ "tid": ["t1"], "hd": "acme.example" }),
        json!({}),
    ] {
        assert_eq!(verify(more.clone()), Err(IdcError::Pinned), "{more}");
    }
}

#[test]
fn a_weak_login_changes_no_charter_and_is_told_so_by_its_code() {
    let policies = Policies::built_in().unwrap();
    let rsa = RsaIssuer::new().unwrap();
    let mut tenant = Tenant::found().unwrap();
    let asked = Requirement {
        operations: vec![Operation::CharterAppend],
        acr: texts(&["phr"]),
        ..Requirement::default()
    };
    let set = Change::IssuerSet(Box::new(issuer(&rsa, vec![asked])));
    let entry = tenant.root_entry(set).unwrap();
    tenant.state.append(&entry, &policies).unwrap();
    let binding = Binding {
        principal: Grantee::Principal(Principal { iss: ACME.to_owned(), sub: "ann".to_owned() }),
        role: Role::Administrator,
        scope: Scope::Tenant,
    };
    tenant.change("owner", Change::BindingAdd(binding), &policies).unwrap();
    let candidate = |tenant: &Tenant, more: &Value| {
        let login = rsa.log_in(IdTokenAlgorithm::Rs256, |nonce| claims(&nonce, more)).unwrap();
        let workspace = Workspace { name: "alpha".parse().unwrap(), secret_paths: Vec::new() };
        tenant.candidate(&login, Change::WorkspaceSet(workspace), NOON).unwrap()
    };

    let weak = candidate(&tenant, &json!({ "acr": "0" }));
    let refused = tenant.state.admit(&weak, &tenant.keys, NOON, &policies).unwrap_err();
    assert_eq!(refused.code(), "idc-acr");
    let strong = candidate(&tenant, &json!({ "acr": "phr" }));
    tenant.admit(strong, NOON, &policies).unwrap();
}

#[test]
fn a_record_from_before_is_read_as_it_was_and_written_with_the_same_text() {
    let rsa = RsaIssuer::new().unwrap();
    let key = serde_json::to_string(&issuer(&rsa, Vec::new()).keys).unwrap();
    let before = format!(
        r#"{{"iss":"https://acme.example","keys":{key},"algorithms":["RS256"],"clients":[{{"client_id":"writ-cli","operations":["run.start","charter.append"]}}],"max_age_s":3600,"session_max_s":43200,"subject_claim":"sub"}}"#
    );

    let read: Issuer = serde_json::from_str(&before).unwrap();

    assert_eq!(read, issuer(&rsa, Vec::new()));
    assert_eq!(serde_json::to_string(&read).unwrap(), before);
}

#[test]
fn a_record_that_cannot_be_meant_is_refused() {
    let rsa = RsaIssuer::new().unwrap();
    let sound = || issuer(&rsa, Vec::new());
    assert_eq!(sound().check(), Ok(()));
    let requiring = |requirement: Requirement| issuer(&rsa, vec![requirement]);
    let pinning = |name: &str, value: &str| {
        let pinned_claims = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Issuer { pinned_claims, ..sound() }
    };
    let mut device = sound();
    device.clients[0].device_flow = true;
    for refused in [
        requiring(Requirement::default()),
        requiring(Requirement { acr: texts(&["a b"]), ..Requirement::default() }),
        requiring(Requirement { amr_all: texts(&[""]), ..Requirement::default() }),
        requiring(Requirement {
            operations: vec![Operation::RunResume],
            acr: texts(&["phr"]),
            ..Requirement::default()
        }),
        pinning("aud", "writ-cli"),
        pinning("nonce", "n"),
        pinning("", "x"),
        pinning("tid", ""),
        device.clone(),
    ] {
        assert!(refused.check().is_err(), "{refused:?}");
    }
    device.clients[0].operations = vec![Operation::RunStart];
    assert_eq!(device.check(), Ok(()));
    assert_eq!(pinning("tid", "t1").check(), Ok(()));
}
