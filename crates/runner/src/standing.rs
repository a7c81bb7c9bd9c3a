//! What fires standing writs: the clock of this machine, and webhooks that the gateway hands over.
//!
//! `due → content → jail → journal`. The jail says what its counters owe and decides each occurrence; the
//! runner brings bundle, parameters and a run key, and starts what was accepted.
//!
//! Invariants:
//! * the run key is computed from the occurrence and the runner's own secret: whoever is asked again after a
//!   crash asks about the same run;
//! * a run that the jail accepted is in the journal, or taken up again, or ended as lost;
//! * occurrences of one standing writ are offered in order, and the later ones wait for the earlier;
//! * a standing writ that was refused is offered again when the charter has changed or an hour has gone by,
//!   so that one that has lapsed does not fill the audit log.
//!
//! Not here: what is due, bounds and duplicates (the jail's counters); who sent a webhook (a cell).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::time::sleep;
use writ_api::{Problem, RunPhase, RunnerReport, SealedInput, StatusReport, WebhookDelivery};
use writ_engine::{EngineError, StartRun};
use writ_evidence::{
    charter::StandingRecord,
    digest::RunKey,
    seal,
    standing::{Parameters, scheduled_run, sealed_under},
};
use writ_jail_link::{
    CloseRun, CodeResult, Delivery, DueStanding, Fired, JailReply, JailRequest, OpenStanding,
    RunKeyText, StandingRun,
};
use writ_model::{Digest, RunId, StandingName, UnixTime};
use zeroize::Zeroizing;

use crate::{clock, jail_client::JailError, perform::failed, wiring::Parts};

/// Longest sleep: a charter that changed or a run that ended can make something due.
const LOOK: Duration = Duration::from_secs(5);
/// Seconds after which a standing writ that was refused is offered again.
const PATIENCE_S: u64 = 3600;
/// Deepest nesting of a delivery's JSON.
const DEPTH_MAX: usize = 64;
/// Seconds in which the sender of a delivery that was lost may repeat it before its run ends.
const REPEATED_WITHIN_S: u64 = 600;

/// What this runner's run keys of standing writs are computed from.
pub(crate) struct StandingSecret(hmac::Key);

impl StandingSecret {
    pub(crate) fn new(storage_key: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, storage_key);
        let derived = hmac::sign(&root, b"run keys of standing writs");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// The run key of an occurrence: of a schedule by its instant, of a webhook by its body.
    fn run_key(&self, standing: &StandingName, fired: &Fired) -> RunKey {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(standing.to_string().as_bytes());
        match fired {
            Fired::Scheduled(at) => {
                context.update(b"\0scheduled\0");
                context.update(&at.0.to_be_bytes());
            }
            Fired::Delivered(delivery) => {
                context.update(b"\0delivered\0");
                context.update(delivery.body.as_bytes());
            }
        }
        let mut key = Zeroizing::new([0; 32]);
        for (to, from) in key.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        RunKey::from_bytes(key)
    }
}

/// Standing writs that were refused: under which charter head, and when.
#[derive(Default)]
struct Refused(BTreeMap<StandingName, (Digest, UnixTime)>);

impl Refused {
    fn is_waiting(&self, name: &StandingName, head: Digest, now: UnixTime) -> bool {
        let since = self.0.get(name).filter(|(under, _)| *under == head);
        since.is_some_and(|(_, at)| now.since(*at) < PATIENCE_S)
    }
}

/// Fires schedules, for ever.
pub(crate) async fn serve(parts: Arc<Parts>) {
    let mut refused = Refused::default();
    loop {
        let next = fire_due(&parts, &mut refused).await;
        let until = next.map_or(LOOK, |next| {
            Duration::from_secs(next.0.saturating_sub(clock::now().to_seconds().0).max(1))
        });
        sleep(until.min(LOOK)).await;
    }
}

/// Offers everything that is due; returns when the next occurrence is.
async fn fire_due(parts: &Arc<Parts>, refused: &mut Refused) -> Option<UnixTime> {
    let head = parts.charter.state()?.head();
    let Ok(JailReply::StandingDue { due, open, next }) =
        parts.jail.ask(JailRequest::StandingDue).await
    else {
        return None;
    };
    for run in open {
        take_up_if_lost(parts, run).await;
    }
    let mut stopped: Option<StandingName> = None;
    for DueStanding { standing, at } in due {
        let now = clock::now().to_seconds();
        if refused.is_waiting(&standing, head, now) || stopped.as_ref() == Some(&standing) {
            continue;
        }
        match fire(parts, &standing, Fired::Scheduled(at), None).await {
            Ok(run) => tracing::info!(run.id = %run, standing = %standing, "schedule fired"),
            Err(NotFired::Later(code)) => {
                tracing::debug!(standing = %standing, code, "schedule waits");
                stopped = Some(standing);
            }
            Err(NotFired::Refused { code, reason }) => {
                tracing::warn!(standing = %standing, code, reason, "schedule refused");
                refused.0.insert(standing.clone(), (head, now));
                stopped = Some(standing);
            }
        }
    }
    next
}

