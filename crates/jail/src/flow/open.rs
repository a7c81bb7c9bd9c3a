//! `run.start`, `run.resume`, re-opening and closing: the stages that a run passes as a whole.

use writ_evidence::{
    charter::{CharterState, PublishedAutomation, Subject},
    digest::{RunDatum, RunKey, sha256},
    idc::{UnverifiedIdc, VerifiedIdc},
    statement::{
        Acceptance, Done, Receipt, RunClosed, RunResumed, Says, StepOutcome, VerifiedStatement,
    },
    writ::{Order, VerifiedWrit, WritClaims},
};
use writ_jail_link::{CloseRun, CodeResult, FailedStep, JailReply, OpenRun, ReopenRun, ResumeRun};
use writ_model::{AutomationName, Digest, RunId, UnixTime, limits::CLOCK_SKEW_S};
use writ_policy::{GoingOn, Right};

use super::{Jail, Refusing, staleness::attests};
use crate::{
    runs::AcceptedRun,
    state::{Record, SignIn},
};

/// How long an accepted run may take, in seconds: waits included.
pub(super) const RUN_LIFETIME_S: u64 = 7 * 24 * 3600;

impl Jail {
    /// Verifies a `run.start` writ and everything it names; accepts.
    pub(super) fn open_run(
        &mut self,
        open: &OpenRun,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let digest = sha256(open.writ.as_bytes());
        self.check_open(open, digest, now)
            .map_err(|refusing| refusing.about_writ(digest))
            .and_then(|(acceptance, used)| self.accept(acceptance, used, open, now))
    }

    /// The stages of a `run.start`. The order is that of what each one stands on.
    fn check_open(
        &self,
        open: &OpenRun,
        digest: Digest,
        now: UnixTime,
    ) -> Result<(Acceptance, Record), Refusing> {
        let charter = self.current_charter()?;
        let judged_at = self.judged_at(digest, now)?;
        let (idc, writ) = self.verify_signed(charter, &open.writ, &open.idc, judged_at)?;
        self.check_target(charter, &writ)?;
        let used = self.check_unused(&writ, digest)?;
        self.check_fresh(charter, attests(charter, writ.claims()), now)?;
        let Order::RunStart { res, cnt, inp, authorization_details, .. } = &writ.claims().order
        else {
            return Err(Refusing::signed("writ-operation", "the writ does not start a run"));
        };
        let published = check_bundle(charter, res, *cnt, &open.bundle)?;
        let key = run_key(&open.run_key)?;
        if !key.matches(*inp, RunDatum::Input, open.input.as_bytes()) {
            let rule = "the input is not the one that the writ was signed over";
            return Err(Refusing::signed("input-mismatch", rule));
        }
        let permit = self.policies.decide_run_start(
            charter,
            idc.actor(),
            published,
            authorization_details,
        )?;
        let acceptance = Acceptance {
            run: writ.run_id(),
            writ: digest,
            standing: None,
            principal: idc.principal().clone(),
            groups: idc.groups().clone(),
            key: Some(idc.key().thumbprint()),
            publisher: published.publisher.clone(),
            automation: res.clone(),
            bundle: *cnt,
            inp: *inp,
            connections: authorization_details.clone(),
            code: published.automation.footprint.code.clone(),
            approvals: published.automation.footprint.approvals.clone(),
            deadline: now.plus(RUN_LIFETIME_S),
            decision: (&permit).into(),
        };
        Ok((acceptance, used))
    }

    /// A writ that this jail accepted before is judged as of then: the runner may have crashed
    /// before it could remember, and the same acceptance is its answer.
    fn judged_at(&self, digest: Digest, now: UnixTime) -> Result<UnixTime, Refusing> {
        let Some(compact) = self.state.memory().acceptance_of(digest) else { return Ok(now) };
        Ok(self.own_statement(compact)?.statement().at)
    }

