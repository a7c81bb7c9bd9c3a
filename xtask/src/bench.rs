//! `cargo xtask bench`: what things cost, in a table, beside what the machine can do at all.
//!
//! In: what to measure, or nothing for everything. Out: a table in Markdown. The executables are release builds; nothing passes or fails.
//!
//! Not here: what is measured; that is `testkit`'s `bench` executable.

use crate::parts;
use crate::workspace::{Workspace, run as run_command};

/// The jail's state file.
const STATE: &str = "state";

/// Installs the parts, builds for release, and measures.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    parts::install(workspace)?;
    run_command(workspace.cargo().args([
        "build",
        "--locked",
        "--release",
        "--workspace",
        "--bins",
    ]))?;
    let of_state = arguments.is_empty() || arguments.iter().any(|word| word == STATE);
    let others: Vec<&String> = arguments.iter().filter(|word| *word != STATE).collect();
    let folder = workspace.target.join("release");
    if arguments.is_empty() || !others.is_empty() {
        let mut bench = workspace.command(folder.join("bench"));
        run_command(bench.env("WRIT_BIN_DIR", folder).args(others))?;
    }
    if of_state {
        // The jail is started, never linked: its own state file is measured by its own crate.
        run_command(workspace.cargo().args([
            "bench",
            "--locked",
            "--workspace",
            "--bench",
            "spent",
        ]))?;
    }
    Ok(())
}
