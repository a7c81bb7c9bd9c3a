//! Parameters become a request: typed, bounded, percent-encoded; nothing else gets in.
//!
//! In: an order (the pack's action, parameters from a document). Out: a request without its
//! credential, or a code: `parameter-*` is the document's fault, `pack-*` the pack's.
//!
//! Invariants:
//! * a parameter in the path is one segment, and never one that resolvers take for another;
//! * no control character reaches a path, a query or a header, encoded or not;
//! * a pack sets neither the credential's header nor those that frame a message.
//!
//! Not here: which host (the connection), where the credential goes (`exchange`).

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use writ_jail_link::CellOrder;
use writ_model::{
    RESERVED_HEADERS,
    pack::{Action, Idempotency, Parameter, ParameterType, RequestTemplate},
};

use super::Failed;

/// Longest text or list, unless the parameter says otherwise.
const LENGTH_MAX: usize = 1024;

/// A request without its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) method: &'static str,
    /// Path and query, encoded.
    pub(super) target: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Option<Vec<u8>>,
}

/// Renders an order's request.
pub(super) fn render(order: &CellOrder) -> Result<Rendered, Failed> {
    let (action, given) = (&order.action, &order.parameters);
    check_all(action, given)?;
    let template = &action.request;
    let body = body(template, given)?;
    let headers = headers(action, &order.idempotency_key, body.is_some())?;
    let target = format!("{}{}", path(&template.path, given)?, query(&template.query, given)?);
    Ok(Rendered { method: template.method.as_str(), target, headers, body })
}

fn check_all(action: &Action, given: &Map<String, Value>) -> Result<(), Failed> {
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
    Ok(())
}

fn check(declared: &Parameter, value: &Value) -> Result<(), Failed> {
    let longest = declared.max_length.unwrap_or(LENGTH_MAX);
    let text = |text: &str, longest: usize| {
        text.chars().count() <= longest
            && (declared.one_of.is_empty() || declared.one_of.iter().any(|one| one == text))
    };
    let fits = match (declared.kind, value) {
        (ParameterType::String, Value::String(value)) => text(value, longest),
        (ParameterType::Integer, Value::Number(value)) if value.is_i64() => true,
        (ParameterType::Boolean, Value::Bool(_)) => true,
        (ParameterType::Strings, Value::Array(items)) if items.iter().all(Value::is_string) => {
            items.len() <= longest
                && items.iter().filter_map(Value::as_str).all(|item| text(item, LENGTH_MAX))
        }
        _ => return Err(Failed::new("parameter-type")),
    };
    if fits { Ok(()) } else { Err(Failed::new("parameter-value")) }
}

/// The pack's fixed headers, the idempotency key, and the body's type unless the pack says it.
fn headers(
    action: &Action,
    idempotency_key: &str,
    has_body: bool,
) -> Result<Vec<(HeaderName, HeaderValue)>, Failed> {
    let key = match &action.idempotency {
        Idempotency::Key(header) => Some((header.as_str(), idempotency_key)),
        Idempotency::Natural | Idempotency::None => None,
    };
    let fixed = action.request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers = Vec::new();
    for (name, value) in fixed.chain(key) {
        let refused = || Failed::new("pack-header");
        let name: HeaderName = name.parse().map_err(|_| refused())?;
        let value = HeaderValue::from_str(value).map_err(|_| refused())?;
        let twice = headers.iter().any(|(other, _)| *other == name);
        if twice || name == AUTHORIZATION || RESERVED_HEADERS.contains(&name.as_str()) {
            return Err(refused());
        }
        headers.push((name, value));
    }
    if has_body && !headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    }
    Ok(headers)
}

/// Each `{name}` becomes one path segment, whatever is in it.
fn path(template: &str, given: &Map<String, Value>) -> Result<String, Failed> {
    let malformed = || Failed::new("pack-path");
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(malformed)?;
        let value = given.get(name).and_then(scalar).ok_or(Failed::new("parameter-missing"))?;
        if matches!(value.as_str(), "" | "." | "..") || value.contains(char::is_control) {
            return Err(Failed::new("parameter-value"));
        }
        path.push_str(literal(before).ok_or_else(malformed)?);
        path.push_str(&encode(&value));
        rest = after;
    }
    path.push_str(literal(rest).ok_or_else(malformed)?);
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    if !path.starts_with('/') || path.starts_with("//") || dots {
        return Err(malformed());
    }
    Ok(path)
}

/// A pack's own part of a path: `pchar` and `/` of RFC 3986 §3.3, already decoded.
fn literal(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
    text.bytes().all(plain).then_some(text)
}

fn query(names: &[String], given: &Map<String, Value>) -> Result<String, Failed> {
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
        let Some(value) = value else { continue };
        if value.contains(char::is_control) {
            return Err(Failed::new("parameter-value"));
        }
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(&encode(name));
        query.push('=');
        query.push_str(&encode(&value));
    }
    Ok(query)
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

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Percent-encodes everything but RFC 3986 §2.3 unreserved characters.
pub(super) fn encode(text: &str) -> String {
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
mod tests;
