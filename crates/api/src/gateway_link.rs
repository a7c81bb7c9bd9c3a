//! What a runner and its gateway exchange. The runner dials; the gateway hands it requests.
//!
//! Under `/link`, with the runner's request proof:
//!
//! | route | body → answer |
//! | --- | --- |
//! | `POST /hello` | [`GatewayHello`] → [`GatewayHeard`], once the entries are folded to the gateway's anchor |
//! | `POST /take` | `{}` → [`GatewayTake`], at once or after at most 20 s |
//! | `POST /reply` | [`GatewayReply`] → 204 |
//!
//! Outputs and webhooks pass through the gateway as they are written to the reader; it keeps none. So do
//! entries of the charter that somebody pushes ([`PushEntries`]), and the charter that somebody reads.

use serde::{Deserialize, Serialize};
use writ_evidence::{charter::UnverifiedEntry, idc::UnverifiedIdc};
use writ_model::{Digest, RunId, WebhookPath};

use crate::Problem;

/// The runner brings the charter, a page at a time, from which the gateway learns the runner's key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayHello {
    /// Oldest first; entries that the gateway has are passed over.
    pub entries: Vec<UnverifiedEntry>,
}

/// How far the gateway has the charter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayHeard {
    /// The number of the first entry that it lacks.
    pub next: u64,
}

/// Requests that wait at the gateway.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayTake {
    /// Each with the number to reply to.
    pub reads: Vec<ReadOutput>,
    /// Webhooks' deliveries, each with the number to reply to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<WebhookDelivery>,
    /// Entries of the charter that somebody pushes, each push with the number to reply to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pushes: Vec<Push>,
    /// Reads of the charter, each with the number to reply to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charter_reads: Vec<ReadCharter>,
}

impl GatewayTake {
    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.reads.is_empty()
            && self.deliveries.is_empty()
            && self.pushes.is_empty()
            && self.charter_reads.is_empty()
    }
}

/// Entries of the charter that somebody brings to a gateway, without the control plane (DESIGN §3.3). They carry
/// their own signatures; whoever brings them needs no login.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushEntries {
    /// Complete entries, oldest first; or one candidate.
    pub entries: Vec<UnverifiedEntry>,
}

/// A push as the runner takes it. Nothing here is verified yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// The number to reply to.
    pub id: u64,
    /// What is pushed.
    pub pushed: PushEntries,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase", deny_unknown_fields)]
pub enum Pushed {
    /// Everything pushed is in the charter that the runner's jail has folded.
    Folded {
        /// Number of the jail's newest entry.
        seq: u64,
        /// Its digest.
        head: Digest,
        /// The last entry that was pushed, with the cosignatures that made it one.
        entry: Box<UnverifiedEntry>,
    },
    /// It is no entry yet: the jail has cosigned, and others have to.
    Cosigned {
        /// The candidate with every cosignature so far. Another candidate than was pushed, if the witness
        /// had cosigned that one before: a witness signs one for each number.
        entry: Box<UnverifiedEntry>,
        /// Cosignatures that make it an entry.
        needed: u8,
    },
}

/// Somebody wants to read the charter. Nothing here is verified yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadCharter {
    /// The number to reply to.
    pub id: u64,
    /// The first entry that is wanted.
    pub from: u64,
    /// The reader's credential.
    pub idc: UnverifiedIdc,
    /// The request's proof of possession.
    pub proof: String,
    /// The request's method.
    pub method: String,
    /// The request's URL as the reader knows it.
    pub url: String,
}

/// A webhook's delivery as it arrived. Nothing here is verified; it is run data, so that it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookDelivery {
    /// The number to reply to.
    pub id: u64,
    /// The last part of its address.
    pub path: WebhookPath,
    /// Header names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte, as base64url.
    pub body: String,
}

/// What of a run somebody wants to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadWhat {
    /// Its output.
    #[default]
    Output,
    /// What it asks people to approve.
    Approval,
}

/// Somebody wants to read of a run. Nothing here is verified yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadOutput {
    /// The number to reply to.
    pub id: u64,
    /// The run.
    pub run: RunId,
    /// What of it.
    #[serde(default)]
    pub what: ReadWhat,
    /// The reader's credential.
    pub idc: UnverifiedIdc,
    /// The request's proof of possession.
    pub proof: String,
    /// The request's method.
    pub method: String,
    /// The request's URL as the reader knows it.
    pub url: String,
}

/// The runner's answer.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayReply {
    /// The request's number.
    pub id: u64,
    /// The output's JSON text, or what became of the delivery; or why not.
    pub result: Result<String, Problem>,
}