    pub(super) fn check_target(
        &self,
        charter: &CharterState,
        writ: &VerifiedWrit,
    ) -> Result<(), Refusing> {
        let (Order::RunStart { aud, .. }
        | Order::RunResume { aud, .. }
        | Order::RunCancel { aud, .. }
        | Order::RunApprove { aud, .. }
        | Order::ConnectionTest { aud, .. }
        | Order::SessionRevoke { aud, .. }) = &writ.claims().order
        else {
            return Err(Refusing::signed("writ-operation", "the writ is not for a runner"));
        };
        let own = self.own_runner(charter)?;
        charter.check_running(&Subject::Runner(own.id))?;
        if *aud != own.group {
            return Err(Refusing::signed("writ-audience", "the writ is for another runner group"));
        }
        if !charter.knows_head(writ.claims().charter) {
            let rule = "the writ's signer saw a charter head that is not an ancestor of the jail's";
            return Err(Refusing::signed("writ-charter-head", rule));
        }
        Ok(())
    }

    /// A `jti` is used once; the same writ, not closed yet, may be asked about again.
    pub(super) fn check_unused(
        &self,
        writ: &VerifiedWrit,
        digest: Digest,
    ) -> Result<Record, Refusing> {
        let claims = writ.claims();
        let memory = self.state.memory();
        let answered =
            memory.accepted.contains_key(&digest) || memory.answered.contains_key(&digest);
        let finished = memory.closed.contains_key(&writ.run_id());
        if finished || (memory.used.knows(&claims.jti) && !answered) {
            return Err(Refusing::signed("writ-replayed", "the writ was used before"));
        }
        let until = claims.exp.plus(2 * CLOCK_SKEW_S);
        let by = self.grantor_signed(claims)?;
        let attests = attests(self.current_charter()?, claims);
        Ok(Record::Used { jti: claims.jti.clone(), until, by, attests })
    }

    /// Notes that somebody who grants standing writs has signed something: that keeps them alive.
    fn grantor_signed(&self, claims: &WritClaims) -> Result<Option<SignIn>, Refusing> {
        let charter = self.current_charter()?;
        let grants = charter.standing_writs().any(|record| record.grantor == claims.principal);
        let by = SignIn { principal: claims.principal.clone(), at: claims.iat };
        Ok(grants.then_some(by))
    }

    fn accept(
        &mut self,
        acceptance: Acceptance,
        used: Record,
        open: &OpenRun,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let run = acceptance.run;
        let known = self.state.memory().acceptance_of(acceptance.writ).map(str::to_owned);
        let (acceptance, compact) = if let Some(compact) = known {
            (self.own_acceptance(&compact)?, compact)
        } else {
            let says = Says::Acceptance(acceptance.clone());
            (acceptance, self.state_with(says, now, vec![used])?)
        };
        let key = run_key(&open.run_key)?;
        // One that is open goes on as it is: its code steps have permits that a new one would lack.
        self.runs.entry(run).or_insert_with(|| AcceptedRun::new(acceptance, key));
        Ok(JailReply::Opened { run, acceptance: compact })
    }

    /// Takes an accepted run up again; rights are checked again under the newest charter.
    pub(super) fn reopen_run(
        &mut self,
        reopen: &ReopenRun,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let acceptance = self.own_acceptance(&reopen.acceptance)?;
        let run = acceptance.run;
        if self.state.memory().closed.contains_key(&run) {
            return Err(
                Refusing::signed("run-closed", "a closed run never opens again").about_run(run)
            );
        }
        self.check_not_cancelled(run).map_err(|refusing| refusing.about_run(run))?;
        self.recheck(&acceptance, now).map_err(|refusing| refusing.about_run(run))?;
        let key = run_key(&reopen.run_key)?;
        self.runs.insert(run, AcceptedRun::new(acceptance, key));
        Ok(JailReply::Done)
    }

