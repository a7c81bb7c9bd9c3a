//! What an error does: up through the lists, until a `catch` takes it or the run faults.

use std::time::Duration;

use serde_json::Value;

use super::{
    Effect, Machine, Outcome,
    advance::{Moved, failure, frame},
    state::{Entered, Frame, FrameKind, Pending, WaitsFor},
    variables::About,
};
use crate::{
    Evaluate, EvaluateError, Expression, StepError, Variable, Variables,
    document::{Backoff, Kind, Retry, Task, Try},
};

/// What a `catch` does with an error.
enum Caught {
    /// It is not for this one.
    No,
    /// Do the body again after a while.
    Retry(Duration),
    /// Do the handler, or nothing.
    Handle,
}

/// A `try` whose body failed.
struct Failed<'a> {
    task: &'a Task,
    definition: &'a Try,
    entered: Entered,
    attempt: u32,
    started_at: writ_model::UnixMillis,
}

impl<'a, E: Evaluate> Machine<'a, E> {
    /// Unwinds until the error is caught, or nothing is left.
    pub(super) fn catch(&mut self, mut error: StepError) -> Moved {
        self.state.pending = None;
        if self.budget.is_exhausted() {
            // A `catch` could do no more work, but could go round again.
            self.state.frames.clear();
        }
        while let Some(inner) = self.state.frames.pop() {
            let Some(failed) = self.failed(&inner) else { continue };
            match self.caught(&failed, &error) {
                Ok(Caught::No) => {}
                Ok(Caught::Retry(delay)) => return Ok(Some(self.retry(failed, delay, &error))),
                Ok(Caught::Handle) => return self.handle(failed, error),
                // A broken `when` is an error of its own, for the next `catch` up.
                Err(broken) => error = failure(&broken, &failed.task.pointer),
            }
        }
        Ok(Some(self.finish(Outcome::Faulted { error })))
    }

    /// The `try` whose body a list was; its task is the current one of the list below.
    fn failed(&self, inner: &Frame) -> Option<Failed<'a>> {
        let FrameKind::Try { attempt, started_at } = inner.kind else { return None };
        let below = self.state.frames.last()?;
        let task = self.document.task(&below.list, below.index)?;
        let Kind::Try(definition) = &task.kind else { return None };
        Some(Failed { task, definition, entered: below.task.clone()?, attempt, started_at })
    }

    fn caught(&self, failed: &Failed<'a>, error: &StepError) -> Result<Caught, EvaluateError> {
        let definition = failed.definition;
        let value = error.to_value();
        if !definition.filter.iter().all(|(name, wanted)| value.get(name) == Some(wanted)) {
            return Ok(Caught::No);
        }
        let entered = &failed.entered;
        let mut variables = self.variables(About {
            task: failed.task,
            input: &entered.input,
            output: None,
            entered: Some(entered),
        });
        variables.insert(&definition.variable, Variable::Lent(&value));
        let applies = |when: Option<&Expression>, except_when: Option<&Expression>| {
            self.applies((when, except_when), &entered.input, &variables)
        };
        if !applies(definition.when.as_ref(), definition.except_when.as_ref())? {
            return Ok(Caught::No);
        }
        let Some(retry) = &definition.retry else { return Ok(Caught::Handle) };
        let delay = delay(retry, failed.attempt, error);
        let left = retry.max_retries.is_none_or(|most| failed.attempt <= most);
        let again_at = self.now.plus(delay);
        let in_time =
            retry.max_duration.is_none_or(|most| again_at <= failed.started_at.plus(most));
        if left && in_time && applies(retry.when.as_ref(), retry.except_when.as_ref())? {
            return Ok(Caught::Retry(delay));
        }
        if definition.handler.is_some() { Ok(Caught::Handle) } else { Ok(Caught::No) }
    }

    fn applies(
        &self,
        (when, except_when): (Option<&Expression>, Option<&Expression>),
        input: &Value,
        variables: &Variables<'_>,
    ) -> Result<bool, EvaluateError> {
        let holds = match when {
            Some(when) => self.holds(when, input, variables)?,
            None => true,
        };
        let excepted = match except_when {
            Some(except_when) => self.holds(except_when, input, variables)?,
            None => false,
        };
        Ok(holds && !excepted)
    }

    /// The body starts over when the timer fires.
    fn retry(&mut self, failed: Failed<'a>, delay: Duration, error: &StepError) -> Effect {
        let (step, attempt) = (failed.entered.step, failed.attempt);
        let Some(next) = attempt.checked_add(1) else {
            return self.finish(Outcome::Faulted { error: error.clone() });
        };
        let kind = FrameKind::Try { attempt: next, started_at: failed.started_at };
        self.state.frames.push(frame(&failed.definition.body, failed.entered.input, kind));
        let over = self.now.plus(delay);
        let (at, waits_for) = Self::wait_until(over, WaitsFor::Retry, self.deadline());
        self.state.pending = Some(Pending { step: step.clone(), attempt, waits_for });
        Effect::StartTimer { step, attempt, at }
    }

    fn handle(&mut self, failed: Failed<'a>, error: StepError) -> Moved {
        let input = failed.entered.input;
        let Some(handler) = &failed.definition.handler else {
            // Nothing to do about it: the `try` gives back what it was given.
            return self.leave(input, None).map(|()| None);
        };
        let variable = failed.definition.variable.clone();
        let kind = FrameKind::Catch { variable, error };
        self.state.frames.push(frame(handler, input, kind));
        Ok(None)
    }
}

/// How long the next attempt waits: as documented, and no less than the service asked for.
fn delay(retry: &Retry, attempt: u32, error: &StepError) -> Duration {
    let factor = match retry.backoff {
        Backoff::Constant => 1,
        Backoff::Linear => attempt,
        Backoff::Exponential => 2_u32.saturating_pow(attempt.saturating_sub(1)),
    };
    let asked = Duration::from_secs(error.retry_after_s.unwrap_or(0));
    retry.delay.saturating_mul(factor).min(Duration::from_hours(24)).max(asked)
}
