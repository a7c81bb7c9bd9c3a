//! Action packs: documents that list what a service can be asked, as data and never code.
//!
//! A pack is a JSON document; its digest is what a charter acknowledges. It says how parameters
//! become a request and which typed fields of the response come back. It never says where a
//! credential goes or which host is called: the connection does.
//!
//! Not here: rendering requests and projecting responses (`jail`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ActionName, PackName};

/// One action pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The pack's name; every action starts with it.
    pub name: PackName,
    /// Semantic version, such as `1.0.0`.
    pub version: String,
    /// One sentence for people.
    pub summary: String,
    /// Where the service documents its API.
    pub documentation: String,
    /// The actions, by full name.
    pub actions: BTreeMap<ActionName, Action>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// One sentence for people.
    pub summary: String,
    /// What it does to the service.
    pub effect: Effect,
    /// Whether doing it twice is harmless.
    pub idempotency: Idempotency,
    /// Parameters by name. Others are refused.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// How parameters become a request.
    pub request: RequestTemplate,
    /// What comes back; nothing else does.
    pub response: ResponseTemplate,
}

/// What an action does to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Adds or changes something.
    Write,
    /// Removes something or can't be undone.
    Destructive,
}

/// Whether doing an action twice is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Idempotency {
    /// Twice is the same as once.
    Natural,
    /// Twice with the same value of this request header is the same as once.
    Key(String),
    /// Twice is twice.
    None,
}

/// A parameter's type and bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// JSON type.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// Whether it must be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Longest string in characters, or most items of an array; 1024 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// For strings: the values allowed.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// JSON types that a parameter may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    /// Text.
    String,
    /// A whole number that fits 64 signed bits.
    Integer,
    /// True or false.
    Boolean,
    /// A list of texts.
    Strings,
}

/// How parameters become a request. `{name}` in `path` is percent-encoded as one path segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestTemplate {
    /// HTTP method.
    pub method: Method,
    /// Absolute path with `{parameter}` segments, such as `/repos/{owner}/{repo}`.
    pub path: String,
    /// Parameters that go into the query, percent-encoded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<String>,
    /// Parameters that become members of a JSON object body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<String>,
    /// Fixed headers. Never `Authorization`, `Cookie`, `Host` or framing headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// HTTP methods that actions may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// RFC 9110 §9.3.1.
    Get,
    /// RFC 9110 §9.3.3.
    Post,
    /// RFC 5789.
    Patch,
    /// RFC 9110 §9.3.4.
    Put,
    /// RFC 9110 §9.3.5.
    Delete,
}

impl Method {
    /// The method as sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// What comes back from a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseTemplate {
    /// Statuses that mean success; anything else is an error with the status as its fact.
    pub success: Vec<u16>,
    /// What in the body says whether it succeeded, for services that answer 200 either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The typed fields that leave the cell.
    pub projection: Projection,
}

/// A verdict in an answer's body, such as Slack's `{"ok": false, "error": "channel_not_found"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The member that is `true` if the call succeeded. Anything else means that it did not.
    pub ok: String,
    /// The member that names the error.
    pub error: String,
    /// The names that the pack knows. One of them becomes the code `service-<name>`, with hyphens
    /// for underscores; any other name is `service-refused`, and its text goes nowhere.
    pub errors: Vec<String>,
}

/// The shape of what leaves a cell. A value of another type fails the call; a member that is
/// absent or null becomes null unless `required`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type", deny_unknown_fields)]
pub enum Projection {
    /// Text of at most `max_length` characters (4096 unless given).
    String {
        /// Whether null or absence fails the call.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        required: bool,
        /// Longest value in characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_length: Option<usize>,
    },
    /// A whole number.
    Integer {
        /// Whether null or absence fails the call.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        required: bool,
    },
    /// True or false.
    Boolean {
        /// Whether null or absence fails the call.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        required: bool,
    },
    /// Declared members only.
    Object {
        /// Members by name.
        members: BTreeMap<String, Projection>,
    },
    /// A list of at most `max_items` (100 unless given); more fails the call.
    Array {
        /// Each item's shape.
        items: Box<Projection>,
        /// Most items.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_items: Option<usize>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_the_format_does_not_know_is_refused() {
        let text = r#"{"type":"string","required":true,"regex":".*"}"#;
        assert!(serde_json::from_str::<Projection>(text).is_err());
    }
}
