//! Limits on the process itself (`setrlimit`): the part of the bounds that needs no control group.
//!
//! Invariant: a limit is set soft and hard alike, so that no confined process can raise it.

use rustix::process::{Resource, Rlimit, setrlimit};

/// The bounds of one confined process.
#[derive(Debug, Clone)]
pub(crate) struct ResourceLimits {
    /// Descriptors open at once.
    pub(crate) open_files: u64,
    /// Processes and threads of the user within its user namespace.
    pub(crate) processes: u64,
    /// Bytes of address space of one process.
    pub(crate) address_space: Option<u64>,
    /// Seconds of processor time of one process.
    pub(crate) cpu_s: Option<u64>,
    /// Bytes of the largest file.
    pub(crate) file_size: Option<u64>,
}

impl ResourceLimits {
    /// One process that starts no other.
    pub(crate) fn single() -> Self {
        Self { open_files: 64, processes: 1, address_space: None, cpu_s: None, file_size: None }
    }

    /// Sets the limits on the calling process.
    pub(crate) fn apply(&self) -> Result<(), String> {
        let limits = [
            (Resource::Core, Some(0)),
            (Resource::Msgqueue, Some(0)),
            (Resource::Nofile, Some(self.open_files)),
            (Resource::Nproc, Some(self.processes)),
            (Resource::As, self.address_space),
            (Resource::Cpu, self.cpu_s),
            (Resource::Fsize, self.file_size),
        ];
        for (resource, limit) in limits {
            if limit.is_some() {
                setrlimit(resource, Rlimit { current: limit, maximum: limit })
                    .map_err(|errno| format!("cannot set the limit {resource:?}: {errno}"))?;
            }
        }
        Ok(())
    }
}
