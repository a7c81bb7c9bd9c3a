//! What can be asked: an action on a resource, each in one spelling.

use std::fmt;

use writ_evidence::charter::{Binding, Scope};
use writ_model::{AutomationName, ConnectionName, PackName, Role, WorkspaceName};

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
                | Role::Auditor => "binding.manage",
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
            Self::CharterView => "charter.view",
            Self::AuditRead => "audit.read",
        }
    }

    /// The Cedar entity type of the resource.
    pub(crate) const fn resource_type(&self) -> &'static str {
        match self {
            Self::WorkspaceManage(_)
            | Self::PackAcknowledge(_)
            | Self::CharterView
            | Self::AuditRead => "Tenant",
            Self::BindingManage(binding) => match binding.scope {
                Scope::Tenant => "Tenant",
                Scope::Workspace(_) => "Workspace",
            },
            Self::ConnectionManage(_) | Self::ConnectionView(_) | Self::ConnectionUse(_) => {
                "Connection"
            }
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
            | Self::CharterView
            | Self::AuditRead => None,
            Self::BindingManage(binding) => match &binding.scope {
                Scope::Tenant => None,
                Scope::Workspace(name) => Some(name),
            },
            Self::ConnectionManage(name)
            | Self::ConnectionView(name)
            | Self::ConnectionUse(name) => Some(name.workspace()),
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

    /// The resource, for people and as the Cedar entity's id.
    pub(crate) fn resource(&self) -> String {
        match self {
            Self::WorkspaceManage(name) => format!("workspace {name}"),
            Self::PackAcknowledge(name) => format!("pack {name}"),
            Self::CharterView => "the charter".to_owned(),
            Self::AuditRead => "the audit log".to_owned(),
            Self::BindingManage(binding) => match &binding.scope {
                Scope::Tenant => format!("binding {} of the tenant", binding.role),
                Scope::Workspace(name) => format!("binding {} of workspace {name}", binding.role),
            },
            Self::ConnectionManage(name)
            | Self::ConnectionView(name)
            | Self::ConnectionUse(name) => format!("connection {name}"),
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

impl fmt::Display for Right<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` on {}", self.action(), self.resource())
    }
}
