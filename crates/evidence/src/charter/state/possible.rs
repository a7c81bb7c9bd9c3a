//! Does what a change refers to exist, and does the state stay one that can go on? Rights come after.
//!
//! Invariant: a tenant keeps at least one owner who is a person and is not suspended.

use std::collections::BTreeSet;

use writ_model::{Connection, Grantee, HttpCall, Principal, Role, SecretRef, UnixTime};

use super::CharterState;
use crate::{
    charter::{
        Automation, Binding, Change, CustomRole, Entitlements, Group, Policy, RootKeys,
        RunnerEnrollment, Scope, ServiceAccount, Subject, WitnessQuorum,
    },
    key::Algorithm,
    standing::{StandingWrit, Trigger},
};

/// Most root keys, and most witnesses.
const QUORUM_MAX: usize = 16;
/// Seconds after which a charter may be said to be stale.
const STALENESS_S: std::ops::RangeInclusive<u32> = 3600..=90 * 24 * 3600;
/// Most roles that a charter makes.
const ROLES_MAX: usize = 256;
/// Most guardrails.
const POLICIES_MAX: usize = 64;
/// Most service accounts.
const SERVICE_ACCOUNTS_MAX: usize = 1024;
/// Most members of one group.
const MEMBERS_MAX: usize = 10_000;

