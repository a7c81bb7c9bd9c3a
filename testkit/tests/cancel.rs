//! `run.cancel`: who may, what stops, and what a cancelled run never does again.

#![cfg(test)]

use std::{fs, thread, time::Duration};

use serde_json::Value;
use writ_testkit::{
    github_stand_in::{GithubStandIn, Script},
    world::{World, sources},
};

const TOKEN: &str = "github_pat_cancel_0123456789abcdefghijkl";

const WAITS: &str = "document: {dsl: '1.0.1', namespace: secops, name: waits, version: '1.0.0'}
do:
  - wait: {wait: {seconds: 3600}}
  - post:
      call: slack.chat.post-message:1.0.0@default
      with: {connection: slack, channel: '#security-alerts', text: never}
";

async fn prepared(name: &str) -> (World, GithubStandIn) {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start(name).unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    let document = world.folder.join("waits.yaml");
    fs::write(&document, WAITS).unwrap();
    world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
    (world, github)
}

fn status(world: &World, run: &str) -> Value {
    serde_json::from_str(&world.writ(&["--json", "runs", "show", run]).unwrap()).unwrap()
}

fn running(world: &World, run: &str) {
    for _ in 0..200 {
        if status(world, run)["phase"] == "running" {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{run} does not run: {}", status(world, run));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_and_does_nothing_more_even_after_a_crash() {
    let (mut world, github) = prepared("cancel").await;
    let run = world.writ(&["run", "start", "secops/waits"]).unwrap().trim().to_owned();
    running(&world, &run);

    world.writ(&["login", "--as", "eve", "--session", "eve"]).unwrap();
    world.writ(&["binding", "add", "--subject", "eve", "--role", "viewer"]).unwrap();
    let refused = world.refused(&["--session", "eve", "run", "cancel", &run]).unwrap();
    assert!(refused.contains("policy-denied"), "{refused}");

    world.writ(&["run", "cancel", &run]).unwrap();
    let ended = status(&world, &run);
    assert_eq!((&ended["phase"], &ended["code"]), (&"faulted".into(), &"cancelled".into()));
    assert!(world.writ(&["runs", "show", &run]).unwrap().contains("cancelled by"));
    let again = world.refused(&["run", "cancel", &run]).unwrap();
    assert!(again.contains("run-ended"), "{again}");

    world.stop_dev().unwrap();
    world.start_dev().unwrap();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(status(&world, &run)["phase"], "faulted");
    assert_eq!(github.messages().len(), 0);
    let verified = (0..100).any(|_| {
        world.writ(&["audit", "export", "audit"]).unwrap();
        let said = world.writ(&["audit", "verify", "audit"]).unwrap();
        thread::sleep(Duration::from_millis(100));
        !said.contains("no witness has signed")
    });
    assert!(verified, "the audit log verifies");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_in_a_call_begins_no_other() {
    let (world, github) = prepared("cancel-in-a-call").await;
    github.script(Script { slow_ms: 1500, ..Script::default() });
    let input = sources().join("examples/leaked-secret/input.json");
    let words = ["run", "start", "secops/leaked-secret", "--input", &input.to_string_lossy()];
    let run = world.writ(&words).unwrap().trim().to_owned();
    for _ in 0..200 {
        if github.requests("POST /repos/octo-example/payments/issues") > 0 {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }

    world.writ(&["run", "cancel", &run]).unwrap();
    thread::sleep(Duration::from_millis(3500));

    assert_eq!(status(&world, &run)["code"], "cancelled");
    assert!(github.issues().len() <= 1, "what was under way may have happened");
    assert_eq!(github.messages().len(), 0, "nothing more of it began");
}
