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

mod credential;
mod delivery;
mod egress;
mod exchange;
mod http;
mod issuer_keys;
mod project;
mod redact;
mod request;
mod retry_after;
mod test_connection;
pub mod webhook;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::RootCertStore;
use writ_confine::Channel;
use writ_jail_link::{CellOrder, CellOutcome, CellTask, FailedStep, decode, encode};
use writ_model::{
    Connection, ConnectionKind,
    pack::{Projection, Verdict},
};

use self::credential::{Network, Resolved};
use crate::{secret_memory::SecretBytes, vault::Sources};

/// A failure in the making: a code, and what the service's answer said in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) code: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after_s: Option<u64>,
    /// Whether it is about the connection's secret, so that its reference is to be named.
    pub(crate) about_secret: bool,
    /// Which of the errors that the pack knows the service named.
    pub(crate) known_error: Option<usize>,
}

impl Failed {
    pub(crate) const fn new(code: &'static str) -> Self {
        Self { code, status: None, retry_after_s: None, about_secret: false, known_error: None }
    }

    pub(crate) const fn answered(code: &'static str, status: u16) -> Self {
        Self {
            code,
            status: Some(status),
            retry_after_s: None,
            about_secret: false,
            known_error: None,
        }
    }
}

/// What the confined process does: takes one order, answers it, ends.
#[must_use]
pub fn serve_one(
    jail: &Channel,
    broker: &Channel,
    sources: Sources,
    roots: Arc<RootCertStore>,
) -> i32 {
    let Ok(Some((frame, _))) = jail.receive() else { return 1 };
    let outcome = match decode::<CellTask>(&frame) {
        Ok(CellTask::Call(order)) => serve(&order, broker, sources, roots),
        Ok(CellTask::Http(order)) => match http::serve(&order, broker, sources, roots) {
            Ok(output) => CellOutcome::Output(output),
            Err(failure) => CellOutcome::Failed(step_of(failure, &order.connection)),
        },
        Ok(CellTask::Test(order)) => {
            let tried = test_connection::serve(&order, broker, sources, &roots);
            serde_json::to_value(tried)
                .map_or_else(|_| failed(Failed::new("cell-malformed")), CellOutcome::Output)
        }
        Ok(CellTask::Webhook(order)) => {
            let verdict = delivery::serve(&order, broker, sources, &roots).and_then(|verdict| {
                serde_json::to_value(verdict).map_err(|_| Failed::new("cell-malformed"))
            });
            verdict.map_or_else(failed, CellOutcome::Output)
        }
        Ok(CellTask::IssuerKeys(order)) => {
            drop(sources);
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
    sources: Sources,
    roots: Arc<RootCertStore>,
) -> CellOutcome {
    match try_serve(order, broker, sources, roots) {
        Ok(output) => CellOutcome::Output(output),
        Err(failure) => {
            let code = known_code(order, failure);
            CellOutcome::Failed(FailedStep { code, ..step_of(failure, &order.connection) })
        }
    }
}

fn try_serve(
    order: &CellOrder,
    broker: &Channel,
    sources: Sources,
    roots: Arc<RootCertStore>,
) -> Result<serde_json::Value, Failed> {
    let deadline = Instant::now() + Duration::from_secs(u64::from(order.timeout_s));
    let host = order.connection.hosts.first().ok_or(Failed::new("connection-without-host"))?;
    let request = request::render(order)?;
    let network = Network { broker, roots: Arc::clone(&roots), deadline };
    let Resolved { credential, derived } =
        credential::resolve(&order.connection.secret, sources, &network).map_err(about_secret)?;
    let socket = egress::connect(broker, host, &order.connection.allow_cidrs, deadline)?;
    let (kind, template) = (&order.connection.kind, &order.action.response);
    let call =
        exchange::Placed { host, request: &request, kind, credential: &credential, deadline };
    let answer = exchange::exchange(socket, &call, template, roots)?;
    verdict(template.verdict.as_ref(), &answer)?;
    let projected = project::project_answer(&template.projection, &answer)?;
    let secrets = secrets(kind, credential, derived)?;
    let redacted = redact::redact(projected, &secrets)?;
    if redacted.hits > 0 {
        // SECURITY: a service that sends credentials back is an incident; the run log shows
        // only the marks in the output.
        eprintln!("writ-jail: {}: credential-echo in {} values", order.name, redacted.hits);
    }
    Ok(redacted.value)
}

/// Whether the answer's body says that the call succeeded.
fn verdict(verdict: Option<&Verdict>, answer: &serde_json::Value) -> Result<(), Failed> {
    let Some(verdict) = verdict else { return Ok(()) };
    if answer.get(&verdict.ok) == Some(&serde_json::Value::Bool(true)) {
        return Ok(());
    }
    let named = answer.get(&verdict.error).and_then(serde_json::Value::as_str);
    let known_error =
        named.and_then(|named| verdict.errors.iter().position(|known| known == named));
    Err(Failed { known_error, ..Failed::new("service-refused") })
}

/// The code of an error that the pack knows, in the pack's own words.
fn known_code(order: &CellOrder, failure: Failed) -> String {
    let errors = order.action.response.verdict.as_ref().map(|verdict| &verdict.errors);
    let known = failure.known_error.and_then(|index| errors.and_then(|errors| errors.get(index)));
    known.map_or_else(
        || failure.code.to_owned(),
        |known| format!("service-{}", known.replace('_', "-")),
    )
}

/// Everything that must not come back: the credential, what it was fetched with, and what was made of it.
fn secrets(
    kind: &ConnectionKind,
    credential: SecretBytes,
    mut derived: Vec<SecretBytes>,
) -> Result<Vec<SecretBytes>, Failed> {
    if let ConnectionKind::Basic { username } = kind {
        let pair = exchange::basic(username, &credential);
        derived.push(credential::secret(pair.to_string())?);
    }
    derived.push(credential);
    Ok(derived)
}

/// A failure to resolve says about which reference: that is no secret.
const fn about_secret(failed: Failed) -> Failed {
    Failed { about_secret: true, ..failed }
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
        .and_then(|projected| redact::redact(projected, std::slice::from_ref(credential)))
        .map(|redacted| redacted.value)
        .map_err(|failed| failed.code)
}

fn failed(failure: Failed) -> CellOutcome {
    CellOutcome::Failed(step(failure))
}

/// A failure of a call; one about the secret names its reference.
fn step_of(failure: Failed, connection: &Connection) -> FailedStep {
    let about = failure.about_secret.then(|| connection.secret.to_string());
    FailedStep { about, ..step(failure) }
}

fn step(failure: Failed) -> FailedStep {
    FailedStep {
        code: failure.code.to_owned(),
        status: failure.status,
        retry_after_s: failure.retry_after_s,
        about: None,
    }
}

#[cfg(test)]
mod tests;
