//! Every right on everything that there is to ask about in the small world.

use writ_evidence::charter::{Binding, Scope, Subject};
use writ_model::{
    AutomationName, ConnectionName, Grantee, GroupName, PackName, PolicyName, Role, RoleName,
    ServiceAccountName, StandingName, WorkspaceName,
};
use writ_policy::Right;

use crate::{
    changes::{
        ACCOUNTS, AUTOMATIONS, CONNECTIONS, GROUPS, POLICIES, ROLES, STANDING, WORKSPACES, people,
    },
    world::{A, person},
};

/// What rights are about.
pub(crate) struct Things {
    workspaces: Vec<WorkspaceName>,
    pub(crate) connections: Vec<ConnectionName>,
    automations: Vec<AutomationName>,
    standing: Vec<StandingName>,
    pack: PackName,
    groups: Vec<GroupName>,
    role: RoleName,
    policy: PolicyName,
    accounts: Vec<ServiceAccountName>,
    bindings: Vec<Binding>,
    subjects: Vec<Subject>,
}

impl Things {
    pub(crate) fn new() -> Self {
        let workspaces = WORKSPACES.map(|name| name.parse::<WorkspaceName>().unwrap());
        let scopes = workspaces.iter().cloned().map(Scope::Workspace);
        let scopes: Vec<Scope> = scopes.chain([Scope::Tenant]).collect();
        let principal = Grantee::Principal(person(A, "somebody"));
        let made = Role::Custom(ROLES[0].parse().unwrap());
        let roles = [Role::Owner, Role::Administrator, Role::Viewer, made];
        let of = |scope: &Scope| {
            let scope = scope.clone();
            let principal = principal.clone();
            roles.clone().map(|role| Binding {
                principal: principal.clone(),
                role,
                scope: scope.clone(),
            })
        };
        let connections: Vec<ConnectionName> =
            CONNECTIONS.iter().map(|name| name.parse().unwrap()).collect();
        let mut subjects: Vec<Subject> = people().into_iter().map(Subject::User).collect();
        subjects.extend(workspaces.iter().cloned().map(Subject::Workspace));
        subjects.extend(connections.iter().cloned().map(Subject::Connection));
        subjects.push(Subject::Tenant);
        Self {
            bindings: scopes.iter().flat_map(of).collect(),
            automations: AUTOMATIONS.iter().map(|name| name.parse().unwrap()).collect(),
            standing: STANDING.iter().map(|name| name.parse().unwrap()).collect(),
            pack: "git".parse().unwrap(),
            groups: GROUPS.iter().map(|name| name.parse().unwrap()).collect(),
            role: ROLES[0].parse().unwrap(),
            policy: POLICIES[0].parse().unwrap(),
            accounts: ACCOUNTS.iter().map(|name| name.parse().unwrap()).collect(),
            workspaces: workspaces.into(),
            connections,
            subjects,
        }
    }

    /// Every right on each of them, with the workspace that it is in.
    pub(crate) fn rights(&self) -> Vec<(Right<'_>, Option<&WorkspaceName>)> {
        let mut rights = vec![
            (Right::PackAcknowledge(&self.pack), None),
            (Right::RunnerManage, None),
            (Right::SessionRevoke, None),
            (Right::CharterView, None),
            (Right::AuditRead, None),
            (Right::RoleManage(&self.role), None),
            (Right::PolicyManage(&self.policy), None),
        ];
        let accounts = self.accounts.iter();
        rights.extend(accounts.map(|name| (Right::ServiceAccountManage(name), None)));
        rights.extend(self.workspaces.iter().map(|name| (Right::WorkspaceManage(name), None)));
        rights.extend(self.groups.iter().map(|name| (Right::GroupManage(name), None)));
        for name in &self.connections {
            let all = [
                Right::ConnectionManage(name),
                Right::ConnectionView(name),
                Right::ConnectionUse(name),
                Right::ConnectionEntitle(name),
            ];
            rights.extend(all.map(|right| (right, Some(name.workspace()))));
        }
        for name in &self.automations {
            let all = [
                Right::AutomationEdit(name),
                Right::AutomationPublish(name),
                Right::AutomationView(name),
                Right::RunStart(name),
                Right::RunResume(name),
                Right::RunApprove(name),
                Right::RunView(name),
                Right::RunReadOutput(name),
            ];
            rights.extend(all.map(|right| (right, Some(name.workspace()))));
        }
        for name in &self.standing {
            let all = [Right::StandingSet(name), Right::StandingRevoke(name)];
            rights.extend(all.map(|right| (right, Some(name.workspace()))));
        }
        for binding in &self.bindings {
            let place = match &binding.scope {
                Scope::Tenant => None,
                Scope::Workspace(name) => Some(name),
            };
            rights.push((Right::BindingManage(binding), place));
        }
        for subject in &self.subjects {
            let place = match subject {
                Subject::Workspace(name) => Some(name),
                Subject::Connection(name) => Some(name.workspace()),
                Subject::Automation(name) => Some(name.workspace()),
                Subject::User(_) | Subject::Key(_) | Subject::Runner(_) | Subject::Tenant => None,
            };
            rights.push((Right::SubjectSuspend(subject), place));
            rights.push((Right::SubjectSuspendOwner(subject), None));
        }
        rights
    }
}
