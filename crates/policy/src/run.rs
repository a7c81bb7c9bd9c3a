//! A run's questions: may it start, and may this call be made now?
//!
//! Nobody lends a right by writing a document, nor borrows one by starting it: each use of a
//! connection needs `connection.use` of both the publisher and the signer, at that moment.

use writ_evidence::{
    charter::{CharterState, PublishedAutomation, Subject},
    statement::DecisionRecord,
    writ::ConnectionGrant,
};
use writ_model::{Actor, PinnedAction, PinnedConnection, Principal, WorkspaceName};

use crate::{Denied, Permit, Policies, Right, connection::check_connection};

/// A run may start. Only a decision makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPermit(Permit);

impl From<&RunPermit> for DecisionRecord {
    fn from(permit: &RunPermit) -> Self {
        (&permit.0).into()
    }
}

impl RunPermit {
    /// This permit and one that was needed as well.
    pub(crate) fn and(self, other: Permit) -> Self {
        Self(self.0.and(other))
    }

    /// What was decided.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.0
    }
}

impl Policies {
    /// Decides whether `signer` may start a run of `published` with these connections and actions.
    ///
    /// # Errors
    ///
    /// [`Denied`]: `footprint-exceeded`, a code of [`Policies::decide_action`], or the signer lacks
    /// `run.start`.
    pub fn decide_run_start(
        &self,
        charter: &CharterState,
        signer: Actor<'_>,
        published: &PublishedAutomation,
        details: &[ConnectionGrant],
    ) -> Result<RunPermit, Denied> {
        let automation = &published.automation;
        let mut permit = self.decide(charter, signer, Right::RunStart(&automation.name))?;
        charter.check_running(&Subject::User(published.publisher.clone()))?;
        if !automation.footprint.covers(details) {
            let rule = "the order names a connection or action outside the automation's footprint";
            return Err(Denied::new("footprint-exceeded", rule));
        }
        for grant in details {
            check_in_workspace(&grant.connection, automation.name.workspace())?;
            for action in &grant.actions {
                let both = (signer, &published.publisher);
                permit =
                    permit.and(self.decide_action(charter, both, &grant.connection, action)?);
            }
        }
        Ok(RunPermit(permit))
    }

    /// Decides whether one action may be called through one connection now.
    ///
    /// # Errors
    ///
    /// [`Denied`]: `connection-unknown`, `connection-changed`, `secret-path-not-listed`,
    /// `pack-unacknowledged`, or one of the two lacks `connection.use`.
    pub fn decide_action(
        &self,
        charter: &CharterState,
        (signer, publisher): (Actor<'_>, &Principal),
        connection: &PinnedConnection,
        action: &PinnedAction,
    ) -> Result<Permit, Denied> {
        check_connection(charter, connection)?;
        if !charter.acknowledges(action) {
            let rule =
                format!("the charter acknowledges no pack of this digest for {}", action.name);
            return Err(Denied::new("pack-unacknowledged", rule));
        }
        let right = Right::ConnectionUse(&connection.name);
        let who = |who: &str, denied: Denied| {
            Denied::new(denied.code, format!("the {who}: {}", denied.reason))
        };
        let signers = self.decide(charter, signer, right).map_err(|d| who("signer", d))?;
        let publishers = self.decide(charter, publisher, right).map_err(|d| who("publisher", d))?;
        Ok(signers.and(publishers))
    }
}

fn check_in_workspace(
    connection: &PinnedConnection,
    workspace: &WorkspaceName,
) -> Result<(), Denied> {
    if connection.name.workspace() == workspace {
        return Ok(());
    }
    let rule = format!("connection {} is outside workspace {workspace}", connection.name);
    Err(Denied::new("connection-outside-workspace", rule))
}
