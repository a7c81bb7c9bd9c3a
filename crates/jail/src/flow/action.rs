//! A system action: may this call be made, and what came of it.

use serde_json::{Map, Value};
use writ_evidence::{
    digest::{RunDatum, sha256, sha256_parts},
    statement::{Done, Receipt, Says},
};
use writ_jail_link::{
    ActionResult, CallAction, CellOrder, CellOutcome, CodeResult, FailedStep, JailReply,
};
use writ_model::{
    PinnedAction, PinnedConnection, UnixTime,
    limits::{PACK_MAX, STEP_OUTPUT_MAX},
    pack::{Action, Effect, Idempotency, Pack},
};

use super::{Jail, PermittedCall, Refusing};
use crate::{
    runs::{AcceptedRun, StepPermit},
    state::{Attempt, Record},
};

/// Seconds that a cell has for its one call.
const CALL_TIMEOUT_S: u32 = 30;

impl Jail {
    /// The stages of a call: accepted for it, permitted now, not done before, remembered.
    pub(super) fn permit_action(
        &mut self,
        call: CallAction,
        now: UnixTime,
    ) -> Result<PermittedCall, Refusing> {
        let (run, step) = (call.run, call.step.clone());
        self.check_action(call, now)
            .map_err(|refusing| refusing.about_run(run).about_step(&step))
            .and_then(|permitted| self.begin(permitted))
    }

    fn check_action(&self, call: CallAction, now: UnixTime) -> Result<PermittedCall, Refusing> {
        let run = self.open(call.run)?;
        self.check_not_cancelled(call.run)?;
        if now > run.acceptance.deadline {
            return Err(Refusing::signed("run-deadline", "the run's deadline has passed"));
        }
        let pinned =
            PinnedAction { name: call.action.clone(), digest: sha256(call.pack.as_bytes()) };
        let connection = accepted_connection(run, &call, &pinned)?;
        let charter = self.current_charter()?;
        let permit = self.policies.decide_action(
            charter,
            (run.acceptance.actor(), &run.acceptance.publisher),
            &connection,
            &pinned,
        )?;
        let action = action_of(&call)?;
        let parameters = parameters_of(&call)?;
        let record = charter.connection(&connection.name).ok_or_else(|| {
            Refusing::signed("connection-unknown", "the charter has no such connection")
        })?;
        let attempt = Attempt { run: call.run, step: call.step, attempt: call.attempt };
        let idempotency_key = idempotency_key(&attempt);
        let input = run.key.digest(RunDatum::StepInput, call.parameters.as_bytes());
        let decision = (&permit).into();
        let permit =
            StepPermit { attempt, action: pinned, connection, decision, input, started_at: now };
        let order = CellOrder {
            name: call.action,
            action,
            parameters,
            connection: record.connection.clone(),
            idempotency_key,
            timeout_s: CALL_TIMEOUT_S,
        };
        Ok(PermittedCall { run: call.run, permit, order })
    }

    /// Remembers that the action begins. What is neither read nor idempotent begins once, unless a
    /// person has said by `run.resume` that it may begin again (DESIGN §6).
    fn begin(&mut self, permitted: PermittedCall) -> Result<PermittedCall, Refusing> {
        if repeatable(&permitted.order.action) {
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

fn parameters_of(call: &CallAction) -> Result<Map<String, Value>, Refusing> {
    serde_json::from_str(&call.parameters)
        .map_err(|_| Refusing::signed("parameters-malformed", "the parameters are no JSON object"))
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
