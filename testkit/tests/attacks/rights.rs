//! What bounds and extends rights, tried by those whom it bounds: roles of the charter's own, guardrails,
//! elevations, entitlements, service accounts.

use std::{collections::BTreeSet, thread, time::Duration};

use anyhow::Result;
use writ_evidence::{
    charter::{
        Binding, Change, CustomRole, Elevation, Entitlements, Policy, Scope, ServiceAccount,
    },
    key::SigningKey,
    writ::Operation,
};
use writ_model::{Grantee, Principal, Role};
use writ_testkit::{
    hostile::SERVICE_ACCOUNT,
    keys::{Login, enrolled, new_key, now},
};

use crate::{
    append::Next,
    setting::Setting,
    table::{Attack, Evidence, Theme},
};

const DESIGN: &str = "DESIGN §9: roles, guardrails, elevation, entitlements; ADR 10";

pub(crate) fn theme() -> Theme {
    let attacks = [roles(), guardrails(), while_they_last(), service_accounts()];
    Theme {
        title: "What bounds and extends rights",
        attacks: attacks.into_iter().flatten().collect(),
    }
}

/// A row whose attack is a change that somebody signs and the witness is asked to cosign.
macro_rules! change {
    ($id:literal, $code:literal, $attack:literal, $rule:literal, $who:literal, $make:expr) => {
        Attack {
            id: $id,
            source: DESIGN,
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::Signed,
            run: |setting| {
                let make: fn(&Setting) -> Result<Change> = $make;
                let login = setting.login($who)?;
                setting.cosign(Next::of(setting)?.signed(&login, make(setting)?)?)
            },
        }
    };
}

fn role(name: &str, right: &str) -> Result<Change> {
    let rights = BTreeSet::from([right.to_owned()]);
    Ok(Change::RoleSet(CustomRole { name: name.parse()?, rights }))
}

fn policy(name: &str, cedar: &str) -> Result<Change> {
    Ok(Change::PolicySet(Policy { name: name.parse()?, cedar: cedar.to_owned() }))
}

fn person(setting: &Setting, sub: &str) -> Principal {
    Principal { iss: setting.forger.issuer().0.to_owned(), sub: sub.to_owned() }
}

fn elevation(
    setting: &Setting,
    (sub, role): (&str, Role),
    (place, seconds): (&str, u64),
) -> Result<Change> {
    Ok(Change::ElevationGrant(Elevation {
        principal: person(setting, sub),
        role,
        scope: Scope::Workspace(place.parse()?),
        until: now().plus(seconds),
    }))
}

fn account(key: &SigningKey, seconds: u64) -> Result<Change> {
    Ok(Change::ServiceAccountSet(ServiceAccount {
        name: SERVICE_ACCOUNT.parse()?,
        keys: BTreeSet::from([key.public().clone()]),
        operations: BTreeSet::from([Operation::RunStart]),
        until: now().plus(seconds),
    }))
}

/// Has the owner make a sound change.
fn owner_makes(setting: &Setting, change: Change) -> Result<()> {
    let login = setting.login("owner")?;
    setting.append(&Next::of(setting)?.signed(&login, change)?)
}

fn roles() -> Vec<Attack> {
    vec![
        change!(
            "role-with-an-owners-right",
            "role-right",
            "An owner is talked into a role that would set guardrails.",
            "no role that a charter makes holds what only owners do",
            "owner",
            |_| role("helper", "policy.manage")
        ),
        change!(
            "role-made-inside",
            "policy-denied",
            "The administrator of one workspace makes a role.",
            "roles are made in the tenant, by who manages it",
            "ada",
            |_| role("helper", "run.start")
        ),
    ]
}

