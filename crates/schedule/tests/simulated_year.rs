//! A year of schedules in five time zones, against a model that looks at every minute of it.
//!
//! The model shares nothing with the crate but the time zone rules: it reads expressions by
//! splitting strings, asks what time each minute is, and notices gaps and repetitions by comparing
//! each local time with the one before.

#![cfg(test)]

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use writ_model::UnixTime;
use writ_schedule::{CATCH_UP_MAX, MissedRuns, ON_TIME_S, Schedule};

const ZONES: [&str; 5] =
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"];

const EXPRESSIONS: [&str; 8] = [
    "*/7 * * * *",
    "30 */4 * * *",
    "30 2 * * *",
    "45 1 * * *",
    "*/20 1-3 * * *",
    "0,30 2,14 * * 0",
    "5 2 13 * 5",
    "59 23 31 3,10,12 *",
];

const MINUTES: usize = 365 * 24 * 60;

/// 2026-01-01T00:00:00Z.
const YEAR: u64 = 1_767_225_600;

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::Cron { expression: expression.parse().unwrap(), time_zone: zone.parse().unwrap() }
}

#[test]
fn every_minute_of_a_year_is_an_occurrence_exactly_when_the_model_says_so() {
    for zone in ZONES {
        let minutes = local_minutes(zone);
        for expression in EXPRESSIONS {
            let expected = model(expression, &minutes);

            let found = stepped(&schedule(expression, zone));

            assert_eq!(found.len(), expected.len(), "{expression} {zone}");
            let differs = found.iter().zip(&expected).find(|(found, expected)| found != expected);
            assert_eq!(differs, None, "{expression} {zone}");
        }
    }
}

#[test]
fn through_clock_jumps_and_restarts_nothing_fires_twice_early_or_against_the_policy() {
    let mut random = Random(7);
    let mut fired_in_all = 0;
    for zone in ZONES {
        let minutes = local_minutes(zone);
        for expression in ["30 */4 * * *", "30 2 * * *", "*/20 1-3 * * *", "5 2 13 * 5"] {
            let occurrences = model(expression, &minutes);
            for missed in [MissedRuns::Skip, MissedRuns::Once, MissedRuns::All] {
                let schedule = schedule(expression, zone);
                fired_in_all += simulate(&schedule, missed, &occurrences, &mut random);
            }
        }
    }
    assert!(fired_in_all > 50_000, "{fired_in_all}");
}

/// One year of one schedule; returns how often it fired.
fn simulate(
    schedule: &Schedule,
    missed: MissedRuns,
    occurrences: &[UnixTime],
    random: &mut Random,
) -> usize {
    let (mut time, mut offset, mut last) = (YEAR, 0_i64, UnixTime(YEAR));
    let (end, mut fired) = (YEAR + 60 * MINUTES as u64, BTreeSet::new());
    while time < end {
        let now = UnixTime(time.saturating_add_signed(offset).min(end - 1));

        let due = schedule.due(last, missed, now);

        assert_eq!(due, expected_due(occurrences, last, missed, now), "{schedule:?} {missed:?}");
        for occurrence in due {
            assert!(occurrence <= now, "early");
            assert!(fired.insert(occurrence), "twice: {occurrence}");
            last = occurrence;
        }
        // When nothing happens the runner sleeps until the next occurrence, as it would.
        let next = occurrences.get(occurrences.partition_point(|o| *o <= now));
        let sleep = next.map_or(end, |next| next.0).saturating_sub(now.0).clamp(1, 40_000);
        time += match random.below(200) {
            0 => sleep + random.below(20_000),
            1..20 => sleep + random.below(90),
            _ => sleep + random.below(3),
        };
        if random.below(300) == 0 {
            offset = i64::try_from(random.below(1200)).unwrap() - 600;
        }
    }
    if missed == MissedRuns::All {
        while let due @ [_, ..] = schedule.due(last, missed, UnixTime(end - 1)).as_slice() {
            fired.extend(due);
            last = due[due.len() - 1];
        }
        let all: BTreeSet<_> =
            occurrences.iter().copied().filter(|o| (YEAR + 1..end).contains(&o.0)).collect();
        assert!(all.is_subset(&fired), "an occurrence was lost");
    }
    assert!(fired.iter().all(|fired| occurrences.binary_search(fired).is_ok()), "made up");
    fired.len()
}

