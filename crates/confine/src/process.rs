//! Starts a confined process: the parent's half.
//!
//! [`spawn`] forks the calling launcher into namespaces of the child's own, maps its ids, waits
//! until the child has confined itself (`setup`), and only then lets it run. The two talk over a
//! [`Channel`] that is closed before the child's own code starts.
//!
//! Invariants:
//! * The child runs nothing of its own before every measure is in place and its parent is known
//!   to live; it dies with its parent.
//! * A failed start leaves no process: the child is killed and reaped.
//! * Dropping a [`Confined`] kills the process and everything in its process namespace.
//!
//! Not here: programs that are executed (`sandbox`), the measures themselves (`setup`).

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, pidfd_send_signal,
    set_dumpable_behavior, set_parent_process_death_signal, setrlimit, waitid,
};
use writ_model::{IsolationMode, IsolationReport, Measure, MeasureName};

use crate::{
    Channel, ChannelError, ConfineError, Profile, namespaces,
    remedy::remedy,
    setup::{Namespaces, Refused, SetupMessage, confine},
    sys::{self, Forked},
};

/// What a child exits with when it could not be set up, or its code panicked.
const CHILD_FAILED: i32 = 101;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal. `SIGSYS` (31) means that it made a call that its profile refuses.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// A child process, killed and reaped when dropped.
#[derive(Debug)]
pub struct ChildProcess {
    pid: Pid,
    pidfd: OwnedFd,
    exit: Option<Exit>,
}

impl ChildProcess {
    /// The process id, as the launcher sees it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Readable once the process has ended; for poll.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits for the end and reaps.
    ///
    /// # Errors
    ///
    /// * The kernel's, if something else has reaped the process.
    pub fn wait(&mut self) -> io::Result<Exit> {
        loop {
            if let Some(exit) = self.reap(WaitIdOptions::EXITED)? {
                return Ok(exit);
            }
        }
    }

    /// Reaps if the process has ended; does not wait.
    ///
    /// # Errors
    ///
    /// * The kernel's, if something else has reaped the process.
    pub fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        self.reap(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    fn reap(&mut self, options: WaitIdOptions) -> io::Result<Option<Exit>> {
        if self.exit.is_some() {
            return Ok(self.exit);
        }
        let status = match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            Ok(status) => status,
            Err(rustix::io::Errno::INTR) => None,
            Err(errno) => return Err(errno.into()),
        };
        if let Some(status) = status {
            let code = status.exit_status().map(Exit::Code);
            self.exit = code.or_else(|| status.terminating_signal().map(Exit::Signal));
        }
        Ok(self.exit)
    }

    /// Kills the process, and with it everything in its process namespace.
    pub fn kill(&self) {
        // The one failure is that it has ended already.
        let _ended_already = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.kill();
            let _reaped_elsewhere = self.wait();
        }
    }
}

/// A confined process that runs.
#[derive(Debug)]
#[must_use = "dropping it kills the process"]
pub struct Confined {
    /// The process.
    pub process: ChildProcess,
    /// What confines it.
    pub report: IsolationReport,
}

/// Forks the calling process and runs `child` in the fork, confined as `profile` says.
///
/// `child` owns the descriptors that it needs, and `profile` names them as kept. Its result is the
/// exit code. It must not rely on other threads, files, the environment or the network.
///
/// # Errors
///
/// * [`ConfineError::MultiThreaded`]: call from a launcher, not from a server.
/// * [`ConfineError::Measure`]: with the remedy. Only in mode `Full`.
/// * [`ConfineError::Fork`], [`ConfineError::Setup`], [`ConfineError::Died`].
pub fn spawn(profile: &Profile, child: impl FnOnce() -> i32) -> Result<Confined, ConfineError> {
    let started = launch(
        profile,
        |_| Ok(()),
        |status| {
            drop(status);
            child()
        },
    )?;
    Ok(Confined { process: started.process, report: started.report })
}

