//! What a folded charter says to those who ask.

use writ_model::{
    Actor, AutomationName, ConnectionName, Digest, HttpCall, PackName, RunnerId, TenantId,
    WorkspaceName,
};

use super::{CharterState, ConnectionRecord, PublishedAutomation};
use crate::{
    charter::{Binding, PackAcknowledgement, RunnerEnrollment, Scope, Workspace},
    issuer::Issuer,
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

    /// The one witness.
    #[must_use]
    pub const fn witness(&self) -> RunnerId {
        self.witness
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

    /// The bindings that count for one who asks: their own, and those of their groups.
    pub fn bindings_of<'a>(
        &'a self,
        actor: impl Into<Actor<'a>>,
    ) -> impl Iterator<Item = &'a Binding> {
        actor.into().grantees().flat_map(|grantee| {
            let first = Binding {
                principal: grantee.clone(),
                role: writ_model::Role::Owner,
                scope: Scope::Tenant,
            };
            self.bindings.range(first..).take_while(move |binding| binding.principal == grantee)
        })
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
}
