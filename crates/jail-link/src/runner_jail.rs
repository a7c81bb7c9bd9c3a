//! The conversation between the runner and its jail: numbered requests, numbered replies.
//!
//! Run data (inputs, parameters, outputs) stands here as JSON text, exactly as digested.

use serde::{Deserialize, Serialize};
use writ_evidence::{charter::UnverifiedEntry, idc::UnverifiedIdc, key::PublicKey};
use writ_model::{
    ActionName, CodeLanguage, ConnectionName, Digest, IsolationReport, RunId, StepId, TenantId,
    UnixTime,
};

use crate::{
    approval::{ApprovalState, RequestApproval},
    run_key::RunKeyText,
    standing::{DueStanding, OpenStanding, StandingRun},
};

/// A numbered message; the reply carries the request's number.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope<T> {
    /// The request's number, chosen by the runner.
    pub id: u64,
    /// The message.
    pub message: T,
}

/// What a runner asks of its jail.
#[derive(Serialize, Deserialize)]
#[serde(tag = "ask", content = "with", rename_all = "kebab-case", deny_unknown_fields)]
pub enum JailRequest {
    /// Who are you? Answered by [`JailReply::Described`].
    Describe,
    /// Set the trust anchor, once (DESIGN §3.3). Answered by [`JailReply::Done`].
    Join {
        /// The tenant.
        ten: TenantId,
        /// A recent head, number and digest: no charter without it counts.
        #[serde(default)]
        head: Option<(u64, Digest)>,
    },
    /// Fold these charter entries, oldest first; entries already folded are passed over.
    /// Answered by [`JailReply::Charter`].
    Charter {
        /// Entries, from entry 0 or from any already folded one.
        entries: Vec<UnverifiedEntry>,
    },
    /// Write down what is folded, so that the next start folds only what comes after it. Answered by
    /// [`JailReply::Snapshot`], a page; the runner keeps the bytes, and the jail remembers their digest.
    TakeSnapshot {
        /// Where the page begins, in bytes; at 0 a new one is made.
        from: u64,
    },
    /// Take up a snapshot that this jail made. Answered by [`JailReply::Done`] and, after the last page, by
    /// [`JailReply::Charter`].
    ResumeCharter {
        /// Which.
        digest: Digest,
        /// Where the page begins, in bytes; pages come in order.
        from: u64,
        /// The page, as base64url.
        bytes: String,
    },
    /// Judge and cosign a candidate, as witness. Answered by [`JailReply::Cosigned`].
    Cosign {
        /// The candidate.
        candidate: Box<UnverifiedEntry>,
    },
    /// As `Cosign`, for a candidate that somebody brought to the gateway: what anybody may send is put on record
    /// only once its signatures hold. Answered by [`JailReply::Cosigned`].
    CosignPushed {
        /// The candidate.
        candidate: Box<UnverifiedEntry>,
    },
    /// May this principal read the charter? Answered by [`JailReply::Done`].
    MayReadCharter(Box<MayReadCharter>),
    /// Sign the audit log's tree, as witness. Answered by [`JailReply::Checkpoint`].
    Checkpoint {
        /// Leaves.
        size: u64,
        /// Root.
        root: Digest,
        /// RFC 6962 consistency proof from the last size this jail signed.
        consistency: Vec<Digest>,
    },
    /// Other witnesses' checkpoints: word of how new the charter is. Answered by [`JailReply::Done`].
    Attest {
        /// Compact `checkpoint+jwt`s.
        checkpoints: Vec<String>,
    },
    /// Verify a `run.start` writ and accept. Answered by [`JailReply::Opened`].
    OpenRun(Box<OpenRun>),
    /// What do the schedules of standing writs owe? Answered by [`JailReply::StandingDue`].
    StandingDue,
    /// A standing writ has fired: accept its run. Answered by [`JailReply::Opened`].
    OpenStanding(Box<OpenStanding>),
    /// Take up an accepted run after a restart. Answered by [`JailReply::Done`].
    ReopenRun(Box<ReopenRun>),
    /// Call a system action. Answered by [`JailReply::Action`].
    CallAction(Box<CallAction>),
    /// May this code run? Answered by [`JailReply::Done`].
    PermitCode(Box<PermitCode>),
    /// Write the receipt of a code step. Answered by [`JailReply::Statement`].
    RecordCode(Box<RecordCode>),
    /// Verify a `run.resume` writ. Answered by [`JailReply::Statement`].
    ResumeRun(Box<ResumeRun>),
    /// Verify a `run.cancel` writ. Answered by [`JailReply::Statement`].
    CancelRun(Box<ResumeRun>),
    /// State what a run asks people to approve, once; say what they have answered. Answered by
    /// [`JailReply::Approval`].
    RequestApproval(Box<RequestApproval>),
    /// A guardrail demands approval of this very call: state what is asked, once; say what was answered.
    /// Answered by [`JailReply::Approval`].
    RequestCallApproval {
        /// The call.
        call: Box<CallAction>,
        /// Until when an answer counts; the run's own deadline, if that is earlier or there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<UnixTime>,
    },
    /// Has the jail begun this call? Answered by [`JailReply::Begun`].
    WasBegun {
        /// The run.
        run: RunId,
        /// The step.
        step: StepId,
        /// Which attempt of it.
        attempt: u32,
    },
    /// Verify a `run.approve` writ. Answered by [`JailReply::Statement`].
    ApproveRun(Box<ResumeRun>),
    /// May this principal read what the run asks? Answered by [`JailReply::Done`].
    MayReadApproval(Box<MayRead>),
    /// Verify a `connection.test` writ, and test. Answered by [`JailReply::Statement`], whether or
    /// not the test succeeded.
    TestConnection(Box<TestConnection>),
    /// Verify a `session.revoke` writ. Answered by [`JailReply::Statement`].
    RevokeSession(Box<RevokeSession>),
    /// Close a run for good. Answered by [`JailReply::Statement`].
    CloseRun(Box<CloseRun>),
    /// May this principal read the run's output? Answered by [`JailReply::Done`].
    MayRead(Box<MayRead>),
    /// Look at what this jail's key has signed, as the control plane kept it: a jail that does not remember it was
    /// restored or copied, and stops. Answered by [`JailReply::Done`].
    Shown {
        /// A compact statement.
        statement: String,
    },
    /// The jail's statements after this number. Answered by [`JailReply::Statements`].
    Statements {
        /// The newest number that the runner has.
        after: u64,
    },
}

