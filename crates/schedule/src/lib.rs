//! When: schedules as charters and documents state them, and which of their occurrences are due.
//!
//! Pure: `now` comes in, instants go out. Time zones are the IANA database compiled into the
//! executable, since the jail has no file system; `jiff` is built without `std`, so that it has
//! neither a clock nor a file to read. Who may order what on a schedule, and how often, is not
//! here (`evidence::standing`); this is a crate of its own because the runner, the documents and
//! the jail must all mean the same instants, and only the jail's bounds are evidence.
//!
//! Invariants:
//! * an occurrence is an instant in whole seconds, and the same on every machine that has the same
//!   time zone database;
//! * every function is total: a schedule that has no further occurrence says so.
//!
//! Read in this order: `cron` (what an expression means), `zone` (what a local time means),
//! `schedule` (occurrences), `due` (which of them to fire now).

#![deny(clippy::wildcard_enum_match_arm)]

mod cron;
mod due;
mod interval;
mod schedule;
mod zone;

pub use cron::{CronError, CronExpression, CronField};
pub use due::{CATCH_UP_MAX, MissedRuns, ON_TIME_S};
pub use interval::{Interval, InvalidInterval};
pub use schedule::Schedule;
pub use zone::{InvalidTimeZone, Zone};
