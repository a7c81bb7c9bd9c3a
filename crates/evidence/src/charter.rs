//! The charter: the signed, append-only chain of everything that grants authority in a tenant.
//!
//! In: entries as they travel. Out: [`CharterState`], the fold of verified entries; pure, the
//! same everywhere (DESIGN §3.3).
//!
//! Invariants:
//! * entry 0 is what the tenant is named by, signed by the root keys that it names;
//! * root-class changes stand on k root signatures alone; every other entry is a `charter.append` writ
//!   over its exact body, made by somebody who may make it *under the state before it*, and counted
//!   only with the cosignatures of k witnesses that this state names;
//! * freshness is judged once, by each witness, at the time its cosignature states.
//!
//! Read: `change` (what can be said), `entry` (how it is signed), `state` (what holds).
//! Not here: who may change what (`policy` implements [`MayAppend`]).

mod bound;
mod change;
mod entry;
mod noun;
mod service_account;
mod state;
mod subject;

pub use bound::{CustomRole, Elevation, Entitlement, Entitlements, Policy};
pub use change::Change;
pub use entry::{
    CosignatureClaims, EntryBody, EntryError, SignedWrit, UnverifiedEntry, sign_cosignature,
    sign_root,
};
pub use noun::{
    Automation, Binding, CodeGrant, Footprint, Genesis, Group, PackAcknowledgement, PackWithdrawal,
    RootKeys, RunnerEnrollment, Scope, WitnessQuorum, Workspace,
};
pub use service_account::ServiceAccount;
pub use state::{
    CharterState, ConnectionRecord, FoldError, MayAppend, NotPermitted, PublishedAutomation,
    RootFork, SnapshotError, StandingRecord,
};
pub use subject::{Subject, Suspended};
