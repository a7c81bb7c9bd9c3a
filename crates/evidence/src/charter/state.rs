//! What holds: the fold of a charter's verified entries.
//!
//! [`CharterState::found`] takes entry 0, [`CharterState::append`] each later one,
//! [`CharterState::admit`] judges a candidate as a witness does. A state can't be deserialised:
//! whoever wants one folds the entries.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use writ_model::{
    Actor, AutomationName, Connection, ConnectionName, Digest, Grantee, HttpCall, PackName,
    Principal, RunnerId, TenantId, UnixTime, WorkspaceName,
};

use super::{
    Automation, Binding, Change, CosignatureClaims, EntryBody, EntryError, Genesis,
    PackAcknowledgement, RunnerEnrollment, UnverifiedEntry, Workspace,
    entry::{check_cosignature, check_roots, check_writ},
};
use crate::{
    digest::sha256,
    issuer::{FetchedKeys, Issuer, TokenKeys},
    key::PublicKey,
};

/// Who may append what. `policy` implements it; the fold asks it under the state before.
pub trait MayAppend {
    /// Decides whether `actor` may make `change` under `state`.
    ///
    /// # Errors
    ///
    /// [`NotPermitted`], with the reason. An evaluation error is one.
    fn may_append(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        change: &Change,
    ) -> Result<(), NotPermitted>;
}

/// A principal may not make a change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotPermitted {
    /// Why, for the person.
    pub reason: String,
}

/// A connection as the charter holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRecord {
    /// Its definition.
    pub connection: Connection,
    /// What pins it: SHA-256 of the definition's JSON.
    pub digest: Digest,
}

/// An automation as the charter holds it, with who published it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedAutomation {
    /// Name, bundle and footprint.
    pub automation: Automation,
    /// Whose right each use of a connection needs, beside the signer's.
    pub publisher: Principal,
}

/// The folded charter.
#[derive(Debug, Clone)]
pub struct CharterState {
    ten: TenantId,
    seq: u64,
    head: Digest,
    heads: BTreeSet<Digest>,
    witness: RunnerId,
    roots: Vec<PublicKey>,
    threshold: u8,
    issuers: Vec<Issuer>,
    runners: BTreeMap<RunnerId, RunnerEnrollment>,
    workspaces: BTreeMap<WorkspaceName, Workspace>,
    bindings: BTreeSet<Binding>,
    connections: BTreeMap<ConnectionName, ConnectionRecord>,
    packs: BTreeMap<(PackName, String), PackAcknowledgement>,
    automations: BTreeMap<AutomationName, PublishedAutomation>,
}

/// Why an entry does not extend a charter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// Its signatures are refused.
    #[error("charter entry {seq} is refused")]
    Entry {
        /// The number of the entry that was expected.
        seq: u64,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// It is not the next entry after the head.
    #[error("charter entry {seq} does not follow the head")]
    NotNext {
        /// The number that was expected.
        seq: u64,
    },
    /// Entry 0 is not the one that names this tenant.
    #[error("charter entry 0 is not this tenant's")]
    OtherTenant,
    /// The change is not possible in this state or by this kind of signature.
    #[error("charter entry {seq}: {reason}")]
    Change {
        /// The number of the entry.
        seq: u64,
        /// What is wrong, in a sentence.
        reason: &'static str,
    },
    /// The signer may not make this change.
    #[error("charter entry {seq} is not permitted")]
    NotPermitted {
        /// The number of the entry.
        seq: u64,
        /// Why.
        #[source]
        source: NotPermitted,
    },
}

impl FoldError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Entry { source, .. } => source.code(),
            Self::NotNext { .. } => "charter-not-next",
            Self::OtherTenant => "charter-tenant",
            Self::Change { .. } => "charter-change",
            Self::NotPermitted { .. } => "policy-denied",
        }
    }
}

impl CharterState {
    /// Folds entry 0, which must be the one that `ten` is the digest of.
    ///
    /// # Errors
    ///
    /// [`FoldError`]: another tenant's, signatures missing, or not a genesis.
    pub fn found(entry: &UnverifiedEntry, ten: TenantId) -> Result<Self, FoldError> {
        let refused = |source| FoldError::Entry { seq: 0, source };
        if entry.digest() != ten.0 {
            return Err(FoldError::OtherTenant);
        }
        let body = entry.body().map_err(refused)?;
        let UnverifiedEntry::Roots { body: text, signatures } = entry else {
            return Err(FoldError::Change { seq: 0, reason: "entry 0 is signed by root keys" });
        };
        let EntryBody { seq: 0, prev: None, change: Change::Genesis(genesis) } = body else {
            return Err(FoldError::Change {
                seq: 0,
                reason: "entry 0 is a genesis without `prev`",
            });
        };
        check_roots(text, signatures, &genesis.roots, usize::from(genesis.threshold))
            .map_err(refused)?;
        for issuer in &genesis.issuers {
            issuer.check().map_err(|reason| FoldError::Change { seq: 0, reason })?;
        }
        Ok(Self::from_genesis(genesis, ten))
    }