impl CharterState {
    /// Whether a change is possible in this state.
    pub(super) fn check_possible(&self, change: &Change) -> Result<(), &'static str> {
        match change {
            Change::Genesis(_) => Err("a genesis stands in entry 0 only"),
            Change::RootRotate(roots) => check_root_keys(roots),
            Change::IssuerSet(issuer) => issuer.check(),
            Change::WitnessSet(quorum) => self.check_quorum(quorum),
            Change::RunnerEnroll(runner) => self.check_enrollment(runner),
            Change::RunnerRetire(id) if !self.runners.contains_key(id) => {
                Err("there is no such runner")
            }
            Change::RunnerRetire(id) if self.witnesses.witnesses.contains(id) => {
                Err("the runner is a witness; root keys name another first")
            }
            Change::PackAcknowledge(pack) if HttpCall::is_pack(&pack.name) => {
                Err("`http` is what documents call by themselves; no pack has that name")
            }
            Change::PackWithdraw(pack) if self.pack(&pack.name, &pack.version).is_none() => {
                Err("no pack of that name and version is acknowledged")
            }
            Change::GroupSet(group) => check_group(group),
            Change::RoleSet(role) => self.check_role(role),
            Change::PolicySet(policy) => self.check_policy(policy),
            Change::ServiceAccountSet(account) => self.check_service_account(account),
            Change::ElevationGrant(elevation) => self.check_binding(&elevation.binding()),
            Change::EntitlementsSet(entitlements) => self.check_entitlements(entitlements),
            Change::BindingAdd(binding) => self.check_binding(binding),
            Change::BindingRemove(binding) => {
                if !self.bindings.contains(binding) && !self.elevations.contains_key(binding) {
                    return Err("there is no such binding");
                }
                self.check_owner_left(|left, _| left != binding)
            }
            Change::ConnectionSet(connection) => self.check_connection(connection),
            Change::AutomationPublish(automation) => self.check_automation(automation),
            Change::StandingSet(standing) => self.check_standing(standing),
            Change::StandingRevoke(name) if !self.standing.contains_key(name) => {
                Err("there is no such standing writ")
            }
            Change::SubjectSuspend(subject) => self.check_suspension(subject),
            Change::SubjectRestore(subject) if !self.is_suspended(subject) => {
                Err("it is not suspended")
            }
            Change::RunnerRetire(_)
            | Change::WorkspaceSet(_)
            | Change::PackAcknowledge(_)
            | Change::PackWithdraw(_)
            | Change::StandingRevoke(_)
            | Change::SubjectRestore(_) => Ok(()),
        }
    }

    /// Whether what a change says until when, or ends before its time, is possible at the time that its
    /// witness saw it.
    pub(super) fn check_times(&self, change: &Change, at: UnixTime) -> Result<(), &'static str> {
        match change {
            Change::StandingSet(standing) => standing.check(at),
            Change::ElevationGrant(elevation) => elevation.check_times(at),
            Change::ServiceAccountSet(account) => account.check_times(at),
            Change::BindingRemove(binding)
                if !self.bindings.contains(binding)
                    && self.elevations.get(binding).is_none_or(|until| *until <= at) =>
            {
                Err("there is no such binding")
            }
            Change::Genesis(_)
            | Change::RootRotate(_)
            | Change::IssuerSet(_)
            | Change::WitnessSet(_)
            | Change::RunnerEnroll(_)
            | Change::RunnerRetire(_)
            | Change::WorkspaceSet(_)
            | Change::GroupSet(_)
            | Change::RoleSet(_)
            | Change::PolicySet(_)
            | Change::EntitlementsSet(_)
            | Change::BindingAdd(_)
            | Change::BindingRemove(_)
            | Change::ConnectionSet(_)
            | Change::PackAcknowledge(_)
            | Change::PackWithdraw(_)
            | Change::AutomationPublish(_)
            | Change::StandingRevoke(_)
            | Change::SubjectSuspend(_)
            | Change::SubjectRestore(_) => Ok(()),
        }
    }

    fn check_quorum(&self, quorum: &WitnessQuorum) -> Result<(), &'static str> {
        let WitnessQuorum { witnesses, threshold, max_staleness_s } = quorum;
        if max_staleness_s.is_some_and(|seconds| !STALENESS_S.contains(&seconds)) {
            return Err("a charter is stale after one hour to 90 days");
        }
        if !witnesses.iter().all(|id| self.runners.contains_key(id)) {
            return Err("a witness is the jail of an enrolled runner");
        }
        if witnesses.iter().any(|id| self.is_suspended(&Subject::Runner(*id))) {
            return Err("a suspended runner is no witness");
        }
        check_threshold(*threshold, witnesses.len())
    }

    /// A runner group has one runner: its engine keeps a run's journal on that machine.
    fn check_enrollment(&self, runner: &RunnerEnrollment) -> Result<(), &'static str> {
        if runner.jail_key.algorithm() != Algorithm::EdDsa {
            return Err("a jail's key is Ed25519");
        }
        let known = |other: &RunnerEnrollment| {
            other.id == runner.id
                || other.jail_key == runner.jail_key
                || other.link_key == runner.link_key
                || other.sealing_key == runner.sealing_key
        };
        if self.runners.values().chain(self.retired.values()).any(known) {
            return Err("the runner, or a key of it, is or was enrolled; it makes new ones");
        }
        if self.runners.values().any(|other| other.group == runner.group) {
            return Err("the runner group has a runner");
        }
        Ok(())
    }

    fn check_binding(&self, binding: &Binding) -> Result<(), &'static str> {
        if let Grantee::CharterGroup(group) = &binding.principal
            && !self.groups.contains_key(&group.charter_group)
        {
            return Err("the charter lists no such group");
        }
        if let Role::Custom(role) = &binding.role
            && !self.roles.contains_key(role)
        {
            return Err("the charter makes no such role");
        }
        match &binding.scope {
            Scope::Tenant => Ok(()),
            Scope::Workspace(name) if self.workspaces.contains_key(name) => Ok(()),
            Scope::Workspace(_) => Err("the workspace does not exist"),
        }
    }

    fn check_role(&self, role: &CustomRole) -> Result<(), &'static str> {
        role.check()?;
        match (self.roles.contains_key(&role.name), role.rights.is_empty()) {
            (false, true) => Err("there is no such role"),
            (false, false) if self.roles.len() >= ROLES_MAX => {
                Err("a tenant makes at most 256 roles")
            }
            _ => Ok(()),
        }
    }

    fn check_policy(&self, policy: &Policy) -> Result<(), &'static str> {
        policy.check()?;
        match (self.policies.contains_key(&policy.name), policy.cedar.is_empty()) {
            (false, true) => Err("there is no such policy"),
            (false, false) if self.policies.len() >= POLICIES_MAX => {
                Err("a tenant has at most 64 policies")
            }
            _ => Ok(()),
        }
    }

    /// A key stands for one account: otherwise nobody could say whose a writ is.
    fn check_service_account(&self, account: &ServiceAccount) -> Result<(), &'static str> {
        account.check()?;
        let known = self.service_accounts.contains_key(&account.name);
        if account.keys.is_empty() && !known {
            return Err("there is no such service account");
        }
        if !known && self.service_accounts.len() >= SERVICE_ACCOUNTS_MAX {
            return Err("a tenant has at most 1,024 service accounts");
        }
        let others = self.service_accounts.values().filter(|other| other.name != account.name);
        if others.flat_map(|other| &other.keys).any(|key| account.keys.contains(key)) {
            return Err("a key of the service account is another's");
        }
        Ok(())
    }

    fn check_entitlements(&self, entitlements: &Entitlements) -> Result<(), &'static str> {
        entitlements.check()?;
        if entitlements.holders.is_none() {
            let known = self.entitlements.contains_key(&entitlements.connection);
            return if known { Ok(()) } else { Err("the connection has no entitlements to lift") };
        }
        let known = self.connections.contains_key(&entitlements.connection);
        if known { Ok(()) } else { Err("the entitlements' connection does not exist") }
    }

    fn check_suspension(&self, subject: &Subject) -> Result<(), &'static str> {
        if self.is_suspended(subject) {
            return Err("it is suspended already");
        }
        match subject {
            Subject::User(user) => self.check_owner_left(|_, owner| owner != user),
            Subject::Runner(id) if !self.runners.contains_key(id) => Err("there is no such runner"),
            Subject::Runner(_)
            | Subject::Key(_)
            | Subject::Connection(_)
            | Subject::Automation(_)
            | Subject::Workspace(_)
            | Subject::Tenant => Ok(()),
        }
    }

    /// Whether an owner is left among those that `counts`. A group may be empty, and the keys of a service
    /// account end: only a person keeps a tenant from being nobody's.
    fn check_owner_left(
        &self,
        counts: impl Fn(&Binding, &Principal) -> bool,
    ) -> Result<(), &'static str> {
        let left = self.bindings.iter().any(|binding| match &binding.principal {
            Grantee::Principal(owner) => {
                binding.role == Role::Owner
                    && binding.scope == Scope::Tenant
                    && !owner.is_service_account()
                    && !self.is_suspended(&Subject::User(owner.clone()))
                    && counts(binding, owner)
            }
            Grantee::Group(_) | Grantee::CharterGroup(_) => false,
        });
        if left { Ok(()) } else { Err("no owner would be left") }
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

    fn check_standing(&self, standing: &StandingWrit) -> Result<(), &'static str> {
        let published = self.automations.get(&standing.automation);
        let published = published.ok_or("the standing writ's automation is not published")?;
        if published.automation.bundle != standing.bundle {
            return Err("the standing writ names another bundle than the one that is published");
        }
        if !self.runners.values().any(|runner| runner.group == standing.runner_group) {
            return Err("the standing writ's runner group has no runner");
        }
        let Trigger::Webhook(webhook) = &standing.trigger else { return Ok(()) };
        let taken = self.standing_at(&webhook.path);
        if taken.is_some_and(|other| other.standing.name != standing.name) {
            return Err("another standing writ has this webhook path");
        }
        let workspace = self.workspaces.get(standing.name.workspace());
        let listed = workspace.map(|workspace| &workspace.secret_paths).into_iter().flatten();
        let is_listed = |secret: &SecretRef| listed.clone().any(|path| secret.is_under(path));
        if webhook.verifier.secrets().iter().all(is_listed) {
            return Ok(());
        }
        Err("the workspace does not list the secret path of the webhook's verifier")
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
}

fn check_root_keys(roots: &RootKeys) -> Result<(), &'static str> {
    let distinct: BTreeSet<_> = roots.keys.iter().collect();
    if distinct.len() != roots.keys.len() {
        return Err("a root key is named twice");
    }
    check_threshold(roots.threshold, distinct.len())
}

fn check_threshold(threshold: u8, of: usize) -> Result<(), &'static str> {
    if of > QUORUM_MAX {
        return Err("there are at most sixteen");
    }
    if (1..=of).contains(&usize::from(threshold)) {
        return Ok(());
    }
    Err("the threshold is none, or more than there are")
}

fn check_group(group: &Group) -> Result<(), &'static str> {
    if group.members.len() > MEMBERS_MAX {
        Err("a group has at most 10,000 members")
    } else {
        Ok(())
    }
}
