//! Why a confined process was not started.
//!
//! Every case leaves nothing behind: the child, if there was one, is dead and reaped. A missing
//! measure carries what an operator can do about it.

use std::io;

use writ_model::MeasureName;

use crate::{CgroupError, ChannelError};

/// Why a confined process was not started.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Forking a process with several threads is unsound. Start from a launcher.
    #[error("cannot fork a process that has {threads} threads")]
    MultiThreaded {
        /// How many it has.
        threads: usize,
    },
    /// `/proc` could not be read, so the number of threads is unknown.
    #[error("cannot count the threads of this process")]
    CountThreads(#[source] io::Error),
    /// A required measure could not be set up, so the process was not started.
    #[error("cannot start a confined process without {measure}: {why}; to mend: {remedy}")]
    Measure {
        /// The measure.
        measure: MeasureName,
        /// What the kernel said.
        why: String,
        /// What an operator can do about it.
        remedy: String,
    },
    /// The kernel refused a plain fork.
    #[error("cannot fork")]
    Fork(#[source] io::Error),
    /// The control group exists in principle, but this one could not be made.
    #[error("cannot put the process into a control group")]
    Cgroup(#[from] CgroupError),
    /// The child said something else than expected, or nothing, during its setup.
    #[error("cannot follow the setup of the confined process")]
    Setup(#[source] ChannelError),
    /// The child ended before it was ready.
    #[error("the confined process ended during its setup: {exit}")]
    Died {
        /// How.
        exit: crate::Exit,
    },
    /// The interpreter could not be executed inside the sandbox.
    #[error("cannot execute the interpreter in the sandbox: {why}")]
    Exec {
        /// What the kernel said.
        why: String,
    },
    /// A pipe could not be made.
    #[error("cannot make a pipe for the sandbox")]
    Pipe(#[source] io::Error),
    /// The process could not be waited for.
    #[error("cannot wait for the confined process")]
    Wait(#[source] io::Error),
}

impl ConfineError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MultiThreaded { .. } | Self::CountThreads(_) => "confine-threads",
            Self::Measure { .. } => "isolation-measure-missing",
            Self::Fork(_) => "confine-fork",
            Self::Cgroup(_) => "confine-cgroup",
            Self::Setup(_) | Self::Died { .. } => "confine-setup",
            Self::Exec { .. } => "sandbox-exec",
            Self::Pipe(_) => "sandbox-pipe",
            Self::Wait(_) => "confine-wait",
        }
    }
}
