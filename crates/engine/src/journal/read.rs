//! Reads of the journal, on a connection of their own.

use rusqlite::{OptionalExtension as _, Row, params};
use writ_model::{RunId, StepId, UnixMillis};
use writ_workflow::{Event, Outcome};
use zeroize::Zeroizing;

use super::{Journal, JournalError, seal::RunSeal};
use crate::status::{OutboxItem, Phase, RunStatus, Suspended};

/// A run as it stands in the journal.
pub(crate) struct RunRow {
    pub(crate) workspace: String,
    pub(crate) acceptance: String,
    pub(crate) bundle: Vec<u8>,
    pub(crate) semantics: u32,
    pub(crate) status: RunStatus,
    wrapped_key: Option<Vec<u8>>,
    run_key: Vec<u8>,
    outcome: Option<Vec<u8>>,
}

/// What a person decided about a step in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Retry,
    Fail,
}

/// A run's columns, before they are looked at.
struct Columns {
    run: RunRow,
    phase: String,
    step: Option<String>,
}

impl Columns {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let status = RunStatus {
            phase: Phase::Running,
            code: row.get("code")?,
            step: None,
            attempt: row.get("attempt")?,
        };
        let run = RunRow {
            workspace: row.get("workspace")?,
            acceptance: row.get("acceptance")?,
            bundle: row.get("bundle")?,
            semantics: row.get("semantics")?,
            status,
            wrapped_key: row.get("wrapped_key")?,
            run_key: row.get("run_key")?,
            outcome: row.get("outcome")?,
        };
        Ok(Self { run, phase: row.get("phase")?, step: row.get("step")? })
    }

    fn check(self) -> Result<RunRow, JournalError> {
        let Self { mut run, phase, step } = self;
        run.status.phase = Phase::named(&phase).ok_or(JournalError::Row)?;
        run.status.step = step.map(|text| step_of(&text)).transpose()?;
        Ok(run)
    }
}

fn step_of(text: &str) -> Result<StepId, JournalError> {
    serde_json::from_str(text).map_err(|_| JournalError::Row)
}

impl Journal {
    /// A run, if it is there.
    pub(crate) fn run(&self, run: RunId) -> Result<Option<RunRow>, JournalError> {
        self.reader()
            .query_row("SELECT * FROM run WHERE id = ?1", params![run.to_string()], Columns::read)
            .optional()?
            .map(Columns::check)
            .transpose()
    }

    /// Runs that wait for a person.
    pub(crate) fn suspended(&self) -> Result<Vec<Suspended>, JournalError> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(
            "SELECT id, step, attempt FROM run
             WHERE phase = 'suspended' AND step IS NOT NULL ORDER BY id",
        )?;
        statement
            .query_map([], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?))
            })?
            .map(|row| {
                let (run, step, attempt) = row?;
                let run = run.parse().map_err(|_| JournalError::Row)?;
                Ok(Suspended { run, step: step_of(&step)?, attempt })
            })
            .collect()
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

    /// The key that seals the run's data.
    pub(crate) fn seal_of(&self, run: RunId, row: &RunRow) -> Result<RunSeal, JournalError> {
        self.storage.unwrap(run, row.wrapped_key.as_deref().ok_or(JournalError::Erased)?)
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

    /// How the run ended, if its end is written.
    pub(crate) fn outcome(seal: &RunSeal, row: &RunRow) -> Result<Option<Outcome>, JournalError> {
        let Some(sealed) = &row.outcome else { return Ok(None) };
        let bytes = seal.open("outcome", 0, sealed)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| JournalError::Row)
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
    pub(crate) fn outbox(&self) -> Result<Vec<OutboxItem>, JournalError> {
        let reader = self.reader();
        let mut statement =
            reader.prepare_cached("SELECT id, payload FROM outbox ORDER BY id LIMIT 256")?;
        let rows = statement
            .query_map([], |row| Ok(OutboxItem { id: row.get(0)?, payload: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
