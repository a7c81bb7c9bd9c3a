//! Folding is the same in any grouping: one by one, in pages, in overlapping runs, after a restart, from a snapshot.
//!
//! In: the entries of a random history, through JSON as each party gets them. Out: one state, the same to
//! its last member. The ways are those of the parties: the control plane copies the state and appends, the
//! command line folds pages, jail, runner and gateway pass over what they know, `writ audit verify` reads
//! records.

use std::time::Instant;

use serde::{Serialize, de::DeserializeOwned};
use writ_api::CharterPage;
use writ_evidence::{
    audit::{self, AuditRecord, RecordKind},
    charter::{CharterState, UnverifiedEntry},
    checkpoint::CheckpointClaims,
    digest::sha256,
    merkle,
};
use writ_jail_link::JailRequest;
use writ_model::TenantId;
use writ_testkit::tenant::{NOON, Tenant};

use crate::{Played, Stage, dice::Dice, on_threads, seeds};

/// Through JSON and back.
fn through<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// What each party does with entries that come in any grouping.
struct Folding<'s> {
    stage: &'s Stage,
    ten: TenantId,
    entries: &'s [UnverifiedEntry],
}

impl Folding<'_> {
    fn append(&self, state: &mut Option<CharterState>, entry: &UnverifiedEntry) {
        match state {
            None => *state = Some(CharterState::found(entry, self.ten).unwrap()),
            Some(state) => state.append(entry, &self.stage.policies).unwrap(),
        }
    }

    /// The command line: pages from where it is, whatever their size.
    fn in_pages(&self, dice: &mut Dice) -> CharterState {
        let (mut state, mut from) = (None, 0);
        while from < self.entries.len() {
            let until = (from + 1 + dice.below(6)).min(self.entries.len());
            let seq = self.entries.len() as u64 - 1;
            let page = CharterPage { entries: self.entries[from..until].to_vec(), seq };
            for entry in through(&page).entries {
                self.append(&mut state, &entry);
            }
            from = until;
        }
        state.unwrap()
    }

    /// Jail, runner and gateway: runs that begin with what is known, which is passed over.
    fn in_overlapping_runs(&self, dice: &mut Dice) -> CharterState {
        let (mut state, mut from): (Option<CharterState>, _) = (None, 0);
        while from < self.entries.len() {
            let again = dice.below(from + 1);
            let until = (from + 1 + dice.below(6)).min(self.entries.len());
            let entries = self.entries[again..until].to_vec();
            let JailRequest::Charter { entries } = through(&JailRequest::Charter { entries })
            else {
                panic!("another request came back")
            };
            for entry in &entries {
                if !state.as_ref().is_some_and(|known| known.knows_head(entry.digest())) {
                    self.append(&mut state, entry);
                }
            }
            from = until;
        }
        state.unwrap()
    }

    /// The control plane: each entry is appended to a copy, which then takes the place of the state; now
    /// and then it starts anew and folds what it has stored.
    fn by_copies(&self, dice: &mut Dice) -> CharterState {
        let mut state = None;
        for (number, entry) in self.entries.iter().enumerate() {
            if dice.one_in(8) {
                state = None;
                self.entries[..number].iter().for_each(|stored| self.append(&mut state, stored));
            }
            let mut next = state.clone();
            self.append(&mut next, &through(entry));
            state = next;
        }
        state.unwrap()
    }

    /// Whoever starts from what was written down: the snapshot's state, and then what came after it.
    fn by_snapshots(&self, dice: &mut Dice) -> CharterState {
        let mut state: Option<CharterState> = None;
        for entry in self.entries {
            if let Some(folded) = &state
                && dice.one_in(4)
            {
                let bytes = folded.snapshot();
                let resumed = CharterState::resume(&bytes, sha256(&bytes)).unwrap();
                assert_eq!(resumed, *folded);
                assert_eq!(resumed.snapshot(), bytes);
                state = Some(resumed);
            }
            self.append(&mut state, entry);
        }
        state.unwrap()
    }

    /// `writ audit verify`, which says its head; `None` where no witness is left that signs a checkpoint.
    fn audited(&self, played: &Played) -> Option<writ_model::Digest> {
        let witness = played.model.cosigners(0).next()?;
        let record = |(number, entry): (u8, _)| {
            let body = serde_json::to_string(entry).unwrap();
            AuditRecord::new(RecordKind::Charter, [number; 16], body)
        };
        let records: Vec<AuditRecord> = (0..).zip(self.entries).map(record).collect();
        let leaves: Vec<_> = records.iter().map(AuditRecord::leaf).collect();
        let claims = CheckpointClaims {
            ten: self.ten,
            size: leaves.len() as u64,
            root: merkle::root(&leaves),
            charter: played.real.head(),
            statements: 0,
            at: NOON,
        };
        let checkpoint = self.stage.world.checkpoint(&claims, &witness);
        let policies = &self.stage.policies;
        Some(
            audit::verify(&records, &[checkpoint], self.ten, &audit::Known::default(), policies)
                .unwrap()
                .charter,
        )
    }
}

/// A random history, and whether every way of folding it comes to the same.
fn play(stage: &Stage, seed: u64) -> Result<usize, String> {
    let mut dice = Dice::new(seed);
    let mut played = Played::begin(stage, &mut dice);
    for _ in 0..10 + dice.below(30) {
        played.throw(stage, &mut dice);
    }
    let ten = played.real.ten();
    let folding = Folding { stage, ten, entries: &played.entries };
    let ways = [
        ("one by one", Tenant::fold(&played.entries, ten, &stage.policies).unwrap()),
        ("in pages", folding.in_pages(&mut dice)),
        ("in overlapping runs", folding.in_overlapping_runs(&mut dice)),
        ("by copies", folding.by_copies(&mut dice)),
        ("from snapshots", folding.by_snapshots(&mut dice)),
    ];
    for (way, state) in ways {
        if state != played.real {
            return Err(format!("seed {seed}: folded {way} it is another state"));
        }
    }
    if folding.audited(&played).is_some_and(|head| head != played.real.head()) {
        return Err(format!("seed {seed}: the audit log has another head"));
    }
    Ok(played.entries.len())
}

#[test]
fn folding_is_the_same_in_any_grouping() {
    let (seeds, began) = (seeds(8), Instant::now());

    let entries: Vec<usize> = on_threads(&seeds, play);

    println!(
        "{} histories of {} entries, each folded in six ways, in {:.1?}",
        entries.len(),
        entries.iter().sum::<usize>(),
        began.elapsed(),
    );
    let alone = entries.len() == 1;
    assert!(alone || entries.iter().any(|entries| *entries > 10), "no history is long");
}
