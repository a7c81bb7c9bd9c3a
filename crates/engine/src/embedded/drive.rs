//! One run, from its journal to its end: fold, perform what is owed, journal, again.
//!
//! `journal → fold → effect → begin (durable) → perform → event (durable) → fold → … → outcome
//! (durable) → jail closes → phase (durable)`. A crash anywhere leaves a journal from which this
//! starts over; what was begun and not finished is settled by `doubt`.
//!
//! Invariants: the state is the fold of journalled events, and of nothing else; an event is folded
//! only after it is on disk; a run that can't be folded has faulted, with a code, and is closed.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;
use writ_model::{RunId, UnixMillis};
use writ_workflow::{
    ActionCall, ApprovalWait, CodeRun, Document, Effect, Event, Jaq, Outcome, SEMANTICS_VERSION,
    State, StepError, on,
};

use super::{Shared, doubt, turns::Turn};
use crate::{
    journal::{Journal, JournalError, RunRow, seal::RunSeal},
    perform::{Perform, Performed},
    status::RunStatus,
};

/// How long before the jail is asked again to close a run; doubled up to the longest.
const CLOSE_RETRY: Duration = Duration::from_secs(1);
const CLOSE_RETRY_MAX: Duration = Duration::from_mins(1);

/// Why a run faults whatever its document says.
#[derive(Debug, Clone, Copy)]
enum Stuck {
    /// The bundle that was journalled does not open.
    Bundle,
    /// The run was started under rules that this program does not know.
    Semantics,
    /// Its rows are not what was written.
    Damaged,
    /// The machine panicked on an event, and would again.
    Panicked,
    /// The machine has not ended and owes nothing.
    Stalled,
}

impl Stuck {
    const fn code(self) -> &'static str {
        match self {
            Self::Bundle => "bundle-damaged",
            Self::Semantics => "semantics-version",
            Self::Damaged => "journal-damaged",
            Self::Panicked => "machine-panicked",
            Self::Stalled => "machine-stalled",
        }
    }
}

/// What folding comes to: the effect owed, or why there is none.
type Owed = Result<Effect, Stuck>;

/// What came of an effect.
enum Next {
    /// What happened; the turn that it took lasts until that is on disk.
    Event(Event, Option<Turn>),
    Ended(Outcome),
    Stopped,
}

/// Drives a run until it has ended or can't go on in this process.
pub(super) async fn drive<P: Perform>(shared: Arc<Shared<P>>, run: RunId) {
    if let Err(error) = take_up(&shared, run).await {
        let code = error.code();
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::error!(run.id = %run, code, error, "the run stops until the next start");
    }
    shared.let_go(run);
}

async fn take_up<P: Perform>(shared: &Arc<Shared<P>>, run: RunId) -> Result<(), JournalError> {
    let Some(row) = shared.journal.run(run)? else { return Ok(()) };
    if row.status.phase.is_final() {
        return Ok(());
    }
    let seal = Arc::new(shared.journal.seal_of(run, &row)?);
    if let Some(outcome) = Journal::outcome(&seal, &row)? {
        return close(shared, run, &outcome).await;
    }
    tracing::debug!(run.id = %run, workspace = row.workspace, "driving");
    let mut driver = match Driver::of(shared, &seal, &row) {
        Ok(driver) => driver,
        Err(stuck) => return end(shared, &seal, fault(stuck)).await,
    };
    let mut owed = driver.replay().await?;
    loop {
        let effect = match owed {
            Ok(effect) => effect,
            Err(stuck) => return end(shared, &seal, fault(stuck)).await,
        };
        // Whatever is under way is let go of: what it may have done, the jail has on record.
        let next = tokio::select! {
            biased;
            () = cancelled(shared, run) => {
                Next::Ended(Outcome::Faulted {
                    error: StepError::standard("runtime", 499, "cancelled", "/"),
                })
            }
            next = driver.perform(effect) => next?,
        };
        match next {
            Next::Event(event, turn) => {
                owed = driver.take(event).await?;
                drop(turn);
            }
            Next::Ended(outcome) => return end(shared, &seal, outcome).await,
            Next::Stopped => return Ok(()),
        }
    }
}

/// Resolves when a run is cancelled.
async fn cancelled<P: Perform>(shared: &Shared<P>, run: RunId) {
    loop {
        let told = shared.cancels.notified();
        if shared.cancelled.lock().unwrap_or_else(PoisonError::into_inner).contains(&run) {
            return;
        }
        told.await;
    }
}

