//! The journal: what a runner must not forget, in one SQLite file.
//!
//! Invariants:
//! * a write that returned is on disk (`synchronous = FULL`); writes that wait together are
//!   committed together by one writer thread;
//! * run data (inputs, events, outcomes, run keys) is sealed with a key of its run, which is
//!   wrapped by the runner's storage key; without the wrapped key it is gone (`seal`);
//! * an event is appended once: its number is part of the table's key;
//! * a final phase, and an outcome once written, never change;
//! * one process at a time has the journal.

#[cfg(test)]
pub(crate) mod fuse;
mod read;
mod schema;
pub(crate) mod seal;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Savepoint, params};
use writ_model::{RunId, StepId, UnixMillis};
use writ_workflow::{Event, Outcome, SEMANTICS_VERSION};
use zeroize::Zeroizing;

use crate::status::{Phase, RunStatus};
pub(crate) use read::{Decision, RunRow};
use seal::{RunSeal, StorageKey};
use writer::Writer;

/// Why the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite failed.
    #[error("the journal's database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A file or the writer's thread can't be had.
    #[error("cannot open the journal's files")]
    File(#[source] std::io::Error),
    /// Another process has the journal.
    #[error("another process has the journal open")]
    InUse,
    /// A setting that durability rests on did not take.
    #[error("the journal's setting `{0}` did not take")]
    Setting(&'static str),
    /// The storage key is not the one that the journal was made with.
    #[error("the storage key is not the one that the journal was made with")]
    StorageKey,
    /// A value does not open: another key, another place, or altered.
    #[error("a value in the journal does not open with the run's key")]
    Sealed,
    /// The run's data was erased.
    #[error("the run's data was erased")]
    Erased,
    /// The run has not ended, so that its data can't be erased.
    #[error("the run has not ended")]
    NotEnded,
    /// A row is not what was written.
    #[error("the journal holds a row that is not what was written")]
    Row,
    /// The commit failed; nothing of it is believed.
    #[error("the journal's commit failed")]
    Commit,
    /// Somebody reads, so that the write-ahead log can't be emptied now.
    #[error("the journal is being read")]
    Busy,
    /// The file is of another version of Writ, or none of its files.
    #[error("the journal can't be used as it is")]
    Schema(#[from] writ_sqlite::SchemaError),
    /// The writer thread has ended.
    #[error("the journal's writer has ended")]
    WriterGone,
}

impl JournalError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Sqlite(_) | Self::Commit | Self::Busy | Self::WriterGone => "journal-failed",
            Self::File(_) => "journal-file",
            Self::InUse => "journal-in-use",
            Self::Setting(_) => "journal-setting",
            Self::StorageKey => "journal-storage-key",
            Self::Sealed | Self::Row => "journal-damaged",
            Self::Erased => "run-erased",
            Self::NotEnded => "run-not-ended",
            Self::Schema(error) => error.code(),
        }
    }

    /// Whether the run's own rows are at fault, and not the file as a whole.
    pub(crate) const fn is_damage(&self) -> bool {
        matches!(self, Self::Sealed | Self::Row | Self::Erased)
    }
}

/// The journal.
pub(crate) struct Journal {
    writer: Writer,
    reader: Mutex<Connection>,
    storage: StorageKey,
    path: PathBuf,
    /// Held for as long as the journal is open; the last to go.
    _lock: File,
}

/// A run as it is first written.
pub(crate) struct NewRun<'a> {
    pub(crate) id: RunId,
    pub(crate) workspace: String,
    pub(crate) automation: String,
    pub(crate) acceptance: &'a str,
    pub(crate) bundle: &'a [u8],
    pub(crate) run_key: &'a [u8; 32],
}

