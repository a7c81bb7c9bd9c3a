//! The literal part of a `call: http`: where it goes, and what of the answer comes back.
//!
//! Its publisher signs its digest as that of an action (`http.request.<method>`) of the connection,
//! so run data chooses a path's segments, a query, headers and a body, and never a host or a
//! method. The digest is over the JSON that [`HttpCall::text`] gives; members are added only so that
//! the text of calls without them stays what it was.
//!
//! Not here: rendering it (`jail`), reading it from a document (`workflow`).

use serde::{Deserialize, Serialize};

use crate::{
    ActionName, ConnectionHost, InvalidName, PackName,
    pack::{Effect, Method},
};

/// A call to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// The method.
    pub method: Method,
    /// One of the connection's hosts.
    pub host: ConnectionHost,
    /// Path and query; each `{name}` is one value, percent-encoded (RFC 6570 §3.2.2).
    pub target: String,
    /// Whether a redirect (300 to 399) is an answer like any other. None is ever followed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redirect: bool,
    /// What comes back.
    pub output: HttpOutput,
}

/// What comes back of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpOutput {
    /// The body: JSON parsed, text as it is.
    Content,
    /// `{request: {method, uri, headers}, statusCode, headers, content}`.
    Response,
    /// The body, in base64.
    Raw,
}

impl HttpCall {
    /// The pack that these calls belong to, which no tenant can acknowledge.
    pub const PACK: &'static str = "http";

    /// Whether a pack is theirs.
    #[must_use]
    pub fn is_pack(pack: &PackName) -> bool {
        pack.as_str() == Self::PACK
    }

    /// The name of the action that it is.
    ///
    /// # Errors
    ///
    /// None in practice: every method makes a name.
    pub fn action(&self) -> Result<ActionName, InvalidName> {
        let method = self.method.as_str().to_ascii_lowercase();
        format!("{}.request.{method}", Self::PACK).parse()
    }

    /// The text whose digest is signed.
    ///
    /// # Errors
    ///
    /// None in practice: nothing in it has no JSON.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Whether doing it twice is harmless: safe and idempotent methods (RFC 9110 §9.2).
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        match self.method {
            Method::Get | Method::Put | Method::Delete => true,
            Method::Post | Method::Patch => false,
        }
    }

    /// What it does, as far as its method says (RFC 9110 §9.3).
    #[must_use]
    pub const fn effect(&self) -> Effect {
        match self.method {
            Method::Get => Effect::Read,
            Method::Put | Method::Post | Method::Patch => Effect::Write,
            Method::Delete => Effect::Destructive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_that_is_signed_stays_what_it_is() {
        let call = HttpCall {
            method: Method::Get,
            host: ConnectionHost { host: "api.example".into(), port: 443, plaintext: false },
            target: "/pets/{id}".into(),
            redirect: false,
            output: HttpOutput::Content,
        };
        let expected = r#"{"method":"GET","host":{"host":"api.example","port":443},"target":"/pets/{id}","output":"content"}"#;
        assert_eq!(call.text().unwrap(), expected);
        assert_eq!(call.action().unwrap().as_str(), "http.request.get");
    }
}
