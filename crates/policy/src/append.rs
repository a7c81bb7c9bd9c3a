//! A charter change's question: may its signer make it, under the state before it?

use writ_evidence::{
    charter::{Automation, Change, CharterState, Group, MayAppend, NotPermitted, Subject},
    standing::StandingWrit,
};
use writ_model::{Actor, CharterGroup, Grantee, Principal, Role};

use crate::{Denied, Policies, Right, RunPermit};

impl MayAppend for Policies {
    fn may_append(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        change: &Change,
    ) -> Result<(), NotPermitted> {
        let decided = match change {
            Change::Genesis(_)
            | Change::RootRotate(_)
            | Change::IssuerSet(_)
            | Change::WitnessSet(_) => {
                Err(Denied::new("policy-denied", "this change is signed by root keys"))
            }
            Change::RunnerEnroll(_) | Change::RunnerRetire(_) => {
                self.decide(state, actor, Right::RunnerManage).map(drop)
            }
            Change::GroupSet(group) => self.may_set_group(state, actor, group),
            Change::WorkspaceSet(workspace) => {
                self.decide(state, actor, Right::WorkspaceManage(&workspace.name)).map(drop)
            }
            Change::BindingAdd(binding) | Change::BindingRemove(binding) => {
                self.decide(state, actor, Right::BindingManage(binding)).map(drop)
            }
            Change::ConnectionSet(connection) => {
                self.decide(state, actor, Right::ConnectionManage(&connection.name)).map(drop)
            }
            Change::PackAcknowledge(pack) => {
                self.decide(state, actor, Right::PackAcknowledge(&pack.name)).map(drop)
            }
            Change::PackWithdraw(pack) => {
                self.decide(state, actor, Right::PackAcknowledge(&pack.name)).map(drop)
            }
            Change::AutomationPublish(automation) => self.may_publish(state, actor, automation),
            Change::StandingSet(standing) => {
                self.decide_standing(state, actor.principal, standing).map(drop)
            }
            Change::StandingRevoke(name) => {
                self.decide(state, actor, Right::StandingRevoke(name)).map(drop)
            }
            Change::SubjectSuspend(subject) | Change::SubjectRestore(subject) => {
                self.may_suspend(state, actor, subject)
            }
        };
        decided.map_err(|denied| NotPermitted { code: denied.code, reason: denied.reason })
    }
}

impl Policies {
    /// Publishing takes the right to publish, and to use every connection of the footprint.
    fn may_publish(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        automation: &Automation,
    ) -> Result<(), Denied> {
        self.decide(state, actor, Right::AutomationPublish(&automation.name)).map(drop)?;
        for grant in &automation.footprint.connections {
            self.decide(state, actor, Right::ConnectionUse(&grant.connection.name)).map(drop)?;
        }
        Ok(())
    }

    /// Decides whether somebody may have this standing writ fire: when it is granted, and each time.
    ///
    /// It rests on charter facts alone: a group that only an old token named counts for nothing
    /// (DESIGN §3.4).
    ///
    /// # Errors
    ///
    /// [`Denied`]: the grantor lacks `standing.set` or what a run of it takes, `automation-unknown`,
    /// `bundle-not-published`.
    pub fn decide_standing(
        &self,
        state: &CharterState,
        grantor: &Principal,
        standing: &StandingWrit,
    ) -> Result<RunPermit, Denied> {
        let published = state.automation(&standing.automation).ok_or_else(|| {
            Denied::new("automation-unknown", "the charter publishes no such automation")
        })?;
        if published.automation.bundle != standing.bundle {
            let rule = "the automation was published anew since the standing writ was granted";
            return Err(Denied::new("bundle-not-published", rule));
        }
        let grantor = Actor { principal: grantor, groups: None };
        let permit = self.decide(state, grantor, Right::StandingSet(&standing.name))?;
        let connections = &published.automation.footprint.connections;
        let run = self.decide_run_start(state, grantor, published, connections)?;
        Ok(run.and(permit))
    }

    /// Who is in a group holds what the group is bound to: it takes the right to give each of that.
    fn may_set_group(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        group: &Group,
    ) -> Result<(), Denied> {
        self.decide(state, actor, Right::GroupManage(&group.name)).map(drop)?;
        let named = CharterGroup { charter_group: group.name.clone() };
        let bound = Grantee::CharterGroup(named);
        for binding in state.bindings().filter(|binding| binding.principal == bound) {
            self.decide(state, actor, Right::BindingManage(binding)).map(drop)?;
        }
        Ok(())
    }

    /// Only an owner stops an owner, or the tenant.
    fn may_suspend(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        subject: &Subject,
    ) -> Result<(), Denied> {
        let owner = match subject {
            Subject::User(user) => {
                state.bindings_of(user).any(|binding| binding.role == Role::Owner)
            }
            Subject::Tenant => true,
            Subject::Key(_)
            | Subject::Connection(_)
            | Subject::Automation(_)
            | Subject::Workspace(_)
            | Subject::Runner(_) => false,
        };
        let right = if owner {
            Right::SubjectSuspendOwner(subject)
        } else {
            Right::SubjectSuspend(subject)
        };
        self.decide(state, actor, right).map(drop)
    }
}
