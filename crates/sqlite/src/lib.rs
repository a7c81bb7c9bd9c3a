//! Brings an SQLite file of Writ's to the schema that this program reads and writes.
//!
//! In: an open connection, its path, and a [`Schema`]: the steps that lead from an empty file to today's. Out:
//! a file of the newest version, or a refusal that says what to do. A new file goes through every step, so that
//! a file that grew and one that was made today are the same.
//!
//! Invariants:
//! * a step and its version number are one transaction: a file is of one version, whenever the power goes;
//! * before the first step of a file that holds something, a copy of it as it was is on disk beside it,
//!   complete or not at all, for its owner alone; a crash in between only makes the copy again;
//! * a file of another kind, a newer or a forgotten version is left as it is.
//!
//! Not here: what the tables mean, settings of the connection, who may open the file: its owners' (`store` of the
//! control plane, `journal` of the engine).

mod backup;
#[cfg(test)]
mod tests;

use std::{io, path::Path};

use rusqlite::{Connection, TransactionBehavior};

pub use backup::{backup_path, remove_backups};

/// One change of a schema.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The version that it leads to; one more than that of the step before.
    pub to: i64,
    /// What it does, in SQL without `BEGIN` and `COMMIT`.
    pub sql: &'static str,
}

/// What a file holds, and how it came to.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// What it is called in messages, such as `the journal`.
    pub name: &'static str,
    /// Its mark as SQLite's `application_id`; files from before marks were made carry none.
    pub mark: i32,
    /// From an empty file to today's. A version before the first step's is forgotten.
    pub steps: &'static [Step],
}

/// Where a file is on its way, for tests that cut the power there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The copy is written, but not in its place.
    CopyWritten,
    /// The copy is in its place.
    CopyKept,
    /// The step to this version is done, and not committed.
    Stepped(i64),
    /// The step to this version is committed.
    Committed(i64),
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the tables are new and empty.
    New,
    /// Today's version.
    Current,
    /// An older one, which was brought up to date.
    Older(i64),
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A newer Writ has written it.
    #[error(
        "{name} is of schema {found}; this Writ knows up to {known}: start the version that wrote it, or put the \
         copy that was made before the upgrade (`….v{known}.backup`) in its place"
    )]
    Newer {
        /// What the file is.
        name: &'static str,
        /// Version in the file.
        found: i64,
        /// Newest version of this program.
        known: i64,
    },
    /// It is older than any that this program can bring up to date.
    #[error(
        "{name} is of schema {found}; this Writ brings up to date from {oldest} on: start a version in between \
         first"
    )]
    Forgotten {
        /// What the file should be.
        name: &'static str,
        /// Version in the file.
        found: i64,
        /// Oldest version that can be brought up to date.
        oldest: i64,
    },
    /// It is not what was expected there: another of Writ's files, or another program's.
    #[error(
        "the file is not {name}: another program's, or another of Writ's files, is in its place"
    )]
    Foreign {
        /// What the file should be.
        name: &'static str,
    },
    /// The copy could not be made, so that nothing was changed.
    #[error("cannot keep a copy of {name} before the upgrade; make room beside it")]
    Backup {
        /// What the file is.
        name: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// SQLite failed; the file is of one version or the next.
    #[error("the upgrade failed")]
    Sqlite(#[from] rusqlite::Error),
}

impl SchemaError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "data-newer",
            Self::Forgotten { .. } => "data-forgotten",
            Self::Foreign { .. } => "data-foreign",
            Self::Backup { .. } => "data-backup",
            Self::Sqlite(_) => "data-upgrade",
        }
    }
}

impl Schema {
    /// The version that this program reads and writes.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.steps.last().map_or(0, |step| step.to)
    }

    /// Brings the file at `path`, open as `connection`, up to date.
    ///
    /// # Errors
    ///
    /// [`SchemaError`], each with what to do.
    pub fn bring_up(&self, connection: &mut Connection, path: &Path) -> Result<Found, SchemaError> {
        self.bring_up_watched(connection, path, &mut |_| {})
    }

    /// As [`Self::bring_up`], telling `watch` of every point that it passes.
    ///
    /// # Errors
    ///
    /// [`SchemaError`].
    pub fn bring_up_watched(
        &self,
        connection: &mut Connection,
        path: &Path,
        watch: &mut dyn FnMut(Point),
    ) -> Result<Found, SchemaError> {
        let found = self.judge(connection)?;
        if let Found::Older(version) = found {
            backup::keep(connection, path, version, watch)
                .map_err(|source| SchemaError::Backup { name: self.name, source })?;
        }
        let from = match found {
            Found::New => 0,
            Found::Current => return Ok(found),
            Found::Older(version) => version,
        };
        for step in self.steps.iter().filter(|step| step.to > from) {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(step.sql)?;
            transaction.pragma_update(None, "user_version", step.to)?;
            transaction.pragma_update(None, "application_id", self.mark)?;
            watch(Point::Stepped(step.to));
            transaction.commit()?;
            watch(Point::Committed(step.to));
        }
        Ok(found)
    }

    fn judge(&self, connection: &Connection) -> Result<Found, SchemaError> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (version, mark) = (pragma("user_version")?, pragma("application_id")?);
        if mark != 0 && mark != i64::from(self.mark) {
            return Err(SchemaError::Foreign { name: self.name });
        }
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let (oldest, known) = (self.steps.first().map_or(0, |step| step.to), self.newest());
        match version {
            0 if tables == 0 => Ok(Found::New),
            version if version <= 0 => Err(SchemaError::Foreign { name: self.name }),
            found if found > known => Err(SchemaError::Newer { name: self.name, found, known }),
            found if found < oldest => {
                Err(SchemaError::Forgotten { name: self.name, found, oldest })
            }
            found if found == known => Ok(Found::Current),
            found => Ok(Found::Older(found)),
        }
    }
}
