//! What bounds and extends the rights that bindings give: roles of a charter's own, guardrails, elevations,
//! entitlements, service accounts. Real signatures, no process; DESIGN §9, ADR 10.

#![cfg(test)]

use std::collections::BTreeSet;

use serde_json::json;
use writ_evidence::{
    charter::{
        Automation, Binding, Change, CustomRole, Elevation, Entitlement, Entitlements, FoldError,
        Footprint, Policy, Scope, ServiceAccount, Workspace,
    },
    issuer::TokenKeys,
    key::SigningKey,
    writ::{ConnectionGrant, ConnectionGrantType, Operation},
};
use writ_model::{
    Actor, Connection, ConnectionHost, ConnectionKind, Grantee, PinnedAction, PinnedConnection,
    Principal, Role, UnixTime,
};
use writ_policy::{Circumstances, Policies, Right};
use writ_testkit::{
    keys::{enrolled, new_key},
    tenant::{ISSUER, NOON, Tenant},
    world::sources,
};

fn person(sub: &str) -> Principal {
    Principal { iss: ISSUER.to_owned(), sub: sub.to_owned() }
}

fn lab() -> Scope {
    Scope::Workspace("lab".parse().unwrap())
}

fn bind(principal: Principal, role: &str, scope: Scope) -> Change {
    let principal = Grantee::Principal(principal);
    Change::BindingAdd(Binding { principal, role: role.parse().unwrap(), scope })
}

fn role(name: &str, rights: &[&str]) -> Change {
    let rights = rights.iter().map(ToString::to_string).collect();
    Change::RoleSet(CustomRole { name: name.parse().unwrap(), rights })
}

fn policy(name: &str, cedar: &str) -> Change {
    Change::PolicySet(Policy { name: name.parse().unwrap(), cedar: cedar.to_owned() })
}

fn elevation(sub: &str, role: &str, until: UnixTime) -> Change {
    let role = role.parse().unwrap();
    Change::ElevationGrant(Elevation { principal: person(sub), role, scope: lab(), until })
}

fn account(keys: &[&SigningKey], until: UnixTime) -> Change {
    Change::ServiceAccountSet(ServiceAccount {
        name: "importer".parse().unwrap(),
        keys: keys.iter().map(|key| key.public().clone()).collect(),
        operations: BTreeSet::from([Operation::CharterAppend, Operation::RunStart]),
        until,
    })
}

/// A tenant with a workspace and a connection, an administrator, and somebody who administers the workspace.
fn tenant() -> (Tenant, Policies) {
    let policies = Policies::built_in().unwrap();
    let mut tenant = Tenant::found().unwrap();
    let secret_paths = vec!["local:lab/*".to_owned()];
    let connection = Connection {
        name: "lab/github".parse().unwrap(),
        kind: ConnectionKind::Bearer,
        hosts: vec![ConnectionHost { host: "api.example".to_owned(), port: 443, plaintext: false }],
        allow_cidrs: Vec::new(),
        secret: "local:lab/token".parse().unwrap(),
    };
    for change in [
        Change::WorkspaceSet(Workspace { name: "lab".parse().unwrap(), secret_paths }),
        Change::ConnectionSet(connection),
        bind(person("ada"), "administrator", Scope::Tenant),
        bind(person("lea"), "administrator", lab()),
        bind(person("bob"), "builder", lab()),
    ] {
        tenant.change("owner", change, &policies).unwrap();
    }
    (tenant, policies)
}

fn code(refused: &anyhow::Error) -> &'static str {
    refused.downcast_ref::<FoldError>().map_or("not a refusal of the charter", FoldError::code)
}

