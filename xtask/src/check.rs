//! `cargo xtask check`: the fast loop before a commit.
//!
//! In: `--bless`, which first rewrites the lists that are committed and derived from the code.
//! Out: the first failure, or nothing but the times.
//!
//! Not here: tests that start executables or read parts and corpora; see `test`.

use anyhow::bail;

use crate::parts;
use crate::report::say;
use crate::rules;
use crate::steps::Steps;
use crate::tools;
use crate::workspace::{Workspace, run as run_command};

/// Format, house rules, clippy, unit tests.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    let bless = wants_bless(arguments)?;
    let mut steps = Steps::default();
    if bless {
        steps.run("bless", || rules::bless(workspace))?;
    }
    lint(workspace, &mut steps)?;
    steps.run("unit tests", || unit_tests(workspace))?;
    say(&steps.summary());
    Ok(())
}

/// The house rules alone.
pub(crate) fn rules_only(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    if wants_bless(arguments)? {
        rules::bless(workspace)?;
    }
    rules::check(workspace)
}

/// The steps that look at code without running it; `test` begins with the same.
pub(crate) fn lint(workspace: &Workspace, steps: &mut Steps) -> anyhow::Result<()> {
    steps.run("format", || run_command(workspace.cargo().args(["fmt", "--all", "--check"])))?;
    steps.run("house rules", || rules::check(workspace))?;
    spelling(workspace, steps)?;
    steps.run("clippy", || {
        let mut clippy = workspace.cargo();
        clippy.args(["clippy", "--workspace", "--all-targets", "--", "--deny=warnings"]);
        run_command(&mut clippy)
    })
}

/// By `typos.toml`. `test` has installed the speller; who never ran that is told, and goes on.
fn spelling(workspace: &Workspace, steps: &mut Steps) -> anyhow::Result<()> {
    let speller = parts::typos(workspace);
    if !speller.exists() {
        say("spelling is not checked: `cargo xtask test` installs what it takes");
        return Ok(());
    }
    steps.run("spelling", || run_command(&mut workspace.command(speller)))
}

fn unit_tests(workspace: &Workspace) -> anyhow::Result<()> {
    let mut nextest = tools::nextest(workspace)?;
    nextest.args(["run", "--workspace", "--lib", "--bins"]);
    run_command(&mut nextest)
}

fn wants_bless(arguments: &[String]) -> anyhow::Result<bool> {
    match arguments {
        [] => Ok(false),
        [only] if only == "--bless" => Ok(true),
        _ => bail!("cannot understand `{}`; only `--bless` is known", arguments.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bless_is_understood() {
        assert!(!wants_bless(&[]).unwrap());
        assert!(wants_bless(&["--bless".to_owned()]).unwrap());
        assert!(wants_bless(&["--blessed".to_owned()]).is_err());
    }
}
