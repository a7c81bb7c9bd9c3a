//! The main job on the real executables, with every real payload; and what must not leak from it.

#![cfg(test)]

use std::{fs, path::Path, process::Command, thread, time::Duration};

use serde_json::{Value, json};
use writ_testkit::{
    github_stand_in::{GithubStandIn, Script},
    webhook_examples::secret_scanning_alerts,
    world::{World, sources},
};

const TOKEN: &str = "github_pat_canary_0123456789abcdefghijkl";

fn example_input() -> Value {
    let path = sources().join("examples/leaked-secret/input.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_real_payload_completes_and_the_canaries_stay_where_they_belong() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start("payloads").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();

    let payloads = secret_scanning_alerts().unwrap();
    for (version, payload) in &payloads {
        let output = world.run_main_job(payload).unwrap();
        assert_eq!(output["alert"], payload["alert"]["number"], "{version}");
        assert_eq!(output["repository"], payload["repository"]["full_name"], "{version}");
        assert!(["high", "medium", "low"].contains(&output["severity"].as_str().unwrap()));
    }
    println!("payloads: {} completed", payloads.len());

    let mut input = example_input();
    input["alert"]["html_url"] = json!("https://github.com/canary-in-the-input");
    input["repository"]["name"] = json!("canary-in-an-output");
    let output = world.run_main_job(&input).unwrap();
    assert_eq!(output["issue"], 1);
    assert!(output["issue_url"].as_str().unwrap().contains("canary-in-an-output"));

    audit_verifies_and_tampering_is_named(&world);
    for canary in [TOKEN, "canary-in-the-input", "canary-in-an-output"] {
        let found = files_holding(&world.folder, canary);
        assert!(found.is_empty(), "`{canary}` stands in {found:?}");
    }
}

/// Every file of the world: databases, write-ahead logs, journal, state, vault, logs, audit log.
fn files_holding(folder: &Path, canary: &str) -> Vec<String> {
    let found = Command::new("grep").args(["-rlaF", "--", canary]).arg(folder).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn audit_verifies_and_tampering_is_named(world: &World) {
    let covered = (0..100).any(|_| {
        world.writ(&["audit", "export", "audit"]).unwrap();
        let verified = world.writ(&["audit", "verify", "audit"]).unwrap();
        let covered = !verified.contains("no witness has signed");
        if !covered {
            thread::sleep(Duration::from_millis(200));
        }
        covered
    });
    assert!(covered, "the witness did not sign the whole log");

    let records = fs::read_to_string(world.folder.join("audit/records.jsonl")).unwrap();
    let lines: Vec<&str> = records.lines().collect();
    let tampered = |name: &str, lines: Vec<String>| {
        let folder = world.folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(world.folder.join("audit/checkpoints.jsonl"), folder.join("checkpoints.jsonl"))
            .unwrap();
        fs::write(folder.join("records.jsonl"), lines.join("\n") + "\n").unwrap();
        world.refused(&["audit", "verify", name]).unwrap()
    };
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let receipt = lines.iter().position(|line| line.contains(r#""kind":"receipt""#)).unwrap();

    let mut removed = owned(&lines);
    removed.remove(receipt);
    let said = tampered("removed", removed);
    assert!(said.contains(&format!("bad at record {receipt}:")), "{said}");

    let mut altered = owned(&lines);
    let decision = lines.iter().position(|line| line.contains(r#""kind":"decision""#)).unwrap();
    altered[decision] = altered[decision].replace("permitted", "PERMITTED");
    assert!(tampered("altered", altered).contains("audit-bad"));

    let said = tampered("cut", owned(&lines[..lines.len() - 1]));
    assert!(said.contains("audit-bad"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_waited_out_and_an_echoed_credential_is_redacted() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start("hostile-service").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();

    github.script(Script { rate_limited: 2, echo: true, ..Script::default() });
    let output = world.run_main_job(&example_input()).unwrap();
    assert_eq!(output["severity"], "high");
    assert_eq!(github.requests("GET /repos/octo-example/payments"), 3);

    let elsewhere = GithubStandIn::start(TOKEN).await.unwrap();
    let redirect_to = Some(format!("http://{}/repos/a/b", elsewhere.address()));
    github.script(Script { redirect_to, ..Script::default() });
    let refused = world.run_main_job(&example_input()).unwrap_err().to_string();
    assert!(refused.contains("http-redirect"), "{refused}");
    assert_eq!(elsewhere.all_requests(), 0, "a redirect was followed");

    assert!(files_holding(&world.folder, TOKEN).is_empty());
}