#[test]
fn a_role_of_the_charters_own_gives_its_rights_where_it_is_bound_and_nowhere_else() {
    let (mut tenant, policies) = tenant();
    let unknown = tenant.change("ada", bind(person("cyd"), "custom/start", lab()), &policies);
    assert_eq!(code(&unknown.unwrap_err()), "charter-change");
    tenant.change("ada", role("start", &["run.start"]), &policies).unwrap();
    tenant.change("ada", bind(person("cyd"), "custom/start", lab()), &policies).unwrap();
    let (here, there) = ("lab/triage".parse().unwrap(), "prod/triage".parse().unwrap());
    let cyd = person("cyd");
    let may = |tenant: &Tenant, right| policies.decide(&tenant.state, &cyd, right);

    let permit = may(&tenant, Right::RunStart(&here)).unwrap();
    assert_eq!(permit.policies(), ["role-custom"]);
    assert!(permit.because()[0].contains("binding custom/start → workspace lab"), "{permit:?}");
    assert!(may(&tenant, Right::RunStart(&there)).is_err());
    let denied = may(&tenant, Right::RunReadOutput(&here)).unwrap_err();
    assert_eq!(denied.code, "policy-denied");

    tenant.change("ada", role("start", &[]), &policies).unwrap();
    assert!(may(&tenant, Right::RunStart(&here)).is_err(), "a role that is gone gives nothing");
}

#[test]
fn no_role_holds_what_only_owners_do_and_only_who_may_give_its_bindings_changes_it() {
    let (mut tenant, policies) = tenant();
    for right in [
        "binding.manage-owner",
        "policy.manage",
        "role.manage",
        "runner.manage",
        "role:custom",
        "service-account.manage",
        "subject.suspend-owner",
        "no.such.right",
    ] {
        let refused = tenant.change("owner", role("wide", &[right]), &policies).unwrap_err();
        assert_eq!(code(&refused), "role-right", "{right}");
    }
    let inside = tenant.change("lea", role("start", &["run.start"]), &policies).unwrap_err();
    assert_eq!(code(&inside), "policy-denied", "roles are the tenant's");
}

#[test]
fn a_guardrail_forbids_whatever_roles_permit_and_locks_nobody_out_of_stopping_and_mending() {
    let (mut tenant, policies) = tenant();
    let refused =
        tenant.change("ada", policy("all", "forbid (principal, action, resource);"), &policies);
    assert_eq!(code(&refused.unwrap_err()), "policy-denied", "an owner sets it");
    tenant
        .change(
            "owner",
            policy("all", "@id(\"every\") forbid (principal, action, resource);"),
            &policies,
        )
        .unwrap();

    let denied = policies.decide(&tenant.state, &person("owner"), Right::AuditRead).unwrap_err();
    assert_eq!(denied.code, "policy-forbidden");
    assert!(denied.reason.contains("all/every"), "{}", denied.reason);
    let bound = tenant.change("owner", bind(person("eve"), "viewer", lab()), &policies);
    assert_eq!(code(&bound.unwrap_err()), "policy-forbidden");
    let subject = writ_evidence::charter::Subject::User(person("bob"));
    tenant.change("ada", Change::SubjectSuspend(subject), &policies).unwrap();
    tenant.change("owner", policy("all", ""), &policies).unwrap();
    policies.decide(&tenant.state, &person("owner"), Right::AuditRead).unwrap();
}

#[test]
fn what_permits_or_does_not_parse_or_does_not_fit_is_no_guardrail() {
    let (mut tenant, policies) = tenant();
    for cedar in [
        "permit (principal, action, resource);",
        "forbid (principal, action, resource); permit (principal, action, resource);",
        "forbid (principal == ?principal, action, resource);",
        "forbid (principal, action, resource",
        "// forbid (principal, action, resource);",
        "forbid (principal, action, resource) when { context.login.workload };",
        "forbid (principal, action == Action::\"run.begin\", resource);",
    ] {
        let refused = tenant.change("owner", policy("odd", cedar), &policies).unwrap_err();
        assert_eq!(code(&refused), "policy-invalid", "{cedar}");
    }
    let long = format!("forbid (principal, action, resource); //{}", "x".repeat(4096));
    let refused = tenant.change("owner", policy("odd", &long), &policies).unwrap_err();
    assert_eq!(code(&refused), "charter-change");
}

