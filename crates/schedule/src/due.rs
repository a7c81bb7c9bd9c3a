//! Which occurrences to fire now.
//!
//! In: a schedule, the last occurrence that was fired, what to do about missed ones, `now`. Out:
//! what to fire, oldest first.
//!
//! Invariants:
//! * nothing at or before the last fired occurrence, so a clock that goes back fires nothing twice;
//! * nothing later than `now`;
//! * what is on time is always fired; what is older, as the policy says;
//! * at most [`CATCH_UP_MAX`] at a time; the rest is due when asked again.

use serde::{Deserialize, Serialize};
use writ_model::UnixTime;

use crate::Schedule;

/// How late an occurrence is fired without having been missed, in seconds: the grain of cron.
pub const ON_TIME_S: u64 = 60;
/// Most occurrences that are due at once.
pub const CATCH_UP_MAX: usize = 100;

/// What happens to occurrences that came while nothing could fire them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedRuns {
    /// They are not made up for.
    Skip,
    /// The last of them is fired, unless one that is on time stands for it.
    Once,
    /// Each is fired.
    All,
}

impl Schedule {
    /// What to fire at `now`, oldest first; the last of it is the next call's `last`.
    ///
    /// `last` is the occurrence that was last fired, or the instant from which the schedule holds.
    /// For `after` it is the end of the last run; such an occurrence is late but never missed.
    #[must_use]
    pub fn due(&self, last: UnixTime, missed: MissedRuns, now: UnixTime) -> Vec<UnixTime> {
        if let Self::After { .. } = self {
            return self.next_after(last).filter(|next| *next <= now).into_iter().collect();
        }
        let begin = match missed {
            MissedRuns::All => last,
            MissedRuns::Skip | MissedRuns::Once => {
                last.max(UnixTime(now.0.saturating_sub(ON_TIME_S + 1)))
            }
        };
        let mut due = Vec::new();
        let mut at = begin;
        while let Some(next) = self.next_after(at).filter(|next| *next <= now) {
            if due.len() == CATCH_UP_MAX {
                break;
            }
            due.push(next);
            at = next;
        }
        if due.is_empty() && missed == MissedRuns::Once {
            due.extend(self.last_between(last, now));
        }
        due
    }
}