impl Journal {
    pub(crate) fn open(path: &Path, storage: &Zeroizing<[u8; 32]>) -> Result<Self, JournalError> {
        let lock = schema::lock(path)?;
        let storage = StorageKey::new(storage)?;
        let writer = Writer::start(schema::writer(path, &storage)?)?;
        let reader = Mutex::new(schema::reader(path)?);
        Ok(Self { writer, reader, storage, path: path.to_owned(), _lock: lock })
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn fuse(&self) -> &fuse::Fuse {
        &self.writer.fuse
    }

    /// Writes a run and its first event; `false` if the run is already there.
    pub(crate) async fn create(
        &self,
        new: NewRun<'_>,
        first: &Event,
        now: UnixMillis,
    ) -> Result<bool, JournalError> {
        let (seal, wrapped) = self.storage.new_run(new.id)?;
        let run_key = seal.seal("run-key", 0, new.run_key)?;
        let event = seal.seal("event", 0, &to_bytes(first)?)?;
        let run = new.id;
        let (workspace, automation) = (new.workspace, new.automation);
        let (acceptance, bundle) = (new.acceptance.to_owned(), new.bundle.to_vec());
        self.writer
            .write(move |transaction| {
                let id = run.to_string();
                let added = transaction.execute(
                    "INSERT OR IGNORE INTO run (id, workspace, automation, acceptance, bundle,
                         semantics, wrapped_key, run_key, phase)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'running')",
                    params![
                        id,
                        workspace,
                        automation,
                        acceptance,
                        bundle,
                        SEMANTICS_VERSION,
                        wrapped,
                        run_key
                    ],
                )?;
                if added == 1 {
                    insert_event(transaction, run, 0, now, &event)?;
                    tell(transaction, &RunStatus::of(Phase::Running).payload(run))?;
                }
                Ok(added == 1)
            })
            .await
    }

    /// Appends an event; what it finishes is no longer begun.
    pub(crate) async fn append(
        &self,
        seal: &RunSeal,
        number: u64,
        event: &Event,
        now: UnixMillis,
    ) -> Result<(), JournalError> {
        let sealed = seal.seal("event", number, &to_bytes(event)?)?;
        let run = seal.run();
        let finished = match event {
            Event::ActionFinished { step, attempt, .. } => Some((step.to_string(), *attempt)),
            Event::Start { .. }
            | Event::CodeFinished { .. }
            | Event::ApprovalDecided { .. }
            | Event::TimerFired { .. } => None,
        };
        self.writer
            .write(move |transaction| {
                insert_event(transaction, run, number, now, &sealed)?;
                if let Some((step, attempt)) = finished {
                    transaction.execute(
                        "DELETE FROM begun WHERE run = ?1 AND step = ?2 AND attempt = ?3",
                        params![run.to_string(), step, attempt],
                    )?;
                    forget_decision(transaction, run, &step, attempt)?;
                    move_run(transaction, run, &RunStatus::of(Phase::Running))?;
                }
                Ok(())
            })
            .await
    }

    /// Writes that an action is about to be called. A decision to call it again is spent here, in
    /// the same commit, so that it can't serve for a second call.
    pub(crate) async fn begin(
        &self,
        run: RunId,
        step: &StepId,
        attempt: u32,
    ) -> Result<(), JournalError> {
        let step = step.to_string();
        self.writer
            .write(move |transaction| {
                transaction.execute(
                    "INSERT OR IGNORE INTO begun (run, step, attempt) VALUES (?1, ?2, ?3)",
                    params![run.to_string(), step, attempt],
                )?;
                forget_decision(transaction, run, &step, attempt)?;
                move_run(transaction, run, &RunStatus::of(Phase::Running))
            })
            .await
    }

    /// Moves a run to another phase and tells so; to the one that it is in, changes nothing.
    pub(crate) async fn move_to(&self, run: RunId, status: RunStatus) -> Result<(), JournalError> {
        self.writer.write(move |transaction| move_run(transaction, run, &status)).await
    }

    /// Writes how a run ended; it is closed later. The first outcome stands.
    pub(crate) async fn finish(
        &self,
        seal: &RunSeal,
        outcome: &Outcome,
    ) -> Result<(), JournalError> {
        let bytes = serde_json::to_vec(outcome).map(Zeroizing::new);
        let sealed = seal.seal("outcome", 0, &bytes.map_err(|_| JournalError::Row)?)?;
        let run = seal.run().to_string();
        self.writer
            .write(move |transaction| {
                transaction.execute(
                    "UPDATE run SET outcome = ?2 WHERE id = ?1 AND outcome IS NULL",
                    params![run, sealed],
                )?;
                Ok(())
            })
            .await
    }

    /// Writes what a person decided about a step in doubt; `false` if the run is not suspended
    /// there, or somebody has decided otherwise. Looked at in the same commit, so that a decision
    /// that comes late is not kept for the next crash.
    pub(crate) async fn decide(
        &self,
        run: RunId,
        step: &StepId,
        attempt: u32,
        retry: bool,
    ) -> Result<bool, JournalError> {
        let (key, json) = (step.to_string(), to_json(step));
        self.writer
            .write(move |transaction| {
                let run = run.to_string();
                transaction.execute(
                    "INSERT OR IGNORE INTO decision (run, step, attempt, retry)
                     SELECT ?1, ?2, ?3, ?4 FROM run
                     WHERE id = ?1 AND phase = 'suspended' AND step = ?5 AND attempt = ?3",
                    params![run, key, attempt, retry, json],
                )?;
                Ok(transaction
                    .prepare_cached(
                        "SELECT 1 FROM decision
                         WHERE run = ?1 AND step = ?2 AND attempt = ?3 AND retry = ?4",
                    )?
                    .exists(params![run, key, attempt, retry])?)
            })
            .await
    }

    /// Drops what was delivered.
    pub(crate) async fn delivered(&self, up_to: i64) -> Result<(), JournalError> {
        self.writer
            .write(move |transaction| {
                transaction.execute("DELETE FROM outbox WHERE id <= ?1", params![up_to])?;
                Ok(())
            })
            .await
    }

    /// Tells a run's phase once more.
    pub(crate) async fn tell_again(&self, payload: String) -> Result<(), JournalError> {
        self.writer.write(move |transaction| tell(transaction, &payload)).await
    }

    /// Destroys the key of a run that has ended, and with it the run's data. A copy from before an upgrade
    /// has the key too, so that it goes as well.
    pub(crate) async fn forget(&self, run: RunId) -> Result<(), JournalError> {
        let forgotten = self
            .writer
            .write(move |transaction| {
                Ok(transaction.execute(
                    "UPDATE run SET wrapped_key = NULL
                     WHERE id = ?1 AND phase IN ('completed', 'faulted')",
                    params![run.to_string()],
                )?)
            })
            .await?;
        if forgotten == 0 {
            return Err(JournalError::NotEnded);
        }
        writ_sqlite::remove_backups(&self.path).map_err(JournalError::File)?;
        self.writer.checkpoint().await
    }
}

