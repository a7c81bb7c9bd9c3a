//! `call: http`: a request that a document spells out, over a connection.
//!
//! Reads top to bottom in [`serve`], as an action's call does: render → credential → socket →
//! exchange → redact. There is no projection: what leaves is the whole answer, so redaction looks at
//! the names of members too.
//!
//! Invariants:
//! * the host is one of the connection's, to the port and to TLS;
//! * each value is one segment of the path or one value of the query, percent-encoded;
//! * a document sets neither the credential's header nor those that frame a message.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use rustls::RootCertStore;
use serde_json::{Map, Value, json};
use writ_confine::Channel;
use writ_jail_link::HttpOrder;
use writ_model::{ConnectionHost, ConnectionKind, HttpOutput, RESERVED_HEADERS};

use super::{
    Failed, about_secret,
    credential::{self, Network, Resolved},
    egress,
    exchange::{self, Answer},
    redact,
    request::{Rendered, encode, scalar},
    secrets,
};
use crate::vault::Sources;

/// Longest target and longest header value, in bytes.
const TEXT_MAX: usize = 8 * 1024;

/// Makes the call; the output is of the shape that the document asks for.
pub(super) fn serve(
    order: &HttpOrder,
    broker: &Channel,
    sources: Sources,
    roots: Arc<RootCertStore>,
) -> Result<Value, Failed> {
    let deadline = Instant::now() + Duration::from_secs(u64::from(order.timeout_s));
    let host = host(order)?;
    let request = render(order)?;
    let network = Network { broker, roots: Arc::clone(&roots), deadline };
    let Resolved { credential, derived } =
        credential::resolve(&order.connection.secret, sources, &network).map_err(about_secret)?;
    let socket = egress::connect(broker, host, &order.connection.allow_cidrs, deadline)?;
    let kind = &order.connection.kind;
    let call =
        exchange::Placed { host, request: &request, kind, credential: &credential, deadline };
    let redirect = order.call.redirect;
    let is_success =
        move |status| matches!(status, 200..=299) || redirect && matches!(status, 300..=399);
    let answer = exchange::answer(socket, &call, is_success, roots)?;
    let output = output(order, &request, &answer)?;
    let secrets = secrets(kind, credential, derived)?;
    let redacted = redact::redact_whole(output, &secrets)?;
    if redacted.hits > 0 {
        // SECURITY: a service that sends credentials back is an incident; see `cell::try_serve`.
        eprintln!(
            "writ-jail: {}: credential-echo in {} values",
            order.connection.name, redacted.hits
        );
    }
    Ok(redacted.value)
}

/// The connection's own host that the call names.
fn host(order: &HttpOrder) -> Result<&ConnectionHost, Failed> {
    let named = order.connection.hosts.iter().find(|host| **host == order.call.host);
    named.ok_or(Failed::new("host-outside-connection"))
}

fn render(order: &HttpOrder) -> Result<Rendered, Failed> {
    let body = order.parameters.body.as_ref().filter(|body| !body.is_null());
    let headers = headers(order, body)?;
    let body = body.map(|body| match body {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    });
    Ok(Rendered { method: order.call.method.as_str(), target: target(order)?, headers, body })
}

/// The target with each `{name}` filled in, and the query after it.
fn target(order: &HttpOrder) -> Result<String, Failed> {
    let mut target = String::new();
    let mut rest = order.call.target.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(Failed::new("http-malformed"))?;
        let value = order.parameters.uri.get(name).and_then(scalar);
        let value = value.ok_or(Failed::new("parameter-missing"))?;
        target.push_str(before);
        let in_query = target.contains('?');
        if !in_query && matches!(value.as_str(), "" | "." | "..") {
            return Err(Failed::new("parameter-value"));
        }
        target.push_str(&encoded(&value)?);
        rest = after;
    }
    target.push_str(rest);
    for (name, value) in &order.parameters.query {
        for value in values(value)? {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&encoded(name)?);
            target.push('=');
            target.push_str(&encoded(&value)?);
        }
    }
    if target.len() > TEXT_MAX { Err(Failed::new("parameter-value")) } else { Ok(target) }
}

/// A list is the name once for each item; null is nothing.
fn values(value: &Value) -> Result<Vec<String>, Failed> {
    let one = |value: &Value| scalar(value).ok_or(Failed::new("parameter-type"));
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(one).collect(),
        other => one(other).map(|value| vec![value]),
    }
}

fn encoded(value: &str) -> Result<String, Failed> {
    if value.contains(char::is_control) {
        return Err(Failed::new("parameter-value"));
    }
    Ok(encode(value))
}

fn headers(
    order: &HttpOrder,
    body: Option<&Value>,
) -> Result<Vec<(HeaderName, HeaderValue)>, Failed> {
    let refused = || Failed::new("parameter-header");
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in &order.parameters.headers {
        let Some(text) = scalar(value) else {
            if value.is_null() {
                continue;
            }
            return Err(refused());
        };
        let name: HeaderName = name.parse().map_err(|_| refused())?;
        let value = HeaderValue::from_str(&text).map_err(|_| refused())?;
        let twice = headers.iter().any(|(known, _)| *known == name);
        if twice || text.len() > TEXT_MAX || is_reserved(&name, &order.connection.kind) {
            return Err(refused());
        }
        headers.push((name, value));
    }
    let typed = headers.iter().any(|(name, _)| *name == CONTENT_TYPE);
    if let Some(body) = body.filter(|_| !typed) {
        let kind = if body.is_string() { "text/plain; charset=utf-8" } else { "application/json" };
        headers.push((CONTENT_TYPE, HeaderValue::from_static(kind)));
    }
    Ok(headers)
}

/// Whether a header carries the credential or frames the message.
fn is_reserved(name: &HeaderName, kind: &ConnectionKind) -> bool {
    let of_connection = match kind {
        ConnectionKind::Header { name: own, .. } => own.eq_ignore_ascii_case(name.as_str()),
        ConnectionKind::Bearer | ConnectionKind::Basic { .. } => false,
    };
    of_connection || *name == AUTHORIZATION || RESERVED_HEADERS.contains(&name.as_str())
}

fn output(order: &HttpOrder, request: &Rendered, answer: &Answer) -> Result<Value, Failed> {
    Ok(match order.call.output {
        HttpOutput::Raw => STANDARD.encode(&answer.body).into(),
        HttpOutput::Content => content(answer)?,
        HttpOutput::Response => {
            let host = &order.call.host;
            let scheme = if host.plaintext { "http" } else { "https" };
            let uri = format!("{scheme}://{}{}", exchange::authority(host), request.target);
            let sent: HeaderMap = request.headers.iter().cloned().collect();
            json!({
                "request": { "method": request.method, "uri": uri, "headers": described(&sent) },
                "statusCode": answer.status,
                "headers": described(&answer.headers),
                "content": content(answer)?,
            })
        }
    })
}

/// JSON parsed, text as it is, nothing as null.
fn content(answer: &Answer) -> Result<Value, Failed> {
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json") {
        let not_json = |_| Failed::answered("response-not-json", answer.status);
        return serde_json::from_slice(&answer.body).map_err(not_json);
    }
    let not_text = |_| Failed::answered("response-not-text", answer.status);
    std::str::from_utf8(&answer.body).map(Value::from).map_err(not_text)
}

/// Headers by name; several of one name are joined (RFC 9110 §5.2).
fn described(headers: &HeaderMap) -> Value {
    let mut object = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        object.insert(name.as_str().to_owned(), texts.join(", ").into());
    }
    object.into()
}

#[cfg(test)]
mod tests;
