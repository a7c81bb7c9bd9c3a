//! Runs the code of one code step, which is trusted with nothing (DESIGN §8).
//!
//! [`spawn`] starts an interpreter in a root of its own, without network, `/proc`, capabilities or
//! descriptors; [`Sandboxed::supervise`] feeds it the input, collects what it says within bounds,
//! and kills it at the first bound it crosses. [`run`] is both.
//!
//! The code reads its input as JSON from stdin. Its output is the content of the file that
//! `$WRIT_OUTPUT` names, if it wrote one, else the last line of stdout; stderr is its log.
//!
//! Invariants:
//! * A sandbox is never degraded: without every required measure there is none.
//! * Memory and processes are bounded over the whole sandbox: by a control group or, where there
//!   is none, by a limit on one process's address space together with a ban on further processes.
//! * The interpreter is process 1 of its namespace: when it ends or is killed, everything in it dies.
//!
//! Not here: what the output means, and which hosts the broker lets it reach.

use std::{
    collections::BTreeMap,
    io::{self, PipeReader, PipeWriter, pipe},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::Command,
    time::Duration,
};

use rustix::io::{FdFlags, fcntl_setfd};
use writ_model::{IsolationMode, IsolationReport, Measure, MeasureName, limits::STEP_OUTPUT_MAX};

use crate::{
    Cgroup, CgroupLimits, CgroupParent, Channel, ChildProcess, ConfineError, Profile,
    limits::ResourceLimits,
    process::{Started, launch},
    remedy::remedy,
    root::{InterpreterRoot, Root, SCRATCH},
    seccomp::Filter,
    setup::SetupMessage,
};

mod interpreter;
mod output;
mod supervise;

pub use interpreter::{Interpreter, InterpreterError, Interpreters};

/// The name, in the scratch directory, that `$WRIT_OUTPUT` points to.
const OUTPUT_FILE: &str = "output.json";
/// Descriptors that the code may have open at once.
const OPEN_FILES: u64 = 256;
const EXEC_FAILED: i32 = 127;

/// What one step may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Time from start to end.
    pub wall: Duration,
    /// Processor time of one process.
    pub cpu: Duration,
    /// Bytes of memory. With a control group files in `/tmp` count; without, they come on top.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u32,
    /// Bytes of stdout, and bytes of `$WRIT_OUTPUT`.
    pub output_bytes: usize,
    /// Bytes of stderr that are kept; the rest is dropped.
    pub log_bytes: usize,
    /// Bytes in `/tmp`, and of any one file.
    pub scratch_bytes: u64,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            wall: Duration::from_mins(1),
            cpu: Duration::from_mins(1),
            memory_bytes: 256 << 20,
            processes: 32,
            output_bytes: STEP_OUTPUT_MAX,
            log_bytes: 64 << 10,
            scratch_bytes: 64 << 20,
        }
    }
}

/// One step's code and what it gets.
#[derive(Debug)]
pub struct SandboxSpec {
    /// What runs it.
    pub interpreter: Interpreter,
    /// The program, UTF-8.
    pub code: Vec<u8>,
    /// Its arguments, after its own name.
    pub arguments: Vec<String>,
    /// Variables beside those that every sandbox has.
    pub environment: BTreeMap<String, String>,
    /// What it may use.
    pub limits: SandboxLimits,
    /// A channel to the connect broker, if hosts were declared; its number is `$WRIT_BROKER_FD`.
    pub broker: Option<OwnedFd>,
    /// Whether whoever asked runs as the launcher's user; for the report.
    pub uid_shared: bool,
}

/// How the code ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxOutcome {
    /// By itself, with this code.
    Exited {
        /// 0 for success.
        code: i32,
    },
    /// Killed at the wall-clock limit.
    TimedOut,
    /// Killed by the kernel at the memory limit.
    OutOfMemory,
    /// Killed because stdout, or the output file, grew over its limit.
    TooMuchOutput,
    /// By a signal: `SIGKILL` at the limit on processor time.
    Signaled {
        /// Which.
        signal: i32,
    },
}

/// What the code left at `$WRIT_OUTPUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenOutput {
    /// Nothing.
    Absent,
    /// A file with this content.
    Content(Vec<u8>),
    /// Something other than a file that can be read, such as a link or a pipe. Not opened.
    NotAFile,
}

