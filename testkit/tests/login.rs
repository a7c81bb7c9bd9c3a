//! Logins at real OpenID providers: what a person does, what the charter believes, what runs.

#![cfg(test)]

use std::{fs, thread, time::Duration};

use serde_json::Value;
use writ_testkit::{
    github_stand_in::GithubStandIn,
    identity_provider::IdentityProvider,
    world::{World, sources},
};

const TOKEN: &str = "github_pat_canary_login_0123456789abcd";

fn input() -> Vec<u8> {
    fs::read(sources().join("examples/leaked-secret/input.json")).unwrap()
}

fn start_run(world: &World, session: &str) -> std::process::Output {
    let words =
        ["run", "start", "secops/leaked-secret", "--input", "-", "--wait", "--session", session];
    world.try_writ(&words, &input()).unwrap()
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn prepared(name: &str) -> (World, GithubStandIn) {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start(name).unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    (world, github)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_a_group_at_oidc_provider_runs_the_main_job_while_the_group_holds_a_role() {
    let provider = IdentityProvider::oidc_provider("PS256", 3600).unwrap();
    println!("{}", provider.version);
    let (world, _github) = prepared("login-oidc-provider").await;
    world.believe(&provider, &[]).unwrap();
    let subject = world.log_in_at(&provider, "ann").await.unwrap();
    assert_eq!(subject, "ann");

    let refused = start_run(&world, "ann");
    assert!(said(&refused).contains("holds no role"), "{}", said(&refused));

    let group = ["--issuer", &provider.iss, "--group", "secops", "--role", "builder"];
    world.writ(&[&["binding", "add"], &group[..]].concat()).unwrap();
    let ran = start_run(&world, "ann");
    assert!(ran.status.success(), "{}", said(&ran));
    let who = world.writ(&["whoami", "--session", "ann", "--json"]).unwrap();
    let who: Value = serde_json::from_str(&who).unwrap();
    assert_eq!(who["groups"][0], "secops");
    assert_eq!(who["sub"], "ann");

    world.writ(&[&["binding", "remove"], &group[..]].concat()).unwrap();
    let refused = start_run(&world, "ann");
    assert!(!refused.status.success(), "a group without a role starts nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_refreshed_at_its_provider_before_it_ends() {
    // `writ` refreshes what ends within two minutes, so this one is refreshed by every command.
    let provider = IdentityProvider::oidc_provider("RS256", 90).unwrap();
    let (world, _github) = prepared("login-refresh").await;
    world.believe(&provider, &[]).unwrap();
    world.log_in_at(&provider, "ann").await.unwrap();
    let owner = ["--issuer", &provider.iss, "--subject", "ann", "--role", "owner"];
    world.writ(&[&["binding", "add"], &owner[..]].concat()).unwrap();
    let credential = |world: &World| -> Value {
        let who = world.writ(&["whoami", "--session", "ann", "--json"]).unwrap();
        serde_json::from_str(&who).unwrap()
    };

    let first = credential(&world);
    thread::sleep(Duration::from_millis(2100));
    let second = credential(&world);

    assert_eq!(first["idc"], second["idc"], "refreshing names no other credential");
    assert!(second["fresh_until"].as_u64() > first["fresh_until"].as_u64(), "{first} {second}");
    let stored = fs::read_to_string(world.folder.join(".writ/sessions/ann.json")).unwrap();
    assert!(stored.contains("\"refreshed\""));
    let ran = start_run(&world, "ann");
    assert!(ran.status.success(), "{}", said(&ran));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_at_glewlwyd_runs_the_main_job_and_an_issuer_that_is_not_believed_is_refused() {
    let provider = IdentityProvider::glewlwyd("rsa").unwrap();
    println!("{}", provider.version);
    let (world, _github) = prepared("login-glewlwyd").await;
    world.believe(&provider, &["--algorithm", "RS256"]).unwrap();
    let subject = world.log_in_at(&provider, "alice").await.unwrap();
    let builder = ["--issuer", &provider.iss, "--subject", &subject, "--role", "builder"];
    world.writ(&[&["binding", "add"], &builder[..]].concat()).unwrap();

    let ran = start_run(&world, "alice");
    assert!(ran.status.success(), "{}", said(&ran));

    // Believed for another algorithm only, the same login counts for nothing.
    world.believe(&provider, &["--algorithm", "ES256"]).unwrap();
    let refused = start_run(&world, "alice");
    assert!(said(&refused).contains("idc-signature"), "{}", said(&refused));
    let forged = world.refused(&["login", "--issuer", "http://127.0.0.1:1"]).unwrap();
    assert!(forged.contains("knows no issuer"), "{forged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_root_key_makes_an_issuer_believed() {
    let provider = IdentityProvider::oidc_provider("RS256", 3600).unwrap();
    let (world, _github) = prepared("login-roots").await;
    let forged = world.folder.join("forged.key");
    let document =
        aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
            .unwrap();
    fs::write(&forged, document.as_ref()).unwrap();
    let words = [
        "issuer",
        "set",
        &provider.iss,
        "--client-id",
        "writ",
        "--root-key",
        "forged.key",
        "--allow-cidr",
        "127.0.0.1/32",
    ];

    let refused = world.refused(&words).unwrap();

    assert!(refused.contains("charter-roots"), "{refused}");
    assert_eq!(world.writ(&["issuer", "list"]).unwrap().lines().count(), 1);
}