/// Forks a plain worker of this launcher, unconfined and with its rights, which serves one request
/// and ends. It dies with the launcher and keeps only descriptors 0, 1, 2 and `keep`.
///
/// # Errors
///
/// * [`ConfineError::MultiThreaded`], [`ConfineError::Fork`].
pub fn fork_worker(
    keep: &[RawFd],
    worker: impl FnOnce() -> i32,
) -> Result<ChildProcess, ConfineError> {
    require_single_thread()?;
    let parent = rustix::process::getpid();
    match sys::clone_process(0).map_err(ConfineError::Fork)? {
        Forked::Parent(pid, pidfd) => Ok(ChildProcess { pid, pidfd, exit: None }),
        Forked::Child => {
            let tied = set_parent_process_death_signal(Some(Signal::KILL)).is_ok()
                // The parent may have died before the line above.
                && rustix::process::getppid() == Some(parent);
            if !tied || sys::close_all_except(keep).is_err() {
                sys::exit_now(CHILD_FAILED);
            }
            sys::exit_now(catch_unwind(AssertUnwindSafe(worker)).unwrap_or(CHILD_FAILED))
        }
    }
}

/// Hides the calling process from others of its user and gives up gaining rights: for launchers.
///
/// # Errors
///
/// * [`ConfineError::Measure`]: the kernel or the service manager forbids it.
pub fn harden_self() -> Result<(), ConfineError> {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let steps = [
        (MeasureName::NotDumpable, set_dumpable_behavior(DumpableBehavior::NotDumpable)),
        (MeasureName::ResourceLimits, setrlimit(Resource::Core, no_core)),
        (MeasureName::NoNewPrivileges, rustix::thread::set_no_new_privs(true)),
    ];
    for (measure, result) in steps {
        result.map_err(|errno| missing(measure, errno.to_string()))?;
    }
    Ok(())
}

/// A process that has been told to go.
pub(crate) struct Started {
    pub(crate) process: ChildProcess,
    pub(crate) report: IsolationReport,
    /// The scratch directory of its root.
    pub(crate) scratch: Option<OwnedFd>,
    /// Closed when the child closes its end or executes a program.
    pub(crate) status: Channel,
}

/// Forks; `attach` sees the child before it does anything, `run` is what the child does confined.
pub(crate) fn launch(
    profile: &Profile,
    attach: impl FnOnce(Pid) -> Result<(), ConfineError>,
    run: impl FnOnce(Channel) -> i32,
) -> Result<Started, ConfineError> {
    require_single_thread()?;
    let (status, child_status) = Channel::pair().map_err(ConfineError::Setup)?;
    let (forked, shared_because) = fork(profile.isolation)?;
    let namespaces = if shared_because.is_none() { Namespaces::Own } else { Namespaces::Shared };
    match forked {
        Forked::Parent(pid, pidfd) => {
            drop(child_status);
            let process = ChildProcess { pid, pidfd, exit: None };
            attach(pid)?;
            accompany(profile, process, status, shared_because.as_deref())
        }
        Forked::Child => {
            // Else the child would keep the channel open that tells it of its parent's death.
            drop(status);
            let code = catch_unwind(AssertUnwindSafe(|| {
                run_confined(profile, child_status, namespaces, run)
            }));
            sys::exit_now(code.unwrap_or(CHILD_FAILED))
        }
    }
}

fn require_single_thread() -> Result<(), ConfineError> {
    match sys::thread_count().map_err(ConfineError::CountThreads)? {
        1 => Ok(()),
        threads => Err(ConfineError::MultiThreaded { threads }),
    }
}

/// Forks into all namespaces; in degraded mode into none if that fails, with the reason.
fn fork(isolation: IsolationMode) -> Result<(Forked, Option<String>), ConfineError> {
    match (sys::clone_process(namespaces::flags()), isolation) {
        (Ok(forked), _) => Ok((forked, None)),
        (Err(error), IsolationMode::Full) => {
            Err(missing(MeasureName::UserNamespace, error.to_string()))
        }
        (Err(error), IsolationMode::Degraded) => {
            let forked = sys::clone_process(0).map_err(ConfineError::Fork)?;
            Ok((forked, Some(error.to_string())))
        }
    }
}

