//! Reads one field of one secret from Vault or OpenBao: log in, read, give the token back.
//!
//! One connection, over the cell's own TLS, to the host that the operator's settings name. Key-value
//! engines 1 and 2, by exact path and version; never a list.
//!
//! Invariants: a wrapping token is unwrapped once, under a lock, and what was wrapped is durable before it is
//! used; a wrapping token that somebody else used is its own, loud failure; errors are codes.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::fd::OwnedFd,
};

use hyper::{
    Method,
    header::{HeaderName, HeaderValue},
};
use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;
use serde_json::{Value, json};
use writ_model::SecretRef;
use zeroize::Zeroizing;

use super::{Network, Resolved, secret};
use crate::{
    cell::{
        Failed, egress,
        exchange::{self, Ask, Sender},
    },
    vault::{
        settings::{KvVersion, VaultAuth, VaultSettings},
        sources::VaultSource,
    },
};

/// Longest credential file, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// A conversation with the manager.
struct Manager<'a> {
    sender: &'a mut Sender,
    settings: &'a VaultSettings,
}

/// Reads a secret.
pub(super) fn read(
    reference: &SecretRef,
    source: VaultSource,
    network: &Network<'_>,
) -> Result<Resolved, Failed> {
    let VaultSource { settings, roots, credential } = source;
    let target = target(reference, &settings)?;
    let credential = credential.ok_or(Failed::new("vault-login-file"))?;
    let unreachable = |_| Failed::new("vault-unreachable");
    let (host, ranges) = (&settings.host, &settings.allow_cidrs);
    let socket =
        egress::connect(network.broker, host, ranges, network.deadline).map_err(unreachable)?;
    let talk = async |sender: &mut Sender| {
        let mut manager = Manager { sender, settings: &settings };
        let token = manager.log_in(credential).await?;
        let value = manager.field(&target, reference, &token).await;
        if matches!(settings.auth, VaultAuth::Approle { .. }) {
            // Best effort: a token that is not given back lives no longer than its role allows.
            let _ = manager.ask("POST", "/v1/auth/token/revoke-self", Some(&token), None).await;
        }
        let derived = vec![secret(token.to_string())?];
        Ok(Resolved { credential: secret(value?)?, derived })
    };
    exchange::conversation(network.deadline, socket, host, roots, talk).map_err(own_code)
}

/// The transport's codes are about the service; here it is the manager that could not be reached.
fn own_code(failed: Failed) -> Failed {
    let code = match failed.code {
        "http-timeout" => "vault-timeout",
        "tls-failed" => "vault-tls-failed",
        "http-failed" | "connect-failed" | "http-encoding" => "vault-unreachable",
        "http-too-large" => "vault-answer",
        other => other,
    };
    Failed { code, ..failed }
}

/// The path of the API: `data` below a versioned engine's mount.
fn target(reference: &SecretRef, settings: &VaultSettings) -> Result<String, Failed> {
    let (mount, path) =
        settings.mount_of(reference.path()).ok_or(Failed::new("vault-mount-unknown"))?;
    match (mount.kv, reference.version()) {
        (KvVersion::One, None) => Ok(format!("/v1/{}/{path}", mount.path)),
        (KvVersion::One, Some(_)) => Err(Failed::new("vault-version-unsupported")),
        (KvVersion::Two, None) => Ok(format!("/v1/{}/data/{path}", mount.path)),
        (KvVersion::Two, Some(version)) => {
            Ok(format!("/v1/{}/data/{path}?version={version}", mount.path))
        }
    }
}

