//! What is admitted and what is refused, one rule at a time.

use serde_json::json;
use writ_schedule::Interval;

use super::{super::Bounds, *};

/// 2026-11-23T00:00:00Z.
const MONDAY: u64 = 1_795_392_000;
const HOUR: u64 = 3600;

fn standing(trigger: &serde_json::Value) -> StandingWrit {
    let value = json!({
        "name": "secops/nightly",
        "runner_group": "rg_00000000000000000000000000000001",
        "automation": "secops/scan",
        "bundle": writ_model::Digest::from_bytes([1; 32]),
        "trigger": trigger,
        "parameters": { "fixed": { "digest": writ_model::KeyedDigest::from_bytes([2; 32]),
            "sealed": writ_model::Digest::from_bytes([3; 32]) } },
        "bounds": { "max_runs": 100, "per_s": 3600, "concurrency": 100 },
        "expires_at": MONDAY + 24 * HOUR,
    });
    serde_json::from_value(value).unwrap()
}

fn hourly(missed: &str) -> StandingWrit {
    standing(&json!({ "schedule": {
        "schedule": { "cron": { "expression": "0 * * * *", "time_zone": "UTC" } },
        "missed_runs": missed,
    } }))
}

fn after() -> StandingWrit {
    standing(&json!({ "schedule": {
        "schedule": { "after": { "delay_s": 600 } }, "missed_runs": "skip",
    } }))
}

fn webhook() -> StandingWrit {
    standing(&json!({ "webhook": { "path": "alerts", "verifier":
        { "scheme": "slack", "secrets": ["local:a"], "max_age_s": 300 } } }))
}

fn bounded(writ: StandingWrit, max_runs: u32, concurrency: u32) -> StandingWrit {
    let per = Interval::from_seconds(3600).unwrap();
    StandingWrit { bounds: Bounds::new(max_runs, per, concurrency).unwrap(), ..writ }
}

fn run(number: u64) -> RunId {
    RunId::from_bits(u128::from(number))
}

fn delivery(number: u64) -> Occurrence {
    let id = DeliveryId::from_body(&number.to_be_bytes());
    Occurrence::Delivered { id, remember_until: UnixTime(u64::MAX) }
}

/// Judges, and folds what is admitted.
fn fire(
    counter: &mut Counter,
    writ: &StandingWrit,
    occurrence: Occurrence,
    now: u64,
) -> Result<(), Refused> {
    let number = u64::try_from(counter.recent.len()).unwrap();
    let event = counter.admit(writ, occurrence, run(number), UnixTime(now))?;
    counter.on(&event);
    Ok(())
}

fn fire_at(counter: &mut Counter, writ: &StandingWrit, at: u64, now: u64) -> Result<(), Refused> {
    fire(counter, writ, Occurrence::Scheduled(UnixTime(at)), now)
}

fn end(counter: &mut Counter, number: u64, at: u64) {
    counter.on(&CounterEvent::Ended { run: run(number), at: UnixTime(at) });
}

#[test]
fn an_occurrence_is_admitted_once_and_only_in_order() {
    let (mut counter, writ) = (Counter::new(UnixTime(MONDAY)), hourly("all"));
    assert_eq!(fire_at(&mut counter, &writ, MONDAY + 2 * HOUR, MONDAY + 2 * HOUR), Ok(()));
    for at in [MONDAY + 2 * HOUR, MONDAY + HOUR] {
        assert_eq!(fire_at(&mut counter, &writ, at, MONDAY + 3 * HOUR), Err(Refused::Used));
    }
    assert_eq!(fire_at(&mut counter, &writ, MONDAY + 3 * HOUR, MONDAY + 3 * HOUR), Ok(()));
}

