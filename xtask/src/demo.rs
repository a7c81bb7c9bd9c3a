//! `cargo xtask demo`: the main job, from nothing.
//!
//! In: arguments for the demo, passed on as they are. Out: what the demo prints, and its status.
//! The executables are those that tests use: same profile, same folder.
//!
//! Not here: what the demo does; that is `testkit`'s `demo` executable.

use crate::parts;
use crate::workspace::{Workspace, run as run_command};

/// Installs the parts, builds the executables, and starts the demo.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    parts::install(workspace)?;
    run_command(workspace.cargo().args(["build", "--locked", "--workspace", "--bins"]))?;
    let demo = workspace.executables().join("demo");
    run_command(workspace.command(demo).args(arguments))
}
