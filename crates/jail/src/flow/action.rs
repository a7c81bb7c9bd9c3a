//! A system action: may this call be made, and what came of it.

use serde::de::DeserializeOwned;
use writ_evidence::{
    digest::{RunDatum, sha256, sha256_parts},
    statement::{Done, Receipt, Says},
};
use writ_jail_link::{
    ActionResult, CallAction, CellOrder, CellOutcome, CellTask, CodeResult, FailedStep, HttpOrder,
    JailReply,
};
use writ_model::{
    Connection, HttpCall, PinnedAction, PinnedConnection, UnixTime,
    limits::{PACK_MAX, STEP_OUTPUT_MAX},
    pack::{Action, Effect, Idempotency, Pack},
};

use super::{CALL_TIMEOUT_S, Jail, PermittedCall, Refusing};
use crate::{
    runs::{AcceptedRun, StepPermit},
    state::{Attempt, Record},
};

impl Jail {
    /// The stages of a call: accepted for it, permitted now, not done before, remembered.
    pub(super) fn permit_action(
        &mut self,
        call: &CallAction,
        now: UnixTime,
    ) -> Result<PermittedCall, Refusing> {
        self.check_action(call, now)
            .map_err(|refusing| refusing.about_run(call.run).about_step(&call.step))
            .and_then(|permitted| self.begin(permitted))
    }

    fn check_action(&self, call: &CallAction, now: UnixTime) -> Result<PermittedCall, Refusing> {
        let run = self.open(call.run)?;
        self.check_not_cancelled(call.run)?;
        if now > run.acceptance.deadline {
            return Err(Refusing::signed("run-deadline", "the run's deadline has passed"));
        }
        let pinned =
            PinnedAction { name: call.action.clone(), digest: sha256(call.pack.as_bytes()) };
        let connection = accepted_connection(run, call, &pinned)?;
        self.check_approved(run, &connection, &pinned)?;
        let charter = self.current_charter()?;
        self.check_going_on(charter, &run.acceptance)?;
        let permit = self.policies.decide_action(
            charter,
            (run.acceptance.actor(), &run.acceptance.publisher),
            &connection,
            &pinned,
        )?;
        let record = charter.connection(&connection.name).ok_or_else(|| {
            Refusing::signed("connection-unknown", "the charter has no such connection")
        })?;
        let attempt = Attempt { run: call.run, step: call.step.clone(), attempt: call.attempt };
        let (task, repeatable) = task_of(call, &attempt, &record.connection)?;
        let input = run.key.digest(RunDatum::StepInput, call.parameters.as_bytes());
        let decision = (&permit).into();
        let permit =
            StepPermit { attempt, action: pinned, connection, decision, input, started_at: now };
        Ok(PermittedCall { run: call.run, permit, task, repeatable })
    }

    /// Remembers that the action begins. What is neither read nor idempotent begins once, unless a
    /// person has said by `run.resume` that it may begin again (DESIGN §6).
    fn begin(&mut self, permitted: PermittedCall) -> Result<PermittedCall, Refusing> {
        if permitted.repeatable {
            return Ok(permitted);
        }
        let attempt = permitted.permit.attempt.clone();
        if self.state.memory().begun.contains(&attempt) {
            let rule = "the action was begun before and may have happened; `run.resume` decides";
            return Err(Refusing::signed("action-in-doubt", rule)
                .about_run(attempt.run)
                .about_step(&attempt.step));
        }
        self.state.append(vec![Record::Begun(attempt)]).map_err(|_| {
            Refusing::unsigned("jail-state", "the jail cannot write its state file")
        })?;
        Ok(permitted)
    }

    /// Spends the permit on the receipt of what the cell did.
    pub fn finish_action(&mut self, call: PermittedCall, outcome: CellOutcome) -> JailReply {
        let now = crate::clock::now();
        self.receipt_of(call, outcome, now).unwrap_or_else(|refusing| self.refuse(refusing, now))
    }

