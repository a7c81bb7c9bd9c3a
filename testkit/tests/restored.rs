//! A runner that comes back from a backup, which leaves the jail's state out: it enrolls anew, and what was open stays to
//! be seen, suspended, and is not done again.

#![cfg(test)]

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use writ_testkit::{part::runner_words, world::World};

const WAITS: &str = "document: {dsl: '1.0.1', namespace: lab, name: waits, version: '1.0.0'}
do:
  - wait: {wait: {seconds: 3600}}
";
const GREETS: &str = "document: {dsl: '1.0.1', namespace: lab, name: greets, version: '1.0.0'}
do:
  - greet: {set: {said: hello}}
";

fn publish(world: &World, name: &str, text: &str) {
    let file = world.folder.join(format!("{name}.yaml"));
    fs::write(&file, text).unwrap();
    world.writ(&["automation", "publish", &file.to_string_lossy()]).unwrap();
}

fn shown(world: &World, run: &str) -> Value {
    serde_json::from_str(&world.writ(&["--json", "runs", "show", run]).unwrap()).unwrap()
}

fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_runner_without_its_jails_state_enrolls_anew_and_its_open_runs_come_up_suspended() {
    let mut world = World::start("restored-runner").unwrap();
    world.writ(&["login"]).unwrap();
    world.writ(&["workspace", "set", "lab"]).unwrap();
    publish(&world, "waits", WAITS);
    publish(&world, "greets", GREETS);
    let runners: Value =
        serde_json::from_str(&world.writ(&["--json", "runners", "list"]).unwrap()).unwrap();
    let old = runners[0]["id"].as_str().unwrap().to_owned();
    let run = world.writ(&["run", "start", "lab/waits"]).unwrap().trim().to_owned();
    let before = world.writ(&["run", "start", "lab/greets", "--wait"]).unwrap();
    assert!(before.contains("hello"), "{before}");
    until("the run does not start", || shown(&world, &run)["phase"] == "running");
    world.stop_dev().unwrap();

    // While the jail has its state, nobody throws the runner's keys away by mistake.
    let enroll = [&runner_words(&world, &world.folder.join(".writ"))[..], &words()[..]].concat();
    let enroll: Vec<&str> = enroll.iter().map(String::as_str).collect();
    let keys = fs::read(world.folder.join(".writ/runner/runner-keys.json")).unwrap();
    assert!(world.refused(&enroll).unwrap().contains("has joined a tenant"));
    assert_eq!(fs::read(world.folder.join(".writ/runner/runner-keys.json")).unwrap(), keys);

    fs::remove_file(world.folder.join(".writ/jail/state")).unwrap();
    world.writ(&enroll).unwrap();
    world.start_dev().unwrap();

    // The witness is lost: root keys bring the runner in, and name its jail.
    let enrolled: Value =
        serde_json::from_slice(&fs::read(world.folder.join("again.json")).unwrap()).unwrap();
    let new = enrolled["id"].as_str().unwrap();
    assert_ne!(new, old);
    let root = ["--root-key", ".writ/root.key"];
    world.writ(&[&["runners", "enroll", "again.json"], &root[..]].concat()).unwrap();
    world.writ(&[&["witness", "set", "--runner", new], &root[..]].concat()).unwrap();
    world.writ(&["runners", "retire", &old]).unwrap();

    until("the run does not come up suspended", || shown(&world, &run)["phase"] == "suspended");
    assert_eq!(shown(&world, &run)["code"], "acceptance-foreign");
    // A restart changes nothing about it, and everything else works again.
    world.kill("runner").unwrap();
    let ran = world.writ(&["run", "start", "lab/greets", "--wait"]).unwrap();
    assert!(ran.contains("hello"), "{ran}");
    assert_eq!(shown(&world, &run)["phase"], "suspended");
    // What was done before is still read, by those who may.
    let listed: Value =
        serde_json::from_str(&world.writ(&["--json", "runs", "list"]).unwrap()).unwrap();
    let greeted = |row: &&Value| row["automation"] == "lab/greets";
    let first = listed["runs"].as_array().unwrap().iter().rfind(greeted).unwrap();
    let output = world.writ(&["runs", "output", first["run"].as_str().unwrap()]);
    assert!(output.unwrap().contains("hello"));
    until("the log does not hold", || {
        world.writ(&["audit", "export", "audit"]).unwrap();
        world.writ(&["audit", "verify", "audit"]).is_ok()
    });
}

fn words() -> [String; 3] {
    ["--enroll", "again.json", "--anew"].map(str::to_owned)
}
