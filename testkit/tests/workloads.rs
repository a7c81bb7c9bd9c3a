//! Workloads: CI jobs and service accounts, whose token commits to a key in its audience.
//!
//! The tokens have the shape that GitHub Actions and Kubernetes document; the issuers are ours, on paper.

#![cfg(test)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use writ_evidence::{
    charter::{Binding, Change, Scope, Workspace},
    idc::{IdcError, IdcMode, VerifiedIdc, audience_for, nonce_for},
    issuer::{
        FetchedKeys, IdTokenAlgorithm, Issuer, IssuerClient, JwksEndpoint, TokenKeys, Workload,
    },
    writ::Operation,
};
use writ_model::{ConnectionHost, Grantee, Principal, Role, UnixTime};
use writ_policy::Policies;
use writ_testkit::{
    keys::Login,
    rsa_issuer::RsaIssuer,
    tenant::{NOON, Tenant},
};

const GITHUB: &str = "https://token.actions.githubusercontent.com";
const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
const MAIN: &str = "repo:acme/deploy:ref:refs/heads/main";
const BOT: &str = "system:serviceaccount:secops:writ-bot";

fn workload(name: &str, claims: &[(&str, &str)], operations: Vec<Operation>) -> Workload {
    let claims = claims.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Workload { name: name.to_owned(), claims: claims.collect(), operations }
}

fn issuer(iss: &str, jwks_path: &str, workloads: Vec<Workload>) -> Issuer {
    let host = iss.trim_start_matches("https://").to_owned();
    let host = ConnectionHost { host, port: 443, plaintext: false };
    Issuer {
        jwks: Some(JwksEndpoint { host, path: jwks_path.to_owned(), allow_cidrs: Vec::new() }),
        workloads,
        ..Issuer::new(iss, vec![IdTokenAlgorithm::Rs256], Vec::new())
    }
}

fn github() -> Issuer {
    let claims = [
        ("repository_id", "74"),
        ("ref", "refs/heads/main"),
        ("job_workflow_ref", "acme/deploy/.github/workflows/release.yml@refs/heads/main"),
    ];
    let release = workload("release", &claims, vec![Operation::RunStart]);
    issuer(GITHUB, "/.well-known/jwks", vec![release])
}

fn cluster() -> Issuer {
    let claims = [("sub", BOT), ("/kubernetes.io/serviceaccount/uid", "uid-1")];
    let bot = workload("bot", &claims, vec![Operation::RunStart, Operation::CharterAppend]);
    issuer(CLUSTER, "/openid/v1/jwks", vec![bot])
}

/// What GitHub puts into a job's token.
fn github_claims(audience: &Value) -> Value {
    json!({
        "jti": "4a1f", "sub": MAIN, "aud": audience, "iss": GITHUB,
        "ref": "refs/heads/main", "sha": "3f2a", "ref_type": "branch",
        "repository": "acme/deploy", "repository_id": "74", "repository_owner": "acme",
        "repository_owner_id": "65", "run_id": "1", "run_attempt": "1", "actor": "ann",
        "event_name": "push", "workflow": "release", "runner_environment": "github-hosted",
        "job_workflow_ref": "acme/deploy/.github/workflows/release.yml@refs/heads/main",
        "nbf": NOON.0 - 600, "iat": NOON, "exp": NOON.plus(300),
    })
}

/// What Kubernetes puts into a projected service account token.
fn cluster_claims(audience: &Value) -> Value {
    json!({
        "aud": [audience], "iss": CLUSTER, "sub": BOT, "jti": "0d1e",
        "iat": NOON, "nbf": NOON, "exp": NOON.plus(3600),
        "kubernetes.io": {
            "namespace": "secops",
            "serviceaccount": { "name": "writ-bot", "uid": "uid-1" },
            "pod": { "name": "writ-bot-7", "uid": "uid-2" },
        },
    })
}

fn log_in(rsa: &RsaIssuer, claims: impl Fn(&Value) -> Value) -> Login {
    let commit = |nonce: String| claims(&json!(format!("writ:{nonce}")));
    let mut login = rsa.log_in(IdTokenAlgorithm::Rs256, commit).unwrap();
    login.idc.mode = IdcMode::Workload;
    login
}

fn verify(
    rsa: &RsaIssuer,
    issuer: &Issuer,
    login: &Login,
    at: UnixTime,
) -> Result<VerifiedIdc, IdcError> {
    let mut keys = FetchedKeys::default();
    keys.replace(&issuer.iss, vec![rsa.key(None).unwrap()]);
    login.idc.verify(std::slice::from_ref(issuer), TokenKeys::Fetched(&keys), at)
}

