//! The runner's clock: for request proofs and the engine's timers. The jail has its own.

use std::time::{SystemTime, UNIX_EPOCH};

use writ_model::UnixMillis;

/// Now, in milliseconds.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
