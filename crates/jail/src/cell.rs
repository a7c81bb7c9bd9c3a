//! A cell: one process, one credential, one call; it signs nothing and decides nothing.
//!
//! Reads top to bottom in [`serve`]: render → credential → socket → exchange → project → redact.
//!
//! Invariants:
//! * the request is rendered before the credential is opened, and bad parameters never reach it;
//! * the credential goes only to a host that the connection names, over a socket whose real peer
//!   the cell has checked;
//! * one deadline covers waiting for the broker, TLS and the answer;
//! * what leaves is declared, typed and redacted; a failure is a code, never a service's text.

mod egress;
mod exchange;
mod issuer_keys;
mod project;
mod redact;
mod request;
mod retry_after;

use std::{
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::RootCertStore;
use writ_confine::Channel;
use writ_jail_link::{CellOrder, CellOutcome, CellTask, FailedStep, decode, encode};
use writ_model::{ConnectionKind, SecretManager, pack::Projection};

use crate::{secret_memory::SecretBytes, vault};

/// The vault and its key file, read-only.
pub type VaultFiles = Option<(OwnedFd, OwnedFd)>;

/// Shortest credential, in bytes, that redaction can look for.
const CREDENTIAL_MIN: usize = 8;

/// A failure in the making: a code, and what the service's answer said in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) code: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after_s: Option<u64>,
}

impl Failed {
    pub(crate) const fn new(code: &'static str) -> Self {
        Self { code, status: None, retry_after_s: None }
    }

    pub(crate) const fn answered(code: &'static str, status: u16) -> Self {
        Self { code, status: Some(status), retry_after_s: None }
    }
}

/// What the confined process does: takes one order, answers it, ends.
#[must_use]
pub fn serve_one(
    jail: &Channel,
    broker: &Channel,
    vault: VaultFiles,
    roots: Arc<RootCertStore>,
) -> i32 {
    let Ok(Some((frame, _))) = jail.receive() else { return 1 };
    let outcome = match decode::<CellTask>(&frame) {
        Ok(CellTask::Call(order)) => serve(&order, broker, vault, roots),
        Ok(CellTask::IssuerKeys(order)) => {
            drop(vault);
            match issuer_keys::fetch(&order, broker, roots) {
                Ok(keys) => CellOutcome::Output(keys),
                Err(failure) => failed(failure),
            }
        }
        Err(_) => failed(Failed::new("cell-malformed")),
    };
    let sent = encode(&outcome).is_ok_and(|outcome| jail.send(&outcome, None).is_ok());
    i32::from(!sent)
}

/// Makes one call.
#[must_use]
pub fn serve(
    order: &CellOrder,
    broker: &Channel,
    vault: VaultFiles,
    roots: Arc<RootCertStore>,
) -> CellOutcome {
    match try_serve(order, broker, vault, roots) {
        Ok(output) => CellOutcome::Output(output),
        Err(failure) => failed(failure),
    }
}

fn try_serve(
    order: &CellOrder,
    broker: &Channel,
    vault: VaultFiles,
    roots: Arc<RootCertStore>,
) -> Result<serde_json::Value, Failed> {
    let deadline = Instant::now() + Duration::from_secs(u64::from(order.timeout_s));
    let host = order.connection.hosts.first().ok_or(Failed::new("connection-without-host"))?;
    let request = request::render(order)?;
    let credential = open_credential(order, vault)?;
    let socket = egress::connect(broker, host, &order.connection.allow_cidrs, deadline)?;
    let ConnectionKind::Bearer = order.connection.kind;
    let template = &order.action.response;
    let call =
        exchange::Call { host, request: &request, credential: &credential, template, deadline };
    let answer = exchange::exchange(socket, &call, roots)?;
    let projected = project::project_answer(&template.projection, &answer)?;
    let redacted = redact::redact(projected, &credential)?;
    if redacted.hits > 0 {
        // SECURITY: a service that sends credentials back is an incident; the run log shows
        // only the marks in the output.
        eprintln!("writ-jail: {}: credential-echo in {} values", order.name, redacted.hits);
    }
    Ok(redacted.value)
}

/// What of an answer's JSON may leave a cell that used this credential: both lines of defense.
///
/// # Errors
///
/// The stable code of the failure; the answer is not of the declared shape.
pub fn leaves(
    shape: &Projection,
    answer: &serde_json::Value,
    credential: &SecretBytes,
) -> Result<serde_json::Value, &'static str> {
    project::project_answer(shape, answer)
        .and_then(|projected| redact::redact(projected, credential))
        .map(|redacted| redacted.value)
        .map_err(|failed| failed.code)
}

/// Opens the one record; both descriptors are closed before the cell connects.
fn open_credential(order: &CellOrder, vault: VaultFiles) -> Result<SecretBytes, Failed> {
    let reference = &order.connection.secret;
    let SecretManager::Local = reference.manager();
    let (vault, key) = vault.ok_or(Failed::new("credential-not-found"))?;
    let credential = vault::local::open_record(vault, key, reference.path())
        .map_err(|error| Failed::new(error.code()))?;
    if credential.expose().len() < CREDENTIAL_MIN {
        return Err(Failed::new("credential-too-short"));
    }
    // RFC 6750 §2.1 has fewer characters still; these are the ones that no framing can read.
    if !credential.expose().iter().all(u8::is_ascii_graphic) {
        return Err(Failed::new("credential-malformed"));
    }
    Ok(credential)
}

fn failed(failure: Failed) -> CellOutcome {
    CellOutcome::Failed(FailedStep {
        code: failure.code.to_owned(),
        status: failure.status,
        retry_after_s: failure.retry_after_s,
    })
}

#[cfg(test)]
mod tests;
