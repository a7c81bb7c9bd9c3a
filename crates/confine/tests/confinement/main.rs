//! What confined processes and sandboxes can't do, tried for real on this machine.
//!
//! Not run by libtest, which has many threads: only a process with one may start a confined one.
//! Run as root, the whole suite runs a second time as an ordinary user. A filter may be given:
//! `cargo test -p writ-confine --test confinement -- sandbox`.

use std::{
    env, fs,
    io::{self, Write},
    os::unix::process::CommandExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

#[cfg(test)]
mod cells;
#[cfg(test)]
mod code_limits;
#[cfg(test)]
mod code_steps;
#[cfg(test)]
mod languages;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod setting;

/// One promise, and the code that breaks if it does not hold.
type Test = (&'static str, fn());

/// Lists functions as tests, each under its own name.
macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((concat!(module_path!(), "::", stringify!($name)), $name as fn())),*] };
}
use tests;

/// A user without any rights, for the second run.
const ORDINARY_USER: u32 = 47_110;
const SECOND_RUN: &str = "WRIT_CONFINE_SECOND_RUN";

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout();
    let user = rustix::process::geteuid().as_raw();
    let (mut passed, mut failed) = run_all(&mut out, user)?;
    if user == 0 && env::var_os(SECOND_RUN).is_none() {
        if run_as_ordinary_user()? {
            passed *= 2;
        } else {
            failed += 1;
        }
    }
    writeln!(out, "user {user}: {passed} passed, {failed} failed")?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_all(out: &mut impl Write, user: u32) -> io::Result<(u32, u32)> {
    let filter = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let (mut passed, mut failed) = (0, 0);
    let tests =
        [cells::TESTS, code_steps::TESTS, code_limits::TESTS, languages::TESTS, machine::TESTS]
            .concat();
    for (name, test) in tests.into_iter().filter(|(name, _)| wanted(name)) {
        let start = Instant::now();
        let ok = catch_unwind(AssertUnwindSafe(test)).is_ok();
        passed += u32::from(ok);
        failed += u32::from(!ok);
        let word = if ok { "ok" } else { "FAILED" };
        let took_ms = start.elapsed().as_millis();
        writeln!(out, "test {name} (user {user}) ... {word} ({took_ms} ms)")?;
    }
    Ok((passed, failed))
}

/// The folder that Writ's executables lie in: above the tests' own, or copied beside them.
fn executables() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let above = if env::var_os(SECOND_RUN).is_some() { 1 } else { 2 };
    own.ancestors().nth(above).map(Path::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn run_as_ordinary_user() -> io::Result<bool> {
    let folder = env::temp_dir().join(format!("writ-confinement-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let copy = folder.join("confinement");
    fs::copy(env::current_exe()?, &copy)?;
    fs::copy(executables()?.join("writ-quickjs"), folder.join("writ-quickjs"))?;
    let status = Command::new(&copy)
        .args(env::args().skip(1))
        .env(SECOND_RUN, "1")
        .current_dir("/")
        .gid(ORDINARY_USER)
        .uid(ORDINARY_USER)
        .status();
    fs::remove_dir_all(&folder)?;
    Ok(status?.success())
}
