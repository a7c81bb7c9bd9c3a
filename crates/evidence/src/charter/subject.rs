//! Whom or what the kill switch can stop, and what a stop means for those who ask.
//!
//! Not here: who may throw it (`policy`), that a running run meets it at its next action (the jail).

use std::fmt;

use serde::{Deserialize, Serialize};
use writ_model::{AutomationName, ConnectionName, Digest, Principal, RunnerId, WorkspaceName};

/// What a suspension is of (DESIGN §3.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "lowercase", deny_unknown_fields)]
pub enum Subject {
    /// A person or workload, with every key of theirs.
    User(Principal),
    /// One signing key, by its RFC 7638 thumbprint.
    Key(Digest),
    /// A connection: its credential is not used.
    Connection(ConnectionName),
    /// An automation: it does not run.
    Automation(AutomationName),
    /// A workspace: nothing in it runs or changes.
    Workspace(WorkspaceName),
    /// A runner: it does nothing and witnesses nothing. Root keys sign it.
    Runner(RunnerId),
    /// The tenant: nothing runs, and nothing changes but by being restored.
    Tenant,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(principal) => write!(f, "user {principal}"),
            Self::Key(thumbprint) => write!(f, "key {thumbprint}"),
            Self::Connection(name) => write!(f, "connection {name}"),
            Self::Automation(name) => write!(f, "automation {name}"),
            Self::Workspace(name) => write!(f, "workspace {name}"),
            Self::Runner(id) => write!(f, "runner {id}"),
            Self::Tenant => f.write_str("the tenant"),
        }
    }
}

/// Something that is asked for, or somebody who asks, is suspended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} is suspended")]
pub struct Suspended {
    /// Who or what.
    pub subject: Subject,
}
