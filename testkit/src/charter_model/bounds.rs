//! What bounds and extends rights beside bindings: roles of the charter's own, guardrails, elevations,
//! entitlements and service accounts (`docs/adr/0010-what-bounds-and-extends-rights.md`).
//!
//! Not here: what a guardrail of a history says (`guardrails`).

use std::collections::BTreeSet;

use writ_evidence::{
    charter::{CustomRole, Elevation, Entitlements, Policy, ServiceAccount},
    key::PublicKey,
    writ::Operation,
};
use writ_model::{ActionName, ConnectionName, Grantee, Principal, Role, UnixTime};
use writ_policy::Right;

use super::{
    Asker, Login, Model, Reason, Under,
    guardrails::{self, Question},
};

const HOUR_S: u64 = 3600;

/// The rights that a role of the charter's own may hold.
const FOR_ANY_ROLE: [&str; 21] = [
    "audit.read",
    "automation.edit",
    "automation.publish",
    "automation.view",
    "binding.manage",
    "charter.view",
    "connection.entitle",
    "connection.manage",
    "connection.use",
    "connection.view",
    "group.manage",
    "pack.acknowledge",
    "run.approve",
    "run.read-output",
    "run.resume",
    "run.start",
    "run.view",
    "standing.revoke",
    "standing.set",
    "subject.suspend",
    "workspace.manage",
];

impl Model {
    pub(super) fn take_role(&mut self, role: CustomRole) {
        self.roles.retain(|known| known.name != role.name);
        if !role.rights.is_empty() {
            self.roles.push(role);
        }
    }

    pub(super) fn take_policy(&mut self, policy: Policy) {
        self.policies.retain(|known| known.name != policy.name);
        if !policy.cedar.is_empty() {
            self.policies.push(policy);
        }
    }

    pub(super) fn take_account(&mut self, account: ServiceAccount) {
        self.accounts.retain(|known| known.name != account.name);
        if !account.keys.is_empty() {
            self.accounts.push(account);
        }
    }

    pub(super) fn take_entitlements(&mut self, entitlements: Entitlements) {
        self.entitlements.retain(|known| known.connection != entitlements.connection);
        if entitlements.holders.is_some() {
            self.entitlements.push(entitlements);
        }
    }

    pub(super) fn is_role(&self, role: &CustomRole) -> bool {
        let known = self.roles.iter().any(|known| known.name == role.name);
        let room = known || self.roles.len() < 256;
        if role.rights.is_empty() { known } else { room && role.rights.len() <= 64 }
    }

    pub(super) fn is_policy(&self, policy: &Policy) -> bool {
        let known = self.policies.iter().any(|known| known.name == policy.name);
        let room = known || self.policies.len() < 64;
        if policy.cedar.is_empty() { known } else { room && policy.cedar.len() <= 4096 }
    }

    pub(super) fn is_account(&self, account: &ServiceAccount, at: UnixTime) -> bool {
        let known = self.accounts.iter().any(|known| known.name == account.name);
        let mut others = self.accounts.iter().filter(|known| known.name != account.name);
        let lasts = at < account.until && account.until.0 <= at.0 + 366 * 24 * HOUR_S;
        let keys = account.keys.len() <= 8
            && !others.any(|other| other.keys.iter().any(|key| account.keys.contains(key)));
        let there = if account.keys.is_empty() {
            known
        } else {
            lasts && (known || self.accounts.len() < 1024)
        };
        there && keys && !account.operations.contains(&Operation::RunApprove)
    }

    pub(super) fn is_elevation(&self, elevation: &Elevation, at: UnixTime) -> bool {
        let lasts = at < elevation.until && elevation.until.0 <= at.0 + 24 * HOUR_S;
        lasts && self.is_binding(&elevation.binding())
    }

    pub(super) fn are_entitlements(&self, set: &Entitlements) -> bool {
        let known = self.entitlements.iter().any(|known| known.connection == set.connection);
        let holders = match &set.holders {
            None => known,
            Some(holders) => {
                let people: BTreeSet<_> = holders.iter().map(|holder| &holder.principal).collect();
                people.len() == holders.len() && people.len() <= 10_000
            }
        };
        holders && self.connections.iter().any(|known| known.name == set.connection)
    }

    /// Whether a role is there to be given: built in, or made.
    pub(super) fn has_role(&self, role: &Role) -> bool {
        match role {
            Role::Custom(name) => self.roles.iter().any(|known| known.name == *name),
            Role::Owner
            | Role::Administrator
            | Role::Builder
            | Role::Operator
            | Role::Approver
            | Role::Viewer
            | Role::Auditor => true,
        }
    }