#[test]
fn a_github_job_and_a_kubernetes_service_account_are_who_their_subject_says() {
    let rsa = RsaIssuer::new().unwrap();
    for (issuer, login, sub, name) in [
        (github(), log_in(&rsa, github_claims), MAIN, "release"),
        (cluster(), log_in(&rsa, cluster_claims), BOT, "bot"),
    ] {
        assert_eq!(issuer.check(), Ok(()));
        let idc = verify(&rsa, &issuer, &login, NOON).unwrap();

        assert_eq!(*idc.principal(), Principal { iss: issuer.iss.clone(), sub: sub.to_owned() });
        assert_eq!(idc.through(), name);
        assert!(idc.is_workload() && idc.groups().is_empty());
        assert_eq!(idc.may_sign(Operation::RunStart), Ok(()));
        assert_eq!(idc.may_sign(Operation::RunResume).unwrap_err().code(), "writ-client");
        assert_eq!(login.idc.asks_for().unwrap().0, issuer.iss, "its keys can be fetched");
    }
    let login = log_in(&rsa, github_claims);
    let idc = verify(&rsa, &github(), &login, NOON).unwrap();
    assert_eq!(idc.may_sign(Operation::CharterAppend).unwrap_err().code(), "writ-client");
    let nonce = writ_evidence::idc::UnverifiedIdc { mode: IdcMode::Nonce, ..login.idc.clone() };
    assert_ne!(login.idc.digest(), nonce.digest(), "the mode is part of the name");
}

#[test]
fn a_token_whose_one_audience_does_not_commit_to_the_key_vouches_for_nothing() {
    let rsa = RsaIssuer::new().unwrap();
    let with = |audience: &dyn Fn(&Value) -> Value| {
        log_in(&rsa, |committed| {
            let mut claims = github_claims(committed);
            claims["aud"] = audience(committed);
            claims
        })
    };
    let bare = |aud: &Value| json!(aud.as_str().unwrap().trim_start_matches("writ:"));
    assert!(verify(&rsa, &github(), &with(&|aud| json!([aud])), NOON).is_ok());
    for (name, login) in [
        ("GitHub's own default", with(&|_| json!("https://github.com/acme"))),
        ("without the prefix", with(&bare)),
        ("beside another", with(&|aud| json!([aud, "sts.amazonaws.com"]))),
        ("twice", with(&|aud| json!([aud, aud]))),
        ("none", with(&|_| json!([]))),
        ("not a text", with(&|aud| json!({ "aud": aud }))),
        ("absent", with(&|_| Value::Null)),
    ] {
        let refused = verify(&rsa, &github(), &login, NOON).unwrap_err();
        assert_eq!(
            (refused.code(), refused),
            ("idc-audience", IdcError::WorkloadAudience),
            "{name}"
        );
    }
    // A token that somebody else asked for, with one's own key beside it.
    let mut stolen = log_in(&rsa, github_claims);
    stolen.idc.cic = log_in(&rsa, github_claims).idc.cic;
    let refused = verify(&rsa, &github(), &stolen, NOON).unwrap_err();
    assert_eq!(refused, IdcError::WorkloadAudience);
    assert_eq!(audience_for(&stolen.idc.cic), format!("writ:{}", nonce_for(&stolen.idc.cic)));
}

#[test]
fn a_workload_is_told_by_every_claim_of_its_entry_exactly_and_by_no_pattern() {
    let rsa = RsaIssuer::new().unwrap();
    let changed = |name: &'static str, value: Value| {
        log_in(&rsa, move |audience| {
            let mut claims = github_claims(audience);
            claims[name] = value.clone();
            claims
        })
    };
    for login in [
        changed("repository_id", json!("75")),
        changed("repository_id", json!(74)),
        changed("ref", json!("refs/heads/main2")),
        changed("ref", json!("refs/heads/*")),
        changed("ref", json!(["refs/heads/main"])),
        changed("job_workflow_ref", json!("acme/deploy/.github/workflows/x.yml@refs/heads/main")),
        changed("job_workflow_ref", Value::Null),
    ] {
        let refused = verify(&rsa, &github(), &login, NOON).unwrap_err();
        assert_eq!((refused.code(), refused), ("idc-workload", IdcError::UnknownWorkload));
    }
    let recreated = log_in(&rsa, |audience| {
        let mut claims = cluster_claims(audience);
        claims["kubernetes.io"]["serviceaccount"]["uid"] = json!("uid-9");
        claims
    });
    let refused = verify(&rsa, &cluster(), &recreated, NOON).unwrap_err();
    assert_eq!(refused, IdcError::UnknownWorkload, "the same name, another account");
    let mut starred = github();
    starred.workloads[0].claims.insert("ref".to_owned(), "refs/heads/*".to_owned());
    let main = log_in(&rsa, github_claims);
    assert_eq!(verify(&rsa, &starred, &main, NOON).unwrap_err(), IdcError::UnknownWorkload);
    assert_eq!(verify(&rsa, &cluster(), &main, NOON).unwrap_err(), IdcError::UnknownIssuer);
}

