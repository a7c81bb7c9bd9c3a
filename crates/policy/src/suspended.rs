//! What the kill switch has stopped is denied, whoever asks and whatever else permits.
//!
//! Invariants:
//! * a suspended person is denied everything, being restored by themselves included;
//! * a suspended tenant or workspace can be looked at and restored, and nothing else;
//! * a suspended connection is not used; a suspended automation neither starts nor goes on.

use writ_evidence::charter::{CharterState, Subject, Suspended};
use writ_model::{Actor, AutomationName, Digest, Principal};

use crate::{Denied, Right};

impl From<Suspended> for Denied {
    fn from(suspended: Suspended) -> Self {
        Self::new("suspended", suspended.to_string())
    }
}

/// Denies a right that a suspension takes away.
pub(crate) fn check_running(
    charter: &CharterState,
    actor: Actor<'_>,
    right: &Right<'_>,
) -> Result<(), Denied> {
    if charter.suspended().next().is_none() {
        return Ok(());
    }
    charter.check_running(&Subject::User(actor.principal.clone()))?;
    if right.only_looks_or_stops() {
        return Ok(());
    }
    charter.check_running(&Subject::Tenant)?;
    if let Some(workspace) = right.workspace() {
        charter.check_running(&Subject::Workspace(workspace.clone()))?;
    }
    // Managed from the tenant's scope, so that it is not `workspace()` of the right.
    if let Right::WorkspaceManage(name) = right {
        charter.check_running(&Subject::Workspace((*name).clone()))?;
    }
    if let Right::ConnectionUse(name) = right {
        charter.check_running(&Subject::Connection((*name).clone()))?;
    }
    if let Right::RunStart(name) | Right::RunResume(name) | Right::RunApprove(name) = right {
        charter.check_running(&Subject::Automation((*name).clone()))?;
    }
    Ok(())
}

/// A run that was accepted, as far as the kill switch may stop it.
#[derive(Debug, Clone, Copy)]
pub struct GoingOn<'a> {
    /// Who signed its writ.
    pub signer: &'a Principal,
    /// Thumbprint of the key that signed it.
    pub key: Option<Digest>,
    /// Who published the automation.
    pub publisher: &'a Principal,
    /// The automation.
    pub automation: &'a AutomationName,
}

impl GoingOn<'_> {
    /// Whether the run may begin its next step.
    ///
    /// # Errors
    ///
    /// [`Denied`] with code `suspended`: signer, key, publisher, automation, workspace or tenant.
    pub fn check(&self, charter: &CharterState) -> Result<(), Denied> {
        if charter.suspended().next().is_none() {
            return Ok(());
        }
        let Self { signer, key, publisher, automation } = *self;
        let subjects = [
            Subject::Tenant,
            Subject::Workspace(automation.workspace().clone()),
            Subject::Automation(automation.clone()),
            Subject::User(signer.clone()),
            Subject::User(publisher.clone()),
        ];
        for subject in subjects.into_iter().chain(key.map(Subject::Key)) {
            charter.check_running(&subject)?;
        }
        Ok(())
    }
}
