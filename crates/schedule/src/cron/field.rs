//! One field of a cron expression: its bounds, its names, and the values it stands for.
//!
//! In: the text of a field. Out: the set of its values; a weekday 7 is 0.

use std::fmt;

use super::CronError;

/// A field of a cron expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// Minute of the hour.
    Minute,
    /// Hour of the day.
    Hour,
    /// Day of the month.
    Day,
    /// Month of the year.
    Month,
    /// Day of the week.
    Weekday,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// What only some readers of cron understand.
const EXTENSIONS: [char; 4] = ['#', '?', 'L', 'W'];

impl CronField {
    /// The least value.
    pub(super) const fn least(self) -> u8 {
        match self {
            Self::Minute | Self::Hour | Self::Weekday => 0,
            Self::Day | Self::Month => 1,
        }
    }

    /// The greatest value.
    pub(super) const fn most(self) -> u8 {
        match self {
            Self::Minute => 59,
            Self::Hour => 23,
            Self::Day => 31,
            Self::Month => 12,
            Self::Weekday => 7,
        }
    }

    /// The longest step: from the first value to the last. Sunday counts once.
    pub(super) const fn span(self) -> u8 {
        match self {
            Self::Weekday => 6,
            Self::Minute | Self::Hour | Self::Day | Self::Month => self.most() - self.least(),
        }
    }

    /// The values' names, the first for [`Self::least`].
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => &MONTHS,
            Self::Weekday => &WEEKDAYS,
            Self::Minute | Self::Hour | Self::Day => &[],
        }
    }

    /// The set that a field's text stands for.
    pub(super) fn read(self, text: &str) -> Result<Values, CronError> {
        let mut values = Values(0);
        for part in text.split(',') {
            self.read_part(part, &mut values)?;
        }
        Ok(if self == Self::Weekday { values.sunday_once() } else { values })
    }

    fn read_part(self, part: &str, values: &mut Values) -> Result<(), CronError> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.read_step(step)?)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.least(), self.least() + self.span()),
            Some((first, last)) => (self.read_value(first)?, self.read_value(last)?),
            None if step.is_some() => return Err(CronError::Malformed { field: self }),
            None => {
                let value = self.read_value(range)?;
                (value, value)
            }
        };
        if last < first {
            return Err(CronError::Backwards { field: self });
        }
        for value in (first..=last).step_by(usize::from(step.unwrap_or(1))) {
            values.0 |= 1 << value;
        }
        Ok(())
    }

    fn read_step(self, text: &str) -> Result<u8, CronError> {
        let step = self.read_number(text)?;
        if (1..=self.span()).contains(&step) {
            Ok(step)
        } else {
            Err(CronError::Step { field: self })
        }
    }

    fn read_value(self, text: &str) -> Result<u8, CronError> {
        let named = self.names().iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(value) = named.and_then(|index| u8::try_from(index).ok()) {
            return Ok(self.least() + value);
        }
        let value = self.read_number(text)?;
        if (self.least()..=self.most()).contains(&value) {
            Ok(value)
        } else {
            Err(CronError::OutOfRange { field: self })
        }
    }

    fn read_number(self, text: &str) -> Result<u8, CronError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits {
            // More digits than any value has.
            return text.parse().map_err(|_| CronError::OutOfRange { field: self });
        }
        let upper = text.to_ascii_uppercase();
        match EXTENSIONS.into_iter().find(|sign| upper.contains(*sign)) {
            Some(sign) => Err(CronError::Extension { field: self, sign }),
            None => Err(CronError::Malformed { field: self }),
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day-of-month",
            Self::Month => "month",
            Self::Weekday => "day-of-week",
        })
    }
}

/// A set of small numbers, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Values(u64);

impl Values {
    /// Whether the value is in the set.
    pub(super) fn contains(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.0.checked_shr(value).unwrap_or(0) & 1 == 1)
    }

    /// The least value of the set at or after `value`.
    pub(super) fn next_from(self, value: i8) -> Option<i8> {
        let least = u32::try_from(value).ok()?;
        let rest = self.0.checked_shr(least)?;
        if rest == 0 {
            return None;
        }
        i8::try_from(least + rest.trailing_zeros()).ok()
    }

    /// Sunday, which is both 0 and 7, as 0 alone.
    const fn sunday_once(self) -> Self {
        Self((self.0 | (self.0 >> 7) & 1) & 0x7f)
    }
}
