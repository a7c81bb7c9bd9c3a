//! What a jail hands to a cell, and what comes back: one order, one outcome, one call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use writ_model::{ActionName, Connection, pack::Action};

use crate::FailedStep;

/// One permitted call.
#[derive(Serialize, Deserialize)]
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
