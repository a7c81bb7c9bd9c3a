//! What a run asks people to approve, as far as each side may know it.
//!
//! The control plane knows the jail's statements: that something is asked, by whose run, how many people
//! it takes, who has answered. What is asked *about* is run data: [`ShownApproval`] passes from the
//! runner through the gateway to those who may answer.

use serde::{Deserialize, Serialize};
use writ_evidence::{
    approval::{ApprovalAsked, ApprovalDecided, Verdict},
    jws::UnverifiedJws,
    statement::{Done, Says, Statement},
};
use writ_model::{RunId, UnixTime};

/// Something that a run asks, with the answers so far, as its jail's statements say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedApproval {
    /// The run.
    pub run: RunId,
    /// What is asked.
    pub asked: ApprovalAsked,
    /// Answers, oldest first.
    pub answers: Vec<ApprovalDecided>,
}

impl AskedApproval {
    /// What the answers so far come to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let answers = self.answers.iter().map(|answer| (&answer.principal, answer.decision));
        self.asked.verdict(answers)
    }

    /// Whether an answer would still count.
    #[must_use]
    pub fn is_open(&self, now: UnixTime) -> bool {
        self.verdict() == Verdict::Open && now <= self.asked.deadline
    }
}

/// What the statements about a run say that it has asked, oldest first. They are read, not verified.
#[must_use]
pub fn asked_in(statements: &[String]) -> Vec<AskedApproval> {
    let mut asked: Vec<AskedApproval> = Vec::new();
    for compact in statements {
        let said: Result<Statement, _> = UnverifiedJws::parse(compact).and_then(|jws| jws.peek());
        let Ok(Statement { says: Says::Receipt(receipt), .. }) = said else { continue };
        match receipt.done {
            Done::Asked(new) => {
                asked.push(AskedApproval { run: receipt.run, asked: new, answers: Vec::new() });
            }
            Done::Decided(answer) => {
                let of = |known: &&mut AskedApproval| {
                    known.asked.step == answer.step && known.asked.attempt == answer.attempt
                };
                if let Some(known) = asked.iter_mut().find(of) {
                    known.answers.push(answer);
                }
            }
            Done::Closed(_) | Done::Cancelled(_) => asked.clear(),
            Done::Action(_) | Done::Code(_) | Done::Resumed(_) => {}
        }
    }
    asked
}

/// What those who may answer are shown, and what makes it sure.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownApproval {
    /// The jail's compact statement of what is asked; it names the digest of `shown`.
    pub asked: String,
    /// The salt that the digest is keyed by.
    pub salt: String,
    /// JSON text of `message` and `payload`, exactly as digested.
    pub shown: String,
}
