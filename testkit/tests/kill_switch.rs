//! Authority in a real installation: the kill switch, root keys off line, two signers, two witnesses.

#![cfg(test)]

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use writ_testkit::{
    github_stand_in::{GithubStandIn, SLACK_TOKEN},
    world::{World, executables, sources},
};

const TOKEN: &str = "github_pat_kill_switch_0123456789abcdef";

/// Waits, then posts: time to stop it in between.
const SLOW: &str = "document: {dsl: '1.0.1', namespace: secops, name: slow, version: '1.0.0'}
do:
  - first: {set: {begun: true}}
  - wait: {wait: {seconds: 4}}
  - post:
      call: slack.chat.post-message:1.0.0@default
      with: {connection: slack, channel: '#security-alerts', text: late}
";

fn input() -> Value {
    let path = sources().join("examples/leaked-secret/input.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn status(world: &World, run: &str) -> Value {
    serde_json::from_str(&world.writ(&["--json", "runs", "show", run]).unwrap()).unwrap()
}

/// Waits until a run is in one of these phases.
fn until(world: &World, run: &str, phases: &[&str]) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = status(world, run);
        if phases.iter().any(|phase| status["phase"] == *phase) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status}\n{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_stops_new_work_at_once_and_running_work_at_its_next_action() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start("kill-switch").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    let document = world.folder.join("slow.yaml");
    fs::write(&document, SLOW).unwrap();
    world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
    let asked = github.all_requests();

    for subject in [["--connection", "secops/slack"], ["--automation", "secops/slow"]] {
        let run = world.writ(&["run", "start", "secops/slow"]).unwrap().trim().to_owned();
        until(&world, &run, &["running"]);
        world.writ(&["suspend", subject[0], subject[1]]).unwrap();
        let ended = until(&world, &run, &["faulted", "completed", "suspended"]);
        assert_eq!(ended["phase"], "faulted", "{subject:?}: {ended}");
        assert_eq!(github.all_requests(), asked, "{subject:?}: the action was made");
        let refused = world.refused(&["run", "start", "secops/slow", "--wait"]).unwrap();
        assert!(refused.contains("suspended"), "{subject:?}: {refused}");
        world.writ(&["restore", subject[0], subject[1]]).unwrap();
    }

    world.writ(&["suspend", "--tenant"]).unwrap();
    let refused = world.run_main_job(&input()).unwrap_err().to_string();
    assert!(refused.contains("the tenant is suspended"), "{refused}");
    world.writ(&["restore", "--tenant"]).unwrap();
    world.run_main_job(&input()).unwrap();
    world.writ(&["audit", "export", "audit"]).unwrap();
    world.writ(&["audit", "verify", "audit"]).unwrap();
}