/// Takes up a run that the jail accepted and the journal never got: this process died in between. A schedule's is
/// asked for again; a delivery's waits for its sender to repeat it. What can't be taken up ends, so that it does not
/// count as open for ever.
async fn take_up_if_lost(parts: &Arc<Parts>, lost: StandingRun) {
    let StandingRun { run, standing, scheduled_at, accepted_at } = lost;
    // What can't be told is not taken for lost.
    if parts.engine.holds(run).unwrap_or(true) {
        return;
    }
    if let Some(at) = scheduled_at {
        let charter = parts.charter.state();
        let entry =
            charter.and_then(|charter| charter.standing(&standing).map(|known| known.entry));
        if entry.is_some_and(|entry| scheduled_run(entry, at) == run) {
            match fire(parts, &standing, Fired::Scheduled(at), None).await {
                Ok(run) => tracing::info!(run.id = %run, standing = %standing, "run taken up"),
                Err(NotFired::Later(_)) => {}
                Err(NotFired::Refused { .. }) => abandon(parts, run).await,
            }
            return;
        }
    } else if clock::now().to_seconds().since(accepted_at) < REPEATED_WITHIN_S {
        return;
    }
    abandon(parts, run).await;
}

/// Ends a run that was lost, and says so.
async fn abandon(parts: &Arc<Parts>, run: RunId) {
    let code = "run-lost";
    let close = CloseRun { run, result: CodeResult::Failed(failed(code)) };
    if let Err(error) = parts.jail.statement(JailRequest::CloseRun(Box::new(close))).await {
        tracing::error!(run.id = %run, error = %error, "a lost run does not end");
        return;
    }
    tracing::error!(run.id = %run, code, "a run was lost before it was journalled");
    parts.outbox.put(RunnerReport::Status(StatusReport {
        run,
        phase: RunPhase::Faulted,
        code: Some(code.to_owned()),
        reason: None,
        step: None,
        attempt: None,
    }));
    parts.news.notify_one();
}

/// Why nothing was started.
enum NotFired {
    /// The jail says no.
    Refused { code: String, reason: String },
    /// Something is away, or there is no room; it is offered again.
    Later(String),
}

impl From<JailError> for NotFired {
    fn from(error: JailError) -> Self {
        // One that the jail does not know has been revoked, or is on its way to it.
        let transient = [
            "charter-behind",
            "standing-unknown",
            "standing-busy",
            "standing-exhausted",
            "webhook-window-full",
        ];
        match error {
            JailError::Refused(refused) if transient.contains(&refused.code.as_str()) => {
                Self::Later(refused.code)
            }
            JailError::Refused(refused) => {
                Self::Refused { code: refused.code, reason: refused.reason }
            }
            JailError::TooLong => Self::Refused {
                code: "order-too-long".to_owned(),
                reason: "the order is longer than the link allows".to_owned(),
            },
            JailError::Stopped(refused) => Self::Later(refused.code),
            JailError::Gone | JailError::Unexpected => later("jail-gone"),
        }
    }
}

fn later(code: &str) -> NotFired {
    NotFired::Later(code.to_owned())
}

/// One occurrence: content, the jail's acceptance, the journal.
async fn fire(
    parts: &Arc<Parts>,
    name: &StandingName,
    fired: Fired,
    body: Option<String>,
) -> Result<RunId, NotFired> {
    let charter = parts.charter.state().ok_or_else(|| later("charter-behind"))?;
    let record = charter.standing(name).cloned().ok_or_else(|| later("charter-behind"))?;
    let bundle = parts.content.get(record.standing.bundle).await;
    let bundle = bundle.ok_or_else(|| later("content-unavailable"))?;
    let (input, parameters_key) = parameters(parts, &record, body).await?;
    let run_key = parts.standing_secret.run_key(name, &fired);
    let open = OpenStanding {
        standing: name.clone(),
        fired,
        bundle: bundle.clone(),
        run_key: RunKeyText::from(&run_key),
        input: input.clone(),
        parameters_key,
    };
    let asked = parts.jail.ask(JailRequest::OpenStanding(Box::new(open))).await;
    parts.news.notify_one();
    let JailReply::Opened { run, acceptance } = asked? else { return Err(later("jail-gone")) };
    let automation = record.standing.automation;
    let start = StartRun {
        id: run,
        workspace: automation.workspace().clone(),
        automation,
        acceptance,
        bundle: bundle.into_bytes(),
        run_key,
        input,
    };
    match parts.engine.start(start).await {
        Ok(()) => Ok(run),
        Err(error) => {
            tracing::error!(run.id = %run, error = %error, "the engine does not start the run");
            if let EngineError::Journal(_) | EngineError::Unavailable(_) = error {
                return Err(later("journal"));
            }
            // It never will, and must not count as open for ever.
            abandon(parts, run).await;
            let (code, reason) = (error.code().to_owned(), error.to_string());
            Err(NotFired::Refused { code, reason })
        }
    }
}