    /// Whether what was accepted would be accepted under the newest charter.
    fn recheck(&self, acceptance: &Acceptance, now: UnixTime) -> Result<(), Refusing> {
        if now > acceptance.deadline {
            return Err(Refusing::signed("run-deadline", "the run's deadline has passed"));
        }
        let charter = self.current_charter()?;
        self.check_going_on(charter, acceptance)?;
        let right = Right::RunStart(&acceptance.automation);
        self.policies.decide(charter, acceptance.actor(now), right)?;
        Ok(())
    }

    /// Whether the kill switch has stopped an accepted run, or this runner.
    pub(super) fn check_going_on(
        &self,
        charter: &CharterState,
        acceptance: &Acceptance,
    ) -> Result<(), Refusing> {
        charter.check_running(&Subject::Runner(self.own_id(charter)?))?;
        let run = GoingOn {
            signer: &acceptance.principal,
            key: acceptance.key,
            publisher: &acceptance.publisher,
            automation: &acceptance.automation,
        };
        Ok(run.check(charter)?)
    }

    /// Verifies a `run.resume` writ; the step in doubt may then be done again.
    pub(super) fn resume_run(
        &mut self,
        resume: &ResumeRun,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let digest = sha256(resume.writ.as_bytes());
        let resumed_it = |done: &Done| matches!(done, Done::Resumed(_));
        if let Some(statement) = self.answered_about(resume.run, digest, resumed_it) {
            return Ok(statement);
        }
        let (resumed, used) = self
            .check_resume(resume, digest, now)
            .map_err(|refusing| refusing.about_writ(digest).about_run(resume.run))?;
        let receipt = Receipt { run: resume.run, done: Done::Resumed(resumed) };
        let statement = self.state_with(Says::Receipt(receipt), now, vec![used])?;
        Ok(JailReply::Statement { statement })
    }

    fn check_resume(
        &self,
        resume: &ResumeRun,
        digest: Digest,
        now: UnixTime,
    ) -> Result<(RunResumed, Record), Refusing> {
        let charter = self.current_charter()?;
        let (idc, writ) = self.verify_signed(charter, &resume.writ, &resume.idc, now)?;
        self.check_target(charter, &writ)?;
        let used = self.check_unused(&writ, digest)?;
        let Order::RunResume { res, step, attempt, .. } = &writ.claims().order else {
            return Err(Refusing::signed("writ-operation", "the writ does not resume a run"));
        };
        if *res != resume.run {
            return Err(Refusing::signed("writ-run", "the writ is for another run"));
        }
        let automation = &self.open(*res)?.acceptance.automation;
        let permit = self.policies.decide(charter, idc.actor(), Right::RunResume(automation))?;
        let resumed = RunResumed {
            writ: digest,
            principal: idc.principal().clone(),
            step: step.clone(),
            attempt: *attempt,
            decision: (&permit).into(),
        };
        Ok((resumed, used))
    }

    /// Closes a run for good; asked again, gives the same receipt.
    pub(super) fn close_run(
        &mut self,
        close: &CloseRun,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        if let Some(known) = self.state.memory().closed.get(&close.run) {
            let statement = self.state.memory().statement(*known).unwrap_or_default().to_owned();
            return Ok(JailReply::Statement { statement });
        }
        let closed = match self.outcome_of(close)? {
            StepOutcome::Ok { output } => {
                RunClosed { completed: true, output: Some(output), code: None }
            }
            StepOutcome::Failed { code, .. } => {
                RunClosed { completed: false, output: None, code: Some(code) }
            }
        };
        let receipt = Receipt { run: close.run, done: Done::Closed(closed) };
        let statement = self.state_with(Says::Receipt(receipt), now, Vec::new())?;
        self.runs.remove(&close.run);
        Ok(JailReply::Statement { statement })
    }

    /// How a run ended. One of a standing writ that was lost on its way to the runner's journal has no key here, and
    /// can end in failure only.
    fn outcome_of(&self, close: &CloseRun) -> Result<StepOutcome, Refusing> {
        let lost = !self.runs.contains_key(&close.run)
            && self.state.memory().accepted_standing(close.run).is_some();
        if lost && let CodeResult::Failed(FailedStep { code, status, .. }) = &close.result {
            return Ok(StepOutcome::Failed { code: code.clone(), status: *status });
        }
        Ok(self.open(close.run)?.outcome(&close.result))
    }

