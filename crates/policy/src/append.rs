//! A charter change's question: may its signer make it, under the state before it?

use writ_evidence::charter::{Automation, Change, CharterState, MayAppend, NotPermitted};
use writ_model::Actor;

use crate::{Denied, Policies, Right};

impl MayAppend for Policies {
    fn may_append(
        &self,
        state: &CharterState,
        actor: Actor<'_>,
        change: &Change,
    ) -> Result<(), NotPermitted> {
        let decided = match change {
            Change::Genesis(_) | Change::IssuerSet(_) => {
                Err(Denied::new("policy-denied", "this change is signed by root keys"))
            }
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
            Change::AutomationPublish(automation) => self.may_publish(state, actor, automation),
        };
        decided.map_err(|denied| NotPermitted { reason: denied.reason })
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
}
