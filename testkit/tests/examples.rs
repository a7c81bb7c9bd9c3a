//! The other shipped examples, on real executables, with every real payload of their events.

#![cfg(test)]

use std::fs;

use serde_json::{Value, json};
use writ_testkit::{
    github_stand_in::{GithubStandIn, Script},
    webhook_examples::events,
    world::{World, sources},
};

const TOKEN: &str = "github_pat_examples_0123456789abcdefghij";

async fn prepared(example: &str) -> (World, GithubStandIn) {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start(example).unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    let document = sources().join("examples").join(example).join("automation.yaml");
    world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
    (world, github)
}

/// A run's output, or what `writ` said.
fn run(world: &World, example: &str, input: &Value) -> Result<Value, String> {
    let name = format!("secops/{example}");
    let words = ["run", "start", &name, "--input", "-", "--wait"];
    let ran = world.try_writ(&words, input.to_string().as_bytes()).unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    if ran.status.success() { Ok(serde_json::from_slice(&ran.stdout).unwrap()) } else { Err(said) }
}

fn input(example: &str) -> Value {
    let path = sources().join("examples").join(example).join("input.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn failures(world: &World, github: &GithubStandIn, example: &str, input: &Value) {
    for status in [404, 403, 500] {
        github.script(Script { failing: Some((1, status)), public: true, ..Script::default() });
        let said = run(world, example, input).unwrap_err();
        assert!(said.contains("http-status"), "{status}: {said}");
        assert!(!said.contains("canary in an error page"), "{said}");
    }
    github.script(Script { rate_limited: 1, public: true, ..Script::default() });
    run(world, example, input).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_made_public_by_mistake_is_private_again_and_one_that_may_be_is_left() {
    let example = "repository-made-public";
    let (world, github) = prepared(example).await;
    let mut ran = 0;
    for (version, payload) in events("repository").unwrap() {
        let publicized = payload["action"] == "publicized";
        github.script(Script { public: true, ..Script::default() });
        let messages = github.messages().len();
        let outcome = run(&world, example, &payload);
        if !publicized {
            let said = outcome.unwrap_err();
            assert!(said.contains("faulted"), "{version} {}: {said}", payload["action"]);
            continue;
        }
        let output = outcome.unwrap();
        assert_eq!(output["closed"], true, "{version}: {output}");
        let repository = &payload["repository"];
        let (owner, name) = (repository["owner"]["login"].as_str(), repository["name"].as_str());
        assert_eq!(output["repository"], format!("{}/{}", owner.unwrap(), name.unwrap()));
        assert_eq!(github.messages().len(), messages + 1);
        ran += 1;
    }
    println!("{example}: {ran} real payloads");
    assert!(ran >= 3);

    let mut website = input(example);
    website["repository"]["name"] = json!("website");
    github.script(Script { public: true, ..Script::default() });
    let output = run(&world, example, &website).unwrap();
    assert_eq!((&output["closed"], &output["allowed"]), (&json!(false), &json!(true)));
    github.script(Script::default());
    let output = run(&world, example, &input(example)).unwrap();
    assert_eq!(output["public"], false, "somebody was faster: {output}");
    failures(&world, &github, example, &input(example));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dangerous_dependency_becomes_an_issue_with_a_date_and_others_do_not() {
    let example = "critical-dependency-alert";
    let (world, github) = prepared(example).await;
    for (version, payload) in events("dependabot_alert").unwrap() {
        let issues = github.issues().len();
        let output = run(&world, example, &payload).unwrap();
        assert_eq!(output["alert"], payload["alert"]["number"], "{version}");
        // None of GitHub's own examples is new and due within thirty days.
        assert_eq!(github.issues().len(), issues, "{version}: {output}");
    }
    let mut critical = input(example);
    critical["alert"]["security_advisory"]["severity"] = json!("critical");
    critical["alert"]["created_at"] = json!("2026-11-20T09:00:00Z");
    let output = run(&world, example, &critical).unwrap();
    assert_eq!(output["due"], "2026-11-27");
    let title = github.issues()[0]["title"].as_str().unwrap().to_owned();
    assert!(title.contains("semver by 2026-11-27"), "{title}");
    critical["alert"]["security_advisory"]["epss"] = json!({ "percentage": 0.6 });
    critical["alert"]["dependency"]["package"]["name"] = json!("<!channel> & co");
    let output = run(&world, example, &critical).unwrap();
    assert_eq!(output["due"], "2026-11-23");
    let text = github.messages().last().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("&lt;!channel&gt; &amp; co"), "Slack is told nothing unescaped: {text}");

    let said = run(&world, example, &json!({ "action": "created" })).unwrap_err();
    assert!(said.contains("faulted"), "{said}");
    failures(&world, &github, example, &critical);
}
