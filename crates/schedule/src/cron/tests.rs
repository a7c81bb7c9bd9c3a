//! What an expression means, what is refused, and that another implementation reads it alike.

use croner::parser::CronParser;
use jiff::civil::date;
use jiff_for_croner::civil::DateTime as OracleTime;
use proptest::prelude::*;

use super::*;

fn refusal(text: &str) -> &'static str {
    text.parse::<CronExpression>().unwrap_err().code()
}

fn matches(text: &str, from: DateTime, count: usize) -> Vec<String> {
    let expression: CronExpression = text.parse().unwrap();
    let mut from = from;
    let found = std::iter::from_fn(|| {
        let next = expression.next_match(from)?;
        from = next_minute(next)?;
        Some(next.to_string())
    });
    found.take(count).collect()
}

#[test]
fn lists_ranges_steps_and_names_are_read() {
    let monday = date(2026, 11, 23).at(0, 0, 0, 0);
    assert_eq!(
        matches("5,*/30 9-10 * * MON-fri", monday, 7),
        [
            "2026-11-23T09:00:00",
            "2026-11-23T09:05:00",
            "2026-11-23T09:30:00",
            "2026-11-23T10:00:00",
            "2026-11-23T10:05:00",
            "2026-11-23T10:30:00",
            "2026-11-24T09:00:00"
        ]
    );
    assert_eq!(
        matches("0 0 1-31/15 jan,Feb *", monday, 5),
        [
            "2027-01-01T00:00:00",
            "2027-01-16T00:00:00",
            "2027-01-31T00:00:00",
            "2027-02-01T00:00:00",
            "2027-02-16T00:00:00"
        ]
    );
}

#[test]
fn a_day_matches_if_either_restricted_day_field_does() {
    let from = date(2026, 11, 1).at(0, 0, 0, 0);
    assert_eq!(
        matches("0 12 13 * 5", from, 4),
        [
            "2026-11-06T12:00:00",
            "2026-11-13T12:00:00",
            "2026-11-20T12:00:00",
            "2026-11-27T12:00:00"
        ]
    );
    assert_eq!(matches("0 12 14 * 5", from, 3).last().unwrap(), "2026-11-14T12:00:00");
}

#[test]
fn sunday_is_both_0_and_7() {
    let from = date(2026, 11, 1).at(0, 0, 0, 0);
    let sundays = matches("0 0 * * 0", from, 5);
    assert_eq!(matches("0 0 * * 7", from, 5), sundays);
    assert_eq!(matches("0 0 * * SUN", from, 5), sundays);
    assert_eq!(matches("0 0 * * 6-7", from, 1), ["2026-11-01T00:00:00"]);
}

#[test]
fn a_leap_day_is_found_across_the_century_that_has_none() {
    assert_eq!(matches("0 0 29 2 *", date(2096, 3, 1).at(0, 0, 0, 0), 1), ["2104-02-29T00:00:00"]);
}

#[test]
fn what_readers_of_cron_understand_differently_is_refused_by_name() {
    for (text, code) in [
        ("@daily", "cron-nickname"),
        ("@reboot", "cron-nickname"),
        ("0 0 0 * * *", "cron-fields"),
        ("* * * *", "cron-fields"),
        ("", "cron-fields"),
        ("0 0 L * *", "cron-extension"),
        ("0 0 15W * *", "cron-extension"),
        ("0 0 ? * 1", "cron-extension"),
        ("0 0 * * FRI#2", "cron-extension"),
        ("0 0 * * 5L", "cron-extension"),
        ("0/5 * * * *", "cron-malformed"),
        ("/5 * * * *", "cron-malformed"),
        ("5- * * * *", "cron-malformed"),
        ("1,,2 * * * *", "cron-malformed"),
        ("1-2-3 * * * *", "cron-malformed"),
        ("+1 * * * *", "cron-malformed"),
        ("JAN * * * *", "cron-malformed"),
        ("60 * * * *", "cron-range"),
        ("999 * * * *", "cron-range"),
        ("* 24 * * *", "cron-range"),
        ("* * 0 * *", "cron-range"),
        ("* * * 13 *", "cron-range"),
        ("* * * * 8", "cron-range"),
        ("10-5 * * * *", "cron-backwards"),
        ("* * * * FRI-SUN", "cron-backwards"),
        ("*/0 * * * *", "cron-step"),
        ("*/90 * * * *", "cron-step"),
        ("0 0 */2 * 1", "cron-ambiguous-days"),
        ("0 0 1 * */2", "cron-ambiguous-days"),
        ("0 0 1,*/2 * 1", "cron-ambiguous-days"),
        ("0 0 30 2 *", "cron-never"),
        ("0 0 31 4,6,9,11 *", "cron-never"),
    ] {
        assert_eq!(refusal(text), code, "{text:?}");
    }
    assert_eq!(refusal(&"*,".repeat(200)), "cron-too-long");
}

