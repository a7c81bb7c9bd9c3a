//! What holds: the fold of a charter's verified entries.
//!
//! [`CharterState::found`] takes entry 0, [`CharterState::append`] each later one,
//! [`CharterState::admit`] judges a candidate as a witness does. A state can't be deserialised:
//! whoever wants one folds the entries, or takes up the very bytes that it made of one before (`snapshot`).
//!
//! Read: here what is asked of an entry, in order; `possible` (does what it refers to exist),
//! `guard` (does it take a second signer), `apply` (what it changes), `fork` (did root keys say two things), `read`
//! (what a state says).

mod apply;
mod fork;
mod guard;
mod possible;
mod read;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use writ_model::{
    ActionName, Actor, AutomationName, Connection, ConnectionName, Digest, GroupName, PackName,
    PolicyName, Principal, RoleName, RunnerId, ServiceAccountName, StandingName, TenantId,
    UnixTime, WorkspaceName,
};

use super::{
    Automation, Binding, Change, CosignatureClaims, EntryBody, EntryError, PackAcknowledgement,
    RootKeys, RunnerEnrollment, ServiceAccount, Subject, Suspended, UnverifiedEntry, WitnessQuorum,
    Workspace,
    entry::{check_cosignatures, check_roots, check_writ},
};
use crate::{
    idc::VerifiedIdc,
    issuer::{FetchedKeys, Issuer, TokenKeys},
    key::PublicKey,
    standing::StandingWrit,
};

use fork::RootEntry;
pub use fork::RootFork;
pub use snapshot::SnapshotError;

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
    /// Stable code.
    pub code: &'static str,
    /// Why, for the person.
    pub reason: String,
}

/// A connection as the charter holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionRecord {
    /// Its definition.
    pub connection: Connection,
    /// What pins it: SHA-256 of the definition's JSON.
    pub digest: Digest,
}

/// An automation as the charter holds it, with who published it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedAutomation {
    /// Name, bundle and footprint.
    pub automation: Automation,
    /// Whose right each use of a connection needs, beside the signer's.
    pub publisher: Principal,
}

/// A standing writ as the charter holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingRecord {
    /// What it says.
    pub standing: StandingWrit,
    /// The digest of the entry that holds it: what names it in acceptances.
    pub entry: Digest,
    /// Who granted it, and whose rights its runs have.
    pub grantor: Principal,
    /// When it was admitted, by the latest of its witnesses: nothing from before fires it.
    pub since: UnixTime,
}

/// The folded charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharterState {
    ten: TenantId,
    seq: u64,
    head: Digest,
    heads: BTreeSet<Digest>,
    roots: RootKeys,
    witnesses: WitnessQuorum,
    issuers: Vec<Issuer>,
    runners: BTreeMap<RunnerId, RunnerEnrollment>,
    retired: BTreeMap<RunnerId, RunnerEnrollment>,
    workspaces: BTreeMap<WorkspaceName, Workspace>,
    groups: BTreeMap<GroupName, BTreeSet<Principal>>,
    /// The groups that list a person: `groups`, turned round.
    groups_of: BTreeMap<Principal, BTreeSet<GroupName>>,
    /// The rights of each role of the charter's own.
    roles: BTreeMap<RoleName, BTreeSet<String>>,
    /// The text of each guardrail.
    policies: BTreeMap<PolicyName, String>,
    service_accounts: BTreeMap<ServiceAccountName, ServiceAccount>,
    /// Bindings that hold for a while, and until when; those that were over at the newest entry are gone.
    elevations: BTreeMap<Binding, UnixTime>,
    /// What people may do in the service behind a connection, where that is known.
    entitlements: BTreeMap<ConnectionName, BTreeMap<Principal, BTreeSet<ActionName>>>,
    bindings: BTreeSet<Binding>,
    connections: BTreeMap<ConnectionName, ConnectionRecord>,
    packs: BTreeMap<(PackName, String), PackAcknowledgement>,
    automations: BTreeMap<AutomationName, PublishedAutomation>,
    standing: BTreeMap<StandingName, StandingRecord>,
    /// When each who signs changes last did so, as witnesses saw it.
    signed_at: BTreeMap<Principal, UnixTime>,
    /// When a witness last saw a change fresh; root keys' changes carry no time.
    attested_at: Option<UnixTime>,
    suspended: BTreeSet<Subject>,
    /// What root keys signed after entry 0, by number.
    root_entries: BTreeMap<u64, RootEntry>,
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
    /// A signer or a key is suspended.
    #[error("charter entry {seq} is refused")]
    Suspended {
        /// The number of the entry.
        seq: u64,
        /// Who.
        #[source]
        source: Suspended,
    },
    /// The change takes a second signer: another person who may make it, over the same body.
    #[error("charter entry {seq} takes a second signer: {reason}")]
    SecondSigner {
        /// The number of the entry.
        seq: u64,
        /// What about it does, in a sentence.
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
            Self::Suspended { .. } => "suspended",
            Self::SecondSigner { .. } => "charter-second-signer",
            Self::NotPermitted { source, .. } => source.code,
        }
    }
}

