//! Approvals on the real executables: who may, what they see, what waits for it, and what gets past the
//! jail when the control plane is hostile: nothing.

#![cfg(test)]

use std::{fs, thread, time::Duration};

use serde_json::Value;
use writ_api::asked_in;
use writ_evidence::{
    approval::{ApprovalAsked, ApprovalDecision},
    writ::Order,
};
use writ_model::{KeyedDigest, RunId, RunnerGroupId, StepId};
use writ_testkit::{
    github_stand_in::GithubStandIn,
    hostile::{Forger, Hostile},
    keys::Login,
    world::{World, sources},
};

const TOKEN: &str = "github_pat_approve_0123456789abcdefghijk";
const CANARY: &str = "canary-payload-7c1f";

fn document(name: &str, quorum: u8, timeout: &str) -> String {
    format!(
        "document: {{dsl: '1.0.1', namespace: secops, name: {name}, version: '1.0.0'}}
do:
  - ask:
      timeout: {{after: {timeout}}}
      listen:
        to:
          one:
            with:
              type: dev.writ.approval.v1
              data:
                message: ${{ \"Tell about \\(.host)?\" }}
                payload: '${{ {{host: .host, ticket: .ticket}} }}'
                quorum: {quorum}
  - post:
      call: slack.chat.post-message:1.0.0@default
      with: {{connection: slack, channel: '#security-alerts', text: approved}}
  - done:
      set: {{posted: true}}
"
    )
}

fn publish(world: &World, name: &str, quorum: u8, timeout: &str) {
    let file = world.folder.join(format!("{name}.yaml"));
    fs::write(&file, document(name, quorum, timeout)).unwrap();
    world.writ(&["automation", "publish", &file.to_string_lossy()]).unwrap();
}

/// A world with three people beside the owner: two who may approve, one who may only look.
async fn prepared(name: &str) -> (World, GithubStandIn) {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start(name).unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    for (who, role) in [("bob", "approver"), ("cyd", "owner"), ("eve", "viewer")] {
        world.writ(&["login", "--as", who, "--session", who]).unwrap();
        world.writ(&["binding", "add", "--subject", who, "--role", role]).unwrap();
    }
    publish(&world, "tell", 2, "PT1H");
    (world, github)
}

/// Orders a run as the owner, and waits until it asks.
fn asking(world: &World, automation: &str) -> String {
    let input = format!(r#"{{"host": "web-17", "ticket": "{CANARY}"}}"#);
    let words = ["run", "start", automation, "--input", "-"];
    let run = world.try_writ(&words, input.as_bytes()).unwrap();
    let run = String::from_utf8(run.stdout).unwrap().trim().to_owned();
    until(world, &run, |status| !asked(status).is_empty());
    run
}

fn status(world: &World, run: &str) -> Value {
    serde_json::from_str(&world.writ(&["--json", "runs", "show", run]).unwrap()).unwrap()
}

fn asked(status: &Value) -> Vec<ApprovalAsked> {
    let statements: Vec<String> = serde_json::from_value(status["statements"].clone()).unwrap();
    asked_in(&statements).into_iter().map(|known| known.asked).collect()
}

fn until(world: &World, run: &str, reached: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..300 {
        let status = status(world, run);
        if reached(&status) {
            return status;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{run} stays {}", status(world, run));
}

fn ended(world: &World, run: &str) -> (String, String) {
    let status = until(world, run, |status| {
        ["completed", "faulted"].contains(&status["phase"].as_str().unwrap())
    });
    let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    (text("phase"), text("code"))
}

fn approve(world: &World, who: &str, run: &str, more: &[&str]) -> Result<String, String> {
    let words = [&["--session", who, "approve", run, "--yes"], more].concat();
    let output = world.try_writ(&words, b"").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

fn inbox(world: &World, who: &str) -> String {
    world.writ(&["--session", who, "approve"]).unwrap()
}

/// Every file of the control plane's.
fn server_bytes(world: &World) -> Vec<u8> {
    let mut open = vec![world.folder.join(".writ/server")];
    let mut bytes = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            bytes.extend(fs::read(path).unwrap());
        }
    }
    assert!(!bytes.is_empty());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn two_others_approve_through_a_crash_and_only_then_the_action_is_called() {
    let (world, github) = prepared("approve").await;
    let run = asking(&world, "secops/tell");

    assert!(inbox(&world, "bob").contains(&run) && inbox(&world, "cyd").contains(&run));
    assert!(!inbox(&world, "default").contains(&run), "the requester's inbox");
    assert!(!inbox(&world, "eve").contains(&run), "the inbox of somebody without the right");
    let said = approve(&world, "default", &run, &[]).unwrap_err();
    assert!(said.contains("approval-self"), "{said}");
    let said = approve(&world, "eve", &run, &[]).unwrap_err();
    assert!(said.contains("policy-denied"), "{said}");

    let said = approve(&world, "bob", &run, &["--step", "/do/0/ask#1"]).unwrap_err();
    assert!(said.contains("approval-step"), "{said}");
    let said = approve(&world, "bob", &run, &["--step", "/do/0/ask#0"]).unwrap();
    for shown in ["Tell about web-17?", CANARY, "slack.chat.post-message through secops/slack"] {
        assert!(said.contains(shown), "{shown} is not in: {said}");
    }
    assert!(!inbox(&world, "bob").contains(&run), "answered");
    let said = approve(&world, "bob", &run, &[]).unwrap_err();
    assert!(said.contains("approval-twice"), "{said}");
    assert_eq!(github.messages().len(), 0);

    world.kill("runner").unwrap();
    thread::sleep(Duration::from_millis(500));
    let mut approved = approve(&world, "cyd", &run, &[]);
    for _ in 0..100 {
        // Its runner is starting anew.
        let starting = |said: &String| {
            ["runner-away", "approval-unknown", "run-not-open"]
                .iter()
                .any(|code| said.contains(code))
        };
        if !approved.as_ref().is_err_and(starting) {
            break;
        }
        thread::sleep(Duration::from_millis(200));
        approved = approve(&world, "cyd", &run, &[]);
    }
    approved.unwrap();

    assert_eq!(ended(&world, &run), ("completed".to_owned(), String::new()));
    assert_eq!(github.messages().len(), 1);
    let shown = world.writ(&["runs", "show", &run]).unwrap();
    assert_eq!(shown.matches(" approved by ").count(), 2, "{shown}");
    let bytes = server_bytes(&world);
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(run.as_bytes()) && !holds(CANARY.as_bytes()), "payloads stay away from it");
    audit_verifies(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rejection_is_enough_and_silence_is_no_approval() {
    let (world, github) = prepared("reject").await;
    let run = asking(&world, "secops/tell");
    approve(&world, "bob", &run, &[]).unwrap();
    approve(&world, "cyd", &run, &["--reject"]).unwrap();
    assert_eq!(ended(&world, &run), ("faulted".to_owned(), "approval-rejected".to_owned()));

    publish(&world, "brief", 1, "PT3S");
    let run = asking(&world, "secops/brief");
    assert_eq!(ended(&world, &run), ("faulted".to_owned(), "timed-out".to_owned()));
    let said = approve(&world, "bob", &run, &[]).unwrap_err();
    assert!(said.contains("approval-unknown"), "{said}");
    assert!(!inbox(&world, "bob").contains(&run));
    assert_eq!(github.messages().len(), 0);
}

/// Posts what it is given, and asks nobody.
const POSTS: &str = "\
document: {dsl: '1.0.1', namespace: secops, name: post, version: '1.0.0'}
do:
  - post:
      call: slack.chat.post-message:1.0.0@default
      with: {connection: slack, channel: '#security-alerts', text: '${ .ticket }'}
";

const FOUR_EYES: &str = "\
@id(\"posts\")
forbid (principal, action == Action::\"connection.use\", resource)
when { context has call && context.call.action == \"slack.chat.post-message\" && context.call has effect }
unless { context.approvals >= 2 };
";

#[tokio::test(flavor = "multi_thread")]
async fn a_guardrail_has_people_approve_the_very_call_of_a_document_that_asks_nobody() {
    let (world, github) = prepared("demanded").await;
    let file = world.folder.join("post.yaml");
    fs::write(&file, POSTS).unwrap();
    world.writ(&["automation", "publish", &file.to_string_lossy()]).unwrap();
    let file = world.folder.join("four-eyes.cedar");
    fs::write(&file, FOUR_EYES).unwrap();
    world.writ(&["policy", "set", "four-eyes", &file.to_string_lossy()]).unwrap();

    let run = asking(&world, "secops/post");
    assert!(inbox(&world, "bob").contains(&run) && !inbox(&world, "default").contains(&run));
    let said = approve(&world, "default", &run, &[]).unwrap_err();
    assert!(said.contains("approval-self"), "{said}");
    let said = approve(&world, "bob", &run, &[]).unwrap();
    for shown in ["call slack.chat.post-message through secops/slack", CANARY, "#security-alerts"] {
        assert!(said.contains(shown), "{shown} is not in: {said}");
    }
    assert_eq!(github.messages().len(), 0, "one of two");

    // What waits for people was not begun: no crash puts it in doubt.
    world.kill("runner").unwrap();
    let mut approved = Err(String::new());
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(200));
        approved = approve(&world, "cyd", &run, &[]);
        if approved.is_ok() {
            break;
        }
    }
    approved.unwrap();
    assert_eq!(ended(&world, &run), ("completed".to_owned(), String::new()));
    assert_eq!(github.messages().len(), 1);

    let run = asking(&world, "secops/post");
    approve(&world, "bob", &run, &["--reject"]).unwrap();
    assert_eq!(ended(&world, &run), ("faulted".to_owned(), "approval-rejected".to_owned()));
    assert_eq!(github.messages().len(), 1);
    let bytes = server_bytes(&world);
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    audit_verifies(&world);
}

/// What is answered, each of it to be made wrong.
#[derive(Clone)]
struct Answer {
    aud: RunnerGroupId,
    res: RunId,
    step: StepId,
    attempt: u32,
    payload: KeyedDigest,
}

impl Answer {
    /// The right answer to what a run asks.
    fn to(world: &World, run: &str, aud: RunnerGroupId) -> Self {
        let asked = asked(&status(world, run)).remove(0);
        let (step, attempt, payload) = (asked.step, asked.attempt, asked.payload);
        Self { aud, res: run.parse().unwrap(), step, attempt, payload }
    }

    fn sign(&self, forger: &Forger, login: &Login, change: impl FnOnce(&mut Self)) -> String {
        let mut answer = self.clone();
        change(&mut answer);
        let Self { aud, res, step, attempt, payload } = answer;
        let decision = ApprovalDecision::Approve;
        let order = Order::RunApprove { aud, res, step, attempt, payload, decision };
        forger.about(login, order).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_control_plane_approves_nothing() {
    let (mut world, github) = prepared("approve-hostile").await;
    // The main job leaves the packs with the runner: the hostile control plane serves none.
    let input = fs::read(sources().join("examples/leaked-secret/input.json")).unwrap();
    world.run_main_job(&serde_json::from_slice(&input).unwrap()).unwrap();
    let before = github.messages().len();
    publish(&world, "tell-one", 1, "PT1H");
    let (run, other) = (asking(&world, "secops/tell-one"), asking(&world, "secops/tell-one"));
    let forger = Forger::of(&world).unwrap();
    let this = Answer::to(&world, &run, forger.group());
    let that = Answer::to(&world, &other, forger.group());
    world.stop_dev().unwrap();

    let hostile = Hostile::take_over(&world).await.unwrap();
    let login = |who: &str| forger.log_in(who, |_| ()).unwrap();
    let bob = login("bob");
    let forge = |login: &Login, change: &dyn Fn(&mut Answer)| {
        this.sign(&forger, login, |answer| change(answer))
    };
    let mut stolen = login("bob");
    stolen.key = login("bob").key;
    let (owner, eve) = (login("owner"), login("eve"));
    let cancels = Order::RunCancel { aud: forger.group(), res: this.res };
    let forged = [
        ("by the requester", "approval-self", &owner, forge(&owner, &|_| ())),
        ("by somebody without the right", "policy-denied", &eve, forge(&eve, &|_| ())),
        ("by a key not vouched for", "writ-signature", &stolen, forge(&stolen, &|_| ())),
        ("of another run", "writ-run", &bob, forge(&bob, &|answer| answer.res = that.res)),
        ("of another step", "approval-unknown", &bob, forge(&bob, &|a| a.step.iteration = 1)),
        ("of another attempt", "approval-unknown", &bob, forge(&bob, &|a| a.attempt = 2)),
        (
            "of another payload",
            "approval-payload",
            &bob,
            forge(&bob, &|a| a.payload = that.payload),
        ),
        (
            "for another group",
            "writ-audience",
            &bob,
            forge(&bob, &|a| a.aud = RunnerGroupId::from_bits(7)),
        ),
        ("that cancels", "writ-operation", &bob, forger.about(&bob, cancels).unwrap()),
    ];
    for (name, code, login, writ) in forged {
        let said = hostile.approve(this.res, writ, login.idc.clone()).await.unwrap();
        assert_eq!(said.as_deref(), Some(code), "{name}");
        assert_eq!(github.messages().len(), before, "{name}: something was done");
        println!("refused: {name}: {code}");
    }

    // The control: the same forger's right answer counts. Once: given again, it changes nothing.
    let right = forge(&bob, &|_| ());
    let said = hostile.approve(this.res, right.clone(), bob.idc.clone()).await.unwrap();
    assert_eq!(said, None);
    assert_eq!(hostile.outcome(this.res).await.unwrap().0, "Completed");
    assert_eq!(github.messages().len(), before + 1);
    for run in [this.res, that.res] {
        hostile.approve(run, right.clone(), bob.idc.clone()).await.unwrap();
    }
    thread::sleep(Duration::from_secs(1));
    assert_eq!(github.messages().len(), before + 1, "a replay was counted");
}

fn audit_verifies(world: &World) {
    let verified = (0..100).any(|_| {
        world.writ(&["audit", "export", "audit"]).unwrap();
        let said = world.writ(&["audit", "verify", "audit"]).unwrap();
        thread::sleep(Duration::from_millis(100));
        !said.contains("no witness has signed")
    });
    assert!(verified, "the audit log verifies");
}
