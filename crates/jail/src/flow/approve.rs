//! Approvals: what a run asks people, `run.approve`, and what waits for it.
//!
//! Decided here and nowhere else. The document's task and how many people it takes are those of the
//! signed footprint; who may answer is `policy`'s one question; each writ counts once, each person once.
//! An action that stands behind a task is refused until the jail has the approval on record, so a
//! runner that says "approved" gains nothing.
//!
//! What the jail can't see is whether an action's parameters are what people were shown: it never reads
//! a document. The statement of what was asked, the answers and the receipts say what happened.

use writ_evidence::{
    approval::{
        ApprovalAsked, ApprovalDecided, ApprovalDecision, ApprovalGate, ApprovalSalt, Verdict,
    },
    charter::CharterState,
    digest::sha256,
    idc::VerifiedIdc,
    statement::{Done, Receipt, Says},
    writ::{Order, VerifiedWrit},
};
use writ_jail_link::{ApprovalState, JailReply, RequestApproval, ResumeRun};
use writ_model::{Digest, PinnedAction, PinnedConnection, UnixTime};

use super::{Jail, Refusing};
use crate::{
    approvals::Approval,
    runs::AcceptedRun,
    state::{Attempt, Record},
};

impl Jail {
    /// States what a run asks, the first time; says what was answered, every time.
    pub(super) fn request_approval(
        &mut self,
        request: &RequestApproval,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let about = |refusing: Refusing| refusing.about_run(request.run).about_step(&request.step);
        let asked = self.check_asked(request, now).map_err(about)?;
        if let Some(asked) = asked {
            let receipt = Receipt { run: request.run, done: Done::Asked(asked) };
            self.state_with(Says::Receipt(receipt), now, Vec::new())?;
        }
        self.approval_state(request).map_err(about)
    }

    /// What is to be stated; nothing, if it was.
    fn check_asked(
        &self,
        request: &RequestApproval,
        now: UnixTime,
    ) -> Result<Option<ApprovalAsked>, Refusing> {
        let AcceptedRun { acceptance, key, .. } = self.open(request.run)?;
        self.check_not_cancelled(request.run)?;
        let payload = ApprovalSalt::of(key, &request.step, request.attempt).digest(&request.shown);
        if let Some(known) = self.state.memory().approvals.of(&attempt_of(request)) {
            if known.asked.payload == payload {
                return Ok(None);
            }
            let rule = "something else was asked at this step and attempt";
            return Err(Refusing::signed("approval-changed", rule));
        }
        if now > acceptance.deadline {
            return Err(Refusing::signed("run-deadline", "the run's deadline has passed"));
        }
        let gate = acceptance.approvals.iter().find(|gate| gate.task == request.step.task);
        let gate = gate.ok_or_else(|| {
            let rule = "the run was not accepted for a task that asks here";
            Refusing::signed("approval-outside-footprint", rule)
        })?;
        let deadline = request.deadline.unwrap_or(acceptance.deadline);
        Ok(Some(ApprovalAsked {
            step: request.step.clone(),
            attempt: request.attempt,
            automation: acceptance.automation.clone(),
            requester: acceptance.principal.clone(),
            payload,
            quorum: gate.quorum.max(1),
            deadline: deadline.min(acceptance.deadline),
            behind: gate.behind.clone(),
        }))
    }

    fn approval_state(&self, request: &RequestApproval) -> Result<JailReply, Refusing> {
        let memory = self.state.memory();
        let unknown =
            || Refusing::unsigned("approval-unknown", "the run asks for no such approval");
        let approval = memory.approvals.of(&attempt_of(request)).ok_or_else(unknown)?;
        let asked = memory.statement(approval.number).ok_or_else(unknown)?.to_owned();
        let key = &self.open(request.run)?.key;
        Ok(JailReply::Approval(Box::new(ApprovalState {
            asked,
            shown: None,
            salt: ApprovalSalt::of(key, &request.step, request.attempt).to_text(),
            deadline: approval.asked.deadline,
            answers: approval.answers.clone(),
            verdict: approval.verdict(self.current_charter()?),
        })))
    }

