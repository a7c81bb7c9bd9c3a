//! What bounds and extends the rights that bindings give: roles of the charter's own, guardrails, elevations,
//! and what people may do in a service itself (DESIGN §9).
//!
//! Not here: what a right is and what a guardrail says (`policy`); the state only keeps their text.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use writ_model::{ActionName, ConnectionName, PolicyName, Principal, Role, RoleName, UnixTime};

use super::{Binding, Scope};

/// Most rights of one role.
const RIGHTS_MAX: usize = 64;
/// Longest text of a guardrail, in bytes.
const POLICY_MAX: usize = 4096;
/// Most seconds that an elevation lasts.
const ELEVATION_MAX_S: u64 = 24 * 3600;
/// Most people that one set of entitlements lists.
const HOLDERS_MAX: usize = 10_000;

/// A role that the charter makes; one without rights is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomRole {
    /// Its name; bindings write it `custom/name`.
    pub name: RoleName,
    /// The rights that it holds, as `docs/roles.md` spells them, such as `run.start`.
    pub rights: BTreeSet<String>,
}

/// A guardrail: Cedar policies that forbid, whatever roles permit; one without text is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// `forbid` policies in Cedar's syntax, at most 4096 bytes.
    pub cedar: String,
}

/// A role for one person, for at most a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elevation {
    /// Who. Somebody else signs it.
    pub principal: Principal,
    /// What.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// From when on it holds no more.
    pub until: UnixTime,
}

/// What people may do in the service behind a connection: nobody does more of it through Writ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlements {
    /// The connection.
    pub connection: ConnectionName,
    /// Each person once, and what they may; whoever is not listed may nothing. Absent, the bound is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holders: Option<Vec<Entitlement>>,
}

/// What one person may do in a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlement {
    /// Who.
    pub principal: Principal,
    /// The actions that they may have called.
    pub actions: BTreeSet<ActionName>,
}

impl CustomRole {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.rights.len() > RIGHTS_MAX {
            return Err("a role holds at most 64 rights");
        }
        Ok(())
    }
}

impl Policy {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.cedar.len() > POLICY_MAX {
            return Err("a policy has at most 4096 bytes");
        }
        Ok(())
    }
}

impl Elevation {
    /// The binding that it is like while it lasts.
    #[must_use]
    pub fn binding(&self) -> Binding {
        let (principal, role, scope) =
            (self.principal.clone(), self.role.clone(), self.scope.clone());
        Binding { principal: writ_model::Grantee::Principal(principal), role, scope }
    }

    /// Whether it lasts for a while from `at`, and for a day at most.
    pub(super) fn check_times(&self, at: UnixTime) -> Result<(), &'static str> {
        if self.until <= at || self.until > at.plus(ELEVATION_MAX_S) {
            return Err("an elevation ends within a day");
        }
        Ok(())
    }
}

impl Entitlements {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let holders = self.holders.as_deref().unwrap_or_default();
        let distinct: BTreeSet<_> = holders.iter().map(|holder| &holder.principal).collect();
        if holders.len() > HOLDERS_MAX {
            return Err("entitlements list at most 10,000 people");
        }
        if distinct.len() < holders.len() {
            return Err("entitlements list a person twice");
        }
        Ok(())
    }
}
