//! `cargo xtask test`: everything CI does, in the order that fails soonest.
//!
//! In: nothing but the environment. Out: every tool's own output, a table of times, and as the
//! last line nextest's own summary, so that whoever reads the end of a log sees the verdict.
//!
//! Invariant: executables are built before tests run, in the same profile and folder, so that an
//! end-to-end test never starts one of an earlier build.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::check;
use crate::fuzz;
use crate::parts;
use crate::report::say;
use crate::steps::Steps;
use crate::tools;
use crate::workspace::{Workspace, run as run_command, spoken};

/// Where corpora are missing and may be, the tests whose names say that they need one are skipped, and
/// the summary lists them.
const WITHOUT_CORPORA: &str = "not test(/corpus|wycheproof/)";

/// Runs all steps; stops at the first that fails.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    if !arguments.is_empty() {
        bail!("`test` takes no arguments; a single test runs with `cargo nextest run <name>`");
    }
    let mut steps = Steps::default();
    steps.run("parts", || parts::install(workspace))?;
    check::lint(workspace, &mut steps)?;
    steps.run("tools", || tools::install_missing(workspace))?;
    steps.run("dependencies", || dependencies(workspace))?;
    // The very build that the README and the demo do, so that both find it done.
    steps
        .run("build", || run_command(workspace.cargo().args(["build", "--workspace", "--bins"])))?;
    steps.run("confinement", || {
        run_command(workspace.cargo().args([
            "test",
            "-p",
            "writ-confine",
            "--test",
            "confinement",
        ]))?;
        run_command(workspace.cargo().args(["test", "-p", "writ-jail", "--test", "confined_cell"]))
    })?;
    let verdict = steps.run("tests", || tests(workspace))?;
    // One tenant for all attacks, in one process: nextest would found one for each.
    steps.run("attacks", || {
        run_command(workspace.cargo().args(["test", "--workspace", "--test", "attacks"]))
    })?;
    steps.run("fuzz", || fuzz::run_all(workspace))?;
    steps.run("doc tests", || {
        run_command(workspace.cargo().args(["test", "--quiet", "--workspace", "--doc"]))
    })?;
    say(&steps.summary());
    say(&verdict);
    Ok(())
}

/// The advisory database is a git repository of its own: looking there is not for a test to do.
fn dependencies(workspace: &Workspace) -> anyhow::Result<()> {
    let mut deny = tools::deny(workspace)?;
    deny.args(["--workspace", "--log-level", "error", "check", "bans", "licenses", "sources"]);
    run_command(&mut deny)
}

fn tests(workspace: &Workspace) -> anyhow::Result<String> {
    let mut nextest = tools::nextest(workspace)?;
    nextest.args(["run", "--workspace", "--profile", "ci"]);
    if !workspace.corpora().is_dir() {
        nextest.args(["--filterset", WITHOUT_CORPORA]);
    }
    let verdict = watched(&mut nextest)?;
    verdict.context("nextest passed without a summary line")
}

/// Runs a command, passes on what it says on standard error, and returns its last summary line.
fn watched(command: &mut Command) -> anyhow::Result<Option<String>> {
    let name = spoken(command);
    let mut child =
        command.stderr(Stdio::piped()).spawn().with_context(|| format!("cannot start `{name}`"))?;
    let said = child.stderr.take().context("the command has no standard error")?;
    let mut verdict = None;
    for line in BufReader::new(said).split(b'\n') {
        let line = line.with_context(|| format!("cannot read what `{name}` says"))?;
        let mut output = std::io::stderr().lock();
        let _ = output.write_all(&line).and_then(|()| output.write_all(b"\n"));
        if let Some(summary) = summary_in(&String::from_utf8_lossy(&line)) {
            verdict = Some(summary);
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{name}`"))?;
    ensure!(status.success(), "`{name}` ended with {status}");
    Ok(verdict)
}

fn summary_in(line: &str) -> Option<String> {
    let plain = without_colors(line);
    plain.trim_start().starts_with("Summary [").then_some(plain)
}

fn without_colors(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    plain.extend(parts.filter_map(|part| part.split_once('m')).map(|(_, text)| text));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_line_is_kept_as_nextest_wrote_it() {
        let line = "     Summary [   0.006s] 4 tests run: 4 passed, 1 skipped";

        assert_eq!(summary_in(line).as_deref(), Some(line));
        assert_eq!(summary_in("        PASS [   0.005s] xtask Summary"), None);
    }

    #[test]
    fn colors_do_not_hide_the_summary() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.006s] 4 tests run";

        assert_eq!(summary_in(line).as_deref(), Some("     Summary [   0.006s] 4 tests run"));
    }

    #[test]
    fn a_failing_command_gives_no_verdict() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo '  Summary [ 1s] 1 test run: 0 passed, 1 failed' >&2; exit 1"]);

        assert!(watched(&mut shell).is_err());
    }

    #[test]
    fn a_passing_command_gives_its_last_summary() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo 'Summary [ 1s] a' >&2; echo 'Summary [ 2s] b' >&2"]);

        assert_eq!(watched(&mut shell).unwrap().as_deref(), Some("Summary [ 2s] b"));
    }
}
