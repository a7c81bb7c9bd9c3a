//! The commands of `writ-jail`, and the one error that each ends with.

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use clap::{Parser, ValueEnum};
use writ_confine::{ConfineError, UserError, doctor};
use writ_model::{IsolationMode, SecretRef};
use zeroize::Zeroizing;

use crate::{
    launcher::{self, LauncherError},
    vault::{self, VaultError},
};

/// Longest secret, in bytes.
const SECRET_MAX: u64 = 64 * 1024;

/// Writ's jail. `writ runner` and `writ secret` start it; it is not meant to be run by hand.
#[derive(Debug, Parser)]
#[command(name = "writ-jail", version)]
pub enum Command {
    /// Starts the jail, and cells when it asks. Descriptor 0 is the jail's link to the runner,
    /// descriptor 1 the broker's announcements; with `--socket`, whoever connects is handed both.
    LauncherA {
        /// Wait for the runner at the socket that the service manager passes (`sd_listen_fds(3)`).
        #[arg(long, requires = "runner_user")]
        socket: bool,
        /// The only user that may connect: the runner's, by number or by name.
        #[arg(long, requires = "socket")]
        runner_user: Option<String>,
        /// The jail's own state file; made the first time.
        #[arg(long)]
        state: PathBuf,
        /// The `local:` vault.
        #[arg(long)]
        vault: PathBuf,
        /// The vault's key file.
        #[arg(long)]
        vault_key: PathBuf,
        /// Secret managers beside `local:`: a JSON file, as the documentation shows it.
        #[arg(long)]
        secret_managers: Option<PathBuf>,
        /// A descriptor with what the environment said of AWS; this program passes it to itself.
        #[arg(long, hide = true)]
        aws_environment: Option<std::os::fd::RawFd>,
        /// `full`, or `degraded` for development.
        #[arg(long, default_value = "full")]
        isolation: Isolation,
    },
    /// Starts sandboxes for code steps. Descriptor 0 carries the runner's orders.
    LauncherB {
        /// `full`, or `degraded` for development; a sandbox is confined either way.
        #[arg(long, default_value = "full")]
        isolation: Isolation,
    },
    /// Examines what this machine can confine; prints the report as JSON.
    Doctor,
    /// Keeps a secret, read from stdin, in the `local:` vault.
    SecretPut(SecretFiles),
    /// Removes a secret from the `local:` vault.
    SecretRemove(SecretFiles),
    /// Prints the references of the secrets in the `local:` vault, one a line.
    SecretList {
        /// The vault.
        #[arg(long)]
        vault: PathBuf,
        /// Its key file.
        #[arg(long)]
        vault_key: PathBuf,
    },
}

/// One secret in one vault.
#[derive(Debug, clap::Args)]
pub struct SecretFiles {
    /// The vault.
    #[arg(long)]
    vault: PathBuf,
    /// Its key file; made the first time.
    #[arg(long)]
    vault_key: PathBuf,
    /// The secret's reference, such as `local:github/token`.
    reference: SecretRef,
}

/// How strictly to confine.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Isolation {
    /// Every measure, or no process.
    Full,
    /// What this machine can do; for development, and said in every receipt.
    Degraded,
}

impl From<Isolation> for IsolationMode {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Full => Self::Full,
            Isolation::Degraded => Self::Degraded,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A launcher did not start or ended.
    #[error("the launcher failed")]
    Launcher(#[from] LauncherError),
    /// The runner's user is not known.
    #[error("the runner's user is not known")]
    User(#[from] UserError),
    /// The machine could not be examined.
    #[error("cannot examine this machine")]
    Doctor(#[source] ConfineError),
    /// The vault refused.
    #[error("the local vault refused ({})", .0.code())]
    Vault(#[from] VaultError),
    /// Standard input or output failed.
    #[error("cannot use standard input or output")]
    Io(#[from] io::Error),
    /// The secret is too long.
    #[error("the secret is longer than {SECRET_MAX} bytes")]
    SecretTooLong,
}

impl Command {
    /// Runs the command to its end.
    ///
    /// # Errors
    ///
    /// [`CommandError`].
    pub fn run(self) -> Result<(), CommandError> {
        match self {
            Self::LauncherA {
                socket: _,
                runner_user,
                state,
                vault,
                vault_key,
                secret_managers,
                aws_environment,
                isolation,
            } => {
                launcher::without_credentials()?;
                let caller = match runner_user {
                    Some(user) => launcher::Caller::Socket { runner: writ_confine::uid_of(&user)? },
                    None => launcher::Caller::Parent,
                };
                let files =
                    launcher::Files { state, vault, vault_key, secret_managers, aws_environment };
                Ok(launcher::launch_jail(&files, isolation.into(), caller)?)
            }
            Self::LauncherB { isolation: _ } => Ok(launcher::launch_sandboxes()?),
            Self::Doctor => {
                let report = doctor::examine().map_err(CommandError::Doctor)?;
                let text = serde_json::to_string(&report).map_err(io::Error::from)?;
                Ok(writeln!(io::stdout(), "{text}")?)
            }
            Self::SecretPut(files) => put(&files),
            Self::SecretRemove(files) => {
                Ok(vault::local::remove(&files.vault, &files.vault_key, files.reference.path())?)
            }
            Self::SecretList { vault, vault_key } => list(&vault, &vault_key),
        }
    }
}

/// The value goes from stdin into the vault, and is named nowhere else.
fn put(files: &SecretFiles) -> Result<(), CommandError> {
    let mut value = Zeroizing::new(Vec::new());
    io::stdin().take(SECRET_MAX + 1).read_to_end(&mut value)?;
    if value.len() as u64 > SECRET_MAX {
        return Err(CommandError::SecretTooLong);
    }
    let trimmed = value.strip_suffix(b"\n").unwrap_or(&value);
    Ok(vault::local::put(&files.vault, &files.vault_key, files.reference.path(), trimmed)?)
}

fn list(vault: &Path, vault_key: &Path) -> Result<(), CommandError> {
    for path in vault::local::list(vault, vault_key)? {
        writeln!(io::stdout(), "local:{path}")?;
    }
    Ok(())
}
