//! What open runs ask people to approve: carried between engine, jail and those who may answer.
//!
//! The jail states what is asked, and says when people have answered. Here is what it can't keep: the
//! text that is shown, for as long as the run waits. Nothing here decides anything: a run that goes on
//! without an approval meets the jail again at the action that stands behind it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::Notify;
use writ_api::{Problem, RunnerReport, ShownApproval};
use writ_engine::Performed;
use writ_evidence::{
    approval::{ApprovalDecided, Verdict},
    digest::sha256,
    idc::UnverifiedIdc,
};
use writ_jail_link::{ApprovalState, JailReply, JailRequest, RequestApproval, ResumeRun};
use writ_model::{RunId, UnixTime};
use writ_workflow::{ApprovalWait, StepError};

use crate::{
    clock,
    jail_client::{JailClient, JailError},
    perform::{failed, step_error},
    wiring::Parts,
};

/// What is shown to those who may answer, by run.
#[derive(Default)]
pub(crate) struct Approvals {
    shown: Mutex<BTreeMap<RunId, ShownApproval>>,
    /// An answer has come.
    answered: Notify,
}

/// Shown for as long as it is waited for.
struct Showing<'a>(&'a Approvals, RunId);

impl Drop for Showing<'_> {
    fn drop(&mut self) {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Approvals {
    /// Has the jail state what is asked, and waits for its verdict.
    pub(crate) async fn ask(
        &self,
        jail: &JailClient,
        news: &Notify,
        run: RunId,
        wait: ApprovalWait,
    ) -> Performed {
        let shown = wait.shown.to_string();
        let _showing = Showing(self, run);
        loop {
            // Made before the look, so that an answer between the look and the wait wakes it.
            let answered = self.answered.notified();
            let request = JailRequest::RequestApproval(Box::new(request(run, &wait, &shown)));
            let state = match jail.ask(request).await {
                Ok(JailReply::Approval(state)) => *state,
                Err(JailError::Refused(refused)) => {
                    return Performed::done(Err(step_error(&failed(&refused.code), &wait.step)));
                }
                Ok(_) | Err(_) => return Performed::Interrupted,
            };
            news.notify_one();
            if let Some(result) = settled(&state, &wait) {
                return Performed::done(result);
            }
            let over = left(state.deadline);
            self.show(run, state, &shown);
            tokio::select! {
                () = answered => {}
                () = tokio::time::sleep(over) => {}
            }
        }
    }

    fn show(&self, run: RunId, state: ApprovalState, shown: &str) {
        let ApprovalState { asked, salt, .. } = state;
        let shown = ShownApproval { asked, salt, shown: shown.to_owned() };
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(run, shown);
    }

    /// What a run asks, as JSON text for those whom the jail lets read it.
    pub(crate) fn shown(&self, run: RunId) -> Result<String, Problem> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).get(&run).cloned();
        let shown = shown.ok_or_else(|| {
            Problem::new(409, "approval-unknown", "the run asks for no approval (any more)")
        })?;
        serde_json::to_string(&shown)
            .map_err(|_| Problem::new(500, "approval-unreadable", "what is asked can't be written"))
    }
}

/// Hands an answer to the jail; whoever waits then asks it for the verdict.
pub(crate) async fn answer(parts: &Arc<Parts>, run: RunId, writ: String, idc: UnverifiedIdc) {
    let digest = sha256(writ.as_bytes());
    let asked = JailRequest::ApproveRun(Box::new(ResumeRun { run, writ, idc }));
    let refused = match parts.jail.statement(asked).await {
        Ok(_) => {
            parts.approvals.answered.notify_waiters();
            None
        }
        Err(JailError::Refused(refused)) => Some((refused.code, refused.reason)),
        Err(_) => return,
    };
    parts.news.notify_one();
    parts.outbox.put(RunnerReport::ResumeDone { writ: digest, refused });
}

fn request(run: RunId, wait: &ApprovalWait, shown: &str) -> RequestApproval {
    RequestApproval {
        run,
        step: wait.step.clone(),
        attempt: wait.attempt,
        shown: shown.to_owned(),
        deadline: wait.until.map(|until| UnixTime(until.0 / 1000)),
    }
}

/// What a verdict means for the run; nothing while answers are missing and there is time.
fn settled(state: &ApprovalState, wait: &ApprovalWait) -> Option<Result<Value, StepError>> {
    let error = |kind: &str, status: u16, code: &str| {
        Some(Err(StepError::standard(kind, status, code, &wait.step.task)))
    };
    match state.verdict {
        Verdict::Approved => Some(Ok(state.answers.iter().map(event).collect())),
        Verdict::Rejected => error("authorization", 403, "approval-rejected"),
        Verdict::Open if left(state.deadline).is_zero() => error("timeout", 408, "timed-out"),
        Verdict::Open => None,
    }
}

/// Time until the first instant at which an answer no longer counts.
fn left(deadline: UnixTime) -> Duration {
    let now = clock::now().0;
    let over = deadline.0.saturating_add(1).saturating_mul(1000);
    Duration::from_millis(over.saturating_sub(now))
}

/// An answer as the document sees it: the data of an event.
fn event(answer: &ApprovalDecided) -> Value {
    json!({
        "decision": answer.decision,
        "by": answer.principal,
        "at": answer.at,
        "writ": answer.writ,
    })
}
