//! The root directory of a confined process: empty, or with a read-only interpreter.
//!
//! Works in the process's own mount namespace. The old root is gone afterwards: pivoted away and
//! detached, not hidden.
//!
//! Invariants:
//! * Nothing of the machine is visible but what an [`InterpreterRoot`] names, all of it read-only
//!   and without set-user-id programs.
//! * The one writable place is a small `/tmp` of its own, from which nothing can be executed.
//! * There is no `/proc` and no `/sys`.

use std::{
    ffi::{CStr, CString},
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, open},
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
        mount_change, move_mount, open_tree, unmount,
    },
    process::{chdir, pivot_root},
};

use crate::{landlock::Reach, sandbox::Interpreter, sys::mount_add_attributes};

/// Where the new root is put together: a directory that every system has. It is mounted over in
/// this namespace only.
const SCAFFOLD: &str = "/tmp";
/// The one writable directory of an interpreter's root.
pub(crate) const SCRATCH: &str = "/tmp";
/// Devices that ordinary programs open.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NO_SUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NO_DEVICES: u64 = libc::MOUNT_ATTR_NODEV;
const NO_EXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// What a process sees as `/`.
#[derive(Debug, Clone)]
pub(crate) enum Root {
    /// Nothing.
    Empty,
    /// An interpreter, the code of one step and a place for files.
    Interpreter(Box<InterpreterRoot>),
}

/// What the root of a sandbox is made of.
#[derive(Debug, Clone)]
pub(crate) struct InterpreterRoot {
    /// The interpreter and all it needs.
    pub(crate) interpreter: Interpreter,
    /// The code of the step.
    pub(crate) code: Vec<u8>,
    /// Bytes that `/tmp` may hold.
    pub(crate) scratch_bytes: u64,
}

impl Root {
    /// Makes this the root of the calling process and gives back the scratch directory, if any.
    pub(crate) fn enter(&self) -> Result<Option<OwnedFd>, String> {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        step("make mounts private", mount_change("/", private))?;
        let scratch = match self {
            Self::Empty => {
                mount_tmpfs(Path::new(SCAFFOLD), 4096, "0555", MountFlags::NOEXEC)?;
                None
            }
            Self::Interpreter(parts) => Some(parts.put_together()?),
        };
        step("enter the new root", chdir(SCAFFOLD))?;
        step("change the root", pivot_root(".", "."))?;
        step("detach the old root", unmount(".", UnmountFlags::DETACH))?;
        step("enter the root", chdir("/"))?;
        seal_root(self)?;
        Ok(scratch)
    }

    /// What landlock lets the process reach beneath this root.
    pub(crate) fn reaches(&self) -> Vec<(&Path, Reach)> {
        match self {
            Self::Empty => Vec::new(),
            Self::Interpreter(parts) => parts.reaches(),
        }
    }
}

/// The root itself becomes read-only; mounts beneath it have had their attributes set already.
fn seal_root(root: &Root) -> Result<(), String> {
    let attributes = match root {
        Root::Empty => READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC,
        // A recursive "read-only" would take the scratch directory too, so the flag is set on the
        // file system of the root, which has no other mount.
        Root::Interpreter(_) => {
            let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
            return step("make the root read-only", rustix::mount::mount_remount("/", flags, ""));
        }
    };
    step("make the root read-only", mount_add_attributes(CWD, c"/", attributes))
}

impl InterpreterRoot {
    fn put_together(&self) -> Result<OwnedFd, String> {
        let trees = self.open_trees()?;
        mount_tmpfs(Path::new(SCAFFOLD), 64 * 1024 * 1024, "0755", MountFlags::empty())?;
        for link in &self.interpreter.links {
            make_link(link)?;
        }
        for tree in trees {
            tree.attach()?;
        }
        write_code(self.interpreter.code_path, &self.code)?;
        if let Some((path, text)) = self.interpreter.prelude {
            write_code(path, text.as_bytes())?;
        }
        let scratch = scaffolded(Path::new(SCRATCH));
        step("make /tmp", fs::create_dir_all(&scratch))?;
        mount_tmpfs(&scratch, self.scratch_bytes, "0700", MountFlags::NOEXEC)?;
        step(
            "open /tmp",
            open(&scratch, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()),
        )
    }

