//! Occurrences where the clock changes, against what `cron(8)` says and against another library.

use croner::Cron;
use jiff_for_croner::{Timestamp as OracleInstant, tz::TimeZoneDatabase as OracleZones};
use proptest::prelude::*;

use super::*;

fn cron(expression: &str, zone: &str) -> Schedule {
    Schedule::Cron { expression: expression.parse().unwrap(), time_zone: zone.parse().unwrap() }
}

fn at(text: &str) -> UnixTime {
    unix_time(text.parse().unwrap()).unwrap()
}

/// The first occurrences later than an instant, in UTC.
fn next(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let mut t = at(after);
    let found = std::iter::from_fn(|| {
        t = schedule.next_after(t)?;
        Some(timestamp(t)?.to_string())
    });
    found.take(count).collect()
}

#[test]
fn a_fixed_local_time_that_the_clock_skips_occurs_at_the_first_instant_after_the_gap() {
    let berlin = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        next(&berlin, "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    let new_york = cron("30 2 * * *", "America/New_York");
    assert_eq!(next(&new_york, "2026-03-08T00:00:00Z", 1), ["2026-03-08T07:00:00Z"]);
    let lord_howe = cron("15 2 * * *", "Australia/Lord_Howe");
    assert_eq!(next(&lord_howe, "2026-10-03T12:00:00Z", 1), ["2026-10-03T15:30:00Z"]);
}

#[test]
fn several_fixed_local_times_in_one_gap_are_one_occurrence() {
    let berlin = cron("*/15 2,3 * * *", "Europe/Berlin");
    assert_eq!(
        next(&berlin, "2026-03-28T12:00:00Z", 3),
        ["2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z", "2026-03-29T01:30:00Z"]
    );
}

#[test]
fn a_fixed_local_time_that_comes_twice_occurs_the_first_time_only() {
    let berlin = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        next(&berlin, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    let lord_howe = cron("45 1 * * *", "Australia/Lord_Howe");
    assert_eq!(
        next(&lord_howe, "2026-04-04T12:00:00Z", 2),
        ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]
    );
}

#[test]
fn a_schedule_of_every_hour_follows_elapsed_time_through_both_changes() {
    let hourly = cron("30 * * * *", "Europe/Berlin");
    assert_eq!(
        next(&hourly, "2026-10-24T23:45:00Z", 3),
        ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
    );
    let even = cron("0 */2 * * *", "Europe/Berlin");
    assert_eq!(
        next(&even, "2026-03-28T22:30:00Z", 2),
        ["2026-03-28T23:00:00Z", "2026-03-29T02:00:00Z"]
    );
}

#[test]
fn a_local_day_that_a_zone_left_out_occurs_as_the_next_begins() {
    let apia = cron("0 9 * * *", "Pacific/Apia");
    assert_eq!(
        next(&apia, "2011-12-29T12:00:00Z", 3),
        ["2011-12-29T19:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"]
    );
}

#[test]
fn an_offset_that_is_not_a_whole_minute_keeps_its_seconds() {
    let monrovia = cron("0 12 * * *", "Africa/Monrovia");
    assert_eq!(next(&monrovia, "1971-06-01T00:00:00Z", 1), ["1971-06-01T12:44:30Z"]);
    let elapsed = cron("0 * * * *", "Africa/Monrovia");
    assert_eq!(next(&elapsed, "1971-06-01T00:00:00Z", 1), ["1971-06-01T00:44:30Z"]);
}

#[test]
fn an_interval_counts_from_its_first_occurrence_and_never_before_it() {
    let every =
        Schedule::Every { interval: Interval::from_seconds(90).unwrap(), from: UnixTime(1000) };
    assert_eq!(every.next_after(UnixTime(0)), Some(UnixTime(1000)));
    assert_eq!(every.next_after(UnixTime(1000)), Some(UnixTime(1090)));
    assert_eq!(every.next_after(UnixTime(1089)), Some(UnixTime(1090)));
    assert!(every.is_occurrence(UnixTime(1000)));
    assert!(every.is_occurrence(UnixTime(1180)));
    assert!(!every.is_occurrence(UnixTime(1181)));
    assert!(!every.is_occurrence(UnixTime(910)));
    assert_eq!(every.next_after(UnixTime(u64::MAX)), None);
}

#[test]
fn a_delay_counts_from_the_end_of_the_last_run() {
    let after = Schedule::After { delay: Interval::from_seconds(60).unwrap() };
    assert_eq!(after.next_after(UnixTime(1000)), Some(UnixTime(1060)));
    assert!(!after.is_occurrence(UnixTime(1060)));
    assert_eq!(after.next_after(UnixTime(u64::MAX)), None);
}

#[test]
fn time_that_no_calendar_has_is_no_occurrence() {
    let daily = cron("0 0 * * *", "UTC");
    assert_eq!(daily.next_after(UnixTime(u64::MAX)), None);
    assert!(!daily.is_occurrence(UnixTime(u64::MAX)));
}

#[test]
fn a_schedule_is_written_with_the_specifications_words_and_nothing_else() {
    for (schedule, text) in [
        (
            cron("0 6 * * MON", "Europe/Berlin"),
            r#"{"cron":{"expression":"0 6 * * MON","time_zone":"Europe/Berlin"}}"#,
        ),
        (
            Schedule::Every { interval: Interval::from_seconds(60).unwrap(), from: UnixTime(7) },
            r#"{"every":{"interval_s":60,"from":7}}"#,
        ),
        (
            Schedule::After { delay: Interval::from_seconds(90).unwrap() },
            r#"{"after":{"delay_s":90}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&schedule).unwrap(), text);
        assert_eq!(serde_json::from_str::<Schedule>(text).unwrap(), schedule);
    }
    for bad in [
        r#"{"every":{"interval_s":59,"from":7}}"#,
        r#"{"every":{"interval_s":60,"from":7,"until":8}}"#,
        r#"{"every":{"interval_s":60}}"#,
        r#"{"cron":{"expression":"0 6 * * MON"}}"#,
        r#"{"cron":{"expression":"0 6 * * MON","time_zone":"Mars/Olympus"}}"#,
        r#"{"on":{}}"#,
    ] {
        assert!(serde_json::from_str::<Schedule>(bad).is_err(), "{bad}");
    }
}

const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "UTC",
    "Africa/Casablanca",
    "America/St_Johns",
    "Pacific/Chatham",
];

fn times() -> impl Strategy<Value = String> {
    // The other library calls fixed only what names one minute and one hour.
    prop_oneof![
        (0u8..60, 0u8..24).prop_map(|(minute, hour)| format!("{minute} {hour}")),
        (0u8..60).prop_map(|minute| format!("{minute} *")),
        (1u8..60, 1u8..24).prop_map(|(step, hours)| format!("*/{step} */{hours}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn another_library_finds_the_same_instants_through_changes_of_the_clock(
        times in times(),
        days in prop_oneof![Just("* * *"), Just("* * SAT,SUN"), Just("1-7 3,4,10,11 *")],
        zone in prop::sample::select(&ZONES[..]),
        start in 1_700_000_000u64..1_900_000_000,
    ) {
        let text = format!("{times} {days}");
        let schedule = cron(&text, zone);
        let theirs: Cron = text.parse().unwrap();
        let rules = OracleZones::bundled().get(zone).unwrap();
        let mut oracle =
            OracleInstant::from_second(start.try_into().unwrap()).unwrap().to_zoned(rules);
        let mut t = UnixTime(start);
        for _ in 0..30 {
            t = schedule.next_after(t).unwrap();
            oracle = theirs.find_next_occurrence(&oracle, false).unwrap();
            prop_assert_eq!(i64::try_from(t.0).unwrap(), oracle.timestamp().as_second(), "{} {}", text, zone);
            prop_assert!(schedule.is_occurrence(t));
        }
    }

    #[test]
    fn the_last_occurrence_of_a_span_is_the_one_that_stepping_finds(
        times in times(),
        zone in prop::sample::select(&ZONES[..]),
        start in 1_760_000_000u64..1_800_000_000,
        span in 0u64..400_000,
    ) {
        let schedule = cron(&format!("{times} * * *"), zone);
        let (start, end) = (UnixTime(start), UnixTime(start + span));
        let next = |t: &UnixTime| schedule.next_after(*t).filter(|next| *next <= end);
        let stepped = std::iter::successors(next(&start), next).last();
        prop_assert_eq!(schedule.last_between(start, end), stepped);
    }
}
