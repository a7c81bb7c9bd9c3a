//! How well a confined process is confined: the words of the report that every receipt names.
//!
//! `confine` measures and fills a report in; the jail digests its JSON into receipts; `writ doctor`
//! and every degraded start print it. This file only gives it a form.
//!
//! Invariants:
//! * [`IsolationReport::new`] sorts the measures and keeps one of each name, so that the same
//!   facts always have the same JSON and therefore the same digest.
//! * `Full` means that every required measure holds; a process in mode `Full` with a required
//!   measure missing does not start (DESIGN §7).
//!
//! Not here: finding any of it out (`writ_confine`).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// What was asked for: everything, or what this machine happens to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationMode {
    /// Every required measure, or no process.
    Full,
    /// What can be had; for development, said at every start and in every receipt.
    Degraded,
}

impl fmt::Display for IsolationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Degraded => "degraded",
        })
    }
}

/// One thing that confines a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasureName {
    /// An own user namespace whose root is nobody outside.
    UserNamespace,
    /// An own process namespace: no other process can be named.
    PidNamespace,
    /// An own mount namespace.
    MountNamespace,
    /// An own namespace for System V IPC and message queues.
    IpcNamespace,
    /// An own host name.
    UtsNamespace,
    /// A network namespace with nothing in it.
    NetworkNamespace,
    /// An own view of control groups.
    CgroupNamespace,
    /// A root directory with nothing in it but what the process needs, read-only.
    EmptyRoot,
    /// No system call gives more rights than the process has.
    NoNewPrivileges,
    /// No capability in any set.
    Capabilities,
    /// Landlock rules over files, sockets and signals.
    Landlock,
    /// System calls beyond a short list are refused.
    Seccomp,
    /// No other process of the same user can look into its memory, and no core is written.
    NotDumpable,
    /// Limits on files, processes and memory of the process itself.
    ResourceLimits,
    /// The process dies when the one that started it dies.
    ParentDeath,
    /// Memory that even the kernel's own mapping does not show (`memfd_secret`).
    SecretMemory,
    /// Control-group limits on memory, processes and processor time.
    Cgroup,
}

impl MeasureName {
    /// The stable name of the measure, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserNamespace => "user-namespace",
            Self::PidNamespace => "pid-namespace",
            Self::MountNamespace => "mount-namespace",
            Self::IpcNamespace => "ipc-namespace",
            Self::UtsNamespace => "uts-namespace",
            Self::NetworkNamespace => "network-namespace",
            Self::CgroupNamespace => "cgroup-namespace",
            Self::EmptyRoot => "empty-root",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::Capabilities => "capabilities",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::NotDumpable => "not-dumpable",
            Self::ResourceLimits => "resource-limits",
            Self::ParentDeath => "parent-death",
            Self::SecretMemory => "secret-memory",
            Self::Cgroup => "cgroup",
        }
    }

    /// Whether mode `Full` does without: secret memory has locked memory as its stand-in, control
    /// groups have per-process limits together with a ban on further processes.
    #[must_use]
    pub fn has_equal_substitute(self) -> bool {
        matches!(self, Self::SecretMemory | Self::Cgroup)
    }
}

impl fmt::Display for MeasureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a measure holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum MeasureState {
    /// It holds.
    Active,
    /// It does not.
    Missing {
        /// What stood in the way.
        why: String,
        /// What an operator can do about it.
        remedy: String,
    },
}

/// One measure and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Which measure.
    pub name: MeasureName,
    /// Whether it holds.
    #[serde(flatten)]
    pub state: MeasureState,
}

impl Measure {
    /// A measure that holds.
    #[must_use]
    pub fn active(name: MeasureName) -> Self {
        Self { name, state: MeasureState::Active }
    }

    /// A measure that does not hold, why, and how to mend it.
    #[must_use]
    pub fn missing(name: MeasureName, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, state: MeasureState::Missing { why: why.into(), remedy: remedy.into() } }
    }

    /// Whether the measure holds.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == MeasureState::Active
    }
}