/// What an entry's signers are judged by.
struct Judged {
    signers: Vec<Principal>,
    change: Change,
}

/// Who signed the entry that is applied, when it was last witnessed, and its digest.
struct Signed {
    by: Principal,
    at: UnixTime,
    entry: Digest,
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

    /// Folds the next entry: one whose freshness its witnesses judged, or one that root keys signed.
    ///
    /// # Errors
    ///
    /// [`FoldError`]: the state is unchanged.
    pub fn append(
        &mut self,
        entry: &UnverifiedEntry,
        may: &impl MayAppend,
    ) -> Result<(), FoldError> {
        let UnverifiedEntry::Writ { cosignatures, .. } = entry else {
            let change = self.judge_root(entry)?;
            self.note_rooted(entry);
            self.apply(change, None);
            self.advance(entry);
            return Ok(());
        };
        let expected = |at| self.cosignature(entry, at);
        let needed = usize::from(self.witnesses.threshold);
        let seen = check_cosignatures(cosignatures, self.witness_keys(), needed, expected)
            .map_err(|source| FoldError::Entry { seq: self.next(), source })?;
        // Each witness judged for itself, at its own time: whoever comes later judges at each, and as many
        // as must have found the signers fresh.
        let mut judged: Vec<(UnixTime, Judged)> = Vec::new();
        let mut refused: Option<FoldError> = None;
        for at in seen {
            match self.judge(entry, TokenKeys::Witnessed, at, may) {
                Ok(one) => judged.push((at, one)),
                // That one witness came late says less than why it is refused at the others' times.
                Err(error) if matches!(refused, None | Some(FoldError::Entry { .. })) => {
                    refused = Some(error);
                }
                Err(_) => {}
            }
        }
        let source = EntryError::Witnesses { valid: judged.len(), needed };
        let too_few = FoldError::Entry { seq: self.next(), source };
        if judged.len() < needed {
            return Err(refused.unwrap_or(too_few));
        }
        let latest = judged.into_iter().max_by_key(|(at, _)| *at);
        let Some((at, Judged { signers, change })) = latest else { return Err(too_few) };
        self.attested_at = self.attested_at.max(Some(at));
        for signer in &signers {
            let known = self.signed_at.entry(signer.clone()).or_insert(at);
            *known = at.max(*known);
        }
        let by = signers.into_iter().next();
        self.apply(change, by.map(|by| Signed { by, at, entry: entry.digest() }));
        self.advance(entry);
        Ok(())
    }

    const fn next(&self) -> u64 {
        self.seq.saturating_add(1)
    }

    fn advance(&mut self, entry: &UnverifiedEntry) {
        self.seq = self.next();
        self.head = entry.digest();
        self.heads.insert(self.head);
    }

