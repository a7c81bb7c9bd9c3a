//! The system calls that have no safe wrapper, and nothing else.
//!
//! Each function states what makes its one `unsafe` block sound. The rest of the crate is safe
//! code over `rustix`, `landlock` and `seccompiler`.
//!
//! Invariant: a process is forked only while it has exactly one thread, so that no lock can be
//! held by a thread that the child does not have.
#![expect(
    unsafe_code,
    reason = "clone3, close_range, mount_setattr, _exit, SO_PEERCRED of any peer, descriptors by number \
              and the environment have no safe wrapper"
)]

use std::{
    env,
    ffi::CStr,
    fs, io,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::process::Pid;

use crate::seccomp::ForbiddenCall;

/// Not in `libc` for every architecture; the number is the same on all of them.
const SYS_MEMFD_SECRET: libc::c_long = 447;

/// Which of the two processes this is.
pub(crate) enum Forked {
    /// The one that called; the child's id and a descriptor for it.
    Parent(Pid, OwnedFd),
    /// The new one.
    Child,
}

/// How many threads this process has.
pub(crate) fn thread_count() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// Forks with the given `CLONE_NEW*` flags. Refuses in a process with several threads.
pub(crate) fn clone_process(namespaces: u64) -> io::Result<Forked> {
    if thread_count()? != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "process has several threads"));
    }
    let mut pidfd: RawFd = -1;
    let mut args = libc::clone_args {
        flags: namespaces | u64::from(libc::CLONE_PIDFD.unsigned_abs()),
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    // SAFETY: `args` is a valid `clone_args` of the size passed, and `pidfd` outlives the call. The
    // memory is copied (no CLONE_VM), so the child goes on on its own copy of this stack, and the
    // process has one thread, so no lock of the allocator or of `std` is held in the copy.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match i32::try_from(pid) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid) if pid > 0 => {
            let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
            // SAFETY: the kernel has just stored a new descriptor there that nobody else owns.
            Ok(Forked::Parent(pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends the process at once: no destructors, no exit handlers, which belong to the parent.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from 3 up except `keep`. For a fresh child that never returns to code
/// that owns one of the others.
pub(crate) fn close_all_except(keep: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    kept.sort_unstable();
    kept.dedup();
    let mut first = 3;
    for fd in kept.into_iter().filter(|fd| *fd >= 3) {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: touches no memory. The caller is a fresh child that ends by `exit_now` or exec, so
    // no owner of a closed descriptor ever runs again in this process.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Adds attributes (`MOUNT_ATTR_*`) to the mount at `path`, relative to `dir`, never taking any away.
pub(crate) fn mount_add_attributes(
    dir: BorrowedFd<'_>,
    path: &CStr,
    attributes: u64,
) -> io::Result<()> {
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_RECURSIVE | libc::AT_EMPTY_PATH;
    // SAFETY: `path` is a C string and `attr` a valid `mount_attr` of the size passed; both outlive
    // the call, which writes to neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks the kernel for memory that its own mapping does not show; for the doctor.
pub(crate) fn memfd_secret() -> io::Result<OwnedFd> {
    // SAFETY: touches no memory.
    let fd = unsafe { libc::syscall(SYS_MEMFD_SECRET, libc::O_CLOEXEC) };
    match RawFd::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor, and nobody else owns it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The user of the process at the other end of a Unix socket, as it was when they were connected.
/// A socket of another kind has none, which is an error.
///
/// The safe wrapper reads the peer's process id as never zero, which it is for a peer outside of this
/// process namespace.
pub(crate) fn peer_uid(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: libc::gid_t::MAX };
    let size = libc::socklen_t::try_from(size_of::<libc::ucred>());
    let mut length = size.map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: `peer` and `length` outlive the call, and `length` is the size of `peer`, every bit
    // pattern of which is valid.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    match (result, peer.uid) {
        (0, libc::uid_t::MAX) => Err(io::ErrorKind::NotConnected.into()),
        (0, uid) => Ok(uid),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes variables out of the environment. Refuses in a process with several threads.
pub(crate) fn forget_variables(names: &[&str]) -> io::Result<()> {
    if thread_count()? != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "process has several threads"));
    }
    for name in names {
        // SAFETY: the process has one thread, so that no other reads the environment meanwhile.
        unsafe { env::remove_var(name) };
    }
    Ok(())
}

/// Takes over the one descriptor that a service manager has passed.
///
/// Only `activation` calls this, which has just taken away the variables that name the descriptor, so
/// that it is taken once.
pub(crate) fn take_passed_descriptor() -> io::Result<OwnedFd> {
    /// `SD_LISTEN_FDS_START` of `sd_listen_fds(3)`.
    const FIRST: RawFd = 3;
    // SAFETY: touches no memory; a descriptor that is not open is an error.
    if unsafe { libc::fcntl(FIRST, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, was made by the service manager for this process alone, and nothing in this
    // process owns it: what this process opens owns the descriptor that it was given, and this one was
    // in use by then.
    Ok(unsafe { OwnedFd::from_raw_fd(FIRST) })
}

/// Makes a system call that no filter of jail or cell allows, with arguments that make it harmless
/// if one does. That it returns at all is the finding.
pub(crate) fn attempt(call: ForbiddenCall) {
    match call {
        // SAFETY: the numbers are those of `ForbiddenCall::all`. Given zeros for arguments each of
        // them fails, or tells something about the process, and none writes to its memory.
        ForbiddenCall::Number(number) => unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) },
        ForbiddenCall::ExecutableMemory => {
            let (reach, kind) = (libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: asks for a new page at an address of the kernel's choice; nothing uses it.
            unsafe { libc::syscall(libc::SYS_mmap, 0, 4096, reach, kind, -1, 0) }
        }
    };
}
