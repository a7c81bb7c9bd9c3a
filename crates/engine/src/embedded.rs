//! The embedded shell: runs side by side on one machine, each a task of its own.
//!
//! Read next: `drive` (one run), `doubt` (what was begun before a crash), `recover` (the start).
//!
//! Invariants: a run is durable before [`Engine::start`] answers; one task drives a run; dropping
//! the engine stops every run where it is, to be taken up at the next start.

mod doubt;
mod drive;
mod recover;
#[cfg(test)]
mod tests;
mod turns;

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet};
use writ_evidence::{digest::RunKey, writ::ResumeDecision};
use writ_model::{AutomationName, RunId, StepId, WorkspaceName};
use writ_workflow::{Event, Outcome, RunFacts};
use zeroize::Zeroizing;

use crate::{
    journal::{Journal, JournalError, NewRun},
    perform::Perform,
    status::{OutboxItem, Phase, RunStatus, Suspended},
};
use turns::Turns;

/// Effects of one workspace that are performed at once. Waiting runs hold none of them.
const TURNS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

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

impl EngineError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Journal(error) => error.code(),
            Self::Input => "input-not-json",
            Self::Bundle(_) => "bundle",
            Self::Unavailable(_) => "jail-gone",
        }
    }
}

/// Why a run does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It is not suspended at this step and attempt, or somebody has decided otherwise.
    #[error("the run is not suspended at this step and attempt")]
    NotSuspended,
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
}

impl ResumeError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotSuspended => "run-not-suspended",
            Self::Journal(error) => error.code(),
        }
    }
}

struct Shared<P> {
    journal: Journal,
    perform: Arc<P>,
    turns: Turns,
    /// Runs that a task drives.
    driven: Mutex<BTreeSet<RunId>>,
    /// Something to tell.
    news: Notify,
    /// Somebody decided.
    decided: Notify,
    /// Runs that were cancelled while this process lives; the jail remembers for longer.
    cancelled: Mutex<BTreeSet<RunId>>,
    /// A run was cancelled.
    cancels: Notify,
}

/// The engine.
pub struct Engine<P> {
    shared: Arc<Shared<P>>,
    /// Dropped, it stops every driver.
    drivers: Mutex<JoinSet<()>>,
}

impl<P: Perform> Engine<P> {
    /// Opens the journal; nothing runs yet. Sixteen effects of a workspace are performed at once.
    ///
    /// # Errors
    ///
    /// [`EngineError::Journal`].
    pub fn open(
        path: &Path,
        storage_key: Zeroizing<[u8; 32]>,
        perform: Arc<P>,
    ) -> Result<Self, EngineError> {
        Self::open_with(path, storage_key, perform, TURNS)
    }

    /// Opens the journal, with another number of effects of a workspace at once.
    ///
    /// # Errors
    ///
    /// [`EngineError::Journal`].
    pub fn open_with(
        path: &Path,
        storage_key: Zeroizing<[u8; 32]>,
        perform: Arc<P>,
        turns: NonZeroUsize,
    ) -> Result<Self, EngineError> {
        let journal = Journal::open(path, &storage_key)?;
        drop(storage_key);
        let shared = Arc::new(Shared {
            journal,
            perform,
            turns: Turns::new(turns),
            driven: Mutex::default(),
            news: Notify::new(),
            decided: Notify::new(),
            cancelled: Mutex::default(),
            cancels: Notify::new(),
        });
        Ok(Self { shared, drivers: Mutex::new(JoinSet::new()) })
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
            self.drive(start.id);
        }
        self.shared.news.notify_one();
        Ok(())
    }

    /// Says how a suspended run goes on. The same decision again, before it was acted on, is
    /// harmless.
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
        let retry = decision == ResumeDecision::Retry;
        if !self.shared.journal.decide(run, step, attempt, retry).await? {
            return Err(ResumeError::NotSuspended);
        }
        self.shared.decided.notify_waiters();
        Ok(())
    }

    /// Ends a run that its jail has cancelled; one that has ended is left as it is.
    pub fn cancel(&self, run: RunId) {
        self.shared.cancelled.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
        self.shared.cancels.notify_waiters();
    }

    /// Begins no effect any more, and waits until what was begun is on disk, at most for `grace`.
    /// Runs stay where they are, to be taken up at the next start. `false`: something was still
    /// under way; what may not happen twice will then be asked about.
    pub async fn drain(&self, grace: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(10);
        self.shared.turns.close();
        let idle = async {
            while !self.shared.turns.are_idle() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(grace, idle).await.is_ok()
    }

    /// Where a run is; `None` if there is no such run, or none can be read: starting it again is
    /// harmless in both cases.
    #[must_use]
    pub fn status(&self, run: RunId) -> Option<RunStatus> {
        match self.shared.journal.run(run) {
            Ok(row) => row.map(|row| row.status),
            Err(error) => {
                tracing::error!(run.id = %run, error = %error, "cannot look where a run is");
                None
            }
        }
    }

    /// Whether the journal holds a run.
    ///
    /// # Errors
    ///
    /// [`JournalError`]: it can't be told.
    pub fn holds(&self, run: RunId) -> Result<bool, JournalError> {
        Ok(self.shared.journal.run(run)?.is_some())
    }

    /// Runs that wait for a person.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub fn suspended(&self) -> Result<Vec<Suspended>, JournalError> {
        self.shared.journal.suspended()
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
    /// [`JournalError`]: it does not open, or was erased.
    pub fn output(&self, run: RunId) -> Result<Option<String>, JournalError> {
        let journal = &self.shared.journal;
        let Some(row) = journal.run(run)? else { return Ok(None) };
        if row.status.phase != Phase::Completed {
            return Ok(None);
        }
        let seal = journal.seal_of(run, &row)?;
        match Journal::outcome(&seal, &row)? {
            Some(Outcome::Completed { output }) => Ok(Some(output.to_string())),
            Some(Outcome::Faulted { .. }) | None => Ok(None),
        }
    }

    /// Erases the data of a run that has ended, by destroying its key: input, events and output
    /// are gone; that it ran, and how it ended, stays.
    ///
    /// # Errors
    ///
    /// * [`JournalError::NotEnded`]: it is open, or there is no such run;
    /// * [`JournalError::Busy`]: the key is destroyed, but may still be in the write-ahead log;
    ///   call again.
    pub async fn forget(&self, run: RunId) -> Result<(), JournalError> {
        self.shared.journal.forget(run).await
    }

    /// Tells a run's phase once more, since somebody asked for the run again.
    pub async fn report_again(&self, run: RunId) {
        let Some(status) = self.status(run) else { return };
        if let Err(error) = self.shared.journal.tell_again(status.payload(run)).await {
            tracing::error!(run.id = %run, error = %error, "cannot tell a run's phase");
        }
        self.shared.news.notify_one();
    }

    /// What the control plane is to be told, oldest first.
    #[must_use]
    pub fn outbox(&self) -> Vec<OutboxItem> {
        self.shared.journal.outbox().unwrap_or_else(|error| {
            tracing::error!(error = %error, "cannot read the outbox");
            Vec::new()
        })
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

    /// Drives a run in a task of its own, unless one does.
    fn drive(&self, run: RunId) {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are let go of here, so that they do not pile up.
        while drivers.try_join_next().is_some() {}
        if self.shared.claim(run) {
            drivers.spawn(drive::drive(Arc::clone(&self.shared), run));
        }
    }
}

impl<P> Shared<P> {
    /// `false`: a task drives the run already.
    fn claim(&self, run: RunId) -> bool {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner).insert(run)
    }

    fn let_go(&self, run: RunId) {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }
}