/// Sees the child through its setup. On any error `process` is dropped, and so killed.
fn accompany(
    profile: &Profile,
    mut process: ChildProcess,
    status: Channel,
    shared_because: Option<&str>,
) -> Result<Started, ConfineError> {
    expect(&mut process, SetupMessage::receive(&status), |message| {
        matches!(message, SetupMessage::Up)
    })?;
    let mapped = match shared_because {
        None => namespaces::map_ids(process.pid),
        Some(_) => Ok(()),
    };
    if let (Err(why), IsolationMode::Full) = (&mapped, profile.isolation) {
        return Err(missing(MeasureName::UserNamespace, why.clone()));
    }
    status.send(b"mapped", None).map_err(ConfineError::Setup)?;
    let (message, scratch) = expect(&mut process, SetupMessage::receive(&status), |message| {
        matches!(message, SetupMessage::Ready { .. })
    })?;
    let SetupMessage::Ready { steps } = message else {
        return Err(ConfineError::Setup(ChannelError::Unexpected));
    };
    status.send(b"go", None).map_err(ConfineError::Setup)?;
    let unmapped = mapped.err().map(|why| (MeasureName::UserNamespace, Some(why)));
    let of_namespaces =
        namespaces::measures().map(|name| (name, shared_because.map(str::to_owned)));
    let measures = of_namespaces.chain(unmapped).chain(steps).map(|(name, why)| match why {
        None => Measure::active(name),
        Some(why) => Measure::missing(name, why, remedy(name)),
    });
    let report = IsolationReport::new(profile.isolation, measures, profile.uid_shared);
    Ok(Started { process, report, scratch, status })
}

/// The message, if it is the one that belongs here; else what its absence means.
fn expect(
    process: &mut ChildProcess,
    received: Result<Option<(SetupMessage, Option<OwnedFd>)>, ChannelError>,
    belongs: impl FnOnce(&SetupMessage) -> bool,
) -> Result<(SetupMessage, Option<OwnedFd>), ConfineError> {
    match received {
        Ok(Some((SetupMessage::Refused { measure, why }, _))) => Err(missing(measure, why)),
        Ok(Some((message, descriptor))) if belongs(&message) => Ok((message, descriptor)),
        Ok(Some(_)) => Err(ConfineError::Setup(ChannelError::Unexpected)),
        // A closed channel is how the child's death shows first; how it died says more.
        Ok(None) | Err(ChannelError::Truncated | ChannelError::Closed) => {
            Err(ConfineError::Died { exit: process.wait().map_err(ConfineError::Wait)? })
        }
        Err(error) => Err(ConfineError::Setup(error)),
    }
}

fn missing(measure: MeasureName, why: String) -> ConfineError {
    ConfineError::Measure { measure, why, remedy: remedy(measure) }
}

/// All that the child does.
fn run_confined(
    profile: &Profile,
    status: Channel,
    namespaces: Namespaces,
    run: impl FnOnce(Channel) -> i32,
) -> i32 {
    match prepare(profile, &status, namespaces) {
        Ok(()) => run(status),
        Err(_parent_is_told_or_gone) => CHILD_FAILED,
    }
}

fn prepare(
    profile: &Profile,
    status: &Channel,
    namespaces: Namespaces,
) -> Result<(), ChannelError> {
    // The files under /proc by which a parent that is not root maps the ids belong to root while
    // a process is not dumpable, which the fork inherits. It holds no secret yet.
    let _refused_only_for_bad_arguments = set_dumpable_behavior(DumpableBehavior::Dumpable);
    SetupMessage::Up.send(status, None)?;
    await_word(status)?;
    match confine(profile, status, namespaces) {
        Ok(done) => {
            SetupMessage::Ready { steps: done.steps }.send(status, done.scratch.as_ref())?;
        }
        Err(Refused { measure, why }) => {
            SetupMessage::Refused { measure, why }.send(status, None)?;
            return Err(ChannelError::Closed);
        }
    }
    // Its answer proves that the parent lived after the death signal was set.
    await_word(status)
}

fn await_word(status: &Channel) -> Result<(), ChannelError> {
    status.receive()?.map(|_| ()).ok_or(ChannelError::Closed)
}

impl AsRawFd for ChildProcess {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}
