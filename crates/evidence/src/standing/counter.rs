//! What a standing writ has started: the fold from which the next occurrence is admitted or refused.
//!
//! [`Counter::admit`] judges and changes nothing; the caller makes the event that it returns durable
//! and then folds it with [`Counter::on`]. So a crash between the two loses a run that had not begun
//! and never starts one twice.
//!
//! Invariants, whatever order occurrences arrive in and wherever the clock goes:
//! * no occurrence twice: scheduled ones are admitted in ascending order only, deliveries once;
//! * none more than the clock skew before it is due, none that the schedule does not have, none from
//!   before the standing writ was admitted, none after it ended;
//! * none that was missed, where the policy is to skip it;
//! * from any admission to the `max_runs`-th after it this clock counts more than `per`, and never
//!   are more than `concurrency` runs open;
//! * memory is bounded: the last [`MAX_RUNS_MAX`] admissions, the open runs, the deliveries.
//!
//! Not here: whether the grantor still may; what the run is given.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use writ_model::{RunId, UnixTime, limits::CLOCK_SKEW_S};
use writ_schedule::{MissedRuns, Schedule};

use super::{Deliveries, DeliveryError, DeliveryId, StandingWrit, Trigger, bounds::MAX_RUNS_MAX};

/// How late an occurrence that was on time when it was fired may be judged, in seconds.
pub const ADMIT_WITHIN_S: u64 = 300;
/// Most deliveries that one standing writ remembers.
const DELIVERIES_MAX: usize = 1 << 18;

/// What fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Occurrence {
    /// The schedule, at this instant of it.
    Scheduled(UnixTime),
    /// A webhook that was verified.
    Delivered {
        /// Which delivery.
        id: DeliveryId,
        /// Until when it is remembered.
        remember_until: UnixTime,
    },
}

/// What a counter remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum CounterEvent {
    /// An occurrence was admitted and its run may start.
    Admitted {
        /// The run.
        run: RunId,
        /// What fired it.
        occurrence: Occurrence,
        /// When it was admitted.
        at: UnixTime,
    },
    /// A run was closed.
    Ended {
        /// The run.
        run: RunId,
        /// When.
        at: UnixTime,
    },
}

/// Why an occurrence starts no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The standing writ has ended.
    #[error("the standing writ ended at {at}: have a new one signed")]
    Expired {
        /// When it ended.
        at: UnixTime,
    },
    /// A webhook for a schedule, or the other way around.
    #[error("the standing writ has another kind of trigger")]
    OtherTrigger,
    /// Its time has not come.
    #[error("the occurrence is not due before {at}")]
    NotDue {
        /// When it will be due.
        at: UnixTime,
    },
    /// It is from before the standing writ was admitted.
    #[error("the occurrence is from before the standing writ was granted at {since}")]
    BeforeGrant {
        /// When it was granted.
        since: UnixTime,
    },
    /// This or a later one was admitted.
    #[error("the occurrence, or a later one, has already been taken")]
    Used,
    /// The schedule has no such instant.
    #[error("the schedule has no occurrence at this instant")]
    NotAnOccurrence,
    /// It is late, and the policy is not to make up for it.
    #[error("the occurrence was missed, and the standing writ does not make up for it")]
    Missed,
    /// As many runs are open as may be.
    #[error("{open} runs of the standing writ are open, which is its limit")]
    Busy {
        /// How many.
        open: usize,
    },
    /// As many were admitted in the period as may be.
    #[error(
        "the standing writ has had its {max_runs} runs of this period; the next may start after {until}"
    )]
    Exhausted {
        /// How many those are.
        max_runs: usize,
        /// The last instant at which none may start.
        until: UnixTime,
    },
    /// The delivery was seen, or can't be remembered.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
}

