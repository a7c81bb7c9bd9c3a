//! Who acts, and the roles they may hold: seven built-in ones, and those that a charter makes.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{GroupName, RoleName, ServiceAccountName, UnixTime};

/// A person or workload: issuer and subject, never an e-mail address (DESIGN §3.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The issuer, exactly as its ID tokens spell it.
    pub iss: String,
    /// The subject at that issuer.
    pub sub: String,
}

/// What stands where others have an issuer: service accounts are the charter's own (RFC 8141 §2).
pub const SERVICE_ACCOUNTS: &str = "urn:writ:service-account";

impl Principal {
    /// Whether it is a service account, and nobody's login.
    #[must_use]
    pub fn is_service_account(&self) -> bool {
        self.iss == SERVICE_ACCOUNTS
    }
}

impl From<&ServiceAccountName> for Principal {
    fn from(name: &ServiceAccountName) -> Self {
        Self { iss: SERVICE_ACCOUNTS.to_owned(), sub: name.as_str().to_owned() }
    }
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

/// How somebody has signed in, as far as guardrails may ask for it.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// When what they sign now was verified.
    pub at: UnixTime,
    /// The client id, or the name of a workload or service account.
    pub through: &'a str,
    /// Whether nobody sat there: a workload or a service account.
    pub is_workload: bool,
    /// The authentication context class that the token shows (OpenID Connect Core §2, `acr`).
    pub acr: Option<&'a str>,
    /// The authentication methods that the token shows (RFC 8176, `amr`).
    pub amr: &'a BTreeSet<String>,
    /// When the person last showed who they are, if the token says it (`auth_time`).
    pub auth_time: Option<UnixTime>,
}

/// Who asks for something: a person with the groups that count for them now.
///
/// Made from a [`Principal`] alone, no group and no elevation counts: so it is with those who are not there,
/// such as a publisher while somebody else runs what they published.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// The person.
    pub principal: &'a Principal,
    /// Names of groups at the person's issuer.
    pub groups: Option<&'a BTreeSet<String>>,
    /// The time at which they ask, if what holds for a while counts for them.
    pub at: Option<UnixTime>,
    /// How they have signed in, if they sign now.
    pub login: Option<Login<'a>>,
}

impl<'a> Actor<'a> {
    /// The person, and every group of theirs: whose roles count.
    pub fn grantees(self) -> impl Iterator<Item = Grantee> + 'a {
        let Self { principal, groups, .. } = self;
        let group = |group: &String| {
            Grantee::Group(TokenGroup { iss: principal.iss.clone(), group: group.clone() })
        };
        std::iter::once(Grantee::Principal(principal.clone()))
            .chain(groups.into_iter().flatten().map(group))
    }
}

impl<'a> From<&'a Principal> for Actor<'a> {
    fn from(principal: &'a Principal) -> Self {
        Self { principal, groups: None, at: None, login: None }
    }
}

/// A role (DESIGN §9).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
    /// One that the charter makes, written `custom/name`.
    Custom(RoleName),
}

/// What stands before the name of a role that the charter makes.
const CUSTOM: &str = "custom/";

impl Role {
    /// Every built-in role, strongest first.
    pub const BUILT_IN: [Self; 7] = [
        Self::Owner,
        Self::Administrator,
        Self::Builder,
        Self::Operator,
        Self::Approver,
        Self::Viewer,
        Self::Auditor,
    ];

    /// What a policy calls it: a built-in role by its name, all others `custom`.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Administrator => "administrator",
            Self::Builder => "builder",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Custom(_) => "custom",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Custom(name) => write!(f, "{CUSTOM}{name}"),
            built_in => f.write_str(built_in.class()),
        }
    }
}

/// A string names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected owner, administrator, builder, operator, approver, viewer, auditor or custom/<name>"
)]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(s: &str) -> Result<Self, UnknownRole> {
        if let Some(name) = s.strip_prefix(CUSTOM) {
            return name.parse().map(Self::Custom).map_err(|_| UnknownRole);
        }
        Self::BUILT_IN.into_iter().find(|role| role.class() == s).ok_or(UnknownRole)
    }
}

impl TryFrom<String> for Role {
    type Error = UnknownRole;

    fn try_from(s: String) -> Result<Self, UnknownRole> {
        s.parse()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.to_string()
    }
}
