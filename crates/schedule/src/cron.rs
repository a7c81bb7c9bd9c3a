//! Reads a cron expression: five fields, in the POSIX sense, with names, ranges and steps.
//!
//! | field | values | names |
//! | --- | --- | --- |
//! | minute | 0 to 59 | |
//! | hour | 0 to 23 | |
//! | day of the month | 1 to 31 | |
//! | month | 1 to 12 | `JAN` to `DEC` |
//! | day of the week | 0 to 7, Sunday is 0 and 7 | `SUN` to `SAT` |
//!
//! A field is `*`, a value, a range `a-b`, a step over either (`*/n`, `a-b/n`), or a list of those.
//! Where both day fields are restricted, a day matches if either does (POSIX `crontab`, "EXTENDED
//! DESCRIPTION"). What other readers of cron understand differently is refused rather than guessed:
//! a sixth field, nicknames (`@daily`), `L`, `W`, `#`, `?`, steps from a single value, and a stepped
//! `*` in one day field beside a restricted other.
//!
//! Invariant: an expression that was taken has infinitely many matches; `0 0 30 2 *` is refused.
//! Not here: what a local time means in a time zone (`zone`, `schedule`).

mod field;

use std::{fmt, str::FromStr};

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

pub use self::field::CronField;
use self::field::Values;

/// Longest expression, in bytes.
const LENGTH_MAX: usize = 256;
/// Days in which any expression matches: 29 February comes after eight years around 2100.
const DAYS_MAX: usize = 9 * 366;

/// Why a text is not a cron expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// There are not exactly five fields.
    #[error("a cron expression has five fields (minute hour day month weekday), not {found}")]
    FieldCount {
        /// How many there are.
        found: usize,
    },
    /// It is longer than any schedule that a person reads.
    #[error("a cron expression has at most {LENGTH_MAX} bytes")]
    TooLong,
    /// `@daily` and its kin.
    #[error("nicknames are not taken; write five fields, such as `0 0 * * *` for every day")]
    Nickname,
    /// A part of a field is not a value, a range or a step.
    #[error("the {field} field is not made of values, ranges `a-b` and steps `*/n` or `a-b/n`")]
    Malformed {
        /// The field.
        field: CronField,
    },
    /// An extension that readers of cron do not agree on.
    #[error("`{sign}` in the {field} field is not taken; name the days by number or weekday")]
    Extension {
        /// The field.
        field: CronField,
        /// The character.
        sign: char,
    },
    /// A value lies outside its field.
    #[error("the {field} field takes {} to {}", field.least(), field.most())]
    OutOfRange {
        /// The field.
        field: CronField,
    },
    /// A range ends before it begins.
    #[error("a range of the {field} field ends before it begins")]
    Backwards {
        /// The field.
        field: CronField,
    },
    /// A step is zero, or goes past the end of its field: cron starts anew there.
    #[error("a step of the {field} field is 1 to {}; for longer ones use `every`", field.span())]
    Step {
        /// The field.
        field: CronField,
    },
    /// `*/n` in one day field and a restriction in the other.
    #[error(
        "a stepped `*` in one day field beside a restricted other is read in two ways; list the days"
    )]
    AmbiguousDays,
    /// No year has such a day.
    #[error("no month of the expression has such a day")]
    Never,
}

impl CronError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::FieldCount { .. } => "cron-fields",
            Self::TooLong => "cron-too-long",
            Self::Nickname => "cron-nickname",
            Self::Malformed { .. } => "cron-malformed",
            Self::Extension { .. } => "cron-extension",
            Self::OutOfRange { .. } => "cron-range",
            Self::Backwards { .. } => "cron-backwards",
            Self::Step { .. } => "cron-step",
            Self::AmbiguousDays => "cron-ambiguous-days",
            Self::Never => "cron-never",
        }
    }
}

/// Which days of a matching month match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DayRule {
    /// At most one day field is restricted: both must match.
    Both,
    /// Both are restricted: either matches.
    Either,
}

/// A cron expression that was read.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CronExpression {
    text: String,
    minutes: Values,
    hours: Values,
    days: Values,
    months: Values,
    weekdays: Values,
    day_rule: DayRule,
    every_hour: bool,
}

impl CronExpression {
    /// The five fields with one space between them, otherwise as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the hour field begins with `*`: such a schedule follows elapsed time, not the wall.
    pub(crate) const fn follows_elapsed_time(&self) -> bool {
        self.every_hour
    }

