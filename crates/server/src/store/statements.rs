//! The jail's statements, each once, without a gap.

use rusqlite::{OptionalExtension as _, params};
use writ_evidence::{
    audit::RecordKind,
    statement::{Says, VerifiedStatement},
};
use writ_model::{Digest, RunId};

use super::{Store, StoreError, audit};

impl Store {
    /// Number of the newest statement of a jail.
    pub(crate) fn newest_statement(&self, jail: Digest) -> Result<u64, StoreError> {
        let seq: i64 = self.lock().query_row(
            "SELECT COALESCE(MAX(seq), 0) FROM statement WHERE jail = ?1",
            params![jail.to_string()],
            |row| row.get(0),
        )?;
        u64::try_from(seq).map_err(|_| StoreError::Row)
    }

    /// A jail's statement of this number.
    pub(crate) fn statement(&self, jail: Digest, seq: u64) -> Result<Option<String>, StoreError> {
        let seq = i64::try_from(seq).map_err(|_| StoreError::Row)?;
        let compact = self.lock().query_row(
            "SELECT compact FROM statement WHERE jail = ?1 AND seq = ?2",
            params![jail.to_string(), seq],
            |row| row.get(0),
        );
        Ok(compact.optional()?)
    }

    /// Keeps a verified statement that follows the newest, and records it.
    pub(crate) fn put_statement(
        &self,
        jail: Digest,
        verified: &VerifiedStatement,
        compact: &str,
    ) -> Result<(), StoreError> {
        let statement = verified.statement();
        let seq = i64::try_from(statement.seq).map_err(|_| StoreError::Row)?;
        let run = about(&statement.says).map(|run| run.to_string());
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO statement (jail, seq, run, compact) VALUES (?1, ?2, ?3, ?4)",
                params![jail.to_string(), seq, run, compact],
            )?;
            audit::append(transaction, RecordKind::of(&statement.says), compact.to_owned())
        })
    }
}

/// The run that a statement is about.
fn about(says: &Says) -> Option<RunId> {
    match says {
        Says::Acceptance(acceptance) => Some(acceptance.run),
        Says::Refusal(refusal) => refusal.run.or(refusal.writ.map(writ_evidence::writ::run_id)),
        Says::Receipt(receipt) => Some(receipt.run),
        Says::Tested(_) | Says::Forked(_) | Says::Revoked(_) => None,
    }
}
