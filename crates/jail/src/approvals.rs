//! What this jail has asked people, and what they have answered: the fold of its own statements.
//!
//! Invariants:
//! * an asking never changes; an answer belongs to one asking of one run;
//! * a task's approval holds if the newest asking of it has been approved: a rejection, and a time-out,
//!   are not outlived by an approval before.
//!
//! Not here: who may answer, and which writ counts (`flow::approve`).

use std::collections::BTreeMap;

use writ_evidence::{
    approval::{ApprovalAsked, ApprovalDecided, ApprovalDecision, Verdict},
    charter::{CharterState, Subject},
};
use writ_model::{Principal, RunId};

use crate::state::Attempt;

/// Askings of runs that are not closed.
#[derive(Default)]
pub struct Approvals(BTreeMap<Attempt, Approval>);

/// One asking, and its answers.
pub struct Approval {
    /// The number of the statement that asks.
    pub number: u64,
    /// What is asked.
    pub asked: ApprovalAsked,
    /// Answers, oldest first.
    pub answers: Vec<ApprovalDecided>,
}

impl Approval {
    /// What the answers so far come to. An approval of somebody who has been suspended since counts no more; a
    /// rejection does.
    #[must_use]
    pub fn verdict(&self, charter: &CharterState) -> Verdict {
        let stopped = |who: &Principal| charter.is_suspended(&Subject::User(who.clone()));
        let answers = self.answers.iter().map(|answer| (&answer.principal, answer.decision));
        self.asked.verdict(
            answers.filter(|(who, said)| *said == ApprovalDecision::Reject || !stopped(who)),
        )
    }
}

impl Approvals {
    /// Notes what is asked, by the statement of this number.
    pub(crate) fn ask(&mut self, run: RunId, number: u64, asked: ApprovalAsked) {
        let attempt = Attempt { run, step: asked.step.clone(), attempt: asked.attempt };
        self.0.entry(attempt).or_insert(Approval { number, asked, answers: Vec::new() });
    }

    /// Notes an answer.
    pub(crate) fn answer(&mut self, run: RunId, decided: ApprovalDecided) {
        let attempt = Attempt { run, step: decided.step.clone(), attempt: decided.attempt };
        if let Some(approval) = self.0.get_mut(&attempt) {
            approval.answers.push(decided);
        }
    }

    /// Forgets a run that is closed.
    pub(crate) fn forget(&mut self, run: RunId) {
        self.0.retain(|attempt, _| attempt.run != run);
    }

    /// One asking.
    #[must_use]
    pub fn of(&self, attempt: &Attempt) -> Option<&Approval> {
        self.0.get(attempt)
    }

    /// Whether people have approved what this task of the run asked last.
    #[must_use]
    pub fn holds(&self, run: RunId, task: &str, charter: &CharterState) -> bool {
        let asked = self.0.iter().filter(|(of, _)| of.run == run && of.step.task == task);
        let newest = asked.max_by_key(|(of, _)| (of.step.iteration, of.attempt));
        newest.is_some_and(|(_, approval)| approval.verdict(charter) == Verdict::Approved)
    }
}