impl Refused {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "standing-expired",
            Self::OtherTrigger => "standing-other-trigger",
            Self::NotDue { .. } => "standing-not-due",
            Self::BeforeGrant { .. } => "standing-before-grant",
            Self::Used => "standing-used",
            Self::NotAnOccurrence => "standing-not-an-occurrence",
            Self::Missed => "standing-missed",
            Self::Busy { .. } => "standing-busy",
            Self::Exhausted { .. } => "standing-exhausted",
            Self::Delivery(error) => error.code(),
        }
    }
}

/// What one standing writ has started.
#[derive(Debug, Clone)]
pub struct Counter {
    since: UnixTime,
    /// The last scheduled occurrence that was admitted.
    last: Option<UnixTime>,
    /// When the last runs were admitted, oldest first.
    recent: VecDeque<UnixTime>,
    open: BTreeSet<RunId>,
    last_end: Option<UnixTime>,
    deliveries: Deliveries,
}

impl Counter {
    /// Of a standing writ that was admitted to the charter at `since` and has fired never.
    #[must_use]
    pub const fn new(since: UnixTime) -> Self {
        Self {
            since,
            last: None,
            recent: VecDeque::new(),
            open: BTreeSet::new(),
            last_end: None,
            deliveries: Deliveries::new(DELIVERIES_MAX),
        }
    }

    /// Of the standing writ that replaces this one under its name: what was used stays used, and
    /// what is open stays open. What was owed before it and not admitted is not made up for.
    pub fn renew(&mut self, since: UnixTime) {
        self.since = self.since.max(since);
    }

    /// Judges one occurrence at `now`; returns what to make durable and fold before its run starts.
    ///
    /// # Errors
    ///
    /// [`Refused`]: see each variant. Nothing is used up.
    pub fn admit(
        &self,
        writ: &StandingWrit,
        occurrence: Occurrence,
        run: RunId,
        now: UnixTime,
    ) -> Result<CounterEvent, Refused> {
        if now >= writ.expires_at {
            return Err(Refused::Expired { at: writ.expires_at });
        }
        match (&writ.trigger, occurrence) {
            (Trigger::Schedule { schedule, missed_runs }, Occurrence::Scheduled(at)) => {
                self.check_schedule(schedule, *missed_runs, at, now)?;
                if at >= writ.expires_at {
                    return Err(Refused::Expired { at: writ.expires_at });
                }
            }
            (Trigger::Webhook(_), Occurrence::Delivered { id, .. }) => {
                self.deliveries.check(id, now)?;
            }
            (Trigger::Schedule { .. }, Occurrence::Delivered { .. })
            | (Trigger::Webhook(_), Occurrence::Scheduled(_)) => return Err(Refused::OtherTrigger),
        }
        self.check_bounds(writ, run, now)?;
        Ok(CounterEvent::Admitted { run, occurrence, at: now })
    }

    fn check_schedule(
        &self,
        schedule: &Schedule,
        missed: MissedRuns,
        at: UnixTime,
        now: UnixTime,
    ) -> Result<(), Refused> {
        if at > now.plus(CLOCK_SKEW_S) {
            return Err(Refused::NotDue { at });
        }
        if at <= self.since {
            return Err(Refused::BeforeGrant { since: self.since });
        }
        if self.last.is_some_and(|last| at <= last) {
            return Err(Refused::Used);
        }
        if let Schedule::After { .. } = schedule {
            // Late is not missed: nothing else would ever fire.
            return match schedule.next_after(self.after_from()) {
                _ if !self.open.is_empty() => Err(Refused::Busy { open: self.open.len() }),
                Some(next) if next == at => Ok(()),
                Some(_) | None => Err(Refused::NotAnOccurrence),
            };
        }
        if !schedule.is_occurrence(at) {
            return Err(Refused::NotAnOccurrence);
        }
        let late = now.since(at) > ADMIT_WITHIN_S;
        // A newer one that came while this one was on its way does not count.
        let newest_then = UnixTime(now.0.saturating_sub(ADMIT_WITHIN_S));
        let superseded = || schedule.next_after(at).is_some_and(|next| next <= newest_then);
        match missed {
            MissedRuns::Skip if late => Err(Refused::Missed),
            MissedRuns::Once if late && superseded() => Err(Refused::Missed),
            MissedRuns::Skip | MissedRuns::Once | MissedRuns::All => Ok(()),
        }
    }

