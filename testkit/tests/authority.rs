//! Who may stop, rotate, enroll and widen: the charter's rules about authority itself, on a tenant in memory
//! with real keys, real logins and the built-in roles.

#![cfg(test)]

use std::collections::BTreeSet;

use aws_lc_rs::rand::SystemRandom;
use writ_evidence::{
    charter::{
        Binding, Change, CosignatureClaims, FoldError, Group, PackAcknowledgement, PackWithdrawal,
        RootKeys, RunnerEnrollment, Scope, Subject, UnverifiedEntry, WitnessQuorum, Workspace,
        sign_cosignature,
    },
    digest::sha256,
    key::SigningKey,
    seal::SealingPrivateKey,
};
use writ_model::{
    CharterGroup, Connection, ConnectionHost, ConnectionKind, Grantee, Principal, Role,
    RunnerGroupId, RunnerId,
};
use writ_policy::{Policies, Right};
use writ_testkit::{
    keys::new_key,
    tenant::{ISSUER, NOON, Tenant},
};

fn person(sub: &str) -> Principal {
    Principal { iss: ISSUER.to_owned(), sub: sub.to_owned() }
}

fn bind(grantee: Grantee, role: Role) -> Change {
    Change::BindingAdd(Binding { principal: grantee, role, scope: Scope::Tenant })
}

fn bind_person(sub: &str, role: Role) -> Change {
    bind(Grantee::Principal(person(sub)), role)
}

fn listed(group: &str) -> Grantee {
    Grantee::CharterGroup(CharterGroup { charter_group: group.parse().unwrap() })
}

fn group(name: &str, members: &[&str]) -> Change {
    let members = members.iter().map(|sub| person(sub)).collect();
    Change::GroupSet(Group { name: name.parse().unwrap(), members })
}

fn connection(host: &str, secret: &str) -> Connection {
    Connection {
        name: "lab/github".parse().unwrap(),
        kind: ConnectionKind::Bearer,
        hosts: vec![ConnectionHost { host: host.to_owned(), port: 443, plaintext: false }],
        allow_cidrs: Vec::new(),
        secret: secret.parse().unwrap(),
    }
}

fn runner(number: u128) -> (SigningKey, RunnerEnrollment) {
    let jail = new_key().unwrap();
    let enrollment = RunnerEnrollment {
        id: RunnerId::from_bits(number),
        group: RunnerGroupId::from_bits(number),
        jail_key: jail.public().clone(),
        link_key: new_key().unwrap().public().clone(),
        sealing_key: SealingPrivateKey::from_bytes(&[u8::try_from(number).unwrap(); 32]).public(),
    };
    (jail, enrollment)
}

/// A tenant with a workspace, two administrators beside its owner, and the built-in roles.
fn tenant() -> (Tenant, Policies) {
    let policies = Policies::built_in().unwrap();
    let mut tenant = Tenant::found().unwrap();
    let workspace =
        Workspace { name: "lab".parse().unwrap(), secret_paths: vec!["local:lab/*".to_owned()] };
    for change in [
        Change::WorkspaceSet(workspace),
        bind_person("ada", Role::Administrator),
        bind_person("bob", Role::Builder),
    ] {
        tenant.change("owner", change, &policies).unwrap();
    }
    (tenant, policies)
}

fn code(refused: &anyhow::Error) -> &'static str {
    refused.downcast_ref::<FoldError>().map_or("not a refusal of the charter", FoldError::code)
}

#[test]
fn whoever_is_suspended_changes_nothing_and_does_nothing_until_somebody_else_restores_them() {
    let (mut tenant, policies) = tenant();
    let ada = Subject::User(person("ada"));
    tenant.change("owner", Change::SubjectSuspend(ada.clone()), &policies).unwrap();

    let refused = tenant.change("ada", group("on-call", &["bob"]), &policies).unwrap_err();
    assert_eq!(code(&refused), "suspended");
    let own = tenant.change("ada", Change::SubjectRestore(ada.clone()), &policies).unwrap_err();
    assert_eq!(code(&own), "suspended");
    let denied = policies.decide(&tenant.state, &person("ada"), Right::RunnerManage).unwrap_err();
    assert_eq!(denied.code, "suspended");

    tenant.change("owner", Change::SubjectRestore(ada), &policies).unwrap();
    tenant.change("ada", group("on-call", &["bob"]), &policies).unwrap();
}