/// A `run.start` with everything that the jail checks it against.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRun {
    /// The compact writ.
    pub writ: String,
    /// Its signer's credential.
    pub idc: UnverifiedIdc,
    /// The closed bundle's exact bytes.
    pub bundle: String,
    /// The run key that the client sealed.
    pub run_key: RunKeyText,
    /// The input's exact bytes.
    pub input: String,
}

/// An accepted run after a restart of runner and jail.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReopenRun {
    /// The compact acceptance, which the jail checks to be its own.
    pub acceptance: String,
    /// The run key.
    pub run_key: RunKeyText,
}

/// A system action to call.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallAction {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// The action.
    pub action: ActionName,
    /// The connection.
    pub connection: ConnectionName,
    /// JSON object of its parameters, as text.
    pub parameters: String,
    /// The pack's exact bytes, which must have the acknowledged digest.
    pub pack: String,
}

/// Code that is to run in the sandbox.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermitCode {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// Its language.
    pub language: CodeLanguage,
    /// Its text.
    pub code: String,
}

/// How a code step ended, for its receipt.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordCode {
    /// The run.
    pub run: RunId,
    /// The step; it must have been permitted.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// JSON of what it was given (`ProcessInput`), as text.
    pub arguments: String,
    /// Limits that it ran under: wall-clock seconds.
    pub limit_wall_s: u32,
    /// Limits that it ran under: bytes of memory.
    pub limit_memory: u64,
    /// How it ended.
    pub result: CodeResult,
}

/// How a code step ended.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum CodeResult {
    /// JSON of the output, as text.
    Output(String),
    /// It failed.
    Failed(FailedStep),
}

/// A `run.resume`, `run.cancel` or `run.approve` writ.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeRun {
    /// The run.
    pub run: RunId,
    /// The compact writ.
    pub writ: String,
    /// Its signer's credential.
    pub idc: UnverifiedIdc,
}

/// A `connection.test` writ.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestConnection {
    /// The compact writ.
    pub writ: String,
    /// Its signer's credential.
    pub idc: UnverifiedIdc,
}

/// A `session.revoke` writ.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeSession {
    /// The compact writ.
    pub writ: String,
    /// Its signer's credential.
    pub idc: UnverifiedIdc,
    /// The credential that is revoked, unless it is the signer's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<UnverifiedIdc>,
}

/// A run that has ended.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseRun {
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub result: CodeResult,
}

