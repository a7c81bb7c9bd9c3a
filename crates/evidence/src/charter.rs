//! The charter: the signed, append-only chain of everything that grants authority in a tenant.
//!
//! In: entries as they travel. Out: [`CharterState`], the fold of verified entries; pure, the
//! same everywhere (DESIGN §3.3).
//!
//! Invariants:
//! * entry 0 is what the tenant is named by, signed by the root keys that it names;
//! * every later entry is a `charter.append` writ over its exact body, made by somebody who may
//!   make it *under the state before it*, and counted only with a witness's cosignature;
//! * freshness is judged once, by the witness, at the time the cosignature states.
//!
//! Read: `change` (what can be said), `entry` (how it is signed), `state` (what holds).
//! Not here: who may change what (`policy` implements [`MayAppend`]).

mod change;
mod entry;
mod state;

pub use change::{
    Automation, Binding, Change, CodeGrant, Footprint, Genesis, PackAcknowledgement,
    RunnerEnrollment, Scope, Workspace,
};
pub use entry::{
    CosignatureClaims, EntryBody, EntryError, UnverifiedEntry, sign_cosignature, sign_root,
};
pub use state::{
    CharterState, ConnectionRecord, FoldError, MayAppend, NotPermitted, PublishedAutomation,
};
