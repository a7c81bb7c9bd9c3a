//! Sessions: listed by whose they are, revoked by them or by who may, and refused from then on.

#![cfg(test)]

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use writ_testkit::world::World;

const GREETS: &str = "document: {dsl: '1.0.1', namespace: secops, name: greets, version: '1.0.0'}
do:
  - greet: {set: {greeting: hello}}
";

fn by(world: &World, session: &str, words: &[&str]) -> Result<String, String> {
    let words = [&["--session", session], words].concat();
    let output = world.try_writ(&words, b"").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(said) }
}

fn json_by(world: &World, session: &str, words: &[&str]) -> Value {
    let words = [&["--json"], words].concat();
    serde_json::from_str(&by(world, session, &words).unwrap()).unwrap()
}

/// What names the session that a login acts with.
fn digest(world: &World, session: &str) -> String {
    json_by(world, session, &["whoami"])["idc"].as_str().unwrap().to_owned()
}

/// Waits until every runner group has answered a revocation.
fn until_heard(world: &World, revoked: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let listed = json_by(world, "default", &["sessions", "list"]);
        let found = listed.as_array().unwrap().iter().find(|one| one["session"] == revoked);
        let found = found.unwrap();
        assert!(found["revoked_at"].is_u64(), "{found}");
        if found["waiting"] == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{found}\n{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(50));
    }
}

fn founded(name: &str) -> World {
    let world = World::start(name).unwrap();
    world.writ(&["login"]).unwrap();
    world.writ(&["workspace", "set", "secops"]).unwrap();
    for (who, role) in [("bob", "operator"), ("eve", "viewer")] {
        let bind = ["binding", "add", "--subject", who, "--role", role, "--workspace", "secops"];
        world.writ(&bind).unwrap();
        by(&world, who, &["login", "--as", who]).unwrap();
    }
    let document = world.folder.join("greets.yaml");
    fs::write(&document, GREETS).unwrap();
    world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
    world
}

#[test]
fn a_revoked_session_does_nothing_more_anywhere_and_nor_after_a_restart() {
    let world = founded("sessions");
    by(&world, "laptop", &["login", "--as", "bob"]).unwrap();
    let lost = digest(&world, "laptop");
    by(&world, "laptop", &["run", "start", "secops/greets", "--wait"]).unwrap();

    // Bob sees his own two, eve hers, an owner all of them.
    let seen = |session: &str| json_by(&world, session, &["sessions", "list"]);
    let whose = |listed: &Value| -> Vec<String> {
        let sub = |one: &Value| one["principal"]["sub"].as_str().unwrap().to_owned();
        listed.as_array().unwrap().iter().map(sub).collect()
    };
    assert_eq!(whose(&seen("bob")), ["bob", "bob"]);
    assert_eq!(whose(&seen("eve")), ["eve"]);
    let everybody = whose(&seen("default"));
    assert!(["owner", "bob", "eve"].iter().all(|who| everybody.iter().any(|one| one == who)));
    let stranger = by(&world, "eve", &["sessions", "revoke", &lost]).unwrap_err();
    assert!(stranger.contains("session-unknown"), "{stranger}");

    by(&world, "bob", &["sessions", "revoke", &lost]).unwrap();

    until_heard(&world, &lost);
    let refused = |words: &[&str]| {
        let said = by(&world, "laptop", words).unwrap_err();
        assert!(said.contains("idc-revoked"), "{words:?}: {said}");
    };
    refused(&["runs", "list"]);
    refused(&["run", "start", "secops/greets"]);
    // Past the control plane, which has only said a friendly no: the jail itself.
    refused(&["--push", "charter", "log"]);
    world.kill("runner").unwrap();
    world.kill("server").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while by(&world, "bob", &["--push", "charter", "log"]).is_err()
        || by(&world, "bob", &["runs", "list"]).is_err()
    {
        assert!(Instant::now() < deadline, "{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(100));
    }
    refused(&["--push", "charter", "log"]);
    refused(&["runs", "list"]);
    // His other one still counts, until an owner ends it.
    by(&world, "bob", &["run", "start", "secops/greets", "--wait"]).unwrap();
    let other = digest(&world, "bob");
    world.writ(&["sessions", "revoke", &other]).unwrap();
    until_heard(&world, &other);
    assert!(by(&world, "bob", &["runs", "list"]).unwrap_err().contains("idc-revoked"));
    // And he logs in again.
    by(&world, "bob", &["login", "--as", "bob"]).unwrap();
    by(&world, "bob", &["run", "start", "secops/greets", "--wait"]).unwrap();
    world.writ(&["audit", "export", "audit"]).unwrap();
    world.writ(&["audit", "verify", "audit"]).unwrap();
}

#[test]
fn logging_out_revokes_the_session_so_that_a_copy_of_its_key_is_worth_nothing() {
    let world = founded("logout");
    let file = world.folder.join(".writ/sessions/bob.json");
    let copy = fs::read(&file).unwrap();
    let session = digest(&world, "bob");

    by(&world, "bob", &["logout"]).unwrap();

    until_heard(&world, &session);
    assert!(by(&world, "bob", &["runs", "list"]).unwrap_err().contains("not-logged-in"));
    let put_back = |copy: &[u8]| {
        fs::write(&file, copy).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&file, mode).unwrap();
    };
    put_back(&copy);
    assert!(by(&world, "bob", &["runs", "list"]).unwrap_err().contains("idc-revoked"));
    assert!(by(&world, "bob", &["--push", "charter", "log"]).unwrap_err().contains("idc-revoked"));
    // Only forgotten here, it goes on counting.
    by(&world, "bob", &["login", "--as", "bob"]).unwrap();
    let copy = fs::read(&file).unwrap();
    by(&world, "bob", &["logout", "--local"]).unwrap();
    put_back(&copy);
    by(&world, "bob", &["runs", "list"]).unwrap();
}