    fn check_bounds(&self, writ: &StandingWrit, run: RunId, now: UnixTime) -> Result<(), Refused> {
        if self.open.contains(&run) {
            return Err(Refused::Used);
        }
        if self.open.len() >= writ.bounds.concurrency() {
            return Err(Refused::Busy { open: self.open.len() });
        }
        // The admission that must have left the period before another may start. Order counts, not
        // time: so a clock that goes back makes a period longer and never shorter.
        let max_runs = writ.bounds.max_runs();
        let first =
            self.recent.len().checked_sub(max_runs).and_then(|index| self.recent.get(index));
        let until = first.map(|at| at.plus(writ.bounds.per().seconds()));
        match until {
            Some(until) if now <= until => Err(Refused::Exhausted { max_runs, until }),
            Some(_) | None => Ok(()),
        }
    }

    /// Folds what was made durable. Total: the end of a run that is not open changes nothing.
    pub fn on(&mut self, event: &CounterEvent) {
        match event {
            CounterEvent::Admitted { run, occurrence, at } => {
                self.open.insert(*run);
                self.recent.push_back(*at);
                if self.recent.len() > usize::try_from(MAX_RUNS_MAX).unwrap_or(usize::MAX) {
                    self.recent.pop_front();
                }
                match occurrence {
                    Occurrence::Scheduled(scheduled) => {
                        self.last = self.last.max(Some(*scheduled));
                    }
                    Occurrence::Delivered { id, remember_until } => {
                        self.deliveries.remember(*id, *remember_until, *at);
                    }
                }
            }
            CounterEvent::Ended { run, at } => {
                if self.open.remove(run) {
                    self.last_end = self.last_end.max(Some(*at));
                }
            }
        }
    }

    /// What the schedule owes at `now`, oldest first; nothing for a webhook or after the end.
    ///
    /// Offer them in order and stop at one that is refused as busy or exhausted: admitting a later
    /// one would use the earlier up.
    #[must_use]
    pub fn due(&self, writ: &StandingWrit, now: UnixTime) -> Vec<UnixTime> {
        let Trigger::Schedule { schedule, missed_runs } = &writ.trigger else { return Vec::new() };
        let waits = matches!(schedule, Schedule::After { .. });
        if now >= writ.expires_at || (waits && !self.open.is_empty()) {
            return Vec::new();
        }
        let last =
            if waits { self.after_from() } else { self.last.unwrap_or(self.since).max(self.since) };
        let mut due = schedule.due(last, *missed_runs, now);
        due.retain(|occurrence| *occurrence < writ.expires_at);
        due
    }

    /// What `after` counts from: the end of the last run, or the grant. Never before the occurrence
    /// that started it, so that a clock that went back does not name an occurrence again.
    fn after_from(&self) -> UnixTime {
        let end = self.last_end.unwrap_or(self.since);
        end.max(self.since).max(self.last.unwrap_or(self.since))
    }

    /// When the schedule may next be due, for whoever sleeps until then; `None` for a webhook, after the
    /// end, or while a run that it waits for is open.
    #[must_use]
    pub fn next(&self, writ: &StandingWrit, now: UnixTime) -> Option<UnixTime> {
        let Trigger::Schedule { schedule, .. } = &writ.trigger else { return None };
        let next = match schedule {
            Schedule::After { .. } if !self.open.is_empty() => None,
            Schedule::After { .. } => schedule.next_after(self.after_from()),
            Schedule::Cron { .. } | Schedule::Every { .. } => {
                schedule.next_after(now.max(self.last.unwrap_or(self.since)).max(self.since))
            }
        };
        next.filter(|next| *next < writ.expires_at)
    }

    /// The runs that are open.
    pub fn open_runs(&self) -> impl Iterator<Item = RunId> {
        self.open.iter().copied()
    }

    /// How many runs are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests;
