//! How long a service asks to wait: `Retry-After` (RFC 9110 §10.2.3), as seconds or as a date.
//!
//! In: the field's value and the time now. Out: seconds, at most a day, or nothing if it is
//! neither. Only the date format that may be sent is read (RFC 9110 §5.6.7, IMF-fixdate).

use writ_model::UnixTime;

/// Longest wait that a service can ask for, in seconds.
const LONGEST_S: u64 = 24 * 3600;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The seconds to wait.
pub(super) fn retry_after_s(text: &str, now: UnixTime) -> Option<u64> {
    let text = text.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit is a long time, not a mistake.
        text.parse().unwrap_or(u64::MAX)
    } else {
        fixdate(text)?.since(now)
    };
    Some(seconds.min(LONGEST_S))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`; the day of the week is not looked at.
fn fixdate(text: &str) -> Option<UnixTime> {
    let (_, rest) = text.split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts.as_slice() else { return None };
    let day = number(day, 2).filter(|day| (1..=31).contains(day))?;
    let month = MONTHS.iter().position(|name| name == month)?;
    let year = number(year, 4).filter(|year| *year >= 1970)?;
    let clock: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = clock.as_slice() else { return None };
    let hour = number(hour, 2).filter(|hour| *hour < 24)?;
    let minute = number(minute, 2).filter(|minute| *minute < 60)?;
    let second = number(second, 2).filter(|second| *second <= 60)?;
    let days = days_before(year, month as u64) + day - 1;
    Some(UnixTime(((days * 24 + hour) * 60 + minute) * 60 + second))
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let canonical = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical { text.parse().ok() } else { None }
}

/// Days from 1970-01-01 to the first of this month (0 is January), in the Gregorian calendar.
fn days_before(year: u64, month: u64) -> u64 {
    // Years are counted from March, so that a leap day comes last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5;
    // 1970-01-01 counted the same way, from 0000-03-01.
    days.saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06 08:49:37, the RFC's own example.
    const THEN: UnixTime = UnixTime(784_111_777);
    const TEXT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn seconds_are_taken_up_to_a_day() {
        assert_eq!(retry_after_s("120", THEN), Some(120));
        assert_eq!(retry_after_s(" 0 ", THEN), Some(0));
        assert_eq!(retry_after_s("99999999999999999999999", THEN), Some(LONGEST_S));
    }

    #[test]
    fn a_date_is_the_time_until_then() {
        assert_eq!(retry_after_s(TEXT, UnixTime(THEN.0 - 90)), Some(90));
        assert_eq!(retry_after_s(TEXT, UnixTime(THEN.0 + 90)), Some(0));
        assert_eq!(retry_after_s(TEXT, UnixTime(0)), Some(LONGEST_S));
    }

    #[test]
    fn dates_agree_with_a_calendar() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Mon, 23 Nov 2026 19:37:27 GMT", 1_795_462_647),
            ("Fri, 31 Dec 2100 00:00:00 GMT", 4_133_894_400),
        ] {
            assert_eq!(fixdate(text), Some(UnixTime(expected)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_wait_at_all() {
        for text in [
            "",
            "-1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(retry_after_s(text, THEN), None, "{text}");
        }
    }
}
