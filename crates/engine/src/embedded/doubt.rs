//! What was begun before a crash and may have happened: again, or a person decides (DESIGN §6).
//!
//! Invariant: an action that is neither a read nor idempotent is called again only on a decision
//! that was made after the call in doubt, and each decision serves once.

use writ_model::{RunId, StepId};
use writ_workflow::{ActionCall, Event, StepError};

use super::Shared;
use crate::{
    journal::{Decision, JournalError},
    perform::{Perform, Recovery},
    status::RunStatus,
};

/// Settles a call. `None`: call it, for the first time or again; an event: it is over.
pub(super) async fn settle<P: Perform>(
    shared: &Shared<P>,
    run: RunId,
    call: &ActionCall,
) -> Result<Option<Event>, JournalError> {
    let (step, attempt) = (&call.step, call.attempt);
    if !shared.journal.was_begun(run, step, attempt)? {
        return Ok(None);
    }
    match shared.perform.recovery(run, call).await {
        Recovery::Again | Recovery::AgainWithSameKey => return Ok(None),
        Recovery::Ask => {}
    }
    match ask(shared, run, step, attempt).await? {
        // Spent when the call begins.
        Decision::Retry => Ok(None),
        // Spent when the event is journalled.
        Decision::Fail => {
            let error = StepError::standard("runtime", 500, "interrupted", &step.task);
            let (step, result) = (step.clone(), Err(error));
            Ok(Some(Event::ActionFinished { step, attempt, result }))
        }
    }
}

/// Suspends until a person has decided. Holds no thread, no turn and no timer.
async fn ask<P: Perform>(
    shared: &Shared<P>,
    run: RunId,
    step: &StepId,
    attempt: u32,
) -> Result<Decision, JournalError> {
    loop {
        // Made before the look, so that a decision between the look and the wait wakes it.
        let decided = shared.decided.notified();
        if let Some(decision) = shared.journal.decision(run, step, attempt)? {
            return Ok(decision);
        }
        shared.journal.move_to(run, RunStatus::suspended(step.clone(), attempt)).await?;
        shared.news.notify_one();
        decided.await;
    }
}
