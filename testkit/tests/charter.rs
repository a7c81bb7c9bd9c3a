//! What holds for every charter: it folds the same everywhere, and nothing can be taken out,
//! put in, altered or reordered.

#![cfg(test)]

use proptest::prelude::*;
use writ_evidence::charter::{Binding, Change, Scope, UnverifiedEntry, Workspace};
use writ_model::{Grantee, Principal, Role, UnixTime};
use writ_policy::Policies;
use writ_testkit::tenant::{Anybody, ISSUER, NOON, Tenant};

fn workspace(name: &str, secret_paths: &[&str]) -> Change {
    let secret_paths = secret_paths.iter().map(|path| (*path).to_owned()).collect();
    Change::WorkspaceSet(Workspace { name: name.parse().unwrap(), secret_paths })
}

fn binding(subject: &str, role: Role, scope: Scope) -> Binding {
    Binding {
        principal: Grantee::Principal(Principal {
            iss: ISSUER.to_owned(),
            sub: subject.to_owned(),
        }),
        role,
        scope,
    }
}

/// Workspaces and bindings in some order; each refers only to what is there.
fn changes() -> impl Strategy<Value = Vec<Change>> {
    let one = (0_usize..3, 0_usize..7, 0_usize..4).prop_map(|(name, role, subject)| {
        let name = ["alpha", "beta", "gamma"][name];
        if role == 0 {
            return workspace(name, &["local:a/*"]);
        }
        let subject = ["ann", "bob", "cyd", "dee"][subject];
        Change::BindingAdd(binding(subject, Role::BUILT_IN[role].clone(), Scope::Tenant))
    });
    proptest::collection::vec(one, 1..6)
}

fn tenant_with(changes: Vec<Change>) -> Tenant {
    let mut tenant = Tenant::found().unwrap();
    for change in changes {
        tenant.change("owner", change, &Anybody).unwrap();
    }
    tenant
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn folding_from_nothing_gives_the_same_state(changes in changes()) {
        let tenant = tenant_with(changes);
        let folded = Tenant::fold(&tenant.entries, tenant.state.ten(), &Anybody).unwrap();

        prop_assert_eq!(folded.head(), tenant.state.head());
        prop_assert_eq!(format!("{folded:?}"), format!("{:?}", tenant.state));
    }

    #[test]
    fn an_entry_removed_repeated_swapped_or_altered_does_not_fold(
        changes in changes(), at in any::<prop::sample::Index>(), how in 0_u8..4,
    ) {
        let tenant = tenant_with(changes);
        let mut entries = tenant.entries.clone();
        let at = 1 + at.index(entries.len() - 1);
        match how {
            0 if at + 1 < entries.len() => drop(entries.remove(at)),
            0 | 1 => entries.insert(at, entries[at].clone()),
            2 if at + 1 < entries.len() => entries.swap(at, at + 1),
            _ => if let UnverifiedEntry::Writ { body, .. } = &mut entries[at] {
                *body = body.replacen('a', "b", 1);
            },
        }
        prop_assume!(entries != tenant.entries);
        prop_assert!(Tenant::fold(&entries, tenant.state.ten(), &Anybody).is_err());
    }
}

#[test]
fn another_tenants_entry_0_is_refused() {
    let (one, other) = (Tenant::found().unwrap(), Tenant::found().unwrap());
    assert!(Tenant::fold(&other.entries, one.state.ten(), &Anybody).is_err());
}

#[test]
fn an_entry_counts_only_with_the_witness() {
    let tenant = tenant_with(vec![workspace("alpha", &[])]);
    let mut entries = tenant.entries.clone();
    if let UnverifiedEntry::Writ { cosignatures, .. } = &mut entries[1] {
        cosignatures.clear();
    }
    let refused = Tenant::fold(&entries, tenant.state.ten(), &Anybody).unwrap_err();
    assert!(
        format!("{refused:#}").contains("0 cosignatures of witnesses, of 1 needed"),
        "{refused:#}"
    );
}

#[test]
fn a_login_that_is_no_longer_fresh_cannot_be_back_dated_past_the_witness() {
    let mut tenant = Tenant::found().unwrap();
    let login = tenant.log_in("owner", NOON).unwrap();
    let candidate = tenant.candidate(&login, workspace("alpha", &[]), NOON).unwrap();
    let later = UnixTime(NOON.0 + 7200);
    assert!(tenant.admit(candidate, later, &Anybody).is_err());
}

#[test]
fn history_holds_however_long_ago_its_logins_went_stale() {
    let tenant = tenant_with(vec![workspace("alpha", &[]), workspace("beta", &[])]);
    // The fold is given no clock at all: it believes the witness's `at`.
    assert!(Tenant::fold(&tenant.entries, tenant.state.ten(), &Anybody).is_ok());
}

#[test]
fn rights_are_those_of_the_state_before() {
    let policies = Policies::built_in().unwrap();
    let mut tenant = Tenant::found().unwrap();
    let in_alpha = || Scope::Workspace("alpha".parse().unwrap());
    let add = |subject, role, scope| Change::BindingAdd(binding(subject, role, scope));
    tenant.change("owner", workspace("alpha", &[]), &policies).unwrap();
    tenant.change("owner", add("ann", Role::Administrator, in_alpha()), &policies).unwrap();

    // An administrator of a workspace binds inside it, makes no owner, and reaches nothing above.
    tenant.change("ann", add("bob", Role::Builder, in_alpha()), &policies).unwrap();
    for change in [
        add("ann", Role::Owner, in_alpha()),
        add("ann", Role::Administrator, Scope::Tenant),
        workspace("alpha", &["local:*"]),
        workspace("beta", &[]),
    ] {
        assert!(tenant.change("ann", change.clone(), &policies).is_err(), "{change:?}");
    }
    assert!(tenant.change("bob", add("bob", Role::Owner, in_alpha()), &policies).is_err());
    assert!(tenant.change("eve", workspace("gamma", &[]), &policies).is_err());

    // The last owner can't be removed.
    let owner = binding("owner", Role::Owner, Scope::Tenant);
    assert!(tenant.change("owner", Change::BindingRemove(owner), &policies).is_err());
}

#[test]
fn no_pack_is_acknowledged_under_the_name_of_what_documents_call_by_themselves() {
    let mut tenant = Tenant::found().unwrap();
    for (name, accepted) in [("http", false), ("https", true)] {
        let digest = writ_evidence::digest::sha256(b"{}");
        let (name, version) = (name.parse().unwrap(), "1.0.0".to_owned());
        let pack = writ_evidence::charter::PackAcknowledgement { name, version, digest };
        let change = Change::PackAcknowledge(pack);
        assert_eq!(tenant.change("owner", change, &Anybody).is_ok(), accepted);
    }
}
