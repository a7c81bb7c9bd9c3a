//! What a charter entry can say. One variant per kind of change, each a noun of DESIGN §1.
//!
//! Not here: the nouns themselves (`noun`), whether a change is possible or permitted (`state`).

use serde::{Deserialize, Serialize};
use writ_model::{Connection, RunnerId, StandingName};

use super::{
    Automation, Binding, CustomRole, Elevation, Entitlements, Genesis, Group, PackAcknowledgement,
    PackWithdrawal, Policy, RootKeys, RunnerEnrollment, ServiceAccount, Subject, WitnessQuorum,
    Workspace,
};
use crate::{issuer::Issuer, standing::StandingWrit};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", deny_unknown_fields)]
pub enum Change {
    /// Entry 0, and only entry 0: what the tenant is.
    #[serde(rename = "genesis")]
    Genesis(Genesis),
    /// Replaces the root keys and their threshold; signed by the root keys before.
    #[serde(rename = "root.rotate")]
    RootRotate(RootKeys),
    /// Makes or replaces an identity provider; signed by root keys alone.
    #[serde(rename = "issuer.set")]
    IssuerSet(Box<Issuer>),
    /// Names the witnesses and how many of them cosign; signed by root keys alone.
    #[serde(rename = "witness.set")]
    WitnessSet(WitnessQuorum),
    /// Enrolls a runner by its three keys.
    #[serde(rename = "runner.enroll")]
    RunnerEnroll(Box<RunnerEnrollment>),
    /// Ends a runner's enrollment for good; what its jail signed before still verifies.
    #[serde(rename = "runner.retire")]
    RunnerRetire(RunnerId),
    /// Makes or replaces a workspace.
    #[serde(rename = "workspace.set")]
    WorkspaceSet(Workspace),
    /// Makes or replaces a group of people; one without members is gone.
    #[serde(rename = "group.set")]
    GroupSet(Group),
    /// Makes or replaces a role of the charter's own; one without rights is gone.
    #[serde(rename = "role.set")]
    RoleSet(CustomRole),
    /// Makes or replaces a guardrail; one without text is gone.
    #[serde(rename = "policy.set")]
    PolicySet(Policy),
    /// Makes or replaces a service account; one without keys is gone.
    #[serde(rename = "service-account.set")]
    ServiceAccountSet(ServiceAccount),
    /// Gives a person a role for at most a day; somebody else signs it.
    #[serde(rename = "elevation.grant")]
    ElevationGrant(Elevation),
    /// Says what people may do in the service behind a connection, or lifts that bound.
    #[serde(rename = "entitlements.set")]
    EntitlementsSet(Entitlements),
    /// Gives a principal a role.
    #[serde(rename = "binding.add")]
    BindingAdd(Binding),
    /// Takes a role away.
    #[serde(rename = "binding.remove")]
    BindingRemove(Binding),
    /// Makes or replaces a connection.
    #[serde(rename = "connection.set")]
    ConnectionSet(Connection),
    /// Acknowledges a pack: its only authority.
    #[serde(rename = "pack.acknowledge")]
    PackAcknowledge(PackAcknowledgement),
    /// Takes an acknowledgement back: no action of the pack begins after it.
    #[serde(rename = "pack.withdraw")]
    PackWithdraw(PackWithdrawal),
    /// Publishes an automation with its footprint.
    #[serde(rename = "automation.publish")]
    AutomationPublish(Automation),
    /// Makes or replaces a standing writ: an order that a trigger gives whenever it fires.
    #[serde(rename = "standing.set")]
    StandingSet(Box<StandingWrit>),
    /// Ends a standing writ: it fires no more.
    #[serde(rename = "standing.revoke")]
    StandingRevoke(StandingName),
    /// The kill switch: nothing new by or through the subject, and what runs ends at its next action.
    #[serde(rename = "subject.suspend")]
    SubjectSuspend(Subject),
    /// Takes a suspension back.
    #[serde(rename = "subject.restore")]
    SubjectRestore(Subject),
}

impl Change {
    /// Whether root keys sign it, and nobody else may (DESIGN §3.3).
    #[must_use]
    pub const fn is_root_class(&self) -> bool {
        match self {
            Self::Genesis(_) | Self::RootRotate(_) | Self::IssuerSet(_) | Self::WitnessSet(_) => {
                true
            }
            Self::SubjectSuspend(subject) | Self::SubjectRestore(subject) => {
                matches!(subject, Subject::Runner(_))
            }
            Self::RunnerEnroll(_)
            | Self::RunnerRetire(_)
            | Self::WorkspaceSet(_)
            | Self::GroupSet(_)
            | Self::RoleSet(_)
            | Self::PolicySet(_)
            | Self::ServiceAccountSet(_)
            | Self::ElevationGrant(_)
            | Self::EntitlementsSet(_)
            | Self::BindingAdd(_)
            | Self::BindingRemove(_)
            | Self::ConnectionSet(_)
            | Self::PackAcknowledge(_)
            | Self::PackWithdraw(_)
            | Self::AutomationPublish(_)
            | Self::StandingSet(_)
            | Self::StandingRevoke(_) => false,
        }
    }

    /// Whether root keys may sign it: what is theirs alone, and a runner's enrollment, which nobody else could bring into
    /// a tenant whose witness is lost.
    #[must_use]
    pub const fn may_be_rooted(&self) -> bool {
        self.is_root_class() || matches!(self, Self::RunnerEnroll(_))
    }

    /// The kind, as written.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Genesis(_) => "genesis",
            Self::RootRotate(_) => "root.rotate",
            Self::IssuerSet(_) => "issuer.set",
            Self::WitnessSet(_) => "witness.set",
            Self::RunnerEnroll(_) => "runner.enroll",
            Self::RunnerRetire(_) => "runner.retire",
            Self::WorkspaceSet(_) => "workspace.set",
            Self::GroupSet(_) => "group.set",
            Self::RoleSet(_) => "role.set",
            Self::PolicySet(_) => "policy.set",
            Self::ServiceAccountSet(_) => "service-account.set",
            Self::ElevationGrant(_) => "elevation.grant",
            Self::EntitlementsSet(_) => "entitlements.set",
            Self::BindingAdd(_) => "binding.add",
            Self::BindingRemove(_) => "binding.remove",
            Self::ConnectionSet(_) => "connection.set",
            Self::PackAcknowledge(_) => "pack.acknowledge",
            Self::PackWithdraw(_) => "pack.withdraw",
            Self::AutomationPublish(_) => "automation.publish",
            Self::StandingSet(_) => "standing.set",
            Self::StandingRevoke(_) => "standing.revoke",
            Self::SubjectSuspend(_) => "subject.suspend",
            Self::SubjectRestore(_) => "subject.restore",
        }
    }
}