#[test]
fn a_guardrail_asks_how_whoever_signs_has_logged_in() {
    let (mut tenant, policies) = tenant();
    let cedar = "forbid (principal, action == Action::\"binding.manage\", resource) unless {
        context has login && context.login.amr.contains(\"hwk\") && context.login has auth_time
        && context.login.at - context.login.auth_time <= 900 };";
    tenant.change("owner", policy("strong", cedar), &policies).unwrap();
    let mut try_with = |amr: &[&str], seen: u64| {
        let claims = |nonce| {
            json!({ "iss": ISSUER, "sub": "ada", "aud": "writ-cli", "nonce": nonce, "iat": NOON,
                    "exp": NOON.plus(3600), "amr": amr, "auth_time": NOON.0 - seen })
        };
        let login = tenant.log_in_with(claims).unwrap();
        let change = bind(person("cyd"), "viewer", lab());
        let candidate = tenant.candidate(&login, change, NOON).unwrap();
        tenant.admit(candidate, NOON, &policies).map_err(|refused| code(&refused))
    };
    assert_eq!(try_with(&["pwd"], 60), Err("policy-forbidden"));
    assert_eq!(try_with(&["pwd", "hwk"], 901), Err("policy-forbidden"));
    assert_eq!(try_with(&["pwd", "hwk"], 900), Ok(()));
}

