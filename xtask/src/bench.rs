//! `cargo xtask bench`: what things cost, in a table, beside what the machine can do at all.
//!
//! In: what to measure, or nothing for everything. Out: a table in Markdown. The executables are release builds; nothing passes or fails.
//!
//! Not here: what is measured; that is `testkit`'s `bench` executable.

use crate::parts;
use crate::workspace::{Workspace, run as run_command};

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
    let folder = workspace.target.join("release");
    let mut bench = workspace.command(folder.join("bench"));
    run_command(bench.env("WRIT_BIN_DIR", folder).args(arguments))
}
