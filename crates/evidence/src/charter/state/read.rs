//! What a folded charter says to those who ask.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::{
    ActionName, Actor, AutomationName, CharterGroup, ConnectionName, Digest, Grantee, GroupName,
    HttpCall, PackName, PolicyName, Principal, Role, RoleName, RunnerId, ServiceAccountName,
    StandingName, TenantId, UnixTime, WebhookPath, WorkspaceName,
};

use super::{CharterState, ConnectionRecord, PublishedAutomation, StandingRecord};
use crate::{
    charter::{
        Binding, PackAcknowledgement, RootKeys, RunnerEnrollment, Scope, ServiceAccount, Subject,
        Suspended, WitnessQuorum, Workspace,
    },
    idc::{IdcError, IdcMode, UnverifiedIdc, VerifiedIdc},
    issuer::{Issuer, TokenKeys},
    standing::Trigger,
};

impl CharterState {
    /// The tenant.
    #[must_use]
    pub const fn ten(&self) -> TenantId {
        self.ten
    }

    /// The newest entry's number.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// The newest entry's digest.
    #[must_use]
    pub const fn head(&self) -> Digest {
        self.head
    }

    /// Whether `head` is the head or an ancestor of it.
    #[must_use]
    pub fn knows_head(&self, head: Digest) -> bool {
        self.heads.contains(&head)
    }

    /// The witnesses, and how many of them cosign.
    #[must_use]
    pub const fn witnesses(&self) -> &WitnessQuorum {
        &self.witnesses
    }

    /// Whether a runner's jail is a witness that counts: named by root keys, enrolled, not suspended.
    #[must_use]
    pub fn is_witness(&self, runner: RunnerId) -> bool {
        self.witnesses.witnesses.contains(&runner)
            && self.runners.contains_key(&runner)
            && !self.is_suspended(&Subject::Runner(runner))
    }

    /// The root keys, and how many of them sign.
    #[must_use]
    pub const fn roots(&self) -> &RootKeys {
        &self.roots
    }

    /// Everything that is suspended.
    pub fn suspended(&self) -> impl Iterator<Item = &Subject> {
        self.suspended.iter()
    }

    /// Whether something is suspended.
    #[must_use]
    pub fn is_suspended(&self, subject: &Subject) -> bool {
        self.suspended.contains(subject)
    }

    /// Refuses what is suspended.
    ///
    /// # Errors
    ///
    /// [`Suspended`] names it.
    pub fn check_running(&self, subject: &Subject) -> Result<(), Suspended> {
        if self.is_suspended(subject) {
            return Err(Suspended { subject: subject.clone() });
        }
        Ok(())
    }

    /// The identity providers.
    #[must_use]
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// An enrolled runner.
    #[must_use]
    pub fn runner(&self, id: RunnerId) -> Option<&RunnerEnrollment> {
        self.runners.get(&id)
    }

    /// Every runner that is or was enrolled: whose statements verify.
    pub fn all_runners(&self) -> impl Iterator<Item = &RunnerEnrollment> {
        self.runners.values().chain(self.retired.values())
    }

    /// Every enrolled runner.
    pub fn runners(&self) -> impl Iterator<Item = &RunnerEnrollment> {
        self.runners.values()
    }

    /// A workspace.
    #[must_use]
    pub fn workspace(&self, name: &WorkspaceName) -> Option<&Workspace> {
        self.workspaces.get(name)
    }

    /// Every workspace.
    pub fn workspaces(&self) -> impl Iterator<Item = &Workspace> {
        self.workspaces.values()
    }

