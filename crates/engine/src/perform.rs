//! What a runner supplies: who performs effects, and who agrees that a run goes on.
//!
//! The engine owns order and durability; whatever touches the world is behind [`Perform`].

use std::future::Future;

use writ_evidence::digest::RunKey;
use writ_model::{RunId, UnixMillis};
use writ_workflow::{ActionCall, ApprovalWait, CodeRun, Outcome, StepError};

/// How a step ended.
#[derive(Debug)]
pub enum Performed {
    /// It has a result.
    Done(Result<serde_json::Value, StepError>),
    /// It was begun and its answer is lost: it may have happened. [`Perform::recovery`] says what
    /// becomes of it, as after a crash.
    Lost,
    /// People have to approve it first, and nothing has begun: [`Perform::await_call_approval`].
    Demanded,
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
    /// It may not go on, ever: it has faulted with this code.
    Refused {
        /// Stable code; `run-closed` says that the jail has closed the run.
        code: String,
        /// The rule.
        reason: String,
    },
    /// Whoever accepted it is gone, and nobody else takes it up: it is suspended, for people to see.
    Held {
        /// Stable code.
        code: String,
        /// The rule.
        reason: String,
    },
    /// Nobody can say now, so nothing changes.
    Unavailable,
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

/// What performs the engine's effects.
pub trait Perform: Send + Sync + 'static {
    /// Calls a system action.
    fn call_action(&self, run: RunId, call: ActionCall) -> impl Future<Output = Performed> + Send;
    /// Runs code in a sandbox.
    fn run_code(&self, run: RunId, code: CodeRun) -> impl Future<Output = Performed> + Send;
    /// Asks people to approve, and waits until they have answered. It may be dropped at any time and
    /// asked again.
    fn await_approval(
        &self,
        run: RunId,
        wait: ApprovalWait,
    ) -> impl Future<Output = Performed> + Send;
    /// Asks people to approve this very call, and waits until they have answered. It may be dropped at any time
    /// and asked again. What it comes to is no result of the call.
    fn await_call_approval(
        &self,
        run: RunId,
        call: &ActionCall,
    ) -> impl Future<Output = Performed> + Send;
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
