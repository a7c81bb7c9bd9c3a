//! A runner that is told to end lets the call end that is under way, so that nobody is asked about it.

#![cfg(test)]

use std::{thread, time::Duration};

use serde_json::Value;
use writ_testkit::{
    github_stand_in::{GithubStandIn, Script},
    world::{World, sources},
};

const TOKEN: &str = "github_pat_shutdown_0123456789abcdefghij";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_under_way_ends_before_the_runner_does_and_the_run_goes_on_later() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let mut world = World::start("shutdown").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    github.script(Script { slow_ms: 1500, ..Script::default() });
    let input = sources().join("examples/leaked-secret/input.json");
    let words = ["run", "start", "secops/leaked-secret", "--input", &input.to_string_lossy()];
    let run = world.writ(&words).unwrap().trim().to_owned();
    for _ in 0..400 {
        if github.requests("POST /repos/octo-example/payments/issues") > 0 {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }

    world.stop_dev().unwrap();
    assert_eq!(github.messages().len(), 0, "nothing was begun after that");
    github.script(Script::default());
    world.start_dev().unwrap();

    let mut status = Value::Null;
    for _ in 0..400 {
        let shown = world.writ(&["--json", "runs", "show", &run]).unwrap();
        status = serde_json::from_str(&shown).unwrap();
        if status["phase"] == "completed" {
            break;
        }
        assert_ne!(status["phase"], "suspended", "the end of the call is known: {status}");
        thread::sleep(Duration::from_millis(25));
    }
    assert_eq!(status["phase"], "completed", "{status}");
    assert_eq!((github.issues().len(), github.messages().len()), (1, 1));
}
