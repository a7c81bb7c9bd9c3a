//! `cargo xtask`: the one door to everything a contributor or the CI does with this repository.
//!
//! In: a command name from [`COMMANDS`]. Out: what the tools it starts print, and an exit status.
//!
//! Read next: `rules` (what the house rules are), then `test` (the order in which CI does things).
//! Every command stops at the first failure and names the step that failed.
//!
//! Not here: any knowledge of how a tool is called; each door has its own file.

mod bench;
mod check;
mod demo;
mod fuzz;
mod parts;
mod report;
mod rules;
mod source;
mod steps;
mod test;
mod tools;
mod workspace;

use std::env;
use std::process::ExitCode;

use anyhow::bail;

use crate::report::say;
use crate::workspace::Workspace;

/// One door.
struct Door {
    name: &'static str,
    arguments: &'static str,
    teaches: &'static str,
    open: fn(&Workspace, &[String]) -> anyhow::Result<()>,
}

const DOORS: &[Door] = &[
    Door {
        name: "demo",
        arguments: "[ARGUMENTS...]",
        teaches: "Builds the executables and runs the main job from nothing; arguments go to the demo.",
        open: demo::run,
    },
    Door {
        name: "bench",
        arguments: "[primitives] [authority] [dev] [tls]",
        teaches: "Measures release builds, and prints each cost beside what the machine can do; all of it if no word is given.",
        open: bench::run,
    },
    Door {
        name: "check",
        arguments: "[--bless]",
        teaches: "The fast loop: format, house rules, clippy, unit tests. --bless first rewrites committed lists.",
        open: check::run,
    },
    Door {
        name: "rules",
        arguments: "[--bless]",
        teaches: "Only the house rules: seconds, compiles nothing but itself.",
        open: check::rules_only,
    },
    Door {
        name: "test",
        arguments: "",
        teaches: "Everything CI does, parts from the registries included, with times and a summary.",
        open: test::run,
    },
];

const ENVIRONMENT: &str = "
Environment:

  CARGO_TARGET_DIR  where everything is built and installed (default `target`)
  WRIT_CORPORA      folder of test data that nobody here wrote (default `../shared/corpora`)
  WRIT_PARTS        folder of parts from package registries (default `parts` in the target folder)
  CI=true           a missing corpus is a failure";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> anyhow::Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        say(&help());
        return Ok(());
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        say(&help());
        return Ok(());
    }
    let Some(door) = DOORS.iter().find(|door| door.name == name) else {
        bail!("there is no `{name}` command\n\n{}", help());
    };
    if matches!(rest.first().map(String::as_str), Some("--help" | "-h")) && door.name != "demo" {
        say(&format!("cargo xtask {} {}\n\n{}", door.name, door.arguments, door.teaches));
        return Ok(());
    }
    (door.open)(&Workspace::find()?, rest)
}

fn help() -> String {
    let doors = DOORS
        .iter()
        .map(|door| format!("\n  {} {}\n      {}\n", door.name, door.arguments, door.teaches));
    format!("cargo xtask <command>\n{}{ENVIRONMENT}", doors.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_door() {
        let text = help();

        for door in DOORS {
            assert!(text.contains(door.name), "{} is missing", door.name);
            assert!(text.contains(door.teaches), "{} is not taught", door.name);
        }
    }

    #[test]
    fn an_unknown_command_fails_and_teaches() {
        let error = dispatch(&["tset".to_owned()]).unwrap_err().to_string();

        assert!(error.contains("`tset`"));
        assert!(error.contains("cargo xtask <command>"));
    }
}
