//! The charter against a second model of it, and what holds for every history: rights are not widened by
//! those who may not, and folding is the same in any grouping.
//!
//! In: seeds. Out: one line of counts for each property. `WRIT_HISTORIES=100000` plays as many;
//! `WRIT_HISTORY=17` plays the one of that seed, which a failure names.
//!
//! Read: here how a history is played on both; `asked` (what both are asked); `never_wider` and `grouping` (the other two properties);
//! `world` (people, keys, entries), `changes` and `bounds` (what is
//! wanted), `steps` (who signs it), `things` (what rights
//! are about). The model itself is `writ_testkit::charter_model`.

#![cfg(test)]

mod asked;
mod bounds;
mod changes;
mod dice;
mod grouping;
mod never_wider;
mod steps;
mod things;
mod world;

use std::{
    collections::BTreeMap,
    env,
    ops::Range,
    panic::{self, AssertUnwindSafe},
    thread,
    time::Instant,
};

use writ_evidence::charter::{CharterState, UnverifiedEntry};
use writ_model::{TenantId, UnixTime};
use writ_policy::{Policies, Right};
use writ_testkit::{
    charter_model::{Asker, By, Model, Reason, Step},
    tenant::NOON,
};

use crate::{dice::Dice, steps::class, things::Things, world::World};

/// How many histories are played unless `WRIT_HISTORIES` says otherwise.
const HISTORIES: u64 = 600;
/// When those ask who ask, and mostly when what is signed is witnessed.
pub(crate) const ASKED_AT: UnixTime = UnixTime(NOON.0 + 30);
/// From how many on each kind and reason must have come up.
const ENOUGH: u64 = 500;

/// What every history needs.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) policies: Policies,
    pub(crate) things: Things,
}

impl Stage {
    fn new() -> Self {
        let policies = Policies::built_in().unwrap();
        Self { world: World::new(), policies, things: Things::new() }
    }
}

/// What happened in some histories.
#[derive(Default)]
struct Tally {
    histories: u64,
    accepted: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
    classes: BTreeMap<Reason, u64>,
    allowed: u64,
    denied: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.allowed += other.allowed;
        self.denied += other.denied;
        let pairs = [(&mut self.accepted, other.accepted), (&mut self.refused, other.refused)];
        for (mine, theirs) in pairs {
            for (kind, count) in theirs {
                *mine.entry(kind).or_default() += count;
            }
        }
        for (class, count) in other.classes {
            *self.classes.entry(class).or_default() += count;
        }
    }

    fn line(&self) -> String {
        let sum = |counts: &BTreeMap<&str, u64>| counts.values().sum::<u64>();
        let (accepted, refused) = (sum(&self.accepted), sum(&self.refused));
        format!(
            "{} histories, {} steps: {accepted} accepted, {refused} refused {:?}; \
             {} rights asked: {} held",
            self.histories,
            accepted + refused,
            self.classes,
            self.allowed + self.denied,
            self.allowed,
        )
    }
}

/// One history, as both have it.
pub(crate) struct Played {
    pub(crate) real: CharterState,
    pub(crate) model: Model,
    pub(crate) entries: Vec<UnverifiedEntry>,
}

impl Played {
    pub(crate) fn begin(stage: &Stage, dice: &mut Dice) -> Self {
        let (entry, genesis) = dice.pick(&stage.world.beginnings);
        let real = CharterState::found(entry, TenantId(entry.digest())).unwrap();
        Self { real, model: Model::found(genesis), entries: vec![entry.clone()] }
    }

    /// Tries a step on both.
    fn try_step(&mut self, stage: &Stage, step: &Step) -> Result<Option<Reason>, String> {
        let entry = stage.world.entry(&self.real, step);
        let against = self.model.against(step);
        let before = self.real.clone();
        match self.real.append(&entry, &stage.policies) {
            Ok(()) if against.is_empty() => {
                self.model.take(step);
                self.entries.push(entry);
                Ok(None)
            }
            Ok(()) => Err(format!("it was accepted; the model has against it {against:?}")),
            Err(error) if !against.contains(&class(&error)) => {
                Err(format!("it was refused: {error:?}; the model has against it {against:?}"))
            }
            Err(_) if self.real != before => Err("the refused entry changed the state".to_owned()),
            Err(error) => Ok(Some(class(&error))),
        }
    }

    /// Throws the next step and tries it on both, which agree.
    pub(crate) fn throw(&mut self, stage: &Stage, dice: &mut Dice) {
        let change = changes::change(dice, &stage.world, &self.model);
        let step = steps::step(dice, &stage.world, &self.model, change);
        self.agreed(stage, &step);
    }

