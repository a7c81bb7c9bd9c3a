//! The journal's tables, and the settings that make a commit durable.

use std::path::Path;

use rusqlite::Connection;

use super::JournalError;

/// The schema that this program reads and writes.
const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE run (
        id TEXT PRIMARY KEY, workspace TEXT NOT NULL, automation TEXT NOT NULL,
        acceptance TEXT NOT NULL, bundle BLOB NOT NULL, wrapped_key BLOB NOT NULL,
        run_key BLOB NOT NULL, phase TEXT NOT NULL, code TEXT, step TEXT, attempt INTEGER,
        outcome BLOB, completed INTEGER) STRICT;
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

/// Opens or makes the file.
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if synchronous != 2 {
        return Err(JournalError::Row);
    }
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        VERSION => Ok(connection),
        0 => {
            connection.execute_batch(&format!(
                "BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"
            ))?;
            Ok(connection)
        }
        found => Err(JournalError::Version { found, known: VERSION }),
    }
}
