//! What a confined child sees when it looks for what should not be there.
//!
//! Runs under [`Profile::probe`](crate::Profile::probe), whose filter lets through the calls made
//! here, so that it is the measure named which refuses, and not seccomp in its stead.
//!
//! Invariant: reports contradictions only; silence about a measure means that it held.

use std::net::{Ipv4Addr, SocketAddrV4};

use rustix::{
    fs::{Mode, OFlags, mkdir, open, stat},
    io::Errno,
    net::{AddressFamily, SocketType, connect, socket},
    process::{
        DumpableBehavior, Resource, Signal, dumpable_behavior, getpid, getrlimit,
        parent_process_death_signal,
    },
    thread::{SecureComputingMode, no_new_privs, secure_computing_mode},
};
use writ_model::MeasureName;

use crate::{Channel, ChannelError, capabilities};

/// A measure that does not hold, and what shows it.
type Contradiction = (MeasureName, String);

/// Sends, from inside, what does not hold.
pub(super) fn report(to: &Channel) -> Result<(), ChannelError> {
    let found: Vec<Contradiction> = checks()
        .into_iter()
        .filter_map(|(measure, result)| Some((measure, result.err()?)))
        .collect();
    let bytes = serde_json::to_vec(&found).map_err(|_| ChannelError::Unexpected)?;
    to.send(&bytes, None)
}

/// Receives, outside, what was sent; `None` if the child died before.
pub(super) fn received(from: &Channel) -> Result<Option<Vec<Contradiction>>, ChannelError> {
    let Some((bytes, _)) = from.receive()? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| ChannelError::Unexpected)
}

fn checks() -> [(MeasureName, Result<(), String>); 11] {
    [
        (MeasureName::PidNamespace, is_first_process()),
        (MeasureName::EmptyRoot, root_is_empty()),
        (MeasureName::EmptyRoot, root_is_read_only()),
        (MeasureName::Landlock, root_cannot_be_listed()),
        (MeasureName::NetworkNamespace, nothing_is_reachable()),
        (MeasureName::Capabilities, when(capabilities::are_all_dropped(), "some are held")),
        (MeasureName::NoNewPrivileges, when(no_new_privs() == Ok(true), "the flag is not set")),
        (MeasureName::Seccomp, filter_is_on()),
        (MeasureName::NotDumpable, is_hidden()),
        (MeasureName::ResourceLimits, limits_are_set()),
        (MeasureName::ParentDeath, dies_with_parent()),
    ]
}

fn when(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn is_first_process() -> Result<(), String> {
    when(getpid().is_init(), "the process is not the first of its namespace")
}

fn root_is_empty() -> Result<(), String> {
    let visible = ["/proc", "/sys", "/dev", "/etc", "/usr", "/tmp", "/bin"]
        .into_iter()
        .find(|path| !matches!(stat(*path), Err(Errno::NOENT)));
    visible.map_or(Ok(()), |path| Err(format!("`{path}` is visible")))
}

fn root_is_read_only() -> Result<(), String> {
    match mkdir("/made", Mode::RWXU) {
        Ok(()) => Err("a directory could be made in the root".into()),
        Err(_) => Ok(()),
    }
}

fn root_cannot_be_listed() -> Result<(), String> {
    match open("/", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
        Err(Errno::ACCESS) => Ok(()),
        Ok(_) => Err("the root directory could be opened".into()),
        Err(errno) => Err(format!("opening the root directory failed otherwise: {errno}")),
    }
}

/// Not even the loopback interface is up. UDP, because landlock speaks of TCP only.
fn nothing_is_reachable() -> Result<(), String> {
    let datagram = socket(AddressFamily::INET, SocketType::DGRAM, None)
        .map_err(|errno| format!("cannot look at the network: {errno}"))?;
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 1)] {
        match connect(&datagram, &SocketAddrV4::new(address, 9)) {
            Err(Errno::NETUNREACH) => {}
            Ok(()) => return Err(format!("there is a route to {address}")),
            Err(errno) => return Err(format!("connecting to {address} failed otherwise: {errno}")),
        }
    }
    Ok(())
}

fn filter_is_on() -> Result<(), String> {
    when(
        matches!(secure_computing_mode(), Ok(SecureComputingMode::Filter)),
        "no filter is installed",
    )
}

fn is_hidden() -> Result<(), String> {
    when(
        matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable)),
        "the process is dumpable",
    )
}

fn limits_are_set() -> Result<(), String> {
    let none = |resource| getrlimit(resource).maximum == Some(0);
    when(
        none(Resource::Core) && getrlimit(Resource::Nproc).maximum == Some(1),
        "core dumps or further processes are allowed",
    )
}

fn dies_with_parent() -> Result<(), String> {
    when(
        matches!(parent_process_death_signal(), Ok(Some(Signal::KILL))),
        "the signal for the parent's death is not set",
    )
}
