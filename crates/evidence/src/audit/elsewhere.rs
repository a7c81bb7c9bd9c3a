//! What whoever verifies a log knows from elsewhere, and what a log shows about charter entries that were kept
//! from a jail.
//!
//! A control plane that cuts a log off, or shows two people two of them, is consistent with itself. It is
//! caught by what somebody else holds: a charter head that a signer saw, a checkpoint that a witness signed.
//!
//! Not here: whether the log holds by itself (`audit`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use writ_model::{Digest, UnixTime};

use crate::{charter::UnverifiedEntry, jws::UnverifiedJws};

/// What the log must hold, because somebody has seen it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Charter heads: of a signer, of a witness, of an invitation.
    pub charter_heads: Vec<Digest>,
    /// Compact checkpoints of witnesses, from another person's export or from a witness itself.
    pub checkpoints: Vec<String>,
}

/// A statement that a jail made under a charter that others had already carried further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Index of the statement's record.
    pub index: u64,
    /// Number of the first entry that the jail had not been shown.
    pub entry: u64,
    /// Seconds between that entry's first cosignature and the statement.
    pub by_s: u64,
}

/// When entries were made and what jails knew, while a log is read.
#[derive(Default)]
pub(super) struct Freshness {
    made: BTreeMap<u64, UnixTime>,
    stated: Vec<(u64, u64, UnixTime)>,
}

impl Freshness {
    /// Notes when the witnesses saw an entry. What root keys sign says no time.
    pub(super) fn entry(&mut self, seq: u64, entry: &UnverifiedEntry) {
        #[derive(Deserialize)]
        struct Made {
            at: UnixTime,
        }
        let UnverifiedEntry::Writ { cosignatures, .. } = entry else { return };
        let made = cosignatures.iter().filter_map(|compact| {
            let made: Made = UnverifiedJws::parse(compact).ok()?.peek().ok()?;
            Some(made.at)
        });
        if let Some(first) = made.min() {
            self.made.insert(seq, first);
        }
    }

    /// Notes that a jail made a statement under entry `head`.
    pub(super) fn statement(&mut self, index: u64, head: u64, at: UnixTime) {
        self.stated.push((index, head, at));
    }

    /// The statements that were made so long after an entry which their jail had not been shown.
    pub(super) fn behind(&self) -> Vec<Behind> {
        let behind = self.stated.iter().filter_map(|(index, head, at)| {
            let (entry, made) = self.made.range(head.saturating_add(1)..).next()?;
            let by_s = at.since(*made);
            (by_s > 0).then_some(Behind { index: *index, entry: *entry, by_s })
        });
        behind.collect()
    }
}