/// Everything that came out of a sandbox.
#[derive(Debug)]
pub struct SandboxResult {
    /// How the code ended.
    pub outcome: SandboxOutcome,
    /// What it wrote to stdout, within the limit.
    pub stdout: Vec<u8>,
    /// The first part of what it wrote to stderr.
    pub stderr: Vec<u8>,
    /// Whether there was more of it.
    pub stderr_cut: bool,
    /// What it left at `$WRIT_OUTPUT`.
    pub written: WrittenOutput,
    /// What confined it.
    pub report: IsolationReport,
}

impl SandboxResult {
    /// The bytes that should be the output JSON: the file's, else stdout's last line that is not
    /// blank. `None` if there are none, or if what was left is not a file.
    #[must_use]
    pub fn output(&self) -> Option<&[u8]> {
        match &self.written {
            WrittenOutput::Content(content) => Some(content),
            WrittenOutput::NotAFile => None,
            WrittenOutput::Absent => {
                let lines = self.stdout.split(|byte| *byte == b'\n');
                lines.map(<[u8]>::trim_ascii).rfind(|line| !line.is_empty())
            }
        }
    }
}

/// A sandbox whose code runs.
#[derive(Debug)]
#[must_use = "dropping it kills the sandbox"]
pub struct Sandboxed {
    // Dropped in this order: a control group can only be removed once its processes are dead.
    process: ChildProcess,
    cgroup: Option<Cgroup>,
    stdin: PipeWriter,
    stdout: PipeReader,
    stderr: PipeReader,
    scratch: OwnedFd,
    limits: SandboxLimits,
    report: IsolationReport,
}

/// Runs the code with `input` on its stdin and waits for the end.
///
/// # Errors
///
/// Those of [`spawn`] and [`Sandboxed::supervise`].
pub fn run(
    spec: SandboxSpec,
    cgroups: Option<&CgroupParent>,
    input: &[u8],
) -> Result<SandboxResult, ConfineError> {
    spawn(spec, cgroups)?.supervise(input)
}

/// Starts the code.
///
/// # Errors
///
/// * [`ConfineError::MultiThreaded`]: call from a launcher.
/// * [`ConfineError::Measure`], [`ConfineError::Cgroup`]: nothing was started.
/// * [`ConfineError::Exec`]: the interpreter does not run in the root made for it.
pub fn spawn(spec: SandboxSpec, cgroups: Option<&CgroupParent>) -> Result<Sandboxed, ConfineError> {
    let (stdin_inside, stdin) = pipe().map_err(ConfineError::Pipe)?;
    let (stdout, stdout_inside) = pipe().map_err(ConfineError::Pipe)?;
    let (stderr, stderr_inside) = pipe().map_err(ConfineError::Pipe)?;
    let cgroup = cgroups.map(|parent| parent.create(spec.limits.cgroup())).transpose()?;
    let ends = InnerEnds {
        stdin: stdin_inside.into(),
        stdout: stdout_inside.into(),
        stderr: stderr_inside.into(),
        broker: spec.broker,
    };
    let inner = Inner {
        interpreter: spec.interpreter.clone(),
        arguments: spec.arguments,
        environment: spec.environment,
        ends,
    };
    let address_space = spec.interpreter.address_space;
    let root = InterpreterRoot {
        interpreter: spec.interpreter,
        code: spec.code,
        scratch_bytes: spec.limits.scratch_bytes,
    };
    let slack = if cgroup.is_some() { address_space } else { 0 };
    let mut profile = profile(root, &spec.limits, slack);
    profile.filter = Filter::Sandbox { processes: cgroup.is_some() };
    profile.keep = inner.ends.numbers();
    profile.uid_shared = spec.uid_shared;
    let started = launch(
        &profile,
        |pid| match &cgroup {
            Some(cgroup) => Ok(cgroup.attach(pid.as_raw_nonzero().get().unsigned_abs())?),
            None => Ok(()),
        },
        move |status| execute(&inner, &status),
    )?;
    let (process, report, scratch) = executed(started, cgroup.is_some())?;
    Ok(Sandboxed { process, cgroup, stdin, stdout, stderr, scratch, limits: spec.limits, report })
}

impl SandboxLimits {
    fn cgroup(&self) -> CgroupLimits {
        CgroupLimits {
            memory_bytes: self.memory_bytes,
            processes: self.processes,
            cpu_percent: 100,
        }
    }

