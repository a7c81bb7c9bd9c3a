//! Limits over several processes together: memory, number of processes, processor time.
//!
//! [`CgroupParent::find`] looks once, at a launcher's start, for the control group the launcher
//! lives in, of version 1 (a directory per controller) or 2 (one, delegated), and checks that it
//! can make groups in it. [`CgroupParent::create`] makes one per sandbox. Everything is plain
//! reads and writes of the kernel's files.
//!
//! Invariants:
//! * A directory counts only on a file system of type cgroup or cgroup2; one made beneath
//!   `/sys/fs/cgroup` itself limits nothing.
//! * A group exists before a process is put into it, limits set, and goes with its [`Cgroup`].
//!
//! Not here: limits on one process (`limits`).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::Duration,
};

mod mounts;

use mounts::{CGROUP_MAGIC, CGROUP2_MAGIC, Controllers, file_system};

/// The group's processor time is counted over windows of this length.
const PERIOD_US: u64 = 100_000;
/// Names that are ours to remove.
const PREFIX: &str = "writ-sandbox-";
/// Where a launcher moves itself and its parent in version 2, which allows no processes beside subgroups.
const LEAF: &str = "writ-launcher";

/// Why there is no control group.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No memory and pids controllers are mounted, or they are of no known kind.
    #[error("no memory and pids controllers are mounted")]
    NoControllers,
    /// The launcher's own group is not delegated to it.
    #[error("cannot use the control group `{}`", path.display())]
    NotDelegated {
        /// The file or directory that refused.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoControllers => "cgroup-missing",
            Self::NotDelegated { .. } => "cgroup-not-delegated",
        }
    }
}

/// What one group may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupLimits {
    /// Bytes of memory, swap included; temporary files count.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u32,
    /// Processor time, as a share of one processor in percent.
    pub cpu_percent: u32,
}

/// The group that the launcher may make groups in.
#[derive(Debug)]
pub struct CgroupParent {
    controllers: Controllers,
}

/// Numbers the groups of one process.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl CgroupParent {
    /// Finds the launcher's own group and makes sure that groups can be made in it. In version 2
    /// this moves the launcher and its parent into a leaf, so call it before anything else is started.
    ///
    /// # Errors
    ///
    /// * [`CgroupError::NoControllers`]: mount them, or use a kernel that has them.
    /// * [`CgroupError::NotDelegated`]: run as root or under `Delegate=yes`.
    pub fn find() -> Result<Self, CgroupError> {
        let read = |path: &str| {
            fs::read_to_string(path)
                .map_err(|source| CgroupError::NotDelegated { path: path.into(), source })
        };
        let controllers = mounts::find(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)
            .ok_or(CgroupError::NoControllers)?;
        let parent = Self { controllers };
        parent.check_file_systems()?;
        if let Controllers::V2 { dir } = &parent.controllers {
            enable_delegated(dir)?;
        }
        parent.remove_leftovers();
        let smallest = CgroupLimits { memory_bytes: 1 << 24, processes: 1, cpu_percent: 100 };
        drop(parent.create(smallest)?);
        Ok(parent)
    }

    fn check_file_systems(&self) -> Result<(), CgroupError> {
        let wanted = match self.controllers {
            Controllers::V1 { .. } => CGROUP_MAGIC,
            Controllers::V2 { .. } => CGROUP2_MAGIC,
        };
        let real = self.controllers.dirs().all(|dir| file_system(dir) == Some(wanted));
        if real { Ok(()) } else { Err(CgroupError::NoControllers) }
    }

    /// Makes a group with these limits and nothing in it.
    ///
    /// # Errors
    ///
    /// * [`CgroupError::NotDelegated`]: the file that could not be written.
    pub fn create(&self, limits: CgroupLimits) -> Result<Cgroup, CgroupError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let mut group = Cgroup { dirs: Vec::new(), events: PathBuf::new() };
        for dir in self.controllers.dirs() {
            let dir = dir.join(&name);
            fs::create_dir(&dir)
                .map_err(|source| CgroupError::NotDelegated { path: dir.clone(), source })?;
            group.dirs.push(dir);
        }
        group.events = match &self.controllers {
            Controllers::V1 { memory, pids, cpu } => {
                limit_v1_memory(&memory.join(&name), limits.memory_bytes)?;
                write(&pids.join(&name), "pids.max", u64::from(limits.processes))?;
                if let Some(cpu) = cpu {
                    limit_v1_cpu(&cpu.join(&name), limits.cpu_percent)?;
                }
                memory.join(&name).join("memory.oom_control")
            }
            Controllers::V2 { dir } => {
                limit_v2(&dir.join(&name), limits)?;
                dir.join(&name).join("memory.events")
            }
        };
        Ok(group)
    }

    /// Removes the groups of launchers that were killed. Groups in use refuse to be removed; one
    /// that was just made by a process that lives is about to be used, and is left alone.
    fn remove_leftovers(&self) {
        for dir in self.controllers.dirs() {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            for entry in entries {
                if maker_is_gone(&entry.file_name().to_string_lossy()) {
                    let _in_use = fs::remove_dir(entry.path());
                }
            }
        }
    }
}

