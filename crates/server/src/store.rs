//! A tenant's database: one SQLite file, one table an idea, every write durable when it returns.
//!
//! Invariants:
//! * `synchronous = FULL` and WAL, checked after opening;
//! * audit records are appended in the same transaction as what they record;
//! * no input, output or credential is ever here; inputs pass sealed, and are removed once a jail
//!   has accepted or refused their run.
//!
//! Read: `schema`, then `charter`, `runs`, `connection_tests`, `sessions`, `statements`, `audit`.

mod audit;
mod charter;
mod connection_tests;
mod runs;
mod schema;
mod sessions;
mod statements;

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Transaction};

pub(crate) use connection_tests::NewTest;
pub(crate) use runs::NewRun;
pub(crate) use sessions::{NewRevoke, SeenSession};

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed.
    #[error("the tenant database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored does not parse: another program wrote here.
    #[error("the tenant database holds a row that is not what was written")]
    Row,
    /// The file is of another version of Writ, or none of its files.
    #[error("the tenant database can't be used as it is")]
    Schema(#[from] writ_sqlite::SchemaError),
    /// The writ's `jti` was used, or the run exists.
    #[error("the writ was used before")]
    Replayed,
    /// The random source failed.
    #[error("the random source failed")]
    Random,
}

/// One tenant's database.
pub(crate) struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens or makes the file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        schema::prepare(&mut connection, path)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while holding the lock rolled its transaction back; the connection is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
