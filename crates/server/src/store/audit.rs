//! The audit log's records, their leaf hashes and the witness's checkpoints.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use rusqlite::{Transaction, params};
use writ_evidence::audit::{AuditRecord, RecordKind};
use writ_model::Digest;

use super::{Store, StoreError};

/// Records in one page.
const PAGE: i64 = 256;

/// Appends a record within a transaction.
pub(super) fn append(
    transaction: &Transaction<'_>,
    kind: RecordKind,
    body: String,
) -> Result<(), StoreError> {
    let mut salt = [0; 16];
    SystemRandom::new().fill(&mut salt).map_err(|_| StoreError::Random)?;
    let record = AuditRecord::new(kind, salt, body);
    transaction.execute(
        "INSERT INTO audit (number, kind, salt, body, leaf)
         SELECT COALESCE(MAX(number) + 1, 0), ?1, ?2, ?3, ?4 FROM audit",
        params![kind.as_str(), record.salt, record.body, record.leaf().to_string()],
    )?;
    Ok(())
}

impl Store {
    /// Every leaf hash.
    pub(crate) fn leaves(&self) -> Result<Vec<Digest>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT leaf FROM audit ORDER BY number")?;
        statement
            .query_map([], |row| row.get::<_, String>(0))?
            .map(|leaf| leaf?.parse().map_err(|_| StoreError::Row))
            .collect()
    }

    /// How many records there are.
    pub(crate) fn audit_size(&self) -> Result<u64, StoreError> {
        let size: i64 =
            self.lock().query_row("SELECT COUNT(*) FROM audit", [], |row| row.get(0))?;
        u64::try_from(size).map_err(|_| StoreError::Row)
    }

    /// Size of the newest checkpoint.
    pub(crate) fn checkpoint_size(&self) -> Result<u64, StoreError> {
        let size: i64 =
            self.lock()
                .query_row("SELECT COALESCE(MAX(size), 0) FROM checkpoint", [], |row| row.get(0))?;
        u64::try_from(size).map_err(|_| StoreError::Row)
    }

    /// A page of records from `from`.
    pub(crate) fn audit_page(&self, from: u64) -> Result<Vec<AuditRecord>, StoreError> {
        let from = i64::try_from(from).map_err(|_| StoreError::Row)?;
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT kind, salt, body FROM audit WHERE number >= ?1 ORDER BY number LIMIT ?2",
        )?;
        statement
            .query_map(params![from, PAGE], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
            })?
            .map(|row| {
                let (kind, salt, body) = row?;
                let kind = RecordKind::ALL
                    .into_iter()
                    .find(|known| known.as_str() == kind)
                    .ok_or(StoreError::Row)?;
                Ok(AuditRecord { kind, salt, body })
            })
            .collect()
    }

    /// Checkpoints that reach further than `from`, oldest first.
    pub(crate) fn checkpoints_after(&self, from: u64) -> Result<Vec<String>, StoreError> {
        let from = i64::try_from(from).map_err(|_| StoreError::Row)?;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT compact FROM checkpoint WHERE size > ?1 ORDER BY size")?;
        let rows = statement.query_map(params![from], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps a checkpoint that was verified.
    pub(crate) fn put_checkpoint(&self, size: u64, compact: &str) -> Result<(), StoreError> {
        let size = i64::try_from(size).map_err(|_| StoreError::Row)?;
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO checkpoint (size, compact) VALUES (?1, ?2)",
                params![size, compact],
            )?;
            Ok(())
        })
    }
}