/// Whether a name is that of a group whose maker has ended: `<prefix><process id>-<number>`.
fn maker_is_gone(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next())
        .and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// One control group, removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    dirs: Vec<PathBuf>,
    /// The file that counts kills for want of memory.
    events: PathBuf,
}

impl Cgroup {
    /// Puts a process into the group; its children will be in it too.
    ///
    /// # Errors
    ///
    /// * [`CgroupError::NotDelegated`]: the process belongs to another user, or has ended.
    pub fn attach(&self, pid: u32) -> Result<(), CgroupError> {
        self.dirs.iter().try_for_each(|dir| write(dir, "cgroup.procs", u64::from(pid)))
    }

    /// How many of its processes the kernel has killed for want of memory.
    #[must_use]
    pub fn out_of_memory_kills(&self) -> u64 {
        let events = fs::read_to_string(&self.events).unwrap_or_default();
        counter(&events, "oom_kill").unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            // A group is busy for a moment after its last process has been reaped.
            for _ in 0..50 {
                match fs::remove_dir(dir) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        sleep(Duration::from_millis(2));
                    }
                    _ => break,
                }
            }
        }
    }
}

fn limit_v1_memory(dir: &Path, bytes: u64) -> Result<(), CgroupError> {
    write(dir, "memory.limit_in_bytes", bytes)?;
    // Absent where the kernel counts no swap; then there is none to be had either.
    let swap = "memory.memsw.limit_in_bytes";
    if dir.join(swap).exists() { write(dir, swap, bytes) } else { Ok(()) }
}

fn limit_v1_cpu(dir: &Path, percent: u32) -> Result<(), CgroupError> {
    write(dir, "cpu.cfs_period_us", PERIOD_US)?;
    write(dir, "cpu.cfs_quota_us", quota(percent))
}

fn limit_v2(dir: &Path, limits: CgroupLimits) -> Result<(), CgroupError> {
    write(dir, "memory.max", limits.memory_bytes)?;
    if dir.join("memory.swap.max").exists() {
        write(dir, "memory.swap.max", 0)?;
    }
    write(dir, "pids.max", u64::from(limits.processes))?;
    if dir.join("cpu.max").exists() {
        let text = format!("{} {PERIOD_US}", quota(limits.cpu_percent));
        write_text(dir, "cpu.max", &text)?;
    }
    Ok(())
}

fn quota(percent: u32) -> u64 {
    PERIOD_US * u64::from(percent) / 100
}

/// Hands the controllers on to subgroups, which needs the group itself to be empty of processes: the
/// launcher goes into a leaf, and so does whoever started it from this group (a service's main process).
fn enable_delegated(dir: &Path) -> Result<(), CgroupError> {
    let enabled = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
    let has = |name: &str| enabled.split_whitespace().any(|word| word == name);
    if has("memory") && has("pids") {
        return Ok(());
    }
    let leaf = dir.join(LEAF);
    if !leaf.is_dir() {
        fs::create_dir(&leaf)
            .map_err(|source| CgroupError::NotDelegated { path: leaf.clone(), source })?;
    }
    if let Some(parent) = parent_in_same_group() {
        write(&leaf, "cgroup.procs", u64::from(parent))?;
    }
    write(&leaf, "cgroup.procs", u64::from(std::process::id()))?;
    write_text(dir, "cgroup.subtree_control", "+memory +pids")?;
    // A delegated unit may have been given no processor controller; the time limit still holds.
    let _no_cpu_controller = write_text(dir, "cgroup.subtree_control", "+cpu");
    Ok(())
}

/// The parent process, if it is in the group that this one is in.
fn parent_in_same_group() -> Option<u32> {
    let parent = rustix::process::getppid()?.as_raw_nonzero().get().unsigned_abs();
    let group = |process: &str| fs::read_to_string(format!("/proc/{process}/cgroup")).ok();
    let own = group("self")?;
    (group(&parent.to_string())? == own).then_some(parent)
}

fn write(dir: &Path, file: &str, value: u64) -> Result<(), CgroupError> {
    write_text(dir, file, &value.to_string())
}

fn write_text(dir: &Path, file: &str, text: &str) -> Result<(), CgroupError> {
    let path = dir.join(file);
    fs::write(&path, text).map_err(|source| CgroupError::NotDelegated { path, source })
}

/// The number after `name` on a line of its own.
fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_from_either_version_of_the_file() {
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        let v2 = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n";

        assert_eq!(counter(v1, "oom_kill"), Some(3));
        assert_eq!(counter(v2, "oom_kill"), Some(1));
    }

    #[test]
    fn only_groups_of_processes_that_have_ended_are_leftovers() {
        let own = format!("{PREFIX}{}-0", std::process::id());

        assert!(!maker_is_gone(&own));
        assert!(maker_is_gone(&format!("{PREFIX}{}-0", u32::MAX)));
        assert!(!maker_is_gone("system.slice"));
        assert!(!maker_is_gone(PREFIX));
    }

    #[test]
    fn half_a_processor_is_half_of_every_window() {
        assert_eq!(quota(50), PERIOD_US / 2);
        assert_eq!(quota(200), PERIOD_US * 2);
    }
}
