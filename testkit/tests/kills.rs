//! `kill -9` of the runner at seeded instants: no run is lost, no issue is opened twice.

#![cfg(test)]

use std::{fs, thread, time::Duration};

use serde_json::Value;
use writ_testkit::{
    github_stand_in::{GithubStandIn, Script},
    world::{World, sources},
};

const TOKEN: &str = "github_pat_kill_0123456789abcdefghijklmn";
/// How many times the runner is killed.
const KILLS: u64 = 20;
/// Where the instants come from; another seed gives other instants.
const SEED: u64 = 0x5EED_0001;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_runner_loses_no_run_and_repeats_no_write() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start("kills").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    // Slow enough that some instants fall between begin and end of creating an issue.
    github.script(Script { slow_ms: 120, ..Script::default() });
    let input = sources().join("examples/leaked-secret/input.json");
    let input = input.to_string_lossy().into_owned();

    let (mut completed, mut resumed) = (0, 0);
    let mut random = SEED;
    for kill in 0..KILLS {
        let before = github.issues().len();
        let words = ["run", "start", "secops/leaked-secret", "--input", &input];
        let run = world.writ(&words).unwrap().trim().to_owned();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(kill | 1);
        thread::sleep(Duration::from_millis((random >> 33) % 700));
        world.kill("runner").unwrap();

        let phase = settle(&world, &run);
        let issues = github.issues().len() - before;
        match phase.as_str() {
            "completed" => {
                completed += 1;
                assert_eq!(issues, 1, "kill {kill}: {issues} issues of one completed run");
            }
            "suspended" => {
                resumed += 1;
                assert!(issues <= 1, "kill {kill}: {issues} issues of one suspended run");
                // A person looks whether the issue is there, and decides.
                let decision = if issues == 1 { "--fail" } else { "--retry" };
                world.try_writ(&["run", "resume", &run, decision], b"").unwrap();
                let phase = settle(&world, &run);
                let issues = github.issues().len() - before;
                assert_eq!(issues, 1, "kill {kill}: {issues} issues after resuming");
                assert!(["completed", "faulted"].contains(&phase.as_str()), "{phase}");
            }
            other => panic!("kill {kill}: {run} is {other}"),
        }
    }
    println!("kills: {KILLS}; completed {completed}, suspended and resumed {resumed}");
    assert_eq!(completed + resumed, KILLS);

    let verified = (0..100).any(|_| {
        world.writ(&["audit", "export", "audit"]).unwrap();
        let verified = world.writ(&["audit", "verify", "audit"]).unwrap();
        let covered = !verified.contains("no witness has signed");
        thread::sleep(Duration::from_millis(if covered { 0 } else { 200 }));
        covered
    });
    assert!(verified, "the audit log does not verify after the kills");
    fs::remove_dir_all(world.folder.join("audit")).unwrap();
}

/// Waits until a run has ended or is suspended.
fn settle(world: &World, run: &str) -> String {
    for _ in 0..600 {
        let shown = world.writ(&["--json", "runs", "show", run]).unwrap();
        let status: Value = serde_json::from_str(&shown).unwrap();
        let phase = status["phase"].as_str().unwrap();
        if !["ordered", "running"].contains(&phase) {
            return phase.to_owned();
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{run} neither ended nor is suspended\n{}", world.log().unwrap());
}