    fn resources(&self, slack: u64) -> ResourceLimits {
        ResourceLimits {
            open_files: OPEN_FILES,
            processes: u64::from(self.processes),
            address_space: Some(self.memory_bytes.saturating_add(slack)),
            cpu_s: Some(self.cpu.as_secs().max(1)),
            file_size: Some(self.scratch_bytes),
        }
    }
}

fn profile(root: InterpreterRoot, limits: &SandboxLimits, slack: u64) -> Profile {
    Profile {
        filter: Filter::Sandbox { processes: false },
        root: Root::Interpreter(Box::new(root)),
        limits: limits.resources(slack),
        isolation: IsolationMode::Full,
        keep: Vec::new(),
        uid_shared: true,
    }
}

/// What the child becomes.
struct Inner {
    interpreter: Interpreter,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    ends: InnerEnds,
}

/// The child's ends of the pipes, and the broker.
struct InnerEnds {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    broker: Option<OwnedFd>,
}

impl InnerEnds {
    fn numbers(&self) -> Vec<i32> {
        let pipes = [&self.stdin, &self.stdout, &self.stderr];
        pipes.into_iter().chain(&self.broker).map(AsRawFd::as_raw_fd).collect()
    }
}

/// Becomes the interpreter; all that the confined child does. Everything that it holds but the
/// ends below closes as the program starts, the status channel included.
fn execute(inner: &Inner, status: &Channel) -> i32 {
    let why = match connect(&inner.ends) {
        Ok(()) => interpreter_command(inner).exec(),
        Err(error) => error,
    };
    // If even this fails, the parent sees the exit code.
    let _ = SetupMessage::ExecFailed { why: why.to_string() }.send(status, None);
    EXEC_FAILED
}

fn connect(ends: &InnerEnds) -> io::Result<()> {
    rustix::stdio::dup2_stdin(&ends.stdin)?;
    rustix::stdio::dup2_stdout(&ends.stdout)?;
    rustix::stdio::dup2_stderr(&ends.stderr)?;
    if let Some(broker) = &ends.broker {
        fcntl_setfd(broker, FdFlags::empty())?;
    }
    Ok(())
}

fn interpreter_command(inner: &Inner) -> Command {
    let interpreter = &inner.interpreter;
    let mut command = Command::new(&interpreter.executable);
    command
        .args(&interpreter.arguments)
        .arg(interpreter.code_path)
        .args(&inner.arguments)
        .current_dir(SCRATCH)
        .env_clear()
        .envs(&inner.environment)
        .env("HOME", SCRATCH)
        .env("TMPDIR", SCRATCH)
        .env("LANG", "C.UTF-8")
        .env("WRIT_OUTPUT", Path::new(SCRATCH).join(OUTPUT_FILE));
    if !interpreter.programs.is_empty() {
        command.env("PATH", "/usr/bin");
    }
    if let Some(broker) = &inner.ends.broker {
        command.env("WRIT_BROKER_FD", broker.as_raw_fd().to_string());
    }
    command
}

/// Makes sure that the interpreter runs, and completes the report.
fn executed(
    started: Started,
    in_cgroup: bool,
) -> Result<(ChildProcess, IsolationReport, OwnedFd), ConfineError> {
    match SetupMessage::receive(&started.status).map_err(ConfineError::Setup)? {
        // The channel closes on exec.
        None => {}
        Some((SetupMessage::ExecFailed { why }, _)) => return Err(ConfineError::Exec { why }),
        Some(_) => return Err(ConfineError::Setup(crate::ChannelError::Unexpected)),
    }
    let scratch = started.scratch.ok_or(ConfineError::Setup(crate::ChannelError::Unexpected))?;
    let cgroup = if in_cgroup {
        Measure::active(MeasureName::Cgroup)
    } else {
        Measure::missing(
            MeasureName::Cgroup,
            "the launcher has no control group of its own; instead the address space of the one \
             process is limited and further processes are refused",
            remedy(MeasureName::Cgroup),
        )
    };
    let IsolationReport { mode, measures, uid_shared } = started.report;
    // Executing a program makes it dumpable again. There is nothing of ours in it.
    let kept = measures.into_iter().filter(|measure| measure.name != MeasureName::NotDumpable);
    let report = IsolationReport::new(mode, kept.chain([cgroup]), uid_shared);
    Ok((started.process, report, scratch))
}
