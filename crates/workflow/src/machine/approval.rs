//! What waits for people: what they are shown, their answer, and that it came too late.
//!
//! A time-out fails closed: an answer that is heard of once the task has timed out is not one, even if
//! it was given in time. Nothing has happened yet that forgetting it could repeat.

use serde_json::{Value, json};
use writ_model::StepId;

use super::{Effect, Machine, deadline::timed_out, state::Pending};
use crate::{Evaluate, StepError, document::Approval, expression::Template};

impl<E: Evaluate> Machine<'_, E> {
    /// People have answered, or it was refused.
    pub(super) fn decided(
        &mut self,
        reported: &Pending,
        result: Result<Value, StepError>,
    ) -> Vec<Effect> {
        let late = self.expired_of(reported);
        match late {
            Some(effects) => effects,
            None => self.finished(reported, result),
        }
    }

    /// What a late answer comes to; `None` if it is not late, or not one that is waited for.
    fn expired_of(&mut self, reported: &Pending) -> Option<Vec<Effect>> {
        if self.state.pending.as_ref() != Some(reported) {
            return None;
        }
        let expired = self.expired(self.now)?;
        self.state.pending = None;
        Some(self.go_on(Err(expired)))
    }

    /// Nobody has answered in time.
    pub(super) fn too_late(&mut self, step: &StepId) -> Vec<Effect> {
        let at = self.deadline().map_or(self.now, |deadline| deadline.max(self.now));
        // Without a timeout in the document it is the run that may take no longer.
        let expired = self.expired(at).unwrap_or_else(|| timed_out(&step.task));
        self.go_on(Err(expired))
    }
}

/// What those who may answer are shown.
pub(super) fn asked(
    approval: &Approval,
    input: &Value,
    fill: impl Fn(&Template) -> Result<Value, Box<StepError>>,
) -> Result<Value, Box<StepError>> {
    let message = fill(&approval.message)?;
    let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    let payload = match &approval.payload {
        Some(payload) => fill(payload)?,
        None => input.clone(),
    };
    Ok(json!({ "message": message, "payload": payload }))
}
