//! The tables of a tenant's database, and the settings that make a write durable.

use rusqlite::Connection;

use super::StoreError;

/// The schema that this program reads and writes.
const VERSION: i64 = 2;

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

/// What version 2 added.
const TABLES_2: &str = "
    CREATE TABLE connection_test (
        writ TEXT PRIMARY KEY, runner_group TEXT NOT NULL, connection TEXT NOT NULL,
        sealed_order TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0, statement TEXT, code TEXT,
        reason TEXT) STRICT;
";

/// Makes the tables in a new file, adds what an older one lacks, and refuses a file of another version.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if synchronous != 2 {
        return Err(StoreError::Row);
    }
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        VERSION => Ok(()),
        0 => make(connection, &[TABLES, TABLES_2]),
        1 => make(connection, &[TABLES_2]),
        found => Err(StoreError::Version { found, known: VERSION }),
    }
}

fn make(connection: &Connection, tables: &[&str]) -> Result<(), StoreError> {
    let tables = tables.concat();
    let version = format!("BEGIN; {tables} PRAGMA user_version = {VERSION}; COMMIT;");
    Ok(connection.execute_batch(&version)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_version_gets_what_it_lacks_and_a_newer_one_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&format!("{TABLES} PRAGMA user_version = 1;")).unwrap();

        prepare(&connection).unwrap();

        connection.execute_batch("SELECT writ FROM connection_test").unwrap();
        prepare(&connection).unwrap();
        connection.execute_batch("PRAGMA user_version = 3").unwrap();
        assert!(matches!(prepare(&connection), Err(StoreError::Version { found: 3, .. })));
    }
}
