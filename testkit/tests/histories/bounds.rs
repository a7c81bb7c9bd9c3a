//! What might be wanted next that bounds or extends rights: roles of the charter's own, guardrails, service
//! accounts, elevations, entitlements.

use std::collections::BTreeSet;

use writ_evidence::{
    charter::{
        Change, CustomRole, Elevation, Entitlement, Entitlements, Policy, Scope, ServiceAccount,
    },
    writ::Operation,
};
use writ_model::{ActionName, ConnectionName, Role, UnixTime};
use writ_testkit::{
    charter_model::{Model, guardrails},
    tenant::NOON,
};

use crate::{
    ASKED_AT,
    changes::{self, ACCOUNTS, CONNECTIONS, POLICIES, ROLES, WORKSPACES, parsed, people},
    dice::Dice,
    world::World,
};

const DAY_S: u64 = 24 * 3600;
/// What roles of the charter's own are made of, mostly.
const RIGHTS: [&str; 12] = [
    "automation.publish",
    "binding.manage",
    "connection.entitle",
    "connection.manage",
    "connection.use",
    "group.manage",
    "run.start",
    "standing.revoke",
    "standing.set",
    "subject.suspend",
    "workspace.manage",
    "charter.view",
];
/// What none of them may hold, or nobody has heard of.
const NO_RIGHTS: [&str; 8] = [
    "binding.manage-owner",
    "subject.suspend-owner",
    "runner.manage",
    "policy.manage",
    "role.manage",
    "service-account.manage",
    "role:owner",
    "no.such",
];
/// Every action that grants of histories name.
pub(crate) const ACTIONS: [&str; 3] =
    ["git.issues.create", "chat.issues.create", "http.issues.create"];

pub(crate) fn role(dice: &mut Dice) -> CustomRole {
    let mut rights: BTreeSet<String> = if dice.one_in(4) {
        BTreeSet::new()
    } else {
        (0..=dice.below(6)).map(|_| (*dice.pick(&RIGHTS)).to_owned()).collect()
    };
    if dice.one_in(8) {
        rights.insert((*dice.pick(&NO_RIGHTS)).to_owned());
    }
    if dice.one_in(30) {
        rights.extend((0..65).map(|number| format!("no.such.{number}")));
    }
    CustomRole { name: parsed(dice.pick(&ROLES)), rights }
}

pub(crate) fn policy(dice: &mut Dice) -> Policy {
    let cedar = match dice.below(8) {
        0 | 1 => String::new(),
        2 => (*dice.pick(&guardrails::NONE)).to_owned(),
        3 if dice.one_in(3) => " ".repeat(4097),
        // That which forbids all leaves nothing to see.
        _ => {
            let first = usize::from(!dice.one_in(6));
            dice.pick(&guardrails::ALL[first..]).0.to_owned()
        }
    };
    Policy { name: parsed(dice.pick(&POLICIES)), cedar }
}

pub(crate) fn account(dice: &mut Dice, world: &World) -> ServiceAccount {
    let keys = if dice.one_in(5) { Vec::new() } else { dice.some_of(&world.account_keys) };
    let mut operations = BTreeSet::from([Operation::RunStart]);
    if !dice.one_in(5) {
        operations.insert(Operation::CharterAppend);
    }
    if dice.one_in(12) {
        operations.insert(Operation::RunApprove);
    }
    let until = match dice.below(8) {
        0 => ASKED_AT,
        1 => ASKED_AT.plus(1),
        2 => NOON.plus(160),
        3 => ASKED_AT.plus(366 * DAY_S),
        4 => ASKED_AT.plus(366 * DAY_S + 1),
        _ => ASKED_AT.plus(30 * DAY_S),
    };
    let keys = keys.into_iter().collect();
    ServiceAccount { name: parsed(dice.pick(&ACCOUNTS)), keys, operations, until }
}

pub(crate) fn elevation(dice: &mut Dice, model: &Model) -> Elevation {
    let until = match dice.below(8) {
        0 => ASKED_AT,
        1 => ASKED_AT.plus(1),
        2 => NOON.plus(90),
        3 => ASKED_AT.plus(DAY_S),
        4 => ASKED_AT.plus(DAY_S + 1),
        _ => ASKED_AT.plus(3600),
    };
    let again = changes::known_or(dice, model.elevations(), |dice| Elevation {
        principal: dice.pick(&people()).clone(),
        role: changes::role(dice),
        scope: changes::scope(dice),
        until,
    });
    let new = Elevation {
        principal: dice.pick(&people()).clone(),
        role: changes::role(dice),
        scope: changes::scope(dice),
        until,
    };
    if dice.one_in(4) { Elevation { until, ..again } } else { new }
}

pub(crate) fn entitlements(dice: &mut Dice, model: &Model) -> Entitlements {
    let known: Vec<ConnectionName> =
        model.connections().iter().map(|known| known.name.clone()).collect();
    let connection = changes::known_or(dice, &known, |dice| parsed(dice.pick(&CONNECTIONS)));
    let mut holders: Vec<Entitlement> = Vec::new();
    for principal in people() {
        if !dice.one_in(4) {
            let actions = if dice.one_in(4) { dice.some_of(&ACTIONS) } else { ACTIONS.to_vec() };
            let actions = actions.into_iter().map(parsed::<ActionName>).collect();
            holders.push(Entitlement { principal, actions });
        }
    }
    if dice.one_in(12) {
        holders.extend(holders.first().cloned());
    }
    Entitlements { connection, holders: (!dice.one_in(3)).then_some(holders) }
}

/// What a settled tenant mostly has of these: a role, both service accounts, and a bound.
pub(crate) fn settling(dice: &mut Dice, world: &World) -> Vec<Change> {
    let mut settling = Vec::new();
    let rights = (0..4).map(|_| (*dice.pick(&RIGHTS)).to_owned()).collect();
    settling.push(Change::RoleSet(CustomRole { name: parsed(ROLES[0]), rights }));
    for (name, keys) in ACCOUNTS.iter().zip([&world.account_keys[..2], &world.account_keys[2..]]) {
        settling.push(Change::ServiceAccountSet(ServiceAccount {
            name: parsed(name),
            keys: keys.iter().cloned().collect(),
            operations: [Operation::RunStart, Operation::CharterAppend].into(),
            until: ASKED_AT.plus(30 * DAY_S),
        }));
    }
    if dice.one_in(2) {
        let all = |principal| Entitlement {
            principal,
            actions: ACTIONS.iter().map(parsed::<ActionName>).collect(),
        };
        let holders = Some(dice.some_of(&people()).into_iter().map(all).collect());
        let connection = parsed(CONNECTIONS[0]);
        settling.push(Change::EntitlementsSet(Entitlements { connection, holders }));
    }
    settling
}

/// Somebody who holds something for an hour.
pub(crate) fn elevated(dice: &mut Dice) -> Change {
    let role = if dice.one_in(2) { Role::Administrator } else { Role::Custom(parsed(ROLES[0])) };
    let until = UnixTime(ASKED_AT.0 + 1 + u64::try_from(dice.below(2)).unwrap() * 3600);
    let scope = match dice.below(4) {
        0 | 1 => Scope::Tenant,
        // A settled tenant has the first two workspaces.
        other => Scope::Workspace(parsed(WORKSPACES[other - 2])),
    };
    Change::ElevationGrant(Elevation {
        principal: dice.pick(&people()[1..]).clone(),
        role,
        scope,
        until,
    })
}