    fn from_genesis(genesis: Genesis, ten: TenantId) -> Self {
        let owner = |principal| Binding {
            principal: Grantee::Principal(principal),
            role: writ_model::Role::Owner,
            scope: super::Scope::Tenant,
        };
        Self {
            ten,
            seq: 0,
            head: ten.0,
            heads: BTreeSet::from([ten.0]),
            witness: genesis.runner.id,
            roots: genesis.roots,
            threshold: genesis.threshold,
            issuers: genesis.issuers,
            runners: BTreeMap::from([(genesis.runner.id, genesis.runner)]),
            workspaces: BTreeMap::new(),
            bindings: genesis.owners.into_iter().map(owner).collect(),
            connections: BTreeMap::new(),
            packs: BTreeMap::new(),
            automations: BTreeMap::new(),
        }
    }

    /// Folds the next entry: one whose freshness its witness judged, or one that root keys signed.
    ///
    /// # Errors
    ///
    /// [`FoldError`]: the state is unchanged.
    pub fn append(
        &mut self,
        entry: &UnverifiedEntry,
        may: &impl MayAppend,
    ) -> Result<(), FoldError> {
        let seq = self.seq.saturating_add(1);
        let refused = |source| FoldError::Entry { seq, source };
        let UnverifiedEntry::Writ { cosignatures, .. } = entry else {
            let change = self.judge_root(entry)?;
            self.apply(change, None);
            self.advance(entry);
            return Ok(());
        };
        let witness = self.runners.get(&self.witness).ok_or(refused(EntryError::NoWitness))?;
        let expected = |at| self.cosignature(entry, at);
        let at = check_cosignature(cosignatures, &witness.jail_key, expected).map_err(refused)?;
        let (principal, change) = self.judge(entry, TokenKeys::Witnessed, at, may)?;
        self.apply(change, Some(principal));
        self.advance(entry);
        Ok(())
    }

    fn advance(&mut self, entry: &UnverifiedEntry) {
        self.seq = self.seq.saturating_add(1);
        self.head = entry.digest();
        self.heads.insert(self.head);
    }

    /// Everything about an entry that root keys signed: it stands on them alone (DESIGN §3.3).
    ///
    /// # Errors
    ///
    /// [`FoldError`]: not the next, too few signatures, or not a root-class change.
    pub fn judge_root(&self, entry: &UnverifiedEntry) -> Result<Change, FoldError> {
        let seq = self.seq.saturating_add(1);
        let refused = |source| FoldError::Entry { seq, source };
        let impossible = |reason| FoldError::Change { seq, reason };
        let UnverifiedEntry::Roots { body: text, signatures } = entry else {
            return Err(impossible("this change is not signed by root keys"));
        };
        let body = entry.body().map_err(refused)?;
        if body.seq != seq || body.prev != Some(self.head) {
            return Err(FoldError::NotNext { seq });
        }
        check_roots(text, signatures, &self.roots, usize::from(self.threshold)).map_err(refused)?;
        match body.change {
            Change::IssuerSet(issuer) => {
                issuer.check().map_err(impossible)?;
                Ok(Change::IssuerSet(issuer))
            }
            Change::Genesis(_) => Err(impossible("a genesis stands in entry 0 only")),
            Change::WorkspaceSet(_)
            | Change::BindingAdd(_)
            | Change::BindingRemove(_)
            | Change::ConnectionSet(_)
            | Change::PackAcknowledge(_)
            | Change::AutomationPublish(_) => {
                Err(impossible("root keys sign root-class changes only"))
            }
        }
    }

    /// Judges a candidate at `now`, as a witness does before it cosigns; returns what to sign.
    ///
    /// # Errors
    ///
    /// [`FoldError`]: the candidate is not to be signed.
    pub fn admit(
        &self,
        entry: &UnverifiedEntry,
        keys: &FetchedKeys,
        now: UnixTime,
        may: &impl MayAppend,
    ) -> Result<CosignatureClaims, FoldError> {
        self.judge(entry, TokenKeys::Fetched(keys), now, may)?;
        Ok(self.cosignature(entry, now))
    }

    fn cosignature(&self, entry: &UnverifiedEntry, at: UnixTime) -> CosignatureClaims {
        CosignatureClaims {
            ten: self.ten,
            seq: self.seq.saturating_add(1),
            prev: self.head,
            digest: entry.digest(),
            at,
        }
    }

    /// Everything about an entry but its cosignatures.
    fn judge(
        &self,
        entry: &UnverifiedEntry,
        keys: TokenKeys<'_>,
        at: UnixTime,
        may: &impl MayAppend,
    ) -> Result<(Principal, Change), FoldError> {
        let seq = self.seq.saturating_add(1);
        let refused = |source| FoldError::Entry { seq, source };
        let UnverifiedEntry::Writ { body: text, writ, idc, .. } = entry else {
            let reason = "an entry that root keys signed takes no cosignature";
            return Err(FoldError::Change { seq, reason });
        };
        let body = entry.body().map_err(refused)?;
        if body.seq != seq || body.prev != Some(self.head) {
            return Err(FoldError::NotNext { seq });
        }
        let signer = check_writ((text, writ, idc), (&self.issuers, keys), self.ten, self.head, at)
            .map_err(refused)?;
        self.check_possible(&body.change).map_err(|reason| FoldError::Change { seq, reason })?;
        may.may_append(self, signer.actor(), &body.change)
            .map_err(|source| FoldError::NotPermitted { seq, source })?;
        Ok((signer.principal().clone(), body.change))
    }