impl Manager<'_> {
    async fn log_in(&mut self, file: OwnedFd) -> Result<Zeroizing<String>, Failed> {
        let mut file = File::from(file);
        let (mount, role_id) = match &self.settings.auth {
            VaultAuth::TokenFile { .. } => {
                return Ok(Zeroizing::new(read_file(&mut file)?.trim().to_owned()));
            }
            VaultAuth::Approle { mount, role_id, .. } => (mount, role_id),
        };
        let secret_id = self.secret_id(&mut file).await?;
        let body = json!({ "role_id": role_id, "secret_id": &*secret_id });
        let path = format!("/v1/auth/{mount}/login");
        let (status, answer) = self.ask("POST", &path, None, Some(&body)).await?;
        match status {
            200 => text_at(&answer, &["auth", "client_token"]),
            400 | 401 | 403 => Err(Failed::answered("vault-login-refused", status)),
            other => Err(Failed::answered("vault-status", other)),
        }
    }

    /// The secret id: as it stands in the file, or unwrapped into it, once.
    async fn secret_id(&mut self, file: &mut File) -> Result<Zeroizing<String>, Failed> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Kept {
            secret_id: Option<Zeroizing<String>>,
            wrapping_token: Option<Zeroizing<String>>,
        }
        let unusable = Failed::new("vault-login-file");
        // Another cell may be unwrapping: what it writes is read here.
        flock(&*file, FlockOperation::LockExclusive).map_err(|_| unusable)?;
        let text = read_file(file)?;
        if !text.trim_start().starts_with('{') {
            return Ok(Zeroizing::new(text.trim().to_owned()));
        }
        let kept: Kept = serde_json::from_str(&text).map_err(|_| unusable)?;
        match (kept.secret_id, kept.wrapping_token) {
            (Some(secret_id), None) => Ok(secret_id),
            (None, Some(token)) => {
                let secret_id = self.unwrap(&token).await?;
                let kept = Zeroizing::new(json!({ "secret_id": &*secret_id }).to_string());
                write_file(file, kept.as_bytes()).map_err(|_| unusable)?;
                Ok(secret_id)
            }
            _ => Err(unusable),
        }
    }

    async fn unwrap(&mut self, token: &str) -> Result<Zeroizing<String>, Failed> {
        let asked = self.ask("POST", "/v1/sys/wrapping/unwrap", Some(token), None).await;
        match asked? {
            (200, answer) => text_at(&answer, &["data", "secret_id"]),
            // SECURITY: a wrapping token opens once. If it does not open, somebody else may hold
            // what was in it: the operator revokes the secret id and makes another.
            (status, _) => Err(Failed::answered("vault-wrapped-token-used", status)),
        }
    }

    async fn field(
        &mut self,
        target: &str,
        reference: &SecretRef,
        token: &str,
    ) -> Result<String, Failed> {
        let (status, answer) = self.ask("GET", target, Some(token), None).await?;
        match status {
            200 => {}
            403 => return Err(Failed::answered("vault-denied", status)),
            404 => return Err(Failed::answered("vault-not-found", status)),
            other => return Err(Failed::answered("vault-status", other)),
        }
        let versioned = target.contains("/data/");
        let data = answer.get("data");
        // A first-version secret may have a field called `data` of its own.
        let fields = match self.settings.mount_of(reference.path()) {
            Some((mount, _)) if mount.kv == KvVersion::Two && versioned => {
                data.and_then(|data| data.get("data"))
            }
            _ => data,
        };
        let name = reference.field().ok_or(Failed::new("vault-field-missing"))?;
        match fields.and_then(|fields| fields.get(name)) {
            None | Some(Value::Null) => Err(Failed::new("vault-field-missing")),
            Some(Value::String(value)) => Ok(value.clone()),
            Some(_) => Err(Failed::new("vault-field-type")),
        }
    }

    async fn ask(
        &mut self,
        method: &'static str,
        target: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(u16, Value), Failed> {
        let malformed = |_| Failed::new("vault-login-file");
        let mut headers = Vec::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token).map_err(malformed)?;
            value.set_sensitive(true);
            headers.push((HeaderName::from_static("x-vault-token"), value));
        }
        if let Some(namespace) = &self.settings.namespace {
            let value = HeaderValue::from_str(namespace).map_err(malformed)?;
            headers.push((HeaderName::from_static("x-vault-namespace"), value));
        }
        let method = if method == "GET" { Method::GET } else { Method::POST };
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let ask = Ask { host: &self.settings.host, method, target, headers, body };
        let (status, body) = exchange::ask(self.sender, ask).await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

fn text_at(answer: &Value, path: &[&str]) -> Result<Zeroizing<String>, Failed> {
    let found = path.iter().try_fold(answer, |value, name| value.get(name));
    let text = found.and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(|text| Zeroizing::new(text.to_owned())).ok_or(Failed::new("vault-answer"))
}

fn read_file(file: &mut File) -> Result<Zeroizing<String>, Failed> {
    let mut text = Zeroizing::new(String::new());
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.take(FILE_MAX).read_to_string(&mut text))
        .map_err(|_| Failed::new("vault-login-file"))?;
    Ok(text)
}

fn write_file(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)?;
    rustix::fs::ftruncate(&*file, bytes.len() as u64)?;
    file.sync_all()
}