    fn receipt_of(
        &mut self,
        call: PermittedCall,
        outcome: CellOutcome,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let result = bounded(outcome);
        let outcome = self.open(call.run)?.outcome(&result);
        let done = Done::Action(call.permit.done(outcome));
        let receipt =
            self.state_with(Says::Receipt(Receipt { run: call.run, done }), now, Vec::new())?;
        Ok(JailReply::Action(Box::new(ActionResult { result, receipt })))
    }
}

/// What the cell is told, and whether beginning it again after a crash is harmless.
fn task_of(
    call: &CallAction,
    attempt: &Attempt,
    connection: &Connection,
) -> Result<(CellTask, bool), Refusing> {
    let (connection, timeout_s) = (connection.clone(), CALL_TIMEOUT_S);
    if HttpCall::is_pack(&call.action.pack()) {
        let (http, parameters) = (http_of(call)?, parameters_of(call)?);
        let repeatable = http.is_idempotent();
        let order = HttpOrder { call: http, parameters, connection, timeout_s };
        return Ok((CellTask::Http(Box::new(order)), repeatable));
    }
    let action = action_of(call)?;
    let repeatable = repeatable(&action);
    let order = CellOrder {
        name: call.action.clone(),
        action,
        parameters: parameters_of(call)?,
        connection,
        idempotency_key: idempotency_key(attempt),
        timeout_s,
    };
    Ok((CellTask::Call(Box::new(order)), repeatable))
}

/// The call that a document spells out; its name is that of its method.
fn http_of(call: &CallAction) -> Result<HttpCall, Refusing> {
    let malformed = || Refusing::signed("http-malformed", "the text is no such call");
    let http: HttpCall = serde_json::from_str(&call.pack).map_err(|_| malformed())?;
    let named = http.action().is_ok_and(|name| name == call.action);
    if named { Ok(http) } else { Err(malformed()) }
}

/// Whether beginning the action again after a crash is harmless.
const fn repeatable(action: &Action) -> bool {
    matches!(action.effect, Effect::Read)
        || matches!(action.idempotency, Idempotency::Natural | Idempotency::Key(_))
}

/// The connection as it was accepted, if this action was accepted through it.
fn accepted_connection(
    run: &AcceptedRun,
    call: &CallAction,
    action: &PinnedAction,
) -> Result<PinnedConnection, Refusing> {
    run.acceptance
        .connections
        .iter()
        .find(|grant| grant.connection.name == call.connection && grant.actions.contains(action))
        .map(|grant| grant.connection.clone())
        .ok_or_else(|| {
            let rule = "the run was not accepted for this action through this connection";
            Refusing::signed("action-outside-footprint", rule)
        })
}

fn action_of(call: &CallAction) -> Result<Action, Refusing> {
    let malformed = || Refusing::signed("pack-malformed", "the pack defines no such action");
    if call.pack.len() > PACK_MAX {
        return Err(malformed());
    }
    let mut pack: Pack = serde_json::from_str(&call.pack).map_err(|_| malformed())?;
    pack.actions.remove(&call.action).ok_or_else(malformed)
}

fn parameters_of<T: DeserializeOwned>(call: &CallAction) -> Result<T, Refusing> {
    serde_json::from_str(&call.parameters).map_err(|_| {
        Refusing::signed(
            "parameters-malformed",
            "the parameters are not of the form that the call takes",
        )
    })
}

/// The same whenever this attempt is made again, and unlike any other's.
fn idempotency_key(attempt: &Attempt) -> String {
    let step = attempt.step.to_string();
    let parts = [attempt.run.to_string(), step, attempt.attempt.to_string()];
    let digest = sha256_parts(&[parts.join("\n").as_bytes()]).to_string();
    digest.replace("sha256:", "writ-")
}

fn bounded(outcome: CellOutcome) -> CodeResult {
    match outcome {
        CellOutcome::Failed(failed) => CodeResult::Failed(failed),
        CellOutcome::Output(value) => {
            let text = value.to_string();
            if text.len() <= STEP_OUTPUT_MAX {
                return CodeResult::Output(text);
            }
            let code = "output-too-large".to_owned();
            CodeResult::Failed(FailedStep { code, status: None, retry_after_s: None, about: None })
        }
    }
}
