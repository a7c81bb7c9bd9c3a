//! The two cargo tools that the doors need: nextest and cargo-deny.
//!
//! In: what is on PATH. Out: a command that runs the tool; where it is missing it is compiled from
//! source, at the version pinned here, into `tools` of the target folder.
//!
//! Invariant: cargo-deny is exactly the pinned version, because its verdict depends on it; of
//! nextest any release since the pinned one will do, because it only runs what is there.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::report::say;
use crate::workspace::{Workspace, run};

/// A tool and the version that is installed where it is missing.
struct Tool {
    name: &'static str,
    version: Version,
    exact: bool,
}

type Version = (u32, u32, u32);

const NEXTEST: Tool = Tool { name: "cargo-nextest", version: (0, 9, 143), exact: false };
const DENY: Tool = Tool { name: "cargo-deny", version: (0, 20, 2), exact: true };

/// Installs what is missing, so that no later step waits for it.
pub(crate) fn install_missing(workspace: &Workspace) -> anyhow::Result<()> {
    for tool in [&NEXTEST, &DENY] {
        ready(workspace, tool)?;
    }
    Ok(())
}

/// `cargo nextest`, ready for its sub-command.
pub(crate) fn nextest(workspace: &Workspace) -> anyhow::Result<Command> {
    let mut command = ready(workspace, &NEXTEST)?;
    command.arg("nextest");
    Ok(command)
}

/// `cargo deny`, ready for its sub-command.
pub(crate) fn deny(workspace: &Workspace) -> anyhow::Result<Command> {
    let mut command = ready(workspace, &DENY)?;
    command.arg("deny");
    Ok(command)
}

fn ready(workspace: &Workspace, tool: &Tool) -> anyhow::Result<Command> {
    let path = search_path(workspace)?;
    if !installed(tool, &path) {
        install(workspace, tool)?;
    }
    let mut command = workspace.cargo();
    command.env("PATH", path);
    Ok(command)
}

/// PATH with this repository's own tools in front.
fn search_path(workspace: &Workspace) -> anyhow::Result<OsString> {
    let own = workspace.target.join("tools/bin");
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(own).chain(env::split_paths(&inherited));
    env::join_paths(folders).context("cannot put the tools folder on PATH")
}

fn installed(tool: &Tool, path: &OsString) -> bool {
    let output = Command::new("env")
        .env("PATH", path)
        .args([tool.name, subcommand(tool), "--version"])
        .stderr(Stdio::null())
        .output();
    let found = output.ok().and_then(|output| version_in(&String::from_utf8_lossy(&output.stdout)));
    found
        .is_some_and(|found| if tool.exact { found == tool.version } else { found >= tool.version })
}

fn subcommand(tool: &Tool) -> &'static str {
    tool.name.trim_start_matches("cargo-")
}

fn version_in(output: &str) -> Option<Version> {
    let mut numbers = output.split_whitespace().nth(1)?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Compiles the tool without optimization: it runs for seconds, and compiles in a third of the time.
fn install(workspace: &Workspace, tool: &Tool) -> anyhow::Result<()> {
    let (major, minor, patch) = tool.version;
    let version = format!("{major}.{minor}.{patch}");
    say(&format!("installing {} {version}, once; this compiles for a minute or two", tool.name));
    let tools = workspace.target.join("tools");
    let mut command = workspace.cargo();
    command
        .args(["install", "--locked", "--debug", "--force", tool.name, "--version", &version])
        .arg("--root")
        .arg(&tools)
        .env("CARGO_TARGET_DIR", tools.join("build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    run(&mut command)?;
    // Only the executable is needed again; the rest is a gigabyte.
    let _ = fs::remove_dir_all(tools.join("build"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_tools_print() {
        assert_eq!(version_in("cargo-deny 0.20.2\n"), Some((0, 20, 2)));
        assert_eq!(version_in("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)"), Some((0, 9, 143)));
        assert_eq!(version_in("env: no such file"), None);
        assert_eq!(version_in(""), None);
    }

    #[test]
    fn a_tool_that_does_not_exist_is_not_installed() {
        let tool = Tool { name: "cargo-no-such-tool", version: (0, 0, 1), exact: false };

        assert!(!installed(&tool, &env::var_os("PATH").unwrap()));
    }
}
