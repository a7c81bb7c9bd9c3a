//! The run machine: `on(document, state, event, now, evaluate) → (state, effects)`.
//!
//! In: one event. Out: the next state and the effects owed. Total and deterministic: the same
//! events give the same state, and an event about anything but the effect in flight changes
//! nothing and owes nothing, so one that is delivered twice, or late, is harmless.
//!
//! Read: [`on`] (what an event does), `advance` (what a task does), `catch` (what an error does),
//! `each` (loops), `approval` (what waits for people), `deadline` (timeouts), `process` (what code is given), `variables` (what
//! expressions see).
//! Not here: doing anything (`writ_engine`).

mod advance;
mod approval;
mod catch;
mod deadline;
mod each;
mod process;
mod state;
mod variables;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use writ_model::{
    ActionName, CodeLanguage, ConnectionName, Digest, ProcessInput, ProcessReturn, RunId, StepId,
    UnixMillis,
};

use crate::{Budget, Document, Evaluate, PackRef, StepError};

pub use state::State;

use state::{Pending, WaitsFor};

/// Which rules a state was made by; a run keeps the rules that it started with.
pub const SEMANTICS_VERSION: u32 = 1;

/// What happened. Journalled, and replayed to get the state back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The run starts.
    Start {
        /// Its input.
        input: Value,
        /// Facts that expressions may see.
        run: RunFacts,
    },
    /// An action ended.
    ActionFinished {
        /// The step.
        step: StepId,
        /// Which attempt of it.
        attempt: u32,
        /// Its output, or why not.
        result: Result<Value, StepError>,
    },
    /// A code step ended.
    CodeFinished {
        /// The step.
        step: StepId,
        /// Which attempt of it.
        attempt: u32,
        /// Its output, or why not.
        result: Result<Value, StepError>,
    },
    /// People have approved, or it was refused.
    ApprovalDecided {
        /// The step.
        step: StepId,
        /// Which attempt of it.
        attempt: u32,
        /// The answers, or why not.
        result: Result<Value, StepError>,
    },
    /// A timer fired, or what was waited for did not come in time.
    TimerFired {
        /// The step.
        step: StepId,
        /// Which attempt of it.
        attempt: u32,
    },
}

/// Facts about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    /// The run.
    pub id: RunId,
    /// When it started.
    pub started_at: UnixMillis,
}

/// What the shell owes.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Call a system action; answer with [`Event::ActionFinished`].
    CallAction(ActionCall),
    /// Run code in a sandbox; answer with [`Event::CodeFinished`].
    RunCode(CodeRun),
    /// Ask people to approve; answer with [`Event::ApprovalDecided`], or with [`Event::TimerFired`]
    /// once it is too late.
    AwaitApproval(ApprovalWait),
    /// Answer with [`Event::TimerFired`] at this time.
    StartTimer {
        /// The step.
        step: StepId,
        /// Which attempt of it.
        attempt: u32,
        /// When.
        at: UnixMillis,
    },
    /// The run has ended.
    Finish(Outcome),
}

/// A system action to call.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionCall {
    /// The step.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// The action.
    pub action: ActionName,
    /// What says what it does.
    pub pack: PackRef,
    /// The connection.
    pub connection: ConnectionName,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// When it is too late to begin, if the document says.
    pub until: Option<UnixMillis>,
}

/// Code to run.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeRun {
    /// The step.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// Its language.
    pub language: CodeLanguage,
    /// Its text.
    pub code: String,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// What it is given.
    pub input: ProcessInput,
    /// What its output is made from.
    pub returns: ProcessReturn,
    /// How much longer the tasks that it belongs to may take, if any has a timeout.
    pub time_left: Option<Duration>,
}

/// What people are asked to approve.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalWait {
    /// The step.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// What those who may answer are shown: an object of `message` and `payload`.
    pub shown: Value,
    /// When it is too late, if the document says.
    pub until: Option<UnixMillis>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase", deny_unknown_fields)]
pub enum Outcome {
    /// With an output.
    Completed {
        /// The output.
        output: Value,
    },
    /// With an error that nothing caught.
    Faulted {
        /// The error.
        error: StepError,
    },
}

/// Applies one event; returns the next state and the effects owed.
///
/// Total: an event about anything but the effect in flight, and any event to a state of other
/// rules ([`State::version`]), changes nothing and owes nothing.
#[must_use]
pub fn on(
    document: &Document,
    mut state: State,
    event: Event,
    now: UnixMillis,
    evaluate: &impl Evaluate,
) -> (State, Vec<Effect>) {
    if state.version() != SEMANTICS_VERSION {
        return (state, Vec::new());
    }
    let budget = Budget::new(Budget::EVENT);
    let mut machine = Machine { document, state: &mut state, now, evaluate, budget };
    let effects = match event {
        Event::Start { input, run } => machine.start(input, run),
        Event::ActionFinished { step, attempt, result } => {
            machine.finished(&Pending { step, attempt, waits_for: WaitsFor::Action }, result)
        }
        Event::CodeFinished { step, attempt, result } => {
            machine.finished(&Pending { step, attempt, waits_for: WaitsFor::Code }, result)
        }
        Event::ApprovalDecided { step, attempt, result } => {
            machine.decided(&Pending { step, attempt, waits_for: WaitsFor::Approval }, result)
        }
        Event::TimerFired { step, attempt } => machine.fired(&step, attempt),
    };
    (state, effects)
}

/// One application of one event.
struct Machine<'a, E> {
    document: &'a Document,
    state: &'a mut State,
    now: UnixMillis,
    evaluate: &'a E,
    budget: Budget,
}
