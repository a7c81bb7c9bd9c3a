//! What runner, jail, cell, launchers and broker say to each other: typed, length-prefixed JSON.
//!
//! Pure: shapes and their strict (de)coding. Descriptors travel beside messages, in
//! `confine::channel`. Whatever arrives here is `Unverified…` or plain data; the receiver verifies
//! for itself.
//!
//! Read: `runner_jail` (the long conversation), then `approval`, `cell`, `broker`, `launcher`, `sandbox`, `standing`.

mod approval;
mod broker;
mod cell;
mod codec;
mod launcher;
mod run_key;
mod runner_jail;
mod sandbox;
mod standing;

pub use approval::{ApprovalState, RequestApproval};
pub use broker::{BrokerRefusal, BrokerReply, BrokerRequest};
pub use cell::{
    CellOrder, CellOutcome, CellTask, ConnectionTried, HttpOrder, HttpParameters, IssuerKeysOrder,
    TestOrder,
};
pub use codec::{MessageError, decode, encode};
pub use launcher::{CellStarted, LauncherLink, LauncherReply, LauncherRequest};
pub use run_key::RunKeyText;
pub use runner_jail::{
    ActionResult, CallAction, CloseRun, CodeResult, Described, Envelope, FailedStep, JailReply,
    JailRequest, MayRead, MayReadCharter, OpenRun, PermitCode, RecordCode, Refused, ReopenRun,
    ResumeRun, RevokeSession, SnapshotMark, SnapshotPage, TestConnection,
};
pub use sandbox::{SandboxFailure, SandboxOrder, SandboxReport};
pub use standing::{
    Delivery, DeliveryVerdict, DueStanding, Fired, OpenStanding, StandingRun, WebhookOrder,
};
