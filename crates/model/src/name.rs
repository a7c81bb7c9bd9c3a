//! Names that people choose: workspaces, automations, connections, packs and their actions.
//!
//! A name is lower-case letters, digits and inner hyphens, 1 to 63 bytes (RFC 1123 label, which
//! is also what Serverless Workflow 1.0 asks of `document.name` and `document.namespace`).
//! A name of something in a workspace is written `workspace/name`; a pinned one adds `@digest`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Digest;

/// A string is not a name of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct InvalidName {
    /// What the form should have been, with an example.
    pub expected: &'static str,
}

fn is_label(s: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&s.len()) && s.bytes().all(inner) && !s.starts_with('-') && !s.ends_with('-')
}

macro_rules! string_form {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(s: String) -> Result<Self, InvalidName> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(s: &str) -> Result<Self, InvalidName> {
                if is_label(s) { Ok(Self(s.to_owned())) } else { Err(InvalidName { expected: $expected }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        string_form!($name);
    };
}

label!(
    /// A workspace: the unit in which rights are granted.
    WorkspaceName,
    "a workspace name of lower-case letters, digits and hyphens, such as `secops`"
);

label!(
    /// A group of people that the charter lists.
    GroupName,
    "a group name of lower-case letters, digits and hyphens, such as `on-call`"
);

label!(
    /// A role that the charter makes, beside the built-in ones.
    RoleName,
    "a role name of lower-case letters, digits and hyphens, such as `triage`"
);

label!(
    /// A guardrail of the charter's.
    PolicyName,
    "a policy name of lower-case letters, digits and hyphens, such as `four-eyes`"
);

label!(
    /// A service account: a principal that a key of its own stands for, and no identity provider.
    ServiceAccountName,
    "a service account's name of lower-case letters, digits and hyphens, such as `importer`"
);

label!(
    /// An action pack.
    PackName,
    "a pack name of lower-case letters, digits and hyphens, such as `github`"
);

label!(
    /// The last part of a webhook's address, on whatever host the gateway has.
    WebhookPath,
    "a webhook path of lower-case letters, digits and hyphens, such as `github-alerts`"
);

macro_rules! qualified {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            workspace: WorkspaceName,
            name: String,
        }

        impl $name {
            /// Joins a workspace and a name within it.
            ///
            /// # Errors
            ///
            /// [`InvalidName`]: `name` is not lower-case letters, digits and inner hyphens.
            pub fn new(workspace: WorkspaceName, name: &str) -> Result<Self, InvalidName> {
                if !is_label(name) {
                    return Err(InvalidName { expected: $expected });
                }
                Ok(Self { workspace, name: name.to_owned() })
            }

            /// The workspace it belongs to.
            #[must_use]
            pub const fn workspace(&self) -> &WorkspaceName {
                &self.workspace
            }

            /// Its name within the workspace.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.name
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(s: &str) -> Result<Self, InvalidName> {
                let invalid = InvalidName { expected: $expected };
                let (workspace, name) = s.split_once('/').ok_or_else(|| invalid.clone())?;
                Self::new(workspace.parse().map_err(|_| invalid)?, name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.workspace, self.name)
            }
        }

        string_form!($name);
    };
}

qualified!(
    /// An automation, `workspace/name`.
    AutomationName,
    "an automation `workspace/name`, such as `secops/leaked-secret`"
);

qualified!(
    /// A standing writ, `workspace/name`.
    StandingName,
    "a standing writ `workspace/name`, such as `secops/nightly-scan`"
);

qualified!(
    /// A connection, `workspace/name`.
    ConnectionName,
    "a connection `workspace/name`, such as `secops/github`"
);

/// An action of a pack: the pack's name, then one or more labels, such as `github.issues.create`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActionName(String);

impl ActionName {
    /// The action as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pack that defines it: the text before the first dot.
    #[must_use]
    pub fn pack(&self) -> PackName {
        PackName(self.0.split('.').next().unwrap_or_default().to_owned())
    }
}

impl FromStr for ActionName {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, InvalidName> {
        let valid = s.len() <= 128 && s.contains('.') && s.split('.').all(is_label);
        if valid {
            return Ok(Self(s.to_owned()));
        }
        Err(InvalidName { expected: "an action `pack.noun.verb`, such as `github.issues.create`" })
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_form!(ActionName);

macro_rules! pinned {
    ($(#[$doc:meta])* $name:ident { $field:ident: $of:ident }, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            /// What is pinned.
            pub $field: $of,
            /// The content it is pinned to.
            pub digest: Digest,
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(s: &str) -> Result<Self, InvalidName> {
                let invalid = || InvalidName { expected: $expected };
                let (name, digest) = s.split_once('@').ok_or_else(invalid)?;
                Ok(Self {
                    $field: name.parse()?,
                    digest: digest.parse().map_err(|_| invalid())?,
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}@{}", self.$field, self.digest)
            }
        }

        string_form!($name);
    };
}

pinned!(
    /// A connection and the digest of its definition, `workspace/name@sha256:…`.
    PinnedConnection { name: ConnectionName },
    "a pinned connection `workspace/name@sha256:…`"
);

pinned!(
    /// An action and the digest of the pack that defines it, `github.issues.create@sha256:…`.
    PinnedAction { name: ActionName },
    "a pinned action `pack.noun.verb@sha256:…`"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_smuggle_a_path_or_a_second_workspace() {
        for bad in ["../x", "a/b/c", "a//b", "A/b", "a/-b", "/b", "a/", "a/b.c"] {
            assert!(bad.parse::<AutomationName>().is_err(), "{bad}");
        }
        assert_eq!("secops/x".parse::<AutomationName>().unwrap().workspace().as_str(), "secops");
    }

    #[test]
    fn an_action_names_its_pack() {
        let action: ActionName = "github.issues.create".parse().unwrap();
        assert_eq!(action.pack().as_str(), "github");
        assert!("github".parse::<ActionName>().is_err());
    }
}
