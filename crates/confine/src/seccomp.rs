//! Which system calls a confined process may make. Everything else is refused.
//!
//! Jail and cell: a refused call kills the process. Sandbox: it fails with `EPERM`, because
//! ordinary programs try things. A few calls are answered with an errno of their own instead,
//! because libraries make them and take that errno for an answer.
//!
//! The lists are plain so that they can be read. Their order does not matter: since Linux 5.11 the
//! kernel keeps a bitmap of the calls that a filter always allows, and does not run it for them.
//!
//! Invariants:
//! * No list has ptrace, `process_vm_*`, `pidfd_getfd`, `io_uring`, bpf, keyctl, mount, setns,
//!   unshare, namespaces through clone, or a new socket other than a pair. Exec is on the
//!   sandbox's alone, where landlock says of what.
//! * Jail and cell can't make memory executable, start a process or a thread, or open a file.

use std::collections::BTreeMap;

use libc::{ENOENT, ENOSYS, EPERM};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

mod forbidden;
mod lists;

pub(crate) use forbidden::ForbiddenCall;

/// Which list, and what happens to a call that is not on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Messages, time, memory, and a state file that is already open.
    Jail,
    /// As the jail, without writing to files.
    Cell,
    /// As the jail, with calls that the doctor needs to see fail for other reasons.
    Probe,
    /// What an interpreter and its standard library need.
    Sandbox {
        /// Whether it may start processes, or only threads.
        processes: bool,
    },
}

/// Which calls of a number are allowed.
#[derive(Debug, Clone, Copy)]
enum When {
    /// Those where this argument, under this mask, has this value.
    Masked { argument: u8, mask: u64, value: u64 },
    /// Those where this argument is one of these.
    OneOf { argument: u8, values: &'static [u64] },
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Installs the filter on the calling process, for good.
pub(crate) fn install(filter: Filter) -> Result<(), String> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot install the filter: {error}");
    for program in compile(filter).map_err(|error| cannot(&error))? {
        apply_filter(&program).map_err(|error| cannot(&error))?;
    }
    Ok(())
}

/// The programs of a filter, in order of installation: the answers first, because the list proper
/// does not allow installing another. Of two verdicts the kernel takes the stricter.
fn compile(filter: Filter) -> Result<Vec<BpfProgram>, BackendError> {
    let (answered, answer) = answers(filter);
    let mut allowed = allowed(filter)?;
    allowed.extend(unconditional(answered));
    let mut programs = Vec::new();
    if !answered.is_empty() {
        programs.push(program(unconditional(answered).collect(), SeccompAction::Allow, answer)?);
    }
    programs.push(program(allowed, refusal(filter), SeccompAction::Allow)?);
    Ok(programs)
}

fn refusal(filter: Filter) -> SeccompAction {
    match filter {
        Filter::Jail | Filter::Cell => SeccompAction::KillProcess,
        Filter::Probe | Filter::Sandbox { .. } => errno(EPERM),
    }
}

/// The calls that are answered with an errno, and which.
fn answers(filter: Filter) -> (&'static [i64], SeccompAction) {
    match filter {
        // Libraries look for optional files (aws-lc for /dev/sysgenid). There are none.
        Filter::Jail | Filter::Cell => (lists::OPEN, errno(ENOENT)),
        // Its flags lie in memory, where a filter can't see them; glibc falls back to clone.
        Filter::Sandbox { .. } => (&[libc::SYS_clone3], errno(ENOSYS)),
        Filter::Probe => (&[], errno(ENOSYS)),
    }
}

fn allowed(filter: Filter) -> Result<Rules, BackendError> {
    let (always, narrowed): (&[&[i64]], &[(i64, When)]) = match filter {
        Filter::Jail => (&[lists::CORE, lists::WRITE], lists::NARROWED),
        Filter::Cell => (&[lists::CORE, lists::REPLACE], lists::NARROWED),
        Filter::Probe => (&[lists::CORE, lists::OPEN, lists::PROBE], lists::NARROWED),
        Filter::Sandbox { processes: true } => (
            &[lists::CORE, lists::WRITE, lists::OPEN, lists::INTERPRETER],
            lists::INTERPRETER_PROCESSES,
        ),
        Filter::Sandbox { processes: false } => (
            &[lists::CORE, lists::WRITE, lists::OPEN, lists::INTERPRETER],
            lists::INTERPRETER_THREADS,
        ),
    };
    let mut rules: Rules = always.iter().flat_map(|list| unconditional(list)).collect();
    for (call, when) in narrowed {
        rules.insert(*call, conditions(*when)?);
    }
    Ok(rules)
}

/// An empty list of conditions means every call of that number.
fn unconditional(calls: &[i64]) -> impl Iterator<Item = (i64, Vec<SeccompRule>)> {
    calls.iter().map(|call| (*call, Vec::new()))
}

fn conditions(when: When) -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |argument, operator, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    match when {
        When::Masked { argument, mask, value } => {
            Ok(vec![rule(argument, SeccompCmpOp::MaskedEq(mask), value)?])
        }
        When::OneOf { argument, values } => {
            values.iter().map(|value| rule(argument, SeccompCmpOp::Eq, *value)).collect()
        }
    }
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, matching, arch)?.try_into()
}

fn errno(number: i32) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [Filter; 5] = [
        Filter::Jail,
        Filter::Cell,
        Filter::Probe,
        Filter::Sandbox { processes: true },
        Filter::Sandbox { processes: false },
    ];

    #[test]
    fn every_filter_compiles() {
        for filter in FILTERS {
            assert!(!compile(filter).unwrap().is_empty(), "{filter:?}");
        }
    }

    #[test]
    fn no_filter_allows_a_call_that_reaches_into_the_kernel_or_other_processes() {
        for filter in FILTERS {
            let allowed = allowed(filter).unwrap();
            for call in forbidden::NUMBERS {
                assert!(!allowed.contains_key(call), "{filter:?} allows call {call}");
            }
        }
    }

    #[test]
    fn jail_and_cell_start_nothing_open_nothing_and_reach_nobody() {
        for filter in [Filter::Jail, Filter::Cell] {
            let allowed = allowed(filter).unwrap();
            let opening = [libc::SYS_openat, libc::SYS_openat2, libc::SYS_clone];
            for call in forbidden::SANDBOX_MAY.iter().chain(&opening) {
                assert!(!allowed.contains_key(call), "{filter:?} allows call {call}");
            }
        }
    }

    #[test]
    fn memory_calls_and_ioctl_are_allowed_under_conditions_only() {
        let allowed = allowed(Filter::Cell).unwrap();

        for call in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_ioctl] {
            assert!(allowed.get(&call).is_some_and(|rules| !rules.is_empty()), "call {call}");
        }
    }
}
