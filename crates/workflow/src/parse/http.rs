//! `call: http`: a request to a host of a connection.
//!
//! Invariant: method, host and the shape of the path are literal, because the publisher signs them;
//! a credential is only ever named, as the connection that has it.

use std::sync::Arc;

use writ_model::{ConnectionHost, ConnectionName, HttpCall, HttpOutput, pack::Method};

use super::{members::Members, task::Tasks, text};
use crate::{
    Diagnostic,
    document::{Kind, PackRef},
    expression::{Scope, Template, expression},
    node::Node,
};

pub(super) const HELP: &str = "write `with: {method: get, endpoint: {uri: 'https://host/path/{name}', \
                               authentication: {use: connection}}}`";

impl Tasks<'_> {
    pub(super) fn http(&mut self, with: &Node) -> Result<Kind, Diagnostic> {
        let mut members = Members::of(with, "`with`")?;
        let method = method(members.required("method")?)?;
        let (uri, connection) = self.endpoint(members.required("endpoint")?)?;
        let (host, target) = split(uri)?;
        let redirect = members.optional("redirect").map(boolean).transpose()?.unwrap_or(false);
        let output = members.optional("output").map(output).transpose()?;
        let mut parameters = vec![("uri".to_owned(), names(uri, &target, &self.scope())?)];
        for name in ["query", "headers", "body"] {
            if let Some(node) = members.optional(name) {
                parameters.push((name.to_owned(), self.part(name, node)?));
            }
        }
        members.finish("method, endpoint, headers, body, query, redirect, output")?;
        let output = output.unwrap_or(HttpOutput::Content);
        let call = HttpCall { method, host, target, redirect, output };
        let unwritable = || with.finding("unsupported-call", "the call has no text", HELP);
        let action = call.action().map_err(|_| unwritable())?;
        let text = call.text().map_err(|_| unwritable())?;
        Ok(self.reach(action, PackRef::Inline(Arc::from(text)), connection, parameters))
    }

    /// The URI, and the connection whose credential goes with it.
    fn endpoint<'n>(&self, node: &'n Node) -> Result<(&'n Node, ConnectionName), Diagnostic> {
        if node.as_str().is_some() {
            let cause = "the call goes through no connection, and no workspace allows that yet";
            return Err(node.finding("http-connection", cause, HELP));
        }
        let mut members = Members::of(node, "`endpoint`")?;
        let uri = members.required("uri")?;
        let named = members.required("authentication")?;
        let mut authentication = Members::of(named, "`authentication`")?;
        members.finish("uri, authentication")?;
        let inline = |name: &str| {
            matches!(name, "basic" | "bearer" | "digest" | "oauth2" | "oidc" | "certificate")
        };
        if authentication.names().any(inline) {
            let cause = "credentials stand in the document";
            let help = "keep them in a secret manager, and name the connection that uses them: \
                        `authentication: {use: github}`";
            return Err(named.finding("inline-authentication", cause, help));
        }
        let connection = self.connection(authentication.required("use")?)?;
        authentication.finish("use")?;
        Ok((uri, connection))
    }

    fn part(&self, name: &str, node: &Node) -> Result<Template, Diagnostic> {
        match Template::read(node, &self.scope())? {
            Template::Literal(_) | Template::List(_) if name != "body" => {
                let cause = format!("`{name}` is neither a mapping nor an expression");
                Err(node.finding("mapping", cause, format!("write `{name}: {{name: value}}`")))
            }
            template @ (Template::Literal(_)
            | Template::List(_)
            | Template::Object(_)
            | Template::Expression(_)) => Ok(template),
        }
    }
}

fn method(node: &Node) -> Result<Method, Diagnostic> {
    Ok(match text(node)?.to_ascii_uppercase().as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => {
            let help = "supported: get, post, put, patch, delete";
            return Err(node.finding("method", "not a method that is supported", help));
        }
    })
}

fn output(node: &Node) -> Result<HttpOutput, Diagnostic> {
    match text(node)? {
        "content" => Ok(HttpOutput::Content),
        "response" => Ok(HttpOutput::Response),
        "raw" => Ok(HttpOutput::Raw),
        _ => Err(node.finding("output", "not an output", "supported: content, response, raw")),
    }
}

fn boolean(node: &Node) -> Result<bool, Diagnostic> {
    let value = node.to_json();
    value.as_bool().ok_or_else(|| node.finding("boolean", "neither true nor false", "write `true`"))
}

/// A literal URI as host and target.
fn split(node: &Node) -> Result<(ConnectionHost, String), Diagnostic> {
    let refused = |cause: &str| node.finding("endpoint", cause, HELP);
    let uri = text(node)?;
    if uri.contains("${") {
        return Err(refused("the host is built by an expression"));
    }
    let (plaintext, rest) = match (uri.strip_prefix("https://"), uri.strip_prefix("http://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err(refused("neither an https nor an http URI")),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let standard = if plaintext { 80 } else { 443 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| refused("not a port"))?),
        None => (authority, standard),
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(refused("the host is not a literal name in lower case"));
    }
    let target = match target.as_bytes().first() {
        Some(b'/') => target.to_owned(),
        Some(_) | None => format!("/{target}"),
    };
    let host = ConnectionHost { host: host.to_owned(), port, plaintext };
    check_target(&target).map_err(refused)?;
    Ok((host, target))
}

/// `pchar`, `/`, `?` and `{name}`s: what needs no encoding is written, what is data is named.
fn check_target(target: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&b);
    let mut rest = target;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a `{` is never closed")?;
        let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if name.is_empty() || !named {
            return Err("a `{name}` has other characters than letters, digits and `_`");
        }
        if !before.bytes().all(plain) {
            return Err("a character of the path has to be percent-encoded");
        }
        rest = after;
    }
    let path = target.split('?').next().unwrap_or_default();
    if path.starts_with("//") || path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("the path has empty or dot segments that servers resolve differently");
    }
    if rest.bytes().all(plain) { Ok(()) } else { Err("a character has to be percent-encoded") }
}

/// Each `{name}` of the target is the member `name` of the task's input.
fn names(node: &Node, target: &str, scope: &Scope<'_>) -> Result<Template, Diagnostic> {
    let mut names: Vec<(String, Template)> = Vec::new();
    let mut rest = target;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        if !names.iter().any(|(known, _)| known == name) {
            let expression = expression(node, &format!(".\"{name}\""), scope)?;
            names.push((name.to_owned(), Template::Expression(expression)));
        }
        rest = after;
    }
    Ok(Template::Object(names))
}
