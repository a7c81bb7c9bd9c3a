//! What stops a jail for good: two changes by root keys at one number, and what its own key signed in another life.

use writ_evidence::{
    charter::{Change, RootKeys, UnverifiedEntry, WitnessQuorum, Workspace},
    jws::UnverifiedJws,
    statement::{Says, Statement},
};
use writ_jail_link::{JailReply, JailRequest};
use writ_model::{Digest, RunnerId};

use crate::jail_tenant::{JailTenant, ask};

fn workspace(name: &str) -> Change {
    Change::WorkspaceSet(Workspace { name: name.parse().unwrap(), secret_paths: Vec::new() })
}

fn staleness(seconds: u32) -> Change {
    let witnesses = [RunnerId::from_bits(1)].into_iter().collect();
    Change::WitnessSet(WitnessQuorum { witnesses, threshold: 1, max_staleness_s: Some(seconds) })
}

fn charter(tenant: &mut JailTenant, entries: Vec<UnverifiedEntry>) -> Option<String> {
    ask(&mut tenant.jail, JailRequest::Charter { entries }).err()
}

fn statements(tenant: &mut JailTenant) -> Vec<String> {
    let asked = ask(&mut tenant.jail, JailRequest::Statements { after: 0 });
    let Ok(JailReply::Statements { statements }) = asked else { panic!("no statements") };
    statements
}

fn says(compact: &str) -> Says {
    UnverifiedJws::parse(compact).unwrap().peek::<Statement>().unwrap().says
}

/// Everything but saying who it is and handing statements over is refused, whatever else is wrong with it.
fn check_stopped(tenant: &mut JailTenant, code: &str) {
    let entries = tenant.entries.clone();
    let candidate = Box::new(tenant.newest());
    let root = Digest::from_bytes([1; 32]);
    for request in [
        JailRequest::Charter { entries },
        JailRequest::Cosign { candidate },
        JailRequest::Checkpoint { size: 1, root, consistency: Vec::new() },
        JailRequest::Attest { checkpoints: Vec::new() },
        JailRequest::StandingDue,
        JailRequest::TakeSnapshot { from: 0 },
        JailRequest::Shown { statement: String::new() },
    ] {
        assert_eq!(ask(&mut tenant.jail, request).err().as_deref(), Some(code));
    }
    let Ok(JailReply::Described(described)) = ask(&mut tenant.jail, JailRequest::Describe) else {
        panic!("it does not say who it is")
    };
    assert_eq!(described.stopped.unwrap().code, code);
}

/// The last statement says which two, and a restart takes nothing back.
fn check_frozen(tenant: &mut JailTenant, first: &UnverifiedEntry, second: &UnverifiedEntry) {
    for _ in 0..2 {
        check_stopped(tenant, "jail-frozen");
        let last = statements(tenant).pop().unwrap();
        let Says::Forked(forked) = says(&last) else { panic!("{last}") };
        assert_eq!((forked.fork.first, forked.fork.second), (first.digest(), second.digest()));
        assert_eq!(forked.entry.as_ref(), Some(second));
        tenant.restart_without_charter();
    }
}

#[test]
fn a_second_change_by_root_keys_at_one_number_freezes_the_jail_however_much_later() {
    let mut tenant = JailTenant::found();
    tenant.root_change(staleness(3600));
    let first = tenant.newest();
    tenant.change(workspace("one"));
    let second = tenant.rooted(1, staleness(7200), &tenant.root);

    assert_eq!(charter(&mut tenant, vec![second.clone()]).as_deref(), Some("jail-frozen"));

    check_frozen(&mut tenant, &first, &second);
}

#[test]
fn the_keys_that_counted_then_make_the_fork_and_not_those_of_now() {
    let mut tenant = JailTenant::found();
    tenant.root_change(staleness(3600));
    let first = tenant.newest();
    let next = JailTenant::found().root;
    let keys = RootKeys { keys: vec![next.public().clone()], threshold: 1 };
    tenant.root_change(Change::RootRotate(keys));
    let by_later_keys = tenant.rooted(1, staleness(7200), &next);
    let by_those_of_then = tenant.rooted(1, staleness(7200), &tenant.root);

    assert_eq!(charter(&mut tenant, vec![by_later_keys]).as_deref(), Some("charter-not-next"));
    let frozen = charter(&mut tenant, vec![by_those_of_then.clone()]);

    assert_eq!(frozen.as_deref(), Some("jail-frozen"));
    check_frozen(&mut tenant, &first, &by_those_of_then);
}

