//! `run.cancel`: nothing more of a run begins, and it is closed as soon as its runner says so.
//!
//! A call that a cell is making is not broken off: it may have happened, and its receipt follows.

use writ_evidence::{
    digest::sha256,
    statement::{Done, Receipt, RunCancelled, Says},
    writ::Order,
};
use writ_jail_link::{JailReply, ResumeRun};
use writ_model::{RunId, UnixTime};
use writ_policy::Right;

use super::{Jail, Refusing};
use crate::state::Record;

impl Jail {
    /// Verifies a `run.cancel` writ; asked again, gives the same receipt.
    pub(super) fn cancel_run(
        &mut self,
        cancel: &ResumeRun,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let digest = sha256(cancel.writ.as_bytes());
        let cancelled_it = |done: &Done| matches!(done, Done::Cancelled(_));
        if let Some(statement) = self.answered_about(cancel.run, digest, cancelled_it) {
            return Ok(statement);
        }
        let (cancelled, used) = self
            .check_cancel(cancel, now)
            .map_err(|refusing| refusing.about_writ(digest).about_run(cancel.run))?;
        let receipt = Receipt { run: cancel.run, done: Done::Cancelled(cancelled) };
        let statement = self.state_with(Says::Receipt(receipt), now, vec![used])?;
        Ok(JailReply::Statement { statement })
    }

    fn check_cancel(
        &self,
        cancel: &ResumeRun,
        now: UnixTime,
    ) -> Result<(RunCancelled, Record), Refusing> {
        let charter = self.current_charter()?;
        let (idc, writ) = self.verify_signed(charter, &cancel.writ, &cancel.idc, now)?;
        self.check_target(charter, &writ)?;
        let used = self.check_unused(&writ, writ.digest())?;
        let Order::RunCancel { res, .. } = &writ.claims().order else {
            return Err(Refusing::signed("writ-operation", "the writ does not cancel a run"));
        };
        if *res != cancel.run {
            return Err(Refusing::signed("writ-run", "the writ is for another run"));
        }
        let automation = &self.open(*res)?.acceptance.automation;
        let permit = self.policies.decide(charter, idc.actor(), Right::RunResume(automation))?;
        let cancelled = RunCancelled {
            writ: writ.digest(),
            principal: idc.principal().clone(),
            decision: (&permit).into(),
        };
        Ok((cancelled, used))
    }

    /// Refuses whatever would begin in a run that was cancelled.
    pub(super) fn check_not_cancelled(&self, run: RunId) -> Result<(), Refusing> {
        if self.state.memory().cancelled.contains(&run) {
            return Err(Refusing::signed("run-cancelled", "the run was cancelled"));
        }
        Ok(())
    }
}
