//! Whom a charter believes about who a person is: algorithms, fetched keys, refreshed logins, groups,
//! and who may say so.

#![cfg(test)]

use serde_json::{Value, json};
use writ_evidence::{
    charter::{Binding, Change, Scope, Workspace},
    idc::IdcError,
    issuer::{
        FetchedKeys, IdTokenAlgorithm, Issuer, IssuerClient, JwksEndpoint, TokenKeys, parse_jwks,
    },
    writ::Operation,
};
use writ_model::{ConnectionHost, Grantee, Role, TokenGroup, UnixTime};
use writ_policy::{Policies, Right};
use writ_testkit::{
    rsa_issuer::RsaIssuer,
    tenant::{Anybody, ISSUER, NOON, Tenant},
};

const ACME: &str = "https://acme.example";
const HOUR: u64 = 3600;

fn acme(algorithms: Vec<IdTokenAlgorithm>) -> Issuer {
    let host = ConnectionHost { host: "acme.example".to_owned(), port: 443, plaintext: false };
    let clients = vec![IssuerClient::new("writ-cli", vec![Operation::CharterAppend])];
    Issuer {
        jwks: Some(JwksEndpoint { host, path: "/jwks".to_owned(), allow_cidrs: Vec::new() }),
        subject_claim: "oid".to_owned(),
        groups_claim: Some("groups".to_owned()),
        ..Issuer::new(ACME, algorithms, clients)
    }
}

fn acme_claims(nonce: &str) -> Value {
    json!({
        "iss": ACME, "sub": "pairwise", "oid": "ann", "aud": "writ-cli", "nonce": nonce,
        "iat": NOON, "exp": NOON.plus(HOUR), "groups": ["secops"],
    })
}

fn fetched(rsa: &RsaIssuer, declared: Option<&str>) -> FetchedKeys {
    let mut keys = FetchedKeys::default();
    keys.replace(ACME, vec![rsa.key(declared).unwrap()]);
    keys
}

#[test]
fn rsa_tokens_verify_by_fetched_keys_under_an_algorithm_that_the_charter_lists_and_no_other() {
    use IdTokenAlgorithm::{Ps256, Rs256};
    let rsa = RsaIssuer::new().unwrap();
    let other = RsaIssuer::new().unwrap();
    for (listed, signed, declared, accepted) in [
        (vec![Rs256], Rs256, None, true),
        (vec![Ps256], Ps256, None, true),
        (vec![Rs256, Ps256], Ps256, Some("PS256"), true),
        (vec![Rs256], Ps256, None, false),
        (vec![Ps256], Rs256, None, false),
        (vec![Rs256, Ps256], Rs256, Some("PS256"), false),
    ] {
        let login = rsa.log_in(signed, |nonce| acme_claims(&nonce)).unwrap();
        let keys = fetched(&rsa, declared);
        let issuers = [acme(listed.clone())];
        let verified = login.idc.verify(&issuers, TokenKeys::Fetched(&keys), NOON);
        assert_eq!(verified.is_ok(), accepted, "{listed:?} {signed:?} {declared:?}");
        if let Ok(idc) = verified {
            assert_eq!(idc.principal().sub, "ann", "the subject claim is the charter's");
            assert!(idc.groups().contains("secops"));
        }
        let wrong = fetched(&other, declared);
        assert!(login.idc.verify(&issuers, TokenKeys::Fetched(&wrong), NOON).is_err());
    }
}

#[test]
fn a_key_that_was_not_fetched_is_asked_for_and_does_not_count() {
    let rsa = RsaIssuer::new().unwrap();
    let login = rsa.log_in(IdTokenAlgorithm::Rs256, |nonce| acme_claims(&nonce)).unwrap();
    let issuers = [acme(vec![IdTokenAlgorithm::Rs256])];

    let none = FetchedKeys::default();
    let refused = login.idc.verify(&issuers, TokenKeys::Fetched(&none), NOON);

    assert_eq!(refused.unwrap_err(), IdcError::UnknownKey);
    assert_eq!(login.idc.asks_for().unwrap(), (ACME.to_owned(), vec!["rsa-1".to_owned()]));
}

#[test]
fn fetched_keys_of_an_issuer_whose_keys_are_pinned_do_not_count() {
    let rsa = RsaIssuer::new().unwrap();
    let login = rsa.log_in(IdTokenAlgorithm::Rs256, |nonce| acme_claims(&nonce)).unwrap();
    let pinned = Issuer {
        jwks: None,
        keys: vec![RsaIssuer::new().unwrap().key(None).unwrap()],
        ..acme(vec![IdTokenAlgorithm::Rs256])
    };

    let keys = fetched(&rsa, None);
    assert!(login.idc.verify(&[pinned], TokenKeys::Fetched(&keys), NOON).is_err());
}

