//! The journal: what a runner must not forget, in one SQLite file.
//!
//! Invariants:
//! * a write that returned is on disk (`synchronous = FULL`); writes that wait together are
//!   committed together by one writer thread;
//! * run data (inputs, events, outputs, run keys) is sealed with a key of its run, which is
//!   wrapped by the runner's storage key; without the wrapped key it is gone (`seal`);
//! * an event is appended once: its number is part of the table's key.

mod read;
mod schema;
pub(crate) mod seal;
mod writer;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use rusqlite::Connection;
use writ_model::{RunId, StepId, UnixMillis};
use writ_workflow::Event;
use zeroize::Zeroizing;

pub(crate) use read::Decision;
use seal::{RunSeal, StorageKey};
use writer::Writer;

/// Why the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite failed.
    #[error("the journal's database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A value does not open: another key, another place, or altered.
    #[error("a value in the journal does not open with the run's key")]
    Sealed,
    /// A row is not what was written.
    #[error("the journal holds a row that is not what was written")]
    Row,
    /// The file is of another version of Writ.
    #[error("the journal is of schema {found}; this Writ knows {known}")]
    Version {
        /// Version in the file.
        found: i64,
        /// Version of this program.
        known: i64,
    },
    /// The writer thread has ended.
    #[error("the journal's writer has ended")]
    WriterGone,
}

