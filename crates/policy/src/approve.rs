//! Who may answer what a run asks: the one question that every way to an approval asks.
//!
//! The jail asks it of each `run.approve` writ; the control plane asks it before it relays one, and
//! when it lists what waits for somebody. There is no second rule.
//!
//! Not here: whether they have answered before, or too late (the jail's state).

use writ_evidence::{charter::CharterState, idc::VerifiedIdc};
use writ_model::{Actor, AutomationName, Principal};

use crate::{Denied, Permit, Policies, Right};

impl Policies {
    /// Decides whether the person of this login may answer an approval that `requester`'s run of
    /// `automation` asks for.
    ///
    /// # Errors
    ///
    /// [`Denied`]: `approval-self`, `approval-workload`, or a code of [`Policies::decide`].
    pub fn decide_approval(
        &self,
        charter: &CharterState,
        login: &VerifiedIdc,
        requester: &Principal,
        automation: &AutomationName,
    ) -> Result<Permit, Denied> {
        if login.is_workload() {
            let rule = "a workload approves nothing: approvals are people's";
            return Err(Denied::new("approval-workload", rule));
        }
        self.may_answer(charter, login.actor(), requester, automation)
    }

    fn may_answer(
        &self,
        charter: &CharterState,
        actor: Actor<'_>,
        requester: &Principal,
        automation: &AutomationName,
    ) -> Result<Permit, Denied> {
        if actor.principal == requester {
            let rule = format!("{requester} ordered the run, so somebody else has to approve it");
            return Err(Denied::new("approval-self", rule));
        }
        self.decide(charter, actor, Right::RunApprove(automation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{person, tenant};

    #[test]
    fn whoever_ordered_the_run_does_not_approve_it_whatever_role_they_hold() {
        let policies = Policies::built_in().unwrap();
        let (owner, automation) = (person("owner"), "secops/contain".parse().unwrap());
        let may = |who: &Principal, requester: &Principal| {
            policies.may_answer(&tenant(), who.into(), requester, &automation)
        };

        assert_eq!(may(&owner, &owner).unwrap_err().code, "approval-self");
        assert_eq!(may(&owner, &person("bob")).unwrap().policies(), ["role-owner"]);
        assert_eq!(may(&person("bob"), &owner).unwrap_err().code, "policy-denied");
    }
}