/// Everything that confines one process, or that this machine could confine one with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationReport {
    /// What was asked for.
    pub mode: IsolationMode,
    /// Sorted by name, one of each.
    pub measures: Vec<Measure>,
    /// Whether the process that asked for the confinement runs as the same user as the launcher.
    /// If so, nothing is claimed against a stolen runner (DESIGN §7).
    pub uid_shared: bool,
}

impl IsolationReport {
    /// Sorts the measures. Of two with one name the missing one stays: a report never flatters.
    #[must_use]
    pub fn new(
        mode: IsolationMode,
        measures: impl IntoIterator<Item = Measure>,
        uid_shared: bool,
    ) -> Self {
        let mut by_name = BTreeMap::<MeasureName, Measure>::new();
        for measure in measures {
            let known_missing = by_name.get(&measure.name).is_some_and(|known| !known.is_active());
            if !known_missing {
                by_name.insert(measure.name, measure);
            }
        }
        Self { mode, measures: by_name.into_values().collect(), uid_shared }
    }

    /// The measures that do not hold.
    pub fn missing(&self) -> impl Iterator<Item = &Measure> {
        self.measures.iter().filter(|measure| !measure.is_active())
    }

    /// Whether every measure holds that mode `Full` can't do without.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing().all(|measure| measure.name.has_equal_substitute())
    }

    /// Whether this measure is in the report and holds.
    #[must_use]
    pub fn is_active(&self, name: MeasureName) -> bool {
        self.measures.iter().any(|measure| measure.name == name && measure.is_active())
    }
}

impl fmt::Display for IsolationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = self.measures.len() - self.missing().count();
        write!(f, "isolation {}: {active} of {} measures active", self.mode, self.measures.len())?;
        if self.uid_shared {
            f.write_str("; runner and jail share one user: no protection from a stolen runner")?;
        }
        for measure in self.missing() {
            if let MeasureState::Missing { why, remedy } = &measure.state {
                write!(f, "\n  missing {}: {why}; to mend: {remedy}", measure.name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_facts_in_any_order_have_the_same_json() {
        let seccomp = Measure::active(MeasureName::Seccomp);
        let cgroup = Measure::missing(MeasureName::Cgroup, "not delegated", "Delegate=yes");

        let one = report([seccomp.clone(), cgroup.clone()]);
        let other = report([cgroup, seccomp]);

        assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&other).unwrap());
    }

    #[test]
    fn a_report_survives_json_and_names_are_spelled_as_displayed() {
        let before = report([
            Measure::active(MeasureName::NoNewPrivileges),
            Measure::missing(MeasureName::Landlock, "kernel without it", "boot with lsm=landlock"),
        ]);

        let json = serde_json::to_string(&before).unwrap();

        assert_eq!(serde_json::from_str::<IsolationReport>(&json).unwrap(), before);
        for measure in &before.measures {
            assert!(json.contains(&format!(r#""name":"{}""#, measure.name)), "{json}");
        }
    }

    #[test]
    fn a_measure_reported_both_ways_counts_as_missing() {
        let missing = Measure::missing(MeasureName::Seccomp, "refused", "none");

        let first = report([missing.clone(), Measure::active(MeasureName::Seccomp)]);
        let last = report([Measure::active(MeasureName::Seccomp), missing]);

        assert!(!first.is_active(MeasureName::Seccomp) && !last.is_active(MeasureName::Seccomp));
        assert!(!first.is_complete());
    }

    #[test]
    fn only_measures_with_an_equal_substitute_may_be_missing_from_a_complete_report() {
        let substitutable = report([Measure::missing(MeasureName::Cgroup, "w", "r")]);
        let required = report([Measure::missing(MeasureName::NetworkNamespace, "w", "r")]);

        assert!(substitutable.is_complete());
        assert!(!required.is_complete());
    }

    #[test]
    fn the_text_says_what_is_missing_and_how_to_mend_it() {
        let text = report([Measure::missing(MeasureName::Cgroup, "not delegated", "Delegate=yes")])
            .to_string();

        assert!(text.contains("missing cgroup: not delegated; to mend: Delegate=yes"), "{text}");
        assert!(text.contains("stolen runner"), "{text}");
    }

    fn report(measures: impl IntoIterator<Item = Measure>) -> IsolationReport {
        IsolationReport::new(IsolationMode::Full, measures, true)
    }
}
