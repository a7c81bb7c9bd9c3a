//! What a jail hands to a cell, and what comes back: one order, one outcome, one call.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use writ_evidence::issuer::JwksEndpoint;
use writ_model::{ActionName, Connection, HttpCall, pack::Action};

use crate::{FailedStep, WebhookOrder};

/// What a cell is started for: one thing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CellTask {
    /// Make a permitted call.
    Call(Box<CellOrder>),
    /// Make a permitted call that a document spells out itself.
    Http(Box<HttpOrder>),
    /// Test a connection; the outcome is a [`ConnectionTried`], whether or not it succeeded.
    Test(Box<TestOrder>),
    /// Verify a webhook's delivery; the outcome is a [`DeliveryVerdict`](crate::DeliveryVerdict).
    Webhook(Box<WebhookOrder>),
    /// Fetch an issuer's JWK set; the outcome is the list of its usable keys.
    IssuerKeys(IssuerKeysOrder),
}

/// Whose keys to fetch from where.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerKeysOrder {
    /// The endpoint, from the charter.
    pub endpoint: JwksEndpoint,
    /// Seconds until the cell gives up.
    pub timeout_s: u32,
}

/// One permitted call.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellOrder {
    /// The action's name.
    pub name: ActionName,
    /// The action, from its acknowledged pack.
    pub action: Action,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// The connection, from the charter.
    pub connection: Connection,
    /// The value of the action's idempotency header, the same whenever this step is done again.
    pub idempotency_key: String,
    /// Seconds until the cell gives up.
    pub timeout_s: u32,
}

/// One permitted `call: http`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpOrder {
    /// What its publisher signed.
    pub call: HttpCall,
    /// The run data of it.
    pub parameters: HttpParameters,
    /// The connection, from the charter.
    pub connection: Connection,
    /// Seconds until the cell gives up.
    pub timeout_s: u32,
}

/// One permitted test of a connection: all of a call but its request.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestOrder {
    /// The connection, from the charter.
    pub connection: Connection,
    /// Seconds until the cell gives up.
    pub timeout_s: u32,
}

/// How far the test of a connection came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionTried {
    /// How many of the connection's hosts were reached, in its own order.
    pub reached: usize,
    /// What failed then; one about the secret names its reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedStep>,
}

/// The run data of a `call: http`. Members that are not there, and null, add nothing.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpParameters {
    /// A value for each `{name}` of the target.
    pub uri: Map<String, Value>,
    /// What follows the target's own query.
    #[serde(deserialize_with = "or_nothing")]
    pub query: Map<String, Value>,
    /// Headers beside those that Writ and the connection set.
    #[serde(deserialize_with = "or_nothing")]
    pub headers: Map<String, Value>,
    /// Text as it is; everything else as JSON.
    pub body: Option<Value>,
}

/// A mapping, or null for none.
fn or_nothing<'de, D: Deserializer<'de>>(reader: D) -> Result<Map<String, Value>, D::Error> {
    Option::deserialize(reader).map(Option::unwrap_or_default)
}

/// How a cell's one thing ended.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum CellOutcome {
    /// The projected, redacted output.
    Output(Value),
    /// It failed.
    Failed(FailedStep),
}
