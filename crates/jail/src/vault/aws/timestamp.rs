//! The spelling of a time that AWS signs (`20261123T221500Z`), and nothing more of a calendar.
//!
//! UTC, whole seconds, proleptic Gregorian, years 1970 to 9999. Not here: the clock; callers pass the
//! time. Spec: AWS Signature Version 4 ("`X-Amz-Date`", ISO 8601 basic format).

use writ_model::UnixTime;

const DAY_S: u64 = 24 * 60 * 60;
/// First second of the year 10000, which has no spelling here.
const END: u64 = 253_402_300_800;

/// Year, month and day.
struct Date {
    year: u64,
    month: u64,
    day: u64,
}

/// The time as `YYYYMMDD'T'hhmmss'Z'`; nothing after the year 9999.
#[must_use]
pub(super) fn basic(time: UnixTime) -> Option<String> {
    if time.0 >= END {
        return None;
    }
    let Date { year, month, day } = date_of(time.0 / DAY_S);
    let second = time.0 % DAY_S;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
}

/// The date of a day counted from 1970-01-01. Years here begin in March, so that a leap day is the
/// last day of one.
const fn date_of(days: u64) -> Date {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    Date { year, month, day }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_have_their_known_spellings() {
        for (second, spelled) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (END - 1, "99991231T235959Z"),
        ] {
            assert_eq!(basic(UnixTime(second)).as_deref(), Some(spelled));
        }
        assert_eq!(basic(UnixTime(END)), None);
        assert_eq!(basic(UnixTime(u64::MAX)), None);
    }
}
