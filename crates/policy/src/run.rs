//! A run's questions: may it start, and may this call be made now?
//!
//! Nobody lends a right by writing a document, nor borrows one by starting it: each use of a
//! connection needs `connection.use` of both the publisher and the signer, at that moment.

use writ_evidence::{
    approval::QUORUM_MAX,
    charter::{CharterState, PublishedAutomation, Subject},
    statement::DecisionRecord,
    writ::ConnectionGrant,
};
use writ_model::{
    ActionName, Actor, ConnectionName, PinnedAction, PinnedConnection, Principal, WorkspaceName,
};

use crate::{Circumstances, Denied, Permit, Policies, Right, connection::check_connection};

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
                let call = Circumstances {
                    action: Some(&action.name),
                    ..Circumstances::before_approvals()
                };
                permit = permit.and(self.decide_action(
                    charter,
                    both,
                    (&grant.connection, action),
                    &call,
                )?);
            }
        }
        Ok(RunPermit(permit))
    }

    /// Decides whether one action may be called through one connection, under these circumstances.
    ///
    /// # Errors
    ///
    /// [`Denied`]: `connection-unknown`, `connection-changed`, `secret-path-not-listed`,
    /// `pack-unacknowledged`, `entitlement-missing`, one of the two lacks `connection.use`, or
    /// `approval-demanded`: guardrails would permit it once [`Denied::approvals`] people have approved this call.
    pub fn decide_action(
        &self,
        charter: &CharterState,
        (signer, publisher): (Actor<'_>, &Principal),
        (connection, action): (&PinnedConnection, &PinnedAction),
        circumstances: &Circumstances<'_>,
    ) -> Result<Permit, Denied> {
        check_connection(charter, connection)?;
        if !charter.acknowledges(action) {
            let rule =
                format!("the charter acknowledges no pack of this digest for {}", action.name);
            return Err(Denied::new("pack-unacknowledged", rule));
        }
        for (who, principal) in [("signer", signer.principal), ("publisher", publisher)] {
            check_entitled(charter, principal, &connection.name, &action.name)
                .map_err(|denied| of(who, denied))?;
        }
        let decided = |approvals| {
            let call = Circumstances { approvals, ..*circumstances };
            self.decide_use(charter, (signer, publisher), &connection.name, &call)
        };
        let denied = match decided(circumstances.approvals) {
            Ok(permit) => return Ok(permit),
            Err(denied) => denied,
        };
        if denied.code != "policy-forbidden" {
            return Err(denied);
        }
        // What guardrails ask for, they say by what they would permit.
        let mut more = (circumstances.approvals..QUORUM_MAX).map(|had| had + 1);
        let Some(approvals) = more.find(|approvals| decided(*approvals).is_ok()) else {
            return Err(denied);
        };
        let rule = format!("{}; it takes {approvals} to approve it", denied.reason);
        Err(Denied { approvals: Some(approvals), ..Denied::new("approval-demanded", rule) })
    }

    fn decide_use(
        &self,
        charter: &CharterState,
        (signer, publisher): (Actor<'_>, &Principal),
        connection: &ConnectionName,
        circumstances: &Circumstances<'_>,
    ) -> Result<Permit, Denied> {
        let right = Right::ConnectionUse(connection);
        let signers = self
            .decide_under(charter, signer, right, circumstances)
            .map_err(|denied| of("signer", denied))?;
        let publishers = self
            .decide_under(charter, publisher.into(), right, circumstances)
            .map_err(|denied| of("publisher", denied))?;
        Ok(signers.and(publishers))
    }
}

fn of(who: &str, mut denied: Denied) -> Denied {
    denied.reason = format!("the {who}: {}", denied.reason);
    denied
}

/// Where it is known what people may do in a service itself, nobody does more of it through Writ.
pub(crate) fn check_entitled(
    charter: &CharterState,
    principal: &Principal,
    connection: &ConnectionName,
    action: &ActionName,
) -> Result<(), Denied> {
    let Some(holders) = charter.entitlements(connection) else { return Ok(()) };
    if holders.get(principal).is_some_and(|actions| actions.contains(action)) {
        return Ok(());
    }
    let rule = format!("{principal} may not do {action} in the service behind {connection} itself");
    Err(Denied::new("entitlement-missing", rule))
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