#[test]
fn root_keys_sign_off_line_and_are_replaced_by_those_before() {
    let world = World::start("roots").unwrap();
    world.writ(&["login"]).unwrap();
    let public = |name: &str| {
        let jwk = world.writ(&["root", "new", &format!("{name}.key")]).unwrap();
        fs::write(world.folder.join(format!("{name}.jwk")), jwk).unwrap();
        format!("{name}.jwk")
    };
    let (first, second) = (public("first"), public("second"));
    let rotate = ["root", "rotate", "--new", &first, "--new", &second, "--threshold", "2"];
    world.writ(&[&rotate[..], &["--propose", "rotation.json"]].concat()).unwrap();
    let unsigned = world.refused(&["charter", "submit", "rotation.json"]).unwrap();
    assert!(unsigned.contains("0 valid root signatures of 1"), "{unsigned}");

    world.writ(&["charter", "sign", "rotation.json", "--root-key", ".writ/root.key"]).unwrap();
    world.writ(&["charter", "submit", "rotation.json"]).unwrap();

    let runner = world.writ(&["--json", "runners", "list"]).unwrap();
    let runner = serde_json::from_str::<Value>(&runner).unwrap()[0]["id"].clone();
    let set = ["witness", "set", "--runner", runner.as_str().unwrap()];
    let by = |keys: &[&str]| -> Vec<String> {
        let keys = keys.iter().flat_map(|key| ["--root-key", key]);
        set.into_iter().chain(keys).map(str::to_owned).collect()
    };
    let refused = |keys: &[&str]| {
        let words = by(keys);
        world.refused(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
    };
    let old = refused(&[".writ/root.key"]);
    assert!(old.contains("0 valid root signatures of 2"), "{old}");
    let one = refused(&["first.key"]);
    assert!(one.contains("1 valid root signatures of 2"), "{one}");
    let both = by(&["first.key", "second.key"]);
    world.writ(&both.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    world.writ(&["charter", "export", "charter.jsonl"]).unwrap();
    assert!(world.writ(&["charter", "verify", "charter.jsonl"]).unwrap().contains("verified"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_administrators_two_people_sign_where_a_credential_goes() {
    let world = World::start("two-signers").unwrap();
    world.writ(&["login"]).unwrap();
    world.writ(&["workspace", "set", "lab", "--secret-path", "local:github/*"]).unwrap();
    world.writ(&["binding", "add", "--subject", "ada", "--role", "administrator"]).unwrap();
    world.writ(&["--session", "ada", "login", "--as", "ada"]).unwrap();
    let set = ["connection", "set", "lab/github", "--host", "api.github.example"];
    let set = [&set[..], &["--secret", "local:github/token"]].concat();

    let alone = world.refused(&set).unwrap();

    assert!(alone.contains("charter-second-signer"), "{alone}");
    let file = fs::read_dir(&world.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .find(|name| name.starts_with("writ-proposal-"))
        .unwrap();
    let early = world.refused(&["charter", "submit", &file]).unwrap();
    assert!(early.contains("charter-second-signer"), "{early}");
    world.writ(&["--session", "ada", "charter", "sign", &file]).unwrap();
    world.writ(&["--session", "ada", "charter", "submit", &file]).unwrap();
    assert!(world.writ(&["connection", "list"]).unwrap().contains("lab/github"));
}

#[test]
fn people_keys_groups_packs_and_runners_are_managed_from_the_command_line() {
    let world = World::start("managed").unwrap();
    world.writ(&["login"]).unwrap();
    world.writ(&["workspace", "set", "secops"]).unwrap();
    world.writ(&["group", "set", "on-call", "--subject", "bob"]).unwrap();
    let bind = ["binding", "add", "--charter-group", "on-call", "--role", "viewer"];
    world.writ(&[&bind[..], &["--workspace", "secops"]].concat()).unwrap();
    world.writ(&["--session", "bob", "login", "--as", "bob"]).unwrap();
    let whoami = || world.writ(&["--session", "bob", "--json", "whoami"]);
    let who: Value = serde_json::from_str(&whoami().unwrap()).unwrap();
    assert_eq!(who["roles"], json!(["viewer of workspace secops"]));

    let key = who["key"].as_str().unwrap();
    for subject in [["--user", "bob"], ["--key", key]] {
        world.writ(&["suspend", subject[0], subject[1]]).unwrap();
        let stopped = world.refused(&["--session", "bob", "runs", "list"]).unwrap();
        assert!(stopped.contains("is suspended"), "{subject:?}: {stopped}");
        world.writ(&["restore", subject[0], subject[1]]).unwrap();
        world.writ(&["--session", "bob", "runs", "list"]).unwrap();
    }
    world.writ(&["group", "set", "on-call"]).unwrap();
    assert!(!world.writ(&["group", "list"]).unwrap().contains("on-call"));
    assert!(
        world.refused(&["--session", "bob", "runs", "list"]).unwrap().contains("policy-denied")
    );

    world.writ(&["pack", "withdraw", "github", "1.0.0"]).unwrap();
    assert!(!world.writ(&["pack", "list"]).unwrap().contains("github"));

    fs::create_dir_all(world.folder.join("second")).unwrap();
    Second::enroll(&world);
    world.writ(&["runners", "enroll", "second.json"]).unwrap();
    let request = fs::read(world.folder.join("second.json")).unwrap();
    let request: Value = serde_json::from_slice(&request).unwrap();
    let id = request["id"].as_str().unwrap();
    let set = ["suspend", "--runner", id];
    assert!(world.refused(&set).unwrap().contains("root"), "an owner is no root");
    world.writ(&[&set[..], &["--root-key", ".writ/root.key"]].concat()).unwrap();
    world.writ(&["runners", "retire", id]).unwrap();
    assert!(!world.writ(&["runners", "list"]).unwrap().contains(id));
}

/// A second runner beside that of `writ dev`.
struct Second {
    process: Option<Child>,
}

impl Second {
    fn words(world: &World) -> Vec<String> {
        let path = |name: &str| world.folder.join("second").join(name).display().to_string();
        let pairs = [("--data", "data"), ("--jail-state", "jail"), ("--vault", "vault")];
        let mut words: Vec<String> =
            pairs.iter().flat_map(|(option, name)| [(*option).to_owned(), path(name)]).collect();
        words.extend(["--vault-key".to_owned(), path("vault.key")]);
        words
    }

    fn enroll(world: &World) {
        let mut words = vec!["runner".to_owned(), "--enroll".to_owned(), "second.json".to_owned()];
        words.extend(Self::words(world));
        world.writ(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }

    fn start(world: &World) -> Self {
        let log = fs::File::create(world.folder.join("second.log")).unwrap();
        let process = Command::new(executables().unwrap().join("writ"))
            .args(["runner", "--tenant", &world.setting("tenant").unwrap()])
            .args(["--server-url", &world.setting("server_url").unwrap()])
            .args(Self::words(world))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process: Some(process) }
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_witnesses_cosign_and_a_change_waits_for_the_one_that_is_away() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start("two-witnesses").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    world.try_writ(&["secret", "put", "local:slack/token"], SLACK_TOKEN.as_bytes()).unwrap();
    let list = || -> Vec<Value> {
        serde_json::from_str(&world.writ(&["--json", "runners", "list"]).unwrap()).unwrap()
    };
    let first = list()[0].clone();
    fs::create_dir_all(world.folder.join("second")).unwrap();
    Second::enroll(&world);
    world.writ(&["runners", "enroll", "second.json"]).unwrap();
    let mut second = Second::start(&world);
    let ids: Vec<String> =
        list().iter().map(|runner| runner["id"].as_str().unwrap().to_owned()).collect();
    let set = ["witness", "set", "--runner", &ids[0], "--runner", &ids[1], "--threshold", "2"];
    world.writ(&[&set[..], &["--root-key", ".writ/root.key"]].concat()).unwrap();

    world.writ(&["workspace", "set", "two"]).unwrap();

    let log: Value =
        serde_json::from_str(&world.writ(&["--json", "charter", "log"]).unwrap()).unwrap();
    let newest = log.as_array().unwrap().len() - 1;
    let shown = world.writ(&["--json", "charter", "show", &newest.to_string()]).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["cosignatures"], json!(2));
    second.stop();
    let away = world.refused(&["workspace", "set", "three"]).unwrap();
    assert!(away.contains("witness-away"), "{away}");
    second = Second::start(&world);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !world.writ(&["workspace", "list"]).unwrap().contains("three") {
        assert!(Instant::now() < deadline, "the change was lost");
        thread::sleep(Duration::from_millis(200));
    }

    // Orders name one of two groups now, and nobody chooses for the person.
    let unnamed = world.run_main_job(&input()).unwrap_err().to_string();
    assert!(unnamed.contains("several runner groups"), "{unnamed}");
    let group = first["group"].as_str().unwrap();
    let start = ["--runner-group", group, "run", "start", "secops/leaked-secret", "--wait"];
    let file = sources().join("examples/leaked-secret/input.json").display().to_string();
    world.writ(&[&start[..], &["--input", &file]].concat()).unwrap();
    world.writ(&["audit", "export", "audit"]).unwrap();
    world.writ(&["audit", "verify", "audit"]).unwrap();
    drop(second);
}
