//! Launcher A: the jail, and a cell whenever the jail asks for one.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::Path,
    sync::Arc,
};

use rustix::fs::{FlockOperation, flock};
use rustls::RootCertStore;
use writ_confine::{Channel, Confined, Profile, harden_self, spawn};
use writ_jail_link::{CellStarted, LauncherReply, LauncherRequest, decode, encode};
use writ_model::IsolationMode;

use super::{
    Files, LauncherError,
    links::{Caller, Links},
};
use crate::{
    cell, jail,
    vault::{SecretManagers, sources::Opener},
};

/// What every cell is started with.
struct CellSource<'a> {
    files: &'a Files,
    profile: Profile,
    roots: Arc<RootCertStore>,
    managers: Opener,
    announcements: Channel,
    running: Vec<Confined>,
}

/// Starts the jail and serves its requests until it ends.
///
/// # Errors
///
/// [`LauncherError`]: nothing runs that is not confined.
pub fn launch_jail(
    files: &Files,
    isolation: IsolationMode,
    caller: Caller,
) -> Result<(), LauncherError> {
    harden_self()?;
    let Links { jail: jail_link, announcements, uid_shared } = Links::take(caller)?;
    let roots = Arc::new(trusted_roots());
    let managers = match &files.secret_managers {
        Some(path) => SecretManagers::read(path)?,
        None => SecretManagers::default(),
    };
    let managers = Opener::new(managers, &roots, files.aws_environment)?;
    let state = open_state(&files.state)
        .map_err(|source| LauncherError::State { path: files.state.clone(), source })?;
    let (launcher, jail_end) = Channel::pair()?;
    let profile = Profile::jail()
        .with_isolation(isolation)
        .with_uid_shared(uid_shared)
        .keep(jail_link.as_raw_fd())
        .keep(state.as_raw_fd())
        .keep(jail_end.as_fd().as_raw_fd());
    let jail = spawn(&profile, move || jail::serve(jail_link, state, jail_end))?;
    if jail.report.mode == IsolationMode::Degraded {
        eprintln!("writ-jail: DEGRADED ISOLATION, for development only\n{}", jail.report);
    }
    let report = encode(&jail.report).map_err(|_| writ_confine::ChannelError::Unexpected)?;
    launcher.send(&report, None)?;
    let profile = Profile::cell().with_isolation(isolation).with_uid_shared(uid_shared);
    let running = Vec::new();
    let mut source = CellSource { files, profile, roots, managers, announcements, running };
    serve(&launcher, &mut source)
}

fn serve(launcher: &Channel, source: &mut CellSource<'_>) -> Result<(), LauncherError> {
    while let Some((frame, _)) = launcher.receive()? {
        let Ok(LauncherRequest::SpawnCell) = decode(&frame) else {
            return Err(writ_confine::ChannelError::Unexpected.into());
        };
        source.running.retain_mut(|cell| matches!(cell.process.try_wait(), Ok(None)));
        let started = source.start();
        let (reply, descriptor) = match &started {
            Ok(socket) => (LauncherReply::Started, Some(socket.as_fd())),
            Err(error) => {
                eprintln!("writ-jail: a cell was not started: {error}");
                (LauncherReply::Failed { measure: error.to_string() }, None)
            }
        };
        let reply = encode(&reply).map_err(|_| writ_confine::ChannelError::Unexpected)?;
        launcher.send(&reply, descriptor)?;
    }
    Ok(())
}

impl CellSource<'_> {
    /// Starts a cell; returns the jail's end of its socket.
    fn start(&mut self) -> Result<OwnedFd, LauncherError> {
        let (jail_end, orders) = Channel::pair()?;
        let (broker_end, broker) = Channel::pair()?;
        let sources = self.managers.open(open_vault(self.files));
        let mut profile =
            self.profile.clone().keep(orders.as_fd().as_raw_fd()).keep(broker.as_fd().as_raw_fd());
        for descriptor in sources.descriptors() {
            profile = profile.keep(descriptor);
        }
        let roots = Arc::clone(&self.roots);
        let started = spawn(&profile, move || cell::serve_one(&orders, &broker, sources, roots))?;
        let announcement =
            encode(&CellStarted {}).map_err(|_| writ_confine::ChannelError::Unexpected)?;
        self.announcements.send(&announcement, Some(broker_end.as_fd()))?;
        self.running.push(started);
        Ok(jail_end.into_fd())
    }
}

/// Opens the state file for this jail alone.
fn open_state(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// The vault and its key, read-only; a machine without them has no `local:` secrets.
fn open_vault(files: &Files) -> Option<(OwnedFd, OwnedFd)> {
    let vault = File::open(&files.vault).ok()?;
    let key = File::open(&files.vault_key).ok()?;
    Some((vault.into(), key.into()))
}

/// The machine's trusted certificates, read before anything is confined.
fn trusted_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_, refused) = roots.add_parsable_certificates(found.certs);
    if refused > 0 || !found.errors.is_empty() {
        eprintln!("writ-jail: {refused} of this machine's trusted certificates were not taken");
    }
    roots
}