/// The run's input, and the key that fixed parameters are digested with.
async fn parameters(
    parts: &Parts,
    record: &StandingRecord,
    body: Option<String>,
) -> Result<(String, Option<RunKeyText>), NotFired> {
    let refused = |code: &str, reason: &str| NotFired::Refused {
        code: code.to_owned(),
        reason: reason.to_owned(),
    };
    let (digest, sealed) = match record.standing.parameters {
        Parameters::Fixed { digest, sealed } => (digest, sealed),
        Parameters::Event => {
            let body = body.ok_or_else(|| {
                refused("input-not-json", "the body is not JSON, or nested deeper than 64")
            })?;
            return Ok((body, None));
        }
    };
    let text = parts.content.get(sealed).await;
    let text = text.ok_or_else(|| later("content-unavailable"))?;
    let foreign = || refused("sealed-input", "the parameters are not sealed to this runner");
    let sealed: Vec<SealedInput> = serde_json::from_str(&text).map_err(|_| foreign())?;
    let own = sealed.into_iter().find(|sealed| sealed.runner == parts.identity.id());
    let own = own.ok_or_else(foreign)?;
    let content =
        seal::open(&parts.sealing_key, sealed_under(digest), &own.sealed).map_err(|_| foreign())?;
    let input = String::from_utf8(content.input.to_vec())
        .map_err(|_| refused("input-not-text", "the input is not UTF-8"))?;
    Ok((input, Some(RunKeyText::from(&content.run_key))))
}

/// What becomes of a webhook's delivery: `{"run":…}`, or a problem in the words of HTTP.
pub(crate) async fn deliver(
    parts: &Arc<Parts>,
    delivery: WebhookDelivery,
) -> Result<String, Problem> {
    let WebhookDelivery { path, headers, body, .. } = delivery;
    let unknown = || {
        let cause = "no standing writ takes webhooks at this address";
        Problem::new(404, "webhook-unknown", cause)
    };
    let charter = parts.charter.state().ok_or_else(unknown)?;
    let name = charter.standing_at(&path).ok_or_else(unknown)?.standing.name.clone();
    let text = json_text(&body);
    let fired = Fired::Delivered(Delivery { headers, body });
    match fire(parts, &name, fired, text).await {
        Ok(run) => {
            tracing::info!(run.id = %run, standing = %name, "webhook taken");
            Ok(json!({ "run": run }).to_string())
        }
        // Senders repeat what they are not sure of; told that it is done, they stop.
        Err(NotFired::Refused { code, .. })
            if code == "webhook-duplicate" || code == "standing-used" =>
        {
            Ok(json!({ "duplicate": true }).to_string())
        }
        Err(NotFired::Refused { code, reason }) => {
            tracing::warn!(standing = %name, code, reason, "webhook refused");
            let status = match code.as_str() {
                code if code.starts_with("webhook-") => 401,
                code if code.starts_with("input-") => 400,
                _ => 403,
            };
            Err(Problem::new(status, &code, reason))
        }
        Err(NotFired::Later(code)) => {
            tracing::warn!(standing = %name, code, "webhook not taken now");
            let status = if code.starts_with("standing-") { 429 } else { 503 };
            Err(Problem::new(status, &code, "the webhook is not taken now; send it again"))
        }
    }
}

/// A body that is JSON as the engine reads it, and not nested deeper than its journal takes; nothing else can be a
/// run's input.
fn json_text(body: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    (depth(&value) <= DEPTH_MAX).then_some(text)
}

fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    1 + deepest.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(body: &str) -> bool {
        json_text(&URL_SAFE_NO_PAD.encode(body)).is_some()
    }

    #[test]
    fn a_body_is_taken_only_if_the_engine_can_read_and_keep_it() {
        assert!(taken(r#"{"number":1}"#));
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(taken(&nested(DEPTH_MAX)));
        for refused in [nested(DEPTH_MAX + 1), nested(100_000)] {
            assert!(!taken(&refused));
        }
        for refused in ["", "no JSON", r#"{"n":1e999}"#, r#"{"name":"\ud800"}"#, "{} {}"] {
            assert!(!taken(refused), "{refused}");
        }
    }
}
