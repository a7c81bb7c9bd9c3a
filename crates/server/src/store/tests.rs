//! A tenant's database of the version before, opened by today's code.

use std::{fs, path::PathBuf, sync::Arc};

use tempfile::TempDir;
use writ_api::RunPhase;
use writ_policy::Policies;

use super::*;
use crate::tenant::Tenant;

/// Written by an earlier version; see `tests/fixtures/README.md`.
const BEFORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tenant-schema-1.db");
const TENANT: &str = "sha256:EOdm_nWhrMjL23serPmAshs208LbwRjIYJTeoU4hm-8";

#[test]
fn a_database_of_the_version_before_keeps_everything_and_a_copy() {
    let (_folder, path) = before();

    let store = Store::open(&path).unwrap();

    let runs = store.runs().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].automation.to_string(), "lab/hello");
    assert_eq!(runs[0].phase, RunPhase::Completed);
    assert_eq!(store.entries(0).unwrap().len(), 5);
    assert_eq!(store.leaves().unwrap().len(), 10);
    assert_eq!(store.audit_page(0).unwrap().len(), 10);
    assert_eq!(store.checkpoint_size().unwrap(), 10);
    drop(store);
    let copy = Connection::open(writ_sqlite::backup_path(&path, 1)).unwrap();
    let version: i64 = copy.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
    assert_eq!(Store::open(&path).unwrap().runs().unwrap().len(), 1);
}

#[test]
fn a_tenant_of_the_version_before_folds_its_charter() {
    let (_folder, path) = before();

    let tenant = Tenant::open(&path, Arc::new(Policies::built_in().unwrap())).unwrap();

    assert_eq!(tenant.id().to_string(), TENANT);
    assert_eq!(tenant.charter().seq(), 4);
}

#[test]
fn what_was_folded_is_taken_up_and_what_was_changed_of_it_is_not() {
    let (_folder, path) = before();
    let policies = Arc::new(Policies::built_in().unwrap());
    let tenant = Tenant::open(&path, Arc::clone(&policies)).unwrap();
    let folded = tenant.charter();
    assert!(tenant.store.folded().unwrap().is_none());

    tenant.store.put_folded(&folded).unwrap();
    assert_eq!(tenant.store.folded().unwrap().as_ref(), Some(&*folded));
    drop(tenant);
    assert_eq!(Tenant::open(&path, Arc::clone(&policies)).unwrap().charter(), folded);

    // Changed, or of an entry that is not here any more: everything is folded.
    for sql in [
        "UPDATE folded SET state = CAST(replace(CAST(state AS TEXT), 'owner', 'other') AS BLOB)",
        "UPDATE charter SET digest = 'another' WHERE seq = 4",
    ] {
        let store = Store::open(&path).unwrap();
        store.put_folded(&folded).unwrap();
        assert!(store.folded().unwrap().is_some());
        let changed = store.lock().execute(sql, []).unwrap();
        assert_eq!(changed, 1);
        assert!(store.folded().unwrap().is_none(), "{sql}");
        drop(store);
        assert_eq!(Tenant::open(&path, Arc::clone(&policies)).unwrap().charter(), folded);
    }
}

#[test]
fn a_database_of_a_newer_version_or_of_another_kind_is_refused_with_a_code() {
    let newest = schema::SCHEMA.newest();
    for (sql, code) in [
        (format!("PRAGMA user_version = {}", newest + 1), "data-newer"),
        ("PRAGMA application_id = 1".to_owned(), "data-foreign"),
    ] {
        let (_folder, path) = before();
        Connection::open(&path).unwrap().execute_batch(&sql).unwrap();

        let Err(StoreError::Schema(refused)) = Store::open(&path) else { panic!("{sql}: opened") };

        assert_eq!(refused.code(), code);
    }
}

fn before() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tenant.db");
    fs::copy(BEFORE, &path).unwrap();
    (folder, path)
}
