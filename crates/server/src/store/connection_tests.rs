//! Tests of connections: orders that wait for a runner, and the jail's statement about each.
//!
//! Metadata only: a name, a writ, a signed outcome. Neither credential nor answer is ever here.

use rusqlite::{OptionalExtension as _, params};
use writ_api::TestStatus;
use writ_evidence::audit::{DecisionNote, WritRecord};
use writ_model::{ConnectionName, Digest, RunnerGroupId, UnixTime};

use super::{
    Store, StoreError,
    runs::{record_writ, use_jti},
};

/// A test that was ordered and may be relayed.
pub(crate) struct NewTest<'a> {
    pub(crate) writ: Digest,
    pub(crate) jti: &'a str,
    pub(crate) until: UnixTime,
    pub(crate) group: RunnerGroupId,
    pub(crate) connection: &'a ConnectionName,
    pub(crate) record: &'a WritRecord,
}

impl Store {
    /// Keeps an order until its runner has carried it out; records writ and decision.
    pub(crate) fn put_test(
        &self,
        new: &NewTest<'_>,
        note: &DecisionNote,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(new.record).map_err(|_| StoreError::Row)?;
        self.write(|transaction| {
            use_jti(transaction, new.jti, new.until)?;
            transaction.execute(
                "INSERT INTO connection_test (writ, runner_group, connection, sealed_order)
                 VALUES (?1, ?2, ?3, ?4)",
                params![
                    new.writ.to_string(),
                    new.group.to_string(),
                    new.connection.to_string(),
                    text
                ],
            )?;
            record_writ(transaction, new.record, note)
        })
    }

    /// Orders for a runner group that were not carried out, oldest first.
    pub(crate) fn pending_tests(
        &self,
        group: RunnerGroupId,
    ) -> Result<Vec<(Digest, WritRecord)>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT writ, sealed_order FROM connection_test
             WHERE done = 0 AND runner_group = ?1 ORDER BY rowid LIMIT 16",
        )?;
        statement
            .query_map(params![group.to_string()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?
            .map(|row| {
                let (writ, text) = row?;
                let record = serde_json::from_str(&text).map_err(|_| StoreError::Row)?;
                Ok((writ.parse().map_err(|_| StoreError::Row)?, record))
            })
            .collect()
    }

    /// Keeps the first statement that a test's writ was answered with; other writs are none of a test.
    pub(crate) fn answer_test(&self, writ: Digest, compact: &str) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE connection_test SET statement = ?2, done = 1
                 WHERE writ = ?1 AND statement IS NULL",
                params![writ.to_string(), compact],
            )?;
            Ok(())
        })
    }

    /// An order need not be given again; `refused` is the runner's word where the jail signed nothing.
    pub(crate) fn test_done(
        &self,
        writ: Digest,
        refused: Option<(String, String)>,
    ) -> Result<(), StoreError> {
        let (code, reason) = refused.unzip();
        self.write(|transaction| {
            transaction.execute(
                "UPDATE connection_test SET done = 1, code = ?2, reason = ?3
                 WHERE writ = ?1 AND done = 0",
                params![writ.to_string(), code, reason],
            )?;
            Ok(())
        })
    }

    /// What came of a test.
    pub(crate) fn test(&self, writ: Digest) -> Result<Option<TestStatus>, StoreError> {
        let found = self
            .lock()
            .query_row(
                "SELECT connection, done, statement, code, reason FROM connection_test
                 WHERE writ = ?1",
                params![writ.to_string()],
                |row| {
                    let connection: String = row.get(0)?;
                    Ok((connection, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                },
            )
            .optional()?;
        let Some((connection, done, statement, code, reason)) = found else { return Ok(None) };
        let connection = connection.parse().map_err(|_| StoreError::Row)?;
        Ok(Some(TestStatus { connection, done, statement, code, reason }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use writ_evidence::idc::{IdcMode, UnverifiedIdc};

    use super::*;

    #[test]
    fn an_order_waits_for_its_own_group_until_it_is_answered_and_the_first_answer_stays() {
        let store = Store::open(Path::new(":memory:")).unwrap();
        put(&store, "jti-1").unwrap();
        let group = RunnerGroupId::from_bits(1);
        assert_eq!(store.pending_tests(group).unwrap().len(), 1);
        assert!(store.pending_tests(RunnerGroupId::from_bits(2)).unwrap().is_empty());
        assert!(!store.test(writ()).unwrap().unwrap().done);

        store.answer_test(writ(), "first").unwrap();
        store.answer_test(writ(), "second").unwrap();
        store.test_done(writ(), Some(("late".to_owned(), "word".to_owned()))).unwrap();

        let status = store.test(writ()).unwrap().unwrap();
        assert!(status.done);
        assert_eq!(status.statement.as_deref(), Some("first"));
        assert_eq!(status.code, None);
        assert!(store.pending_tests(group).unwrap().is_empty());
    }

    #[test]
    fn a_writ_is_taken_once() {
        let store = Store::open(Path::new(":memory:")).unwrap();
        put(&store, "jti-1").unwrap();

        assert!(matches!(put(&store, "jti-1"), Err(StoreError::Replayed)));
    }

    #[test]
    fn a_word_of_the_runner_is_kept_where_the_jail_signed_nothing() {
        let store = Store::open(Path::new(":memory:")).unwrap();
        put(&store, "jti-1").unwrap();

        store.test_done(writ(), Some(("jail-state".to_owned(), "full".to_owned()))).unwrap();

        let status = store.test(writ()).unwrap().unwrap();
        assert_eq!((status.done, status.code.as_deref()), (true, Some("jail-state")));
    }

    fn writ() -> Digest {
        Digest::from_bytes([1; 32])
    }

    fn put(store: &Store, jti: &str) -> Result<(), StoreError> {
        let text = String::new;
        let idc =
            UnverifiedIdc { mode: IdcMode::Nonce, id_token: text(), cic: text(), refreshed: None };
        let record = WritRecord { writ: text(), idc };
        let connection = "secops/github".parse().unwrap();
        let at = UnixTime(1_764_000_000);
        let new = NewTest {
            writ: writ(),
            jti,
            until: at.plus(300),
            group: RunnerGroupId::from_bits(1),
            connection: &connection,
            record: &record,
        };
        let note = DecisionNote { writ: writ(), relayed: true, code: None, reason: text(), at };
        store.put_test(&new, &note)
    }
}
