//! AWS Signature Version 4: the headers that prove who sends a request, and its exact target.
//!
//! In: a request before it is sent, a scope (region, service, time) and credentials. Out: the target
//! and all headers to send but `content-length`. It does no IO and reads no clock.
//!
//! Invariants:
//! * what is signed is what is sent: the query goes out in the very form that was signed, and every
//!   header that intermediaries leave alone is signed;
//! * what a header, a path or a host can't hold is refused, never mended;
//! * the secret key and what is derived from it leave this module as a signature only; texts with
//!   a session token in them are wiped.
//!
//! Not here: S3, whose paths are encoded once and whose body's digest is a header.

use std::collections::BTreeMap;

use aws_lc_rs::{digest, hmac};
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use writ_model::UnixTime;
use zeroize::Zeroizing;

use super::{credentials::AwsCredentials, timestamp};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Headers that the signer writes itself, or whose signing differs from what is done here.
const RESERVED: [&str; 6] =
    ["authorization", "date", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// Headers that are sent without being signed: whoever stands between may change them.
const UNSIGNED: [&str; 14] = [
    "baggage",
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// A request before it is signed.
#[derive(Clone, Copy)]
pub struct RequestToSign<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The host, in small letters, with its port unless that is the scheme's own.
    pub host: &'a str,
    /// The path as it is sent: absolute, percent-encoded once.
    pub path: &'a str,
    /// Names and values, not encoded, in any order.
    pub query: &'a [(&'a str, &'a str)],
    /// Headers besides those that the signer adds.
    pub headers: &'a [(&'a str, &'a str)],
    /// All of the body.
    pub body: &'a [u8],
}

/// What a signature is good for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Such as `eu-central-1`.
    pub region: &'a str,
    /// Such as `secretsmanager`.
    pub service: &'a str,
    /// The time of signing.
    pub at: UnixTime,
}

/// A request that is ready to be sent.
pub struct Signed {
    /// Path and query.
    pub target: String,
    /// Every header but `content-length`. Those that hold a secret are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request was not signed. Nothing of the request is in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The method is not made of capital letters.
    #[error("cannot sign the request: its method is not made of capital letters")]
    Method,
    /// The host is not a host in small letters with an optional port.
    #[error("cannot sign the request: its host is not a host in small letters")]
    Host,
    /// The path is not absolute and percent-encoded.
    #[error("cannot sign the request: its path is not absolute and percent-encoded")]
    Path,
    /// A header's name or value has characters that no header has, or the signer sets it itself.
    #[error("cannot sign the request: a header is malformed or is the signer's own")]
    Header,
    /// Region or service is not made of small letters, digits and hyphens.
    #[error("cannot sign the request: region or service is malformed")]
    Scope,
    /// The time is after the year 9999.
    #[error("cannot sign the request: there is no spelling for its time")]
    Time,
}

impl SignError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Method => "aws-sign-method",
            Self::Host => "aws-sign-host",
            Self::Path => "aws-sign-path",
            Self::Header => "aws-sign-header",
            Self::Scope => "aws-sign-scope",
            Self::Time => "aws-sign-time",
        }
    }
}

/// Signs a request.
///
/// # Errors
///
/// [`SignError`]; nothing is signed.
///
/// # Spec
///
/// "Create a signed AWS API request", AWS Identity and Access Management user guide. Which headers stay
/// unsigned is botocore's list.
pub fn sign(
    request: &RequestToSign<'_>,
    scope: &Scope<'_>,
    credentials: &AwsCredentials,
) -> Result<Signed, SignError> {
    check(request, scope)?;
    let time = timestamp::basic(scope.at).ok_or(SignError::Time)?;
    let mut headers = headers(request, &time, credentials)?;
    let query = canonical_query(request.query);
    let (names, lines) = canonical_headers(&headers)?;
    let canonical = Zeroizing::new(format!(
        "{}\n{}\n{query}\n{}\n{names}\n{}",
        request.method,
        canonical_path(request.path),
        *lines,
        sha256_hex(request.body),
    ));
    let day = time.split('T').next().unwrap_or_default();
    let within = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!("{ALGORITHM}\n{time}\n{within}\n{}", sha256_hex(canonical.as_bytes()));
    let signature = hex(signing_key(credentials, day, scope).sign(&to_sign).as_ref());
    let id = credentials.access_key_id();
    headers.push((
        AUTHORIZATION,
        sensitive(&format!(
            "{ALGORITHM} Credential={id}/{within}, SignedHeaders={names}, Signature={signature}"
        ))?,
    ));
    let target = match query.as_str() {
        "" => request.path.to_owned(),
        query => format!("{}?{query}", request.path),
    };
    Ok(Signed { target, headers })
}

