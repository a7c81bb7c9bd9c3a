//! A year of standing writs, with a jail that never forgets and a runner that anything happens to.
//!
//! The runner offers what it believes is due, makes things up, offers them twice, is restored from
//! old copies of itself; the clock goes back and forth by minutes; the jail is killed and folds its
//! events again; every 80 days the standing writ is renewed. Whatever happens: nothing twice, nothing
//! invented, nothing early, never over a bound, and nothing missed but by the policy.

#![cfg(test)]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use writ_evidence::standing::{Counter, CounterEvent, Occurrence, StandingWrit, Trigger};
use writ_model::{Digest, KeyedDigest, RunId, UnixTime};
use writ_schedule::{MissedRuns, ON_TIME_S, Schedule};

/// 2026-01-01T00:00:00Z.
const YEAR: u64 = 1_767_225_600;
const DAY: u64 = 24 * 3600;
const PER_S: u64 = 3600;
const ZONES: [&str; 5] =
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"];

#[test]
fn a_year_in_five_zones_that_skips_what_was_missed_fires_nothing_twice_forged_or_early() {
    assert!(year("skip", 13) > 10_000);
}

#[test]
fn a_year_in_five_zones_that_makes_up_once_fires_nothing_twice_forged_or_early() {
    assert!(year("once", 14) > 10_000);
}

#[test]
fn a_year_in_five_zones_that_makes_up_for_all_fires_nothing_twice_forged_or_early() {
    assert!(year("all", 15) > 10_000);
}

/// A year of every schedule under one policy; returns how many occurrences were admitted.
fn year(missed: &str, seed: u64) -> usize {
    let mut random = Random(seed);
    let mut admitted = 0;
    for zone in ZONES {
        for expression in ["30 2 * * *", "0 */3 * * *", "15,45 1-4 * * *"] {
            let cron = json!({ "cron": { "expression": expression, "time_zone": zone } });
            admitted += World::new(&cron, missed, &mut random).live();
        }
    }
    let every = json!({ "every": { "interval_s": 2700, "from": YEAR + 17 } });
    admitted + World::new(&every, missed, &mut random).live()
}

#[test]
fn a_year_of_delays_has_one_run_after_another() {
    let mut random = Random(17);
    let after = json!({ "after": { "delay_s": 3000 } });
    assert!(World::new(&after, "skip", &mut random).live() > 2000);
}

struct World<'a> {
    random: &'a mut Random,
    writ: StandingWrit,
    /// The jail's file: its events, and before how many of them the standing writ was renewed.
    log: Vec<CounterEvent>,
    renewals: Vec<(usize, UnixTime)>,
    jail: Counter,
    runner: Counter,
    open: Vec<(RunId, u64)>,
    time: u64,
    offset: i64,
    runs: u128,
    /// Occurrences that the runner was awake for.
    awake: BTreeSet<UnixTime>,
    /// Occurrences that were owed when the standing writ was renewed.
    given_up: BTreeSet<UnixTime>,
}

impl<'a> World<'a> {
    fn new(schedule: &Value, missed: &str, random: &'a mut Random) -> Self {
        let writ = json!({
            "name": "secops/simulated",
            "runner_group": "rg_00000000000000000000000000000001",
            "automation": "secops/simulated",
            "bundle": Digest::from_bytes([1; 32]),
            "trigger": { "schedule": { "schedule": schedule, "missed_runs": missed } },
            "parameters": { "fixed": { "digest": KeyedDigest::from_bytes([2; 32]),
            "sealed": Digest::from_bytes([3; 32]) } },
            "bounds": { "max_runs": 8, "per_s": PER_S, "concurrency": 3 },
            "expires_at": YEAR + 90 * DAY,
        });
        let start = UnixTime(YEAR);
        Self {
            random,
            writ: serde_json::from_value(writ).unwrap(),
            log: Vec::new(),
            renewals: vec![(0, start)],
            jail: Counter::new(start),
            runner: Counter::new(start),
            open: Vec::new(),
            time: YEAR,
            offset: 0,
            runs: 0,
            awake: BTreeSet::new(),
            given_up: BTreeSet::new(),
        }
    }

