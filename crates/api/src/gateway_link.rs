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
//! Outputs and webhooks pass through the gateway as they are written to the reader; it keeps none.

use serde::{Deserialize, Serialize};
use writ_evidence::{charter::UnverifiedEntry, idc::UnverifiedIdc};
use writ_model::{RunId, WebhookPath};

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
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayTake {
    /// Each with the number to reply to.
    pub reads: Vec<ReadOutput>,
    /// Webhooks' deliveries, each with the number to reply to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<WebhookDelivery>,
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
