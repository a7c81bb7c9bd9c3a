//! What must not leak, hunted for: credentials, webhook bodies, inputs, outputs, what code prints, in every
//! file, log, error message, process and core dump of a world that logs everything.
//!
//! What crosses a network between machines is hunted in `three_machines`.

#![cfg(test)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use writ_testkit::{
    github_stand_in::{GithubStandIn, SLACK_TOKEN, Script},
    webhook_examples::secret_scanning_alerts,
    world::World,
};

const TOKEN: &str = "github_pat_canary_hunt_0123456789abcdefg";
const IN_INPUT: &str = "canary-in-an-input-of-the-hunt";
const IN_OUTPUT: &str = "canary-in-an-output-of-the-hunt";
const IN_LOG: &str = "canary-that-code-prints-in-the-hunt";
const IN_ERROR: &str = "canary-in-an-error-of-the-hunt";

const CANARIES: [&str; 6] = [TOKEN, SLACK_TOKEN, IN_INPUT, IN_OUTPUT, IN_LOG, IN_ERROR];

/// Code that prints, and then fails when it is told to.
const CODE: &str = "document:
  dsl: '1.0.1'
  namespace: secops
  name: code
  version: '1.0.0'
do:
  - print:
      run:
        script:
          language: python
          code: |
            import json, sys
            given = json.load(sys.stdin)
            print(given['log'], file=sys.stderr)
            if given['fail']:
                raise RuntimeError(given['log'])
            print(json.dumps({'said': given['log']}))
          arguments: ${ . }
  - refuse:
      if: ${ .said == null }
      raise:
        error: { type: 'https://example.com/e', status: 400, title: '${ .said }' }
";

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_found_where_the_design_says_never() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start_verbose("canaries").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();

    let said = run_everything(&world, &github);
    thread::sleep(Duration::from_millis(300));

    let log = world.log().unwrap();
    assert!(log.contains("DEBUG"), "the log is not at its most verbose");
    world.writ(&["audit", "export", "audit"]).unwrap();
    for canary in CANARIES {
        assert!(!said.contains(canary), "`{canary}` stands in what `writ` says");
        assert!(!log.contains(canary), "`{canary}` stands in the log");
        let found = files_holding(&world.folder, canary);
        assert!(found.is_empty(), "`{canary}` stands in {found:?}");
    }
    processes_show_nothing(&world);
    crashes_leave_nothing(&world, &github);
}

/// Runs that complete, fault and are refused, with canaries in all they are given; what `writ` said on
/// standard error.
fn run_everything(world: &World, github: &GithubStandIn) -> String {
    let mut said = String::new();
    let mut run = |name: &str, input: &Value| {
        let words = ["run", "start", name, "--input", "-", "--wait"];
        let output = world.try_writ(&words, input.to_string().as_bytes()).unwrap();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        output.status.success()
    };
    let (_, mut webhook) = secret_scanning_alerts().unwrap().remove(0);
    webhook["alert"]["html_url"] = json!(format!("https://github.com/{IN_INPUT}"));
    webhook["repository"]["name"] = json!(IN_OUTPUT);
    webhook["alert"]["validity"] = json!("active");
    assert!(run("secops/leaked-secret", &webhook));
    github.script(Script { echo: true, ..Script::default() });
    assert!(run("secops/leaked-secret", &webhook));
    github.script(Script { redirect_to: Some(format!("/{IN_ERROR}")), ..Script::default() });
    assert!(!run("secops/leaked-secret", &webhook));
    github.script(Script::default());
    assert!(!run("secops/leaked-secret", &json!({ "action": IN_INPUT, "alert": IN_ERROR })));

    let document = world.folder.join("code.yaml");
    fs::write(&document, CODE).unwrap();
    world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
    fs::remove_file(&document).unwrap();
    assert!(run("secops/code", &json!({ "log": IN_LOG, "fail": false })));
    assert!(!run("secops/code", &json!({ "log": IN_LOG, "fail": true })));
    assert!(!run("secops/code", &json!({ "log": IN_ERROR })));
    said
}

fn files_holding(folder: &Path, canary: &str) -> Vec<String> {
    let found = Command::new("grep").args(["-rlaF", "--", canary]).arg(folder).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

const PARTS: [&str; 6] = ["server", "gateway", "runner", "launcher-a", "jail", "launcher-b"];

fn pid(world: &World, part: &str) -> Option<u32> {
    match part {
        "server" | "gateway" | "runner" => world.pid(part).ok(),
        other => world.jail_process(other),
    }
}

/// Arguments and environment hold no canary, and another user reads nothing at all.
fn processes_show_nothing(world: &World) {
    for part in PARTS {
        let pid = pid(world, part).unwrap_or_else(|| panic!("{part} is not running"));
        for file in ["cmdline", "environ"] {
            let shown = fs::read(format!("/proc/{pid}/{file}")).unwrap();
            let shown = String::from_utf8_lossy(&shown).into_owned();
            for canary in CANARIES {
                assert!(!shown.contains(canary), "`{canary}` stands in {file} of {part}");
            }
        }
        for file in ["mem", "environ", "maps", "io"] {
            let read = Command::new("setpriv")
                .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "head", "-c", "1"])
                .arg(format!("/proc/{pid}/{file}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert!(!read.success(), "another user reads /proc/…/{file} of {part}");
        }
    }
}

/// Every part is ended by a fault in the middle of a run; no core dump is left.
fn crashes_leave_nothing(world: &World, github: &GithubStandIn) {
    fault_leaves_a_core_elsewhere(&world.folder);
    github.script(Script { slow_ms: 300, ..Script::default() });
    for part in ["cell", "jail", "launcher-a", "launcher-b", "runner", "gateway", "server"] {
        let (_, webhook) = secret_scanning_alerts().unwrap().remove(0);
        let words = ["run", "start", "secops/leaked-secret", "--input", "-"];
        for _ in 0..100 {
            let ordered = world.try_writ(&words, webhook.to_string().as_bytes()).unwrap();
            if ordered.status.success() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        for _ in 0..500 {
            if let Some(pid) = pid(world, part) {
                let faulted = Command::new("kill").args(["-SEGV", &pid.to_string()]).output();
                if faulted.unwrap().status.success() {
                    break;
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(400));
    }
    let dumps = cores(&world.folder);
    assert!(dumps.is_empty(), "core dumps are left: {dumps:?}");
    for canary in CANARIES {
        assert!(files_holding(&world.folder, canary).is_empty(), "`{canary}` after crashes");
    }
}

/// Core dumps are on here: an ordinary program leaves one, which shows that the others would, too.
fn fault_leaves_a_core_elsewhere(folder: &Path) {
    let elsewhere = folder.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let crashed = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; kill -SEGV $$"])
        .current_dir(&elsewhere)
        .status()
        .unwrap();
    assert!(!crashed.success());
    if pattern.trim().starts_with("core") {
        assert_eq!(cores(&elsewhere).len(), 1, "no core dump of an ordinary program");
    } else {
        println!("core dumps go to `{}` here, not beside the program", pattern.trim());
    }
    fs::remove_dir_all(&elsewhere).unwrap();
}

fn cores(folder: &Path) -> Vec<String> {
    let found = Command::new("find").arg(folder).args(["-name", "core*"]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}