#[test]
fn a_jwk_set_gives_its_usable_keys_and_passes_over_the_others() {
    let rsa = RsaIssuer::new().unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut jwk = rsa.jwk(Some("RS256"));
        change(&mut jwk);
        jwk
    };
    let set = json!({ "keys": [
        with(&|jwk| jwk["use"] = json!("enc")),
        with(&|jwk| jwk["alg"] = json!("RSA-OAEP")),
        with(&|jwk| jwk["d"] = json!("AQAB")),
        with(&|jwk| jwk["e"] = json!("AQ")),
        with(&|jwk| jwk["n"] = json!("AQAB")),
        with(&|jwk| jwk["kty"] = json!("oct")),
        with(&|jwk| { jwk.as_object_mut().unwrap().remove("kid"); }),
        with(&|_| {}),
    ] });

    assert_eq!(parse_jwks(set.to_string().as_bytes()).unwrap().len(), 1);
    for bad in ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(parse_jwks(bad.as_bytes()).is_err(), "{bad}");
    }
}

/// The claims of a first token at noon and of a second one, an hour later.
fn refreshed(tenant: &Tenant, first: &Value, second: &Value) -> Result<(), IdcError> {
    let claims = |nonce: Option<&str>, at: UnixTime, more: &Value| {
        let mut claims = json!({
            "iss": ISSUER, "sub": "owner", "aud": "writ-cli", "iat": at, "exp": at.plus(HOUR),
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        for (name, value) in more.as_object().unwrap() {
            claims[name.as_str()] = value.clone();
        }
        claims
    };
    let mut login = tenant.log_in_with(|nonce| claims(Some(&nonce), NOON, first)).unwrap();
    let nonce = writ_evidence::idc::nonce_for(&login.idc.cic);
    let later = NOON.plus(HOUR);
    let mut second = claims(None, later, second);
    if second["nonce"] == json!("same") {
        second["nonce"] = json!(nonce);
    }
    let digest = login.idc.digest();
    login.idc.refreshed = Some(tenant.id_token(&second).unwrap());
    assert_eq!(login.idc.digest(), digest, "refreshing names no other credential");
    let keys = FetchedKeys::default();
    let issuers = tenant.state.issuers();
    login.idc.verify(issuers, TokenKeys::Fetched(&keys), later.plus(HOUR - 100)).map(drop)
}

#[test]
fn a_refreshed_token_extends_its_own_login_and_no_other() {
    let tenant = Tenant::found().unwrap();
    let none = json!({});
    let extends = [
        (none.clone(), json!({ "nonce": "same" })),
        (json!({ "sid": "s1" }), json!({ "sid": "s1" })),
        (json!({ "auth_time": 5 }), json!({ "auth_time": 5 })),
    ];
    for (first, second) in extends {
        assert_eq!(refreshed(&tenant, &first, &second), Ok(()), "{first} {second}");
    }
    let refused = [
        (none.clone(), none.clone()),
        (none.clone(), json!({ "nonce": "another" })),
        (json!({ "sid": "s1" }), json!({ "sid": "s1", "nonce": "another" })),
        (json!({ "sid": "s1" }), json!({ "sid": "s2" })),
        (none.clone(), json!({ "nonce": "same", "sub": "bob" })),
        (none.clone(), json!({ "nonce": "same", "azp": "writ-cli" })),
        (none.clone(), json!({ "nonce": "same", "aud": ["writ-cli"] })),
        (none.clone(), json!({ "nonce": "same", "iat": NOON.0 - 1 })),
    ];
    for (first, second) in refused {
        let outcome = refreshed(&tenant, &first, &second);
        assert_eq!(outcome, Err(IdcError::Refreshed), "{first} {second}");
    }
}

#[test]
fn a_session_ends_when_it_has_lived_as_long_as_the_charter_allows_however_often_refreshed() {
    let tenant = Tenant::found().unwrap();
    let mut login = tenant.log_in("owner", NOON).unwrap();
    let nonce = writ_evidence::idc::nonce_for(&login.idc.cic);
    let late = NOON.plus(12 * HOUR);
    login.idc.refreshed = Some(
        tenant
            .id_token(&json!({
                "iss": ISSUER, "sub": "owner", "aud": "writ-cli", "nonce": nonce,
                "iat": late, "exp": late.plus(HOUR),
            }))
            .unwrap(),
    );
    let keys = FetchedKeys::default();
    let verify = |at| login.idc.verify(tenant.state.issuers(), TokenKeys::Fetched(&keys), at);

    assert!(verify(late).is_ok());
    assert_eq!(verify(late.plus(61)).unwrap_err(), IdcError::SessionAge);
}

#[test]
fn a_group_holds_a_role_for_those_whose_token_lists_it_now() {
    let policies = Policies::built_in().unwrap();
    let mut tenant = Tenant::found().unwrap();
    let group = TokenGroup { iss: ISSUER.to_owned(), group: "secops".to_owned() };
    let binding = Binding {
        principal: Grantee::Group(group),
        role: Role::Administrator,
        scope: Scope::Tenant,
    };
    tenant.change("owner", Change::BindingAdd(binding), &policies).unwrap();
    let login = |groups: Value| {
        tenant
            .log_in_with(|nonce| {
                json!({
                    "iss": ISSUER, "sub": "ann", "aud": "writ-cli", "nonce": nonce,
                    "iat": NOON, "exp": NOON.plus(HOUR), "groups": groups,
                })
            })
            .unwrap()
    };
    let workspace = Workspace { name: "alpha".parse().unwrap(), secret_paths: Vec::new() };
    let keys = FetchedKeys::default();
    for (groups, permitted) in [
        (json!(["secops"]), true),
        (json!(["other", "secops"]), true),
        (json!(["secops2"]), false),
        (json!([]), false),
        (json!(null), false),
    ] {
        let login = login(groups.clone());
        let idc =
            login.idc.verify(tenant.state.issuers(), TokenKeys::Fetched(&keys), NOON).unwrap();
        let right = Right::WorkspaceManage(&workspace.name);
        let decided = policies.decide(&tenant.state, idc.actor(), right);
        assert_eq!(decided.is_ok(), permitted, "{groups}");
        if let Ok(permit) = decided {
            assert!(permit.because()[0].contains("→ group "), "{:?}", permit.because());
        }
    }
    let malformed = login(json!("secops"));
    assert!(malformed.idc.verify(tenant.state.issuers(), TokenKeys::Fetched(&keys), NOON).is_err());
    let candidate = login(json!(["secops"]));
    let candidate = tenant.candidate(&candidate, Change::WorkspaceSet(workspace), NOON).unwrap();
    tenant.admit(candidate, NOON, &policies).unwrap();
}

#[test]
fn only_root_keys_say_which_issuers_are_believed() {
    let policies = Policies::built_in().unwrap();
    let mut tenant = Tenant::found().unwrap();
    let change = || Change::IssuerSet(Box::new(acme(vec![IdTokenAlgorithm::Rs256])));

    assert!(tenant.change("owner", change(), &policies).is_err(), "an owner is no root");
    let foreign = Tenant::found().unwrap().root_entry(change()).unwrap();
    assert!(tenant.state.append(&foreign, &Anybody).is_err(), "another tenant's root");
    let workspace = Workspace { name: "alpha".parse().unwrap(), secret_paths: Vec::new() };
    let grant = tenant.root_entry(Change::WorkspaceSet(workspace)).unwrap();
    assert!(tenant.state.append(&grant, &Anybody).is_err(), "roots sign root-class changes only");

    let entry = tenant.root_entry(change()).unwrap();
    tenant.state.append(&entry, &policies).unwrap();

    assert_eq!(tenant.state.issuers().len(), 2);
    assert!(tenant.state.append(&entry, &policies).is_err(), "an entry stands at one place");
}

#[test]
fn an_issuer_that_rotates_its_keys_breaks_no_history() {
    let policies = Policies::built_in().unwrap();
    let mut tenant = Tenant::found().unwrap();
    let rsa = RsaIssuer::new().unwrap();
    let entry = tenant
        .root_entry(Change::IssuerSet(Box::new(acme(vec![IdTokenAlgorithm::Rs256]))))
        .unwrap();
    tenant.state.append(&entry, &policies).unwrap();
    tenant.entries.push(entry);
    let ann = writ_model::Principal { iss: ACME.to_owned(), sub: "ann".to_owned() };
    let binding = Binding {
        principal: Grantee::Principal(ann),
        role: Role::Administrator,
        scope: Scope::Tenant,
    };
    tenant.change("owner", Change::BindingAdd(binding), &policies).unwrap();
    tenant.keys = fetched(&rsa, None);
    let login = rsa.log_in(IdTokenAlgorithm::Rs256, |nonce| acme_claims(&nonce)).unwrap();
    let workspace = Workspace { name: "alpha".parse().unwrap(), secret_paths: Vec::new() };
    let candidate = tenant.candidate(&login, Change::WorkspaceSet(workspace), NOON).unwrap();
    tenant.admit(candidate, NOON, &policies).unwrap();

    let folded = Tenant::fold(&tenant.entries, tenant.state.ten(), &policies).unwrap();

    assert_eq!(folded.head(), tenant.state.head());
    tenant.keys = FetchedKeys::default();
    let another = Workspace { name: "beta".parse().unwrap(), secret_paths: Vec::new() };
    assert!(tenant.candidate(&login, Change::WorkspaceSet(another), NOON).is_err());
}