    /// The keys of the witnesses that count: named by root keys, enrolled, not suspended.
    fn witness_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.runners
            .values()
            .filter(|runner| self.is_witness(runner.id))
            .map(|runner| &runner.jail_key)
    }

    /// Everything about an entry that root keys signed: it stands on them alone (DESIGN §3.3).
    ///
    /// # Errors
    ///
    /// [`FoldError`]: not the next, too few signatures, or not a change that root keys may sign.
    pub fn judge_root(&self, entry: &UnverifiedEntry) -> Result<Change, FoldError> {
        let seq = self.next();
        let refused = |source| FoldError::Entry { seq, source };
        let impossible = |reason| FoldError::Change { seq, reason };
        let UnverifiedEntry::Roots { body: text, signatures } = entry else {
            return Err(impossible("this change is not signed by root keys"));
        };
        let body = entry.body().map_err(refused)?;
        if body.seq != seq || body.prev != Some(self.head) {
            return Err(FoldError::NotNext { seq });
        }
        let needed = usize::from(self.roots.threshold);
        check_roots(text, signatures, &self.roots.keys, needed).map_err(refused)?;
        if !body.change.may_be_rooted() {
            return Err(impossible("root keys sign root-class changes and enrollments only"));
        }
        self.check_possible(&body.change).map_err(impossible)?;
        Ok(body.change)
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

    /// Whether a key has signed, as a witness does, that an entry is the next one.
    #[must_use]
    pub fn is_cosigned_by(&self, entry: &UnverifiedEntry, key: &PublicKey) -> bool {
        let UnverifiedEntry::Writ { cosignatures, .. } = entry else { return false };
        let expected = |at| self.cosignature(entry, at);
        check_cosignatures(cosignatures, std::iter::once(key), 1, expected).is_ok()
    }

    fn cosignature(&self, entry: &UnverifiedEntry, at: UnixTime) -> CosignatureClaims {
        CosignatureClaims {
            ten: self.ten,
            seq: self.next(),
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
    ) -> Result<Judged, FoldError> {
        let seq = self.next();
        let refused = |source| FoldError::Entry { seq, source };
        let UnverifiedEntry::Writ { body: text, writ, idc, others, .. } = entry else {
            let reason = "an entry that root keys signed takes no cosignature";
            return Err(FoldError::Change { seq, reason });
        };
        let body = entry.body().map_err(refused)?;
        if body.seq != seq || body.prev != Some(self.head) {
            return Err(FoldError::NotNext { seq });
        }
        if body.change.is_root_class() {
            return Err(FoldError::Change { seq, reason: "only root keys sign this change" });
        }
        let mut signers = Vec::new();
        let all =
            std::iter::once((writ, idc)).chain(others.iter().map(|one| (&one.writ, &one.idc)));
        for (writ, idc) in all {
            let by = (text.as_str(), writ.as_str(), idc);
            let signer = check_writ(by, self, keys, at).map_err(refused)?;
            self.check_signer(&signer).map_err(|source| FoldError::Suspended { seq, source })?;
            signers.push(signer);
        }
        self.check_possible(&body.change).map_err(|reason| FoldError::Change { seq, reason })?;
        self.check_times(&body.change, at).map_err(|reason| FoldError::Change { seq, reason })?;
        for signer in &signers {
            may.may_append(self, signer.actor(), &body.change)
                .map_err(|source| FoldError::NotPermitted { seq, source })?;
        }
        self.check_second(&body.change, &signers, at)
            .map_err(|reason| FoldError::SecondSigner { seq, reason })?;
        let signers = signers.iter().map(|signer| signer.principal().clone()).collect();
        Ok(Judged { signers, change: body.change })
    }

    /// Whether whoever signs, and the key they sign with, are not suspended.
    ///
    /// # Errors
    ///
    /// [`Suspended`] names which.
    pub fn check_signer(&self, signer: &VerifiedIdc) -> Result<(), Suspended> {
        self.check_running(&Subject::User(signer.principal().clone()))?;
        self.check_running(&Subject::Key(signer.key().thumbprint()))
    }
}
