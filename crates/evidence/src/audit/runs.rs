//! Which runs the log knows: each accepted once, for an order that the log holds, and open until it is closed.
//!
//! In: statements in the order of the log. Out: what of one contradicts those before it.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::{Digest, RunId, StandingName};

use crate::{
    standing::scheduled_run,
    statement::{Acceptance, Done, Receipt, Says, StandingFired},
    writ::run_id,
};

/// Orders and the runs that they started.
#[derive(Default)]
pub(super) struct Runs {
    writs: BTreeSet<Digest>,
    /// Open runs, with the jail that accepted each.
    open: BTreeMap<RunId, Digest>,
    /// The standing writs that the charter has held, by their entries' digests.
    standing: BTreeMap<Digest, StandingName>,
    /// Runs that standing writs have started.
    fired: BTreeSet<RunId>,
}

impl Runs {
    /// The log holds a writ.
    pub(super) fn ordered(&mut self, writ: Digest) {
        self.writs.insert(writ);
    }

    /// The log holds a charter entry that grants a standing writ.
    pub(super) fn granted(&mut self, entry: Digest, name: StandingName) {
        self.standing.insert(entry, name);
    }

    /// Whether a jail's statement goes with those before it.
    pub(super) fn follow(&mut self, says: &Says, jail: Digest) -> Result<(), &'static str> {
        match says {
            Says::Refusal(_) | Says::Forked(_) => Ok(()),
            Says::Tested(tested) => {
                self.known(tested.writ, "a connection was tested by a writ that the log lacks")
            }
            Says::Revoked(revoked) => {
                self.known(revoked.writ, "a session was revoked by a writ that the log lacks")
            }
            Says::Acceptance(acceptance) => self.accepted(acceptance, jail),
            Says::Receipt(receipt) => self.receipt(receipt, jail),
        }
    }

    fn known(&self, writ: Digest, otherwise: &'static str) -> Result<(), &'static str> {
        if self.writs.contains(&writ) { Ok(()) } else { Err(otherwise) }
    }

    fn accepted(&mut self, acceptance: &Acceptance, jail: Digest) -> Result<(), &'static str> {
        let (run, writ) = (acceptance.run, acceptance.writ);
        let right = match &acceptance.standing {
            None => {
                self.known(writ, "a run was accepted for a writ that the log lacks")?;
                run == run_id(writ)
            }
            Some(fired) => self.fired(fired, run, writ)?,
        };
        if self.open.insert(run, jail).is_none() && right {
            return Ok(());
        }
        Err("a run was accepted twice or under another id")
    }

    /// A run that a standing writ started: granted by the charter, and once for each occurrence.
    fn fired(
        &mut self,
        fired: &StandingFired,
        run: RunId,
        entry: Digest,
    ) -> Result<bool, &'static str> {
        if self.standing.get(&entry) != Some(&fired.name) {
            return Err("a run was accepted for a standing writ that the log lacks");
        }
        let named = fired.scheduled_at.is_none_or(|at| scheduled_run(entry, at) == run);
        Ok(self.fired.insert(run) && named)
    }

    fn receipt(&mut self, receipt: &Receipt, jail: Digest) -> Result<(), &'static str> {
        let accepted_by = self.open.get(&receipt.run);
        let accepted_by = accepted_by.ok_or("a receipt for a run that is not open")?;
        if *accepted_by != jail {
            return Err("a receipt by another jail than accepted the run");
        }
        match &receipt.done {
            Done::Closed(_) => {
                self.open.remove(&receipt.run);
                Ok(())
            }
            Done::Resumed(resumed) => {
                self.known(resumed.writ, "a run was resumed by a writ that the log lacks")
            }
            Done::Cancelled(cancelled) => {
                self.known(cancelled.writ, "a run was cancelled by a writ that the log lacks")
            }
            Done::Decided(decided) => {
                self.known(decided.writ, "an approval was answered by a writ that the log lacks")
            }
            Done::Asked(_) | Done::Action(_) | Done::Code(_) => Ok(()),
        }
    }
}
