//! What this machine can confine a process with, found out by doing it.
//!
//! [`examine`] starts confined children and looks from inside whether each measure holds: a
//! setting that exists, or a call that succeeds, is not believed. What is missing comes with the
//! command that mends it. Called by `writ-jail doctor`, which is single-threaded.
//!
//! Invariant: a measure is active only if a child saw it hold.
//!
//! Not here: printing (`writ doctor`), the settings known to stand in the way (`remedy`).

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use rustix::fs::ftruncate;
use writ_model::{IsolationMode, IsolationReport, Measure, MeasureName};

use crate::{
    CgroupLimits, CgroupParent, Channel, ConfineError, Exit, Profile, process::launch,
    remedy::remedy, seccomp::ForbiddenCall, spawn, sys,
};

mod probe;

/// `SIGSYS` on every architecture that the filters are for.
const SIGSYS: i32 = libc::SIGSYS;
const MEBIBYTE: u64 = 1 << 20;

/// Examines every measure. The mode is `Full` if a process in that mode would start here.
///
/// # Errors
///
/// * [`ConfineError::MultiThreaded`], [`ConfineError::Fork`], [`ConfineError::Setup`]: nothing
///   could be examined. A measure that is missing is no error.
pub fn examine() -> Result<IsolationReport, ConfineError> {
    let mut measures = seen_from_inside()?;
    measures.push(judge(MeasureName::Seccomp, forbidden_calls_kill()?));
    measures.push(judge(MeasureName::SecretMemory, secret_memory_can_be_had()?));
    measures.push(judge(MeasureName::Cgroup, control_group_limits()));
    let report = IsolationReport::new(IsolationMode::Full, measures, true);
    let mode = if report.is_complete() { IsolationMode::Full } else { IsolationMode::Degraded };
    Ok(IsolationReport { mode, ..report })
}

fn judge(name: MeasureName, result: Result<(), String>) -> Measure {
    match result {
        Ok(()) => Measure::active(name),
        Err(why) => Measure::missing(name, why, remedy(name)),
    }
}

/// What the setup says could be done, and what a child says does not hold nonetheless.
fn seen_from_inside() -> Result<Vec<Measure>, ConfineError> {
    let (ours, theirs) = Channel::pair().map_err(ConfineError::Setup)?;
    let profile =
        Profile::probe().with_isolation(IsolationMode::Degraded).keep(theirs.as_fd().as_raw_fd());
    let mut confined = spawn(&profile, move || match probe::report(&theirs) {
        Ok(()) => 0,
        Err(_) => 1,
    })?;
    let found = probe::received(&ours).map_err(ConfineError::Setup)?;
    let exit = confined.process.wait().map_err(ConfineError::Wait)?;
    let Some(found) = found else { return Err(ConfineError::Died { exit }) };
    let contradicted = found.into_iter().map(|(name, why)| judge(name, Err(why)));
    Ok(confined.report.measures.into_iter().chain(contradicted).collect())
}

/// The filters of jail and cell, tried in earnest: every forbidden call must be the end of it.
fn forbidden_calls_kill() -> Result<Result<(), String>, ConfineError> {
    for profile in [Profile::jail(), Profile::cell()] {
        let profile = profile.with_isolation(IsolationMode::Degraded);
        for call in ForbiddenCall::all() {
            let attempt = || {
                sys::attempt(call);
                0
            };
            match ended(&profile, attempt)? {
                Exit::Signal(SIGSYS) => {}
                other => return Ok(Err(format!("{call:?} ended with {other}, not with SIGSYS"))),
            }
        }
    }
    Ok(Ok(()))
}

/// Secret memory, made where it is needed: in a cell.
fn secret_memory_can_be_had() -> Result<Result<(), String>, ConfineError> {
    let profile = Profile::cell().with_isolation(IsolationMode::Degraded);
    let exit = ended(&profile, || {
        let sized = sys::memfd_secret().and_then(|memory| Ok(ftruncate(&memory, MEBIBYTE)?));
        sized.err().map_or(0, |error| error.raw_os_error().unwrap_or(1))
    })?;
    Ok(match exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(errno) => Err(io::Error::from_raw_os_error(errno).to_string()),
        Exit::Signal(_) => Err(format!("asking for secret memory ended with {exit}")),
    })
}

fn ended(profile: &Profile, child: impl FnOnce() -> i32) -> Result<Exit, ConfineError> {
    spawn(profile, child)?.process.wait().map_err(ConfineError::Wait)
}

/// A group of 16 MiB must be the end of a process that uses 64.
fn control_group_limits() -> Result<(), String> {
    let text = |error: &dyn std::error::Error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let parent = CgroupParent::find().map_err(|error| text(&error))?;
    let limits = CgroupLimits { memory_bytes: 16 * MEBIBYTE, processes: 4, cpu_percent: 100 };
    let group = parent.create(limits).map_err(|error| text(&error))?;
    let profile = Profile::cell().with_isolation(IsolationMode::Degraded);
    let attach =
        |pid: rustix::process::Pid| Ok(group.attach(pid.as_raw_nonzero().get().unsigned_abs())?);
    let mut started = launch(&profile, attach, |status| {
        drop(status);
        use_memory(64 * MEBIBYTE)
    })
    .map_err(|error| text(&error))?;
    match started.process.wait() {
        Ok(Exit::Signal(_)) if group.out_of_memory_kills() > 0 => Ok(()),
        Ok(exit) => Err(format!("a process over its memory limit ended with {exit}")),
        Err(error) => Err(error.to_string()),
    }
}

fn use_memory(bytes: u64) -> i32 {
    let Ok(bytes) = usize::try_from(bytes) else { return 1 };
    let used = std::hint::black_box(vec![1_u8; bytes]);
    i32::from(used.len() != bytes)
}
