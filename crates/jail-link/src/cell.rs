//! What a jail hands to a cell, and what comes back: one order, one outcome, one call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use writ_evidence::issuer::JwksEndpoint;
use writ_model::{ActionName, Connection, pack::Action};

use crate::FailedStep;

/// What a cell is started for: one thing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CellTask {
    /// Make a permitted call.
    Call(Box<CellOrder>),
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

/// How the call ended.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum CellOutcome {
    /// The projected, redacted output.
    Output(Value),
    /// It failed.
    Failed(FailedStep),
}