    /// Verifies a `run.approve` writ; asked again, gives the same receipt and counts nothing.
    pub(super) fn approve_run(
        &mut self,
        approve: &ResumeRun,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let digest = sha256(approve.writ.as_bytes());
        let decided_it = |done: &Done| matches!(done, Done::Decided(_));
        if let Some(statement) = self.answered_about(approve.run, digest, decided_it) {
            return Ok(statement);
        }
        let (decided, used) = self
            .check_approve(approve, digest, now)
            .map_err(|refusing| refusing.about_writ(digest).about_run(approve.run))?;
        let receipt = Receipt { run: approve.run, done: Done::Decided(decided) };
        let statement = self.state_with(Says::Receipt(receipt), now, vec![used])?;
        Ok(JailReply::Statement { statement })
    }

    fn check_approve(
        &self,
        approve: &ResumeRun,
        digest: Digest,
        now: UnixTime,
    ) -> Result<(ApprovalDecided, Record), Refusing> {
        let charter = self.current_charter()?;
        let (idc, writ) = self.verify_signed(charter, &approve.writ, &approve.idc, now)?;
        self.check_target(charter, &writ)?;
        let used = self.check_unused(&writ, digest)?;
        let Order::RunApprove { res, .. } = &writ.claims().order else {
            return Err(Refusing::signed("writ-operation", "the writ does not approve anything"));
        };
        if *res != approve.run {
            return Err(Refusing::signed("writ-run", "the writ is for another run"));
        }
        self.open(*res)?;
        self.check_not_cancelled(*res)?;
        Ok((self.check_answer(charter, &idc, &writ, now)?, used))
    }

    /// The answer is to something that was asked, as it was shown, by somebody who may, in time.
    fn check_answer(
        &self,
        charter: &CharterState,
        idc: &VerifiedIdc,
        writ: &VerifiedWrit,
        now: UnixTime,
    ) -> Result<ApprovalDecided, Refusing> {
        let unknown = || Refusing::signed("approval-unknown", "the run asks for no such approval");
        let Order::RunApprove { res, step, attempt, payload, decision, .. } = &writ.claims().order
        else {
            return Err(unknown());
        };
        let asking = Attempt { run: *res, step: step.clone(), attempt: *attempt };
        let approval = self.state.memory().approvals.of(&asking).ok_or_else(unknown)?;
        let asked = &approval.asked;
        if asked.payload != *payload {
            let rule = "what was signed is not what the run asks people to approve";
            return Err(Refusing::signed("approval-payload", rule));
        }
        let permit =
            self.policies.decide_approval(charter, idc, &asked.requester, &asked.automation)?;
        check_counts(charter, approval, idc, *decision, now)?;
        Ok(ApprovalDecided {
            writ: writ.digest(),
            principal: idc.principal().clone(),
            step: step.clone(),
            attempt: *attempt,
            decision: *decision,
            at: now,
            because: (&permit).into(),
        })
    }

    /// Refuses an action that stands behind a task whose approval is not on record.
    pub(super) fn check_approved(
        &self,
        run: &AcceptedRun,
        connection: &PinnedConnection,
        action: &PinnedAction,
    ) -> Result<(), Refusing> {
        let acceptance = &run.acceptance;
        let (approvals, charter) = (&self.state.memory().approvals, self.current_charter()?);
        let mut gates = acceptance.approvals.iter().filter(|gate| gate.guards(connection, action));
        let holds = |gate: &ApprovalGate| approvals.holds(acceptance.run, &gate.task, charter);
        let Some(missing) = gates.find(|gate| !holds(gate)) else {
            return Ok(());
        };
        let rule = format!("the action stands behind {}, which is not approved", missing.task);
        Err(Refusing::signed("approval-missing", rule))
    }
}

/// An answer counts while it is waited for, and a person's approval once.
fn check_counts(
    charter: &CharterState,
    approval: &Approval,
    idc: &VerifiedIdc,
    decision: ApprovalDecision,
    now: UnixTime,
) -> Result<(), Refusing> {
    if approval.verdict(charter) != Verdict::Open {
        return Err(Refusing::signed("approval-settled", "the approval is settled"));
    }
    if now > approval.asked.deadline {
        return Err(Refusing::signed("approval-late", "the time to answer has passed"));
    }
    let answered = approval.answers.iter().any(|answer| answer.principal == *idc.principal());
    if answered && decision == ApprovalDecision::Approve {
        return Err(Refusing::signed("approval-twice", "this person has approved already"));
    }
    Ok(())
}

fn attempt_of(request: &RequestApproval) -> Attempt {
    Attempt { run: request.run, step: request.step.clone(), attempt: request.attempt }
}
