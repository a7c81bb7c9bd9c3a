//! The embedded shell: runs side by side on one machine, each a task of its own.
//!
//! Read next: `drive`, what happens to one run.

mod drive;

use std::{future::Future, path::Path, sync::Arc};

use tokio::sync::{Notify, Semaphore};
use writ_evidence::{digest::RunKey, writ::ResumeDecision};
use writ_model::{AutomationName, RunId, StepId, UnixMillis, WorkspaceName};
use writ_workflow::{ActionCall, CodeRun, Event, Outcome, RunFacts, StepError};
use zeroize::Zeroizing;

use crate::journal::{Journal, JournalError, NewRun, status};

/// Effects that are performed at once. Waiting runs hold none of them.
const PERFORMING_MAX: usize = 32;

/// How a step ended.
#[derive(Debug)]
pub enum Performed {
    /// It has a result.
    Done(Result<serde_json::Value, StepError>),
    /// Whoever performs is gone; the run stops here and is taken up at the next start.
    Interrupted,
}

impl Performed {
    /// A step that has a result.
    #[must_use]
    pub const fn done(result: Result<serde_json::Value, StepError>) -> Self {
        Self::Done(result)
    }
}

/// What becomes of an action that was begun and not finished (DESIGN §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// It changes nothing, or twice is the same as once.
    Again,
    /// Again with the same idempotency key.
    AgainWithSameKey,
    /// It may have happened: a person decides.
    Ask,
}

/// A run could not be closed now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct CloseError {
    /// Why.
    pub reason: String,
}

/// Why a run is not taken up again.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// It may not go on, ever.
    Refused {
        /// Stable code.
        code: String,
        /// The rule.
        reason: String,
    },
    /// Nobody can say now.
    Unavailable,
}

/// What performs the engine's effects.
pub trait Perform: Send + Sync + 'static {
    /// Calls a system action.
    fn call_action(&self, run: RunId, call: ActionCall) -> impl Future<Output = Performed> + Send;
    /// Runs code in a sandbox.
    fn run_code(&self, run: RunId, code: CodeRun) -> impl Future<Output = Performed> + Send;
    /// What becomes of a call that was begun and not finished.
    fn recovery(&self, run: RunId, call: &ActionCall) -> impl Future<Output = Recovery> + Send;
    /// Closes a run for good; asked again, says the same.
    fn close(
        &self,
        run: RunId,
        outcome: &Outcome,
    ) -> impl Future<Output = Result<String, CloseError>> + Send;
    /// The time.
    fn now(&self) -> UnixMillis;
}

/// A run to start.
pub struct StartRun {
    /// The run.
    pub id: RunId,
    /// Its workspace.
    pub workspace: WorkspaceName,
    /// Its automation.
    pub automation: AutomationName,
    /// The jail's compact acceptance.
    pub acceptance: String,
    /// The closed bundle.
    pub bundle: Vec<u8>,
    /// The run key.
    pub run_key: RunKey,
    /// The input's JSON text.
    pub input: String,
}

/// An accepted run that has not ended.
pub struct OpenRun {
    /// The run.
    pub id: RunId,
    /// The jail's compact acceptance.
    pub acceptance: String,
    /// The run key.
    pub run_key: RunKey,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    /// `running`, `suspended`, `completed` or `faulted`.
    pub phase: String,
    /// Code of a fault.
    pub code: Option<String>,
    /// The step in doubt.
    pub step: Option<StepId>,
    /// Which attempt of it.
    pub attempt: Option<u32>,
}

/// Something to tell the control plane: the JSON of a run's phase, no run data.
#[derive(Debug, Clone)]
pub struct OutboxItem {
    /// Its number.
    pub id: i64,
    /// JSON.
    pub payload: String,
}

/// Why the engine does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    /// The input is not JSON.
    #[error("the input is not JSON")]
    Input,
    /// The bundle does not open.
    #[error("the bundle does not open")]
    Bundle(#[from] writ_workflow::bundle::BundleError),
    /// Nobody said whether open runs may go on, so none of those left was touched.
    #[error("nobody says whether `{0}` may go on; start again once the jail can")]
    Unavailable(RunId),
}

/// Why a run does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It is not suspended at this step and attempt.
    #[error("the run is not suspended at this step and attempt")]
    NotSuspended,
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
}

struct Shared<P> {
    journal: Journal,
    perform: Arc<P>,
    performing: Semaphore,
    /// Something to tell.
    news: Notify,
    /// Somebody decided.
    decided: Notify,
}

/// The engine.
pub struct Engine<P> {
    shared: Arc<Shared<P>>,
}

impl<P: Perform> Engine<P> {
    /// Opens the journal; nothing runs yet.
    ///
    /// # Errors
    ///
    /// [`EngineError::Journal`].
    pub fn open(
        path: &Path,
        storage_key: Zeroizing<[u8; 32]>,
        perform: Arc<P>,
    ) -> Result<Self, EngineError> {
        let journal = Journal::open(path, &storage_key)?;
        drop(storage_key);
        Ok(Self {
            shared: Arc::new(Shared {
                journal,
                perform,
                performing: Semaphore::new(PERFORMING_MAX),
                news: Notify::new(),
                decided: Notify::new(),
            }),
        })
    }

