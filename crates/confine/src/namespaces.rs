//! Which namespaces a confined process gets, and who it is in them.
//!
//! Inside it is user 0 of a user namespace that holds one user. Outside that user is, if the
//! launcher is root, [`NOBODY`]; otherwise the launcher's own user, the only one it may map.
//!
//! Invariant: the process's user outside is never root.
//!
//! Not here: what root sees of the file system (`root`).

use std::fs;

use rustix::{
    process::Pid,
    thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use writ_model::MeasureName;

/// The user and group that root's confined processes are outside: the kernel's overflow ids.
const NOBODY: u32 = 65534;

/// Every namespace there is, except that of time, with the name of its measure.
const NAMESPACES: [(libc::c_int, MeasureName); 7] = [
    (libc::CLONE_NEWUSER, MeasureName::UserNamespace),
    (libc::CLONE_NEWPID, MeasureName::PidNamespace),
    (libc::CLONE_NEWNS, MeasureName::MountNamespace),
    (libc::CLONE_NEWIPC, MeasureName::IpcNamespace),
    (libc::CLONE_NEWUTS, MeasureName::UtsNamespace),
    (libc::CLONE_NEWNET, MeasureName::NetworkNamespace),
    (libc::CLONE_NEWCGROUP, MeasureName::CgroupNamespace),
];

/// The `CLONE_NEW*` flags of all of them.
pub(crate) fn flags() -> u64 {
    NAMESPACES.iter().fold(0, |flags, (flag, _)| flags | u64::from(flag.unsigned_abs()))
}

/// The measures that [`flags`] stand for.
pub(crate) fn measures() -> impl Iterator<Item = MeasureName> {
    NAMESPACES.iter().map(|(_, measure)| *measure)
}

/// Whether the launcher is root, so that its children must become somebody else.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says, as the parent, who the child's user 0 is outside.
pub(crate) fn map_ids(child: Pid) -> Result<(), String> {
    let (uid, gid) = if is_root() {
        (NOBODY, NOBODY)
    } else {
        write(child, "setgroups", "deny")?;
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    };
    write(child, "gid_map", &format!("0 {gid} 1"))?;
    write(child, "uid_map", &format!("0 {uid} 1"))
}

fn write(child: Pid, file: &str, text: &str) -> Result<(), String> {
    fs::write(format!("/proc/{}/{file}", child.as_raw_nonzero()), text)
        .map_err(|error| format!("cannot write {file} of the child: {error}"))
}

/// Whether, seen from a child whose ids are mapped, it is still the root that the launcher is, who
/// has no name in there.
pub(crate) fn needs_new_identity() -> bool {
    !rustix::process::geteuid().is_root()
}

/// Becomes, as the child, user 0 of the namespace, in no other group. Only for children of root:
/// any other child is that user already, and may not leave its groups.
pub(crate) fn become_mapped_root() -> Result<(), String> {
    set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT))
        .and_then(|()| set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT))
        .map_err(|errno| format!("cannot become the namespace's own user: {errno}"))
}
