//! The nouns that charter changes carry: what a tenant starts with, and what is granted in it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use writ_model::{
    AutomationName, CodeLanguage, Digest, Grantee, GroupName, PackName, Principal, Role,
    RunnerGroupId, RunnerId, WorkspaceName,
};

use crate::{
    approval::ApprovalGate, issuer::Issuer, key::PublicKey, seal::SealingPublicKey,
    writ::ConnectionGrant,
};

/// What a tenant starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The root keys.
    pub roots: Vec<PublicKey>,
    /// How many of them sign a root-class change.
    pub threshold: u8,
    /// The first identity providers.
    pub issuers: Vec<Issuer>,
    /// The first owners.
    pub owners: Vec<Principal>,
    /// The first runner; its jail is the one witness.
    pub runner: RunnerEnrollment,
}

/// A runner's three keys (DESIGN §3.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerEnrollment {
    /// The runner.
    pub id: RunnerId,
    /// Its group.
    pub group: RunnerGroupId,
    /// Its jail's Ed25519 key: acceptances, receipts, cosignatures.
    pub jail_key: PublicKey,
    /// The key that the runner's own requests are signed with.
    pub link_key: PublicKey,
    /// What run inputs are sealed to.
    pub sealing_key: SealingPublicKey,
}

/// The root keys of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootKeys {
    /// The keys, each once.
    pub keys: Vec<PublicKey>,
    /// How many of them sign a root-class change.
    pub threshold: u8,
}

/// Whose jails see changes fresh (DESIGN §3.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessQuorum {
    /// The runners whose jails are witnesses.
    pub witnesses: BTreeSet<RunnerId>,
    /// How many of them cosign a change before it is an entry.
    pub threshold: u8,
    /// Seconds that a jail goes on accepting without a word from a person or another witness that names its
    /// newest entry: one hour to 90 days; 7 days unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_staleness_s: Option<u32>,
}

/// How long a jail goes on accepting unless root keys said otherwise, in seconds.
const MAX_STALENESS_S: u32 = 7 * 24 * 3600;

impl WitnessQuorum {
    /// Seconds until a charter that nobody attests is stale (DESIGN §3.3).
    #[must_use]
    pub fn max_staleness_s(&self) -> u64 {
        u64::from(self.max_staleness_s.unwrap_or(MAX_STALENESS_S))
    }
}

/// A group of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Everybody in it.
    pub members: BTreeSet<Principal>,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// Its name.
    pub name: WorkspaceName,
    /// The secret references that its connections may name; `…/*` covers what is below.
    pub secret_paths: Vec<String>,
}

/// Where a role holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// In every workspace, and for what belongs to none.
    Tenant,
    /// In one workspace.
    Workspace(WorkspaceName),
}

/// A person or a group holds a role in a scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Who.
    pub principal: Grantee,
    /// What.
    pub role: Role,
    /// Where.
    pub scope: Scope,
}

/// An acknowledged pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackAcknowledgement {
    /// Its name.
    pub name: PackName,
    /// Its version, for people and documents.
    pub version: String,
    /// The digest of its document: what is acknowledged.
    pub digest: Digest,
}

/// A pack whose acknowledgement is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackWithdrawal {
    /// Its name.
    pub name: PackName,
    /// The version that was acknowledged.
    pub version: String,
}

/// A published automation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Automation {
    /// Its name.
    pub name: AutomationName,
    /// The digest of its closed bundle.
    pub bundle: Digest,
    /// What it may touch.
    pub footprint: Footprint,
}

/// What an automation may touch, computed from its bundle when it is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footprint {
    /// Connections and the actions through each.
    pub connections: Vec<ConnectionGrant>,
    /// Code that its steps run.
    pub code: Vec<CodeGrant>,
    /// Tasks that ask people to approve, and what stands behind each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalGate>,
}

impl Footprint {
    /// Whether every connection and action of `details` is in the footprint.
    #[must_use]
    pub fn covers(&self, details: &[ConnectionGrant]) -> bool {
        details.iter().all(|asked| {
            self.connections.iter().any(|granted| {
                granted.connection == asked.connection
                    && asked.actions.iter().all(|action| granted.actions.contains(action))
            })
        })
    }
}

/// Code that a step runs, by digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeGrant {
    /// Its language.
    pub language: CodeLanguage,
    /// The digest of its text.
    pub digest: Digest,
}
