//! Launcher B: one sandbox for each order, side by side.

use std::{os::fd::AsRawFd as _, time::Duration};

use writ_confine::{
    CgroupParent, Channel, ConfineError, fork_worker, harden_self,
    sandbox::{self, Interpreter, SandboxLimits, SandboxOutcome, SandboxResult, SandboxSpec},
};
use writ_jail_link::{SandboxFailure, SandboxOrder, SandboxReport, decode, encode};
use writ_model::CodeLanguage;

use super::{LauncherError, take_standard_sockets};

/// Serves orders until the runner closes their channel.
///
/// # Errors
///
/// [`LauncherError`].
pub fn launch_sandboxes() -> Result<(), LauncherError> {
    let (orders, _) = take_standard_sockets()?;
    let orders = Channel::from_fd(orders)?;
    let uid_shared = orders.peer_uid()? == rustix::process::geteuid().as_raw();
    let interpreter = Interpreter::discover()?;
    // Without control groups every sandbox has per-process limits; its report says so.
    let cgroups = CgroupParent::find().ok();
    harden_self()?;
    let mut workers = Vec::new();
    while let Some((frame, answer)) = orders.receive()? {
        workers.retain_mut(|worker: &mut writ_confine::ChildProcess| {
            matches!(worker.try_wait(), Ok(None))
        });
        let Some(answer) = answer else { continue };
        let answer = Channel::from_fd(answer)?;
        let keep = [std::os::fd::AsFd::as_fd(&answer).as_raw_fd()];
        let interpreter = interpreter.clone();
        let cgroups = cgroups.as_ref();
        let worker = fork_worker(&keep, move || {
            let report = match decode::<SandboxOrder>(&frame) {
                Ok(order) => run(order, interpreter, cgroups, uid_shared),
                Err(_) => failed("order"),
            };
            let sent = encode(&report).is_ok_and(|report| answer.send(&report, None).is_ok());
            i32::from(!sent)
        })?;
        workers.push(worker);
    }
    Ok(())
}

fn run(
    order: SandboxOrder,
    interpreter: Interpreter,
    cgroups: Option<&CgroupParent>,
    uid_shared: bool,
) -> SandboxReport {
    let CodeLanguage::Python = order.language;
    let wall = Duration::from_secs(u64::from(order.limit_wall_s));
    let limits = SandboxLimits {
        wall,
        cpu: wall,
        memory_bytes: order.limit_memory,
        ..SandboxLimits::default()
    };
    let code = order.code.into_bytes();
    let spec = SandboxSpec { interpreter, code, limits, broker: None, uid_shared };
    match sandbox::run(spec, cgroups, order.arguments.as_bytes()) {
        Ok(result) => report(&result),
        Err(error) => not_confined(&error),
    }
}

fn report(result: &SandboxResult) -> SandboxReport {
    SandboxReport {
        result: output(result),
        log: String::from_utf8_lossy(&result.stderr).into_owned(),
    }
}

fn output(result: &SandboxResult) -> Result<String, SandboxFailure> {
    match result.outcome {
        SandboxOutcome::Exited { code: 0 } => {}
        SandboxOutcome::Exited { code } => return Err(SandboxFailure::Exited { status: code }),
        SandboxOutcome::TimedOut => return Err(SandboxFailure::TimedOut),
        SandboxOutcome::OutOfMemory => return Err(SandboxFailure::OutOfMemory),
        SandboxOutcome::TooMuchOutput => return Err(SandboxFailure::TooMuchOutput),
        SandboxOutcome::Signaled { signal } => return Err(SandboxFailure::Signaled { signal }),
    }
    let bytes = result.output().ok_or(SandboxFailure::NotJson)?;
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|_| SandboxFailure::NotJson)?;
    Ok(value.to_string())
}

fn not_confined(error: &ConfineError) -> SandboxReport {
    eprintln!("writ-jail: a sandbox was not started: {error}");
    failed(&error.to_string())
}

fn failed(measure: &str) -> SandboxReport {
    SandboxReport {
        result: Err(SandboxFailure::NotConfined { measure: measure.to_owned() }),
        log: String::new(),
    }
}
