//! What runner and jail say to each other about approvals.

use serde::{Deserialize, Serialize};
use writ_evidence::approval::{ApprovalDecided, Verdict};
use writ_model::{RunId, StepId, UnixTime};

/// A run asks people to approve. Asked again about the same step and attempt, it asks nothing new.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestApproval {
    /// The run.
    pub run: RunId,
    /// The step that asks; its task must stand in the footprint.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// What those who may answer are shown, as JSON text, exactly as digested.
    pub shown: String,
    /// Until when an answer counts; the run's own deadline, if that is earlier or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixTime>,
}

/// What people were asked, and what they have answered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalState {
    /// The jail's compact statement of what is asked.
    pub asked: String,
    /// What is shown, where the jail itself says it: a call that a guardrail demands approval of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// The salt of this asking, for those who may see what is shown.
    pub salt: String,
    /// Until when an answer counts.
    pub deadline: UnixTime,
    /// The answers, oldest first.
    pub answers: Vec<ApprovalDecided>,
    /// What they come to.
    pub verdict: Verdict,
}