/// The journal.
pub(crate) struct Journal {
    writer: Writer,
    reader: Mutex<Connection>,
    storage: StorageKey,
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
        let connection = schema::open(path)?;
        let reader = schema::open(path)?;
        Ok(Self {
            writer: Writer::start(connection),
            reader: Mutex::new(reader),
            storage: StorageKey::new(storage)?,
        })
    }

    fn reader(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
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
        let row = (
            new.id.to_string(),
            new.workspace,
            new.automation,
            new.acceptance.to_owned(),
            new.bundle.to_vec(),
        );
        let status = status(new.id, "running", None, None);
        self.writer
            .write(move |transaction| {
                let (id, workspace, automation, acceptance, bundle) = row;
                let added = transaction.execute(
                    "INSERT OR IGNORE INTO run
                     (id, workspace, automation, acceptance, bundle, wrapped_key, run_key, phase)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'running')",
                    (&id, workspace, automation, acceptance, bundle, wrapped, run_key),
                )?;
                if added == 1 {
                    transaction.execute(
                        "INSERT INTO event (run, number, at, sealed) VALUES (?1, 0, ?2, ?3)",
                        (&id, to_i64(now.0), event),
                    )?;
                    transaction.execute("INSERT INTO outbox (payload) VALUES (?1)", (status,))?;
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
        let run = seal.run().to_string();
        let finished = match event {
            Event::ActionFinished { step, attempt, .. } => Some((step.to_string(), *attempt)),
            Event::Start { .. } | Event::CodeFinished { .. } | Event::TimerFired { .. } => None,
        };
        self.writer
            .write(move |transaction| {
                transaction.execute(
                    "INSERT INTO event (run, number, at, sealed) VALUES (?1, ?2, ?3, ?4)",
                    (&run, to_i64(number), to_i64(now.0), sealed),
                )?;
                if let Some((step, attempt)) = finished {
                    transaction.execute(
                        "DELETE FROM begun WHERE run = ?1 AND step = ?2 AND attempt = ?3",
                        (&run, &step, attempt),
                    )?;
                    transaction.execute(
                        "DELETE FROM decision WHERE run = ?1 AND step = ?2 AND attempt = ?3",
                        (&run, &step, attempt),
                    )?;
                }
                Ok(())
            })
            .await
    }

    /// Writes that an action is about to be called.
    pub(crate) async fn begin(
        &self,
        run: RunId,
        step: &StepId,
        attempt: u32,
    ) -> Result<(), JournalError> {
        let row = (run.to_string(), step.to_string(), attempt);
        self.writer
            .write(move |transaction| {
                transaction.execute(
                    "INSERT OR IGNORE INTO begun (run, step, attempt) VALUES (?1, ?2, ?3)",
                    row,
                )?;
                Ok(())
            })
            .await
    }

    /// Moves a run to another phase and tells so. A final phase never changes.
    pub(crate) async fn move_to(
        &self,
        run: RunId,
        phase: &'static str,
        code: Option<String>,
        step: Option<(&StepId, u32)>,
    ) -> Result<(), JournalError> {
        let payload = status(run, phase, code.as_deref(), step);
        let step = step.map(|(step, attempt)| (to_json(step), attempt));
        self.writer
            .write(move |transaction| {
                let (step, attempt) = step.unzip();
                let moved = transaction.execute(
                    "UPDATE run SET phase = ?2, code = ?3, step = ?4, attempt = ?5
                     WHERE id = ?1 AND phase NOT IN ('completed', 'faulted')",
                    (run.to_string(), phase, code, step, attempt),
                )?;
                if moved == 1 {
                    transaction.execute("INSERT INTO outbox (payload) VALUES (?1)", (payload,))?;
                }
                Ok(())
            })
            .await
    }

    /// Writes how a run ended; it is closed later.
    pub(crate) async fn finish(
        &self,
        seal: &RunSeal,
        completed: bool,
        outcome: &[u8],
    ) -> Result<(), JournalError> {
        let sealed = seal.seal("outcome", 0, outcome)?;
        let run = seal.run().to_string();
        self.writer
            .write(move |transaction| {
                transaction.execute(
                    "UPDATE run SET outcome = ?2, completed = ?3 WHERE id = ?1",
                    (run, sealed, completed),
                )?;
                Ok(())
            })
            .await
    }

    /// Writes what a person decided about a step in doubt.
    pub(crate) async fn decide(
        &self,
        run: RunId,
        step: &StepId,
        attempt: u32,
        retry: bool,
    ) -> Result<(), JournalError> {
        let row = (run.to_string(), step.to_string(), attempt, retry);
        self.writer
            .write(move |transaction| {
                transaction.execute(
                    "INSERT OR REPLACE INTO decision (run, step, attempt, retry)
                     VALUES (?1, ?2, ?3, ?4)",
                    row,
                )?;
                Ok(())
            })
            .await
    }

    /// A decision to do a step again is spent by doing so.
    pub(crate) async fn spend_decision(
        &self,
        run: RunId,
        step: &StepId,
        attempt: u32,
    ) -> Result<(), JournalError> {
        let row = (run.to_string(), step.to_string(), attempt);
        self.writer
            .write(move |transaction| {
                transaction.execute(
                    "DELETE FROM decision WHERE run = ?1 AND step = ?2 AND attempt = ?3",
                    row,
                )?;
                Ok(())
            })
            .await
    }

    /// Drops what was delivered.
    pub(crate) async fn delivered(&self, up_to: i64) -> Result<(), JournalError> {
        self.writer
            .write(move |transaction| {
                transaction.execute("DELETE FROM outbox WHERE id <= ?1", (up_to,))?;
                Ok(())
            })
            .await
    }

    /// Tells a run's phase once more.
    pub(crate) async fn tell_again(&self, payload: String) -> Result<(), JournalError> {
        self.writer
            .write(move |transaction| {
                transaction.execute("INSERT INTO outbox (payload) VALUES (?1)", (payload,))?;
                Ok(())
            })
            .await
    }
}

/// A run's phase as the control plane is told it: no run data.
pub(crate) fn status(
    run: RunId,
    phase: &str,
    code: Option<&str>,
    step: Option<(&StepId, u32)>,
) -> String {
    let mut status = serde_json::json!({ "run": run, "phase": phase });
    if let Some(members) = status.as_object_mut() {
        if let Some(code) = code {
            members.insert("code".to_owned(), code.into());
        }
        if let Some((step, attempt)) = step {
            members.insert("step".to_owned(), serde_json::json!(step));
            members.insert("attempt".to_owned(), attempt.into());
        }
    }
    status.to_string()
}

fn to_bytes(event: &Event) -> Result<Zeroizing<Vec<u8>>, JournalError> {
    serde_json::to_vec(event).map(Zeroizing::new).map_err(|_| JournalError::Row)
}

fn to_json(step: &StepId) -> String {
    serde_json::json!(step).to_string()
}

fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
