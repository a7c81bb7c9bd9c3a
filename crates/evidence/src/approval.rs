//! Approvals: what people are asked, what they are shown, and what they answer (DESIGN §5).
//!
//! A run that comes to an approval has its jail state an [`ApprovalAsked`]. Whoever may answer is
//! shown a text and the *salt* of the asking, recomputes the digest that the jail has stated, and
//! signs it in a `run.approve` writ: what they see is what they sign, whoever handed it to them.
//!
//! Invariants:
//! * the digest of what is shown is keyed by a salt of this one asking, which only those get who
//!   may see the text: in the audit log it says nothing about the text;
//! * a salt gives away nothing about the run key that it is derived from, nor another salt.
//!
//! Not here: who may answer (`policy`), how often each writ counts (the jail's state).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use writ_model::{
    AutomationName, Digest, KeyedDigest, PinnedAction, PinnedConnection, Principal, StepId,
    UnixTime,
};
use zeroize::Zeroizing;

use crate::{
    digest::{RunDatum, RunKey},
    statement::DecisionRecord,
    writ::ConnectionGrant,
};

/// Most people that one approval can ask for.
pub const QUORUM_MAX: u8 = 16;

/// A task that asks people to approve, as it was signed when its automation was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalGate {
    /// The task's JSON Pointer.
    pub task: String,
    /// How many people it takes.
    pub quorum: u8,
    /// Actions that the document calls only after this task: none of them is called in a run before
    /// the jail has the approval on record.
    pub behind: Vec<ConnectionGrant>,
}

impl ApprovalGate {
    /// Whether this action through this connection stands behind the task.
    #[must_use]
    pub fn guards(&self, connection: &PinnedConnection, action: &PinnedAction) -> bool {
        self.behind
            .iter()
            .any(|grant| grant.connection == *connection && grant.actions.contains(action))
    }
}

/// What somebody says to what they are asked to approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalDecision {
    /// It may go on.
    Approve,
    /// It may not; one is enough.
    Reject,
}

/// People are asked to approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalAsked {
    /// The step that asks.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// The automation.
    pub automation: AutomationName,
    /// Who ordered the run; they can't approve.
    pub requester: Principal,
    /// What is shown to those who may answer, keyed by the salt of this asking.
    pub payload: KeyedDigest,
    /// How many people it takes.
    pub quorum: u8,
    /// Until when an answer counts.
    pub deadline: UnixTime,
    /// Actions that wait for it.
    pub behind: Vec<ConnectionGrant>,
}

/// Somebody has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDecided {
    /// Digest of the `run.approve` writ.
    pub writ: Digest,
    /// Who signed it.
    pub principal: Principal,
    /// The step that asks.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// What they said.
    pub decision: ApprovalDecision,
    /// When.
    pub at: UnixTime,
    /// Why they may.
    pub because: DecisionRecord,
}

/// What the answers so far come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Answers are missing.
    Open,
    /// As many people as it takes have approved, and none has rejected.
    Approved,
    /// Somebody has rejected.
    Rejected,
}

impl ApprovalAsked {
    /// What these answers come to. Each person counts once, and the one who asks never.
    #[must_use]
    pub fn verdict<'a>(
        &self,
        answers: impl IntoIterator<Item = (&'a Principal, ApprovalDecision)>,
    ) -> Verdict {
        let mut people: Vec<&Principal> = Vec::new();
        for (principal, decision) in answers {
            match decision {
                ApprovalDecision::Reject => return Verdict::Rejected,
                ApprovalDecision::Approve => {
                    if *principal != self.requester && !people.contains(&principal) {
                        people.push(principal);
                    }
                }
            }
        }
        let enough = people.len() >= usize::from(self.quorum.max(1));
        if enough { Verdict::Approved } else { Verdict::Open }
    }
}