    /// Tries a step on both, which agree.
    pub(crate) fn agreed(&mut self, stage: &Stage, step: &Step) -> Option<Reason> {
        self.try_step(stage, step).unwrap_or_else(|why| panic!("{why}\n{step:#?}"))
    }

    /// Whether a witness would cosign it, on both.
    fn try_candidate(&self, stage: &Stage, dice: &mut Dice, step: &Step) -> Result<(), String> {
        let By::People { .. } = step.by else { return Ok(()) };
        let entry = stage.world.entry(&self.real, step);
        let at = NOON.plus(*dice.pick(&[0, 30, 159, 160, 209, 210, 3660]));
        let (keys, fetched) = &stage.world.fetched;
        let against = self.model.against_candidate(step, at, Some(fetched));
        match self.real.admit(&entry, keys, at, &stage.policies) {
            Ok(_) if against.is_empty() => Ok(()),
            Err(error) if against.contains(&class(&error)) => Ok(()),
            got => Err(format!("a witness says {got:?} at {at:?}; the model has {against:?}")),
        }
    }
}

/// The code of a denial; `None` if the right is held.
pub(crate) fn decide(
    policies: &Policies,
    state: &CharterState,
    asker: &Asker,
    right: Right<'_>,
) -> Option<&'static str> {
    policies.decide(state, asked::actor(asker), right).err().map(|denied| denied.code)
}

/// Plays the history of a seed on both.
fn play(stage: &Stage, seed: u64) -> Result<Tally, String> {
    let mut dice = Dice::new(seed);
    let mut played = Played::begin(stage, &mut dice);
    let mut tally = Tally { histories: 1, ..Tally::default() };
    for number in 0..5 + dice.below(26) {
        let change = changes::change(&mut dice, &stage.world, &played.model);
        let step = steps::step(&mut dice, &stage.world, &played.model, change);
        let differs = |why| format!("seed {seed}, step {number}: {why}\n{step:#?}");
        if dice.one_in(4) {
            played.try_candidate(stage, &mut dice, &step).map_err(differs)?;
        }
        let kind = step.change.kind();
        match played.try_step(stage, &step).map_err(differs)? {
            None => *tally.accepted.entry(kind).or_default() += 1,
            Some(class) => {
                *tally.refused.entry(kind).or_default() += 1;
                *tally.classes.entry(class).or_default() += 1;
            }
        }
    }
    let differs = |why| format!("seed {seed}, at its end: {why}");
    played.compare_rights(stage, &mut dice, &mut tally).map_err(differs)?;
    Ok(tally)
}

/// The seeds to play: one, or as many as are asked for, of which a slower property takes one in so many.
pub(crate) fn seeds(one_in: u64) -> Range<u64> {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("WRIT_HISTORY") {
        return seed..seed + 1;
    }
    0..number("WRIT_HISTORIES").unwrap_or(HISTORIES).div_ceil(one_in)
}

/// Shares seeds out to threads, each with its own stage; a difference names its seed.
pub(crate) fn on_threads<T: Send>(
    seeds: &Range<u64>,
    play: impl Fn(&Stage, u64) -> Result<T, String> + Sync,
) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = |first: usize| {
        let stage = Stage::new();
        let own = seeds.clone().skip(first).step_by(threads);
        own.map(|seed| named(seed, || play(&stage, seed))).collect::<Result<Vec<T>, String>>()
    };
    let share = &share;
    let played: Result<Vec<Vec<T>>, String> = thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let replay = "WRIT_HISTORY=<seed> plays it alone";
    played.unwrap_or_else(|why| panic!("{why}\n{replay}")).into_iter().flatten().collect()
}

/// Names the seed of a panic, too.
fn named<T>(seed: u64, play: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(play))
        .unwrap_or_else(|_| Err(format!("seed {seed}: the panic above")))
}

#[test]
fn a_second_model_accepts_refuses_and_allows_the_same_in_every_history() {
    let (seeds, began) = (seeds(1), Instant::now());

    let mut tally = Tally::default();
    for one in on_threads(&seeds, play) {
        tally.add(one);
    }

    println!("{}, in {:.1?}", tally.line(), began.elapsed());
    if tally.histories < ENOUGH {
        return;
    }
    for (kind, _) in changes::KINDS {
        assert!(tally.accepted.contains_key(kind), "no {kind} was accepted");
        assert!(tally.refused.contains_key(kind), "no {kind} was refused");
    }
    for class in Reason::ALL {
        assert!(tally.classes.contains_key(&class), "nothing was refused as {class:?}");
    }
    assert!(tally.allowed > 0 && tally.denied > 0, "rights are held by all or none");
}