#[test]
fn a_guardrail_says_how_many_people_it_takes_by_what_it_would_permit() {
    use writ_model::pack::Effect::{Destructive, Write};

    let (mut tenant, policies) = tenant();
    let cedar = "forbid (principal, action == Action::\"connection.use\", resource)
        when { context has call && context.call has effect && context.call.effect == \"destructive\" }
        unless { context.approvals >= 2 };";
    tenant.change("owner", policy("four-eyes", cedar), &policies).unwrap();
    let record = tenant.state.connection(&"lab/github".parse().unwrap()).unwrap();
    let connection = writ_model::PinnedConnection {
        name: record.connection.name.clone(),
        digest: record.digest,
    };
    let name: writ_model::ActionName = "http.request.delete".parse().unwrap();
    let action = writ_model::PinnedAction { name: name.clone(), digest: record.digest };
    let bob = person("bob");
    let decide = |effect, approvals| {
        let call = Circumstances { action: Some(&name), effect, approvals };
        policies.decide_action(&tenant.state, ((&bob).into(), &bob), (&connection, &action), &call)
    };
    let denied = decide(Some(Destructive), 0).unwrap_err();
    assert_eq!((denied.code, denied.approvals), ("approval-demanded", Some(2)));
    assert_eq!(decide(Some(Destructive), 1).unwrap_err().code, "approval-demanded");
    decide(Some(Destructive), 2).unwrap();
    decide(Some(Write), 0).unwrap();
    decide(None, 0).unwrap();
}

#[test]
fn nobody_elevates_themselves_and_an_elevation_ends_by_itself_or_sooner() {
    let (mut tenant, policies) = tenant();
    let hour = NOON.plus(3600);
    let own = tenant.change("lea", elevation("lea", "builder", hour), &policies).unwrap_err();
    assert_eq!(code(&own), "charter-second-signer");
    let wider = tenant.change("lea", elevation("bob", "owner", hour), &policies).unwrap_err();
    assert_eq!(code(&wider), "policy-denied");
    for until in [NOON, NOON.plus(24 * 3600 + 1)] {
        let refused = tenant.change("lea", elevation("cyd", "builder", until), &policies);
        assert_eq!(code(&refused.unwrap_err()), "charter-change", "{until:?}");
    }
    tenant.change("lea", elevation("cyd", "builder", hour), &policies).unwrap();

    let (cyd, automation) = (person("cyd"), "lab/triage".parse().unwrap());
    let may = |tenant: &Tenant, at: Option<UnixTime>| {
        let actor = Actor { at, ..Actor::from(&cyd) };
        policies.decide(&tenant.state, actor, Right::RunStart(&automation)).is_ok()
    };
    assert!(may(&tenant, Some(NOON.plus(3599))));
    assert!(!may(&tenant, Some(hour)), "at its end");
    assert!(!may(&tenant, None), "whoever is not there, such as a publisher");
    let early =
        Binding { principal: Grantee::Principal(cyd.clone()), role: Role::Builder, scope: lab() };
    tenant.change("lea", Change::BindingRemove(early), &policies).unwrap();
    assert!(!may(&tenant, Some(NOON)));
}

#[test]
fn an_elevation_gives_nothing_that_outlasts_it() {
    let (mut tenant, policies) = tenant();
    let hour = NOON.plus(3600);
    tenant.change("owner", elevation("cyd", "administrator", hour), &policies).unwrap();
    let elevated = Elevation {
        principal: person("dee"),
        role: Role::Owner,
        scope: Scope::Tenant,
        until: hour,
    };
    tenant.change("owner", Change::ElevationGrant(elevated), &policies).unwrap();
    let (key, group) = (new_key().unwrap(), "on-call".parse().unwrap());
    let members = BTreeSet::from([person("cyd")]);

    for (who, change) in [
        ("cyd", bind(person("cyd"), "administrator", lab())),
        ("cyd", elevation("eve", "administrator", hour)),
        ("dee", bind(person("dee"), "owner", Scope::Tenant)),
        ("dee", account(&[&key], hour)),
        ("dee", role("mine", &["run.start"])),
        ("dee", policy("mine", "forbid (principal, action, resource);")),
        ("dee", Change::GroupSet(writ_evidence::charter::Group { name: group, members })),
    ] {
        let refused = tenant.change(who, change, &policies).unwrap_err();
        assert_eq!(code(&refused), "policy-denied", "{who}");
    }
    let lab = writ_evidence::charter::Subject::Workspace("lab".parse().unwrap());
    tenant.change("cyd", Change::SubjectSuspend(lab), &policies).unwrap();
}

#[test]
fn nobody_does_through_writ_what_they_may_not_do_in_the_service() {
    let (mut tenant, policies) = tenant();
    let connection: writ_model::ConnectionName = "lab/github".parse().unwrap();
    let name: writ_model::ActionName = "http.request.get".parse().unwrap();
    let entitle = |holders: Option<&[&str]>| {
        let one = |sub: &&str| Entitlement {
            principal: person(sub),
            actions: BTreeSet::from(["http.request.get".parse().unwrap()]),
        };
        let holders = holders.map(|subs| subs.iter().map(one).collect());
        Change::EntitlementsSet(Entitlements { connection: "lab/github".parse().unwrap(), holders })
    };
    let refused = tenant.change("bob", entitle(Some(&["bob"])), &policies).unwrap_err();
    assert_eq!(code(&refused), "policy-denied");
    let nothing = tenant.change("lea", entitle(None), &policies).unwrap_err();
    assert_eq!(code(&nothing), "charter-change", "there is no bound to lift");

    let decide = |tenant: &Tenant, signer: &str, publisher: &str| {
        let record = tenant.state.connection(&connection).unwrap();
        let pinned =
            writ_model::PinnedConnection { name: connection.clone(), digest: record.digest };
        let action = writ_model::PinnedAction { name: name.clone(), digest: record.digest };
        let (signer, publisher) = (person(signer), person(publisher));
        let both = ((&signer).into(), &publisher);
        let call = Circumstances::default();
        policies
            .decide_action(&tenant.state, both, (&pinned, &action), &call)
            .map_err(|denied| denied.code)
            .map(drop)
    };
    tenant.change("lea", entitle(Some(&["bob"])), &policies).unwrap();
    assert_eq!(decide(&tenant, "bob", "bob"), Ok(()));
    assert_eq!(decide(&tenant, "owner", "bob"), Err("entitlement-missing"), "the signer");
    assert_eq!(decide(&tenant, "bob", "owner"), Err("entitlement-missing"), "the publisher");
    tenant.change("lea", entitle(Some(&[])), &policies).unwrap();
    assert_eq!(decide(&tenant, "bob", "bob"), Err("entitlement-missing"), "nobody is listed");
    tenant.change("lea", entitle(None), &policies).unwrap();
    assert_eq!(decide(&tenant, "owner", "bob"), Ok(()));
}

#[test]
fn a_service_account_signs_by_its_key_until_its_day_and_nothing_that_people_sign() {
    let (mut tenant, policies) = tenant();
    let (key, day) = (new_key().unwrap(), NOON.plus(24 * 3600));
    tenant.change("ada", account(&[&key], day), &policies).unwrap();
    let importer = Principal::from(&"importer".parse().unwrap());
    tenant.change("ada", role("import", &["connection.entitle"]), &policies).unwrap();
    tenant.change("ada", bind(importer.clone(), "custom/import", lab()), &policies).unwrap();
    let login = enrolled(key).unwrap();
    let verify = |tenant: &Tenant, at| {
        let keys = TokenKeys::Fetched(&tenant.keys);
        tenant.state.verify_idc(&login.idc, keys, at).map_err(|error| error.code())
    };

    let verified = verify(&tenant, NOON).unwrap();
    assert_eq!((verified.principal(), verified.is_workload()), (&importer, true));
    assert!(verified.may_sign(Operation::RunApprove).is_err());
    assert_eq!(verify(&tenant, day).unwrap_err(), "idc-service-account");
    let connection = "lab/github".parse().unwrap();
    let entitled = Change::EntitlementsSet(Entitlements { connection, holders: Some(Vec::new()) });
    let candidate = tenant.candidate(&login, entitled.clone(), NOON).unwrap();
    tenant.admit(candidate, NOON, &policies).unwrap();
    let bound = tenant.candidate(&login, bind(person("eve"), "viewer", lab()), NOON).unwrap();
    let refused = tenant.admit(bound, NOON, &policies).unwrap_err();
    assert_eq!(code(&refused), "policy-denied");

    tenant.change("ada", account(&[], day), &policies).unwrap();
    assert_eq!(verify(&tenant, NOON).unwrap_err(), "idc-service-account", "gone");
    let again = Tenant::fold(&tenant.entries, tenant.state.ten(), &policies).unwrap();
    assert_eq!(again, tenant.state, "whoever folds later believes what witnesses saw");
}

#[test]
fn whoever_replaces_an_accounts_keys_may_give_all_that_it_has() {
    let (mut tenant, policies) = tenant();
    let [first, second] = [(); 2].map(|()| new_key().unwrap());
    let day = NOON.plus(24 * 3600);
    tenant.change("ada", account(&[&first], day), &policies).unwrap();
    let importer = Principal::from(&"importer".parse().unwrap());
    tenant.change("owner", bind(importer, "owner", Scope::Tenant), &policies).unwrap();

    let taken = tenant.change("ada", account(&[&second], day), &policies).unwrap_err();

    assert_eq!(code(&taken), "policy-denied");
    tenant.change("owner", account(&[&first, &second], day), &policies).unwrap();
    let inside = tenant.change("lea", account(&[&second], day), &policies).unwrap_err();
    assert_eq!(code(&inside), "policy-denied", "accounts are the tenant's");
}

#[test]
fn every_guardrail_of_the_documentation_is_one() {
    let text = std::fs::read_to_string(sources().join("docs/authority.md")).unwrap();
    let blocks: Vec<&str> = text.split("```cedar\n").skip(1).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let cedar = block.split("```").next().unwrap();
        let policies = Policies::built_in().unwrap();
        policies.check_guardrail(&"documented".parse().unwrap(), cedar).unwrap();
    }
}

