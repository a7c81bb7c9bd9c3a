//! Shells for the run machine: they perform effects and journal events (DESIGN §6).
//!
//! One today: **embedded**, on SQLite. A run survives `kill -9` at any instant: its state is the
//! fold of its journal, and what was begun and not finished is settled by what the action is.
//!
//! Read: `embedded` (the shell), `embedded::drive` (one run), `perform` (what a runner supplies),
//! `journal` (what is durable), `status` (what is told).

mod embedded;
mod journal;
mod perform;
mod status;

pub use embedded::{Engine, EngineError, ResumeError, StartRun};
pub use journal::JournalError;
pub use perform::{CloseError, OpenRun, Perform, Performed, Recovery, Refusal};
pub use status::{OutboxItem, Phase, RunStatus, Suspended};