/// A run while it is driven.
struct Driver<P> {
    shared: Arc<Shared<P>>,
    workspace: String,
    document: Arc<Document>,
    seal: Arc<RunSeal>,
    state: State,
    events: u64,
}

impl<P: Perform> Driver<P> {
    fn of(shared: &Arc<Shared<P>>, seal: &Arc<RunSeal>, row: &RunRow) -> Result<Self, Stuck> {
        if row.semantics != SEMANTICS_VERSION {
            return Err(Stuck::Semantics);
        }
        let document = writ_workflow::bundle::open(&row.bundle).map_err(|_| Stuck::Bundle)?;
        Ok(Self {
            shared: Arc::clone(shared),
            workspace: row.workspace.clone(),
            document: Arc::new(document),
            seal: Arc::clone(seal),
            state: State::new(),
            events: 0,
        })
    }

    /// Folds the journal.
    async fn replay(&mut self) -> Result<Owed, JournalError> {
        let (shared, seal) = (Arc::clone(&self.shared), Arc::clone(&self.seal));
        let read = tokio::task::spawn_blocking(move || shared.journal.events(&seal));
        match joined(read).await {
            Ok(Ok(events)) => Ok(self.fold(events).await),
            Ok(Err(error)) if error.is_damage() => Ok(Err(Stuck::Damaged)),
            Ok(Err(error)) => Err(error),
            Err(stuck) => Ok(Err(stuck)),
        }
    }

    /// Journals an event, then folds it.
    async fn take(&mut self, event: Event) -> Result<Owed, JournalError> {
        let now = self.shared.perform.now();
        self.shared.journal.append(&self.seal, self.events, &event, now).await?;
        self.shared.news.notify_one();
        Ok(self.fold(vec![(event, now)]).await)
    }

    /// Folds events that are in the journal. Expressions are bounded, but may take their time: so
    /// not on a thread that serves others.
    async fn fold(&mut self, events: Vec<(Event, UnixMillis)>) -> Owed {
        self.events = self.events.saturating_add(events.len() as u64);
        let document = Arc::clone(&self.document);
        let mut state = std::mem::take(&mut self.state);
        let folded = tokio::task::spawn_blocking(move || {
            let mut owed = None;
            for (event, at) in events {
                let effects;
                (state, effects) = on(&document, state, event, at, &Jaq);
                // An event about nothing in flight owes nothing; what was owed still is. The
                // machine has one effect in flight.
                owed = effects.into_iter().next().or(owed);
            }
            (state, owed)
        });
        let (state, owed) = joined(folded).await?;
        self.state = state;
        owed.ok_or(Stuck::Stalled)
    }

    async fn perform(&self, effect: Effect) -> Result<Next, JournalError> {
        match effect {
            Effect::CallAction(call) => self.call(call).await,
            Effect::RunCode(code) => Ok(self.run(code).await),
            Effect::AwaitApproval(wait) => Ok(self.approval(wait).await),
            Effect::StartTimer { step, attempt, at } => {
                tokio::time::sleep(at.until(self.shared.perform.now())).await;
                Ok(Next::Event(Event::TimerFired { step, attempt }, None))
            }
            Effect::Finish(outcome) => Ok(Next::Ended(outcome)),
        }
    }

    async fn call(&self, call: ActionCall) -> Result<Next, JournalError> {
        let (run, step, attempt) = (self.seal.run(), call.step.clone(), call.attempt);
        let mut approved = false;
        loop {
            if let Some(event) = doubt::settle(&self.shared, run, &call).await? {
                return Ok(Next::Event(event, None));
            }
            // Before it is begun: what only waits its turn has certainly not happened.
            let Ok(turn) = self.shared.turns.take(&self.workspace).await else {
                return Ok(Next::Stopped);
            };
            self.shared.journal.begin(run, &step, attempt).await?;
            match self.shared.perform.call_action(run, call.clone()).await {
                Performed::Done(result) => {
                    let event = Event::ActionFinished { step, attempt, result };
                    return Ok(Next::Event(event, Some(turn)));
                }
                Performed::Lost => {}
                Performed::Demanded if approved => {
                    // What was approved is not what is demanded any more: asking again would go on for ever.
                    let error =
                        StepError::standard("authorization", 403, "approval-demanded", &step.task);
                    let event = Event::ActionFinished { step, attempt, result: Err(error) };
                    return Ok(Next::Event(event, Some(turn)));
                }
                Performed::Demanded => {
                    // Waiting for people holds no turn.
                    drop(turn);
                    match self.call_approval(&call).await {
                        Performed::Done(Ok(_)) => approved = true,
                        Performed::Done(result) => {
                            let event = Event::ActionFinished { step, attempt, result };
                            return Ok(Next::Event(event, None));
                        }
                        Performed::Lost | Performed::Demanded | Performed::Interrupted => {
                            return Ok(Next::Stopped);
                        }
                    }
                }
                Performed::Interrupted => return Ok(Next::Stopped),
            }
        }
    }