/// The connection of the lab with a secret that it did not name before.
fn other_secret(tenant: &Tenant) -> Change {
    let record = tenant.state.connection(&"lab/github".parse().unwrap()).unwrap();
    let secret = "local:lab/other".parse().unwrap();
    Change::ConnectionSet(Connection { secret, ..record.connection.clone() })
}

#[test]
fn a_service_account_is_no_second_signer_because_one_administrator_could_hold_its_key() {
    let (mut tenant, policies) = tenant();
    let key = new_key().unwrap();
    tenant.change("ada", account(&[&key], NOON.plus(3600)), &policies).unwrap();
    let importer = Principal::from(&"importer".parse().unwrap());
    tenant.change("ada", bind(importer, "administrator", Scope::Tenant), &policies).unwrap();
    let machine = enrolled(key).unwrap();
    let both = |tenant: &Tenant, second: &writ_testkit::keys::Login| {
        let ada = tenant.log_in("ada", NOON).unwrap();
        let mut candidate = tenant.candidate(&ada, other_secret(tenant), NOON).unwrap();
        tenant.sign_too(&mut candidate, second, NOON).unwrap();
        candidate
    };

    let candidate = both(&tenant, &machine);
    let refused = tenant.admit(candidate, NOON, &policies).unwrap_err();

    assert_eq!(code(&refused), "charter-second-signer");
    let lea = tenant.log_in("lea", NOON).unwrap();
    let candidate = both(&tenant, &lea);
    tenant.admit(candidate, NOON, &policies).unwrap();
}

