//! How often a standing writ may fire, and how many of its runs may be open at once.

use serde::{Deserialize, Serialize};
use writ_schedule::Interval;

/// Most runs in a period: what a [`super::Counter`] remembers.
pub const MAX_RUNS_MAX: u32 = 10_000;
/// Most runs that are open at once.
pub const CONCURRENCY_MAX: u32 = 100;

/// Numbers are not bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "bounds are 1 to {MAX_RUNS_MAX} runs in a period and a concurrency of 1 to {CONCURRENCY_MAX}"
)]
pub struct InvalidBounds;

/// At most `max_runs` admitted in any span of `per`, and at most `concurrency` open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Bounds {
    max_runs: u32,
    per: Interval,
    concurrency: u32,
}

impl Bounds {
    /// Bounds of these numbers.
    ///
    /// # Errors
    ///
    /// [`InvalidBounds`]: a number is zero or too large.
    pub fn new(max_runs: u32, per: Interval, concurrency: u32) -> Result<Self, InvalidBounds> {
        let valid =
            (1..=MAX_RUNS_MAX).contains(&max_runs) && (1..=CONCURRENCY_MAX).contains(&concurrency);
        if valid { Ok(Self { max_runs, per, concurrency }) } else { Err(InvalidBounds) }
    }

    /// Most runs in any span of [`Self::per`].
    #[must_use]
    pub fn max_runs(&self) -> usize {
        usize::try_from(self.max_runs).unwrap_or(usize::MAX)
    }

    /// The span.
    #[must_use]
    pub const fn per(&self) -> Interval {
        self.per
    }

    /// Most runs that are open at once.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        usize::try_from(self.concurrency).unwrap_or(usize::MAX)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    max_runs: u32,
    per_s: Interval,
    concurrency: u32,
}

impl TryFrom<Unchecked> for Bounds {
    type Error = InvalidBounds;

    fn try_from(raw: Unchecked) -> Result<Self, InvalidBounds> {
        Self::new(raw.max_runs, raw.per_s, raw.concurrency)
    }
}

impl From<Bounds> for Unchecked {
    fn from(bounds: Bounds) -> Self {
        Self { max_runs: bounds.max_runs, per_s: bounds.per, concurrency: bounds.concurrency }
    }
}