fn check(request: &RequestToSign<'_>, scope: &Scope<'_>) -> Result<(), SignError> {
    let is = |text: &str, allowed: fn(&u8) -> bool| {
        !text.is_empty() && text.as_bytes().iter().all(allowed)
    };
    if !is(request.method, u8::is_ascii_uppercase) {
        return Err(SignError::Method);
    }
    let host =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(byte);
    if !is(request.host, host) {
        return Err(SignError::Host);
    }
    // RFC 3986 §3.3: what a path may have, and the sign of what is encoded.
    let path = |byte: &u8| is_unreserved(*byte) || b"/%!$&'()*+,;=:@".contains(byte);
    if !request.path.starts_with('/') || !is(request.path, path) {
        return Err(SignError::Path);
    }
    let part = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    if !is(scope.region, part) || !is(scope.service, part) {
        return Err(SignError::Scope);
    }
    Ok(())
}

/// All headers to send but the signature's.
fn headers(
    request: &RequestToSign<'_>,
    time: &str,
    credentials: &AwsCredentials,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    let plain = |value: &str| HeaderValue::from_str(value).map_err(|_| SignError::Header);
    let mut headers = vec![(HOST, plain(request.host)?), (DATE, plain(time)?)];
    for (name, value) in request.headers {
        let name: HeaderName = name.parse().map_err(|_| SignError::Header)?;
        // What isn't ASCII has no one spelling in a header, so no one signature either.
        let spelled = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        if RESERVED.contains(&name.as_str()) || !spelled {
            return Err(SignError::Header);
        }
        headers.push((name, plain(value)?));
    }
    if let Some(token) = credentials.session_token() {
        headers.push((TOKEN, sensitive(token)?));
    }
    Ok(headers)
}

fn sensitive(value: &str) -> Result<HeaderValue, SignError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| SignError::Header)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The names of the signed headers, and a line for each: sorted, white space made one space, values
/// of the same name in their order behind commas.
fn canonical_headers(
    headers: &[(HeaderName, HeaderValue)],
) -> Result<(String, Zeroizing<String>), SignError> {
    let mut by_name: BTreeMap<&str, Zeroizing<String>> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| !UNSIGNED.contains(&name.as_str())) {
        let value = value.to_str().map_err(|_| SignError::Header)?;
        let line = match by_name.entry(name.as_str()) {
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Zeroizing::default()),
            std::collections::btree_map::Entry::Occupied(entry) => {
                let line = entry.into_mut();
                line.push(',');
                line
            }
        };
        for (index, word) in value.split_ascii_whitespace().enumerate() {
            if index > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let mut lines = Zeroizing::new(String::new());
    for (name, value) in &by_name {
        lines.push_str(name);
        lines.push(':');
        lines.push_str(value);
        lines.push('\n');
    }
    Ok((by_name.into_keys().collect::<Vec<_>>().join(";"), lines))
}

/// Encoded, then sorted by name and value: also the form that is sent.
fn canonical_query(query: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> =
        query.iter().map(|(name, value)| (encode(name, b""), encode(value, b""))).collect();
    pairs.sort();
    let pairs: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Without empty and dot segments (RFC 3986 §5.2.4), then encoded a second time.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    encode(&format!("/{}{end}", segments.join("/")), b"/")
}

/// Percent-encodes all bytes but RFC 3986's unreserved ones and those of `keep`.
fn encode(text: &str, keep: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_unreserved(byte) || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend(format!("{byte:02X}").chars());
        }
    }
    encoded
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).map(char::from).collect()
}

/// A key for one day, region and service. What HMAC keeps of a key, aws-lc wipes.
struct SigningKey(hmac::Key);

impl SigningKey {
    fn sign(&self, text: &str) -> hmac::Tag {
        hmac::sign(&self.0, text.as_bytes())
    }
}

fn signing_key(credentials: &AwsCredentials, day: &str, scope: &Scope<'_>) -> SigningKey {
    let mut start = Zeroizing::new(Vec::with_capacity(4 + credentials.secret_access_key().len()));
    start.extend_from_slice(b"AWS4");
    start.extend_from_slice(credentials.secret_access_key());
    let mut key = SigningKey(hmac::Key::new(hmac::HMAC_SHA256, &start));
    for part in [day, scope.region, scope.service, "aws4_request"] {
        key = SigningKey(hmac::Key::new(hmac::HMAC_SHA256, key.sign(part).as_ref()));
    }
    key
}