    /// Who signed, and what.
    pub(super) fn verify_signed(
        &self,
        charter: &CharterState,
        writ: &str,
        idc: &UnverifiedIdc,
        at: UnixTime,
    ) -> Result<(VerifiedIdc, VerifiedWrit), Refusing> {
        let verified = charter
            .verify_idc(idc, self.issuer_keys.keys(), at)
            .map_err(|error| Refusing::because(error.code(), &error))?;
        self.check_not_revoked(idc)?;
        let idc = verified;
        charter.check_signer(&idc)?;
        let writ = VerifiedWrit::verify(writ, &idc, charter.ten(), at)
            .map_err(|error| Refusing::because(error.code(), &error))?;
        Ok((idc, writ))
    }

    /// An open run.
    pub(super) fn open(&self, run: RunId) -> Result<&AcceptedRun, Refusing> {
        self.runs.get(&run).ok_or_else(|| {
            Refusing::unsigned("run-not-open", "the run is not open in this jail").about_run(run)
        })
    }

    fn own_statement(&self, compact: &str) -> Result<VerifiedStatement, Refusing> {
        let foreign =
            || Refusing::signed("acceptance-foreign", "the acceptance is not this jail's");
        let ten = self.current_charter()?.ten();
        let verified =
            VerifiedStatement::verify(compact, self.key.public(), ten).map_err(|_| foreign())?;
        if self.state.memory().made(&verified) { Ok(verified) } else { Err(foreign()) }
    }

    /// An acceptance that this jail made, or a jail whose runner is retired: what was done before a runner was enrolled
    /// anew is still read, by those who may.
    pub(super) fn acceptance_to_read(
        &self,
        charter: &CharterState,
        compact: &str,
    ) -> Result<Acceptance, Refusing> {
        let retired = charter.all_runners().filter(|one| charter.runner(one.id).is_none());
        for runner in retired {
            let verified = VerifiedStatement::verify(compact, &runner.jail_key, charter.ten());
            if let Ok(verified) = verified
                && let Says::Acceptance(acceptance) = &verified.statement().says
            {
                return Ok(acceptance.clone());
            }
        }
        self.own_acceptance(compact)
    }

    /// An acceptance that this jail made.
    pub(super) fn own_acceptance(&self, compact: &str) -> Result<Acceptance, Refusing> {
        match &self.own_statement(compact)?.statement().says {
            Says::Acceptance(acceptance) => Ok(acceptance.clone()),
            Says::Refusal(_)
            | Says::Receipt(_)
            | Says::Tested(_)
            | Says::Forked(_)
            | Says::Revoked(_) => {
                Err(Refusing::signed("acceptance-foreign", "the statement is no acceptance"))
            }
        }
    }
}

/// The bundle is the one that was signed, and the charter publishes it under this name now.
pub(super) fn check_bundle<'a>(
    charter: &'a CharterState,
    name: &AutomationName,
    cnt: Digest,
    bundle: &str,
) -> Result<&'a PublishedAutomation, Refusing> {
    if sha256(bundle.as_bytes()) != cnt {
        let rule = "the bundle is not the one that the writ was signed over";
        return Err(Refusing::signed("bundle-mismatch", rule));
    }
    let published = charter.automation(name).ok_or_else(|| {
        Refusing::signed("automation-unknown", "the charter publishes no such automation")
    })?;
    if published.automation.bundle != cnt {
        let rule = "the charter publishes another bundle under this name";
        return Err(Refusing::signed("bundle-not-published", rule));
    }
    Ok(published)
}

pub(super) fn run_key(text: &writ_jail_link::RunKeyText) -> Result<RunKey, Refusing> {
    text.key().ok_or_else(|| Refusing::unsigned("run-key", "the run key is not 32 bytes"))
}
