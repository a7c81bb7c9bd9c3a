//! May this principal do this, under this charter, and why?
//!
//! In: a folded charter, a principal and a [`Right`]. Out: a [`Permit`] that names the deciding
//! policies and the path, or a [`Denied`] that names the rule. Pure; the same answer everywhere.
//!
//! Invariants:
//! * deny unless a policy permits; an evaluation error is a denial;
//! * each use of a connection needs the right of both the publisher and the signer;
//! * a permit is made only by a decision.
//!
//! Read: `right` (what can be asked), `schema.cedarschema` and `built_in.cedar` (who may),
//! `decide` (one question), `circumstances` (under what it is asked), `guardrail` (what a charter forbids beside),
//! `suspended` (what is stopped), `run` (a run's questions), `append` (a charter
//! change's question), `approve` (who may answer an approval),
//! `connection` (a test's question).

#![deny(clippy::wildcard_enum_match_arm)]

mod append;
mod approve;
mod circumstances;
mod connection;
mod decide;
mod entities;
mod guardrail;
mod right;
mod run;
mod suspended;
#[cfg(test)]
mod tests;

pub use circumstances::Circumstances;
pub use decide::{Denied, Permit, Policies, PolicyError};
pub use right::Right;
pub use run::RunPermit;
pub use suspended::GoingOn;
