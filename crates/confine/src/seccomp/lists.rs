//! The system calls themselves, as plain lists.
//!
//! Invariant: a call that is narrowed by its arguments is on no other list of the same filter.

use super::When;

/// What any Rust process with descriptors, timers and memory needs.
pub(super) const CORE: &[i64] = &[
    // Descriptors that are already there. Connected sockets arrive by `recvmsg`.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_socketpair,
    // Waiting.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_eventfd2,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_restart_syscall,
    // Memory. `memfd_secret` gets its size from `ftruncate`.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    SYS_MEMFD_SECRET,
    libc::SYS_ftruncate,
    libc::SYS_getrandom,
    // The process itself. Its own namespace is all that tgkill can name.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The number is the same on every architecture; `libc` does not have it on all.
const SYS_MEMFD_SECRET: i64 = 447;

/// Writing to files that are open.
pub(super) const WRITE: &[i64] =
    &[libc::SYS_pwrite64, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_flock];

/// Replacing what stands in the one file that a cell may be handed to write: that of a secret id
/// which it unwraps.
pub(super) const REPLACE: &[i64] = &[libc::SYS_flock, libc::SYS_fsync];

/// Looking for files.
pub(super) const OPEN: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
];

/// What the doctor tries, to see something other than seccomp refuse it.
pub(super) const PROBE: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_getdents64,
    libc::SYS_execve,
    libc::SYS_prctl,
    libc::SYS_capget,
    libc::SYS_kill,
    libc::SYS_mkdirat,
    libc::SYS_prlimit64,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
];

const EXECUTABLE: u64 = libc::PROT_EXEC.unsigned_abs() as u64;

/// What jail and cell may do with some arguments only: no memory that can be executed, and no
/// control of a descriptor but the flags that `std` sets this way.
pub(super) const NARROWED: &[(i64, When)] = &[
    (libc::SYS_mmap, When::Masked { argument: 2, mask: EXECUTABLE, value: 0 }),
    (libc::SYS_mprotect, When::Masked { argument: 2, mask: EXECUTABLE, value: 0 }),
    (libc::SYS_ioctl, When::OneOf { argument: 1, values: &[libc::FIONBIO, libc::FIOCLEX] }),
];

/// What interpreters need beyond that, all of it on files that the root and landlock allow.
pub(super) const INTERPRETER: &[i64] = &[
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_membarrier,
    // Files.
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    libc::SYS_umask,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_sendfile,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_pselect6,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
    // Who and what it is.
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_prlimit64,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getrlimit,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getpgrp,
    libc::SYS_getpriority,
    // Starting up, signals, timers, children.
    libc::SYS_execve,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    libc::SYS_set_tid_address,
    libc::SYS_get_robust_list,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend,
    libc::SYS_kill,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_alarm,
];

/// `TIOCSTI`, which types into a terminal, is among those left out.
const INTERPRETER_IOCTLS: When = When::OneOf {
    argument: 1,
    values: &[
        libc::FIONBIO,
        libc::FIOCLEX,
        libc::FIONCLEX,
        libc::FIONREAD,
        libc::TCGETS,
        libc::TIOCGWINSZ,
    ],
};

const INTERPRETER_PRCTLS: When = When::OneOf {
    argument: 0,
    values: &[libc::PR_SET_NAME.unsigned_abs() as u64, libc::PR_GET_NAME.unsigned_abs() as u64],
};

/// Every `CLONE_NEW*` flag that clone takes.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;
const CLONE_THREAD: u64 = libc::CLONE_THREAD.unsigned_abs() as u64;

/// Processes and threads, none of them in a new namespace.
pub(super) const INTERPRETER_PROCESSES: &[(i64, When)] = &[
    (libc::SYS_clone, When::Masked { argument: 0, mask: CLONE_NAMESPACES, value: 0 }),
    (libc::SYS_ioctl, INTERPRETER_IOCTLS),
    (libc::SYS_prctl, INTERPRETER_PRCTLS),
];

/// Threads alone, so that a limit on one process's memory is a limit on all of it.
pub(super) const INTERPRETER_THREADS: &[(i64, When)] = &[
    (
        libc::SYS_clone,
        When::Masked { argument: 0, mask: CLONE_NAMESPACES | CLONE_THREAD, value: CLONE_THREAD },
    ),
    (libc::SYS_ioctl, INTERPRETER_IOCTLS),
    (libc::SYS_prctl, INTERPRETER_PRCTLS),
];