#[test]
fn a_service_account_is_neither_an_administrator_who_makes_two_nor_an_owner_who_is_left() {
    let (mut tenant, policies) = tenant();
    for (sub, scope) in [("ada", Scope::Tenant), ("lea", lab())] {
        let principal = Grantee::Principal(person(sub));
        let gone = Binding { principal, role: Role::Administrator, scope };
        tenant.change("owner", Change::BindingRemove(gone), &policies).unwrap();
    }
    let key = new_key().unwrap();
    tenant.change("owner", account(&[&key], NOON.plus(3600)), &policies).unwrap();
    let importer = Principal::from(&"importer".parse().unwrap());
    tenant.change("owner", bind(importer, "owner", Scope::Tenant), &policies).unwrap();

    tenant.change("owner", other_secret(&tenant), &policies).unwrap();
    let principal = Grantee::Principal(person("owner"));
    let last = Binding { principal, role: Role::Owner, scope: Scope::Tenant };
    let left = tenant.change("owner", Change::BindingRemove(last), &policies).unwrap_err();
    assert_eq!(code(&left), "charter-change", "its keys end");
}

#[test]
fn an_elevation_that_is_over_counts_for_nothing_even_before_it_is_dropped() {
    let (mut tenant, policies) = tenant();
    for (sub, scope) in [("ada", Scope::Tenant), ("lea", lab())] {
        let principal = Grantee::Principal(person(sub));
        let gone = Binding { principal, role: Role::Administrator, scope };
        tenant.change("owner", Change::BindingRemove(gone), &policies).unwrap();
    }
    let until = NOON.plus(30);
    tenant.change("owner", elevation("eve", "administrator", until), &policies).unwrap();
    let owner = tenant.log_in("owner", NOON).unwrap();
    let principal = Grantee::Principal(person("eve"));
    let ended = Binding { principal, role: Role::Administrator, scope: lab() };
    let ended = Change::BindingRemove(ended);

    let at = |tenant: &mut Tenant, change: Change, at| {
        let candidate = tenant.candidate(&owner, change, at).unwrap();
        tenant.admit(candidate, at, &policies)
    };
    let moved = other_secret(&tenant);
    let two = at(&mut tenant, moved.clone(), NOON.plus(29)).unwrap_err();
    assert_eq!(code(&two), "charter-second-signer", "while it lasts there are two administrators");
    assert_eq!(code(&at(&mut tenant, ended, until).unwrap_err()), "charter-change");
    at(&mut tenant, moved, until).unwrap();
    assert_eq!(tenant.state.elevations().count(), 1, "it is dropped an hour later");
}

#[test]
fn a_guardrail_that_lets_some_actions_through_is_asked_about_each_when_publishing() {
    let (mut tenant, policies) = tenant();
    let record = tenant.state.connection(&"lab/github".parse().unwrap()).unwrap();
    let (name, digest) = (record.connection.name.clone(), record.digest);
    let action = PinnedAction { name: "http.request.get".parse().unwrap(), digest };
    let grant = ConnectionGrant {
        kind: ConnectionGrantType::WritConnection,
        connection: PinnedConnection { name, digest },
        actions: vec![action],
    };
    let publish = Change::AutomationPublish(Automation {
        name: "lab/triage".parse().unwrap(),
        bundle: digest,
        footprint: Footprint { connections: vec![grant], ..Footprint::default() },
    });
    let only = |pack: &str| {
        let cedar = format!(
            "forbid (principal, action == Action::\"connection.use\", resource) \
             unless {{ context has call && context.call.pack == \"{pack}\" }};"
        );
        policy("only", &cedar)
    };

    tenant.change("owner", only("github"), &policies).unwrap();
    let refused = tenant.change("bob", publish.clone(), &policies).unwrap_err();
    assert_eq!(code(&refused), "policy-forbidden");
    tenant.change("owner", only("http"), &policies).unwrap();
    tenant.change("bob", publish, &policies).unwrap();
}
