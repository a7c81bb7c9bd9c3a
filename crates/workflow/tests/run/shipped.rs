//! The automations shipped in `examples/`, run against a service that answers as they expect.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::world::{World, output_of};

#[test]
fn the_leaked_secret_automation_opens_an_issue_and_tells_the_channel_for_its_real_input() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/leaked-secret");
    let source = fs::read_to_string(folder.join("automation.yaml")).unwrap();
    let input = fs::read_to_string(folder.join("input.json")).unwrap();
    let input: Value = serde_json::from_str(&input).unwrap();
    let mut world = World::new(source);
    let mut effects = world.start(input.clone());

    for _ in 0..4 {
        effects = world.answer(effects, |task| Ok(answer(task)));
    }

    let output = output_of(&effects);
    assert_eq!(output["alert"], input["alert"]["number"]);
    assert_eq!((&output["issue"], &output["severity"]), (&json!(7), &json!("high")));
    assert_eq!(output["message"], "1764000000.000100");
}

fn answer(task: &str) -> Value {
    match task.rsplit('/').next() {
        Some("ask") => json!({"full_name": "acme/site", "private": false}),
        Some("score") => json!({"severity": "high", "reasons": ["the repository is public"]}),
        Some("post") => json!({"channel": "C1", "ts": "1764000000.000100"}),
        _ => json!({"number": 7, "html_url": "https://github.test/acme/site/issues/7"}),
    }
}
