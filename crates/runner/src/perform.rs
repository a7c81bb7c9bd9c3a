//! What happens to a step: the engine's effects, through jail, cell and sandbox.
//!
//! `action → jail (permit, cell, receipt)`, `code → jail (permit) → sandbox → jail (receipt)`,
//! `approval → jail (statement) → people → jail (verdict)`.
//! Receipts are not carried here: the jail's state file is the queue that `report` delivers from.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::sync::Notify;
use writ_engine::{CloseError, Perform, Performed, Recovery};
use writ_jail_link::{
    ActionResult, CallAction, CloseRun, CodeResult, FailedStep, JailReply, JailRequest, PermitCode,
    RecordCode, SandboxOrder,
};
use writ_model::{
    HttpCall, RunId, UnixMillis,
    pack::{Effect, Idempotency, Pack},
};
use writ_workflow::{ActionCall, ApprovalWait, CodeRun, Outcome, PackRef, StepError};

use crate::{
    approvals::{Approvals, Asking},
    charter_cache::CharterCache,
    clock,
    content::ContentCache,
    jail_client::{JailClient, JailError},
    sandbox_client::SandboxClient,
};

/// Wall-clock limit of a code step, in seconds.
const CODE_WALL_S: u32 = 60;
/// Memory limit of a code step, in bytes.
const CODE_MEMORY: u64 = 256 * 1024 * 1024;

/// How steps are performed.
pub(crate) struct Steps {
    pub(crate) jail: Arc<JailClient>,
    pub(crate) charter: Arc<CharterCache>,
    pub(crate) content: Arc<ContentCache>,
    pub(crate) sandbox: Arc<SandboxClient>,
    pub(crate) news: Arc<Notify>,
    pub(crate) approvals: Arc<Approvals>,
}

impl Perform for Steps {
    async fn call_action(&self, run: RunId, call: ActionCall) -> Performed {
        let Some(pack) = self.pack(&call).await else {
            return Performed::done(Err(step_error(&failed("pack-unavailable"), &call.step)));
        };
        let repeatable = self.kind(&call).await != Recovery::Ask;
        let request = request(run, &call, pack);
        let answer = self.jail.ask(JailRequest::CallAction(Box::new(request))).await;
        self.news.notify_one();
        match answer {
            Ok(JailReply::Action(action)) => {
                let ActionResult { result, .. } = *action;
                if !repeatable && is_lost(&result) {
                    return Performed::Lost;
                }
                Performed::done(to_result(result, &call.step))
            }
            Err(JailError::Refused(refused)) if refused.code == "approval-demanded" => {
                Performed::Demanded
            }
            Err(JailError::Refused(refused)) => {
                Performed::done(Err(step_error(&failed(&refused.code), &call.step)))
            }
            Ok(_) | Err(_) => Performed::Interrupted,
        }
    }

    async fn run_code(&self, run: RunId, code: CodeRun) -> Performed {
        let permit = PermitCode {
            run,
            step: code.step.clone(),
            attempt: code.attempt,
            language: code.language,
            code: code.code.clone(),
        };
        match self.jail.ask(JailRequest::PermitCode(Box::new(permit))).await {
            Ok(_) => {}
            Err(JailError::Refused(refused)) => {
                self.news.notify_one();
                return Performed::done(Err(step_error(&failed(&refused.code), &code.step)));
            }
            Err(_) => return Performed::Interrupted,
        }
        let Ok(arguments) = serde_json::to_string(&code.input) else {
            return Performed::done(Err(step_error(&failed("process-arguments"), &code.step)));
        };
        let limit_wall_s = wall_limit(code.time_left);
        let order = SandboxOrder {
            language: code.language,
            code: code.code,
            input: code.input,
            returns: code.returns,
            limit_wall_s,
            limit_memory: CODE_MEMORY,
        };
        let Some(result) = self.sandboxed(order).await else { return Performed::Interrupted };
        let outcome = to_result(copy(&result), &code.step);
        let record = RecordCode {
            run,
            step: code.step,
            attempt: code.attempt,
            arguments,
            limit_wall_s,
            limit_memory: CODE_MEMORY,
            result,
        };
        let recorded = self.jail.statement(JailRequest::RecordCode(Box::new(record))).await;
        self.news.notify_one();
        match recorded {
            Ok(_) => Performed::done(outcome),
            Err(_) => Performed::Interrupted,
        }
    }

    async fn await_approval(&self, run: RunId, wait: ApprovalWait) -> Performed {
        let (link, of) = ((&*self.jail, &*self.news), (run, &wait.step));
        let answered = self.approvals.ask(link, of, Asking::task(&wait)).await;
        self.news.notify_one();
        answered
    }

    async fn await_call_approval(&self, run: RunId, call: &ActionCall) -> Performed {
        let Some(pack) = self.pack(call).await else {
            return Performed::done(Err(step_error(&failed("pack-unavailable"), &call.step)));
        };
        let (link, of) = ((&*self.jail, &*self.news), (run, &call.step));
        let until = call.until;
        let asking =
            Asking::Call { call: Box::new(move || request(run, call, pack.clone())), until };
        let answered = self.approvals.ask(link, of, asking).await;
        self.news.notify_one();
        answered
    }

    async fn recovery(&self, run: RunId, call: &ActionCall) -> Recovery {
        let (step, attempt) = (call.step.clone(), call.attempt);
        let asked = self.jail.ask(JailRequest::WasBegun { run, step, attempt }).await;
        match self.kind(call).await {
            // The engine had written it down, and the jail was never asked to begin: it waited for people.
            Recovery::Ask if matches!(asked, Ok(JailReply::Begun(false))) => Recovery::Again,
            kind => kind,
        }
    }

