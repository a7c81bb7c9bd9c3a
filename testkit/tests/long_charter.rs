//! A long charter, a real runner and a real jail: the first start folds it, every later one takes up what was folded.

#![cfg(test)]

use std::fs;

use writ_testkit::long_charter::LongCharter;

/// Longer than what is folded between two snapshots, and than two messages take.
const ENTRIES: u32 = 2500;

#[test]
fn runner_and_jail_take_up_what_the_jail_has_written_down_and_fold_what_came_after() {
    let long = LongCharter::make("long-charter", ENTRIES).unwrap();
    let newest = u64::from(ENTRIES) - 1;
    // The last entries come after the first start.
    let entries = fs::read_to_string(long.file("charter.jsonl")).unwrap();
    let (until, _) = entries.match_indices('\n').nth(ENTRIES as usize - 11).unwrap();
    fs::write(long.file("charter.jsonl"), entries.get(..=until).unwrap()).unwrap();

    let first = long.start().unwrap();
    fs::write(long.file("charter.jsonl"), &entries).unwrap();
    let second = long.start().unwrap();

    assert_eq!((first.seq, first.snapshot), (newest - 10, None));
    assert_eq!((second.seq, second.snapshot), (newest, Some(newest - 10)));
    assert!(second.after < first.after, "{first:?} {second:?}");

    // Whoever has the runner's disk changes nothing: what is not the jail's own is folded anew.
    let snapshot = fs::read_to_string(long.file("charter.snapshot")).unwrap();
    let forged = snapshot.replacen("\"owner\"", "\"other\"", 1);
    assert_ne!(forged, snapshot);
    fs::write(long.file("charter.snapshot"), forged).unwrap();
    let third = long.start().unwrap();
    assert_eq!((third.seq, third.snapshot), (newest, None));

    // What is torn at the end of the entries is cut off, and the rest counts.
    let torn = entries.get(..entries.len() - 100).unwrap();
    fs::write(long.file("charter.jsonl"), torn).unwrap();
    let fourth = long.start().unwrap();
    assert_eq!((fourth.seq, fourth.snapshot), (newest - 1, None));
}
