//! The control plane: it orders, relays and remembers. It holds no authority (DESIGN §2).
//!
//! Read next: `wiring` (what exists), then `flow` (what happens to a request), then `http`.
//!
//! It can read metadata and sealed inputs in transit. It can't read an input, an output or a
//! credential, and nothing it says makes a jail do anything. Its own decisions are a quick,
//! friendly *no*; the jail decides for itself.

mod clock;
mod dispatch;
mod flow;
mod http;
mod issuer_keys;
mod sessions;
mod store;
mod tenant;
mod wiring;

pub use wiring::{Config, ServeError, found_tenant, serve};