fn guardrails() -> Vec<Attack> {
    vec![
        change!(
            "guardrail-that-permits",
            "policy-invalid",
            "An owner is talked into a policy that permits everybody everything.",
            "a guardrail only forbids",
            "owner",
            |_| policy("open", "permit (principal, action, resource);")
        ),
        change!(
            "guardrail-by-administrator",
            "policy-denied",
            "The administrator of one workspace sets a guardrail that keeps others out.",
            "owners of the tenant set guardrails",
            "ada",
            |_| policy("mine", "forbid (principal, action, resource);")
        ),
        Attack {
            id: "guardrail-lifted",
            source: DESIGN,
            what: "A builder lifts the guardrail that she meets.",
            code: "policy-denied",
            rule: "owners of the tenant set guardrails, and take them away",
            evidence: Evidence::Signed,
            run: |setting| {
                let cedar = "forbid (principal, action == Action::\"run.start\", resource)
                    when { resource.name == \"no-such-automation\" };";
                owner_makes(setting, policy("narrow", cedar)?)?;
                let login = setting.login("dan")?;
                let shown =
                    setting.cosign(Next::of(setting)?.signed(&login, policy("narrow", "")?)?);
                owner_makes(setting, policy("narrow", "")?)?;
                shown
            },
        },
        Attack {
            id: "guardrail-met-by-an-owner",
            source: DESIGN,
            what: "An owner's order that a guardrail forbids is relayed.",
            code: "policy-forbidden",
            rule: "a guardrail forbids, whatever roles permit",
            evidence: Evidence::Signed,
            run: |setting| {
                let cedar = "forbid (principal, action == Action::\"run.start\", resource)
                    unless { context has login && context.login.amr.contains(\"hwk\") };";
                owner_makes(setting, policy("strong", cedar)?)?;
                let shown = setting.signed_with(|_| ());
                owner_makes(setting, policy("strong", "")?)?;
                shown
            },
        },
        Attack {
            id: "entitlement-not-held",
            source: "DESIGN §9: nobody does through Writ what they could not do in the service itself",
            what: "An owner orders a call that she may not make in the service itself.",
            code: "entitlement-missing",
            rule: "imported entitlements are an upper bound",
            evidence: Evidence::Signed,
            run: |setting| {
                let connection = setting.forger.grants[0].connection.name.clone();
                let nobody = Entitlements { connection, holders: Some(Vec::new()) };
                let lifted = Entitlements { holders: None, ..nobody.clone() };
                owner_makes(setting, Change::EntitlementsSet(nobody))?;
                let shown = setting.signed_with(|_| ());
                owner_makes(setting, Change::EntitlementsSet(lifted))?;
                shown
            },
        },
        change!(
            "entitlement-given-to-herself",
            "policy-denied",
            "A builder says what she may do in a service.",
            "entitlements are set by who manages the connection, or an importer",
            "dan",
            |setting| {
                let connection = setting.forger.grants[0].connection.name.clone();
                let nobody = Entitlements { connection, holders: Some(Vec::new()) };
                Ok(Change::EntitlementsSet(nobody))
            }
        ),
    ]
}

fn while_they_last() -> Vec<Attack> {
    vec![
        change!(
            "elevates-herself",
            "charter-second-signer",
            "The administrator of one workspace gives herself another role in it, for a while.",
            "nobody elevates themselves",
            "ada",
            |setting| elevation(setting, ("ada", Role::Builder), ("lab", 600))
        ),
        change!(
            "elevation-without-end",
            "charter-change",
            "An elevation is to last for a week.",
            "an elevation ends within a day",
            "ada",
            |setting| elevation(setting, ("dan", Role::Operator), ("lab", 7 * 24 * 3600))
        ),
        change!(
            "elevation-beyond-the-giver",
            "policy-denied",
            "The administrator of one workspace elevates a friend in another.",
            "it takes the right to give that binding for good",
            "ada",
            |setting| elevation(setting, ("dan", Role::Operator), ("secops", 600))
        ),
        Attack {
            id: "elevation-outlived",
            source: DESIGN,
            what: "An order by somebody whose elevation is over is relayed.",
            code: "policy-denied",
            rule: "an elevation counts while it lasts, by the jail's clock",
            evidence: Evidence::Signed,
            run: |setting| {
                let change = elevation(setting, ("kit", Role::Operator), ("secops", 3))?;
                owner_makes(setting, change)?;
                thread::sleep(Duration::from_secs(4));
                setting.signed_by(&setting.login("kit")?)
            },
        },
    ]
}

/// The login of a key that the owner has enrolled for so many seconds, with a role that starts runs.
fn importer(setting: &Setting, seconds: u64) -> Result<Login> {
    let key = new_key()?;
    owner_makes(setting, account(&key, seconds)?)?;
    let principal = Grantee::Principal(Principal::from(&SERVICE_ACCOUNT.parse()?));
    let binding = Binding { principal, role: Role::Operator, scope: Scope::Tenant };
    owner_makes(setting, Change::BindingAdd(binding))?;
    enrolled(key)
}

fn service_accounts() -> Vec<Attack> {
    vec![
        Attack {
            id: "service-account-of-another-key",
            source: DESIGN,
            what: "The control plane orders a run in the name of a service account, by a key of its own.",
            code: "idc-service-account",
            rule: "the charter enrolls the keys that stand for an account",
            evidence: Evidence::Signed,
            run: |setting| {
                importer(setting, 600)?;
                setting.signed_by(&enrolled(new_key()?)?)
            },
        },
        Attack {
            id: "service-account-past-its-day",
            source: DESIGN,
            what: "An order by a service account's key is relayed after the day until which it counts.",
            code: "idc-service-account",
            rule: "somebody enrolls a key again before its day",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = importer(setting, 3)?;
                thread::sleep(Duration::from_secs(4));
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "service-account-with-a-persons-token",
            source: DESIGN,
            what: "A person's token is put beside a service account's key.",
            code: "idc-token-form",
            rule: "a service account's credential holds no token",
            evidence: Evidence::Signed,
            run: |setting| {
                let mut login = importer(setting, 600)?;
                login.idc.id_token = setting.login("owner")?.idc.id_token;
                setting.signed_by(&login)
            },
        },
        change!(
            "service-account-taken-over",
            "policy-denied",
            "The administrator of one workspace enrolls a key of hers for a service account.",
            "whoever replaces an account's keys may give all that it has",
            "ada",
            |_| account(&new_key()?, 600)
        ),
    ]
}
