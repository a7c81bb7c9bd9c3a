//! The HTTP contract: what persons, runners and gateways say to the control plane and to one
//! another, and a typed client for it.
//!
//! Every request is authenticated by a proof of possession (RFC 9449 shape) in `DPoP`; a person's
//! carries the identity credential in `Writ-Idc`, a runner's its id in `Writ-Runner`. Bodies are
//! JSON with unknown members refused. Errors are [`Problem`] documents (RFC 9457).
//!
//! Read: `surface` (every operation), `person` (what the CLI calls), `runner_link`, `gateway_link`, then
//! `client`.

mod approval;
mod client;
mod gateway_link;
mod person;
mod problem;
mod runner_link;
mod surface;
mod transport;

pub use approval::{AskedApproval, ShownApproval, asked_in};
pub use client::{CallError, Caller, Client, ClientError, Credential};
pub use gateway_link::{
    GatewayHeard, GatewayHello, GatewayReply, GatewayTake, Push, PushEntries, Pushed, ReadCharter,
    ReadOutput, ReadWhat, WebhookDelivery,
};
pub use person::{
    AppendEntry, Appended, ApprovalList, AuditPage, CharterPage, Content, ContentKind, RunList,
    RunOrder, RunPhase, RunStatus, SessionList, SessionStatus, StartRunOrder, StartedRun,
    TestConnectionOrder, TestStatus,
};
pub use problem::{PROBLEM_TYPE, Problem};
pub use runner_link::{
    CandidateVerdict, RunnerReport, RunnerReports, RunnerTask, RunnerTasks, SealedInput,
    StatusReport, Take,
};
pub use surface::{GatewayOperation, LinkOperation, ServerOperation, Verb};

/// Header that carries the proof of possession.
pub const PROOF_HEADER: &str = "dpop";
/// Header that carries a person's identity credential: base64url of its JSON.
pub const IDC_HEADER: &str = "writ-idc";
/// Header that carries a runner's id.
pub const RUNNER_HEADER: &str = "writ-runner";
pub use transport::{Listening, TlsFiles, Transport, TransportError};