#[test]
fn one_key_can_be_suspended_and_its_holder_goes_on_with_another() {
    let (mut tenant, policies) = tenant();
    let login = tenant.log_in("ada", NOON).unwrap();
    let key = Subject::Key(login.key.public().thumbprint());
    tenant.change("owner", Change::SubjectSuspend(key), &policies).unwrap();

    let candidate = tenant.candidate(&login, group("on-call", &["bob"]), NOON).unwrap();
    let refused = tenant.admit(candidate, NOON, &policies).unwrap_err();

    assert_eq!(code(&refused), "suspended");
    tenant.change("ada", group("on-call", &["bob"]), &policies).unwrap();
}

#[test]
fn a_suspended_connection_automation_workspace_or_tenant_denies_whoever_asks() {
    let (mut tenant, policies) = tenant();
    let (connection, automation) = ("lab/github".parse().unwrap(), "lab/triage".parse().unwrap());
    let asked = [Right::ConnectionUse(&connection), Right::RunStart(&automation)];
    let owner = person("owner");
    let denied = |tenant: &Tenant| {
        asked.map(|right| policies.decide(&tenant.state, &owner, right).err().map(|d| d.code))
    };
    for (subject, expected) in [
        (Subject::Connection("lab/github".parse().unwrap()), [Some("suspended"), None]),
        (Subject::Automation("lab/triage".parse().unwrap()), [None, Some("suspended")]),
        (Subject::Workspace("lab".parse().unwrap()), [Some("suspended"), Some("suspended")]),
        (Subject::Tenant, [Some("suspended"), Some("suspended")]),
    ] {
        tenant.change("owner", Change::SubjectSuspend(subject.clone()), &policies).unwrap();
        assert_eq!(denied(&tenant), expected, "{subject}");
        tenant.change("owner", Change::SubjectRestore(subject.clone()), &policies).unwrap();
        assert_eq!(denied(&tenant), [None, None], "{subject}");
    }
}

#[test]
fn while_the_tenant_is_suspended_nothing_changes_but_by_an_owner_who_restores_it() {
    let (mut tenant, policies) = tenant();
    tenant.change("owner", Change::SubjectSuspend(Subject::Tenant), &policies).unwrap();

    assert!(tenant.change("owner", bind_person("cyd", Role::Viewer), &policies).is_err());
    assert!(tenant.change("ada", Change::SubjectRestore(Subject::Tenant), &policies).is_err());
    tenant.change("owner", Change::SubjectRestore(Subject::Tenant), &policies).unwrap();
    tenant.change("owner", bind_person("cyd", Role::Viewer), &policies).unwrap();
}

#[test]
fn a_suspended_workspace_is_not_changed_until_it_is_restored() {
    let (mut tenant, policies) = tenant();
    let name = || "lab".parse().unwrap();
    let listing = || {
        let secret_paths = vec!["local:lab/*".to_owned(), "local:other/*".to_owned()];
        Change::WorkspaceSet(Workspace { name: name(), secret_paths })
    };
    let lab = Subject::Workspace(name());
    tenant.change("ada", Change::SubjectSuspend(lab.clone()), &policies).unwrap();

    let refused = tenant.change("owner", listing(), &policies).unwrap_err();

    assert_eq!(code(&refused), "suspended");
    tenant.change("ada", Change::SubjectRestore(lab), &policies).unwrap();
    tenant.change("owner", listing(), &policies).unwrap();
}

#[test]
fn only_an_owner_stops_an_owner_and_never_the_last_one() {
    let (mut tenant, policies) = tenant();
    let owner = |sub: &str| Change::SubjectSuspend(Subject::User(person(sub)));

    assert!(tenant.change("ada", owner("owner"), &policies).is_err(), "by an administrator");
    assert!(tenant.change("owner", owner("owner"), &policies).is_err(), "the last one");
    tenant.change("owner", bind_person("eve", Role::Owner), &policies).unwrap();
    tenant.change("eve", owner("owner"), &policies).unwrap();
    assert!(tenant.change("eve", owner("eve"), &policies).is_err(), "the last that is left");
    tenant.change("ada", Change::SubjectSuspend(Subject::User(person("bob"))), &policies).unwrap();
}

#[test]
fn a_groups_members_hold_its_roles_and_only_who_may_give_those_may_change_the_group() {
    let (mut tenant, policies) = tenant();
    let unknown = tenant.change("owner", bind(listed("leads"), Role::Owner), &policies);
    assert!(unknown.is_err(), "a group that is not listed");
    tenant.change("ada", group("leads", &["cyd"]), &policies).unwrap();
    tenant.change("owner", bind(listed("leads"), Role::Owner), &policies).unwrap();

    let audit = |tenant: &Tenant, sub: &str| {
        policies.decide(&tenant.state, &person(sub), Right::AuditRead).is_ok()
    };
    assert!(audit(&tenant, "cyd"));
    assert!(!audit(&tenant, "ada"));
    // An administrator who adds herself to a group of owners would be one.
    assert!(tenant.change("ada", group("leads", &["cyd", "ada"]), &policies).is_err());
    tenant.change("owner", group("leads", &[]), &policies).unwrap();
    assert!(!audit(&tenant, "cyd"), "a group without members gives nothing");
}