    /// The first matching local minute at or after `from`, by the calendar alone.
    pub(crate) fn next_match(&self, from: DateTime) -> Option<DateTime> {
        let from = whole_minute(from)?;
        let mut date = from.date();
        if self.matches_day(date)
            && let Some(time) = self.next_time(from.hour(), from.minute())
        {
            return at(date, time);
        }
        for _ in 0..DAYS_MAX {
            date = date.tomorrow().ok()?;
            if self.matches_day(date) {
                return at(date, self.next_time(0, 0)?);
            }
        }
        None
    }

    fn matches_day(&self, date: Date) -> bool {
        let day = self.days.contains(date.day());
        let weekday = self.weekdays.contains(date.weekday().to_sunday_zero_offset());
        let days = match self.day_rule {
            DayRule::Both => day && weekday,
            DayRule::Either => day || weekday,
        };
        days && self.months.contains(date.month())
    }

    /// The first matching time of a day at or after this one.
    fn next_time(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        if self.hours.contains(hour)
            && let Some(minute) = self.minutes.next_from(minute)
        {
            return Some((hour, minute));
        }
        Some((self.hours.next_from(hour.checked_add(1)?)?, self.minutes.next_from(0)?))
    }

    /// Whether any month of the expression has any day of it.
    fn can_match(&self) -> bool {
        const LONGEST: [(i8, i8); 12] = [
            (1, 31),
            (2, 29),
            (3, 31),
            (4, 30),
            (5, 31),
            (6, 30),
            (7, 31),
            (8, 31),
            (9, 30),
            (10, 31),
            (11, 30),
            (12, 31),
        ];
        let has_day = |last: i8| self.days.next_from(1).is_some_and(|day| day <= last);
        self.day_rule == DayRule::Either
            || LONGEST.iter().any(|(month, last)| self.months.contains(*month) && has_day(*last))
    }
}

fn at(date: Date, (hour, minute): (i8, i8)) -> Option<DateTime> {
    jiff::civil::Time::new(hour, minute, 0, 0).ok().map(|time| date.to_datetime(time))
}

/// The first whole minute at or after `from`.
fn whole_minute(from: DateTime) -> Option<DateTime> {
    let begun = at(from.date(), (from.hour(), from.minute()))?;
    if begun == from { Some(begun) } else { next_minute(begun) }
}

/// The minute after.
pub(crate) fn next_minute(minute: DateTime) -> Option<DateTime> {
    minute.checked_add(jiff::SignedDuration::from_mins(1)).ok()
}

impl FromStr for CronExpression {
    type Err = CronError;

    fn from_str(s: &str) -> Result<Self, CronError> {
        if s.len() > LENGTH_MAX {
            return Err(CronError::TooLong);
        }
        let fields: Vec<&str> = s.split_ascii_whitespace().collect();
        if fields.first().is_some_and(|first| first.starts_with('@')) {
            return Err(CronError::Nickname);
        }
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(CronError::FieldCount { found: fields.len() });
        };
        let expression = Self {
            text: fields.join(" "),
            minutes: CronField::Minute.read(minute)?,
            hours: CronField::Hour.read(hour)?,
            days: CronField::Day.read(day)?,
            months: CronField::Month.read(month)?,
            weekdays: CronField::Weekday.read(weekday)?,
            day_rule: day_rule(day, weekday)?,
            every_hour: hour.starts_with('*'),
        };
        if expression.can_match() { Ok(expression) } else { Err(CronError::Never) }
    }
}

fn day_rule(day: &str, weekday: &str) -> Result<DayRule, CronError> {
    if day == "*" || weekday == "*" {
        return Ok(DayRule::Both);
    }
    // Vixie cron takes any field that begins with `*` for unrestricted, POSIX and others do not.
    let stepped = |field: &str| field.split(',').any(|part| part.starts_with('*'));
    if stepped(day) || stepped(weekday) {
        return Err(CronError::AmbiguousDays);
    }
    Ok(DayRule::Either)
}

impl PartialEq for CronExpression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for CronExpression {}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronExpression({})", self.text)
    }
}

impl TryFrom<String> for CronExpression {
    type Error = CronError;

    fn try_from(s: String) -> Result<Self, CronError> {
        s.parse()
    }
}

impl From<CronExpression> for String {
    fn from(expression: CronExpression) -> Self {
        expression.text
    }
}

#[cfg(test)]
mod tests;
