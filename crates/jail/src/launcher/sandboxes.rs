//! Launcher B: one sandbox for each order, side by side.

use std::{os::fd::AsRawFd as _, time::Duration};

use writ_confine::{
    CgroupParent, Channel, ConfineError, fork_worker, harden_self,
    sandbox::{self, Interpreters, SandboxLimits, SandboxOutcome, SandboxResult, SandboxSpec},
};
use writ_jail_link::{SandboxFailure, SandboxOrder, SandboxReport, decode, encode};
use writ_model::ProcessReturn;

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
    // Without control groups every sandbox has per-process limits; its report says so.
    let cgroups = CgroupParent::find().ok();
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(std::path::Path::parent);
    let interpreters = Interpreters::discover(beside, cgroups.is_some());
    tell(&interpreters);
    harden_self()?;
    let mut workers = Vec::new();
    while let Some((frame, answer)) = orders.receive()? {
        workers.retain_mut(|worker: &mut writ_confine::ChildProcess| {
            matches!(worker.try_wait(), Ok(None))
        });
        let Some(answer) = answer else { continue };
        let answer = Channel::from_fd(answer)?;
        let keep = [std::os::fd::AsFd::as_fd(&answer).as_raw_fd()];
        let interpreters = &interpreters;
        let cgroups = cgroups.as_ref();
        let worker = fork_worker(&keep, move || {
            let report = match decode::<SandboxOrder>(&frame) {
                Ok(order) => run(order, interpreters, cgroups, uid_shared),
                Err(_) => failed(SandboxFailure::NotConfined { measure: "order".to_owned() }),
            };
            let sent = encode(&report).is_ok_and(|report| answer.send(&report, None).is_ok());
            i32::from(!sent)
        })?;
        workers.push(worker);
    }
    Ok(())
}

/// One line for each language that code steps can't be written in here.
fn tell(interpreters: &Interpreters) {
    for (_, found) in interpreters.all() {
        if let Err(error) = found {
            eprintln!("writ-jail: {error}; steps in this language fail here");
        }
    }
}

fn run(
    order: SandboxOrder,
    interpreters: &Interpreters,
    cgroups: Option<&CgroupParent>,
    uid_shared: bool,
) -> SandboxReport {
    let Ok(interpreter) = interpreters.of(order.language) else {
        return failed(SandboxFailure::NoInterpreter { language: order.language });
    };
    if !order.input.is_valid() {
        return failed(SandboxFailure::Arguments);
    }
    let wall = Duration::from_secs(u64::from(order.limit_wall_s));
    let limits = SandboxLimits {
        wall,
        cpu: wall,
        memory_bytes: order.limit_memory,
        ..SandboxLimits::default()
    };
    let spec = SandboxSpec {
        interpreter: interpreter.clone(),
        code: order.code.into_bytes(),
        arguments: order.input.arguments,
        environment: order.input.environment,
        limits,
        broker: None,
        uid_shared,
    };
    match sandbox::run(spec, cgroups, order.input.stdin.as_bytes()) {
        Ok(result) => report(&result, order.returns),
        Err(error) => not_confined(&error),
    }
}

fn report(result: &SandboxResult, returns: ProcessReturn) -> SandboxReport {
    SandboxReport {
        result: output(result, returns),
        log: String::from_utf8_lossy(&result.stderr).into_owned(),
    }
}

fn output(result: &SandboxResult, returns: ProcessReturn) -> Result<String, SandboxFailure> {
    let status = match result.outcome {
        SandboxOutcome::Exited { code } => code,
        SandboxOutcome::TimedOut => return Err(SandboxFailure::TimedOut),
        SandboxOutcome::OutOfMemory => return Err(SandboxFailure::OutOfMemory),
        SandboxOutcome::TooMuchOutput => return Err(SandboxFailure::TooMuchOutput),
        SandboxOutcome::Signaled { signal } => return Err(SandboxFailure::Signaled { signal }),
    };
    let asks_for_status = matches!(returns, ProcessReturn::Code | ProcessReturn::All);
    if status != 0 && !asks_for_status {
        return Err(SandboxFailure::Exited { status });
    }
    let stdout = || text(&result.stdout);
    let value = match returns {
        ProcessReturn::Output => {
            let bytes = result.output().ok_or(SandboxFailure::NotJson)?;
            serde_json::from_slice(bytes).map_err(|_| SandboxFailure::NotJson)?
        }
        ProcessReturn::Stdout => stdout()?.into(),
        ProcessReturn::Stderr => String::from_utf8_lossy(&result.stderr).into(),
        ProcessReturn::Code => status.into(),
        ProcessReturn::All => serde_json::json!({
            "code": status,
            "stdout": stdout()?,
            "stderr": String::from_utf8_lossy(&result.stderr),
        }),
        ProcessReturn::None => serde_json::Value::Null,
    };
    Ok(value.to_string())
}

fn text(bytes: &[u8]) -> Result<&str, SandboxFailure> {
    std::str::from_utf8(bytes).map_err(|_| SandboxFailure::NotText)
}

fn not_confined(error: &ConfineError) -> SandboxReport {
    eprintln!("writ-jail: a sandbox was not started: {error}");
    failed(SandboxFailure::NotConfined { measure: error.to_string() })
}

fn failed(failure: SandboxFailure) -> SandboxReport {
    SandboxReport { result: Err(failure), log: String::new() }
}
