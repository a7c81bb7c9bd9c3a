//! What a jail asks of launcher A, and what the launcher tells and hands the runner.

use serde::{Deserialize, Serialize};

/// A jail's request to its launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LauncherRequest {
    /// Start a cell.
    SpawnCell,
}

/// The launcher's answer to the jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LauncherReply {
    /// Started; the descriptor beside this message is the jail's end of the cell's socket.
    Started,
    /// It could not be confined, so it was not started.
    Failed {
        /// What is missing.
        measure: String,
    },
}

/// Launcher A to the runner's broker: a cell exists; the descriptor beside this message is the
/// broker's end of its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellStarted {}

/// Launcher A, behind a socket, to the runner that connected: the descriptor beside this message is
/// the runner's end of that link. The launcher makes both links, so that the kernel tells the runner
/// whose they are: a socket that a service manager listens on says nothing of who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LauncherLink {
    /// Requests to the jail and its replies; the first of the two.
    Jail,
    /// Announcements of cells ([`CellStarted`]); the second and last.
    Cells,
}
