//! Two changes that root keys signed at one number: a fork, and everything stops (DESIGN §3.3).
//!
//! In: an entry that a state did not fold. Out: whether it and the entry of that number are a fork.
//!
//! Invariants:
//! * both are changes that root keys may sign, after the same entry, each with as many valid signatures as the root keys of then asked
//!   for: what too few signed, and what lost its number to a person's change, is none;
//! * whoever shows the second one needs no other proof, however much later.
//!
//! Not here: what stops then (the jail).

use serde::{Deserialize, Serialize};
use writ_model::Digest;

use super::CharterState;
use crate::charter::{EntryBody, RootKeys, UnverifiedEntry, entry::check_roots};

/// What root keys said at a number, and who they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RootEntry {
    prev: Digest,
    digest: Digest,
    /// Those that judged it: a rotation replaces them.
    roots: RootKeys,
}

/// Two changes that root keys signed at one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootFork {
    /// The number.
    pub seq: u64,
    /// The entry before both.
    pub prev: Digest,
    /// The one that was seen first.
    pub first: Digest,
    /// The other.
    pub second: Digest,
}

impl CharterState {
    /// Remembers what root keys sign as the next entry.
    pub(super) fn note_rooted(&mut self, entry: &UnverifiedEntry) {
        let rooted =
            RootEntry { prev: self.head, digest: entry.digest(), roots: self.roots.clone() };
        self.root_entries.insert(self.next(), rooted);
    }

    /// The fork that an entry is proof of, if it is.
    #[must_use]
    pub fn root_fork(&self, entry: &UnverifiedEntry) -> Option<RootFork> {
        let UnverifiedEntry::Roots { body: text, signatures } = entry else { return None };
        let EntryBody { seq, prev, change } = entry.body().ok()?;
        let (known, second) = (self.root_entries.get(&seq)?, entry.digest());
        if prev != Some(known.prev) || second == known.digest || !change.may_be_rooted() {
            return None;
        }
        let RootKeys { keys, threshold } = &known.roots;
        check_roots(text, signatures, keys, usize::from(*threshold)).ok()?;
        Some(RootFork { seq, prev: known.prev, first: known.digest, second })
    }
}
