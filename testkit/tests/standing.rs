//! Standing writs in a real installation: schedules and webhooks through gateway, runner, jail and cell.

#![cfg(test)]

use std::{
    fs,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use writ_testkit::world::{World, executables, sources};

/// GitHub's documented secret, spaces and all.
const SECRET: &str = "It's a Secret to Everybody";
/// The secret that takes its place.
const NEXT_SECRET: &str = "the webhook secret after rotation";
const CANARY: &str = "canary-webhook-5f1c8a";

const ECHO: &str = "document: {dsl: '1.0.1', namespace: secops, name: echo, version: '1.0.0'}
do:
  - say: {set: {number: '${ .number }', said: true}}
";

/// A world whose owner is logged in, with one published automation and a webhook's secret.
fn world(name: &str) -> World {
    let world = World::start(name).unwrap();
    world.writ(&["login"]).unwrap();
    world.writ(&["workspace", "set", "secops", "--secret-path", "local:hooks/*"]).unwrap();
    put(&world, "local:hooks/github", SECRET);
    publish(&world, ECHO);
    world
}

fn put(world: &World, reference: &str, secret: &str) {
    let put = world.try_writ(&["secret", "put", reference], secret.as_bytes()).unwrap();
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
}

fn publish(world: &World, document: &str) {
    let file = world.folder.join("echo.yaml");
    fs::write(&file, document).unwrap();
    world.writ(&["automation", "publish", &file.to_string_lossy()]).unwrap();
}

/// Grants the webhook `secops/hook`; returns its address once the runner has heard of it.
async fn webhook(world: &World, path: &str, more: &[&str]) -> String {
    let set = ["standing", "set", "secops/hook", "--automation", "secops/echo"];
    let by = ["--webhook", "github", "--path", path, "--secret", "local:hooks/github"];
    let address = world.writ(&[&set[..], &by[..], more].concat()).unwrap();
    until_heard(world, address.trim()).await;
    address.trim().to_owned()
}

/// Waits until runner and jail have folded the charter as it is now.
fn until_folded(world: &World) {
    let log: Value =
        serde_json::from_str(&world.writ(&["--json", "charter", "log"]).unwrap()).unwrap();
    let entries = log.as_array().unwrap().len();
    let kept = world.folder.join(".writ/runner/charter.jsonl");
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::read_to_string(&kept).unwrap().lines().count() < entries {
        assert!(Instant::now() < deadline, "{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(20));
    }
    // The runner shows the jail right after it has written.
    thread::sleep(Duration::from_millis(300));
}

async fn until_heard(world: &World, address: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while send(address, "{}", None).await.0 != 401 {
        assert!(Instant::now() < deadline, "{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(50));
    }
}

fn signature(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    format!("sha256={}", hex(tag.as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Sends a delivery; returns status and answer.
async fn send(address: &str, body: &str, signature: Option<String>) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(address).body(body.to_owned()).header("x-github-event", "ping");
    if let Some(signature) = signature {
        request = request.header("x-hub-signature-256", signature);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

async fn genuine(address: &str, body: &str) -> (u16, Value) {
    send(address, body, Some(signature(SECRET, body))).await
}

fn runs(world: &World) -> Vec<Value> {
    let list: Value =
        serde_json::from_str(&world.writ(&["--json", "runs", "list"]).unwrap()).unwrap();
    list["runs"].as_array().unwrap().clone()
}

/// Waits until as many runs have ended, and no other is there.
fn until_ended(world: &World, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let runs = runs(world);
        let ended = runs.iter().filter(|run| run["phase"] == "completed").count();
        if ended >= count {
            assert_eq!(runs.len(), count, "{runs:?}");
            return runs;
        }
        assert!(Instant::now() < deadline, "{runs:?}\n{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(100));
    }
}

fn verify_audit(world: &World) {
    world.writ(&["audit", "export", "audit"]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = world.writ(&["audit", "verify", "audit"]) {
        // The newest checkpoint may be on its way.
        assert!(Instant::now() < deadline, "{error}");
        thread::sleep(Duration::from_millis(300));
        fs::remove_dir_all(world.folder.join("audit")).unwrap();
        world.writ(&["audit", "export", "audit"]).unwrap();
    }
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_starts_a_run_only_if_its_sender_signed_it_and_only_once() {
    let world = world("webhook");
    let address = webhook(&world, "alerts", &["--max-runs", "3", "--per", "1h"]).await;
    let body = json!({ "number": 7, "canary": CANARY }).to_string();

    let unsigned = send(&address, &body, None).await;
    assert_eq!(code(&unsigned), (401, "webhook-header-missing"));
    let forged = send(&address, &body, Some(signature("another secret", &body))).await;
    assert_eq!(code(&forged), (401, "webhook-signature"));
    let altered = send(&address, &body, Some(signature(SECRET, "{}"))).await;
    assert_eq!(code(&altered), (401, "webhook-signature"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let twice = http
        .post(&address)
        .body(body.clone())
        .header("x-hub-signature-256", signature(SECRET, &body))
        .header("x-hub-signature-256", reqwest::header::HeaderValue::from_bytes(b"\xff").unwrap());
    let twice: Value = twice.send().await.unwrap().json().await.unwrap();
    assert_eq!(twice["code"], "webhook-header-repeated");
    let elsewhere = genuine(&address.replace("alerts", "other"), &body).await;
    assert_eq!(code(&elsewhere), (404, "webhook-unknown"));
    assert!(runs(&world).is_empty());

    let taken = genuine(&address, &body).await;
    assert_eq!(taken.0, 202, "{taken:?}\n{}", world.log().unwrap());
    let run = taken.1["run"].as_str().unwrap().to_owned();
    let ended = until_ended(&world, 1);
    assert_eq!(ended[0]["run"], run.as_str());
    assert_eq!(ended[0]["standing"], "secops/hook");
    let output: Value =
        serde_json::from_str(&world.writ(&["runs", "output", &run]).unwrap()).unwrap();
    assert_eq!(output, json!({ "number": 7, "said": true }));

    let again = genuine(&address, &body).await;
    assert_eq!(again, (202, json!({ "duplicate": true })));
    let text = "no JSON";
    assert_eq!(code(&genuine(&address, text).await), (400, "input-not-json"));
    for number in [8, 9] {
        assert_eq!(genuine(&address, &json!({ "number": number }).to_string()).await.0, 202);
        until_ended(&world, number - 6);
    }
    let over = genuine(&address, &json!({ "number": 10 }).to_string()).await;
    assert_eq!(code(&over), (429, "standing-exhausted"));
    until_ended(&world, 3);
    verify_audit(&world);
    for part in ["server", "jail", "runner", "run"] {
        let folder = world.folder.join(".writ").join(part);
        for file in files(&folder) {
            let bytes = fs::read(&file).unwrap();
            let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            assert!(!found, "the webhook's body stands in {}", file.display());
        }
    }
    assert!(!world.log().unwrap().contains(CANARY));
}

/// Every file at or below a path.
fn files(path: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return vec![path.to_owned()] };
    entries.flat_map(|entry| files(&entry.unwrap().path())).filter(|file| file.is_file()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_deliveries_with_duplicates_and_forgeries_start_each_event_once() {
    const EVENTS: u64 = 90;
    let world = world("deliveries");
    let address = webhook(&world, "alerts", &["--max-runs", "1000", "--concurrency", "100"]).await;
    let mut deliveries = Vec::new();
    for number in 0..EVENTS {
        let body = json!({ "number": number }).to_string();
        let genuine = signature(SECRET, &body);
        deliveries.push((body.clone(), genuine.clone(), true));
        if number % 2 == 0 {
            deliveries.push((body.clone(), genuine.clone(), true));
        }
        if number < 65 {
            let forged = json!({ "number": 1000 + number }).to_string();
            deliveries.push((forged, genuine, false));
        }
    }
    assert_eq!(deliveries.len(), 200);
    // Out of order, the same in every run of this test.
    deliveries.sort_by_key(|(body, _, _)| writ_evidence::digest::sha256(body.as_bytes()));

    let few = Arc::new(Semaphore::new(8));
    let mut sent = tokio::task::JoinSet::new();
    for (body, signature, is_genuine) in deliveries {
        let (few, address) = (Arc::clone(&few), address.clone());
        sent.spawn(async move {
            let _turn = few.acquire().await.unwrap();
            let answer = send(&address, &body, Some(signature)).await;
            let expected = if is_genuine { 202 } else { 401 };
            assert_eq!(answer.0, expected, "{body}: {answer:?}");
        });
    }
    while let Some(joined) = sent.join_next().await {
        joined.unwrap();
    }

    let mut accepted = std::collections::BTreeSet::new();
    verify_audit(&world);
    let records = fs::read_to_string(world.folder.join("audit/records.jsonl")).unwrap();
    for record in records.lines() {
        let record: Value = serde_json::from_str(record).unwrap();
        if record["kind"] == "acceptance" {
            assert!(accepted.insert(record["body"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(accepted.len() as u64, EVENTS, "acceptances in the audit log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_while_deliveries_signed_with_either_are_taken() {
    let world = world("rotation");
    put(&world, "local:hooks/next", NEXT_SECRET);
    let bounds = ["--max-runs", "10", "--concurrency", "5"];
    let both = [&["--secret", "local:hooks/next"][..], &bounds[..]].concat();
    let address = webhook(&world, "alerts", &both).await;
    for (number, secret) in [(1, SECRET), (2, NEXT_SECRET), (3, SECRET)] {
        let body = json!({ "number": number }).to_string();
        let answer = send(&address, &body, Some(signature(secret, &body))).await;
        assert_eq!(answer.0, 202, "{answer:?}");
    }
    // Granted anew at another path, so that it shows when the runner has heard of it.
    let address = webhook(&world, "alerts-2", &["--max-runs", "10", "--concurrency", "5"]).await;
    let body = json!({ "number": 4 }).to_string();
    let old = send(&address, &body, Some(signature(NEXT_SECRET, &body))).await;
    assert_eq!(code(&old), (401, "webhook-signature"));
    let seen = json!({ "number": 1 }).to_string();
    assert_eq!(genuine(&address, &seen).await, (202, json!({ "duplicate": true })));
    until_ended(&world, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_writ_lapses_with_what_it_rests_on_and_is_renewed_by_signing_again() {
    let world = world("lapse");
    world.writ(&["binding", "add", "--subject", "ada", "--role", "builder"]).unwrap();
    world.writ(&["--session", "ada", "login", "--as", "ada"]).unwrap();
    let set = ["--session", "ada", "standing", "set", "secops/hook", "--automation", "secops/echo"];
    let by = ["--webhook", "github", "--path", "alerts", "--secret", "local:hooks/github"];
    let address = world.writ(&[&set[..], &by[..]].concat()).unwrap().trim().to_owned();
    until_heard(&world, &address).await;
    let mut number = 0;
    let mut body = || {
        number += 1;
        json!({ "number": number }).to_string()
    };
    assert_eq!(genuine(&address, &body()).await.0, 202);
    until_ended(&world, 1);

    publish(&world, &ECHO.replace("said: true", "said: again"));
    until_folded(&world);
    assert_eq!(code(&genuine(&address, &body()).await), (403, "bundle-not-published"));
    let shown = world.writ(&["standing", "show", "secops/hook"]).unwrap();
    assert!(shown.contains("lapsed: the automation was published anew"), "{shown}");
    world.writ(&["--session", "ada", "standing", "renew", "secops/hook", "--yes"]).unwrap();
    until_folded(&world);
    assert_eq!(genuine(&address, &body()).await.0, 202);
    until_ended(&world, 2);

    world.writ(&["suspend", "--user", "ada"]).unwrap();
    until_folded(&world);
    assert_eq!(code(&genuine(&address, &body()).await), (403, "suspended"));
    let shown = world.writ(&["standing", "show", "secops/hook"]).unwrap();
    assert!(shown.contains("lapsed: user") && shown.contains("is suspended"), "{shown}");
    world.writ(&["restore", "--user", "ada"]).unwrap();
    until_folded(&world);
    assert_eq!(genuine(&address, &body()).await.0, 202);
    until_ended(&world, 3);

    world.writ(&["binding", "remove", "--subject", "ada", "--role", "builder"]).unwrap();
    until_folded(&world);
    assert_eq!(code(&genuine(&address, &body()).await), (403, "policy-denied"));
    let refused = world
        .refused(
            &[&["--session", "ada"][..], &["standing", "renew", "secops/hook", "--yes"]].concat(),
        )
        .unwrap();
    assert!(refused.contains("policy-denied") || refused.contains("not-authorized"), "{refused}");

    world.writ(&["standing", "revoke", "secops/hook"]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while code(&genuine(&address, &body()).await) != (404, "webhook-unknown") {
        assert!(Instant::now() < deadline, "{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(100));
    }
    until_ended(&world, 3);
    verify_audit(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_fires_with_its_fixed_parameters_once_each_time_and_across_a_crash() {
    let mut world = world("schedule");
    let input = world.folder.join("input.json");
    fs::write(&input, json!({ "number": 42 }).to_string()).unwrap();
    let set = ["standing", "set", "secops/often", "--automation", "secops/echo"];
    let when = ["--every", "1m", "--first-in", "3s", "--missed-runs", "once"];
    let bounds = ["--input", &input.to_string_lossy(), "--max-runs", "5"];
    world.writ(&[&set[..], &when[..], &bounds[..]].concat()).unwrap();

    let first = until_ended(&world, 1);
    let run = first[0]["run"].as_str().unwrap();
    let output: Value =
        serde_json::from_str(&world.writ(&["runs", "output", run]).unwrap()).unwrap();
    assert_eq!(output["number"], 42);

    // A runner that starts again asks the jail, which remembers what has fired.
    world.stop_dev().unwrap();
    world.start_dev().unwrap();
    thread::sleep(Duration::from_secs(8));
    until_ended(&world, 1);
    world.writ(&["standing", "revoke", "secops/often"]).unwrap();
    verify_audit(&world);
}

/// A code step that takes a moment.
const SLOW: &str = "document: {dsl: '1.0.1', namespace: secops, name: echo, version: '1.0.0'}
do:
  - work:
      run:
        script:
          language: python
          code: |
            import json, time
            time.sleep(0.5)
            print(json.dumps({'said': True}))
";

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_repeated_while_its_run_works_disturbs_nothing() {
    let world = world("repeated");
    publish(&world, SLOW);
    let address = webhook(&world, "alerts", &[]).await;
    let body = json!({ "number": 1 }).to_string();
    for _ in 0..5 {
        assert_eq!(genuine(&address, &body).await.0, 202);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_ended(&world, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_no_run_can_take_is_refused_before_anything_is_accepted() {
    let world = world("poison");
    let address = webhook(&world, "alerts", &["--concurrency", "1"]).await;
    let nested = format!("{}{}", "[".repeat(127), "]".repeat(127));
    for body in [r#"{"n":1e999}"#, r#"{"name":"\ud800"}"#, nested.as_str()] {
        assert_eq!(code(&genuine(&address, body).await), (400, "input-not-json"), "{body}");
    }
    assert!(runs(&world).is_empty());
    assert_eq!(genuine(&address, &json!({ "number": 1 }).to_string()).await.0, 202);
    until_ended(&world, 1);
}

/// Waits for longer than the test.
const WAITS: &str = "document: {dsl: '1.0.1', namespace: secops, name: waits, version: '1.0.0'}
do:
  - wait: {wait: {seconds: 3600}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_run_that_the_journal_lost_is_taken_up_again() {
    let mut world = world("lost");
    publish(&world, WAITS);
    let set = ["standing", "set", "secops/waits", "--automation", "secops/waits"];
    world.writ(&[&set[..], &["--every", "1h", "--first-in", "2s"]].concat()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while runs(&world).is_empty() {
        assert!(Instant::now() < deadline, "{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(100));
    }
    let before = runs(&world);

    world.stop_dev().unwrap();
    for file in files(&world.folder.join(".writ/runner")) {
        if file.file_name().unwrap().to_string_lossy().starts_with("journal.db") {
            fs::remove_file(file).unwrap();
        }
    }
    world.start_dev().unwrap();

    let deadline = Instant::now() + Duration::from_secs(20);
    while !world.log().unwrap().contains("run taken up") {
        assert!(Instant::now() < deadline, "{}", world.log().unwrap());
        thread::sleep(Duration::from_millis(100));
    }
    let after = runs(&world);
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!((&after[0]["run"], &after[0]["phase"]), (&before[0]["run"], &json!("running")));
    verify_audit(&world);
}

#[test]
fn the_documentation_of_standing_writs_works_as_it_says() {
    let world = world("standing-docs");
    publish(&world, &ECHO.replace("name: echo", "name: hello"));
    let text = fs::read_to_string(sources().join("docs/standing-writs.md")).unwrap();
    let blocks = text.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    // Nobody is there to be asked.
    let script =
        blocks.collect::<String>().replace("renew secops/nightly ", "renew secops/nightly --yes ");
    let mut path = executables().unwrap().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let ran = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(&world.folder)
        .env("PATH", path)
        .env("SECRET", SECRET)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.contains("/hooks/github-alerts"), "{said}");
    assert!(!world.writ(&["standing", "list"]).unwrap().contains("nightly"));
}

/// How one kind of sender signs.
struct Sender {
    scheme: &'static str,
    /// What the grant says of it.
    by: &'static [&'static str],
    headers: Vec<(&'static str, String)>,
}

/// One sender of each kind, and what it sets beside this body at this time.
fn senders(at: &str, body: &str, key: &Ed25519KeyPair) -> Vec<Sender> {
    let tag = |secret: &[u8], parts: &[&str]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        hmac::sign(&key, parts.concat().as_bytes()).as_ref().to_vec()
    };
    let secret = SECRET.as_bytes();
    let slack = format!("v0={}", hex(&tag(secret, &["v0:", at, ":", body])));
    let stripe = format!("t={at},v1={}", hex(&tag(secret, &[at, ".", body])));
    let standard =
        |id: &str| format!("v1,{}", STANDARD.encode(tag(&[7; 32], &[id, ".", at, ".", body])));
    let ed25519 = hex(key.sign(format!("{at}{body}").as_bytes()).as_ref());
    let sender = |scheme, by, headers| Sender { scheme, by, headers };
    let at = || at.to_owned();
    vec![
        sender(
            "slack",
            &["--secret", "local:hooks/github"],
            vec![("x-slack-request-timestamp", at()), ("x-slack-signature", slack)],
        ),
        sender("stripe", &["--secret", "local:hooks/github"], vec![("stripe-signature", stripe)]),
        sender(
            "standard-webhooks",
            &["--secret", "local:hooks/whsec"],
            vec![
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", at()),
                ("webhook-signature", standard("msg_1")),
            ],
        ),
        sender(
            "svix",
            &["--secret", "local:hooks/whsec"],
            vec![
                ("svix-id", "msg_2".to_owned()),
                ("svix-timestamp", at()),
                ("svix-signature", standard("msg_2")),
            ],
        ),
        sender(
            "ed25519",
            &["--key", "sender.jwk", "--timestamp-header", "x-signature-timestamp"],
            vec![("x-signature-timestamp", at()), ("x-signature-ed25519", ed25519)],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scheme_of_the_documentation_is_granted_and_takes_what_its_senders_sign() {
    let world = world("schemes");
    let key = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(key.public_key());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x }).to_string();
    fs::write(world.folder.join("sender.jwk"), jwk).unwrap();
    put(&world, "local:hooks/whsec", &format!("whsec_{}", STANDARD.encode([7; 32])));
    let at = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().to_string();
    let body = json!({ "number": 1 }).to_string();
    let senders = senders(&at, &body, &key);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for Sender { scheme, by, headers } in &senders {
        let name = format!("secops/{scheme}");
        let set = ["standing", "set", &name, "--automation", "secops/echo"];
        let hook = ["--webhook", scheme, "--path", scheme];
        let address = world.writ(&[&set[..], &hook[..], by].concat()).unwrap();
        let address = address.trim();
        until_heard(&world, address).await;
        let send = async |body: String| {
            let ask = headers
                .iter()
                .fold(http.post(address), |ask, (name, value)| ask.header(*name, value));
            ask.body(body).send().await.unwrap().status()
        };
        assert_eq!(send("{}".to_owned()).await, 401, "{scheme}, forged");
        assert_eq!(send(body.clone()).await, 202, "{scheme}");
    }
    until_ended(&world, senders.len());
    let cron = ["--cron", "30 2 * * 1-5", "--time-zone", "Europe/Berlin"];
    for when in [&cron[..], &["--after", "1h"]] {
        let set = ["standing", "set", "secops/when", "--automation", "secops/echo"];
        world.writ(&[&set[..], when].concat()).unwrap();
        assert!(world.writ(&["standing", "list"]).unwrap().contains("secops/when"));
    }
}

#[test]
fn what_can_be_no_standing_writ_is_refused_before_anything_is_signed() {
    let world = world("no-standing");
    let set = ["standing", "set", "secops/x", "--automation", "secops/echo"];
    let refused = |more: &[&str]| world.refused(&[&set[..], more].concat()).unwrap();
    assert!(refused(&["--webhook", "github", "--path", "a"]).contains("--secret"));
    let elsewhere = refused(&["--webhook", "github", "--path", "a", "--secret", "local:other/key"]);
    assert!(elsewhere.contains("does not list the secret path"), "{elsewhere}");
    let long = refused(&["--cron", "0 6 * * *", "--expires-in", "91d"]);
    assert!(long.contains("within 90 days"), "{long}");
    assert!(refused(&["--cron", "61 6 * * *"]).contains("schedule"));
    assert!(
        refused(&["--cron", "0 6 * * *", "--time-zone", "Europe/Nowhere"]).contains("schedule")
    );
    let unknown = world.refused(&[
        "standing",
        "set",
        "secops/x",
        "--automation",
        "secops/none",
        "--every",
        "1h",
    ]);
    assert!(unknown.unwrap().contains("automation-unknown"));
}