    /// Takes every open run up again, once `reopen` has agreed; one it refuses has faulted.
    ///
    /// # Errors
    ///
    /// [`EngineError::Journal`]; [`EngineError::Unavailable`]: no run was touched that nobody
    /// decided about.
    pub async fn recover(
        &self,
        reopen: impl AsyncFn(&OpenRun) -> Result<(), Refusal>,
    ) -> Result<(), EngineError> {
        for run in self.shared.journal.open_runs()? {
            let Some(row) = self.shared.journal.run(run)? else { continue };
            let seal = self.shared.journal.seal_of(run, &row)?;
            let run_key = RunKey::from_bytes(Journal::run_key(&seal, &row)?);
            let open = OpenRun { id: run, acceptance: row.acceptance.clone(), run_key };
            match reopen(&open).await {
                Ok(()) => drive::spawn(Arc::clone(&self.shared), run),
                // The jail has closed it: what is written is how it ended.
                Err(Refusal::Refused { code, .. }) if code == "run-closed" && row.has_outcome => {
                    let phase = if row.completed == Some(true) { "completed" } else { "faulted" };
                    self.shared.journal.move_to(run, phase, row.code, None).await?;
                }
                Err(Refusal::Refused { code, reason }) => {
                    tracing::warn!(run.id = %run, code, reason, "the run may not go on");
                    self.shared.journal.move_to(run, "faulted", Some(code), None).await?;
                }
                Err(Refusal::Unavailable) => return Err(EngineError::Unavailable(run)),
            }
        }
        self.shared.news.notify_one();
        Ok(())
    }

    /// Journals an accepted run, then lets it go. The same run again is harmless.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: nothing was started.
    pub async fn start(&self, start: StartRun) -> Result<(), EngineError> {
        let input = serde_json::from_str(&start.input).map_err(|_| EngineError::Input)?;
        writ_workflow::bundle::open(&start.bundle)?;
        let now = self.shared.perform.now();
        let first = Event::Start { input, run: RunFacts { id: start.id, started_at: now } };
        let new = NewRun {
            id: start.id,
            workspace: start.workspace.to_string(),
            automation: start.automation.to_string(),
            acceptance: &start.acceptance,
            bundle: &start.bundle,
            run_key: start.run_key.expose(),
        };
        if self.shared.journal.create(new, &first, now).await? {
            drive::spawn(Arc::clone(&self.shared), start.id);
        }
        self.shared.news.notify_one();
        Ok(())
    }

    /// Says how a suspended run goes on.
    ///
    /// # Errors
    ///
    /// [`ResumeError`].
    pub async fn resume(
        &self,
        run: RunId,
        step: &StepId,
        attempt: u32,
        decision: ResumeDecision,
    ) -> Result<(), ResumeError> {
        let row = self.shared.journal.run(run)?.ok_or(ResumeError::NotSuspended)?;
        let here = row.phase == "suspended"
            && row.step.as_ref() == Some(step)
            && row.attempt == Some(attempt);
        if !here {
            return Err(ResumeError::NotSuspended);
        }
        let retry = decision == ResumeDecision::Retry;
        self.shared.journal.decide(run, step, attempt, retry).await?;
        self.shared.decided.notify_waiters();
        Ok(())
    }

    /// Where a run is.
    #[must_use]
    pub fn status(&self, run: RunId) -> Option<RunState> {
        let row = self.shared.journal.run(run).ok()??;
        Some(RunState { phase: row.phase, code: row.code, step: row.step, attempt: row.attempt })
    }

    /// The acceptance of a run.
    #[must_use]
    pub fn acceptance(&self, run: RunId) -> Option<String> {
        Some(self.shared.journal.run(run).ok()??.acceptance)
    }

    /// A completed run's output, as JSON text.
    ///
    /// # Errors
    ///
    /// [`JournalError`]: it does not open.
    pub fn output(&self, run: RunId) -> Result<Option<String>, JournalError> {
        let journal = &self.shared.journal;
        let Some(row) = journal.run(run)? else { return Ok(None) };
        if row.phase != "completed" {
            return Ok(None);
        }
        let seal = journal.seal_of(run, &row)?;
        let Some(bytes) = Journal::outcome(&seal, &row)? else { return Ok(None) };
        match serde_json::from_slice(&bytes).map_err(|_| JournalError::Row)? {
            Outcome::Completed { output } => Ok(Some(output.to_string())),
            Outcome::Faulted { .. } => Ok(None),
        }
    }

    /// Tells a run's phase once more, since somebody asked for the run again.
    pub async fn report_again(&self, run: RunId) {
        let Some(state) = self.status(run) else { return };
        let step = state.step.as_ref().zip(state.attempt);
        let payload = status(run, &state.phase, state.code.as_deref(), step);
        if let Err(error) = self.shared.journal.tell_again(payload).await {
            tracing::error!(run.id = %run, error = %error, "cannot tell a run's phase");
        }
        self.shared.news.notify_one();
    }

    /// What the control plane is to be told, oldest first.
    #[must_use]
    pub fn outbox(&self) -> Vec<OutboxItem> {
        match self.shared.journal.outbox() {
            Ok(items) => {
                items.into_iter().map(|(id, payload)| OutboxItem { id, payload }).collect()
            }
            Err(error) => {
                tracing::error!(error = %error, "cannot read the outbox");
                Vec::new()
            }
        }
    }

    /// Drops what was delivered.
    pub async fn delivered(&self, up_to: i64) {
        if let Err(error) = self.shared.journal.delivered(up_to).await {
            tracing::error!(error = %error, "cannot drop what was delivered");
        }
    }

    /// Resolves when there may be something to tell.
    pub async fn news(&self) {
        self.shared.news.notified().await;
    }
}