    /// Whether a role of the charter's own holds a right.
    pub(super) fn made_role_holds(&self, role: &Role, right: &Right<'_>) -> bool {
        let Role::Custom(name) = role else { return false };
        let mut made = self.roles.iter().filter(|known| known.name == *name);
        made.any(|made| made.rights.contains(right.action()))
    }

    /// The elevations that hold at a time.
    pub(super) fn elevated(&self, at: UnixTime) -> impl Iterator<Item = &Elevation> {
        self.elevations.iter().filter(move |elevation| at < elevation.until)
    }

    /// Whether the service lets somebody do this, as far as the charter says what it lets people do.
    pub(super) fn is_entitled(
        &self,
        person: &Principal,
        connection: &ConnectionName,
        action: &ActionName,
    ) -> bool {
        let mut bounds = self.entitlements.iter().filter(|known| known.connection == *connection);
        bounds.all(|bound| {
            let holders = bound.holders.iter().flatten();
            holders.clone().any(|one| one.principal == *person && one.actions.contains(action))
        })
    }

    /// Whether a service account's key counts at a time, and lets it change the charter.
    pub(super) fn enrolls(&self, login: &Login, at: UnixTime) -> bool {
        self.accounts.iter().any(|account| {
            account.principal() == login.person
                && account.keys.contains(&login.key)
                && account.operations.contains(&Operation::CharterAppend)
                && at < account.until
        })
    }

    /// Whether a guardrail forbids it. None keeps anybody from stopping something, or owners from changing
    /// guardrails.
    pub(super) fn forbids(&self, asker: &Asker, right: &Right<'_>, under: &Under) -> bool {
        let unbound = [
            "policy.manage",
            "subject.suspend",
            "subject.suspend-owner",
            "standing.revoke",
            "session.revoke",
        ];
        if unbound.contains(&right.action()) {
            return false;
        }
        let lists = self.groups.iter().filter(|group| group.members.contains(&asker.person));
        let charter_groups = lists.map(|group| group.name.to_string()).collect();
        let question = Question { asker, charter_groups, right, under };
        self.policies.iter().any(|policy| guardrails::forbids(&policy.cedar, &question))
    }

    /// Whoever changes a role must be allowed to give it to each who holds it.
    pub(super) fn against_role(&self, asker: &Asker, role: &CustomRole) -> BTreeSet<Reason> {
        let mut against = self.against_right(asker, &Right::RoleManage(&role.name));
        if !role.rights.iter().all(|right| FOR_ANY_ROLE.contains(&right.as_str())) {
            against.insert(Reason::NotPermitted);
        }
        let held = Role::Custom(role.name.clone());
        against.extend(self.against_giving(asker, |known, _| *known == held));
        against
    }

    pub(super) fn against_policy(&self, asker: &Asker, policy: &Policy) -> BTreeSet<Reason> {
        let mut against = self.against_right(asker, &Right::PolicyManage(&policy.name));
        if !policy.cedar.is_empty() && !guardrails::is_one(&policy.cedar) {
            against.insert(Reason::NotPermitted);
        }
        against
    }

    /// Whoever says which keys stand for a service account must be allowed to give it all that it holds.
    pub(super) fn against_account(
        &self,
        asker: &Asker,
        account: &ServiceAccount,
    ) -> BTreeSet<Reason> {
        let mut against = self.against_right(asker, &Right::ServiceAccountManage(&account.name));
        let itself = Asker::absent(account.principal());
        against.extend(self.against_giving(asker, |_, grantee| self.is_of(grantee, &itself)));
        against
    }

    /// What stands against somebody's giving those bindings and elevations.
    fn against_giving(
        &self,
        asker: &Asker,
        which: impl Fn(&Role, &Grantee) -> bool,
    ) -> BTreeSet<Reason> {
        let elevated = asker.at.iter().flat_map(|at| self.elevated(*at)).map(Elevation::binding);
        let all = self.bindings.iter().cloned().chain(elevated);
        all.filter(|binding| which(&binding.role, &binding.principal))
            .flat_map(|binding| self.against_right(asker, &Right::BindingManage(&binding)))
            .collect()
    }

    /// Every role of the charter's own.
    #[must_use]
    pub fn roles(&self) -> &[CustomRole] {
        &self.roles
    }

    /// Every guardrail.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Every service account.
    #[must_use]
    pub fn accounts(&self) -> &[ServiceAccount] {
        &self.accounts
    }

    /// Every elevation, those that are over included.
    #[must_use]
    pub fn elevations(&self) -> &[Elevation] {
        &self.elevations
    }

    /// Everything that people may do in services.
    #[must_use]
    pub fn entitlements(&self) -> &[Entitlements] {
        &self.entitlements
    }

    /// The keys that stand for service accounts now.
    pub fn enrolled_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.accounts.iter().flat_map(|account| &account.keys)
    }
}
