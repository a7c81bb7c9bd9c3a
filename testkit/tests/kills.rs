//! `kill -9` of every part at seeded instants: no run is lost, nothing is done twice, the log verifies.
//!
//! `WRIT_KILLS` sets how many instants; 20 unless set.

#![cfg(test)]

use std::{collections::BTreeMap, fs, thread, time::Duration};

use serde_json::Value;
use writ_testkit::{
    github_stand_in::{GithubStandIn, Script},
    world::{World, sources},
};

const TOKEN: &str = "github_pat_kill_0123456789abcdefghijklmn";
/// Where the instants come from; another seed gives other instants.
const SEED: u64 = 0x5EED_0001;
/// Whom to kill, in turn.
const PARTS: [&str; 7] =
    ["runner", "launcher-a", "jail", "cell", "launcher-b", "gateway", "server"];

fn kills() -> u64 {
    std::env::var("WRIT_KILLS").map_or(20, |kills| kills.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_killed_part_loses_a_run_or_repeats_a_write() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start("kills").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    // Slow enough that some instants fall between begin and end of creating an issue.
    github.script(Script { slow_ms: 120, ..Script::default() });
    let input = sources().join("examples/leaked-secret/input.json");
    let input = input.to_string_lossy().into_owned();

    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut random = SEED;
    for kill in 0..kills() {
        let part = PARTS[usize::try_from(kill).unwrap() % PARTS.len()];
        let before = (github.issues().len(), github.messages().len());
        let run = order(&world, &input);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(kill | 1);
        thread::sleep(Duration::from_millis((random >> 33) % 700));
        let hit = kill_part(&world, part);

        let (mut phase, mut step) = settle(&world, &run);
        let mut decisions = 0;
        while phase == "suspended" {
            // A person looks whether it happened, and decides.
            let happened = if step.contains("/tell") {
                github.messages().len() > before.1
            } else {
                github.issues().len() > before.0
            };
            let decision = if happened { "--fail" } else { "--retry" };
            world.try_writ(&["run", "resume", &run, decision], b"").unwrap();
            (phase, step) = settle(&world, &run);
            decisions += 1;
            assert!(decisions < 10, "kill {kill} of {part}: {run} never settles");
        }
        let issues = github.issues().len() - before.0;
        let messages = github.messages().len() - before.1;
        assert!(["completed", "faulted"].contains(&phase.as_str()), "{part}: {run} is {phase}");
        assert!(issues <= 1 && messages <= 1, "kill {kill} of {part}: {issues}, {messages}");
        if phase == "completed" {
            assert_eq!((issues, messages), (1, 1), "kill {kill} of {part}");
        }
        let hit = if hit { "" } else { " (not running)" };
        let how = if decisions > 0 { " after a decision" } else { "" };
        let code = status(&world, &run)["code"].as_str().unwrap_or_default().to_owned();
        *seen.entry(format!("{part}{hit}: {phase} {code}{how}")).or_default() += 1;
    }
    for (what, times) in seen {
        println!("{times:4} × {what}");
    }
    audit_verifies(&world);
}

/// Orders a run; while a part comes back, as often as it takes.
fn order(world: &World, input: &str) -> String {
    let words = ["run", "start", "secops/leaked-secret", "--input", input];
    for _ in 0..200 {
        if let Ok(run) = world.writ(&words) {
            return run.trim().to_owned();
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("no run can be ordered\n{}", world.log().unwrap());
}

/// Kills a part, if it runs now; a cell is waited for, since each lives for one call only.
fn kill_part(world: &World, part: &str) -> bool {
    if ["runner", "gateway", "server"].contains(&part) {
        return world.kill(part).is_ok();
    }
    let tries = if part == "cell" { 400 } else { 20 };
    for _ in 0..tries {
        if let Some(pid) = world.jail_process(part) {
            return world.kill_pid(pid).is_ok();
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}

fn audit_verifies(world: &World) {
    let verified = (0..150).any(|_| {
        let exported = world.writ(&["audit", "export", "audit"]);
        let verified = exported.and_then(|_| world.writ(&["audit", "verify", "audit"]));
        let covered = verified.is_ok_and(|said| !said.contains("no witness has signed"));
        thread::sleep(Duration::from_millis(if covered { 0 } else { 200 }));
        covered
    });
    assert!(verified, "the audit log does not verify after the kills");
    fs::remove_dir_all(world.folder.join("audit")).unwrap();
}

fn status(world: &World, run: &str) -> Value {
    for _ in 0..200 {
        // The control plane may be on its way back.
        if let Ok(shown) = world.writ(&["--json", "runs", "show", run]) {
            return serde_json::from_str(&shown).unwrap();
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{run} can't be looked at\n{}", world.log().unwrap());
}

/// Waits until a run has ended or is suspended: its phase, and the step in doubt.
fn settle(world: &World, run: &str) -> (String, String) {
    for _ in 0..600 {
        let status = status(world, run);
        let phase = status["phase"].as_str().unwrap();
        if !["ordered", "running"].contains(&phase) {
            let step = status["step"].as_str().unwrap_or_default();
            return (phase.to_owned(), step.to_owned());
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{run} neither ended nor is suspended\n{}", world.log().unwrap());
}
