//! A step's error, as documents catch it: Serverless Workflow errors, which are problem details
//! (RFC 9457), with Writ's code and the wait that a service asked for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

const TYPES: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/";

/// Why a step, or a run, failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepError {
    /// Kind of error, a URI.
    #[serde(rename = "type")]
    pub type_: String,
    /// HTTP status, or its likeness.
    pub status: u16,
    /// A short summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// More about this occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// JSON Pointer of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Writ's stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Seconds that a service asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl StepError {
    /// An error of one of the standard's kinds, such as `runtime` or `expression`.
    #[must_use]
    pub fn standard(kind: &str, status: u16, code: &str, instance: &str) -> Self {
        Self {
            type_: format!("{TYPES}{kind}"),
            status,
            title: Some(code.to_owned()),
            detail: None,
            instance: Some(instance.to_owned()),
            code: Some(code.to_owned()),
            retry_after_s: None,
        }
    }

    /// The error as a value that expressions see.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}
