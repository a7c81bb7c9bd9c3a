//! A charter change's question: may its signer make it, under the state before it?

use writ_evidence::charter::{Automation, Change, CharterState, MayAppend, NotPermitted};
use writ_model::Principal;

use crate::{Denied, Policies, Right};

impl MayAppend for Policies {
    fn may_append(
        &self,
        state: &CharterState,
        principal: &Principal,
        change: &Change,
    ) -> Result<(), NotPermitted> {
        let decided = match change {
            Change::Genesis(_) => {
                Err(Denied::new("policy-denied", "a genesis is signed by root keys"))
            }
            Change::WorkspaceSet(workspace) => {
                self.decide(state, principal, Right::WorkspaceManage(&workspace.name)).map(drop)
            }
            Change::BindingAdd(binding) | Change::BindingRemove(binding) => {
                self.decide(state, principal, Right::BindingManage(binding)).map(drop)
            }
            Change::ConnectionSet(connection) => {
                self.decide(state, principal, Right::ConnectionManage(&connection.name)).map(drop)
            }
            Change::PackAcknowledge(pack) => {
                self.decide(state, principal, Right::PackAcknowledge(&pack.name)).map(drop)
            }
            Change::AutomationPublish(automation) => self.may_publish(state, principal, automation),
        };
        decided.map_err(|denied| NotPermitted { reason: denied.reason })
    }
}

impl Policies {
    /// Publishing takes the right to publish, and to use every connection of the footprint.
    fn may_publish(
        &self,
        state: &CharterState,
        principal: &Principal,
        automation: &Automation,
    ) -> Result<(), Denied> {
        self.decide(state, principal, Right::AutomationPublish(&automation.name)).map(drop)?;
        for grant in &automation.footprint.connections {
            self.decide(state, principal, Right::ConnectionUse(&grant.connection.name))
                .map(drop)?;
        }
        Ok(())
    }
}
