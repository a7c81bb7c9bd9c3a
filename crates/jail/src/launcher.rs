//! Which process is what: launcher A starts the jail and cells, launcher B starts sandboxes.
//!
//! Both are single-threaded, hide themselves, and start only what is compiled in here. They open
//! what a child needs before confining it, and hand it over by descriptor.
//!
//! Not here: how a child is confined (`writ_confine`).

mod cells;
mod environment;
mod links;
mod sandboxes;

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd, RawFd},
    path::PathBuf,
};

use rustix::{
    fs::{Mode, OFlags},
    stdio,
};
use writ_confine::{ActivationError, ChannelError, ConfineError};

pub use cells::launch_jail;
pub use environment::without_credentials;
pub use links::Caller;
pub use sandboxes::launch_sandboxes;

/// The files that belong to a jail.
#[derive(Debug)]
pub struct Files {
    /// Its own state file.
    pub state: PathBuf,
    /// The `local:` vault.
    pub vault: PathBuf,
    /// The vault's key file.
    pub vault_key: PathBuf,
    /// What there is beside `local:`; see `vault::settings`.
    pub secret_managers: Option<PathBuf>,
    /// A descriptor with the AWS credentials that the environment held.
    pub aws_environment: Option<RawFd>,
}

/// Why a launcher ended.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// A process could not be confined, so it was not started. `writ doctor` says how to mend it.
    #[error("a process could not be confined, so it was not started; run `writ doctor`")]
    Confine(#[from] ConfineError),
    /// A socket failed.
    #[error("a launcher's socket failed")]
    Channel(#[from] ChannelError),
    /// The service manager passed no socket that can be used.
    #[error("there is no socket to wait at")]
    Activation(#[from] ActivationError),
    /// The state file can't be used, or another jail holds it.
    #[error("cannot use the jail's state file `{}`", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The secret managers' settings are refused.
    #[error("the settings of the secret managers are refused")]
    SecretManagers(#[from] crate::vault::SettingsError),
    /// Standard descriptors can't be taken over.
    #[error("cannot take over the standard descriptors")]
    Descriptors(#[source] io::Error),
}

/// Takes descriptors 0 and 1 as sockets and leaves `/dev/null` in their places, so that no child
/// inherits them.
fn take_standard_sockets() -> Result<(OwnedFd, OwnedFd), LauncherError> {
    let taken = || -> io::Result<(OwnedFd, OwnedFd)> {
        let zero = io::stdin().as_fd().try_clone_to_owned()?;
        let one = io::stdout().as_fd().try_clone_to_owned()?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        stdio::dup2_stdin(&null)?;
        stdio::dup2_stdout(&null)?;
        Ok((zero, one))
    };
    taken().map_err(LauncherError::Descriptors)
}
