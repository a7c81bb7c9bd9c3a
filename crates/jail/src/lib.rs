//! The jail, its cells and their launchers; the executable is `writ-jail`.
//!
//! Read next: `launcher` (which process is what), `jail` (the conversation), `flow` (what is
//! decided), `cell` (what one call does with one credential).

pub mod approvals;
pub mod cell;
pub mod clock;
pub mod command;
pub mod flow;
pub mod jail;
pub mod launcher;
pub mod runs;
pub mod secret_memory;
pub mod spent;
pub mod state;
pub mod vault;