/// What people are shown of a call that a guardrail demands approval of: an object of `message` and `payload`.
/// `spelled_out` is the method, host and path of a `call: http`, whose action has no pack to look them up in.
#[must_use]
pub fn shown_call(
    connection: &PinnedConnection,
    action: &PinnedAction,
    spelled_out: Option<serde_json::Value>,
    parameters: &serde_json::Value,
) -> String {
    let message = format!("call {} through {}", action.name, connection.name);
    let mut payload = serde_json::json!({
        "action": action, "connection": connection, "parameters": parameters,
    });
    if let (Some(call), Some(members)) = (spelled_out, payload.as_object_mut()) {
        members.insert("call".to_owned(), call);
    }
    serde_json::json!({ "message": message, "payload": payload }).to_string()
}

/// The salt of one asking.
pub struct ApprovalSalt(RunKey);

impl ApprovalSalt {
    /// The salt of this asking of a run; always the same, and like no other.
    #[must_use]
    pub fn of(run_key: &RunKey, step: &StepId, attempt: u32) -> Self {
        let asking = format!("{step}\n{attempt}");
        let salt = run_key.digest(RunDatum::ApprovalSalt, asking.as_bytes());
        Self(RunKey::from_bytes(Zeroizing::new(*salt.as_bytes())))
    }

    /// The salt as it travels to those who may see the text; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(RunKey::from_bytes(Zeroizing::new(bytes.try_into().ok()?))))
    }

    /// Its text: 43 characters of unpadded base64url.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.expose())
    }

    /// The digest of what is shown, exactly as it is shown.
    #[must_use]
    pub fn digest(&self, shown: &str) -> KeyedDigest {
        self.0.digest(RunDatum::Approval, shown.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> RunKey {
        RunKey::from_bytes(Zeroizing::new([byte; 32]))
    }

    fn step(iteration: u32) -> StepId {
        StepId { task: "/do/0/ask".to_owned(), iteration }
    }

    fn person(sub: &str) -> Principal {
        Principal { iss: "https://idp.example".to_owned(), sub: sub.to_owned() }
    }

    fn asked(quorum: u8) -> ApprovalAsked {
        ApprovalAsked {
            step: step(0),
            attempt: 1,
            automation: "secops/contain".parse().unwrap(),
            requester: person("ann"),
            payload: ApprovalSalt::of(&key(1), &step(0), 1).digest("{}"),
            quorum,
            deadline: UnixTime(9),
            behind: Vec::new(),
        }
    }

    #[test]
    fn whoever_has_text_and_salt_computes_the_digest_and_nothing_else_gives_it() {
        let salt = ApprovalSalt::of(&key(1), &step(0), 1);
        let digest = salt.digest("isolate web-17");

        let handed_on = ApprovalSalt::parse(&salt.to_text()).unwrap();
        assert_eq!(handed_on.digest("isolate web-17"), digest);
        assert_ne!(handed_on.digest("isolate web-18"), digest);
        for other in [
            ApprovalSalt::of(&key(2), &step(0), 1),
            ApprovalSalt::of(&key(1), &step(1), 1),
            ApprovalSalt::of(&key(1), &step(0), 2),
        ] {
            assert_ne!(other.digest("isolate web-17"), digest);
        }
        assert!(ApprovalSalt::parse("c2hvcnQ").is_none());
    }

    #[test]
    fn it_takes_different_people_and_never_the_one_who_asks() {
        let (ann, bob, cyd) = (person("ann"), person("bob"), person("cyd"));
        let yes = ApprovalDecision::Approve;
        let asked = asked(2);
        assert_eq!(asked.verdict([(&bob, yes), (&bob, yes)]), Verdict::Open);
        assert_eq!(asked.verdict([(&bob, yes), (&ann, yes)]), Verdict::Open);
        assert_eq!(asked.verdict([(&bob, yes), (&cyd, yes)]), Verdict::Approved);
        let no = ApprovalDecision::Reject;
        assert_eq!(asked.verdict([(&bob, yes), (&cyd, yes), (&bob, no)]), Verdict::Rejected);
    }

    #[test]
    fn a_quorum_of_nobody_is_one_of_one() {
        assert_eq!(asked(0).verdict([]), Verdict::Open);
    }
}
