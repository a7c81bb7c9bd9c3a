//! Runs that this jail has accepted and not closed, and the permits that their steps get.
//!
//! `AcceptedRun → StepPermit → Receipt`: a permit is made only from an accepted run after every
//! check, and is spent by making its receipt. Run keys live here while a run is open.

use std::collections::BTreeMap;

use writ_evidence::{
    digest::{RunDatum, RunKey},
    statement::{Acceptance, ActionDone, CodeDone, DecisionRecord, StepOutcome},
};
use writ_jail_link::{CodeResult, FailedStep};
use writ_model::{CodeLanguage, Digest, KeyedDigest, PinnedAction, PinnedConnection, UnixTime};

use crate::state::Attempt;

/// A run that was accepted and is open.
pub struct AcceptedRun {
    pub(crate) acceptance: Acceptance,
    pub(crate) key: RunKey,
    /// Code steps that may run or have run without a receipt.
    pub(crate) code: BTreeMap<Attempt, CodePermit>,
}

impl AcceptedRun {
    pub(crate) const fn new(acceptance: Acceptance, key: RunKey) -> Self {
        Self { acceptance, key, code: BTreeMap::new() }
    }

    pub(crate) fn outcome(&self, result: &CodeResult) -> StepOutcome {
        match result {
            CodeResult::Output(text) => {
                StepOutcome::Ok { output: self.key.digest(RunDatum::StepOutput, text.as_bytes()) }
            }
            CodeResult::Failed(FailedStep { code, status, .. }) => {
                StepOutcome::Failed { code: code.clone(), status: *status }
            }
        }
    }
}

/// One action may be called once. Only `flow::action::permit` makes one.
pub struct StepPermit {
    pub(crate) attempt: Attempt,
    pub(crate) action: PinnedAction,
    pub(crate) connection: PinnedConnection,
    pub(crate) decision: DecisionRecord,
    pub(crate) input: KeyedDigest,
    pub(crate) started_at: UnixTime,
}

impl StepPermit {
    /// Spends the permit: what the receipt says.
    pub(crate) fn done(self, outcome: StepOutcome) -> ActionDone {
        ActionDone {
            step: self.attempt.step,
            attempt: self.attempt.attempt,
            action: self.action,
            connection: self.connection,
            decision: self.decision,
            input: self.input,
            started_at: self.started_at,
            outcome,
        }
    }
}

/// One code step may run. Only `flow::code::permit` makes one.
pub struct CodePermit {
    pub(crate) language: CodeLanguage,
    pub(crate) code: Digest,
    pub(crate) started_at: UnixTime,
}

impl CodePermit {
    /// Spends the permit: what the receipt says.
    pub(crate) fn done(
        self,
        attempt: Attempt,
        limits: (u32, u64),
        input: KeyedDigest,
        outcome: StepOutcome,
    ) -> CodeDone {
        CodeDone {
            step: attempt.step,
            attempt: attempt.attempt,
            language: self.language,
            code: self.code,
            limit_wall_s: limits.0,
            limit_memory: limits.1,
            input,
            started_at: self.started_at,
            outcome,
        }
    }
}
