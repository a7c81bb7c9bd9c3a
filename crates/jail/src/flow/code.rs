//! A code step: was this code accepted, and the receipt of how it ended.
//!
//! The jail never sees the sandbox. It permits by digest and records what the runner reports; the
//! receipt's outcome is the runner's word, and says so by its kind.

use writ_evidence::{
    charter::CodeGrant,
    digest::{RunDatum, sha256},
    statement::{Done, Receipt, Says},
};
use writ_jail_link::{JailReply, PermitCode, RecordCode};
use writ_model::UnixTime;
use writ_policy::Right;

use super::{Jail, Refusing};
use crate::{runs::CodePermit, state::Attempt};

impl Jail {
    /// Permits code that the run was accepted for.
    pub(super) fn permit_code(
        &mut self,
        asked: &PermitCode,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let permit = self
            .check_code(asked, now)
            .map_err(|refusing| refusing.about_run(asked.run).about_step(&asked.step))?;
        let attempt = Attempt { run: asked.run, step: asked.step.clone(), attempt: asked.attempt };
        if let Some(run) = self.runs.get_mut(&asked.run) {
            run.code.insert(attempt, permit);
        }
        Ok(JailReply::Done)
    }

    fn check_code(&self, asked: &PermitCode, now: UnixTime) -> Result<CodePermit, Refusing> {
        let acceptance = &self.open(asked.run)?.acceptance;
        self.check_not_cancelled(asked.run)?;
        if now > acceptance.deadline {
            return Err(Refusing::signed("run-deadline", "the run's deadline has passed"));
        }
        let grant = CodeGrant { language: asked.language, digest: sha256(asked.code.as_bytes()) };
        if !acceptance.code.contains(&grant) {
            let rule = "the run was not accepted for this code";
            return Err(Refusing::signed("code-outside-footprint", rule));
        }
        let charter = self.current_charter()?;
        self.check_going_on(charter, acceptance)?;
        let right = Right::RunStart(&acceptance.automation);
        self.policies.decide(charter, acceptance.actor(now), right)?;
        Ok(CodePermit { language: grant.language, code: grant.digest, started_at: now })
    }

    /// Spends the permit on the receipt of how the code ended.
    pub(super) fn record_code(
        &mut self,
        ended: RecordCode,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let attempt = Attempt { run: ended.run, step: ended.step, attempt: ended.attempt };
        let limits = (ended.limit_wall_s, ended.limit_memory);
        let run = self.runs.get_mut(&ended.run).ok_or_else(|| {
            Refusing::unsigned("run-not-open", "the run is not open in this jail")
        })?;
        let permit = run.code.remove(&attempt).ok_or_else(|| {
            Refusing::unsigned("code-not-permitted", "no such code step was permitted")
        })?;
        let input = run.key.digest(RunDatum::StepInput, ended.arguments.as_bytes());
        let outcome = run.outcome(&ended.result);
        let done = Done::Code(permit.done(attempt, limits, input, outcome));
        let receipt = Receipt { run: ended.run, done };
        let statement = self.state_with(Says::Receipt(receipt), now, Vec::new())?;
        Ok(JailReply::Statement { statement })
    }
}