#[test]
fn an_occurrence_is_not_admitted_before_its_time_nor_made_up() {
    let (mut counter, writ) = (Counter::new(UnixTime(MONDAY)), hourly("all"));
    let at = MONDAY + HOUR;
    let early = Err(Refused::NotDue { at: UnixTime(at) });
    assert_eq!(fire_at(&mut counter, &writ, at, at - 61), early);
    let invented = Err(Refused::NotAnOccurrence);
    assert_eq!(fire_at(&mut counter, &writ, at - 1, at), invented);
    assert_eq!(fire_at(&mut counter, &writ, at, at - 60), Ok(()));
}

#[test]
fn nothing_is_admitted_from_before_the_grant_or_after_the_end() {
    let (mut counter, writ) = (Counter::new(UnixTime(MONDAY)), hourly("all"));
    let before = Err(Refused::BeforeGrant { since: UnixTime(MONDAY) });
    assert_eq!(fire_at(&mut counter, &writ, MONDAY, MONDAY), before);
    let end = writ.expires_at.0;
    let expired = Err(Refused::Expired { at: writ.expires_at });
    assert_eq!(fire_at(&mut counter, &writ, end - HOUR, end), expired);
    assert_eq!(fire_at(&mut counter, &writ, end, end - 1), expired);
    assert_eq!(fire_at(&mut counter, &writ, end - HOUR, end - 1), Ok(()));
    assert_eq!(counter.due(&writ, UnixTime(end)), []);
}

#[test]
fn a_missed_occurrence_is_admitted_only_as_the_policy_says() {
    let now = MONDAY + 5 * HOUR + 1800;
    let admits = |missed: &str, at: u64| {
        Counter::new(UnixTime(MONDAY))
            .admit(&hourly(missed), Occurrence::Scheduled(UnixTime(at)), run(1), UnixTime(now))
            .map(|_| ())
    };
    let (newest, older) = (MONDAY + 5 * HOUR, MONDAY + 4 * HOUR);
    assert_eq!(admits("skip", newest), Err(Refused::Missed));
    assert_eq!(admits("once", newest), Ok(()));
    assert_eq!(admits("once", older), Err(Refused::Missed));
    assert_eq!(admits("all", older), Ok(()));
}

#[test]
fn the_budget_of_a_period_is_kept_also_by_a_clock_that_goes_back() {
    let writ = bounded(webhook(), 2, 100);
    let mut counter = Counter::new(UnixTime(MONDAY));
    fire(&mut counter, &writ, delivery(1), MONDAY + 100).unwrap();
    fire(&mut counter, &writ, delivery(2), MONDAY + 200).unwrap();
    let until = UnixTime(MONDAY + 100 + HOUR);
    let exhausted = Err(Refused::Exhausted { max_runs: 2, until });
    for now in [MONDAY + 200, MONDAY + 1, until.0] {
        assert_eq!(fire(&mut counter, &writ, delivery(3), now), exhausted);
    }
    assert_eq!(fire(&mut counter, &writ, delivery(3), until.0 + 1), Ok(()));
    assert!(fire(&mut counter, &writ, delivery(4), until.0 + 2).is_err());
}

#[test]
fn only_so_many_runs_are_open_and_a_refusal_uses_nothing_up() {
    let writ = bounded(webhook(), 100, 1);
    let mut counter = Counter::new(UnixTime(MONDAY));
    fire(&mut counter, &writ, delivery(1), MONDAY).unwrap();
    assert_eq!(fire(&mut counter, &writ, delivery(2), MONDAY), Err(Refused::Busy { open: 1 }));
    end(&mut counter, 9, MONDAY);
    assert_eq!(counter.open(), 1);
    end(&mut counter, 0, MONDAY);
    assert_eq!(fire(&mut counter, &writ, delivery(2), MONDAY), Ok(()));
}

#[test]
fn an_open_run_is_not_opened_again_under_another_occurrence() {
    let writ = webhook();
    let mut counter = Counter::new(UnixTime(MONDAY));
    fire(&mut counter, &writ, delivery(1), MONDAY).unwrap();
    let again = counter.admit(&writ, delivery(2), run(0), UnixTime(MONDAY));
    assert_eq!(again, Err(Refused::Used));
}

