//! One run, from its journal to its end: fold, perform what is owed, journal, again.
//!
//! `journal → fold → effect → begin (durable) → perform → event (durable) → fold → …`. A crash
//! anywhere leaves a journal from which this starts over; what was begun and not finished is
//! settled by `settle`.

use std::sync::Arc;

use writ_model::{RunId, StepId};
use writ_workflow::{
    ActionCall, Document, Effect, Event, Jaq, Outcome, SEMANTICS_VERSION, State, StepError, on,
};

use super::{Perform, Performed, Recovery, Shared};
use crate::journal::{Decision, JournalError, seal::RunSeal};

/// How long before a run is looked at again whose jail could not close it.
const CLOSE_RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// Drives a run in a task of its own.
pub(super) fn spawn<P: Perform>(shared: Arc<Shared<P>>, run: RunId) {
    tokio::spawn(async move {
        if let Err(error) = drive(&shared, run).await {
            tracing::error!(run.id = %run, error = %error, "the run stops until the next start");
        }
    });
}

/// A run while it is driven.
struct Driver<'a, P> {
    shared: &'a Shared<P>,
    run: RunId,
    document: Document,
    seal: RunSeal,
    state: State,
    events: u64,
}

/// What came of an effect.
enum Next {
    Event(Event),
    Ended,
    Stopped,
}

async fn drive<P: Perform>(shared: &Shared<P>, run: RunId) -> Result<(), JournalError> {
    let Some(row) = shared.journal.run(run)? else { return Ok(()) };
    let seal = shared.journal.seal_of(run, &row)?;
    let Ok(document) = writ_workflow::bundle::open(&row.bundle) else {
        return fault(shared, run, "bundle").await;
    };
    tracing::debug!(run.id = %run, workspace = row.workspace, "driving");
    let mut driver = Driver { shared, run, document, seal, state: State::new(), events: 0 };
    let mut effects = driver.replay()?;
    if driver.state.version() != SEMANTICS_VERSION {
        return fault(shared, run, "semantics-version").await;
    }
    while let Some(effect) = effects.pop() {
        match driver.perform(effect).await? {
            Next::Ended | Next::Stopped => return Ok(()),
            Next::Event(event) => effects = driver.take(event).await?,
        }
    }
    Ok(())
}

async fn fault<P: Perform>(shared: &Shared<P>, run: RunId, code: &str) -> Result<(), JournalError> {
    shared.journal.move_to(run, "faulted", Some(code.to_owned()), None).await?;
    shared.news.notify_one();
    Ok(())
}

