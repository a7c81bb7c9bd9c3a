//! The journal's tables, and the settings that make a commit durable.
//!
//! Invariants: a setting that did not take is an error; a file of an older version is brought up to date
//! and one of a newer version refused (`writ_sqlite`); the file is its owner's alone, and one process at a
//! time has it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, params};
use writ_sqlite::{Found, Schema, Step};

use super::{JournalError, seal::StorageKey};

/// From an empty file to today's: a change is a step of its own, at the end.
pub(super) const SCHEMA: Schema = Schema {
    name: "the journal",
    mark: i32::from_be_bytes(*b"WrtJ"),
    steps: &[
        Step { to: 2, sql: TABLES },
        // The mark, which every step sets, is what this version adds.
        Step { to: 3, sql: "" },
    ],
};

/// `synchronous = FULL`, as SQLite reports it.
const FULL: i64 = 2;

const TABLES: &str = "
    CREATE TABLE meta (key_check BLOB NOT NULL) STRICT;
    CREATE TABLE run (
        id TEXT PRIMARY KEY, workspace TEXT NOT NULL, automation TEXT NOT NULL,
        acceptance TEXT NOT NULL, bundle BLOB NOT NULL, semantics INTEGER NOT NULL,
        wrapped_key BLOB, run_key BLOB NOT NULL, phase TEXT NOT NULL, code TEXT, step TEXT,
        attempt INTEGER, outcome BLOB) STRICT;
    CREATE INDEX run_open ON run (phase);
    CREATE TABLE event (
        run TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (run, number)) STRICT;
    CREATE TABLE begun (
        run TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
        PRIMARY KEY (run, step, attempt)) STRICT;
    CREATE TABLE decision (
        run TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL, retry INTEGER NOT NULL,
        PRIMARY KEY (run, step, attempt)) STRICT;
    CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, payload TEXT NOT NULL) STRICT;
";

/// Takes the journal for this process; the lock goes with the process, however it ends.
pub(super) fn lock(path: &Path) -> Result<File, JournalError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = owned(Path::new(&name)).map_err(JournalError::File)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse),
        Err(TryLockError::Error(source)) => Err(JournalError::File(source)),
    }
}

/// Opens or makes the file, to write.
pub(super) fn writer(path: &Path, storage: &StorageKey) -> Result<Connection, JournalError> {
    // SQLite gives its write-ahead log the permissions of the database.
    drop(owned(path).map_err(JournalError::File)?);
    let mut connection = connect(path)?;
    if let Found::Older(version) = SCHEMA.bring_up(&mut connection, path)? {
        let (to, copy) = (SCHEMA.newest(), writ_sqlite::backup_path(path, version));
        tracing::info!(from = version, to, copy = %copy.display(), "journal upgraded");
    }
    set(&connection, "journal_mode", &"wal".to_owned())?;
    set(&connection, "secure_delete", &1_i64)?;
    name_key(&connection, storage)?;
    check_key(&connection, storage)?;
    Ok(connection)
}

/// Opens the file that [`writer`] has opened, to read.
pub(super) fn reader(path: &Path) -> Result<Connection, JournalError> {
    let connection = connect(path)?;
    set(&connection, "query_only", &1_i64)?;
    Ok(connection)
}

fn owned(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

fn connect(path: &Path) -> Result<Connection, JournalError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    set(&connection, "synchronous", &FULL)?;
    Ok(connection)
}

/// Makes a setting and looks whether it took: SQLite ignores what it can't do.
fn set<T>(connection: &Connection, name: &'static str, value: &T) -> Result<(), JournalError>
where
    T: rusqlite::ToSql + rusqlite::types::FromSql + PartialEq,
{
    connection.pragma_update(None, name, value)?;
    let found: T = connection.pragma_query_value(None, name, |row| row.get(0))?;
    if found == *value { Ok(()) } else { Err(JournalError::Setting(name)) }
}

/// The first thing that is written into a new journal: what tells its storage key from another.
fn name_key(connection: &Connection, storage: &StorageKey) -> Result<(), JournalError> {
    connection.execute(
        "INSERT INTO meta (key_check)
         SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM meta) AND NOT EXISTS (SELECT 1 FROM run)",
        params![storage.new_check()?],
    )?;
    Ok(())
}

/// A wrong storage key is told apart from a damaged run before any run is judged.
fn check_key(connection: &Connection, storage: &StorageKey) -> Result<(), JournalError> {
    let check: Vec<u8> =
        connection.query_row("SELECT key_check FROM meta", [], |row| row.get(0))?;
    storage.check(&check)
}
