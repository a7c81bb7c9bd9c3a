//! What a confined process may still do: the choice of root, system calls, limits and descriptors.
//!
//! A profile is made by [`Profile::jail`] or [`Profile::cell`] and can be narrowed or given
//! descriptors, never widened. The sandbox makes its own (`sandbox`).
//!
//! Invariant: only descriptors that the profile names, and 0, 1 and 2, reach the child.
//!
//! Not here: the system call lists themselves (`seccomp`).

use std::os::fd::RawFd;

use writ_model::IsolationMode;

use crate::{limits::ResourceLimits, root::Root, seccomp::Filter};

/// How one process is confined.
#[derive(Debug, Clone)]
pub struct Profile {
    pub(crate) filter: Filter,
    pub(crate) root: Root,
    pub(crate) limits: ResourceLimits,
    pub(crate) isolation: IsolationMode,
    pub(crate) keep: Vec<RawFd>,
    pub(crate) uid_shared: bool,
}

impl Profile {
    /// For the jail: an empty root, and system calls for messages, time, memory and its state file.
    #[must_use]
    pub fn jail() -> Self {
        Self::new(Filter::Jail, ResourceLimits { open_files: 128, ..ResourceLimits::single() })
    }

    /// For a cell: as the jail, but without a way to write to files.
    #[must_use]
    pub fn cell() -> Self {
        Self::new(Filter::Cell, ResourceLimits { open_files: 64, ..ResourceLimits::single() })
    }

    /// For the doctor: as the jail, but refused calls fail instead of killing, so that each of the
    /// other measures can be seen to hold without seccomp's help.
    pub(crate) fn probe() -> Self {
        Self::new(Filter::Probe, ResourceLimits { open_files: 64, ..ResourceLimits::single() })
    }

    fn new(filter: Filter, limits: ResourceLimits) -> Self {
        Self {
            filter,
            root: Root::Empty,
            limits,
            isolation: IsolationMode::Full,
            keep: Vec::new(),
            uid_shared: true,
        }
    }

    /// Sets what happens when a measure can't be had: no process, or a process that says so.
    #[must_use]
    pub fn with_isolation(mut self, isolation: IsolationMode) -> Self {
        self.isolation = isolation;
        self
    }

    /// Lets the child keep this descriptor, under the same number. The closure given to
    /// [`spawn`](crate::spawn) owns it; the number only says not to close it.
    #[must_use]
    pub fn keep(mut self, descriptor: RawFd) -> Self {
        self.keep.push(descriptor);
        self
    }

    /// Says in the report that whoever asked for the process runs as another user than the
    /// launcher. See [`Channel::peer_uid`](crate::Channel::peer_uid).
    #[must_use]
    pub fn with_uid_shared(mut self, uid_shared: bool) -> Self {
        self.uid_shared = uid_shared;
        self
    }
}