/// What the policy says, by filtering all occurrences.
fn expected_due(
    occurrences: &[UnixTime],
    last: UnixTime,
    missed: MissedRuns,
    now: UnixTime,
) -> Vec<UnixTime> {
    let from = occurrences.partition_point(|o| *o <= last);
    let to = occurrences.partition_point(|o| *o <= now).max(from);
    let open = &occurrences[from..to];
    let on_time: Vec<_> = open.iter().copied().filter(|o| now.0 - o.0 <= ON_TIME_S).collect();
    match missed {
        MissedRuns::All => open.iter().copied().take(CATCH_UP_MAX).collect(),
        MissedRuns::Once if on_time.is_empty() => open.last().copied().into_iter().collect(),
        MissedRuns::Once | MissedRuns::Skip => on_time,
    }
}

fn stepped(schedule: &Schedule) -> Vec<UnixTime> {
    let end = YEAR + 60 * MINUTES as u64;
    let next = |t: &UnixTime| schedule.next_after(*t).filter(|next| next.0 < end);
    std::iter::successors(next(&UnixTime(YEAR - 1)), next).collect()
}

/// What the clock on the wall shows: minutes since some midnight, and the five fields of cron.
#[derive(Clone, Copy)]
struct Local {
    count: i64,
    fields: [usize; 5],
}

impl Local {
    fn of(shown: DateTime) -> Self {
        let since = shown.duration_since(DateTime::constant(2025, 1, 1, 0, 0, 0, 0));
        let fields = [
            shown.minute(),
            shown.hour(),
            shown.day(),
            shown.month(),
            shown.weekday().to_sunday_zero_offset(),
        ];
        Self { count: since.as_mins(), fields: fields.map(|field| usize::try_from(field).unwrap()) }
    }

    /// What a clock that skips nothing would show so many minutes later.
    fn later(shown: DateTime, minutes: i64) -> Self {
        Self::of(shown + jiff::SignedDuration::from_mins(minutes))
    }
}

/// Each minute of the year, and the minute before it.
fn local_minutes(zone: &str) -> Vec<(Local, DateTime)> {
    let rules = TimeZone::get(zone).unwrap();
    let first = i64::try_from(YEAR).unwrap() - 60;
    let shown = (0..=i64::try_from(MINUTES).unwrap())
        .map(|minute| rules.to_datetime(Timestamp::from_second(first + 60 * minute).unwrap()));
    shown.map(|shown| (Local::of(shown), shown)).collect()
}

/// Occurrences by looking at every minute.
fn model(expression: &str, minutes: &[(Local, DateTime)]) -> Vec<UnixTime> {
    let fields: Vec<&str> = expression.split(' ').collect();
    let fixed = !fields[1].starts_with('*');
    let either = fields[2] != "*" && fields[4] != "*";
    let sets: Vec<Vec<bool>> = fields.iter().map(|field| values(field)).collect();
    let matches = |local: Local| {
        let [minute, hour, day, month, weekday] = local.fields;
        let (day, weekday) = (sets[2][day], sets[4][weekday]);
        let days = if either { day || weekday } else { day && weekday };
        days && sets[0][minute] && sets[1][hour] && sets[3][month]
    };
    let (mut before, mut latest) = (minutes[0], minutes[0].0.count);
    let mut found = Vec::new();
    for (index, (local, shown)) in minutes.iter().copied().enumerate().skip(1) {
        let skipped = 1..local.count - before.0.count;
        let occurs = if fixed {
            let repeated = local.count <= latest;
            skipped.into_iter().any(|minute| matches(Local::later(before.1, minute)))
                || (!repeated && matches(local))
        } else {
            matches(local)
        };
        latest = latest.max(local.count);
        before = (local, shown);
        if occurs {
            found.push(UnixTime(YEAR + 60 * (index as u64 - 1)));
        }
    }
    found
}

fn values(field: &str) -> Vec<bool> {
    let mut set = vec![false; 60];
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let (first, last) = match range {
            "*" => ("0", "59"),
            range => range.split_once('-').unwrap_or((range, range)),
        };
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        (first..=last).step_by(step.parse().unwrap()).for_each(|value| set[value] = true);
    }
    set
}

/// A small reproducible sequence (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