    /// Takes hold of everything to be bound, before the scaffold hides what lies beneath it.
    fn open_trees(&self) -> Result<Vec<Tree>, String> {
        let files = self.interpreter.paths().map(|paths| (paths, NO_SUID | NO_DEVICES));
        let devices = DEVICES.iter().map(Path::new).map(|path| ((path, path), NO_SUID | NO_EXEC));
        files
            .chain(devices)
            .map(|((path, place), attributes)| Tree::open(path, place, READ_ONLY | attributes))
            .collect()
    }

    fn reaches(&self) -> Vec<(&Path, Reach)> {
        let interpreter = &self.interpreter;
        let mut reaches = vec![
            (interpreter.executable.as_path(), Reach::Execute),
            (interpreter.loader.as_path(), Reach::Execute),
            (Path::new(interpreter.code_path), Reach::Read),
            (Path::new(SCRATCH), Reach::Scratch),
        ];
        let prelude = interpreter.prelude.map(|(path, _)| (Path::new(path), Reach::Read));
        reaches.extend(prelude);
        reaches.extend(interpreter.programs.iter().map(|path| (path.as_path(), Reach::Execute)));
        reaches.extend(interpreter.readable.iter().map(|path| (path.as_path(), Reach::Read)));
        reaches.extend(DEVICES.iter().map(|path| (Path::new(path), Reach::Device)));
        reaches
    }
}

/// A file or directory of the machine, detached, on its way into the new root.
struct Tree {
    mount: OwnedFd,
    path: PathBuf,
    is_dir: bool,
}

impl Tree {
    fn open(path: &Path, place: &Path, attributes: u64) -> Result<Self, String> {
        let of = |what: &str| format!("{what} `{}`", path.display());
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        let is_dir = step(&of("look at"), fs::metadata(path))?.is_dir();
        let mount = step(&of("bind"), open_tree(CWD, path, flags))?;
        step(&of("restrict"), mount_add_attributes(mount.as_fd(), c"", attributes))?;
        Ok(Self { mount, path: place.to_owned(), is_dir })
    }

    fn attach(&self) -> Result<(), String> {
        let target = scaffolded(&self.path);
        let of = |what: &str| format!("{what} `{}`", self.path.display());
        if let Some(parent) = target.parent() {
            step(&of("make the directory of"), fs::create_dir_all(parent))?;
        }
        if self.is_dir {
            step(&of("make a place for"), fs::create_dir_all(&target))?;
        } else {
            step(&of("make a place for"), fs::write(&target, ""))?;
        }
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        step(&of("place"), move_mount(&self.mount, "", CWD, &target, flags))
    }
}

fn write_code(path: &str, code: &[u8]) -> Result<(), String> {
    let place = scaffolded(Path::new(path));
    step("write the code", fs::write(&place, code))?;
    step("protect the code", fs::set_permissions(&place, fs::Permissions::from_mode(0o444)))
}

fn make_link(link: &(PathBuf, PathBuf)) -> Result<(), String> {
    let (path, target) = link;
    let place = scaffolded(path);
    if let Some(parent) = place.parent() {
        step("make the directory of a link", fs::create_dir_all(parent))?;
    }
    step("make a link", symlink(target, place))
}

fn scaffolded(path: &Path) -> PathBuf {
    Path::new(SCAFFOLD).join(path.strip_prefix("/").unwrap_or(path))
}

fn mount_tmpfs(at: &Path, bytes: u64, mode: &str, extra: MountFlags) -> Result<(), String> {
    let options = CString::new(format!("size={bytes},nr_inodes=4096,mode={mode}"))
        .map_err(|error| format!("cannot mount a tmpfs: {error}"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | extra;
    let options: &CStr = &options;
    step("mount a tmpfs", mount("tmpfs", at, "tmpfs", flags, options))
}

fn step<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("cannot {what}: {error}"))
}
