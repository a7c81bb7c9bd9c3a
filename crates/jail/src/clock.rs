//! The jail's clock: the time that signed claims are judged by.

use std::time::{SystemTime, UNIX_EPOCH};

use writ_model::UnixTime;

/// Now, in whole seconds.
#[must_use]
pub fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(since.as_secs())
}