    /// Waits for people to approve a call, or until it is too late to begin.
    async fn call_approval(&self, call: &ActionCall) -> Performed {
        let task = &call.step.task;
        tokio::select! {
            // What is both late and answered is late.
            biased;
            () = self.too_late(call.until) => {
                Performed::done(Err(StepError::standard("timeout", 408, "timed-out", task)))
            }
            performed = self.shared.perform.await_call_approval(self.seal.run(), call) => performed,
        }
    }

    async fn too_late(&self, until: Option<UnixMillis>) {
        match until {
            Some(at) => tokio::time::sleep(at.until(self.shared.perform.now())).await,
            None => std::future::pending().await,
        }
    }

    /// Waits for people, or until it is too late. Holds no thread and no turn; the jail remembers what
    /// was answered, so that it is asked again after a crash.
    async fn approval(&self, wait: ApprovalWait) -> Next {
        let (step, attempt, until) = (wait.step.clone(), wait.attempt, wait.until);
        tokio::select! {
            // What is both late and answered is late.
            biased;
            () = self.too_late(until) => Next::Event(Event::TimerFired { step, attempt }, None),
            performed = self.shared.perform.await_approval(self.seal.run(), wait) => {
                match performed {
                    Performed::Done(result) => {
                        Next::Event(Event::ApprovalDecided { step, attempt, result }, None)
                    }
                    Performed::Lost | Performed::Demanded | Performed::Interrupted => {
                        Next::Stopped
                    }
                }
            }
        }
    }

    /// Code has no effect outside its sandbox, so it may always run again.
    async fn run(&self, code: CodeRun) -> Next {
        let (step, attempt) = (code.step.clone(), code.attempt);
        let Ok(turn) = self.shared.turns.take(&self.workspace).await else {
            return Next::Stopped;
        };
        match self.shared.perform.run_code(self.seal.run(), code).await {
            Performed::Done(result) => {
                Next::Event(Event::CodeFinished { step, attempt, result }, Some(turn))
            }
            // Code that was lost has done nothing; the next start runs it again.
            Performed::Lost | Performed::Demanded | Performed::Interrupted => Next::Stopped,
        }
    }
}

/// What a thread of its own came to. One that was never run, because the program ends, says nothing
/// about the run: nothing more happens to it here.
async fn joined<T>(thread: JoinHandle<T>) -> Result<T, Stuck> {
    match thread.await {
        Ok(value) => Ok(value),
        Err(error) if error.is_panic() => Err(Stuck::Panicked),
        Err(_) => std::future::pending().await,
    }
}

fn fault(stuck: Stuck) -> Outcome {
    Outcome::Faulted { error: StepError::standard("runtime", 500, stuck.code(), "/") }
}

/// Outcome durable, then closed.
async fn end<P: Perform>(
    shared: &Shared<P>,
    seal: &RunSeal,
    outcome: Outcome,
) -> Result<(), JournalError> {
    shared.journal.finish(seal, &outcome).await?;
    close(shared, seal.run(), &outcome).await
}

/// The jail closes the run, then its phase is told.
async fn close<P: Perform>(
    shared: &Shared<P>,
    run: RunId,
    outcome: &Outcome,
) -> Result<(), JournalError> {
    let mut wait = CLOSE_RETRY;
    while let Err(error) = shared.perform.close(run, outcome).await {
        tracing::warn!(run.id = %run, error = %error, "the jail does not close the run");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(CLOSE_RETRY_MAX);
    }
    shared.journal.move_to(run, RunStatus::ended(outcome)).await?;
    shared.news.notify_one();
    Ok(())
}