    async fn close(&self, run: RunId, outcome: &Outcome) -> Result<String, CloseError> {
        let result = match outcome {
            Outcome::Completed { output } => CodeResult::Output(output.to_string()),
            Outcome::Faulted { error } => CodeResult::Failed(FailedStep {
                code: error.code.clone().unwrap_or_else(|| "faulted".to_owned()),
                status: None,
                retry_after_s: None,
                about: None,
            }),
        };
        let close = JailRequest::CloseRun(Box::new(CloseRun { run, result }));
        let closed = self.jail.statement(close).await;
        self.news.notify_one();
        closed.map_err(|error| CloseError { reason: error.to_string() })
    }

    fn now(&self) -> UnixMillis {
        clock::now()
    }
}

impl Steps {
    /// What becomes of a call that was begun, by what it does.
    async fn kind(&self, call: &ActionCall) -> Recovery {
        let Some(text) = self.pack(call).await else { return Recovery::Ask };
        if matches!(call.pack, PackRef::Inline(_)) {
            let repeatable =
                serde_json::from_str(&text).is_ok_and(|call: HttpCall| call.is_idempotent());
            return if repeatable { Recovery::Again } else { Recovery::Ask };
        }
        let action = serde_json::from_str::<Pack>(&text)
            .ok()
            .and_then(|mut pack| pack.actions.remove(&call.action));
        match action.map(|action| (action.effect, action.idempotency)) {
            Some((Effect::Read, _) | (_, Idempotency::Natural)) => Recovery::Again,
            Some((_, Idempotency::Key(_))) => Recovery::AgainWithSameKey,
            Some((_, Idempotency::None)) | None => Recovery::Ask,
        }
    }

    /// The pack that the charter acknowledges for this call, or what the document says itself.
    async fn pack(&self, call: &ActionCall) -> Option<String> {
        let version = match &call.pack {
            PackRef::Inline(text) => return Some(text.to_string()),
            PackRef::Version(version) => version,
        };
        let digest = self.charter.state()?.pack(&call.action.pack(), version)?.digest;
        self.content.get(digest).await
    }

    async fn sandboxed(&self, order: SandboxOrder) -> Option<CodeResult> {
        let sandbox = Arc::clone(&self.sandbox);
        let report = tokio::task::spawn_blocking(move || sandbox.run(&order)).await;
        Some(match report.ok()??.result {
            Ok(output) => CodeResult::Output(output),
            Err(failure) => CodeResult::Failed(failed(failure.code())),
        })
    }
}

fn request(run: RunId, call: &ActionCall, pack: String) -> CallAction {
    CallAction {
        run,
        step: call.step.clone(),
        attempt: call.attempt,
        action: call.action.clone(),
        connection: call.connection.clone(),
        parameters: Value::Object(call.parameters.clone()).to_string(),
        pack,
    }
}

/// The wall-clock limit of code whose task has this much time left; whole seconds, at least one.
fn wall_limit(time_left: Option<Duration>) -> u32 {
    let left = time_left.map_or(CODE_WALL_S, |left| {
        let rounded_up = left.as_millis().div_ceil(1000);
        u32::try_from(rounded_up).unwrap_or(u32::MAX)
    });
    left.clamp(1, CODE_WALL_S)
}

fn copy(result: &CodeResult) -> CodeResult {
    match result {
        CodeResult::Output(text) => CodeResult::Output(text.clone()),
        CodeResult::Failed(failed) => CodeResult::Failed(failed.clone()),
    }
}

pub(crate) fn failed(code: &str) -> FailedStep {
    FailedStep { code: code.to_owned(), status: None, retry_after_s: None, about: None }
}

/// Whether the service may have done what was asked although no answer came: then a document's
/// `retry` must not repeat it unasked.
fn is_lost(result: &CodeResult) -> bool {
    const LOST: [&str; 4] = ["cell-died", "cell-malformed", "http-failed", "http-timeout"];
    match result {
        CodeResult::Output(_) => false,
        CodeResult::Failed(failed) => {
            failed.status.is_none() && LOST.contains(&failed.code.as_str())
        }
    }
}

fn to_result(result: CodeResult, step: &writ_model::StepId) -> Result<Value, StepError> {
    match result {
        CodeResult::Failed(failed) => Err(step_error(&failed, step)),
        CodeResult::Output(text) => {
            serde_json::from_str(&text).map_err(|_| step_error(&failed("output-not-json"), step))
        }
    }
}

/// A failure as the Serverless Workflow error that documents catch: what a service answered is
/// `communication` with its status; everything else is `runtime`.
pub(crate) fn step_error(failed: &FailedStep, step: &writ_model::StepId) -> StepError {
    let (kind, status) = match failed.status {
        Some(status) => ("communication", status),
        None if failed.code.starts_with("http-") || failed.code.starts_with("connect-") => {
            ("communication", 502)
        }
        None if failed.code.starts_with("parameter") => ("validation", 400),
        None if failed.code == "policy-denied" => ("authorization", 403),
        None => ("runtime", 500),
    };
    StepError {
        type_: format!("https://serverlessworkflow.io/spec/1.0.0/errors/{kind}"),
        status,
        title: Some(failed.code.clone()),
        detail: failed.about.as_ref().map(|about| format!("about `{about}`")),
        instance: Some(step.task.clone()),
        code: Some(failed.code.clone()),
        retry_after_s: failed.retry_after_s,
    }
}
