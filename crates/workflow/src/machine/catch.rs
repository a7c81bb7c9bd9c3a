//! What an error does: up through the lists, until a `catch` takes it or the run faults.

use std::time::Duration;

use serde_json::Value;

use super::{
    Effect, Machine, Outcome,
    advance::{failure, frame, later},
    state::{Frame, FrameKind, Pending, WaitsFor},
};
use crate::{
    Evaluate, EvaluateError, StepError, Variables,
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

impl<E: Evaluate> Machine<'_, E> {
    /// Unwinds until the error is caught; then goes on.
    pub(super) fn fault(&mut self, mut error: StepError) -> Vec<Effect> {
        self.state.pending = None;
        while let Some(inner) = self.state.frames.pop() {
            let Some((task, definition)) = self.try_of(&inner) else { continue };
            let FrameKind::Try { attempts, started_at } = inner.kind else { continue };
            let caught = self.caught(&definition, &task, &error, (attempts, started_at));
            match caught {
                Ok(Caught::No) => {}
                Ok(Caught::Retry(delay)) => {
                    return vec![self.retry_later(&inner, attempts, delay, &error)];
                }
                Ok(Caught::Handle) => return self.handle(&definition, error),
                // A broken `when` is an error of its own, for the next `catch` up.
                Err(broken) => error = failure(&broken, &task.pointer),
            }
        }
        let outcome = Outcome::Faulted { error };
        self.state.outcome = Some(outcome.clone());
        vec![Effect::Finish(outcome)]
    }

    /// The `try` whose body a frame was, now the current task of the frame below.
    fn try_of(&self, inner: &Frame) -> Option<(Task, Try)> {
        let below = self.state.frames.last()?;
        let task = self.document.task(&below.list, below.index)?;
        match (&task.kind, &inner.kind) {
            (Kind::Try(definition), FrameKind::Try { .. }) => {
                Some((task.clone(), (**definition).clone()))
            }
            _ => None,
        }
    }

    fn caught(
        &self,
        definition: &Try,
        task: &Task,
        error: &StepError,
        (attempts, started_at): (u32, writ_model::UnixMillis),
    ) -> Result<Caught, EvaluateError> {
        let value = error.to_value();
        let matches =
            definition.filter.iter().all(|(name, wanted)| value.get(name) == Some(wanted));
        let mut variables = self.variables(None, Some(task));
        variables.insert(definition.variable.clone(), value.clone());
        let conditions = (definition.when.as_ref(), definition.except_when.as_ref());
        if !matches || !self.applies(conditions, &value, &variables)? {
            return Ok(Caught::No);
        }
        let Some(retry) = &definition.retry else { return Ok(Caught::Handle) };
        let conditions = (retry.when.as_ref(), retry.except_when.as_ref());
        let in_time = retry.max_duration.is_none_or(|longest| self.now <= started_at.plus(longest));
        let left = retry.max_attempts.is_none_or(|most| attempts < most);
        if left && in_time && self.applies(conditions, &value, &variables)? {
            return Ok(Caught::Retry(delay(retry, attempts)));
        }
        if definition.handler.is_some() { Ok(Caught::Handle) } else { Ok(Caught::No) }
    }

    fn applies(
        &self,
        (when, except_when): (Option<&crate::Expression>, Option<&crate::Expression>),
        error: &Value,
        variables: &Variables,
    ) -> Result<bool, EvaluateError> {
        let holds = match when {
            Some(when) => self.holds(when, error, variables)?,
            None => true,
        };
        let excepted = match except_when {
            Some(except_when) => self.holds(except_when, error, variables)?,
            None => false,
        };
        Ok(holds && !excepted)
    }

    /// The body starts over when the timer fires; no sooner than the service asked.
    fn retry_later(
        &mut self,
        inner: &Frame,
        attempts: u32,
        delay: Duration,
        error: &StepError,
    ) -> Effect {
        let entered = self.state.frames.last().and_then(|frame| frame.task.clone());
        let (step, input) = match entered {
            Some(entered) => (entered.step, entered.input),
            None => (writ_model::StepId { task: inner.list.clone(), iteration: 0 }, Value::Null),
        };
        let asked = Duration::from_secs(error.retry_after_s.unwrap_or(0));
        let at = later(self.now.plus(delay), self.now.plus(asked));
        let FrameKind::Try { started_at, .. } = inner.kind else {
            return self.finish_faulted(error.clone());
        };
        let next = attempts.saturating_add(1);
        let kind = FrameKind::Try { attempts: next, started_at };
        self.state.frames.push(frame(&inner.list, input, kind));
        self.state.pending =
            Some(Pending { step: step.clone(), attempt: attempts, waits_for: WaitsFor::Retry });
        Effect::StartTimer { step, attempt: attempts, at }
    }

    fn finish_faulted(&mut self, error: StepError) -> Effect {
        let outcome = Outcome::Faulted { error };
        self.state.outcome = Some(outcome.clone());
        Effect::Finish(outcome)
    }

    fn handle(&mut self, definition: &Try, error: StepError) -> Vec<Effect> {
        let input = self.state.frames.last().and_then(|frame| frame.task.as_ref());
        let input = input.map_or(Value::Null, |task| task.input.clone());
        match &definition.handler {
            Some(handler) => {
                let kind = FrameKind::Catch { variable: definition.variable.clone(), error };
                self.state.frames.push(frame(handler, input, kind));
                self.advance()
            }
            None => match self.leave(input, None) {
                Ok(()) => self.advance(),
                Err(error) => self.fault(*error),
            },
        }
    }
}

fn delay(retry: &Retry, attempts: u32) -> Duration {
    let factor = match retry.backoff {
        Backoff::Constant => 1,
        Backoff::Linear => attempts,
        Backoff::Exponential => 2_u32.saturating_pow(attempts.saturating_sub(1)),
    };
    retry.delay.saturating_mul(factor).min(Duration::from_hours(24))
}