#[test]
fn a_pack_that_is_withdrawn_is_acknowledged_no_more() {
    let (mut tenant, policies) = tenant();
    let (name, version) = ("github".parse().unwrap(), "1.0.0".to_owned());
    let pack = PackAcknowledgement { name, version, digest: sha256(b"pack") };
    let withdrawal = PackWithdrawal { name: pack.name.clone(), version: pack.version.clone() };
    let withdraw = || Change::PackWithdraw(withdrawal.clone());
    assert!(tenant.change("ada", withdraw(), &policies).is_err(), "it is not acknowledged");
    tenant.change("ada", Change::PackAcknowledge(pack.clone()), &policies).unwrap();
    assert!(tenant.change("bob", withdraw(), &policies).is_err(), "a builder may not");

    tenant.change("ada", withdraw(), &policies).unwrap();

    assert!(tenant.state.pack(&pack.name, &pack.version).is_none());
}

#[test]
fn where_a_credential_goes_takes_two_people_once_there_are_two_administrators() {
    let (mut tenant, policies) = tenant();
    let set = |connection: Connection| Change::ConnectionSet(connection);
    let first = set(connection("api.github.example", "local:lab/github"));

    let alone = tenant.change("owner", first.clone(), &policies).unwrap_err();
    assert_eq!(code(&alone), "charter-second-signer");
    let signed = |tenant: &mut Tenant, change: Change, second: &str| {
        let login = tenant.log_in("owner", NOON).unwrap();
        let other = tenant.log_in(second, NOON).unwrap();
        let mut candidate = tenant.candidate(&login, change, NOON).unwrap();
        tenant.sign_too(&mut candidate, &other, NOON).unwrap();
        tenant.admit(candidate, NOON, &policies)
    };
    let twice = signed(&mut tenant, first.clone(), "owner").unwrap_err();
    assert_eq!(code(&twice), "charter-second-signer", "the same person with another key");
    let builder = signed(&mut tenant, first.clone(), "bob").unwrap_err();
    assert_eq!(code(&builder), "policy-denied", "somebody who may not by themselves");
    signed(&mut tenant, first.clone(), "ada").unwrap();

    // The same again, or less, takes one; more takes two.
    tenant.change("ada", first, &policies).unwrap();
    let mut wider = connection("api.github.example", "local:lab/github");
    wider.hosts.push(ConnectionHost {
        host: "evil.example".to_owned(),
        port: 443,
        plaintext: false,
    });
    let mut plain = connection("api.github.example", "local:lab/github");
    plain.hosts[0].plaintext = true;
    let mut ranges = connection("api.github.example", "local:lab/github");
    ranges.allow_cidrs.push("10.0.0.0/8".parse().unwrap());
    let other = connection("api.github.example", "local:lab/slack");
    for change in [wider, plain, ranges, other] {
        let refused = tenant.change("ada", set(change.clone()), &policies).unwrap_err();
        assert_eq!(code(&refused), "charter-second-signer", "{change:?}");
    }
}

#[test]
fn to_reach_less_than_before_takes_one_signer() {
    let (mut tenant, policies) = tenant();
    let (first, second) =
        (tenant.log_in("owner", NOON).unwrap(), tenant.log_in("ada", NOON).unwrap());
    let mut wide = connection("api.github.example", "local:lab/github");
    wide.hosts[0].plaintext = true;
    wide.allow_cidrs.push("10.0.0.0/8".parse().unwrap());
    let mut narrow = wide.clone();
    narrow.hosts[0].plaintext = false;
    narrow.allow_cidrs[0] = "10.1.0.0/16".parse().unwrap();
    let candidate = tenant.candidate(&first, Change::ConnectionSet(wide.clone()), NOON);
    let mut candidate = candidate.unwrap();
    tenant.sign_too(&mut candidate, &second, NOON).unwrap();
    tenant.admit(candidate, NOON, &policies).unwrap();

    tenant.change("ada", Change::ConnectionSet(narrow), &policies).unwrap();

    let back = tenant.change("ada", Change::ConnectionSet(wide), &policies).unwrap_err();
    assert_eq!(code(&back), "charter-second-signer");
}

