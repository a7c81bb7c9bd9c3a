//! `cargo xtask demo`: the main job from nothing, each stage said as it happens.
//!
//! Starts `writ dev` and a stand-in for GitHub, then goes through the command line as a person
//! would. `--keep` leaves everything running.

#![expect(clippy::indexing_slicing, reason = "the demo reads JSON that it asked for")]

use std::{env, fs};

use anyhow::{Result, ensure};
use serde_json::Value;
use writ_testkit::{
    github_stand_in::{GithubStandIn, Script},
    world::{World, sources},
};

/// The token that the stand-in takes; made up here, known to nobody else.
const TOKEN: &str = "github_pat_demo_0123456789abcdefghijklmnop";

#[tokio::main]
async fn main() -> Result<()> {
    let keep = env::args().any(|word| word == "--keep");
    stage("1. writ dev: control plane, gateway, runner with its jail, identity provider");
    let mut world = tokio::task::block_in_place(|| World::start("demo"))?;
    say(&format!("tenant {}", world.setting("tenant")?));
    for line in world.log()?.lines().filter(|line| line.contains("jail started")) {
        say(line);
    }
    stage("2. a STAND-IN for GitHub (not GitHub): checks the token, answers 429 once");
    let github = GithubStandIn::start(TOKEN).await?;
    github.script(Script { rate_limited: 1, ..Script::default() });
    say(&format!("{} on {}", writ_testkit::github_stand_in::SERVER, github.address()));
    let ran = tokio::task::block_in_place(|| main_job(&world, &github));
    if keep {
        world.keep();
        say(&format!("left running in {}", world.folder.display()));
        say("the stand-in serves until you press Ctrl-C");
        ran?;
        tokio::signal::ctrl_c().await?;
        return tokio::task::block_in_place(|| world.stop_dev());
    }
    ran
}

fn main_job(world: &World, github: &GithubStandIn) -> Result<()> {
    stage("3. a person logs in, makes a workspace, a secret, a connection; publishes");
    world.prepare_main_job(&github.address().to_string(), TOKEN)?;
    say(&world.writ(&["whoami"])?);
    say(
        "secret local:github/token: in the local vault, from stdin to writ-jail; nobody else saw it",
    );
    say(&world.writ(&["charter", "log"])?);
    stage("4. a secret-scanning alert comes in: a signed writ, a sealed input");
    let input: Value =
        serde_json::from_slice(&fs::read(sources().join("examples/leaked-secret/input.json"))?)?;
    let output = world.run_main_job(&input)?;
    say(&serde_json::to_string_pretty(&output)?);
    ensure!(output["severity"] == "high" && output["issue"] == 1, "not the expected summary");
    ensure!(github.issues().len() == 1, "not exactly one issue was created");
    stage("5. what the jail verified, decided and signed");
    let runs: Value = serde_json::from_str(&world.writ(&["--json", "runs", "list"])?)?;
    let run = runs["runs"][0]["run"].as_str().unwrap_or_default();
    say(&world.writ(&["runs", "show", run])?);
    stage("6. the audit log, verified offline from the trust anchor");
    verify_audit(world)?;
    say("done: signed by a person, verified in the jail, the credential only in cells");
    Ok(())
}

/// The witness signs the log's tree in its own time; a little later all of it is covered.
fn verify_audit(world: &World) -> Result<()> {
    for _ in 0..50 {
        world.writ(&["audit", "export", "audit"])?;
        let verified = world.writ(&["audit", "verify", "audit"])?;
        if !verified.contains("no witness has signed") {
            say(&verified);
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    anyhow::bail!("the witness did not sign the whole log")
}

#[expect(clippy::print_stdout, reason = "the demo's answer is what it prints")]
fn stage(text: &str) {
    println!("\n== {text}");
}

#[expect(clippy::print_stdout, reason = "the demo's answer is what it prints")]
fn say(text: &str) {
    for line in text.trim_end().lines() {
        println!("   {line}");
    }
}
