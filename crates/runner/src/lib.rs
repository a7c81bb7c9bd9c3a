//! The runner: customer side, outbound only. It carries, remembers and decides nothing.
//!
//! Read next: `wiring` (what exists), then `flow` (what happens to a task), then `perform` (what
//! happens to a step).
//!
//! It holds run data, encrypted at rest, and no credential. Whatever it takes from the control
//! plane is unverified; its jail verifies. Whatever leaves it is a jail's statement, metadata, or
//! an output on its way to a reader whom the jail allowed.

mod approvals;
mod broker;
mod charter;
mod charter_cache;
mod clock;
mod content;
mod flow;
mod gateway_link;
mod identity;
mod jail_client;
mod jail_socket;
mod perform;
mod processes;
mod push;
mod report;
mod sandbox_client;
mod standing;
mod test_connection;
mod wiring;

pub use identity::{Identity, IdentityError};
pub use jail_client::{JailClient, JailError};
pub use jail_socket::JailSocketError;
pub use processes::{JailFiles, JailPlace, Launch, LaunchError};
pub use wiring::{Config, RunnerError, enrollment, serve};
