//! A folded charter as bytes, so that whoever has folded it need not fold it again.
//!
//! In: a state. Out: its bytes; and from those very bytes, the state. A snapshot is two lines of JSON: its format, then
//! everything that was folded.
//!
//! Invariants:
//! * bytes are taken up only by the digest of a snapshot that the caller knows to be of its own making (a jail's
//!   state file remembers it): nothing else makes a state than folding;
//! * the same state has the same bytes, and the state from them is equal to it;
//! * a snapshot of another format, or of a version that folded less, is refused: then the entries are folded.
//!
//! Not here: who keeps the bytes, and who remembers the digest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use writ_model::{
    ActionName, AutomationName, ConnectionName, Digest, GroupName, PackName, PolicyName, Principal,
    RoleName, RunnerId, ServiceAccountName, StandingName, TenantId, UnixTime, WorkspaceName,
};

use super::{CharterState, ConnectionRecord, PublishedAutomation, RootEntry, StandingRecord};
use crate::{
    charter::{
        Binding, PackAcknowledgement, RootKeys, RunnerEnrollment, ServiceAccount, Subject,
        WitnessQuorum, Workspace,
    },
    digest::sha256,
    issuer::Issuer,
};

/// What is written; a change of what any member means is a next one.
const FORMAT: u32 = 1;

/// Why bytes are no snapshot to take up. Whoever meets it folds the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They are not those that were remembered.
    #[error("the charter snapshot is not the one that was made")]
    OtherBytes,
    /// Another version of Writ made them.
    #[error("the charter snapshot is of another format")]
    Format,
}

impl SnapshotError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherBytes | Self::Format => "charter-snapshot",
        }
    }
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heading {
    format: u32,
}

impl CharterState {
    /// The state as bytes: one kilobyte or less for each thing granted, and about 56 bytes for each entry.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        // Plain maps of plain strings and numbers always serialize; an empty snapshot is never taken up.
        let mut bytes = serde_json::to_vec(&Heading { format: FORMAT }).unwrap_or_default();
        bytes.push(b'\n');
        let mut writer = serde_json::Serializer::new(&mut bytes);
        match Folded::serialize(self, &mut writer) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }

    /// The state that [`CharterState::snapshot`] made those bytes of. `digest` is SHA-256 of them, as the caller
    /// remembers it from having made them, where nobody else can write.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]: fold the entries instead.
    pub fn resume(bytes: &[u8], digest: Digest) -> Result<Self, SnapshotError> {
        // SECURITY: the bytes may have lain with somebody else, who may do nothing to a state but withhold it.
        if sha256(bytes) != digest {
            return Err(SnapshotError::OtherBytes);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(SnapshotError::Format)?;
        let (heading, state) = bytes.split_at_checked(end).ok_or(SnapshotError::Format)?;
        let heading: Heading =
            serde_json::from_slice(heading).map_err(|_| SnapshotError::Format)?;
        if heading.format != FORMAT {
            return Err(SnapshotError::Format);
        }
        let mut reader = serde_json::Deserializer::from_slice(state);
        let state = Folded::deserialize(&mut reader).map_err(|_| SnapshotError::Format)?;
        reader.end().map_err(|_| SnapshotError::Format)?;
        Ok(state)
    }
}

/// Every member of a [`CharterState`]. One that is missing here does not compile.
#[derive(Serialize, Deserialize)]
#[serde(remote = "CharterState", deny_unknown_fields)]
struct Folded {
    ten: TenantId,
    seq: u64,
    head: Digest,
    heads: BTreeSet<Digest>,
    roots: RootKeys,
    witnesses: WitnessQuorum,
    issuers: Vec<Issuer>,
    #[serde(with = "pairs")]
    runners: BTreeMap<RunnerId, RunnerEnrollment>,
    #[serde(with = "pairs")]
    retired: BTreeMap<RunnerId, RunnerEnrollment>,
    #[serde(with = "pairs")]
    workspaces: BTreeMap<WorkspaceName, Workspace>,
    #[serde(with = "pairs")]
    groups: BTreeMap<GroupName, BTreeSet<Principal>>,
    #[serde(with = "pairs")]
    groups_of: BTreeMap<Principal, BTreeSet<GroupName>>,
    #[serde(with = "pairs")]
    roles: BTreeMap<RoleName, BTreeSet<String>>,
    #[serde(with = "pairs")]
    policies: BTreeMap<PolicyName, String>,
    #[serde(with = "pairs")]
    service_accounts: BTreeMap<ServiceAccountName, ServiceAccount>,
    #[serde(with = "pairs")]
    elevations: BTreeMap<Binding, UnixTime>,
    #[serde(with = "entitled")]
    entitlements: BTreeMap<ConnectionName, BTreeMap<Principal, BTreeSet<ActionName>>>,
    bindings: BTreeSet<Binding>,
    #[serde(with = "pairs")]
    connections: BTreeMap<ConnectionName, ConnectionRecord>,
    #[serde(with = "pairs")]
    packs: BTreeMap<(PackName, String), PackAcknowledgement>,
    #[serde(with = "pairs")]
    automations: BTreeMap<AutomationName, PublishedAutomation>,
    #[serde(with = "pairs")]
    standing: BTreeMap<StandingName, StandingRecord>,
    #[serde(with = "pairs")]
    signed_at: BTreeMap<Principal, UnixTime>,
    attested_at: Option<UnixTime>,
    suspended: BTreeSet<Subject>,
    #[serde(with = "pairs")]
    root_entries: BTreeMap<u64, RootEntry>,
}

/// Maps as lists of pairs, since JSON's own keys are text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, K: Serialize, V: Serialize>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// The same for what people may do behind each connection: maps in a map.
mod entitled {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::{Deserialize, Deserializer, Serializer};
    use writ_model::{ActionName, ConnectionName, Principal};

    type Entitled = BTreeMap<Principal, BTreeSet<ActionName>>;

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<ConnectionName, Entitled>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map.iter().map(|(name, people)| (name, Vec::from_iter(people))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ConnectionName, Entitled>, D::Error> {
        let read = Vec::<(ConnectionName, Vec<(Principal, BTreeSet<ActionName>)>)>::deserialize(
            deserializer,
        )?;
        Ok(read.into_iter().map(|(name, people)| (name, people.into_iter().collect())).collect())
    }
}
