//! Has the two launchers of `writ-jail`, with the sockets that each shares with the runner.
//!
//! Launcher A is spawned, with the jail's link as stdin and the broker's announcements as stdout; or a
//! service manager starts it, as a user of its own, and it hands both over at a socket (`jail_socket`).
//! Launcher B is spawned, with its orders as stdin. What is spawned logs to this process's stderr. Both
//! end when their sockets close.

use std::{
    io,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use writ_confine::{Channel, ChannelError};

use crate::jail_socket::{self, JailSocketError};

/// The launchers, and where the jail is.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The `writ-jail` executable.
    pub executable: PathBuf,
    /// Who starts the jail.
    pub jail: JailPlace,
    /// Development only: start although a measure is missing.
    pub degraded: bool,
}

/// Who starts the jail's launcher.
#[derive(Debug, Clone)]
pub enum JailPlace {
    /// This process, as its own user.
    Spawned(JailFiles),
    /// A service manager, as another user, when this process connects.
    Socket {
        /// The socket.
        path: PathBuf,
        /// The user that must answer there.
        user: u32,
    },
}

/// The files of a jail that this process starts.
#[derive(Debug, Clone)]
pub struct JailFiles {
    /// The jail's state file.
    pub state: PathBuf,
    /// The `local:` vault.
    pub vault: PathBuf,
    /// Its key file.
    pub vault_key: PathBuf,
    /// Secret managers beside `local:`, if there are any.
    pub secret_managers: Option<PathBuf>,
}

/// Why the launchers were not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No sockets were to be had.
    #[error("cannot make sockets for the jail")]
    Channel(#[from] ChannelError),
    /// Nobody, or somebody else, is at the jail's socket.
    #[error("the jail's socket is not usable")]
    Socket(#[from] JailSocketError),
    /// A launcher has ended.
    #[error("a launcher of the jail has ended; see its log")]
    Ended,
    /// The executable did not start.
    #[error("cannot start `{}`", path.display())]
    Spawn {
        /// The executable.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
}

/// The launchers and this end of their sockets.
pub(crate) struct Launched {
    pub(crate) jail: Channel,
    pub(crate) cells: Channel,
    pub(crate) sandboxes: Channel,
    pub(crate) children: Vec<Child>,
}

/// The jail and the broker's announcements, and the process to wait for, if it was spawned here.
pub(crate) type Jail = (Channel, Channel, Option<Child>);

/// Has launcher A alone, for a jail that is to be asked who it is.
pub(crate) fn launch_jail(launch: &Launch) -> Result<Jail, LaunchError> {
    match &launch.jail {
        JailPlace::Spawned(files) => spawn_jail(launch, files),
        JailPlace::Socket { path, user } => {
            let (jail, cells) = jail_socket::connect(path, *user)?;
            Ok((jail, cells, None))
        }
    }
}

fn spawn_jail(launch: &Launch, files: &JailFiles) -> Result<Jail, LaunchError> {
    let (jail, jail_end) = Channel::pair()?;
    let (cells, cells_end) = Channel::pair()?;
    let mut command = Command::new(&launch.executable);
    command
        .arg("launcher-a")
        .args(["--state".as_ref(), files.state.as_os_str()])
        .args(["--vault".as_ref(), files.vault.as_os_str()])
        .args(["--vault-key".as_ref(), files.vault_key.as_os_str()])
        .args(["--isolation", isolation(launch)])
        .args(
            files
                .secret_managers
                .iter()
                .flat_map(|path| ["--secret-managers".as_ref(), path.as_os_str()]),
        )
        .stdin(Stdio::from(jail_end.into_fd()))
        .stdout(Stdio::from(cells_end.into_fd()));
    let child = spawn(&mut command, launch)?;
    Ok((jail, cells, Some(child)))
}

/// Has both launchers.
pub(crate) fn launch(launch: &Launch) -> Result<Launched, LaunchError> {
    let (jail, cells, launcher_a) = launch_jail(launch)?;
    let (sandboxes, orders) = Channel::pair()?;
    let mut command = Command::new(&launch.executable);
    command
        .arg("launcher-b")
        .args(["--isolation", isolation(launch)])
        .stdin(Stdio::from(orders.into_fd()))
        .stdout(Stdio::null());
    let launcher_b = spawn(&mut command, launch)?;
    let children = launcher_a.into_iter().chain([launcher_b]).collect();
    Ok(Launched { jail, cells, sandboxes, children })
}

const fn isolation(launch: &Launch) -> &'static str {
    if launch.degraded { "degraded" } else { "full" }
}

fn spawn(command: &mut Command, launch: &Launch) -> Result<Child, LaunchError> {
    command.spawn().map_err(|source| LaunchError::Spawn { path: launch.executable.clone(), source })
}