#[test]
fn a_second_signature_cannot_be_taken_off_or_exchanged_afterwards() {
    let (mut tenant, policies) = tenant();
    let (first, second) =
        (tenant.log_in("owner", NOON).unwrap(), tenant.log_in("ada", NOON).unwrap());
    let change = Change::ConnectionSet(connection("api.github.example", "local:lab/github"));
    let mut candidate = tenant.candidate(&first, change, NOON).unwrap();
    tenant.sign_too(&mut candidate, &second, NOON).unwrap();
    tenant.admit(candidate, NOON, &policies).unwrap();
    let again = tenant.log_in("ada", NOON).unwrap();

    let mut stripped = tenant.entries.clone();
    if let Some(UnverifiedEntry::Writ { others, .. }) = stripped.last_mut() {
        others.clear();
    }
    let mut exchanged = tenant.entries.clone();
    if let Some(UnverifiedEntry::Writ { others, .. }) = exchanged.last_mut() {
        others[0].idc = again.idc;
    }

    let ten = tenant.state.ten();
    assert!(Tenant::fold(&tenant.entries, ten, &policies).is_ok());
    assert!(Tenant::fold(&stripped, ten, &policies).is_err());
    assert!(Tenant::fold(&exchanged, ten, &policies).is_err());
}

#[test]
fn root_keys_rotate_by_the_keys_before_and_those_sign_nothing_more() {
    let (mut tenant, policies) = tenant();
    let new: Vec<SigningKey> = (0..3).map(|_| new_key().unwrap()).collect();
    let keys: Vec<_> = new.iter().map(|key| key.public().clone()).collect();
    let rotate = |threshold| Change::RootRotate(RootKeys { keys: keys.clone(), threshold });

    assert!(tenant.change("owner", rotate(2), &policies).is_err(), "an owner is no root");
    for threshold in [0, 4] {
        assert!(tenant.root_change(rotate(threshold)).is_err(), "{threshold} of 3");
    }
    tenant.root_change(rotate(2)).unwrap();
    let quorum = || {
        let witnesses = BTreeSet::from([RunnerId::from_bits(1)]);
        Change::WitnessSet(WitnessQuorum { witnesses, threshold: 1, max_staleness_s: None })
    };
    assert!(tenant.root_change(quorum()).is_err(), "the key before");
    let mut new = new.into_iter();
    tenant.roots = new.next().into_iter().collect();
    assert!(tenant.root_change(quorum()).is_err(), "one of two");
    tenant.roots.extend(new.next());
    tenant.root_change(quorum()).unwrap();
}

#[test]
fn a_change_counts_with_as_many_witnesses_as_root_keys_asked_for() {
    let (mut tenant, policies) = tenant();
    let (jail, enrollment) = runner(2);
    tenant.change("owner", Change::RunnerEnroll(Box::new(enrollment)), &policies).unwrap();
    let quorum = |ids: &[u128], threshold| {
        let witnesses = ids.iter().map(|id| RunnerId::from_bits(*id)).collect();
        Change::WitnessSet(WitnessQuorum { witnesses, threshold, max_staleness_s: None })
    };
    for (ids, threshold) in [(&[1, 7][..], 1), (&[1, 2], 3), (&[], 0)] {
        assert!(tenant.root_change(quorum(ids, threshold)).is_err(), "{threshold} of {ids:?}");
    }
    assert!(tenant.change("owner", quorum(&[2], 1), &policies).is_err(), "an owner is no root");
    tenant.root_change(quorum(&[1, 2], 2)).unwrap();

    let alone = tenant.change("owner", bind_person("cyd", Role::Viewer), &policies).unwrap_err();
    assert_eq!(code(&alone), "charter-witness");
    let first = tenant.witnesses.remove(0);
    tenant.witnesses.extend([new_key().unwrap(), jail]);
    let stranger = tenant.change("owner", bind_person("cyd", Role::Viewer), &policies);
    assert!(stranger.is_err(), "a stranger's jail counts for nothing");
    tenant.witnesses[0] = first;
    tenant.change("owner", bind_person("cyd", Role::Viewer), &policies).unwrap();

    // A suspended witness does not count, and root keys can go on without it.
    tenant.root_change(Change::SubjectSuspend(Subject::Runner(RunnerId::from_bits(1)))).unwrap();
    assert!(tenant.change("owner", bind_person("dee", Role::Viewer), &policies).is_err());
    tenant.root_change(quorum(&[2], 1)).unwrap();
    tenant.change("owner", bind_person("dee", Role::Viewer), &policies).unwrap();
}

