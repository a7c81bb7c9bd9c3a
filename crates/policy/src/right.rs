//! What can be asked: an action on a resource, each in one spelling.

use std::fmt;

use writ_evidence::charter::{Binding, Scope, Subject};
use writ_model::{
    AutomationName, ConnectionName, GroupName, PackName, PolicyName, Role, RoleName,
    ServiceAccountName, StandingName, WorkspaceName,
};

/// One thing that a principal may or may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right<'a> {
    /// Make or change a workspace, its secret paths included.
    WorkspaceManage(&'a WorkspaceName),
    /// Give or take this binding.
    BindingManage(&'a Binding),
    /// Make or change this connection.
    ConnectionManage(&'a ConnectionName),
    /// See this connection's definition.
    ConnectionView(&'a ConnectionName),
    /// Have this connection's credential used.
    ConnectionUse(&'a ConnectionName),
    /// Acknowledge this pack.
    PackAcknowledge(&'a PackName),
    /// Change this automation's draft.
    AutomationEdit(&'a AutomationName),
    /// Publish this automation.
    AutomationPublish(&'a AutomationName),
    /// See this automation.
    AutomationView(&'a AutomationName),
    /// Start a run of this automation.
    RunStart(&'a AutomationName),
    /// Say how a suspended run of this automation goes on.
    RunResume(&'a AutomationName),
    /// Answer an approval of a run of this automation.
    RunApprove(&'a AutomationName),
    /// See the state of runs of this automation.
    RunView(&'a AutomationName),
    /// Read outputs of runs of this automation.
    RunReadOutput(&'a AutomationName),
    /// Grant this standing writ.
    StandingSet(&'a StandingName),
    /// End this standing writ.
    StandingRevoke(&'a StandingName),
    /// Enroll or retire a runner.
    RunnerManage,
    /// Make or change this group of the charter's.
    GroupManage(&'a GroupName),
    /// Make or change this role of the charter's.
    RoleManage(&'a RoleName),
    /// Set this guardrail.
    PolicyManage(&'a PolicyName),
    /// Make or change this service account.
    ServiceAccountManage(&'a ServiceAccountName),
    /// Say what people may do in the service behind this connection.
    ConnectionEntitle(&'a ConnectionName),
    /// Suspend or restore this subject.
    SubjectSuspend(&'a Subject),
    /// Suspend or restore this subject, whose stop takes an owner: the tenant, or an owner.
    SubjectSuspendOwner(&'a Subject),
    /// End somebody else's session.
    SessionRevoke,
    /// See the charter.
    CharterView,
    /// Read the audit log.
    AuditRead,
}

impl<'a> Right<'a> {
    /// The Cedar action.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::WorkspaceManage(_) => "workspace.manage",
            Self::BindingManage(binding) => match binding.role {
                Role::Owner => "binding.manage-owner",
                Role::Administrator
                | Role::Builder
                | Role::Operator
                | Role::Approver
                | Role::Viewer
                | Role::Auditor
                | Role::Custom(_) => "binding.manage",
            },
            Self::ConnectionManage(_) => "connection.manage",
            Self::ConnectionView(_) => "connection.view",
            Self::ConnectionUse(_) => "connection.use",
            Self::PackAcknowledge(_) => "pack.acknowledge",
            Self::AutomationEdit(_) => "automation.edit",
            Self::AutomationPublish(_) => "automation.publish",
            Self::AutomationView(_) => "automation.view",
            Self::RunStart(_) => "run.start",
            Self::RunResume(_) => "run.resume",
            Self::RunApprove(_) => "run.approve",
            Self::RunView(_) => "run.view",
            Self::RunReadOutput(_) => "run.read-output",
            Self::StandingSet(_) => "standing.set",
            Self::StandingRevoke(_) => "standing.revoke",
            Self::RunnerManage => "runner.manage",
            Self::GroupManage(_) => "group.manage",
            Self::RoleManage(_) => "role.manage",
            Self::PolicyManage(_) => "policy.manage",
            Self::ServiceAccountManage(_) => "service-account.manage",
            Self::ConnectionEntitle(_) => "connection.entitle",
            Self::SubjectSuspend(_) => "subject.suspend",
            Self::SubjectSuspendOwner(_) => "subject.suspend-owner",
            Self::SessionRevoke => "session.revoke",
            Self::CharterView => "charter.view",
            Self::AuditRead => "audit.read",
        }
    }

    /// The Cedar entity type of the resource.
    pub(crate) const fn resource_type(&self) -> &'static str {
        match self {
            Self::WorkspaceManage(_)
            | Self::PackAcknowledge(_)
            | Self::RunnerManage
            | Self::GroupManage(_)
            | Self::RoleManage(_)
            | Self::PolicyManage(_)
            | Self::ServiceAccountManage(_)
            | Self::SubjectSuspendOwner(_)
            | Self::SessionRevoke
            | Self::CharterView
            | Self::AuditRead => "Tenant",
            Self::SubjectSuspend(subject) => match workspace_of(subject) {
                None => "Tenant",
                Some(_) => "Workspace",
            },
            Self::BindingManage(binding) => match binding.scope {
                Scope::Tenant => "Tenant",
                Scope::Workspace(_) => "Workspace",
            },
            Self::StandingSet(_) | Self::StandingRevoke(_) => "Workspace",
            Self::ConnectionManage(_)
            | Self::ConnectionView(_)
            | Self::ConnectionUse(_)
            | Self::ConnectionEntitle(_) => "Connection",
            Self::AutomationEdit(_)
            | Self::AutomationPublish(_)
            | Self::AutomationView(_)
            | Self::RunStart(_)
            | Self::RunResume(_)
            | Self::RunApprove(_)
            | Self::RunView(_)
            | Self::RunReadOutput(_) => "Automation",
        }
    }

    /// The workspace whose bindings count beside the tenant's, if any.
    pub(crate) const fn workspace(&self) -> Option<&'a WorkspaceName> {
        match self {
            Self::WorkspaceManage(_)
            | Self::PackAcknowledge(_)
            | Self::RunnerManage
            | Self::GroupManage(_)
            | Self::RoleManage(_)
            | Self::PolicyManage(_)
            | Self::ServiceAccountManage(_)
            | Self::SubjectSuspendOwner(_)
            | Self::SessionRevoke
            | Self::CharterView
            | Self::AuditRead => None,
            Self::SubjectSuspend(subject) => workspace_of(subject),
            Self::StandingSet(name) | Self::StandingRevoke(name) => Some(name.workspace()),
            Self::BindingManage(binding) => match &binding.scope {
                Scope::Tenant => None,
                Scope::Workspace(name) => Some(name),
            },
            Self::ConnectionManage(name)
            | Self::ConnectionView(name)
            | Self::ConnectionUse(name)
            | Self::ConnectionEntitle(name) => Some(name.workspace()),
            Self::AutomationEdit(name)
            | Self::AutomationPublish(name)
            | Self::AutomationView(name)
            | Self::RunStart(name)
            | Self::RunResume(name)
            | Self::RunApprove(name)
            | Self::RunView(name)
            | Self::RunReadOutput(name) => Some(name.workspace()),
        }
    }

    /// Whether it changes nothing but what is stopped, so that a stop can be seen and taken back.
    pub(crate) const fn only_looks_or_stops(&self) -> bool {
        match self {
            Self::SubjectSuspend(_)
            | Self::SubjectSuspendOwner(_)
            | Self::StandingRevoke(_)
            | Self::SessionRevoke
            | Self::CharterView
            | Self::AuditRead
            | Self::ConnectionView(_)
            | Self::AutomationView(_)
            | Self::RunView(_)
            | Self::RunReadOutput(_) => true,
            Self::WorkspaceManage(_)
            | Self::BindingManage(_)
            | Self::ConnectionManage(_)
            | Self::ConnectionUse(_)
            | Self::PackAcknowledge(_)
            | Self::AutomationEdit(_)
            | Self::AutomationPublish(_)
            | Self::RunStart(_)
            | Self::RunResume(_)
            | Self::RunApprove(_)
            | Self::StandingSet(_)
            | Self::RunnerManage
            | Self::GroupManage(_)
            | Self::RoleManage(_)
            | Self::PolicyManage(_)
            | Self::ServiceAccountManage(_)
            | Self::ConnectionEntitle(_) => false,
        }
    }

    /// Whether it gives authority that lasts. An elevation does not count for it: what holds for an hour is not
    /// made to hold for good.
    pub(crate) const fn gives_authority(&self) -> bool {
        matches!(
            self,
            Self::BindingManage(_)
                | Self::RoleManage(_)
                | Self::PolicyManage(_)
                | Self::ServiceAccountManage(_)
                | Self::GroupManage(_)
                | Self::RunnerManage
        )
    }

    /// Whether guardrails count for it. They keep nobody from stopping something, nor owners from changing
    /// guardrails: a tenant can't lock itself up.
    pub(crate) const fn is_guarded(&self) -> bool {
        !matches!(
            self,
            Self::PolicyManage(_)
                | Self::SubjectSuspend(_)
                | Self::SubjectSuspendOwner(_)
                | Self::StandingRevoke(_)
                | Self::SessionRevoke
        )
    }

    /// The name of the resource within its workspace, where it has one.
    pub(crate) fn name(&self) -> Option<&'a str> {
        match self {
            Self::ConnectionManage(name)
            | Self::ConnectionView(name)
            | Self::ConnectionUse(name)
            | Self::ConnectionEntitle(name) => Some(name.name()),
            Self::AutomationEdit(name)
            | Self::AutomationPublish(name)
            | Self::AutomationView(name)
            | Self::RunStart(name)
            | Self::RunResume(name)
            | Self::RunApprove(name)
            | Self::RunView(name)
            | Self::RunReadOutput(name) => Some(name.name()),
            Self::WorkspaceManage(_)
            | Self::BindingManage(_)
            | Self::PackAcknowledge(_)
            | Self::StandingSet(_)
            | Self::StandingRevoke(_)
            | Self::RunnerManage
            | Self::GroupManage(_)
            | Self::RoleManage(_)
            | Self::PolicyManage(_)
            | Self::ServiceAccountManage(_)
            | Self::SubjectSuspend(_)
            | Self::SubjectSuspendOwner(_)
            | Self::SessionRevoke
            | Self::CharterView
            | Self::AuditRead => None,
        }
    }

    /// The resource, for people and as the Cedar entity's id.
    pub(crate) fn resource(&self) -> String {
        match self {
            Self::WorkspaceManage(name) => format!("workspace {name}"),
            Self::PackAcknowledge(name) => format!("pack {name}"),
            Self::StandingSet(name) | Self::StandingRevoke(name) => format!("standing writ {name}"),
            Self::RunnerManage => "the tenant's runners".to_owned(),
            Self::GroupManage(name) => format!("group {name}"),
            Self::RoleManage(name) => format!("role custom/{name}"),
            Self::PolicyManage(name) => format!("policy {name}"),
            Self::ServiceAccountManage(name) => format!("service account {name}"),
            Self::SubjectSuspend(subject) | Self::SubjectSuspendOwner(subject) => {
                subject.to_string()
            }
            Self::SessionRevoke => "the tenant's sessions".to_owned(),
            Self::CharterView => "the charter".to_owned(),
            Self::AuditRead => "the audit log".to_owned(),
            Self::BindingManage(binding) => match &binding.scope {
                Scope::Tenant => format!("binding {} of the tenant", binding.role),
                Scope::Workspace(name) => format!("binding {} of workspace {name}", binding.role),
            },
            Self::ConnectionManage(name)
            | Self::ConnectionView(name)
            | Self::ConnectionUse(name)
            | Self::ConnectionEntitle(name) => format!("connection {name}"),
            Self::AutomationEdit(name)
            | Self::AutomationPublish(name)
            | Self::AutomationView(name)
            | Self::RunStart(name)
            | Self::RunResume(name)
            | Self::RunApprove(name)
            | Self::RunView(name)
            | Self::RunReadOutput(name) => format!("automation {name}"),
        }
    }
}

/// The workspace that a subject stands in: whose administrators may stop it.
const fn workspace_of(subject: &Subject) -> Option<&WorkspaceName> {
    match subject {
        Subject::Connection(name) => Some(name.workspace()),
        Subject::Automation(name) => Some(name.workspace()),
        Subject::Workspace(name) => Some(name),
        Subject::User(_) | Subject::Key(_) | Subject::Runner(_) | Subject::Tenant => None,
    }
}

impl fmt::Display for Right<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` on {}", self.action(), self.resource())
    }
}