#[test]
fn a_delivery_is_admitted_once_and_never_by_a_schedule() {
    let mut counter = Counter::new(UnixTime(MONDAY));
    fire(&mut counter, &webhook(), delivery(1), MONDAY).unwrap();
    let again = fire(&mut counter, &webhook(), delivery(1), MONDAY + 1);
    assert_eq!(again.unwrap_err().code(), "webhook-duplicate");
    let other = Err(Refused::OtherTrigger);
    assert_eq!(fire(&mut counter, &hourly("all"), delivery(2), MONDAY), other);
    assert_eq!(fire_at(&mut counter, &webhook(), MONDAY + HOUR, MONDAY + HOUR), other);
}

#[test]
fn a_delay_counts_from_the_end_of_the_last_run_and_one_run_is_open() {
    let (mut counter, writ) = (Counter::new(UnixTime(MONDAY)), after());
    assert_eq!(counter.due(&writ, UnixTime(MONDAY + 599)), []);
    assert_eq!(counter.due(&writ, UnixTime(MONDAY + HOUR)), [UnixTime(MONDAY + 600)]);
    let invented = Err(Refused::NotAnOccurrence);
    assert_eq!(fire_at(&mut counter, &writ, MONDAY + 601, MONDAY + HOUR), invented);
    assert_eq!(fire_at(&mut counter, &writ, MONDAY + 600, MONDAY + HOUR), Ok(()));
    assert_eq!(counter.due(&writ, UnixTime(MONDAY + 9 * HOUR)), []);
    let busy = fire_at(&mut counter, &writ, MONDAY + 4200, MONDAY + 2 * HOUR);
    assert_eq!(busy, Err(Refused::Busy { open: 1 }));

    end(&mut counter, 0, MONDAY + 2 * HOUR);

    assert_eq!(counter.due(&writ, UnixTime(MONDAY + 3 * HOUR)), [UnixTime(MONDAY + 7800)]);
    assert_eq!(fire_at(&mut counter, &writ, MONDAY + 7800, MONDAY + 3 * HOUR), Ok(()));
}

#[test]
fn a_clock_that_went_back_while_a_run_was_open_does_not_stop_a_delay() {
    let (mut counter, writ) = (Counter::new(UnixTime(MONDAY)), after());
    fire_at(&mut counter, &writ, MONDAY + 600, MONDAY + 600).unwrap();
    end(&mut counter, 0, MONDAY - 5000);
    assert_eq!(counter.due(&writ, UnixTime(MONDAY + 1200)), [UnixTime(MONDAY + 1200)]);
    assert_eq!(fire_at(&mut counter, &writ, MONDAY + 1200, MONDAY + 1200), Ok(()));
}

#[test]
fn renewal_forgets_nothing_that_was_used() {
    let writ = hourly("all");
    let mut counter = Counter::new(UnixTime(MONDAY));
    fire_at(&mut counter, &writ, MONDAY + HOUR, MONDAY + HOUR - 60).unwrap();

    counter.renew(UnixTime(MONDAY + HOUR - 30));

    assert_eq!(fire_at(&mut counter, &writ, MONDAY + HOUR, MONDAY + HOUR), Err(Refused::Used));
    assert_eq!(counter.open(), 1);
}

#[test]
fn an_event_is_written_as_it_was_read_and_takes_no_more_than_it_has() {
    for event in [
        CounterEvent::Admitted { run: run(1), occurrence: delivery(1), at: UnixTime(5) },
        CounterEvent::Admitted {
            run: run(1),
            occurrence: Occurrence::Scheduled(UnixTime(4)),
            at: UnixTime(5),
        },
        CounterEvent::Ended { run: run(1), at: UnixTime(5) },
    ] {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<CounterEvent>(&text).unwrap(), event);
        assert!(
            serde_json::from_str::<CounterEvent>(&text.replacen(":{", ":{\"x\":1,", 1)).is_err()
        );
    }
}
