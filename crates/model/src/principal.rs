//! Who acts, and the seven built-in roles they may hold.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::GroupName;

/// A person or workload: issuer and subject, never an e-mail address (DESIGN §3.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The issuer, exactly as its ID tokens spell it.
    pub iss: String,
    /// The subject at that issuer.
    pub sub: String,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.iss, self.sub)
    }
}

/// Who holds a role: a person, everybody whose fresh ID token lists a group, or everybody whom a
/// group of the charter lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Grantee {
    /// One person or workload.
    Principal(Principal),
    /// A group of an issuer's, by the name that its tokens give it.
    Group(TokenGroup),
    /// A group that the charter lists.
    CharterGroup(CharterGroup),
}

/// A group as an issuer's ID tokens name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenGroup {
    /// The issuer.
    pub iss: String,
    /// The group.
    pub group: String,
}

/// A group that the charter lists, whatever any token says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharterGroup {
    /// The group.
    pub charter_group: GroupName,
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(principal) => write!(f, "user {principal}"),
            Self::Group(TokenGroup { iss, group }) => write!(f, "group {iss}#{group}"),
            Self::CharterGroup(CharterGroup { charter_group }) => {
                write!(f, "group {charter_group}")
            }
        }
    }
}

/// Who asks for something: a person with the groups that count for them now.
///
/// Made from a [`Principal`] alone, no group counts: so it is with those who are not there, such as
/// a publisher while somebody else runs what they published.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// The person.
    pub principal: &'a Principal,
    /// Names of groups at the person's issuer.
    pub groups: Option<&'a BTreeSet<String>>,
}

impl<'a> Actor<'a> {
    /// The person, and every group of theirs: whose roles count.
    pub fn grantees(self) -> impl Iterator<Item = Grantee> + 'a {
        let Self { principal, groups } = self;
        let group = |group: &String| {
            Grantee::Group(TokenGroup { iss: principal.iss.clone(), group: group.clone() })
        };
        std::iter::once(Grantee::Principal(principal.clone()))
            .chain(groups.into_iter().flatten().map(group))
    }
}

impl<'a> From<&'a Principal> for Actor<'a> {
    fn from(principal: &'a Principal) -> Self {
        Self { principal, groups: None }
    }
}

/// A built-in role (DESIGN §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, and the only role that may change who is an owner.
    Owner,
    /// Manages workspaces, connections and bindings.
    Administrator,
    /// Writes and publishes automations, uses connections.
    Builder,
    /// Starts runs of published automations and reads their outputs.
    Operator,
    /// Answers approvals.
    Approver,
    /// Sees names and states, no outputs.
    Viewer,
    /// Reads the audit log and the charter.
    Auditor,
}

impl Role {
    /// Every role, strongest first.
    pub const ALL: [Self; 7] = [
        Self::Owner,
        Self::Administrator,
        Self::Builder,
        Self::Operator,
        Self::Approver,
        Self::Viewer,
        Self::Auditor,
    ];

    /// The role's one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Administrator => "administrator",
            Self::Builder => "builder",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A string names no built-in role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected owner, administrator, builder, operator, approver, viewer or auditor")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(s: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == s).ok_or(UnknownRole)
    }
}