#[test]
fn a_jail_that_is_restarted_and_shown_the_other_chain_freezes() {
    let mut tenant = JailTenant::found();
    tenant.change(workspace("one"));
    tenant.root_change(staleness(3600));
    let first = tenant.newest();
    let second = tenant.rooted(2, staleness(7200), &tenant.root);
    let mut other = tenant.entries.clone();
    other[2] = second.clone();
    tenant.restart_without_charter();

    assert_eq!(charter(&mut tenant, other).as_deref(), Some("jail-frozen"));

    check_frozen(&mut tenant, &first, &second);
}

#[test]
fn one_change_a_number_freezes_nothing_and_neither_does_what_root_keys_did_not_sign() {
    let mut tenant = JailTenant::found();
    tenant.root_change(staleness(3600));
    tenant.change(workspace("one"));
    let nobody = JailTenant::found().root;
    let mut unsigned = tenant.rooted(1, staleness(7200), &tenant.root);
    if let UnverifiedEntry::Roots { signatures, .. } = &mut unsigned {
        signatures.clear();
    }
    let mut entries = vec![
        // What lost its number to a person's change is honest, and late.
        tenant.rooted(2, staleness(7200), &tenant.root),
        // Too few signatures, and somebody else's.
        unsigned,
        tenant.rooted(1, staleness(7200), &nobody),
        // Not what root keys may say.
        tenant.rooted(1, workspace("two"), &tenant.root),
    ];
    entries.extend(tenant.entries.clone());

    for entry in entries {
        let refused = charter(&mut tenant, vec![entry]);
        assert!(matches!(refused.as_deref(), None | Some("charter-not-next")), "{refused:?}");
    }

    // The very same entry again is none, either.
    let again = tenant.entries.clone();
    assert_eq!(charter(&mut tenant, again), None);
    tenant.restart();
    tenant.change(workspace("three"));
    tenant.root_change(staleness(4000));
}

#[test]
fn a_restored_jail_stops_when_it_is_shown_what_it_has_forgotten() {
    let mut tenant = JailTenant::found();
    let backup = tenant.backup();
    // A refusal is a statement, too.
    refused_candidate(&mut tenant);
    let later = statements(&mut tenant).pop().unwrap();
    let shown = |statement: &str| JailRequest::Shown { statement: statement.to_owned() };
    assert!(ask(&mut tenant.jail, shown(&later)).is_ok());

    let entries = tenant.entries.clone();
    tenant.restore(&backup);
    charter(&mut tenant, entries);
    let mut other = JailTenant::found();
    refused_candidate(&mut other);
    let foreign = statements(&mut other).pop().unwrap();
    assert_eq!(ask(&mut tenant.jail, shown(&foreign)).err().as_deref(), Some("statement"));
    tenant.change(workspace("one"));
    assert_eq!(ask(&mut tenant.jail, shown(&later)).err().as_deref(), Some("jail-outdated"));

    check_stopped(&mut tenant, "jail-outdated");
    tenant.restart_without_charter();
    check_stopped(&mut tenant, "jail-outdated");
}

#[test]
fn of_two_jails_with_one_key_each_stops_at_what_the_other_has_signed() {
    let mut tenant = JailTenant::found();
    let backup = tenant.backup();
    refused_candidate(&mut tenant);
    let one = statements(&mut tenant).pop().unwrap();
    let entries = tenant.entries.clone();
    tenant.restore(&backup);
    charter(&mut tenant, entries);
    refused_candidate(&mut tenant);
    let other = statements(&mut tenant).pop().unwrap();
    assert_ne!(one, other);

    // The same number, and other bytes.
    let shown = ask(&mut tenant.jail, JailRequest::Shown { statement: one });

    assert_eq!(shown.err().as_deref(), Some("jail-outdated"));
    check_stopped(&mut tenant, "jail-outdated");
}

#[test]
fn a_restored_witness_stops_at_an_entry_that_it_does_not_remember_to_have_cosigned() {
    let mut tenant = JailTenant::found();
    let backup = tenant.backup();
    tenant.change(workspace("one"));
    let entries = tenant.entries.clone();
    tenant.restore(&backup);

    assert_eq!(charter(&mut tenant, entries).as_deref(), Some("jail-outdated"));

    check_stopped(&mut tenant, "jail-outdated");
    tenant.restart_without_charter();
    check_stopped(&mut tenant, "jail-outdated");
}

/// Asks the witness to cosign what it refuses, on record.
fn refused_candidate(tenant: &mut JailTenant) {
    let candidate = tenant.candidate("mallory", workspace("refused"));
    let refused = ask(&mut tenant.jail, JailRequest::Cosign { candidate: Box::new(candidate) });
    assert!(refused.is_err());
}
