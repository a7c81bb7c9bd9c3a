//! Parameters become a request: typed, bounded, percent-encoded; nothing else gets in.

use serde_json::{Map, Value};
use writ_jail_link::CellOrder;
use writ_model::pack::{Idempotency, Parameter, ParameterType, RequestTemplate};

use super::Failed;

/// Longest text or list, unless the parameter says otherwise.
const LENGTH_MAX: usize = 1024;

/// Headers that a pack may not set: the connection and the cell do.
const RESERVED: [&str; 8] = [
    "authorization",
    "cookie",
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "proxy-authorization",
    "accept-encoding",
];

/// A request without its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) method: &'static str,
    /// Path and query, encoded.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
}

/// Renders an order's request.
pub(super) fn render(order: &CellOrder) -> Result<Rendered, Failed> {
    let (action, given) = (&order.action, &order.parameters);
    if given.keys().any(|name| !action.parameters.contains_key(name)) {
        return Err(Failed::new("parameter-unknown"));
    }
    for (name, declared) in &action.parameters {
        match given.get(name) {
            None | Some(Value::Null) if declared.required => {
                return Err(Failed::new("parameter-missing"));
            }
            None | Some(Value::Null) => {}
            Some(value) => check(declared, value)?,
        }
    }
    let template = &action.request;
    let mut headers = fixed_headers(template)?;
    if let Idempotency::Key(header) = &action.idempotency {
        headers.push((header.clone(), order.idempotency_key.clone()));
    }
    let body = body(template, given)?;
    if body.is_some() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let target = format!("{}{}", path(&template.path, given)?, query(&template.query, given));
    Ok(Rendered { method: template.method.as_str(), target, headers, body })
}

fn check(declared: &Parameter, value: &Value) -> Result<(), Failed> {
    let longest = declared.max_length.unwrap_or(LENGTH_MAX);
    let text = |text: &str| text.chars().count() <= longest;
    let fits = match (declared.kind, value) {
        (ParameterType::String, Value::String(value)) => {
            text(value) && (declared.one_of.is_empty() || declared.one_of.contains(value))
        }
        (ParameterType::Integer, Value::Number(value)) => value.is_i64(),
        (ParameterType::Boolean, Value::Bool(_)) => true,
        (ParameterType::Strings, Value::Array(items)) => {
            items.len() <= longest
                && items.iter().all(|item| {
                    item.as_str().is_some_and(|item| item.chars().count() <= LENGTH_MAX)
                })
        }
        _ => return Err(Failed::new("parameter-type")),
    };
    if fits { Ok(()) } else { Err(Failed::new("parameter-value")) }
}

fn fixed_headers(template: &RequestTemplate) -> Result<Vec<(String, String)>, Failed> {
    let mut headers = Vec::new();
    for (name, value) in &template.headers {
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(Failed::new("pack-header"));
        }
        headers.push((name.clone(), value.clone()));
    }
    Ok(headers)
}

/// Each `{name}` becomes one path segment, whatever is in it.
fn path(template: &str, given: &Map<String, Value>) -> Result<String, Failed> {
    if !template.starts_with('/') {
        return Err(Failed::new("pack-path"));
    }
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(Failed::new("pack-path"))?;
        let value = given.get(name).and_then(scalar).ok_or(Failed::new("parameter-missing"))?;
        if matches!(value.as_str(), "" | "." | "..") {
            return Err(Failed::new("parameter-value"));
        }
        path.push_str(before);
        path.push_str(&encode(&value));
        rest = after;
    }
    path.push_str(rest);
    Ok(path)
}

fn query(names: &[String], given: &Map<String, Value>) -> String {
    let mut query = String::new();
    for name in names {
        let value = match given.get(name) {
            Some(Value::Array(items)) => {
                let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                Some(texts.join(","))
            }
            Some(value) => scalar(value),
            None => None,
        };
        if let Some(value) = value {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(&encode(name));
            query.push('=');
            query.push_str(&encode(&value));
        }
    }
    query
}

fn body(template: &RequestTemplate, given: &Map<String, Value>) -> Result<Option<Vec<u8>>, Failed> {
    if template.body.is_empty() {
        return Ok(None);
    }
    let members: Map<String, Value> = template
        .body
        .iter()
        .filter_map(|name| Some((name.clone(), given.get(name)?.clone())))
        .filter(|(_, value)| !value.is_null())
        .collect();
    serde_json::to_vec(&members).map(Some).map_err(|_| Failed::new("parameter-value"))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Percent-encodes everything but RFC 3986 §2.3 unreserved characters.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend(format!("{byte:02X}").chars());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order(parameters: &Value) -> CellOrder {
        let order = json!({
            "name": "github.issues.create",
            "action": {
                "summary": "", "effect": "write", "idempotency": "none",
                "parameters": {
                    "owner": {"type": "string", "required": true},
                    "repo": {"type": "string", "required": true, "max_length": 100},
                    "state": {"type": "string", "enum": ["open", "closed"]},
                    "title": {"type": "string"},
                    "labels": {"type": "strings"},
                },
                "request": {
                    "method": "POST", "path": "/repos/{owner}/{repo}/issues",
                    "query": ["state"], "body": ["title", "labels"],
                },
                "response": {"success": [201], "projection": {"type": "object", "members": {}}},
            },
            "parameters": parameters,
            "connection": {
                "name": "secops/github", "kind": "bearer",
                "hosts": [{"host": "api.github.com", "port": 443}], "secret": "local:a",
            },
            "idempotency_key": "k", "timeout_s": 5,
        });
        serde_json::from_value(order).unwrap()
    }

    #[test]
    fn a_parameter_stays_one_path_segment_whatever_is_in_it() {
        let rendered =
            render(&order(&json!({"owner": "a/../b?x#y\r\nHost: evil", "repo": "r"}))).unwrap();
        assert_eq!(rendered.target, "/repos/a%2F..%2Fb%3Fx%23y%0D%0AHost%3A%20evil/r/issues");
    }

    #[test]
    fn dots_alone_are_refused_as_a_segment() {
        for dots in [".", "..", ""] {
            let refused = render(&order(&json!({"owner": dots, "repo": "r"})));
            assert_eq!(refused, Err(Failed::new("parameter-value")));
        }
    }

    #[test]
    fn parameters_are_checked_against_the_pack() {
        for (given, code) in [
            (json!({"owner": "o"}), "parameter-missing"),
            (json!({"owner": "o", "repo": "r", "x": 1}), "parameter-unknown"),
            (json!({"owner": 1, "repo": "r"}), "parameter-type"),
            (json!({"owner": "o", "repo": "r".repeat(101)}), "parameter-value"),
            (json!({"owner": "o", "repo": "r", "state": "any"}), "parameter-value"),
        ] {
            assert_eq!(render(&order(&given)), Err(Failed::new(code)), "{code}");
        }
    }

    #[test]
    fn absent_parameters_are_absent_from_query_and_body() {
        let rendered = render(&order(&json!({"owner": "o", "repo": "r", "title": "t"}))).unwrap();
        assert_eq!(rendered.target, "/repos/o/r/issues");
        assert_eq!(rendered.body.unwrap(), br#"{"title":"t"}"#);
    }
}