    /// Every binding.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter()
    }

    /// Every group that the charter lists, with its members.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupName, &BTreeSet<Principal>)> {
        self.groups.iter()
    }

    /// The groups of the charter's that list a person.
    pub fn groups_of(&self, person: &Principal) -> impl Iterator<Item = &GroupName> {
        self.groups_of.get(person).into_iter().flatten()
    }

    /// The roles that the charter makes, with the rights of each.
    pub fn roles(&self) -> impl Iterator<Item = (&RoleName, &BTreeSet<String>)> {
        self.roles.iter()
    }

    /// Whether a role of the charter's own holds a right. A built-in one holds what policies say.
    #[must_use]
    pub fn custom_role_holds(&self, role: &Role, right: &str) -> bool {
        let Role::Custom(name) = role else { return false };
        self.roles.get(name).is_some_and(|rights| rights.contains(right))
    }

    /// The guardrails, with the Cedar text of each.
    pub fn policies(&self) -> impl Iterator<Item = (&PolicyName, &str)> {
        self.policies.iter().map(|(name, text)| (name, text.as_str()))
    }

    /// A service account.
    #[must_use]
    pub fn service_account(&self, name: &ServiceAccountName) -> Option<&ServiceAccount> {
        self.service_accounts.get(name)
    }

    /// Every service account.
    pub fn service_accounts(&self) -> impl Iterator<Item = &ServiceAccount> {
        self.service_accounts.values()
    }

    /// Bindings that hold for a while, with the time at which each ends. Some may be over.
    pub fn elevations(&self) -> impl Iterator<Item = (&Binding, UnixTime)> {
        self.elevations.iter().map(|(binding, until)| (binding, *until))
    }

    /// What people may do in the service behind a connection; `None` where that is not known.
    #[must_use]
    pub fn entitlements(
        &self,
        connection: &ConnectionName,
    ) -> Option<&BTreeMap<Principal, BTreeSet<ActionName>>> {
        self.entitlements.get(connection)
    }

    /// Verifies a credential at `now`: a login by this charter's issuers, a service account's by its keys.
    ///
    /// # Errors
    ///
    /// [`IdcError`], as [`UnverifiedIdc::verify`].
    pub fn verify_idc(
        &self,
        idc: &UnverifiedIdc,
        keys: TokenKeys<'_>,
        now: UnixTime,
    ) -> Result<VerifiedIdc, IdcError> {
        match idc.mode {
            IdcMode::Nonce | IdcMode::Workload => idc.verify(&self.issuers, keys, now),
            IdcMode::Key => idc.verify_key(self.service_accounts(), now),
        }
    }

    /// The bindings that count for one who asks: their own, those of their groups, and while they last their
    /// elevations.
    pub fn bindings_of<'a>(
        &'a self,
        actor: impl Into<Actor<'a>>,
    ) -> impl Iterator<Item = &'a Binding> {
        let actor = actor.into();
        let listed = self.groups_of.get(actor.principal).into_iter().flatten();
        let listed = listed
            .map(|group| Grantee::CharterGroup(CharterGroup { charter_group: group.clone() }));
        let elevated = actor.at.into_iter().flat_map(move |at| {
            let own = Grantee::Principal(actor.principal.clone());
            let known = self.elevations.range(first_of(own.clone())..);
            let own = known.take_while(move |(binding, _)| binding.principal == own);
            own.filter(move |(_, until)| **until > at).map(|(binding, _)| binding)
        });
        let bound = actor.grantees().chain(listed).flat_map(|grantee| {
            let known = self.bindings.range(first_of(grantee.clone())..);
            known.take_while(move |binding| binding.principal == grantee)
        });
        bound.chain(elevated)
    }

    /// A connection.
    #[must_use]
    pub fn connection(&self, name: &ConnectionName) -> Option<&ConnectionRecord> {
        self.connections.get(name)
    }

    /// Every connection.
    pub fn connections(&self) -> impl Iterator<Item = &ConnectionRecord> {
        self.connections.values()
    }

    /// An acknowledged pack, by name and version.
    #[must_use]
    pub fn pack(&self, name: &PackName, version: &str) -> Option<&PackAcknowledgement> {
        self.packs.get(&(name.clone(), version.to_owned()))
    }

    /// Every acknowledged pack.
    pub fn packs(&self) -> impl Iterator<Item = &PackAcknowledgement> {
        self.packs.values()
    }

    /// Whether the pack of a pinned action is acknowledged with that very digest. What a document
    /// spells out itself (`call: http`) needs none: its digest stands in the signed footprint, and
    /// no run is accepted for more.
    #[must_use]
    pub fn acknowledges(&self, action: &writ_model::PinnedAction) -> bool {
        let pack = action.name.pack();
        HttpCall::is_pack(&pack)
            || self.packs.values().any(|known| known.name == pack && known.digest == action.digest)
    }

    /// A published automation.
    #[must_use]
    pub fn automation(&self, name: &AutomationName) -> Option<&PublishedAutomation> {
        self.automations.get(name)
    }

    /// Every published automation.
    pub fn automations(&self) -> impl Iterator<Item = &PublishedAutomation> {
        self.automations.values()
    }

    /// A standing writ.
    #[must_use]
    pub fn standing(&self, name: &StandingName) -> Option<&StandingRecord> {
        self.standing.get(name)
    }

    /// Every standing writ.
    pub fn standing_writs(&self) -> impl Iterator<Item = &StandingRecord> {
        self.standing.values()
    }

    /// The standing writ that a webhook's address belongs to.
    #[must_use]
    pub fn standing_at(&self, path: &WebhookPath) -> Option<&StandingRecord> {
        self.standing.values().find(|record| match &record.standing.trigger {
            Trigger::Webhook(webhook) => webhook.path == *path,
            Trigger::Schedule { .. } => false,
        })
    }

    /// When a witness last saw a change fresh: the charter is no older than that.
    #[must_use]
    pub const fn attested_at(&self) -> Option<UnixTime> {
        self.attested_at
    }

    /// When somebody last signed a change, as a witness saw it.
    #[must_use]
    pub fn last_signed(&self, principal: &Principal) -> Option<UnixTime> {
        self.signed_at.get(principal).copied()
    }
}

/// What every binding of somebody's comes at or after.
const fn first_of(principal: Grantee) -> Binding {
    Binding { principal, role: Role::Owner, scope: Scope::Tenant }
}
