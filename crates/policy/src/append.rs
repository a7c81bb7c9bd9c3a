//! A charter change's question: may its signer make it, under the state before it?

use writ_evidence::{
    charter::{
        Automation, Binding, Change, CharterState, CustomRole, Group, MayAppend, NotPermitted,
        Policy, ServiceAccount, Subject,
    },
    standing::StandingWrit,
};
use writ_model::{Actor, CharterGroup, Grantee, Principal, Role};

use crate::{Circumstances, Denied, Policies, Right, RunPermit, run::check_entitled};

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
            Change::RoleSet(role) => self.may_set_role(state, actor, role),
            Change::PolicySet(policy) => self.may_set_policy(state, actor, policy),
            Change::ServiceAccountSet(account) => self.may_set_account(state, actor, account),
            Change::ElevationGrant(elevation) => {
                self.decide(state, actor, Right::BindingManage(&elevation.binding())).map(drop)
            }
            Change::EntitlementsSet(entitlements) => self
                .decide(state, actor, Right::ConnectionEntitle(&entitlements.connection))
                .map(drop),
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
            let right = Right::ConnectionUse(&grant.connection.name);
            let still_to_come = Circumstances::before_approvals();
            for action in &grant.actions {
                let call = Circumstances { action: Some(&action.name), ..still_to_come };
                self.decide_under(state, actor, right, &call)?;
                check_entitled(state, actor.principal, &grant.connection.name, &action.name)?;
            }
            // What is called is known here: a guardrail that lets some actions through asks about each.
            if grant.actions.is_empty() {
                self.decide_under(state, actor, right, &still_to_come)?;
            }
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
        let grantor = Actor::from(grantor);
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
        self.may_give(state, actor, |binding| binding.principal == bound)
    }

    /// Whether somebody may give each binding and elevation that `counts`.
    fn may_give(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        counts: impl Fn(&Binding) -> bool,
    ) -> Result<(), Denied> {
        let lasts = |until| actor.at.is_none_or(|at| at < until);
        let elevated =
            state.elevations().filter(|(_, until)| lasts(*until)).map(|(binding, _)| binding);
        for binding in state.bindings().chain(elevated).filter(|binding| counts(binding)) {
            self.decide(state, actor, Right::BindingManage(binding)).map(drop)?;
        }
        Ok(())
    }

    /// Who holds a role gets what it holds: it takes the right to give each of its bindings. What only owners
    /// do, no such role holds.
    fn may_set_role(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        role: &CustomRole,
    ) -> Result<(), Denied> {
        self.decide(state, actor, Right::RoleManage(&role.name)).map(drop)?;
        if let Some(right) = role.rights.iter().find(|right| !self.is_assignable(right)) {
            let rule = format!("no role that a charter makes can hold the right `{right}`");
            return Err(Denied::new("role-right", rule));
        }
        let made = Role::Custom(role.name.clone());
        self.may_give(state, actor, |binding| binding.role == made)
    }

    fn may_set_policy(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        policy: &Policy,
    ) -> Result<(), Denied> {
        self.decide(state, actor, Right::PolicyManage(&policy.name)).map(drop)?;
        if policy.cedar.is_empty() {
            return Ok(());
        }
        self.check_guardrail(&policy.name, &policy.cedar)
    }

    /// Whose key stands for an account has what is bound to it: it takes the right to give each of that.
    fn may_set_account(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        account: &ServiceAccount,
    ) -> Result<(), Denied> {
        self.decide(state, actor, Right::ServiceAccountManage(&account.name)).map(drop)?;
        let principal = account.principal();
        let groups: Vec<_> = state.groups_of(&principal).collect();
        self.may_give(state, actor, |binding| match &binding.principal {
            Grantee::Principal(bound) => *bound == principal,
            Grantee::CharterGroup(bound) => groups.contains(&&bound.charter_group),
            Grantee::Group(_) => false,
        })
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
