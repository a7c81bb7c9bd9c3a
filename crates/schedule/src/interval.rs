//! A span of whole seconds, from a minute to a year: what `every`, `after` and budgets count in.
//!
//! A minute is the grain of cron and the least that keeps a runaway schedule cheap.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Shortest, in seconds.
const LEAST_S: u32 = 60;
/// Longest, in seconds: a leap year.
const MOST_S: u32 = 366 * 24 * 3600;

/// A number of seconds is not an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an interval is {LEAST_S} to {MOST_S} whole seconds")]
pub struct InvalidInterval;

/// A span of time, one minute to 366 days, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Interval(u32);

impl Interval {
    /// The span of `seconds`.
    ///
    /// # Errors
    ///
    /// [`InvalidInterval`]: shorter than a minute or longer than a year.
    pub const fn from_seconds(seconds: u32) -> Result<Self, InvalidInterval> {
        if seconds < LEAST_S || seconds > MOST_S { Err(InvalidInterval) } else { Ok(Self(seconds)) }
    }

    /// Its length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 as u64
    }
}

impl TryFrom<u32> for Interval {
    type Error = InvalidInterval;

    fn try_from(seconds: u32) -> Result<Self, InvalidInterval> {
        Self::from_seconds(seconds)
    }
}

impl From<Interval> for u32 {
    fn from(interval: Interval) -> Self {
        interval.0
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}
