//! The file of the version before, one that is damaged, and pages of it. Snapshots are tested with a jail
//! (`testkit/tests/long_charter.rs`).

use std::fs;

use super::*;

const BEFORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/charter-before.jsonl");
const TENANT: &str = "sha256:EOdm_nWhrMjL23serPmAshs208LbwRjIYJTeoU4hm-8";

fn open(path: &Path) -> CharterCache {
    let ten = TenantId(TENANT.parse().unwrap());
    CharterCache::open(path, ten, Policies::built_in().unwrap(), &[]).unwrap()
}

#[test]
fn a_file_of_the_version_before_folds_and_what_does_not_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("charter.jsonl");
    let text = fs::read_to_string(BEFORE).unwrap();
    let torn = text.get(..text.len() - 7).unwrap();
    for (written, entries) in
        [(text.clone(), 5), (format!("{text}{{}}\n"), 5), (torn.to_owned(), 4), ("x\n".into(), 0)]
    {
        fs::write(&path, written).unwrap();

        let cache = open(&path);

        assert_eq!(cache.page(0).unwrap().len(), entries);
        assert_eq!(cache.state().map_or(0, |state| state.seq() + 1), entries as u64);
        let whole: String = text.split_inclusive('\n').take(entries).collect();
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    }
}

#[test]
fn entries_are_appended_once_and_found_from_any_number_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("charter.jsonl");
    let text = fs::read_to_string(BEFORE).unwrap();
    let entries: Vec<UnverifiedEntry> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cache = open(&path);

    cache.take(&entries[..3]).unwrap();
    cache.take(&entries[1..]).unwrap();

    for cache in [cache, open(&path)] {
        for from in 0..7 {
            let expected = entries.get(from..).unwrap_or_default();
            assert_eq!(cache.page(from as u64).unwrap(), expected);
        }
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn what_comes_before_an_entry_that_does_not_fold_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("charter.jsonl");
    let text = fs::read_to_string(BEFORE).unwrap();
    let mut entries: Vec<UnverifiedEntry> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    entries.remove(3);
    let cache = open(&path);

    let refused = cache.take(&entries).err().map(|error| error.code());

    assert_eq!(refused, Some("charter-cosignature"));
    assert_eq!(cache.page(0).unwrap(), entries[..3]);
}
