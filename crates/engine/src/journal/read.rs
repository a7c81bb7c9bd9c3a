//! Reads of the journal, on a connection of their own.

use rusqlite::{OptionalExtension as _, Row, params};
use writ_model::{RunId, StepId, UnixMillis};
use writ_workflow::Event;
use zeroize::Zeroizing;

use super::{Journal, JournalError, seal::RunSeal};

/// A run as it stands in the journal.
pub(crate) struct RunRow {
    pub(crate) workspace: String,
    pub(crate) acceptance: String,
    pub(crate) bundle: Vec<u8>,
    pub(crate) phase: String,
    pub(crate) code: Option<String>,
    pub(crate) step: Option<StepId>,
    pub(crate) attempt: Option<u32>,
    pub(crate) completed: Option<bool>,
    pub(crate) has_outcome: bool,
    wrapped_key: Vec<u8>,
    run_key: Vec<u8>,
    outcome: Option<Vec<u8>>,
}

/// What a person decided about a step in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Retry,
    Fail,
}

impl RunRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let step: Option<String> = row.get(5)?;
        let outcome: Option<Vec<u8>> = row.get(10)?;
        Ok(Self {
            workspace: row.get(0)?,
            acceptance: row.get(1)?,
            bundle: row.get(2)?,
            phase: row.get(3)?,
            code: row.get(4)?,
            step: step.and_then(|text| serde_json::from_str(&text).ok()),
            attempt: row.get(6)?,
            completed: row.get(7)?,
            wrapped_key: row.get(8)?,
            run_key: row.get(9)?,
            has_outcome: outcome.is_some(),
            outcome,
        })
    }
}

impl Journal {
    /// A run, if it is there.
    pub(crate) fn run(&self, run: RunId) -> Result<Option<RunRow>, JournalError> {
        Ok(self
            .reader()
            .query_row(
                "SELECT workspace, acceptance, bundle, phase, code, step, attempt, completed,
                        wrapped_key, run_key, outcome FROM run WHERE id = ?1",
                params![run.to_string()],
                RunRow::read,
            )
            .optional()?)
    }

    /// Runs that have not ended.
    pub(crate) fn open_runs(&self) -> Result<Vec<RunId>, JournalError> {
        let reader = self.reader();
        let mut statement = reader
            .prepare_cached("SELECT id FROM run WHERE phase NOT IN ('completed', 'faulted')")?;
        statement
            .query_map([], |row| row.get::<_, String>(0))?
            .map(|id| id?.parse().map_err(|_| JournalError::Row))
            .collect()
    }

    /// The run's key.
    pub(crate) fn seal_of(&self, run: RunId, row: &RunRow) -> Result<RunSeal, JournalError> {
        self.storage.unwrap(run, &row.wrapped_key)
    }

    /// The run key that the client drew.
    pub(crate) fn run_key(
        seal: &RunSeal,
        row: &RunRow,
    ) -> Result<Zeroizing<[u8; 32]>, JournalError> {
        let bytes = seal.open("run-key", 0, &row.run_key)?;
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| JournalError::Sealed)?;
        Ok(Zeroizing::new(bytes))
    }

    /// How the run ended.
    pub(crate) fn outcome(
        seal: &RunSeal,
        row: &RunRow,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, JournalError> {
        row.outcome.as_deref().map(|sealed| seal.open("outcome", 0, sealed)).transpose()
    }

    /// The run's events, oldest first, with when each was taken.
    pub(crate) fn events(&self, seal: &RunSeal) -> Result<Vec<(Event, UnixMillis)>, JournalError> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(
            "SELECT number, at, sealed FROM event WHERE run = ?1 ORDER BY number",
        )?;
        let rows = statement.query_map(params![seal.run().to_string()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        let mut events = Vec::new();
        for row in rows {
            let (number, at, sealed) = row?;
            let number = u64::try_from(number).map_err(|_| JournalError::Row)?;
            if number != events.len() as u64 {
                return Err(JournalError::Row);
            }
            let bytes = seal.open("event", number, &sealed)?;
            let event = serde_json::from_slice(&bytes).map_err(|_| JournalError::Row)?;
            events.push((event, UnixMillis(u64::try_from(at).map_err(|_| JournalError::Row)?)));
        }
        Ok(events)
    }

    /// Whether a call was begun and has not finished.
    pub(crate) fn was_begun(
        &self,
        run: RunId,
        step: &StepId,
        attempt: u32,
    ) -> Result<bool, JournalError> {
        Ok(self
            .reader()
            .query_row(
                "SELECT 1 FROM begun WHERE run = ?1 AND step = ?2 AND attempt = ?3",
                params![run.to_string(), step.to_string(), attempt],
                |_| Ok(()),
            )
            .optional()?
            .is_some())
    }

    /// What a person decided about a step in doubt, if they have.
    pub(crate) fn decision(
        &self,
        run: RunId,
        step: &StepId,
        attempt: u32,
    ) -> Result<Option<Decision>, JournalError> {
        let retry: Option<bool> = self
            .reader()
            .query_row(
                "SELECT retry FROM decision WHERE run = ?1 AND step = ?2 AND attempt = ?3",
                params![run.to_string(), step.to_string(), attempt],
                |row| row.get(0),
            )
            .optional()?;
        Ok(retry.map(|retry| if retry { Decision::Retry } else { Decision::Fail }))
    }

    /// What the control plane is to be told, oldest first.
    pub(crate) fn outbox(&self) -> Result<Vec<(i64, String)>, JournalError> {
        let reader = self.reader();
        let mut statement =
            reader.prepare_cached("SELECT id, payload FROM outbox ORDER BY id LIMIT 256")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
