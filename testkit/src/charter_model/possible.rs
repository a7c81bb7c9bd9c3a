//! Whether a change makes sense: what it refers to is there, and the tenant can go on afterwards.

use std::collections::BTreeSet;

use writ_evidence::{
    charter::{Automation, Binding, Change, RootKeys, RunnerEnrollment, Scope, Subject},
    digest::sha256,
    issuer::Issuer,
    key::Algorithm,
    standing::{Parameters, StandingWrit, Trigger},
    writ::Operation,
};
use writ_model::{
    Connection, Grantee, PinnedAction, Principal, Role, RunnerId, SecretRef, UnixTime,
    WorkspaceName,
};

use super::Model;
use crate::tenant::NOON;

impl Model {
    /// Whether a change that is witnessed at a time is possible, whoever signs it.
    #[must_use]
    pub fn is_possible(&self, change: &Change, at: UnixTime) -> bool {
        match change {
            Change::Genesis(_) => false,
            Change::RootRotate(roots) => are_root_keys(roots),
            Change::IssuerSet(issuer) => is_issuer(issuer),
            Change::WitnessSet(quorum) => {
                let witness = |id: &RunnerId| {
                    self.runners.iter().any(|runner| runner.id == *id)
                        && !self.is_suspended(&Subject::Runner(*id))
                };
                let stale = quorum.max_staleness_s;
                quorum.witnesses.iter().all(witness)
                    && stale.is_none_or(|seconds| (3600..=90 * 86_400).contains(&seconds))
                    && is_quorum(quorum.threshold, quorum.witnesses.len())
            }
            Change::RunnerEnroll(runner) => self.is_new_runner(runner),
            Change::RunnerRetire(id) => {
                self.runners.iter().any(|runner| runner.id == *id)
                    && !self.witnesses.witnesses.contains(id)
            }
            Change::WorkspaceSet(_) => true,
            Change::GroupSet(group) => group.members.len() <= 10_000,
            Change::BindingAdd(binding) => self.is_binding(binding),
            Change::BindingRemove(binding) => {
                let there = self.bindings.contains(binding)
                    || self.elevated(at).any(|elevation| elevation.binding() == *binding);
                there && self.owners().any(|(held, _)| held != binding)
            }
            Change::RoleSet(role) => self.is_role(role),
            Change::PolicySet(policy) => self.is_policy(policy),
            Change::ServiceAccountSet(account) => self.is_account(account, at),
            Change::ElevationGrant(elevation) => self.is_elevation(elevation, at),
            Change::EntitlementsSet(entitlements) => self.are_entitlements(entitlements),
            Change::ConnectionSet(connection) => self.is_connection(connection),
            Change::PackAcknowledge(pack) => pack.name.as_str() != "http",
            Change::PackWithdraw(pack) => {
                let same = |known: &&writ_evidence::charter::PackAcknowledgement| {
                    known.name == pack.name && known.version == pack.version
                };
                self.packs.iter().any(|known| same(&known))
            }
            Change::AutomationPublish(automation) => self.is_automation(automation),
            Change::StandingSet(standing) => self.is_standing(standing),
            Change::StandingRevoke(name) => self.standing.iter().any(|known| known.name == *name),
            Change::SubjectSuspend(subject) => {
                !self.is_suspended(subject) && self.can_be_stopped(subject)
            }
            Change::SubjectRestore(subject) => self.is_suspended(subject),
        }
    }

    /// The people who own the tenant by their own name and are not suspended: one is always left.
    fn owners(&self) -> impl Iterator<Item = (&Binding, &Principal)> {
        self.bindings.iter().filter_map(|binding| match &binding.principal {
            Grantee::Principal(person)
                if binding.role == Role::Owner
                    && binding.scope == Scope::Tenant
                    && person.iss != writ_model::SERVICE_ACCOUNTS
                    && !self.is_suspended(&Subject::User(person.clone())) =>
            {
                Some((binding, person))
            }
            Grantee::Principal(_) | Grantee::Group(_) | Grantee::CharterGroup(_) => None,
        })
    }

    fn can_be_stopped(&self, subject: &Subject) -> bool {
        match subject {
            Subject::User(user) => self.owners().any(|(_, owner)| owner != user),
            Subject::Runner(id) => self.runners.iter().any(|runner| runner.id == *id),
            // What is not there yet can be stopped: it is stopped when it comes.
            Subject::Key(_)
            | Subject::Connection(_)
            | Subject::Automation(_)
            | Subject::Workspace(_)
            | Subject::Tenant => true,
        }
    }

    /// A runner's id and keys are never used twice, and a runner group has one runner.
    fn is_new_runner(&self, new: &RunnerEnrollment) -> bool {
        let shares = |known: &RunnerEnrollment| {
            known.id == new.id
                || known.jail_key == new.jail_key
                || known.link_key == new.link_key
                || known.sealing_key == new.sealing_key
        };
        new.jail_key.algorithm() == Algorithm::EdDsa
            && !self.runners.iter().any(shares)
            && !self.retired.iter().any(shares)
            && !self.runners.iter().any(|known| known.group == new.group)
    }

    fn has_workspace(&self, name: &WorkspaceName) -> bool {
        self.workspaces.iter().any(|known| known.name == *name)
    }