#[test]
fn a_corrupt_witness_stops_nothing_that_enough_others_cosigned_and_stands_in_for_nobody() {
    let (mut tenant, policies) = tenant();
    let ids: BTreeSet<_> = (1..=3).map(RunnerId::from_bits).collect();
    for number in [2, 3] {
        let (jail, enrollment) = runner(number);
        let enroll = Change::RunnerEnroll(Box::new(enrollment));
        tenant.change("owner", enroll, &policies).unwrap();
        tenant.witnesses.push(jail);
    }
    tenant
        .root_change(Change::WitnessSet(WitnessQuorum {
            witnesses: ids,
            threshold: 2,
            max_staleness_s: None,
        }))
        .unwrap();
    let login = tenant.log_in("owner", NOON).unwrap();
    let bind = bind_person("cyd", Role::Viewer);
    let mut candidate = tenant.candidate(&login, bind, NOON).unwrap();
    let claims = tenant.state.admit(&candidate, &tenant.keys, NOON, &policies).unwrap();
    let of_another = CosignatureClaims { digest: sha256(b"another"), ..claims.clone() };
    let stale = CosignatureClaims { at: NOON.plus(7200), ..claims.clone() };
    let with = |entry: &mut UnverifiedEntry, all: &[(usize, &CosignatureClaims)]| {
        let UnverifiedEntry::Writ { cosignatures, .. } = entry else { panic!("by root keys") };
        let sign = |(who, claims): &(usize, &CosignatureClaims)| {
            let random = SystemRandom::new();
            sign_cosignature(claims, &tenant.witnesses[*who], &random).unwrap()
        };
        *cosignatures = all.iter().map(sign).collect();
    };
    let mut judge = |all: &[(usize, &CosignatureClaims)]| {
        with(&mut candidate, all);
        tenant.state.clone().append(&candidate, &policies).map_err(|error| error.code())
    };

    assert_eq!(judge(&[(0, &of_another), (1, &claims)]), Err("charter-cosignature"));
    assert_eq!(judge(&[(0, &stale), (1, &claims)]), Err("idc-stale"));
    assert_eq!(judge(&[(1, &claims), (1, &claims)]), Err("charter-witness"));
    assert_eq!(judge(&[(0, &of_another), (1, &claims), (2, &claims)]), Ok(()));
    assert_eq!(judge(&[(0, &stale), (1, &claims), (2, &claims)]), Ok(()));

    // That one witness came late is never the reason where another one says more.
    let login = tenant.log_in("bob", NOON).unwrap();
    candidate = tenant.candidate(&login, bind_person("bob", Role::Owner), NOON).unwrap();
    let claims = CosignatureClaims { digest: candidate.digest(), ..claims };
    let stale = CosignatureClaims { at: NOON.plus(7200), ..claims.clone() };
    for (first, second) in [(&stale, &claims), (&claims, &stale)] {
        with(&mut candidate, &[(0, first), (1, second), (2, &claims)]);
        let refused = tenant.state.clone().append(&candidate, &policies).unwrap_err();
        assert_eq!(refused.code(), "policy-denied");
    }
}

#[test]
fn runners_are_enrolled_by_owners_retire_for_good_and_not_while_they_witness() {
    let (mut tenant, policies) = tenant();
    let (_, enrollment) = runner(2);
    let enroll = |enrollment: &RunnerEnrollment| Change::RunnerEnroll(Box::new(enrollment.clone()));
    assert!(tenant.change("ada", enroll(&enrollment), &policies).is_err(), "an administrator");
    tenant.change("owner", enroll(&enrollment), &policies).unwrap();
    let same_group = RunnerEnrollment { group: enrollment.group, ..runner(3).1 };
    assert!(tenant.change("owner", enroll(&same_group), &policies).is_err(), "its group has one");
    let stolen = RunnerEnrollment { jail_key: enrollment.jail_key.clone(), ..runner(3).1 };
    assert!(tenant.change("owner", enroll(&stolen), &policies).is_err(), "another's key");

    let retire = |number| Change::RunnerRetire(RunnerId::from_bits(number));
    assert!(tenant.change("owner", retire(1), &policies).is_err(), "the witness");
    tenant.change("owner", retire(2), &policies).unwrap();

    assert!(tenant.state.runner(enrollment.id).is_none());
    let kept = tenant.state.all_runners().any(|runner| runner.id == enrollment.id);
    assert!(kept, "what it signed still verifies");
    assert!(tenant.change("owner", enroll(&enrollment), &policies).is_err(), "it never comes back");
}