fn insert_event(
    transaction: &Savepoint<'_>,
    run: RunId,
    number: u64,
    now: UnixMillis,
    sealed: &[u8],
) -> Result<(), JournalError> {
    transaction.execute(
        "INSERT INTO event (run, number, at, sealed) VALUES (?1, ?2, ?3, ?4)",
        params![run.to_string(), to_i64(number)?, to_i64(now.0)?, sealed],
    )?;
    Ok(())
}

fn forget_decision(
    transaction: &Savepoint<'_>,
    run: RunId,
    step: &str,
    attempt: u32,
) -> Result<(), JournalError> {
    transaction.execute(
        "DELETE FROM decision WHERE run = ?1 AND step = ?2 AND attempt = ?3",
        params![run.to_string(), step, attempt],
    )?;
    Ok(())
}

/// A final phase never changes, and what did not change is not told.
fn move_run(
    transaction: &Savepoint<'_>,
    run: RunId,
    status: &RunStatus,
) -> Result<(), JournalError> {
    let moved = transaction.execute(
        "UPDATE run SET phase = ?2, code = ?3, step = ?4, attempt = ?5
         WHERE id = ?1 AND phase NOT IN ('completed', 'faulted')
           AND (phase <> ?2 OR step IS NOT ?4 OR attempt IS NOT ?5)",
        params![
            run.to_string(),
            status.phase.as_str(),
            status.code,
            status.step.as_ref().map(to_json),
            status.attempt
        ],
    )?;
    if moved == 1 { tell(transaction, &status.payload(run)) } else { Ok(()) }
}

fn tell(transaction: &Savepoint<'_>, payload: &str) -> Result<(), JournalError> {
    transaction.execute("INSERT INTO outbox (payload) VALUES (?1)", params![payload])?;
    Ok(())
}

fn to_bytes(event: &Event) -> Result<Zeroizing<Vec<u8>>, JournalError> {
    serde_json::to_vec(event).map(Zeroizing::new).map_err(|_| JournalError::Row)
}

fn to_json(step: &StepId) -> String {
    serde_json::json!(step).to_string()
}

fn to_i64(value: u64) -> Result<i64, JournalError> {
    i64::try_from(value).map_err(|_| JournalError::Row)
}