#[test]
fn a_refusal_does_not_quote_what_it_refuses() {
    let error = "0 0 hunter2 * *".parse::<CronExpression>().unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(error.to_string().contains("day-of-month"), "{error}");
}

/// A part of a field with values from `least` to `most`.
fn part(least: u8, most: u8) -> impl Strategy<Value = String> {
    let range = (least..=most, least..=most).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let step = 1..=(most - least);
    prop_oneof![
        3 => (least..=most).prop_map(|value| value.to_string()),
        2 => range.clone().prop_map(|(a, b)| format!("{a}-{b}")),
        1 => (range, step.clone()).prop_map(|((a, b), step)| format!("{a}-{b}/{step}")),
        1 => step.prop_map(|step| format!("*/{step}")),
    ]
}

fn field(least: u8, most: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just("*".to_owned()),
        2 => prop::collection::vec(part(least, most), 1..4).prop_map(|parts| parts.join(",")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6))
        .prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn another_reader_finds_the_same_local_times(
        text in expression(),
        (year, month, day) in (2020i16..2032, 1i8..=12, 1i8..=28),
        (hour, minute) in (0i8..24, 0i8..60),
    ) {
        let Ok(ours) = text.parse::<CronExpression>() else { return Ok(()) };
        let theirs = CronParser::new().parse(&text).unwrap();
        let mut from = date(year, month, day).at(hour, minute, 0, 0);
        let mut oracle = OracleTime::new(year, month, day, hour, minute, 0, 0).unwrap();
        for _ in 0..4 {
            let found = ours.next_match(from).unwrap();
            oracle = theirs.find_next_occurrence(&oracle, true).unwrap();
            prop_assert_eq!(found.to_string(), oracle.to_string(), "{}", text);
            from = next_minute(found).unwrap();
            oracle = oracle.checked_add(jiff_for_croner::SignedDuration::from_mins(1)).unwrap();
        }
    }

    #[test]
    fn what_is_generated_is_refused_only_for_its_days(text in expression()) {
        match text.parse::<CronExpression>() {
            Ok(read) => prop_assert_eq!(read.to_string(), text),
            Err(error) => prop_assert!(
                matches!(error, CronError::AmbiguousDays | CronError::Never), "{}: {}", text, error
            ),
        }
    }

    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_is_written_the_same(text in ".{0,40}") {
        if let Ok(read) = text.parse::<CronExpression>() {
            prop_assert_eq!(read.to_string().parse(), Ok(read));
        }
    }

    #[test]
    fn nearly_an_expression_is_read_or_refused_and_has_a_match(
        text in "[-0-9*/,LW#?JANSUMOFRI]{1,6}( [-0-9*/,LW#?JANSUMOFRI]{1,6}){4}"
    ) {
        if let Ok(read) = text.parse::<CronExpression>() {
            prop_assert!(read.next_match(date(2026, 1, 1).at(0, 0, 0, 0)).is_some(), "{}", text);
            prop_assert_eq!(read.to_string().parse(), Ok(read));
        }
    }
}
