//! A change of the charter that goes to the gateway: while the control plane hangs, and when it is back.

#![cfg(test)]

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use writ_testkit::{github_stand_in::GithubStandIn, world::World};

const TOKEN: &str = "github_pat_push_0123456789abcdef";

/// Waits, then posts: time to stop it in between.
const SLOW: &str = "document: {dsl: '1.0.1', namespace: secops, name: slow, version: '1.0.0'}
do:
  - first: {set: {begun: true}}
  - wait: {wait: {seconds: 6}}
  - post:
      call: slack.chat.post-message:1.0.0@default
      with: {connection: slack, channel: '#security-alerts', text: late}
";

/// A control plane that takes connections and answers nothing, until this is dropped.
struct Hanging(u32);

impl Hanging {
    fn of(world: &World) -> Self {
        let pid = world.pid("server").unwrap();
        Self::signal("-STOP", pid);
        Self(pid)
    }

    fn signal(signal: &str, pid: u32) {
        Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        Self::signal("-CONT", self.0);
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A command's standard error; it must have succeeded.
fn said(world: &World, words: &[&str]) -> String {
    let output = world.try_writ(words, b"").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words:?}: {said}");
    said
}

fn until(what: &str, world: &World, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(Instant::now() < deadline, "{what}:\n{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_takes_effect_while_the_control_plane_hangs_and_is_known_there_afterwards() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start("push").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    let document = world.folder.join("slow.yaml");
    fs::write(&document, SLOW).unwrap();
    world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
    let asked = github.all_requests();
    let run = world.writ(&["run", "start", "secops/slow"]).unwrap().trim().to_owned();
    let status = || json_of(&world.writ(&["--json", "runs", "show", &run]).unwrap());
    until("running", &world, || status()["phase"] == "running");

    let hanging = Hanging::of(&world);
    let told = said(&world, &["--push", "suspend", "--connection", "secops/slack"]);

    assert!(told.contains("has folded the charter until entry"), "{told}");
    assert!(told.contains("warning: the control plane was not told"), "{told}");
    thread::sleep(Duration::from_secs(7));
    assert_eq!(github.all_requests(), asked, "the action was made");
    // Somebody else's change goes on from there, by the gateway as well.
    let told = said(&world, &["--push", "workspace", "set", "after"]);
    assert!(told.contains("workspace.set, witnessed"), "{told}");
    let log = json_of(&world.writ(&["--push", "--json", "charter", "log"]).unwrap());
    let kinds: Vec<_> = log.as_array().unwrap().iter().map(|row| row["change"].clone()).collect();
    assert!(kinds.ends_with(&[json!("subject.suspend"), json!("workspace.set")]), "{kinds:?}");
    drop(hanging);

    until("the run has ended", &world, || status()["phase"] == "faulted");
    let shown = status().to_string();
    assert!(shown.contains("suspended"), "{shown}");
    let of_server = || json_of(&world.writ(&["--json", "charter", "log"]).unwrap());
    until("the control plane has the entries", &world, || of_server() == log);
    let refused = world.refused(&["run", "start", "secops/slow"]).unwrap();
    assert!(refused.contains("suspended"), "{refused}");
    assert_eq!(github.all_requests(), asked);

    // What differs is said by noun, between entries and against an export.
    let before = (kinds.len() - 3).to_string();
    let diff = world.writ(&["charter", "diff", &before]).unwrap();
    assert!(diff.contains("new: suspension connection secops/slack"), "{diff}");
    assert!(diff.contains("new: workspace after"), "{diff}");
    world.writ(&["charter", "export", "charter.jsonl"]).unwrap();
    world.writ(&["restore", "--connection", "secops/slack"]).unwrap();
    let diff = json_of(&world.writ(&["--json", "charter", "diff", "charter.jsonl"]).unwrap());
    assert_eq!(diff["differences"].as_array().unwrap().len(), 1, "{diff}");
    assert_eq!(diff["differences"][0]["name"], "connection secops/slack");
    assert!(diff["differences"][0]["after"].is_null(), "{diff}");
    let turned = world.refused(&["charter", "diff", &(kinds.len() - 1).to_string(), "1"]).unwrap();
    assert!(turned.contains("charter-diff"), "{turned}");

    // Pushing what is known already says until where, and changes nothing.
    let pushed = world.writ(&["charter", "push", "charter.jsonl"]).unwrap();
    assert!(pushed.contains(&format!("entry {}", kinds.len())), "{pushed}");
    world.writ(&["audit", "export", "audit"]).unwrap();
    world.writ(&["audit", "verify", "audit"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_one_number_one_holds_and_the_other_is_signed_again() {
    let world = World::start("push-conflict").unwrap();
    world.writ(&["login"]).unwrap();
    world.writ(&["workspace", "set", "first"]).unwrap();
    // One is signed and kept; meanwhile the charter goes on by the control plane.
    let roots = ["witness", "set", "--max-staleness", "7200", "--propose", "late.json"];
    let runner = json_of(&world.writ(&["--json", "runners", "list"]).unwrap());
    let of = ["--runner", runner[0]["id"].as_str().unwrap()];
    world.writ(&[&roots[..], &of[..]].concat()).unwrap();
    world.writ(&["charter", "sign", "late.json", "--root-key", ".writ/root.key"]).unwrap();
    world.writ(&["workspace", "set", "second"]).unwrap();

    let late = world.refused(&["charter", "push", "late.json"]).unwrap();

    assert!(late.contains("charter-not-next"), "{late}");
    // Both ways at once: each is an entry in the end, and there is one charter.
    thread::scope(|scope| {
        for (way, name) in
            [(&["--push"][..], "third"), (&[][..], "fourth"), (&["--push"][..], "fifth")]
        {
            let world = &world;
            scope.spawn(move || world.writ(&[way, &["workspace", "set", name]].concat()).unwrap());
        }
    });
    let log = |way: &[&str]| {
        json_of(&world.writ(&[way, &["--json", "charter", "log"]].concat()).unwrap())
    };
    until("one charter", &world, || log(&[]) == log(&["--push"]));
    let list = world.writ(&["workspace", "list"]).unwrap();
    for name in ["first", "second", "third", "fourth", "fifth"] {
        assert!(list.contains(name), "{name}: {list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_altered_or_not_allowed_is_refused_by_the_gateway_with_its_code() {
    let world = World::start("push-forged").unwrap();
    world.writ(&["login"]).unwrap();
    world.writ(&["workspace", "set", "secops"]).unwrap();
    let bind = ["binding", "add", "--subject", "bob", "--role", "viewer", "--workspace", "secops"];
    world.writ(&bind).unwrap();
    world.writ(&["--session", "bob", "login", "--as", "bob"]).unwrap();
    let head = || json_of(&world.writ(&["--push", "--json", "charter", "log"]).unwrap());
    let before = head();

    let refused = |words: &[&str]| world.refused(words).unwrap();
    let bob = ["--session", "bob", "--push", "suspend", "--workspace", "secops"];
    assert!(refused(&bob).contains("policy-denied"));
    let rotate = ["root", "rotate", "--new", "new.jwk", "--propose", "rotation.json"];
    let jwk = world.writ(&["root", "new", "new.key"]).unwrap();
    fs::write(world.folder.join("new.jwk"), jwk).unwrap();
    world.writ(&rotate).unwrap();
    assert!(refused(&["charter", "push", "rotation.json"]).contains("charter-roots"));
    world.writ(&["charter", "sign", "rotation.json", "--root-key", "new.key"]).unwrap();
    assert!(refused(&["charter", "push", "rotation.json"]).contains("charter-roots"));
    // An entry that is there already, with another body: it is passed over, and stays as it is.
    world.writ(&["charter", "export", "charter.jsonl"]).unwrap();
    let export = fs::read_to_string(world.folder.join("charter.jsonl")).unwrap();
    let mut entry = json_of(export.lines().last().unwrap());
    entry["body"] = json!(entry["body"].as_str().unwrap().replace("viewer", "owner"));
    fs::write(world.folder.join("altered.json"), entry.to_string()).unwrap();
    world.writ(&["charter", "push", "altered.json"]).unwrap();

    assert_eq!(head(), before);
}
