//! Calls that a guardrail demands approval of, whatever the document says (DESIGN §5).
//!
//! Decided here: the charter's guardrails say how many people it takes, by what they would permit. People are
//! shown what the jail itself says of the call, its parameters with it, so that what they approve is what is
//! called: another parameter is another asking.
//!
//! Not here: who may answer and which writ counts (`approve`: there is one rule for both kinds).

use writ_evidence::{
    approval::{ApprovalAsked, ApprovalSalt, Verdict, shown_call},
    statement::{Done, Receipt, Says},
    writ::{ConnectionGrant, ConnectionGrantType},
};
use writ_jail_link::{ApprovalState, CallAction, JailReply};
use writ_model::{HttpCall, UnixTime};

use super::{
    Jail, Refusing,
    action::{AcceptedCall, attempt_of},
};

impl Jail {
    /// States that a call waits for people, the first time; says what was answered, every time.
    pub(super) fn request_call_approval(
        &mut self,
        call: &CallAction,
        deadline: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let about = |refusing: Refusing| refusing.about_run(call.run).about_step(&call.step);
        let (shown, asked) = self.check_demanded(call, now).map_err(about)?;
        if let Some(mut asked) = asked {
            asked.deadline = deadline.map_or(asked.deadline, |until| until.min(asked.deadline));
            let receipt = Receipt { run: call.run, done: Done::Asked(asked) };
            self.state_with(Says::Receipt(receipt), now, Vec::new())?;
        }
        self.call_approval_state(call, shown).map_err(about)
    }

    /// What is shown, and what is to be stated; nothing, if it was.
    fn check_demanded(
        &self,
        call: &CallAction,
        now: UnixTime,
    ) -> Result<(String, Option<ApprovalAsked>), Refusing> {
        let accepted = self.check_accepted(call, now)?;
        let shown = shown(&accepted, call)?;
        let payload = salt(&accepted, call).digest(&shown);
        if let Some(known) = self.state.memory().approvals.of(&attempt_of(call)) {
            if known.asked.payload == payload {
                return Ok((shown, None));
            }
            let rule = "something else was asked at this step and attempt";
            return Err(Refusing::signed("approval-changed", rule));
        }
        let Err(denied) = self.decide_call(&accepted, call, 0, now)? else {
            let rule = "no guardrail demands approval of this call";
            return Err(Refusing::unsigned("approval-not-demanded", rule));
        };
        let quorum = denied.approvals.ok_or_else(|| Refusing::from(denied))?;
        let acceptance = &accepted.run.acceptance;
        let behind = ConnectionGrant {
            kind: ConnectionGrantType::WritConnection,
            connection: accepted.connection,
            actions: vec![accepted.action],
        };
        let asked = ApprovalAsked {
            step: call.step.clone(),
            attempt: call.attempt,
            automation: acceptance.automation.clone(),
            requester: acceptance.principal.clone(),
            payload,
            quorum,
            deadline: acceptance.deadline,
            behind: vec![behind],
        };
        Ok((shown, Some(asked)))
    }

    fn call_approval_state(&self, call: &CallAction, shown: String) -> Result<JailReply, Refusing> {
        let memory = self.state.memory();
        let unknown =
            || Refusing::unsigned("approval-unknown", "the run asks for no such approval");
        let approval = memory.approvals.of(&attempt_of(call)).ok_or_else(unknown)?;
        let asked = memory.statement(approval.number).ok_or_else(unknown)?.to_owned();
        let key = &self.open(call.run)?.key;
        Ok(JailReply::Approval(Box::new(ApprovalState {
            asked,
            shown: Some(shown),
            salt: ApprovalSalt::of(key, &call.step, call.attempt).to_text(),
            deadline: approval.asked.deadline,
            answers: approval.answers.clone(),
            verdict: approval.verdict(self.current_charter()?),
        })))
    }

    /// How many people have approved this very call, parameters and all; nobody, while one is missing.
    pub(super) fn approvals_of(&self, accepted: &AcceptedCall<'_>, call: &CallAction) -> u8 {
        let Some(known) = self.state.memory().approvals.of(&attempt_of(call)) else { return 0 };
        let same = shown(accepted, call)
            .is_ok_and(|shown| salt(accepted, call).digest(&shown) == known.asked.payload);
        // As many as the asking was for: whoever else has approved counts for no more.
        let approved =
            self.current_charter().is_ok_and(|charter| known.verdict(charter) == Verdict::Approved);
        if same && approved { known.asked.quorum } else { 0 }
    }
}

fn shown(accepted: &AcceptedCall<'_>, call: &CallAction) -> Result<String, Refusing> {
    let parameters = serde_json::from_str(&call.parameters).map_err(|_| {
        Refusing::signed("parameters-malformed", "the parameters of the call are not JSON")
    })?;
    // Of what a document spells out itself, the digest in an action's place says nothing to people.
    let spelled_out = HttpCall::is_pack(&call.action.pack())
        .then(|| serde_json::from_str(&call.pack))
        .transpose()
        .map_err(|_| Refusing::signed("http-malformed", "the text is no such call"))?;
    Ok(shown_call(&accepted.connection, &accepted.action, spelled_out, &parameters))
}

fn salt(accepted: &AcceptedCall<'_>, call: &CallAction) -> ApprovalSalt {
    ApprovalSalt::of(&accepted.run.key, &call.step, call.attempt)
}
