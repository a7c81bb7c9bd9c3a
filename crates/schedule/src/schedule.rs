//! A schedule and its occurrences.
//!
//! Local time that is missing or comes twice is treated as Vixie cron does (`cron(8)`, "Daylight
//! Saving Time and other time changes"), where an hour field that begins with `*` decides:
//!
//! * with it, a schedule follows elapsed time: a minute that does not exist has no occurrence, one
//!   that comes twice has two;
//! * without it, each matching local minute occurs once: when the clock skips it, at the first
//!   instant after the gap (several of them are one occurrence there); when it comes twice, the
//!   first time. Vixie cron looks at the minute field as well; here `*/15 2 * * *` is not lost on
//!   the day that has no two o'clock.
//!
//! Invariant: [`Schedule::is_occurrence`] holds for exactly what [`Schedule::next_after`] returns.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use writ_model::UnixTime;

use crate::{
    CronExpression, Interval, Zone,
    cron::next_minute,
    zone::{timestamp, unix_time},
};

/// When something runs; the names are those of Serverless Workflow 1.0, "Schedule".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// At the local times that an expression matches.
    Cron {
        /// Which local times.
        expression: CronExpression,
        /// Where they are local.
        time_zone: Zone,
    },
    /// At `from`, and again after each interval.
    Every {
        /// The time between two occurrences.
        #[serde(rename = "interval_s")]
        interval: Interval,
        /// The first occurrence.
        from: UnixTime,
    },
    /// A delay after the last run ended.
    After {
        /// The time from that end to the next occurrence.
        #[serde(rename = "delay_s")]
        delay: Interval,
    },
}

impl Schedule {
    /// The first occurrence later than `t`. For `after`, `t` is the end of the last run.
    ///
    /// None if there is no such instant before the year 10000.
    #[must_use]
    pub fn next_after(&self, t: UnixTime) -> Option<UnixTime> {
        match self {
            Self::Cron { expression, time_zone } => next_local(expression, time_zone, t),
            Self::Every { from, .. } if t < *from => Some(*from),
            Self::Every { interval, from } => {
                let begun = t.since(*from).checked_div(interval.seconds())?;
                let next = begun.checked_add(1)?.checked_mul(interval.seconds())?;
                from.0.checked_add(next).map(UnixTime)
            }
            Self::After { delay } => t.0.checked_add(delay.seconds()).map(UnixTime),
        }
    }

    /// Whether `t` is an occurrence. For `after` nothing is one by itself: ask
    /// [`Schedule::next_after`] the end of the last run.
    #[must_use]
    pub fn is_occurrence(&self, t: UnixTime) -> bool {
        match self {
            Self::Every { from, .. } if t == *from => true,
            Self::Cron { .. } | Self::Every { .. } => {
                t.0.checked_sub(1).and_then(|before| self.next_after(UnixTime(before))) == Some(t)
            }
            Self::After { .. } => false,
        }
    }

    /// The last occurrence later than `after` and not later than `until`.
    pub(crate) fn last_between(&self, after: UnixTime, until: UnixTime) -> Option<UnixTime> {
        let next_by = |t: u64| self.next_after(UnixTime(t)).filter(|next| *next <= until);
        // INVARIANT: there is an occurrence after `some` and none after `none`, both up to `until`.
        let (mut some, mut none) = (after.0, until.0);
        next_by(some)?;
        while none.saturating_sub(some) > 1 {
            let middle = some.midpoint(none);
            if next_by(middle).is_some() { some = middle } else { none = middle }
        }
        next_by(some)
    }
}

fn next_local(expression: &CronExpression, zone: &Zone, after: UnixTime) -> Option<UnixTime> {
    let after = timestamp(after)?;
    let next = if expression.follows_elapsed_time() {
        next_elapsed(expression, zone, after)
    } else {
        next_fixed(expression, zone, after)
    };
    unix_time(next?)
}

/// Goes from one change of the clock to the next: between two, local time is a constant away.
fn next_elapsed(expression: &CronExpression, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
    let mut from = after.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
    loop {
        let (offset, change) = zone.offset_at(from);
        let local = expression.next_match(offset.to_datetime(from))?;
        let found = offset.to_timestamp(local).ok()?;
        match change {
            Some(change) if found >= change => from = change,
            Some(_) | None => return Some(found),
        }
    }
}

/// Goes through matching local times in order; their instants never go down.
fn next_fixed(expression: &CronExpression, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
    // A day back is before any gap or repetition that `after` may lie in. Local time before the
    // first representable one has no matches.
    let local = zone.local(after);
    let mut from = local.checked_sub(jiff::SignedDuration::from_hours(24)).unwrap_or(local);
    loop {
        let local = expression.next_match(from)?;
        let instant = zone.first_instant(local)?;
        if instant > after {
            return Some(instant);
        }
        from = next_minute(local)?;
    }
}

#[cfg(test)]
mod tests;
