//! Where the launcher's own control group is, from the kernel's two lists.
//!
//! `/proc/self/mountinfo` says where each hierarchy is mounted and which part of it; `/proc/self/
//! cgroup` says where in each hierarchy the process is. The answer is the one path under the other.
//!
//! Invariant: memory and pids are found in the same version, or nothing is.

use std::path::{Path, PathBuf};

/// `CGROUP_SUPER_MAGIC` of the kernel's `magic.h`.
pub(super) const CGROUP_MAGIC: u64 = 0x0027_e0eb;
/// `CGROUP2_SUPER_MAGIC`.
pub(super) const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// The launcher's own group, in each controller's hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Controllers {
    /// Version 1: a hierarchy for each.
    V1 { memory: PathBuf, pids: PathBuf, cpu: Option<PathBuf> },
    /// Version 2: one for all.
    V2 { dir: PathBuf },
}

impl Controllers {
    pub(super) fn dirs(&self) -> impl Iterator<Item = &Path> {
        let (first, second, third) = match self {
            Self::V1 { memory, pids, cpu } => (memory, Some(pids), cpu.as_ref()),
            Self::V2 { dir } => (dir, None, None),
        };
        [Some(first), second, third].into_iter().flatten().map(PathBuf::as_path)
    }
}

/// Version 1 where memory and pids are mounted as such, else version 2.
pub(super) fn find(mountinfo: &str, membership: &str) -> Option<Controllers> {
    let v1 = |name: &str| {
        let mount = mounts(mountinfo).find(|m| m.kind == "cgroup" && m.has_option(name))?;
        mount.locate(membership_in(membership, |controllers| {
            controllers.split(',').any(|controller| controller == name)
        })?)
    };
    if let (Some(memory), Some(pids)) = (v1("memory"), v1("pids")) {
        return Some(Controllers::V1 { memory, pids, cpu: v1("cpu") });
    }
    let mount = mounts(mountinfo).find(|mount| mount.kind == "cgroup2")?;
    Some(Controllers::V2 { dir: mount.locate(membership_in(membership, str::is_empty)?)? })
}

/// The type of the file system that a path lies on.
pub(super) fn file_system(path: &Path) -> Option<u64> {
    let found = rustix::fs::statfs(path).ok()?;
    u64::try_from(found.f_type).ok()
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl Mount<'_> {
    fn has_option(&self, name: &str) -> bool {
        self.options.split(',').any(|option| option == name)
    }

    /// The path of the group within this mount, if the mounted part contains it.
    fn locate(&self, group: &str) -> Option<PathBuf> {
        let inside = Path::new(group).strip_prefix(self.root).ok()?;
        Some(Path::new(self.point).join(inside))
    }
}

/// Lines are `id parent dev root point options [tags…] - kind source super-options`.
fn mounts(mountinfo: &str) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        Some(Mount {
            root: before.next()?,
            point: before.next()?,
            kind: after.next()?,
            options: after.nth(1)?,
        })
    })
}

/// Lines are `hierarchy:controllers:path`; version 2 has no controllers there.
fn membership_in(membership: &str, is_it: impl Fn(&str) -> bool) -> Option<&str> {
    membership.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        is_it(controllers).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID_MOUNTS: &str = "\
35 24 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
36 24 0:31 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
37 24 0:32 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
38 24 0:33 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
39 24 0:34 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
";

    #[test]
    fn in_a_hybrid_the_version_with_the_controllers_is_found() {
        let membership = "8:pids:/\n4:memory:/jobs/7\n1:cpu:/\n0::/\n";

        assert_eq!(
            find(HYBRID_MOUNTS, membership),
            Some(Controllers::V1 {
                memory: "/sys/fs/cgroup/memory/jobs/7".into(),
                pids: "/sys/fs/cgroup/pids".into(),
                cpu: Some("/sys/fs/cgroup/cpu".into()),
            })
        );
    }

    #[test]
    fn version_2_is_found_at_the_unit_of_the_service() {
        let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

        assert_eq!(
            find(mountinfo, "0::/system.slice/writ-jail.service\n"),
            Some(Controllers::V2 { dir: "/sys/fs/cgroup/system.slice/writ-jail.service".into() })
        );
    }

    #[test]
    fn a_part_of_the_hierarchy_mounted_in_a_container_is_seen_as_such() {
        let mountinfo = "30 23 0:26 /docker/ab /sys/fs/cgroup rw - cgroup2 cgroup rw\n";

        assert_eq!(
            find(mountinfo, "0::/docker/ab/inner\n"),
            Some(Controllers::V2 { dir: "/sys/fs/cgroup/inner".into() })
        );
        assert_eq!(find(mountinfo, "0::/docker/other\n"), None);
    }

    #[test]
    fn a_machine_without_control_groups_has_none() {
        assert_eq!(find("24 1 0:20 / / rw - ext4 /dev/vda rw\n", "0::/\n"), None);
    }
}
