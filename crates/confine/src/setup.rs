//! The child's half of a start: confines the calling process, measure by measure.
//!
//! The order is forced: descriptors and identity while nothing is in the way, the root while the
//! namespace's capabilities are there, then the capabilities, then what needs none: landlock, and
//! seccomp at the very end, because it forbids most of the calls above.
//!
//! Invariant: in [`IsolationMode::Full`] the first measure that fails ends the setup. In
//! `Degraded` it is noted, and the note reaches the report.
//!
//! Not here: what the parent does meanwhile (`process`).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::{
    process::{
        DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, setsid,
    },
    system::sethostname,
    thread::set_no_new_privs,
};
use serde::{Deserialize, Serialize};
use writ_model::{IsolationMode, MeasureName};

use crate::{
    Channel, ChannelError, Profile, capabilities, landlock, namespaces, root::Root, seccomp, sys,
};

/// What the child says to its parent while it is being set up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SetupMessage {
    /// It exists, and its ids can be mapped.
    Up,
    /// Every step is done; the ones that failed, in degraded mode, with the reason.
    Ready { steps: Vec<(MeasureName, Option<String>)> },
    /// A required step failed. The child ends.
    Refused { measure: MeasureName, why: String },
    /// The program could not be executed. The child ends.
    ExecFailed { why: String },
}

impl SetupMessage {
    pub(crate) fn send(
        &self,
        status: &Channel,
        descriptor: Option<&OwnedFd>,
    ) -> Result<(), ChannelError> {
        let bytes = serde_json::to_vec(self).map_err(|_| ChannelError::Unexpected)?;
        status.send(&bytes, descriptor.map(AsFd::as_fd))
    }

    pub(crate) fn receive(
        status: &Channel,
    ) -> Result<Option<(Self, Option<OwnedFd>)>, ChannelError> {
        let Some((bytes, descriptor)) = status.receive()? else { return Ok(None) };
        let message = serde_json::from_slice(&bytes).map_err(|_| ChannelError::Unexpected)?;
        Ok(Some((message, descriptor)))
    }
}

/// Why the setup ended early.
pub(crate) struct Refused {
    pub(crate) measure: MeasureName,
    pub(crate) why: String,
}

/// What a finished setup leaves.
pub(crate) struct Confinement {
    pub(crate) steps: Vec<(MeasureName, Option<String>)>,
    /// The scratch directory of the new root.
    pub(crate) scratch: Option<OwnedFd>,
}

/// Whether the fork got its namespaces; in degraded mode it may have done without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// All of them.
    Own,
    /// None.
    Shared,
}

/// Confines the calling process, a fresh child, for good.
pub(crate) fn confine(
    profile: &Profile,
    status: &Channel,
    namespaces: Namespaces,
) -> Result<Confinement, Refused> {
    let mut steps = Steps { isolation: profile.isolation, done: Vec::new() };
    let own = namespaces == Namespaces::Own;
    steps.take(MeasureName::UserNamespace, || enter_namespaces(own))?;
    steps.take(MeasureName::ResourceLimits, || close_descriptors(profile, status))?;
    let mut scratch = None;
    steps.take(MeasureName::EmptyRoot, || {
        scratch = enter_root(&profile.root, own)?;
        Ok(())
    })?;
    // Without a user namespace the limit would count every process of the user.
    let limits = || if own { profile.limits.apply() } else { Err(NO_NAMESPACES.into()) };
    steps.take(MeasureName::ResourceLimits, limits)?;
    steps.take(MeasureName::Capabilities, capabilities::drop_all)?;
    steps.take(MeasureName::NoNewPrivileges, || said(set_no_new_privs(true)))?;
    // After the last change of identity, which would clear it.
    let death = || said(set_parent_process_death_signal(Some(Signal::KILL)));
    steps.take(MeasureName::ParentDeath, death)?;
    let hidden = || said(set_dumpable_behavior(DumpableBehavior::NotDumpable));
    steps.take(MeasureName::NotDumpable, hidden)?;
    steps.take(MeasureName::Landlock, || landlock::restrict(&profile.root.reaches()))?;
    steps.take(MeasureName::Seccomp, || seccomp::install(profile.filter))?;
    Ok(Confinement { steps: steps.done, scratch })
}

const NO_NAMESPACES: &str = "needs a user namespace of its own";

struct Steps {
    isolation: IsolationMode,
    done: Vec<(MeasureName, Option<String>)>,
}

impl Steps {
    fn take(
        &mut self,
        measure: MeasureName,
        step: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), Refused> {
        match (step(), self.isolation) {
            (Ok(()), _) => self.done.push((measure, None)),
            (Err(why), IsolationMode::Degraded) => self.done.push((measure, Some(why))),
            (Err(why), IsolationMode::Full) => return Err(Refused { measure, why }),
        }
        Ok(())
    }
}

fn enter_namespaces(own: bool) -> Result<(), String> {
    // A session of its own has no terminal to type into. Fails only for one that leads already.
    let _leads_already = setsid();
    if !own {
        return Err("this process shares the launcher's namespaces".into());
    }
    if namespaces::needs_new_identity() {
        namespaces::become_mapped_root()?;
    }
    said(sethostname(b"confined"))
}

fn close_descriptors(profile: &Profile, status: &Channel) -> Result<(), String> {
    let mut keep = profile.keep.clone();
    keep.push(status.as_fd().as_raw_fd());
    sys::close_all_except(&keep).map_err(|error| format!("cannot close descriptors: {error}"))
}

fn enter_root(root: &Root, own: bool) -> Result<Option<OwnedFd>, String> {
    if own { root.enter() } else { Err("needs a mount namespace of its own".into()) }
}

fn said(result: rustix::io::Result<()>) -> Result<(), String> {
    result.map_err(|errno| errno.to_string())
}
