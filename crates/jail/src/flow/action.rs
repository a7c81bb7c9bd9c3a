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

use writ_policy::{Circumstances, Denied, Permit};

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
        let accepted = self.check_accepted(call, now)?;
        let permit =
            self.decide_call(&accepted, call, self.approvals_of(&accepted, call), now)??;
        let AcceptedCall { run, action, connection, called } = accepted;
        let charter = self.current_charter()?;
        let record = charter.connection(&connection.name).ok_or_else(|| {
            Refusing::signed("connection-unknown", "the charter has no such connection")
        })?;
        let attempt = attempt_of(call);
        let repeatable = called.is_repeatable();
        let task = called.task(call, &attempt, &record.connection)?;
        let input = run.key.digest(RunDatum::StepInput, call.parameters.as_bytes());
        let decision = (&permit).into();
        let permit = StepPermit { attempt, action, connection, decision, input, started_at: now };
        Ok(PermittedCall { run: call.run, permit, task, repeatable })
    }

    /// The call is one that its run was accepted for, and the run may go on.
    pub(super) fn check_accepted(
        &self,
        call: &CallAction,
        now: UnixTime,
    ) -> Result<AcceptedCall<'_>, Refusing> {
        let run = self.open(call.run)?;
        self.check_not_cancelled(call.run)?;
        if now > run.acceptance.deadline {
            return Err(Refusing::signed("run-deadline", "the run's deadline has passed"));
        }
        let action =
            PinnedAction { name: call.action.clone(), digest: sha256(call.pack.as_bytes()) };
        let connection = accepted_connection(run, call, &action)?;
        self.check_approved(run, &connection, &action)?;
        self.check_going_on(self.current_charter()?, &run.acceptance)?;
        Ok(AcceptedCall { run, action, connection, called: called(call)? })
    }

    /// Whether roles and guardrails permit the call now, which `approvals` people have approved.
    pub(super) fn decide_call(
        &self,
        accepted: &AcceptedCall<'_>,
        call: &CallAction,
        approvals: u8,
        now: UnixTime,
    ) -> Result<Result<Permit, Denied>, Refusing> {
        let AcceptedCall { run, action, connection, called } = accepted;
        let circumstances =
            Circumstances { action: Some(&call.action), effect: Some(called.effect()), approvals };
        let charter = self.current_charter()?;
        let both = (run.acceptance.actor(now), &run.acceptance.publisher);
        Ok(self.policies.decide_action(charter, both, (connection, action), &circumstances))
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

/// A call that its run was accepted for; whether it is permitted now is not said.
pub(super) struct AcceptedCall<'a> {
    pub(super) run: &'a AcceptedRun,
    pub(super) action: PinnedAction,
    pub(super) connection: PinnedConnection,
    called: Called,
}

/// What is called: an action of a pack, or what a document spells out itself.
enum Called {
    Http(HttpCall),
    Pack(Box<Action>),
}

fn called(call: &CallAction) -> Result<Called, Refusing> {
    if HttpCall::is_pack(&call.action.pack()) {
        return http_of(call).map(Called::Http);
    }
    action_of(call).map(|action| Called::Pack(Box::new(action)))
}

impl Called {
    const fn effect(&self) -> Effect {
        match self {
            Self::Http(http) => http.effect(),
            Self::Pack(action) => action.effect,
        }
    }

    /// Whether beginning it again after a crash is harmless.
    fn is_repeatable(&self) -> bool {
        match self {
            Self::Http(http) => http.is_idempotent(),
            Self::Pack(action) => repeatable(action),
        }
    }

    /// What the cell is told.
    fn task(
        self,
        call: &CallAction,
        attempt: &Attempt,
        connection: &Connection,
    ) -> Result<CellTask, Refusing> {
        let (connection, timeout_s) = (connection.clone(), CALL_TIMEOUT_S);
        match self {
            Self::Http(http) => {
                let parameters = parameters_of(call)?;
                let order = HttpOrder { call: http, parameters, connection, timeout_s };
                Ok(CellTask::Http(Box::new(order)))
            }
            Self::Pack(action) => Ok(CellTask::Call(Box::new(CellOrder {
                name: call.action.clone(),
                action: *action,
                parameters: parameters_of(call)?,
                connection,
                idempotency_key: idempotency_key(attempt),
                timeout_s,
            }))),
        }
    }
}

pub(super) fn attempt_of(call: &CallAction) -> Attempt {
    Attempt { run: call.run, step: call.step.clone(), attempt: call.attempt }
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