    fn schedule(&self) -> (&Schedule, MissedRuns) {
        match &self.writ.trigger {
            Trigger::Schedule { schedule, missed_runs } => (schedule, *missed_runs),
            Trigger::Webhook(_) => unreachable!("the writ has a schedule"),
        }
    }

    fn now(&self) -> UnixTime {
        UnixTime(self.time.saturating_add_signed(self.offset))
    }

    /// Lives a year; returns how many occurrences were admitted.
    fn live(mut self) -> usize {
        while self.time < YEAR + 365 * DAY {
            if self.time + 10 * DAY > self.writ.expires_at.0 {
                self.renew();
            }
            self.tick();
            self.misfortune();
            self.sleep();
        }
        self.offset = 0;
        for _ in 0..400 {
            self.time += 800;
            self.tick();
        }
        self.judge()
    }

    fn renew(&mut self) {
        let since = self.now();
        self.writ.expires_at = UnixTime(since.0 + 90 * DAY);
        self.renewals.push((self.log.len(), since));
        let (schedule, last) = (self.schedule().0.clone(), self.last());
        let next = |t: &UnixTime| schedule.next_after(*t).filter(|next| *next <= since);
        self.given_up.extend(std::iter::successors(next(&last), next));
        self.jail.renew(since);
        self.runner.renew(since);
    }

    fn last(&self) -> UnixTime {
        let scheduled = self.log.iter().rev().find_map(|event| match event {
            CounterEvent::Admitted { occurrence: Occurrence::Scheduled(at), .. } => Some(*at),
            CounterEvent::Admitted { .. } | CounterEvent::Ended { .. } => None,
        });
        scheduled.unwrap_or(UnixTime(YEAR))
    }

    fn tick(&mut self) {
        let now = self.now();
        for (run, _) in self.open.extract_if(.., |(_, until)| *until <= self.time) {
            let event = CounterEvent::Ended { run, at: now };
            self.jail.on(&event);
            self.runner.on(&event);
            self.log.push(event);
        }
        for occurrence in self.runner.due(&self.writ, now) {
            let answer = self.offer(occurrence);
            if now.since(occurrence) <= ON_TIME_S && answer != Err("standing-used") {
                self.awake.insert(occurrence);
            }
            // What is refused for want of room comes again; a later one would take its place.
            if matches!(answer, Err("standing-busy" | "standing-exhausted")) {
                break;
            }
        }
        if self.random.below(20) == 0 {
            self.invent(now);
        }
    }

    /// Offers what is not due, and what is no occurrence.
    fn invent(&mut self, now: UnixTime) {
        let invented = UnixTime(now.0 + self.random.below(7200) - 3600);
        let owed = self.jail.due(&self.writ, now.plus(60));
        let next = self.schedule().0.next_after(now.plus(60));
        if !self.schedule().0.is_occurrence(invented) && !owed.contains(&invented) {
            assert!(self.offer(invented).is_err(), "an invented occurrence was admitted");
        }
        if let Some(next) = next {
            assert!(self.offer(next).is_err(), "an occurrence was admitted early");
        }
    }

