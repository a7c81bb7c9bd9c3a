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
use writ_jail_link::{
    ApprovalState, CallAction, JailReply, JailRequest, RequestApproval, ResumeRun,
};
use writ_model::{RunId, StepId, UnixMillis, UnixTime};
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
    /// Has the jail state what is asked, and waits for its verdict. `asking` makes the request, each time.
    pub(crate) async fn ask(
        &self,
        (jail, news): (&JailClient, &Notify),
        (run, step): (RunId, &StepId),
        asking: Asking<'_>,
    ) -> Performed {
        let _showing = Showing(self, run);
        loop {
            // Made before the look, so that an answer between the look and the wait wakes it.
            let answered = self.answered.notified();
            let state = match jail.ask(asking.request(run)).await {
                Ok(JailReply::Approval(state)) => *state,
                // The guardrail that demanded it is gone.
                Err(JailError::Refused(refused)) if refused.code == "approval-not-demanded" => {
                    return Performed::done(Ok(Value::Null));
                }
                Err(JailError::Refused(refused)) => {
                    return Performed::done(Err(step_error(&failed(&refused.code), step)));
                }
                Ok(_) | Err(_) => return Performed::Interrupted,
            };
            news.notify_one();
            if let Some(result) = settled(&state, step) {
                return Performed::done(result);
            }
            let over = left(state.deadline);
            let shown = match (&state.shown, &asking) {
                (Some(shown), _) | (None, Asking::Task { shown, .. }) => shown.clone(),
                (None, Asking::Call { .. }) => return Performed::Interrupted,
            };
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

/// What people are asked.
pub(crate) enum Asking<'a> {
    /// What a task of the document says.
    Task {
        /// The task.
        wait: &'a ApprovalWait,
        /// Its text, exactly as shown.
        shown: String,
    },
    /// A call that a guardrail demands approval of; the jail says what is shown.
    Call {
        /// The call.
        call: Box<dyn Fn() -> CallAction + Send + Sync + 'a>,
        /// When it is too late, if the document says.
        until: Option<UnixMillis>,
    },
}

impl<'a> Asking<'a> {
    pub(crate) fn task(wait: &'a ApprovalWait) -> Self {
        Self::Task { wait, shown: wait.shown.to_string() }
    }

    fn request(&self, run: RunId) -> JailRequest {
        match self {
            Self::Call { call, until } => JailRequest::RequestCallApproval {
                call: Box::new(call()),
                deadline: until.map(|until| UnixTime(until.0 / 1000)),
            },
            Self::Task { wait, shown } => JailRequest::RequestApproval(Box::new(RequestApproval {
                run,
                step: wait.step.clone(),
                attempt: wait.attempt,
                shown: shown.clone(),
                deadline: wait.until.map(|until| UnixTime(until.0 / 1000)),
            })),
        }
    }
}

/// What a verdict means for the run; nothing while answers are missing and there is time.
fn settled(state: &ApprovalState, step: &StepId) -> Option<Result<Value, StepError>> {
    let error = |kind: &str, status: u16, code: &str| {
        Some(Err(StepError::standard(kind, status, code, &step.task)))
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
