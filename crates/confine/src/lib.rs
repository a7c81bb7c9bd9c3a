//! Confines processes: namespaces, an empty root, landlock, seccomp, limits (DESIGN §7, §8).
//!
//! Used by the single-threaded launchers of `writ-jail`. [`spawn`] forks a closure into
//! confinement (jail, cell); [`sandbox::run`] starts the code of one code step; [`Channel`] carries
//! messages and descriptors between all of them; [`doctor::examine`] says what this machine can do
//! and how to mend what it can't. [`take_listener`] is for a launcher that a service manager starts.
//!
//! Invariants:
//! * In [`IsolationMode::Full`](writ_model::IsolationMode::Full) a process starts with every
//!   required measure, or not at all; the error names the measure and the remedy.
//! * Everything that forks refuses to do so in a process with more than one thread.
//! * `unsafe` lives in `sys` alone.
//!
//! Not here: what runs inside (`writ-jail`), what the messages mean (`writ_jail_link`), who may
//! connect where (the broker in `writ_runner`).
//!
//! Read next: `process` (the parent's half of a start), then `setup` (the child's half).

mod activation;
mod capabilities;
mod cgroup;
mod channel;
pub mod doctor;
mod error;
mod landlock;
mod limits;
mod namespaces;
mod process;
mod profile;
mod remedy;
mod root;
pub mod sandbox;
mod seccomp;
mod setup;
mod sys;
mod user;

pub use activation::{ActivationError, Listener, take_listener};
pub use cgroup::{Cgroup, CgroupError, CgroupLimits, CgroupParent};
pub use channel::{Channel, ChannelError, Received};
pub use error::ConfineError;
pub use process::{ChildProcess, Confined, Exit, fork_worker, harden_self, spawn};
pub use profile::Profile;
pub use user::{UserError, uid_of};
