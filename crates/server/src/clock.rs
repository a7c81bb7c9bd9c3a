//! The control plane's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use writ_model::UnixTime;

/// Now, in whole seconds.
pub(crate) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(since.as_secs())
}
