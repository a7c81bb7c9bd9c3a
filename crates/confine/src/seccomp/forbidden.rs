//! Calls that no confined process may make, to be tried by the doctor and by tests.
//!
//! The lists in `lists` say what is allowed; this one says what must never get onto them.
//!
//! Invariant: with zeros for arguments each of these does no harm, should a filter let it through.

/// A call that a filter must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForbiddenCall {
    /// The one of this number, with zeros for arguments.
    Number(i64),
    /// Mapping memory that can be executed. Jail and cell only.
    ExecutableMemory,
}

impl ForbiddenCall {
    /// Those that jail and cell must not make.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let everywhere = NUMBERS.iter().chain(OTHER_NUMBERING).copied();
        let numbers = everywhere.chain(SANDBOX_MAY.iter().copied()).map(Self::Number);
        numbers.chain([Self::ExecutableMemory])
    }
}

/// What no filter allows.
pub(super) const NUMBERS: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_bpf,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_seccomp,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_personality,
    libc::SYS_open_by_handle_at,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_capset,
    libc::SYS_chroot,
    libc::SYS_mknodat,
    libc::SYS_shmget,
    libc::SYS_execveat,
];

/// The same process id by the 32-bit numbering, which must not be a way round the lists.
#[cfg(target_arch = "x86_64")]
const OTHER_NUMBERING: &[i64] = &[0x4000_0000 + libc::SYS_getpid];
#[cfg(not(target_arch = "x86_64"))]
const OTHER_NUMBERING: &[i64] = &[];

/// What only code steps may try.
pub(super) const SANDBOX_MAY: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_clone3,
    libc::SYS_kill,
    libc::SYS_prctl,
    libc::SYS_uname,
    libc::SYS_execve,
];
