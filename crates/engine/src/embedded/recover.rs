//! The start: every open run is taken up again, once its jail has agreed.
//!
//! Invariants: a run that may not go on has faulted with the refusal's code; one that another jail accepted is
//! suspended, and not begun; one whose own rows do not open has faulted as damaged and holds up no other; while
//! nobody answers, nothing changes.

use writ_evidence::digest::RunKey;
use writ_model::RunId;

use super::{Engine, EngineError};
use crate::{
    journal::{Journal, JournalError},
    perform::{OpenRun, Perform, Refusal},
    status::RunStatus,
};

/// What a jail says of a run that it has closed.
const CLOSED: &str = "run-closed";

impl<P: Perform> Engine<P> {
    /// Takes every open run up again, once `reopen` has agreed.
    ///
    /// # Errors
    ///
    /// * [`EngineError::Journal`];
    /// * [`EngineError::Unavailable`]: those that were reached go on; call again for the others.
    pub async fn recover(
        &self,
        reopen: impl AsyncFn(&OpenRun) -> Result<(), Refusal>,
    ) -> Result<(), EngineError> {
        for run in self.shared.journal.open_runs()? {
            let (open, ended) = match self.open_run(run) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(error) if error.is_damage() => {
                    tracing::error!(run.id = %run, error = %error, "the run's journal is damaged");
                    self.end(run, RunStatus::faulted(error.code().to_owned())).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            match (reopen(&open).await, ended) {
                (Ok(()), _) => self.drive(run),
                (Err(Refusal::Held { code, reason }), _) => {
                    tracing::warn!(run.id = %run, code, reason, "the run stays suspended");
                    self.end(run, RunStatus::held(code)).await?;
                }
                (Err(Refusal::Unavailable), _) => return Err(EngineError::Unavailable(run)),
                // The jail has closed it: what is written is how it ended.
                (Err(Refusal::Refused { code, .. }), Some(ended)) if code == CLOSED => {
                    self.end(run, ended).await?;
                }
                (Err(Refusal::Refused { code, reason }), _) => {
                    tracing::warn!(run.id = %run, code, reason, "the run may not go on");
                    self.end(run, RunStatus::faulted(code)).await?;
                }
            }
        }
        self.shared.news.notify_one();
        Ok(())
    }

    /// An open run, and how it ended if its end is written.
    pub(super) fn open_run(
        &self,
        run: RunId,
    ) -> Result<Option<(OpenRun, Option<RunStatus>)>, JournalError> {
        let journal = &self.shared.journal;
        let Some(row) = journal.run(run)? else { return Ok(None) };
        let seal = journal.seal_of(run, &row)?;
        let run_key = RunKey::from_bytes(Journal::run_key(&seal, &row)?);
        let ended = Journal::outcome(&seal, &row)?.as_ref().map(RunStatus::ended);
        Ok(Some((OpenRun { id: run, acceptance: row.acceptance, run_key }, ended)))
    }

    /// Moves a run that nobody drives.
    async fn end(&self, run: RunId, status: RunStatus) -> Result<(), JournalError> {
        self.shared.journal.move_to(run, status).await
    }
}