impl<P: Perform> Driver<'_, P> {
    /// Folds the journal; returns what the last event owes.
    fn replay(&mut self) -> Result<Vec<Effect>, JournalError> {
        let mut effects = Vec::new();
        for (event, at) in self.shared.journal.events(&self.seal)? {
            let state = std::mem::take(&mut self.state);
            (self.state, effects) = on(&self.document, state, event, at, &Jaq);
            self.events += 1;
        }
        Ok(effects)
    }

    /// Journals an event, then folds it.
    async fn take(&mut self, event: Event) -> Result<Vec<Effect>, JournalError> {
        let now = self.shared.perform.now();
        self.shared.journal.append(&self.seal, self.events, &event, now).await?;
        self.events += 1;
        let state = std::mem::take(&mut self.state);
        let (document, jaq) = (&self.document, &Jaq);
        // Expressions are bounded in size, but may take milliseconds.
        let (state, effects) = tokio::task::block_in_place(|| on(document, state, event, now, jaq));
        self.state = state;
        Ok(effects)
    }

    async fn perform(&self, effect: Effect) -> Result<Next, JournalError> {
        match effect {
            Effect::CallAction(call) => self.call(call).await,
            Effect::RunCode(code) => {
                let (step, attempt) = (code.step.clone(), code.attempt);
                let _turn = self.shared.performing.acquire().await;
                Ok(match self.shared.perform.run_code(self.run, code).await {
                    Performed::Done(result) => {
                        Next::Event(Event::CodeFinished { step, attempt, result })
                    }
                    Performed::Interrupted => Next::Stopped,
                })
            }
            Effect::StartTimer { step, attempt, at } => {
                tokio::time::sleep(at.until(self.shared.perform.now())).await;
                Ok(Next::Event(Event::TimerFired { step, attempt }))
            }
            Effect::Finish(outcome) => self.finish(&outcome).await,
        }
    }

    async fn call(&self, call: ActionCall) -> Result<Next, JournalError> {
        let (step, attempt) = (call.step.clone(), call.attempt);
        if let Some(settled) = self.settle(&call).await? {
            return Ok(settled);
        }
        self.shared.journal.begin(self.run, &step, attempt).await?;
        let _turn = self.shared.performing.acquire().await;
        Ok(match self.shared.perform.call_action(self.run, call).await {
            Performed::Done(result) => Next::Event(Event::ActionFinished { step, attempt, result }),
            Performed::Interrupted => Next::Stopped,
        })
    }

    /// What was begun before a crash: again, or a person decides. `None`: call it (again).
    async fn settle(&self, call: &ActionCall) -> Result<Option<Next>, JournalError> {
        let (run, step, attempt) = (self.run, &call.step, call.attempt);
        if !self.shared.journal.was_begun(run, step, attempt)? {
            return Ok(None);
        }
        match self.shared.perform.recovery(run, call).await {
            Recovery::Again | Recovery::AgainWithSameKey => return Ok(None),
            Recovery::Ask => {}
        }
        let decision = self.ask(step, attempt).await?;
        self.shared.journal.move_to(run, "running", None, None).await?;
        self.shared.news.notify_one();
        match decision {
            Decision::Retry => {
                self.shared.journal.spend_decision(run, step, attempt).await?;
                Ok(None)
            }
            Decision::Fail => {
                let error = StepError::standard("runtime", 500, "interrupted", &step.task);
                let (step, result) = (step.clone(), Err(error));
                Ok(Some(Next::Event(Event::ActionFinished { step, attempt, result })))
            }
        }
    }

    /// Suspends until a person has decided.
    async fn ask(&self, step: &StepId, attempt: u32) -> Result<Decision, JournalError> {
        let journal = &self.shared.journal;
        loop {
            let decided = self.shared.decided.notified();
            if let Some(decision) = journal.decision(self.run, step, attempt)? {
                return Ok(decision);
            }
            let suspended = journal.run(self.run)?.is_some_and(|row| row.phase == "suspended");
            if !suspended {
                journal.move_to(self.run, "suspended", None, Some((step, attempt))).await?;
                self.shared.news.notify_one();
            }
            // A decision between the look and the wait is found at the next look.
            let _ = tokio::time::timeout(CLOSE_RETRY, decided).await;
        }
    }

    /// Outcome durable → jail closes → phase told.
    async fn finish(&self, outcome: &Outcome) -> Result<Next, JournalError> {
        let (phase, code) = match outcome {
            Outcome::Completed { .. } => ("completed", None),
            Outcome::Faulted { error } => {
                ("faulted", Some(error.code.clone().unwrap_or_else(|| "faulted".to_owned())))
            }
        };
        let bytes = serde_json::to_vec(outcome).map_err(|_| JournalError::Row)?;
        self.shared.journal.finish(&self.seal, phase == "completed", &bytes).await?;
        while let Err(error) = self.shared.perform.close(self.run, outcome).await {
            tracing::warn!(run.id = %self.run, error = %error, "the jail does not close the run");
            tokio::time::sleep(CLOSE_RETRY).await;
        }
        self.shared.journal.move_to(self.run, phase, code, None).await?;
        self.shared.news.notify_one();
        Ok(Next::Ended)
    }
}
