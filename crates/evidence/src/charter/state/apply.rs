//! What a change that was judged makes of a state.
//!
//! Total: whatever could be wrong was found before.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::{Connection, Digest, Grantee, Role, TenantId};

use super::{CharterState, ConnectionRecord, PublishedAutomation, Signed, StandingRecord};
use crate::{
    charter::{
        Automation, Binding, Change, CustomRole, Entitlement, Entitlements, Genesis, Group, Policy,
        RootKeys, Scope, ServiceAccount, WitnessQuorum,
    },
    digest::sha256,
    standing::StandingWrit,
};

/// Seconds that an elevation is kept after its end. Not everybody has all cosignatures of an entry, nor the same
/// latest time of it; what is decided asks for the time itself, and for an hour nobody has dropped what another's
/// time still lets count.
const ELEVATIONS_KEPT_S: u64 = 3600;

impl CharterState {
    /// The state that entry 0 makes.
    pub(super) fn from_genesis(genesis: Genesis, ten: TenantId) -> Self {
        let owner = |principal| Binding {
            principal: Grantee::Principal(principal),
            role: Role::Owner,
            scope: Scope::Tenant,
        };
        Self {
            ten,
            seq: 0,
            head: ten.0,
            heads: BTreeSet::from([ten.0]),
            roots: RootKeys { keys: genesis.roots, threshold: genesis.threshold },
            witnesses: WitnessQuorum {
                witnesses: BTreeSet::from([genesis.runner.id]),
                threshold: 1,
                max_staleness_s: None,
            },
            issuers: genesis.issuers,
            runners: BTreeMap::from([(genesis.runner.id, genesis.runner)]),
            retired: BTreeMap::new(),
            workspaces: BTreeMap::new(),
            groups: BTreeMap::new(),
            groups_of: BTreeMap::new(),
            roles: BTreeMap::new(),
            policies: BTreeMap::new(),
            service_accounts: BTreeMap::new(),
            elevations: BTreeMap::new(),
            entitlements: BTreeMap::new(),
            bindings: genesis.owners.into_iter().map(owner).collect(),
            connections: BTreeMap::new(),
            packs: BTreeMap::new(),
            automations: BTreeMap::new(),
            standing: BTreeMap::new(),
            signed_at: BTreeMap::new(),
            attested_at: None,
            suspended: BTreeSet::new(),
            root_entries: BTreeMap::new(),
        }
    }

    /// Applies a change that was judged; `signed` is absent where root keys signed.
    pub(super) fn apply(&mut self, change: Change, signed: Option<Signed>) {
        if let Some(Signed { at, .. }) = &signed {
            self.elevations.retain(|_, until| until.plus(ELEVATIONS_KEPT_S) > *at);
        }
        match change {
            Change::Genesis(_) => {}
            Change::RootRotate(roots) => self.roots = roots,
            Change::IssuerSet(issuer) => {
                self.issuers.retain(|known| known.iss != issuer.iss);
                self.issuers.push(*issuer);
            }
            Change::WitnessSet(quorum) => self.witnesses = quorum,
            Change::RunnerEnroll(runner) => {
                self.runners.insert(runner.id, *runner);
            }
            Change::RunnerRetire(id) => self.retired.extend(self.runners.remove_entry(&id)),
            Change::WorkspaceSet(workspace) => {
                self.workspaces.insert(workspace.name.clone(), workspace);
            }
            Change::GroupSet(group) => self.apply_group(group),
            Change::RoleSet(role) => self.apply_role(role),
            Change::PolicySet(Policy { name, cedar }) => {
                put(&mut self.policies, name, (!cedar.is_empty()).then_some(cedar));
            }
            Change::ServiceAccountSet(account) => self.apply_service_account(account),
            Change::ElevationGrant(elevation) => {
                self.elevations.insert(elevation.binding(), elevation.until);
            }
            Change::EntitlementsSet(entitlements) => self.apply_entitlements(entitlements),
            Change::BindingAdd(binding) => {
                self.bindings.insert(binding);
            }
            Change::BindingRemove(binding) => {
                self.bindings.remove(&binding);
                self.elevations.remove(&binding);
            }
            Change::ConnectionSet(connection) => {
                let digest = connection_digest(&connection);
                let record = ConnectionRecord { connection, digest };
                self.connections.insert(record.connection.name.clone(), record);
            }
            Change::PackAcknowledge(pack) => {
                self.packs.insert((pack.name.clone(), pack.version.clone()), pack);
            }
            Change::PackWithdraw(pack) => {
                self.packs.remove(&(pack.name, pack.version));
            }
            Change::AutomationPublish(automation) => self.apply_automation(automation, signed),
            Change::StandingSet(standing) => self.apply_standing(*standing, signed),
            Change::StandingRevoke(name) => {
                self.standing.remove(&name);
            }
            Change::SubjectSuspend(subject) => {
                self.suspended.insert(subject);
            }
            Change::SubjectRestore(subject) => {
                self.suspended.remove(&subject);
            }
        }
    }

    fn apply_automation(&mut self, automation: Automation, signed: Option<Signed>) {
        let Some(Signed { by, .. }) = signed else { return };
        let published = PublishedAutomation { automation, publisher: by };
        self.automations.insert(published.automation.name.clone(), published);
    }

    fn apply_standing(&mut self, standing: StandingWrit, signed: Option<Signed>) {
        let Some(Signed { by, at, entry }) = signed else { return };
        let record = StandingRecord { standing, entry, grantor: by, since: at };
        self.standing.insert(record.standing.name.clone(), record);
    }

    fn apply_role(&mut self, CustomRole { name, rights }: CustomRole) {
        put(&mut self.roles, name, (!rights.is_empty()).then_some(rights));
    }

    fn apply_service_account(&mut self, account: ServiceAccount) {
        let (name, kept) = (account.name.clone(), !account.keys.is_empty());
        put(&mut self.service_accounts, name, kept.then_some(account));
    }

    fn apply_entitlements(&mut self, Entitlements { connection, holders }: Entitlements) {
        let held = |one: Entitlement| (one.principal, one.actions);
        let holders = holders.map(|holders| holders.into_iter().map(held).collect());
        put(&mut self.entitlements, connection, holders);
    }

    fn apply_group(&mut self, group: Group) {
        let Group { name, members } = group;
        for member in self.groups.remove(&name).unwrap_or_default() {
            if let Some(groups) = self.groups_of.get_mut(&member) {
                groups.remove(&name);
            }
        }
        for member in &members {
            self.groups_of.entry(member.clone()).or_default().insert(name.clone());
        }
        self.groups_of.retain(|_, groups| !groups.is_empty());
        if !members.is_empty() {
            self.groups.insert(name, members);
        }
    }
}

/// Keeps what there is, and drops what there is no more.
fn put<K: Ord, V>(kept: &mut BTreeMap<K, V>, name: K, value: Option<V>) {
    match value {
        Some(value) => kept.insert(name, value),
        None => kept.remove(&name),
    };
}

/// What pins a connection: SHA-256 of its definition's JSON, members in the type's order.
fn connection_digest(connection: &Connection) -> Digest {
    // A definition of plain strings and numbers always serializes; an empty digest input could
    // only ever fail to match.
    sha256(&serde_json::to_vec(connection).unwrap_or_default())
}