#[test]
fn a_job_s_token_counts_for_its_five_minutes_and_is_never_refreshed() {
    let rsa = RsaIssuer::new().unwrap();
    let login = log_in(&rsa, github_claims);
    assert!(verify(&rsa, &github(), &login, NOON.plus(359)).is_ok());
    let stale = verify(&rsa, &github(), &login, NOON.plus(360)).unwrap_err();
    assert_eq!(stale, IdcError::Stale);
    let brief = Issuer { max_age_s: 60, ..cluster() };
    let projected = log_in(&rsa, cluster_claims);
    assert_eq!(verify(&rsa, &brief, &projected, NOON.plus(120)).unwrap_err(), IdcError::Stale);

    let early = log_in(&rsa, |audience| {
        let mut claims = cluster_claims(audience);
        claims["nbf"] = json!(NOON.plus(61));
        claims
    });
    assert_eq!(verify(&rsa, &cluster(), &early, NOON).unwrap_err(), IdcError::Future);
    assert!(verify(&rsa, &cluster(), &early, NOON.plus(1)).is_ok());

    let mut refreshed = login;
    refreshed.idc.refreshed = Some(refreshed.idc.id_token.clone());
    let refused = verify(&rsa, &github(), &refreshed, NOON).unwrap_err();
    assert_eq!(refused, IdcError::Refreshed);
}

#[test]
fn a_workload_and_a_person_of_one_issuer_are_not_taken_for_each_other() {
    let rsa = RsaIssuer::new().unwrap();
    let both = Issuer {
        clients: vec![IssuerClient::new("writ-cli", vec![Operation::RunStart])],
        groups_claim: Some("groups".to_owned()),
        ..cluster()
    };
    let person = |mode| {
        let claims = |nonce: String| {
            json!({
                "iss": CLUSTER, "sub": BOT, "aud": "writ-cli", "nonce": nonce,
                "kubernetes.io": { "serviceaccount": { "uid": "uid-1" } },
                "iat": NOON, "exp": NOON.plus(3600),
            })
        };
        let mut login = rsa.log_in(IdTokenAlgorithm::Rs256, claims).unwrap();
        login.idc.mode = mode;
        login
    };
    assert!(!verify(&rsa, &both, &person(IdcMode::Nonce), NOON).unwrap().is_workload());
    let refused = verify(&rsa, &both, &person(IdcMode::Workload), NOON).unwrap_err();
    assert_eq!(refused, IdcError::WorkloadAudience);
    let mut login = log_in(&rsa, |audience| {
        let mut claims = cluster_claims(audience);
        claims["groups"] = json!(["secops"]);
        claims
    });
    assert!(verify(&rsa, &both, &login, NOON).unwrap().groups().is_empty());
    login.idc.mode = IdcMode::Nonce;
    assert_eq!(verify(&rsa, &both, &login, NOON).unwrap_err(), IdcError::Audience);
}

#[test]
fn a_workload_changes_the_charter_where_its_entry_says_so_and_a_role_is_bound_to_it() {
    let policies = Policies::built_in().unwrap();
    let rsa = RsaIssuer::new().unwrap();
    let mut tenant = Tenant::found().unwrap();
    for issuer in [github(), cluster()] {
        let entry = tenant.root_entry(Change::IssuerSet(Box::new(issuer.clone()))).unwrap();
        tenant.state.append(&entry, &policies).unwrap();
        tenant.keys.replace(&issuer.iss, vec![rsa.key(None).unwrap()]);
    }
    let change = || {
        Change::WorkspaceSet(Workspace { name: "alpha".parse().unwrap(), secret_paths: Vec::new() })
    };
    let bind = |tenant: &mut Tenant, iss: &str, sub: &str| {
        let principal = Principal { iss: iss.to_owned(), sub: sub.to_owned() };
        let principal = Grantee::Principal(principal);
        let binding = Binding { principal, role: Role::Administrator, scope: Scope::Tenant };
        tenant.change("owner", Change::BindingAdd(binding), &policies).unwrap();
    };
    let bot = log_in(&rsa, cluster_claims);
    let unbound = tenant.candidate(&bot, change(), NOON).unwrap();
    let refused = tenant.state.admit(&unbound, &tenant.keys, NOON, &policies).unwrap_err();
    assert_eq!(refused.code(), "policy-denied");

    bind(&mut tenant, CLUSTER, BOT);
    bind(&mut tenant, GITHUB, MAIN);
    let candidate = tenant.candidate(&bot, change(), NOON).unwrap();
    tenant.admit(candidate, NOON, &policies).unwrap();
    let job = tenant.candidate(&log_in(&rsa, github_claims), change(), NOON).unwrap();
    let refused = tenant.state.admit(&job, &tenant.keys, NOON, &policies).unwrap_err();
    assert_eq!(refused.code(), "writ-client", "its entry lists no charter changes");
}

#[test]
fn a_workload_entry_that_tells_nobody_apart_is_refused() {
    let with = |name: &str, claims: BTreeMap<String, String>| {
        let operations = vec![Operation::RunStart];
        let mut issuer = github();
        issuer.workloads = vec![Workload { name: name.to_owned(), claims, operations }];
        issuer.check()
    };
    let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    assert_eq!(with("job", one("sub", MAIN)), Ok(()));
    assert!(with("job", BTreeMap::new()).is_err());
    assert!(with("", one("sub", MAIN)).is_err());
    assert!(with("job", one("aud", "writ:x")).is_err());
    assert!(with("job", one("sub", "")).is_err());
    let mut nobody = github();
    nobody.workloads.clear();
    assert!(nobody.check().is_err(), "neither a client nor a workload");
}
