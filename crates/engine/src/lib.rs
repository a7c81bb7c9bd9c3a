//! Shells for the run machine: they perform effects and journal events (DESIGN §6).
//!
//! One today: **embedded**, on SQLite. A run survives `kill -9` at any instant: its state is the
//! fold of its journal, and what was begun and not finished is settled by what the action is.
//!
//! Read: `embedded` (the shell), `embedded::drive` (one run), `journal` (what is durable).

mod embedded;
mod journal;

pub use embedded::{
    CloseError, Engine, EngineError, OpenRun, OutboxItem, Perform, Performed, Recovery, Refusal,
    ResumeError, RunState, StartRun,
};
