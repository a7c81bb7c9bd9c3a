//! The README's steps, verbatim and in order, as a new user would do them.

#![cfg(test)]

use std::{env, fs, process::Command};

use writ_testkit::world::sources;

#[test]
fn the_steps_of_the_readme_work_verbatim() {
    let readme = fs::read_to_string(sources().join("README.md")).unwrap();
    let steps: Vec<&str> =
        readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(steps.len() >= 7, "the README has only {} steps", steps.len());
    // A copy of the sources, since the steps make a folder beside them.
    let scratch = env::temp_dir().join(format!("writ-readme-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    let script = format!(
        "set -eumo pipefail\nln -sfn \"$SOURCES\"/* .\nln -sfn \"$SOURCES\"/.cargo .\n\
         trap 'kill %1 2>/dev/null || true' EXIT\n{}",
        steps.join("\n")
    );
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| sources().join("target").into());

    let output = Command::new("bash")
        .arg("-c")
        .arg(script)
        .current_dir(&scratch)
        .env("SOURCES", sources())
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&output.stdout);
    let log = fs::read_to_string(scratch.join("first/dev.log")).unwrap_or_default();
    let complained = String::from_utf8_lossy(&output.stderr);
    fs::remove_dir_all(&scratch).unwrap();
    assert!(output.status.success(), "{said}\n{complained}\n{log}");
    assert!(said.contains("Hello, Ada!"), "{said}");
    assert!(said.contains("verified "), "{said}");
    println!("README: {} steps", steps.len());
}
