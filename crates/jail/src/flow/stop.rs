//! What makes a jail stop for good: a fork by root keys, and proof that another jail has its key.
//!
//! Either is remembered before it is answered, and no restart takes it back. A jail that has stopped says who it is
//! and hands its statements over; it decides nothing, folds nothing and signs nothing.
//!
//! Invariants:
//! * a fork is two changes that as many root keys as must have signed for one number (`evidence`'s `charter/state/fork.rs`), and
//!   the jail's last statement says which;
//! * a later life of this jail's key is proven by what that key has signed and this file does not hold: a
//!   statement, or a cosignature. Nobody else can make that, so that nobody else can stop a jail.

use writ_evidence::{
    charter::{RootFork, UnverifiedEntry},
    statement::{CharterForked, Says, VerifiedStatement},
};
use writ_jail_link::{JailReply, JailRequest};
use writ_model::{Digest, UnixTime};

use super::{Jail, Refusing};
use crate::state::{Record, Stopped};

/// The longest entry that stands in the statement about it; the statement has 16 KiB.
const EVIDENCE_MAX: usize = 6 * 1024;

impl Jail {
    /// Why this jail has stopped, if it has.
    pub(super) fn stopped(&self) -> Option<Refusing> {
        Some(match self.state.memory().stopped.as_ref()? {
            Stopped::Forked(RootFork { seq, .. }) => Refusing::stopped(
                "jail-frozen",
                format!("root keys signed two changes as entry {seq} of the charter"),
            ),
            Stopped::Outdated => Refusing::stopped(
                "jail-outdated",
                "this jail's key has signed what this jail does not remember: its state was restored or copied",
            ),
        })
    }

    /// Why this jail does not answer a request, if it has stopped.
    pub(super) fn stopped_for(&self, request: &JailRequest) -> Option<Refusing> {
        match request {
            JailRequest::Describe | JailRequest::Join { .. } | JailRequest::Statements { .. } => {
                None
            }
            _ => self.stopped(),
        }
    }

    /// Stops, since root keys signed two changes of one number; the statement that says so is the last.
    pub(super) fn freeze(
        &mut self,
        fork: RootFork,
        entry: &UnverifiedEntry,
        now: UnixTime,
    ) -> Refusing {
        let short = serde_json::to_vec(entry).is_ok_and(|text| text.len() <= EVIDENCE_MAX);
        let says = Says::Forked(CharterForked { fork, entry: short.then(|| entry.clone()) });
        let stop = Record::Stopped(Stopped::Forked(fork));
        let memory = self.state.memory();
        // Of the chain that it has followed: the one that it is shown now may be the other.
        let (Some((_, head)), Some(ten)) = (memory.head, memory.anchor) else {
            return Refusing::unsigned("no-anchor", "the jail has joined no tenant");
        };
        match self.sign((ten, head), says, now, vec![stop]) {
            Ok(_) => self.now_stopped(),
            Err(refusing) => refusing,
        }
    }

    /// What this jail's key has signed, as somebody kept it.
    pub(super) fn shown(&mut self, compact: &str) -> Result<JailReply, Refusing> {
        let foreign = || Refusing::unsigned("statement", "the statement is not by this jail's key");
        let ten = self
            .state
            .memory()
            .anchor
            .ok_or_else(|| Refusing::unsigned("no-anchor", "the jail has joined no tenant"))?;
        let statement =
            VerifiedStatement::verify(compact, self.key.public(), ten).map_err(|_| foreign())?;
        if self.state.memory().made(&statement) { Ok(JailReply::Done) } else { Err(self.outdate()) }
    }

    /// Stops if an entry that follows the charter has a cosignature of this jail's key that this jail did not make.
    pub(super) fn check_cosigned(&mut self, entry: &UnverifiedEntry) -> Result<(), Refusing> {
        let Some(charter) = &self.charter else { return Ok(()) };
        let seq = charter.seq().saturating_add(1);
        let made = |digest: Digest| {
            self.state.memory().cosigned.get(&seq).is_some_and(|(known, _)| *known == digest)
        };
        if made(entry.digest()) || !charter.is_cosigned_by(entry, self.key.public()) {
            return Ok(());
        }
        Err(self.outdate())
    }

    fn outdate(&mut self) -> Refusing {
        match self.state.append(vec![Record::Stopped(Stopped::Outdated)]) {
            Ok(()) => self.now_stopped(),
            Err(_) => Refusing::unsigned("jail-state", "the jail cannot write its state file"),
        }
    }

    fn now_stopped(&mut self) -> Refusing {
        self.runs.clear();
        self.stopped()
            .unwrap_or_else(|| Refusing::unsigned("jail-state", "the jail has not stopped"))
    }
}
