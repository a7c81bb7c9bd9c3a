//! Starts the two launchers of `writ-jail`, with the sockets that each is given.
//!
//! Launcher A gets the jail's link as stdin and the broker's announcements as stdout; launcher B
//! gets its orders as stdin. Both write their log to this process's stderr, and both end when
//! their sockets close.

use std::{
    io,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use writ_confine::{Channel, ChannelError};

/// Where the jail and its files are.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The `writ-jail` executable.
    pub executable: PathBuf,
    /// The jail's state file.
    pub state: PathBuf,
    /// The `local:` vault.
    pub vault: PathBuf,
    /// Its key file.
    pub vault_key: PathBuf,
    /// Secret managers beside `local:`, if there are any.
    pub secret_managers: Option<PathBuf>,
    /// Development only: start although a measure is missing.
    pub degraded: bool,
}

/// Why the launchers were not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No sockets were to be had.
    #[error("cannot make sockets for the jail")]
    Channel(#[from] ChannelError),
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

/// Starts launcher A alone, for a jail that is to be asked who it is.
pub(crate) fn launch_jail(launch: &Launch) -> Result<(Channel, Channel, Child), LaunchError> {
    let (jail, jail_end) = Channel::pair()?;
    let (cells, cells_end) = Channel::pair()?;
    let mut command = Command::new(&launch.executable);
    command
        .arg("launcher-a")
        .args(["--state".as_ref(), launch.state.as_os_str()])
        .args(["--vault".as_ref(), launch.vault.as_os_str()])
        .args(["--vault-key".as_ref(), launch.vault_key.as_os_str()])
        .args(["--isolation", isolation(launch)])
        .args(
            launch
                .secret_managers
                .iter()
                .flat_map(|path| ["--secret-managers".as_ref(), path.as_os_str()]),
        )
        .stdin(Stdio::from(jail_end.into_fd()))
        .stdout(Stdio::from(cells_end.into_fd()));
    let child = spawn(&mut command, launch)?;
    Ok((jail, cells, child))
}

/// Starts both launchers.
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
    Ok(Launched { jail, cells, sandboxes, children: vec![launcher_a, launcher_b] })
}

const fn isolation(launch: &Launch) -> &'static str {
    if launch.degraded { "degraded" } else { "full" }
}

fn spawn(command: &mut Command, launch: &Launch) -> Result<Child, LaunchError> {
    command.spawn().map_err(|source| LaunchError::Spawn { path: launch.executable.clone(), source })
}
