//! Fuzzing as a step of `cargo xtask test`: every committed input is tried again, and each target gets a
//! little more time than nothing.
//!
//! In: `fuzz/`, a workspace of its own, and its corpus. Out: nothing, or the input that broke a promise.
//! libFuzzer's instrumentation takes stable compiler flags alone, so the toolchain is the usual one.
//!
//! Not here: the long runs (`fuzz/README.md` says how, and what they did).

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::report::say;
use crate::workspace::{Workspace, run};

/// Every target of `fuzz/Cargo.toml`.
const TARGETS: [&str; 5] = ["jws", "writ", "document", "jail_link", "projection"];
/// Seconds that each target fuzzes in a test run.
const SECONDS: &str = "15";
/// What libFuzzer counts by: `SanitizerCoverage`, as its documentation asks for.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";
/// Named, so that the flags are for the targets and not for build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Builds the targets, replays the corpus, fuzzes a little.
pub(crate) fn run_all(workspace: &Workspace) -> anyhow::Result<()> {
    let target = workspace.target.join("fuzz");
    let mut build = workspace.cargo();
    build
        .args(["build", "--release", "--locked", "--quiet", "--target", TRIPLE])
        .args(["--manifest-path", "fuzz/Cargo.toml"])
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", FLAGS);
    run(&mut build)?;
    for name in TARGETS {
        let executable = target.join(TRIPLE).join("release").join(name);
        let corpus = workspace.root.join("fuzz/corpus").join(name);
        replay(workspace, &executable, &corpus, name)?;
        fuzz(workspace, &executable, &corpus, name)?;
    }
    Ok(())
}

fn replay(
    workspace: &Workspace,
    executable: &PathBuf,
    corpus: &PathBuf,
    name: &str,
) -> anyhow::Result<()> {
    let inputs = fs::read_dir(corpus).with_context(|| format!("`{name}` has no corpus"))?.count();
    ensure!(inputs > 0, "the corpus of `{name}` is empty");
    let mut command = workspace.command(executable);
    quietly(command.arg("-runs=0").arg(corpus), name)?;
    say(&format!("fuzz {name}: {inputs} committed inputs hold"));
    Ok(())
}

/// New inputs go to a scratch folder: a test run changes nothing that is committed.
fn fuzz(
    workspace: &Workspace,
    executable: &PathBuf,
    corpus: &PathBuf,
    name: &str,
) -> anyhow::Result<()> {
    let scratch = workspace.target.join("fuzz/scratch").join(name);
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).context("cannot make a scratch folder")?;
    let mut command = workspace.command(executable);
    command
        .args([&format!("-max_total_time={SECONDS}"), "-max_len=8192", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/", scratch.display()))
        .args([&scratch, corpus]);
    let said = quietly(&mut command, name)?;
    let executed = said.lines().find(|line| line.starts_with("stat::number_of_executed_units"));
    say(&format!("fuzz {name}: {SECONDS} s more, {}", executed.unwrap_or("no count")));
    Ok(())
}

/// Runs a target; what it says is shown only if it failed.
fn quietly(command: &mut Command, name: &str) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("`{name}`"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "fuzz target `{name}` broke a promise:\n{said}");
    Ok(said)
}