    /// Whether what a change refers to exists. Rights come after.
    fn check_possible(&self, change: &Change) -> Result<(), &'static str> {
        match change {
            Change::Genesis(_) => Err("a genesis stands in entry 0 only"),
            Change::IssuerSet(_) => Err("only root keys sign what identity providers are believed"),
            Change::PackAcknowledge(pack) if HttpCall::is_pack(&pack.name) => {
                Err("`http` is what documents call by themselves; no pack has that name")
            }
            Change::WorkspaceSet(_) | Change::PackAcknowledge(_) => Ok(()),
            Change::BindingAdd(binding) => match &binding.scope {
                super::Scope::Tenant => Ok(()),
                super::Scope::Workspace(name) if self.workspaces.contains_key(name) => Ok(()),
                super::Scope::Workspace(_) => Err("the workspace does not exist"),
            },
            Change::BindingRemove(binding) => {
                if !self.bindings.contains(binding) {
                    return Err("there is no such binding");
                }
                // A group may be empty: only a person keeps a tenant from being nobody's.
                let owner = |b: &&Binding| {
                    b.role == writ_model::Role::Owner
                        && b.scope == super::Scope::Tenant
                        && matches!(b.principal, Grantee::Principal(_))
                };
                let last = owner(&binding) && self.bindings.iter().filter(owner).count() == 1;
                if last { Err("the last owner cannot be removed") } else { Ok(()) }
            }
            Change::ConnectionSet(connection) => self.check_connection(connection),
            Change::AutomationPublish(automation) => self.check_automation(automation),
        }
    }

    fn check_connection(&self, connection: &Connection) -> Result<(), &'static str> {
        let workspace = self
            .workspaces
            .get(connection.name.workspace())
            .ok_or("the connection's workspace does not exist")?;
        if connection.hosts.is_empty() {
            return Err("a connection names at least one host");
        }
        let host_form = |host: &str| {
            !host.is_empty()
                && host.len() <= 253
                && host.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':')
                })
        };
        if !connection.hosts.iter().all(|host| host_form(&host.host) && host.port != 0) {
            return Err("a connection's host is not an exact lower-case host name and port");
        }
        connection.kind.check()?;
        if !workspace.secret_paths.iter().any(|listed| connection.secret.is_under(listed)) {
            return Err("the workspace does not list the connection's secret path");
        }
        Ok(())
    }

    fn check_automation(&self, automation: &Automation) -> Result<(), &'static str> {
        if !self.workspaces.contains_key(automation.name.workspace()) {
            return Err("the automation's workspace does not exist");
        }
        for grant in &automation.footprint.connections {
            let name = &grant.connection.name;
            if name.workspace() != automation.name.workspace() {
                return Err("the footprint names a connection outside the workspace");
            }
            let known = self.connections.get(name).map(|record| record.digest);
            if known != Some(grant.connection.digest) {
                return Err("the footprint names a connection that is not as defined");
            }
            if !grant.actions.iter().all(|action| self.acknowledges(action)) {
                return Err("the footprint names an action of an unacknowledged pack");
            }
        }
        Ok(())
    }

    /// Applies a change that was judged; `signer` is absent where root keys signed.
    fn apply(&mut self, change: Change, signer: Option<Principal>) {
        match change {
            Change::Genesis(_) => {}
            Change::IssuerSet(issuer) => {
                self.issuers.retain(|known| known.iss != issuer.iss);
                self.issuers.push(*issuer);
            }
            Change::WorkspaceSet(workspace) => {
                self.workspaces.insert(workspace.name.clone(), workspace);
            }
            Change::BindingAdd(binding) => {
                self.bindings.insert(binding);
            }
            Change::BindingRemove(binding) => {
                self.bindings.remove(&binding);
            }
            Change::ConnectionSet(connection) => {
                let digest = connection_digest(&connection);
                let record = ConnectionRecord { connection, digest };
                self.connections.insert(record.connection.name.clone(), record);
            }
            Change::PackAcknowledge(pack) => {
                self.packs.insert((pack.name.clone(), pack.version.clone()), pack);
            }
            Change::AutomationPublish(automation) => {
                let Some(publisher) = signer else { return };
                let published = PublishedAutomation { automation, publisher };
                self.automations.insert(published.automation.name.clone(), published);
            }
        }
    }
}

/// What pins a connection: SHA-256 of its definition's JSON, members in the type's order.
fn connection_digest(connection: &Connection) -> Digest {
    // A definition of plain strings and numbers always serializes; an empty digest input could
    // only ever fail to match.
    sha256(&serde_json::to_vec(connection).unwrap_or_default())
}
