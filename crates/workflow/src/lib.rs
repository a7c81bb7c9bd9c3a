//! Automations: Serverless Workflow 1.0 documents, and the machine that runs them.
//!
//! Pure and sans-IO: a document is text, a run is [`on`]`(document, state, event, now, evaluate)`,
//! which returns the next state and the effects owed (DESIGN §6). No clock, randomness, socket or
//! `async`; the shell performs effects and journals events.
//!
//! Read: `document` (what an automation is), `parse` (what is taken, and what is refused with line
//! and column), `gates` (what stands behind an approval), `machine` (what happens), `expression` (jq, and its bounds).

#![deny(clippy::wildcard_enum_match_arm)]

pub mod bundle;
mod diagnostic;
mod document;
mod duration;
mod error;
mod expression;
mod gates;
mod machine;
mod node;
mod parse;

pub use diagnostic::Diagnostic;
pub use document::{ActionUse, ApprovalUse, CodeUse, Document, Footprint, PackRef};
pub use error::StepError;
pub use expression::{Budget, Evaluate, EvaluateError, Expression, Jaq, Variable, Variables};
pub use machine::{
    ActionCall, ApprovalWait, CodeRun, Effect, Event, Outcome, RunFacts, SEMANTICS_VERSION, State,
    on,
};
pub use parse::parse;
