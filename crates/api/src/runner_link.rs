//! What a runner and the control plane exchange. The runner dials and asks; nobody dials it.
//!
//! Under `/v1/tenants/{ten}/runner`:
//!
//! | route | body → answer |
//! | --- | --- |
//! | `POST /take` | [`Take`] → [`RunnerTasks`], at once or after at most 20 s |
//! | `POST /report` | [`RunnerReports`] → 204, once they are durable |
//!
//! A task is given again until its report arrives, so that a crash on either side loses none;
//! the jail's `jti` set makes a second delivery harmless.

use serde::{Deserialize, Serialize};
use writ_evidence::{charter::UnverifiedEntry, idc::UnverifiedIdc, seal::Sealed};
use writ_model::{Digest, RunId, RunnerId, StepId, UnixTime};

use crate::RunPhase;

/// What a runner has, so that it is given what it lacks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// Number of the newest charter entry that its jail folded; absent if none.
    pub charter_seq: Option<u64>,
    /// Leaves of the last tree that its jail signed: what the next one must extend. The control
    /// plane may never have received that signature.
    pub checkpoint_size: u64,
    /// When another witness last attested the charter to its jail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested_at: Option<UnixTime>,
    /// How many statements its jail has made: one that has made fewer than the control plane holds was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<u64>,
    /// Digests of the `connection.test` writs that it is carrying out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub testing: Vec<Digest>,
}

/// What there is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerTasks {
    /// In this order.
    pub tasks: Vec<RunnerTask>,
}

/// One thing to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "task", content = "with", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RunnerTask {
    /// Charter entries to fold.
    Charter {
        /// Oldest first.
        entries: Vec<UnverifiedEntry>,
    },
    /// The newest statement of the jail's that the control plane holds, where the jail has made fewer.
    Shown {
        /// The compact statement.
        statement: String,
    },
    /// The control plane lacks entries that the runner's jail has folded: they are to be reported.
    SendCharter {
        /// Number of the newest entry that the control plane has.
        after: u64,
    },
    /// A candidate to judge and cosign, as witness.
    Cosign {
        /// Body, writ and credential.
        candidate: Box<UnverifiedEntry>,
    },
    /// A tree to sign, as witness.
    Checkpoint {
        /// Leaves.
        size: u64,
        /// Root.
        root: Digest,
        /// RFC 6962 consistency proof from the last size that this witness signed.
        consistency: Vec<Digest>,
    },
    /// Other witnesses' checkpoints: word of how new the charter is.
    Attestations {
        /// Compact `checkpoint+jwt`s.
        checkpoints: Vec<String>,
    },
    /// A run to start.
    Start {
        /// The compact writ.
        writ: String,
        /// Its signer's credential.
        idc: UnverifiedIdc,
        /// Run key and input, sealed to this runner.
        sealed: Sealed,
    },
    /// A run to cancel.
    Cancel {
        /// The run.
        run: RunId,
        /// The compact writ.
        writ: String,
        /// Its signer's credential.
        idc: UnverifiedIdc,
    },
    /// A connection to test.
    TestConnection {
        /// The compact writ.
        writ: String,
        /// Its signer's credential.
        idc: UnverifiedIdc,
    },
    /// A session to revoke.
    RevokeSession {
        /// The compact writ.
        writ: String,
        /// Its signer's credential.
        idc: UnverifiedIdc,
        /// The credential that is revoked.
        session: Box<UnverifiedIdc>,
    },
    /// An answer to what a run asks people to approve.
    Approve {
        /// The run.
        run: RunId,
        /// The compact writ.
        writ: String,
        /// Its signer's credential.
        idc: UnverifiedIdc,
    },
    /// A suspended run to resume.
    Resume {
        /// The run.
        run: RunId,
        /// The compact writ.
        writ: String,
        /// Its signer's credential.
        idc: UnverifiedIdc,
    },
}

/// Run key and input, sealed to one runner.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedInput {
    /// The runner.
    pub runner: RunnerId,
    /// HPKE ciphertext.
    pub sealed: Sealed,
}

/// What a runner has to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerReports {
    /// In the order in which they came to be.
    pub reports: Vec<RunnerReport>,
}

/// One thing a runner has to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "report", content = "with", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RunnerReport {
    /// Entries of the charter that the control plane may lack, oldest first: they were pushed to the gateway, or
    /// the control plane was restored. It verifies them as everybody does, and passes over what it has.
    Charter {
        /// Complete entries.
        entries: Vec<UnverifiedEntry>,
    },
    /// The witness's verdict over a candidate.
    Candidate {
        /// The candidate's digest.
        digest: Digest,
        /// Cosignature or refusal.
        verdict: CandidateVerdict,
    },
    /// A signed tree.
    Checkpoint {
        /// Compact `checkpoint+jwt`.
        checkpoint: String,
    },
    /// A statement of the jail.
    Statement {
        /// Compact statement.
        statement: String,
    },
    /// Where a run is.
    Status(StatusReport),
    /// A test was carried out or refused, and need not be given again. Its outcome is a statement.
    TestDone {
        /// Digest of the `connection.test` writ.
        writ: Digest,
        /// Code and reason, if it was refused.
        refused: Option<(String, String)>,
    },
    /// An order about a run or a session was carried out or refused, and need not be given again.
    ResumeDone {
        /// Digest of the `run.resume` writ.
        writ: Digest,
        /// Code and reason, if it was refused.
        refused: Option<(String, String)>,
    },
}

/// A witness's verdict.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum CandidateVerdict {
    /// Compact `cosignature+jwt`.
    Cosigned(String),
    /// Code and reason.
    Refused {
        /// Stable code.
        code: String,
        /// The rule.
        reason: String,
    },
}

/// Where a run is, as its runner says. No run data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusReport {
    /// The run.
    pub run: RunId,
    /// Where it is.
    pub phase: RunPhase,
    /// Stable code of a fault or refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The rule behind a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The step in doubt, if suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Which attempt of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}
