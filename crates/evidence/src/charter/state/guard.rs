//! Which changes take a second signer: those that decide where a credential goes (DESIGN §3.3).
//!
//! Once a workspace has two administrators, a new secret reference, another place in a request, and
//! wider hosts, address ranges or `plaintext` on a kept one are signed by two people who may. An elevation is
//! signed by somebody else than the one it is for.
//!
//! Invariants:
//! * two signers are two principals with two keys, each of whom may make the change;
//! * who can't be counted (the members of a group that only tokens list) counts as one more;
//! * a workload is no second signer, and a service account neither that nor an administrator: one administrator
//!   alone could make it and hold its key;
//! * an elevation counts while it lasts, whatever has been dropped of those that are over.

use std::collections::BTreeSet;

use writ_model::{
    Cidr, Connection, ConnectionHost, Grantee, Principal, Role, UnixTime, WorkspaceName,
};

use super::CharterState;
use crate::{
    charter::{Change, Scope, Subject},
    idc::VerifiedIdc,
};

impl CharterState {
    /// Whether enough different people signed.
    pub(super) fn check_second(
        &self,
        change: &Change,
        signers: &[VerifiedIdc],
        at: UnixTime,
    ) -> Result<(), &'static str> {
        if let Change::ElevationGrant(elevation) = change
            && signers.iter().all(|signer| *signer.principal() == elevation.principal)
        {
            return Err("nobody elevates themselves");
        }
        let Some(reason) = self.takes_second(change, at) else { return Ok(()) };
        let people = signers.iter().filter(|signer| !signer.is_workload());
        let keys: BTreeSet<_> = people.clone().map(VerifiedIdc::key).collect();
        let people: BTreeSet<_> = people.map(VerifiedIdc::principal).collect();
        if people.len() >= 2 && keys.len() >= 2 { Ok(()) } else { Err(reason) }
    }

    /// Why a change that is witnessed at `at` takes a second signer; `None` if one will do.
    #[must_use]
    pub fn takes_second(&self, change: &Change, at: UnixTime) -> Option<&'static str> {
        let Change::ConnectionSet(connection) = change else { return None };
        let reason = self.credential_goes_further(connection)?;
        (self.administrators(connection.name.workspace(), at) >= 2).then_some(reason)
    }

    fn credential_goes_further(&self, connection: &Connection) -> Option<&'static str> {
        let Some(kept) = self.connection(&connection.name) else {
            return Some("the connection names a secret that it did not name before");
        };
        let kept = &kept.connection;
        if kept.secret != connection.secret {
            return Some("the connection names another secret");
        }
        if kept.kind != connection.kind {
            return Some("the credential goes into another place of a request");
        }
        // To give plaintext up, or part of a range, is no new place for the credential.
        let reached = |host: &ConnectionHost| {
            kept.hosts.iter().any(|known| {
                known.host == host.host
                    && known.port == host.port
                    && (known.plaintext || !host.plaintext)
            })
        };
        if !connection.hosts.iter().all(reached) {
            return Some("the connection reaches a host, or a host in plaintext, that it did not");
        }
        let allowed = |range: &Cidr| kept.allow_cidrs.iter().any(|known| known.covers(range));
        if !connection.allow_cidrs.iter().all(allowed) {
            return Some("the connection allows an address range that it did not");
        }
        None
    }

    /// How many people may manage connections of a workspace, as far as that can be counted.
    fn administrators(&self, workspace: &WorkspaceName, at: UnixTime) -> usize {
        let mut people: BTreeSet<&Principal> = BTreeSet::new();
        let mut groups = BTreeSet::new();
        let elevated = self.elevations.iter().filter(|(_, until)| **until > at);
        for binding in self.bindings.iter().chain(elevated.map(|(binding, _)| binding)) {
            let manages = matches!(binding.role, Role::Owner | Role::Administrator)
                || self.custom_role_holds(&binding.role, "connection.manage");
            let here = match &binding.scope {
                Scope::Tenant => true,
                Scope::Workspace(name) => name == workspace,
            };
            if !manages || !here {
                continue;
            }
            match &binding.principal {
                Grantee::Principal(person) => {
                    people.insert(person);
                }
                Grantee::CharterGroup(group) => {
                    people.extend(self.groups.get(&group.charter_group).into_iter().flatten());
                }
                Grantee::Group(group) => {
                    groups.insert(group);
                }
            }
        }
        people.retain(|person| {
            !person.is_service_account() && !self.is_suspended(&Subject::User((*person).clone()))
        });
        people.len() + groups.len()
    }
}
