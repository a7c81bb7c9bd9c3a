//! The gateway: customer side, inbound. It passes requests to the runner, which dials it.
//!
//! Today it serves the second origin for run outputs (JSON only, never HTML). It holds no
//! credential, decides nothing and keeps nothing: the jail says who may read, the runner decrypts.
//!
//! Read next: `wiring` (what exists), then `flow` (what happens to a read).

mod flow;
mod http;
mod wiring;

pub use wiring::{Config, GatewayError, serve};
