//! The tables of a tenant's database, and the settings that make a write durable.

use std::path::Path;

use rusqlite::Connection;
use writ_sqlite::{Found, Schema, Step};

use super::StoreError;

/// From an empty file to today's: a change is a step of its own, at the end.
pub(super) const SCHEMA: Schema = Schema {
    name: "the tenant database",
    mark: i32::from_be_bytes(*b"WrtT"),
    steps: &[
        Step { to: 1, sql: TABLES },
        // The mark, which every step sets, is what this version adds.
        Step { to: 2, sql: "" },
        Step { to: 3, sql: CONNECTION_TESTS },
        Step { to: 4, sql: STANDING_RUNS },
        Step { to: 5, sql: FOLDED },
        Step { to: 6, sql: SESSIONS },
    ],
};

const TABLES: &str = "
    CREATE TABLE charter (
        seq INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, entry TEXT NOT NULL) STRICT;
    CREATE TABLE candidate (
        digest TEXT PRIMARY KEY, entry TEXT NOT NULL) STRICT;
    CREATE TABLE content (
        digest TEXT PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL) STRICT;
    CREATE TABLE used (
        jti TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT;
    CREATE TABLE run (
        id TEXT PRIMARY KEY, writ TEXT NOT NULL UNIQUE, automation TEXT NOT NULL,
        iss TEXT NOT NULL, sub TEXT NOT NULL, phase TEXT NOT NULL, code TEXT, reason TEXT,
        step TEXT, attempt INTEGER, ordered_at INTEGER NOT NULL, changed_at INTEGER NOT NULL,
        sealed_order TEXT) STRICT;
    CREATE INDEX run_by_time ON run (ordered_at DESC);
    CREATE TABLE resume (
        writ TEXT PRIMARY KEY, run TEXT NOT NULL, sealed_order TEXT NOT NULL,
        done INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE TABLE statement (
        jail TEXT NOT NULL, seq INTEGER NOT NULL, run TEXT, compact TEXT NOT NULL,
        PRIMARY KEY (jail, seq)) STRICT;
    CREATE INDEX statement_by_run ON statement (run, seq);
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY, kind TEXT NOT NULL, salt TEXT NOT NULL, body TEXT NOT NULL,
        leaf TEXT NOT NULL) STRICT;
    CREATE TABLE checkpoint (
        size INTEGER PRIMARY KEY, compact TEXT NOT NULL) STRICT;
";

/// What version 3 added.
const CONNECTION_TESTS: &str = "
    CREATE TABLE connection_test (
        writ TEXT PRIMARY KEY, runner_group TEXT NOT NULL, connection TEXT NOT NULL,
        sealed_order TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0, statement TEXT, code TEXT,
        reason TEXT) STRICT;
";

/// What version 4 added: which standing writ started a run.
const STANDING_RUNS: &str = "ALTER TABLE run ADD COLUMN standing TEXT;";

/// What version 5 added: the folded charter, so that a start folds only what comes after it.
const FOLDED: &str = "
    CREATE TABLE folded (
        seq INTEGER PRIMARY KEY, digest TEXT NOT NULL, state BLOB NOT NULL) STRICT;
";

/// What version 6 added.
const SESSIONS: &str = "
    CREATE TABLE session (
        digest TEXT PRIMARY KEY, commitment TEXT NOT NULL, iss TEXT NOT NULL, sub TEXT NOT NULL,
        through TEXT NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
        until INTEGER NOT NULL, idc TEXT NOT NULL, revoked_at INTEGER) STRICT;
    CREATE INDEX session_by_time ON session (last_seen DESC);
    CREATE TABLE session_revoke (
        writ TEXT PRIMARY KEY, session TEXT NOT NULL, runner_group TEXT NOT NULL,
        sealed_order TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0) STRICT;
";

/// Brings the file up to date, and makes every write durable.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    if let Found::Older(version) = SCHEMA.bring_up(connection, path)? {
        let (to, copy) = (SCHEMA.newest(), writ_sqlite::backup_path(path, version));
        tracing::info!(from = version, to, copy = %copy.display(), "tenant database upgraded");
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if synchronous == 2 { Ok(()) } else { Err(StoreError::Row) }
}
