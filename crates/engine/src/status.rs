//! Where a run is: what the engine tells its owner and, through the outbox, the control plane.
//!
//! Invariant: nothing here is run data. A fault is told by its code alone, and what does not look
//! like a code is not told.

use serde_json::json;
use writ_model::{RunId, StepId};
use writ_workflow::{Outcome, StepError};

/// Longest code that is told.
const CODE_MAX: usize = 64;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Accepted and going on; it may be waiting for a timer.
    Running,
    /// A step may or may not have happened, and a person decides; or nobody takes it up.
    Suspended,
    /// Ended with an output. Final.
    Completed,
    /// Ended with an error. Final.
    Faulted,
}

impl Phase {
    /// The phase's one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Faulted => "faulted",
        }
    }

    /// Whether a run in this phase never changes again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Faulted)
    }

    pub(crate) fn named(text: &str) -> Option<Self> {
        [Self::Running, Self::Suspended, Self::Completed, Self::Faulted]
            .into_iter()
            .find(|phase| phase.as_str() == text)
    }
}

/// Where a run is, with what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStatus {
    /// Where it is.
    pub phase: Phase,
    /// Code of a fault, or of why nobody takes it up.
    pub code: Option<String>,
    /// The step in doubt, if suspended.
    pub step: Option<StepId>,
    /// Which attempt of it.
    pub attempt: Option<u32>,
}

impl RunStatus {
    pub(crate) const fn of(phase: Phase) -> Self {
        Self { phase, code: None, step: None, attempt: None }
    }

    pub(crate) const fn faulted(code: String) -> Self {
        Self { phase: Phase::Faulted, code: Some(code), step: None, attempt: None }
    }

    pub(crate) const fn suspended(step: StepId, attempt: u32) -> Self {
        Self { phase: Phase::Suspended, code: None, step: Some(step), attempt: Some(attempt) }
    }

    /// Suspended as a whole: no step is in doubt, and nobody takes the run up.
    pub(crate) const fn held(code: String) -> Self {
        Self { phase: Phase::Suspended, code: Some(code), step: None, attempt: None }
    }

    /// The phase that an outcome ends in.
    pub(crate) fn ended(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed { .. } => Self::of(Phase::Completed),
            Outcome::Faulted { error } => Self::faulted(fault_code(error)),
        }
    }

    /// The JSON that the control plane is told.
    pub(crate) fn payload(&self, run: RunId) -> String {
        let mut status = json!({ "run": run, "phase": self.phase.as_str() });
        if let Some(members) = status.as_object_mut() {
            if let Some(code) = &self.code {
                members.insert("code".to_owned(), json!(code));
            }
            if let Some((step, attempt)) = self.step.as_ref().zip(self.attempt) {
                members.insert("step".to_owned(), json!(step));
                members.insert("attempt".to_owned(), json!(attempt));
            }
        }
        status.to_string()
    }
}

/// A run that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspended {
    /// The run.
    pub run: RunId,
    /// The step in doubt.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
}

/// Something to tell the control plane: the JSON of a run's phase, no run data.
#[derive(Debug, Clone)]
pub struct OutboxItem {
    /// Its number.
    pub id: i64,
    /// JSON.
    pub payload: String,
}

/// A fault's code, if it is one: text that a service or a document chose is not told.
fn fault_code(error: &StepError) -> String {
    let plain = |code: &&String| {
        !code.is_empty()
            && code.len() <= CODE_MAX
            && code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    error.code.as_ref().filter(plain).map_or_else(|| "faulted".to_owned(), Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_code_is_not_told() {
        let mut error = StepError::standard("runtime", 500, "http-500", "/do/0/a");
        assert_eq!(fault_code(&error), "http-500");
        error.code = Some("Bearer eyJhbGciOi".to_owned());
        assert_eq!(fault_code(&error), "faulted");
    }

    #[test]
    fn a_phase_has_one_spelling() {
        for phase in [Phase::Running, Phase::Suspended, Phase::Completed, Phase::Faulted] {
            assert_eq!(Phase::named(phase.as_str()), Some(phase));
        }
        assert_eq!(Phase::named("Running"), None);
    }
}