    /// Offers an occurrence, sometimes twice; returns the jail's first answer.
    fn offer(&mut self, occurrence: UnixTime) -> Result<(), &'static str> {
        let first = self.offer_once(occurrence);
        if self.random.below(2) == 0 {
            assert!(self.offer_once(occurrence).is_err(), "an occurrence was admitted twice");
        }
        first
    }

    fn offer_once(&mut self, occurrence: UnixTime) -> Result<(), &'static str> {
        self.runs += 1;
        let run = RunId::from_bits(self.runs);
        let offered = Occurrence::Scheduled(occurrence);
        match self.jail.admit(&self.writ, offered, run, self.now()) {
            Ok(event) => {
                self.jail.on(&event);
                self.runner.on(&event);
                self.log.push(event);
                self.open.push((run, self.time + 1 + self.random.below(900)));
                Ok(())
            }
            Err(refused) => {
                if refused.code() == "standing-used" {
                    // A runner that was restored learns from the jail where things stand.
                    self.runner = self.jail.clone();
                }
                Err(refused.code())
            }
        }
    }

    fn misfortune(&mut self) {
        match self.random.below(400) {
            0..4 => self.offset = i64::try_from(self.random.below(1200)).unwrap() - 600,
            4..8 => self.jail = self.folded(self.log.len()),
            8..12 => {
                let kept = self.random.below(self.log.len() as u64 + 1);
                self.runner = self.folded(usize::try_from(kept).unwrap());
            }
            12..60 => self.runner = self.jail.clone(),
            _ => {}
        }
    }

    /// What a state file with these first events says.
    fn folded(&self, events: usize) -> Counter {
        let mut counter = Counter::new(UnixTime(YEAR));
        for (index, event) in self.log.iter().enumerate().take(events) {
            for (_, since) in self.renewals.iter().filter(|(before, _)| *before == index) {
                counter.renew(*since);
            }
            counter.on(event);
        }
        let missing = self.renewals.iter().filter(|(before, _)| *before >= events);
        for (_, since) in missing {
            counter.renew(*since);
        }
        counter
    }

    fn sleep(&mut self) {
        let next = self.schedule().0.next_after(self.now());
        let until = next.map_or(60, |next| next.since(self.now())).clamp(1, 20_000);
        self.time += match self.random.below(300) {
            0 => self.random.below(2 * DAY),
            1..30 => until + self.random.below(90),
            _ => until + self.random.below(3),
        };
    }

    fn judge(&self) -> usize {
        let admitted: Vec<(UnixTime, UnixTime)> = self
            .log
            .iter()
            .filter_map(|event| match event {
                CounterEvent::Admitted {
                    occurrence: Occurrence::Scheduled(scheduled), at, ..
                } => Some((*scheduled, *at)),
                CounterEvent::Admitted { .. } | CounterEvent::Ended { .. } => None,
            })
            .collect();
        assert!(admitted.is_sorted_by(|a, b| a.0 < b.0), "an occurrence was admitted twice");
        assert!(admitted.iter().all(|(scheduled, at)| scheduled.0 <= at.0 + 60), "early");
        let crowded = admitted.windows(9).any(|run| run[8].1.0 <= run[0].1.0 + PER_S);
        assert!(!crowded, "over the budget of a period");
        let open = self.log.iter().scan(0_i32, |open, event| {
            *open += if matches!(event, CounterEvent::Admitted { .. }) { 1 } else { -1 };
            Some(*open)
        });
        assert!(open.max().unwrap_or(0) <= 3, "over the concurrency");
        let (schedule, missed) = self.schedule();
        if let Schedule::After { .. } = schedule {
            return admitted.len();
        }
        let fired: BTreeSet<UnixTime> = admitted.iter().map(|(scheduled, _)| *scheduled).collect();
        assert!(fired.iter().all(|fired| schedule.is_occurrence(*fired)), "invented");
        let lost: Vec<_> =
            self.awake.difference(&fired).filter(|lost| !self.given_up.contains(lost)).collect();
        assert!(lost.is_empty(), "{schedule:?} {missed:?}: missed while awake: {lost:?}");
        if missed == MissedRuns::All {
            let next = |t: &UnixTime| schedule.next_after(*t).filter(|next| *next <= self.now());
            let all: BTreeSet<_> = std::iter::successors(next(&UnixTime(YEAR)), next).collect();
            let lost: Vec<_> =
                all.difference(&fired).filter(|lost| !self.given_up.contains(lost)).collect();
            assert!(self.given_up.len() < 700, "{}", self.given_up.len());
            assert!(lost.is_empty(), "{schedule:?}: missed: {lost:?}");
        }
        fired.len()
    }
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
