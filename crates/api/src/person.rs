//! What persons (the CLI, later the console) and the control plane exchange.
//!
//! Under `/v1/tenants/{ten}`:
//!
//! | route | body → answer |
//! | --- | --- |
//! | `GET /charter?from=<seq>` | → [`CharterPage`] |
//! | `POST /charter` | [`AppendEntry`] → [`Appended`], after a witness cosigned |
//! | `PUT /content/{digest}` | [`Content`] → 204 |
//! | `GET /content/{digest}` | → [`Content`] |
//! | `POST /runs` | [`StartRunOrder`] → 202 [`StartedRun`] |
//! | `POST /runs/{run}/resume` | [`RunOrder`] → 202 |
//! | `POST /runs/{run}/cancel` | [`RunOrder`] → 202 |
//! | `POST /runs/{run}/approve` | [`RunOrder`] → 202 |
//! | `GET /approvals` | → [`ApprovalList`]: what waits for the caller |
//! | `POST /connections/test` | [`TestConnectionOrder`] → 202 |
//! | `GET /connections/tests/{writ}` | → [`TestStatus`] |
//! | `GET /sessions` | → [`SessionList`] |
//! | `POST /sessions/revoke` | [`RunOrder`] → 202 |
//! | `GET /runs` | → [`RunList`] |
//! | `GET /runs/{run}` | → [`RunStatus`] |
//! | `GET /audit?from=<index>` | → [`AuditPage`] |
//!
//! On the gateway's second origin: `GET /v1/charter?from=<seq>` → [`CharterPage`]; `POST /v1/charter`,
//! [`PushEntries`](crate::PushEntries) → [`Pushed`](crate::Pushed); `GET /v1/runs/{run}/output` → the output's JSON;
//! `GET /v1/runs/{run}/approval` → [`ShownApproval`](crate::ShownApproval), for those who may answer.

use serde::{Deserialize, Serialize};
use writ_evidence::{audit::AuditRecord, charter::UnverifiedEntry, idc::UnverifiedIdc};
use writ_model::{
    AutomationName, ConnectionName, Digest, Principal, RunId, StandingName, StepId, UnixTime,
};

use crate::{AskedApproval, SealedInput};

/// Charter entries, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharterPage {
    /// Entries from the number asked for; all there are, up to a page.
    pub entries: Vec<UnverifiedEntry>,
    /// Number of the newest entry.
    pub seq: u64,
}

/// A candidate, or an entry that was made without the control plane.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendEntry {
    /// Body, writ and credential; cosignatures if it is an entry already.
    pub entry: UnverifiedEntry,
}

/// The candidate is an entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appended {
    /// Its number.
    pub seq: u64,
    /// Its digest: the new head.
    pub head: Digest,
}

/// What a piece of content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentKind {
    /// A closed bundle.
    Bundle,
    /// An action pack.
    Pack,
    /// Fixed parameters of a standing writ: JSON of a list of [`SealedInput`].
    Parameters,
}

/// Content that charter or writ names by digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// What it is.
    pub kind: ContentKind,
    /// Its exact text.
    pub text: String,
}

/// An order to start a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRunOrder {
    /// The compact writ.
    pub writ: String,
    /// Its signer's credential.
    pub idc: UnverifiedIdc,
    /// Run key and input, sealed to each runner of the group.
    pub sealed: Vec<SealedInput>,
}

/// A run was ordered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartedRun {
    /// The run, which the client can compute for itself from the writ.
    pub run: RunId,
}

/// An order about a run that is under way: to resume or to cancel it, or to approve what it asks; or to revoke a
/// session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOrder {
    /// The compact writ.
    pub writ: String,
    /// Its signer's credential.
    pub idc: UnverifiedIdc,
}

/// An order to test a connection. It is named by its writ's digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestConnectionOrder {
    /// The compact writ.
    pub writ: String,
    /// Its signer's credential.
    pub idc: UnverifiedIdc,
}

/// What came of an order to test a connection: metadata only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestStatus {
    /// The connection.
    pub connection: ConnectionName,
    /// Whether a runner has answered.
    pub done: bool,
    /// The jail's receipt or refusal, compact, for the reader to verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// Stable code of a refusal that the jail did not sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The rule behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Sessions as the control plane has seen them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionList {
    /// The newest first: the caller's own, or everybody's if they may revoke everybody's.
    pub sessions: Vec<SessionStatus>,
}

/// One session: metadata only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionStatus {
    /// What names it: the digest of its credential.
    pub session: Digest,
    /// Whose it is.
    pub principal: Principal,
    /// The client id that the login went through, or the workload's name in the charter.
    pub through: String,
    /// When something of it was first seen here.
    pub first_seen: UnixTime,
    /// When something of it was last seen here, to the minute.
    pub last_seen: UnixTime,
    /// Until when it was fresh when it was last seen.
    pub until: UnixTime,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<UnixTime>,
    /// Runner groups that have not answered its revocation yet.
    #[serde(default)]
    pub waiting: u32,
}

/// Where a run is. Only ever moves down this list, but for suspended and running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunPhase {
    /// Waiting for a runner to take it.
    Ordered,
    /// Accepted by the jail; going on.
    Running,
    /// A step may or may not have happened; `run.resume` says what to do.
    Suspended,
    /// Ended with an output.
    Completed,
    /// Ended with an error.
    Faulted,
    /// The jail refused it; nothing was done.
    Refused,
}

impl RunPhase {
    /// Whether the run will not change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Faulted | Self::Refused)
    }
}

/// A run as the control plane knows it: metadata only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunStatus {
    /// The run.
    pub run: RunId,
    /// Its automation.
    pub automation: AutomationName,
    /// Who ordered it; who granted the standing writ that did.
    pub principal: Principal,
    /// The standing writ that started it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingName>,
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
    /// When it was ordered.
    pub ordered_at: UnixTime,
    /// When it last changed.
    pub changed_at: UnixTime,
    /// The jail's statements about it, compact, oldest first.
    pub statements: Vec<String>,
}

/// Runs, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunList {
    /// The runs, without their statements.
    pub runs: Vec<RunStatus>,
}

/// Approvals that wait for the caller.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalList {
    /// Those that the caller may answer and has not.
    pub approvals: Vec<AskedApproval>,
}

/// A page of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditPage {
    /// Records from the index asked for, a page of them.
    pub records: Vec<AuditRecord>,
    /// Checkpoints whose size lies after the index asked for, oldest first.
    pub checkpoints: Vec<String>,
    /// How many records there are.
    pub size: u64,
}
