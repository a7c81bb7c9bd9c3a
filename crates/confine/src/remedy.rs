//! What an operator can do about a measure that can't be had.
//!
//! Looks at the kernel settings that are known to stand in the way, and names the command that
//! changes the one that does.

use std::fs;

use writ_model::MeasureName;

/// One sentence or command for the measure, on this machine, now.
pub(crate) fn remedy(measure: MeasureName) -> String {
    match measure {
        MeasureName::UserNamespace
        | MeasureName::PidNamespace
        | MeasureName::MountNamespace
        | MeasureName::IpcNamespace
        | MeasureName::UtsNamespace
        | MeasureName::NetworkNamespace
        | MeasureName::CgroupNamespace
        | MeasureName::EmptyRoot
        | MeasureName::Capabilities => namespaces(),
        MeasureName::Landlock => {
            "use Linux 5.19 or later and boot with `landlock` in the `lsm=` list \
             (see /sys/kernel/security/lsm)"
        }
        .into(),
        MeasureName::Seccomp | MeasureName::NoNewPrivileges => {
            "use a kernel with CONFIG_SECCOMP_FILTER, and a container runtime that allows seccomp()"
        }
        .into(),
        MeasureName::SecretMemory => {
            { "use Linux 5.14 or later; before 6.5 boot with `secretmem.enable=1`" }.into()
        }
        MeasureName::Cgroup => {
            "run the launcher under systemd with `Delegate=yes` in a unit of its own, or as root \
             with the memory and pids controllers mounted"
        }
        .into(),
        MeasureName::NotDumpable | MeasureName::ParentDeath | MeasureName::ResourceLimits => {
            { "check that the container runtime or service manager allows prctl() and setrlimit()" }
                .into()
        }
    }
}

/// The known settings that keep a process from making and using a user namespace: file, the value
/// that stands in the way, and the command against it.
const BLOCKERS: [(&str, &str, &str); 3] = [
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=16384"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or install an AppArmor profile \
         for writ-jail with the rule `userns,`",
    ),
];

fn namespaces() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    first_blocker(read).unwrap_or(
        "allow unprivileged user namespaces: in a container, a seccomp profile with clone, clone3, \
         mount and pivot_root, and no read-only /proc",
    )
    .into()
}

fn first_blocker(read: impl Fn(&str) -> String) -> Option<&'static str> {
    BLOCKERS
        .iter()
        .find(|(file, blocking, _)| read(file).trim() == *blocking)
        .map(|(_, _, command)| *command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_stands_in_the_way_is_the_one_named() {
        let ubuntu = |file: &str| match file {
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns" => "1\n".into(),
            "/proc/sys/user/max_user_namespaces" => "96365\n".into(),
            _ => String::new(),
        };

        assert!(first_blocker(ubuntu).unwrap().contains("apparmor"));
    }

    #[test]
    fn a_machine_without_these_settings_has_no_blocker() {
        assert_eq!(first_blocker(|_| String::new()), None);
    }
}