/// A person who wants to read a run's output.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MayRead {
    /// The run.
    pub run: RunId,
    /// The automation that the run was accepted for: the compact acceptance.
    pub acceptance: String,
    /// The person's credential.
    pub idc: UnverifiedIdc,
    /// The request's proof of possession.
    pub proof: String,
    /// The request's method.
    pub method: String,
    /// The request's URL, without query and fragment.
    pub url: String,
}

/// A person who wants to read the charter.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MayReadCharter {
    /// The person's credential.
    pub idc: UnverifiedIdc,
    /// The request's proof of possession.
    pub proof: String,
    /// The request's method.
    pub method: String,
    /// The request's URL, without query and fragment.
    pub url: String,
}

/// The jail's answer.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", content = "with", rename_all = "kebab-case", deny_unknown_fields)]
pub enum JailReply {
    /// Refused, with code, rule and (when it belongs on record) a signed refusal.
    Refused(Refused),
    /// Nothing more to say.
    Done,
    /// Who the jail is.
    Described(Box<Described>),
    /// The charter is folded up to here.
    Charter {
        /// Newest entry's number.
        seq: u64,
        /// Newest entry's digest.
        head: Digest,
    },
    /// A page of a snapshot.
    Snapshot(SnapshotPage),
    /// The candidate is cosigned; it is an entry once folded.
    Cosigned {
        /// Compact `cosignature+jwt`.
        cosignature: String,
    },
    /// The tree is signed.
    Checkpoint {
        /// Compact `checkpoint+jwt`.
        checkpoint: String,
    },
    /// The run is accepted.
    Opened {
        /// The run.
        run: RunId,
        /// Compact `acceptance+jwt`.
        acceptance: String,
    },
    /// What schedules owe, oldest first for each standing writ.
    StandingDue {
        /// Occurrences to open in this order; a standing writ's later ones wait for its earlier.
        due: Vec<DueStanding>,
        /// Runs that are open, as far as the jail knows: one that the runner does not know was lost on its way.
        open: Vec<StandingRun>,
        /// When the next one comes, if one does.
        next: Option<UnixTime>,
    },
    /// The action was called, whether or not it succeeded.
    Action(Box<ActionResult>),
    /// What people were asked, and what they have answered.
    Approval(Box<ApprovalState>),
    /// Whether the jail has begun a call, and nobody has decided since that it may begin again.
    Begun(bool),
    /// A statement was made.
    Statement {
        /// Compact statement.
        statement: String,
    },
    /// Statements, oldest first; more may follow if there are as many as the jail sends at once.
    Statements {
        /// Compact statements.
        statements: Vec<String>,
    },
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {reason}")]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Stable code.
    pub code: String,
    /// The rule, in a sentence.
    pub reason: String,
    /// Compact `refusal+jwt`, if it belongs on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// Whether the jail has stopped: it refuses everything from now on, and says nothing of what was asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

/// A snapshot of the charter that a jail has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotMark {
    /// The number of the newest entry in it.
    pub seq: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub length: u64,
}

/// A page of a snapshot.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotPage {
    /// Which snapshot.
    pub of: SnapshotMark,
    /// Its bytes from where the page begins, as base64url.
    pub bytes: String,
}

/// Who a jail is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Its key: what an enrollment names.
    pub jail_key: PublicKey,
    /// How it is confined.
    pub isolation: IsolationReport,
    /// Its anchor, once set.
    pub ten: Option<TenantId>,
    /// The charter head that its state file remembers.
    pub head: Option<Digest>,
    /// Why it has stopped, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Refused>,
    /// The number of the newest charter entry that it has folded since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charter_seq: Option<u64>,
    /// The snapshots of the charter that it would take up, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotMark>,
    /// The number of its newest statement.
    pub statements: u64,
    /// Leaves of the last tree it signed.
    pub checkpoint_size: u64,
    /// When another witness last attested the charter to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested_at: Option<UnixTime>,
    /// Its clock, for `writ doctor`.
    pub now: UnixTime,
}

/// A called action.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionResult {
    /// The projected output as JSON text, or how it failed.
    pub result: CodeResult,
    /// Compact `receipt+jwt`.
    pub receipt: String,
}

/// How a step failed: a code and facts, never a service's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedStep {
    /// Stable code.
    pub code: String,
    /// HTTP status, if the service answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Seconds that the service asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// The reference to a secret that it is about: manager, path and field, never a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}