    pub(super) fn is_binding(&self, binding: &Binding) -> bool {
        let who = match &binding.principal {
            Grantee::Principal(_) | Grantee::Group(_) => true,
            Grantee::CharterGroup(named) => {
                self.groups.iter().any(|group| group.name == named.charter_group)
            }
        };
        let place = match &binding.scope {
            Scope::Tenant => true,
            Scope::Workspace(name) => self.has_workspace(name),
        };
        who && place && self.has_role(&binding.role)
    }

    /// A connection stands in a workspace that lists its secret, and names exact hosts.
    fn is_connection(&self, connection: &Connection) -> bool {
        let exact = |host: &writ_model::ConnectionHost| {
            let allowed = |c: char| "abcdefghijklmnopqrstuvwxyz0123456789.-:".contains(c);
            !host.host.is_empty() && host.host.chars().all(allowed) && host.port > 0
        };
        self.has_workspace(connection.name.workspace())
            && !connection.hosts.is_empty()
            && connection.hosts.iter().all(exact)
            && self.lists_secret(connection)
    }

    /// Whether the workspace lists a connection's secret: itself, or what is above it and ends in `/*`.
    pub(super) fn lists_secret(&self, connection: &Connection) -> bool {
        self.lists(connection.name.workspace(), &connection.secret)
    }

    fn lists(&self, workspace: &WorkspaceName, secret: &SecretRef) -> bool {
        let whole = secret.to_string();
        let path = format!("{}:{}", secret.manager().as_str(), secret.path());
        let covers = |listed: &String| {
            let below = listed.ends_with("/*")
                && path.starts_with(listed.trim_end_matches('*'))
                && path.len() >= listed.len();
            below || *listed == whole || *listed == path
        };
        self.workspaces
            .iter()
            .filter(|known| known.name == *workspace)
            .any(|workspace| workspace.secret_paths.iter().any(covers))
    }

    /// Published is what touches its own workspace's connections, as they are, by acknowledged actions.
    fn is_automation(&self, automation: &Automation) -> bool {
        let workspace = automation.name.workspace();
        self.has_workspace(workspace)
            && automation.footprint.connections.iter().all(|grant| {
                grant.connection.name.workspace() == workspace
                    && self.as_defined(&grant.connection).is_some()
                    && grant.actions.iter().all(|action| self.acknowledges(action))
            })
    }

    /// A standing writ runs what is published now, in its own workspace, by a group that has a runner, for 90
    /// days at most; a webhook's address is its own, and its secret is one that the workspace lists.
    fn is_standing(&self, standing: &StandingWrit) -> bool {
        let published = |(known, _): &(Automation, Principal)| {
            known.name == standing.automation && known.bundle == standing.bundle
        };
        // Histories are of minutes, and ends are days away from what is allowed.
        let days = standing.expires_at.since(NOON) / (24 * 3600);
        let lasts = standing.expires_at > NOON && days < 90;
        let webhook = match &standing.trigger {
            Trigger::Schedule { .. } => standing.parameters != Parameters::Event,
            Trigger::Webhook(webhook) => {
                let others = self.standing.iter().filter(|known| known.name != standing.name);
                let taken = others.map(|known| &known.trigger).any(|other| match other {
                    Trigger::Webhook(other) => other.path == webhook.path,
                    Trigger::Schedule { .. } => false,
                });
                let workspace = standing.name.workspace();
                !taken && webhook.verifier.secrets().iter().all(|one| self.lists(workspace, one))
            }
        };
        standing.name.workspace() == standing.automation.workspace()
            && self.automations.iter().any(published)
            && self.runners.iter().any(|runner| runner.group == standing.runner_group)
            && lasts
            && webhook
    }

    /// The connection that is pinned, if it is still defined so.
    pub(super) fn as_defined(&self, pinned: &writ_model::PinnedConnection) -> Option<&Connection> {
        let same = |known: &&Connection| {
            let json = serde_json::to_vec(known).unwrap_or_default();
            known.name == pinned.name && sha256(&json) == pinned.digest
        };
        self.connections.iter().find(same)
    }

    /// What documents call by themselves, `http`, needs no pack.
    pub(super) fn acknowledges(&self, action: &PinnedAction) -> bool {
        let pack = action.name.pack();
        pack.as_str() == "http"
            || self.packs.iter().any(|known| known.name == pack && known.digest == action.digest)
    }
}

fn is_quorum(threshold: u8, of: usize) -> bool {
    threshold >= 1 && usize::from(threshold) <= of && of <= 16
}

fn are_root_keys(roots: &RootKeys) -> bool {
    let distinct: BTreeSet<_> = roots.keys.iter().collect();
    distinct.len() == roots.keys.len() && is_quorum(roots.threshold, roots.keys.len())
}

/// As far as histories go wrong here: no algorithm, no key, nobody; or a device flow that signs for authority.
fn is_issuer(issuer: &Issuer) -> bool {
    let present = [Operation::CharterAppend, Operation::RunApprove];
    let device_flow_signs = issuer.clients.iter().any(|client| {
        client.device_flow && client.operations.iter().any(|one| present.contains(one))
    });
    let no_key = issuer.keys.is_empty() && issuer.jwks.is_none();
    let nobody = issuer.clients.is_empty() && issuer.workloads.is_empty();
    let wrong = [issuer.algorithms.is_empty(), no_key, nobody, device_flow_signs];
    !wrong.contains(&true) && issuer.iss != writ_model::SERVICE_ACCOUNTS
}
