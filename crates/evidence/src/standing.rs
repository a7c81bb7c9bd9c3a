//! Standing writs: an order that fires by itself, when, on whose word, and within which bounds.
//!
//! In: the value of the charter change `standing.set`, occurrences, `now`. Out: whether this
//! occurrence may start a run, as [`Counter::admit`] says. Pure, so that the jail decides from what
//! its own state file says, and a runner can compute the same.
//!
//! Invariants:
//! * a standing writ names exactly one bundle, by digest, and ends within 90 days;
//! * a webhook trigger has a verifier: there is no value of the type without one;
//! * no occurrence is admitted twice, before it is due, outside the bounds, or after the end.
//!
//! Read: `trigger` (what fires it), `bounds`, `counter` (what was admitted), `deliveries` (which
//! webhooks were seen). Not here: whether the grantor still may (`policy`); verifying a webhook
//! (the jail's cell, which holds the secret); what a charter keeps of one (`charter::StandingRecord`).

mod bounds;
mod counter;
mod deliveries;
mod trigger;

use serde::{Deserialize, Serialize};
use writ_model::{
    AutomationName, Digest, KeyedDigest, RunId, RunnerGroupId, StandingName, UnixTime,
};

use crate::digest::{RunDatum, RunKey, sha256_parts};

pub use bounds::{Bounds, CONCURRENCY_MAX, InvalidBounds, MAX_RUNS_MAX};
pub use counter::{ADMIT_WITHIN_S, Counter, CounterEvent, Occurrence, Refused};
pub use deliveries::{Deliveries, DeliveryError, DeliveryId, REMEMBER_S};
pub use trigger::{
    Freshness, HeaderName, InvalidTrigger, MaxAge, Remembered, Secrets, SignatureEncoding,
    StandardPrefix, StandardVerifier, Trigger, VerifyingKeys, WebhookTrigger, WebhookVerifier,
};

/// Longest life of a standing writ, in seconds: 90 days (DESIGN §3.4).
pub const STANDING_LIFETIME_S: u64 = 90 * 24 * 3600;

/// An order that a trigger gives whenever it fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingWrit {
    /// Its name.
    pub name: StandingName,
    /// Whose runner fires it: one group, so that it fires once.
    pub runner_group: RunnerGroupId,
    /// What it runs.
    pub automation: AutomationName,
    /// The bundle, as it was when this was signed: an edited automation needs a new standing writ.
    pub bundle: Digest,
    /// What fires it.
    pub trigger: Trigger,
    /// What its runs are given.
    pub parameters: Parameters,
    /// How often it may fire.
    pub bounds: Bounds,
    /// From when on it fires no more.
    pub expires_at: UnixTime,
}

/// What the runs of a standing writ are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Parameters {
    /// Always the same, which travel sealed beside the standing writ, with the key of their digest.
    Fixed {
        /// Keyed, since a bare digest of few possible parameters would tell them.
        digest: KeyedDigest,
        /// What they travel as: JSON of what was sealed to each runner of the group, by digest.
        sealed: Digest,
    },
    /// The body of the webhook's delivery, which must be JSON.
    Event,
}

impl StandingWrit {
    /// Whether it can stand if it is admitted at `at`.
    ///
    /// # Errors
    ///
    /// What is wrong, in a sentence: another workspace's automation, an end that is past or too far
    /// away, or parameters that its trigger can't bring.
    pub fn check(&self, at: UnixTime) -> Result<(), &'static str> {
        if self.automation.workspace() != self.name.workspace() {
            return Err("a standing writ runs an automation of its own workspace");
        }
        if self.expires_at <= at {
            return Err("the standing writ would end before it begins");
        }
        if self.expires_at.since(at) > STANDING_LIFETIME_S {
            return Err("a standing writ ends within 90 days");
        }
        match (&self.trigger, self.parameters) {
            (Trigger::Schedule { .. }, Parameters::Event) => {
                Err("a schedule brings no parameters: name fixed ones")
            }
            (Trigger::Schedule { .. }, Parameters::Fixed { .. }) | (Trigger::Webhook(_), _) => {
                Ok(())
            }
        }
    }
}

/// What fixed parameters are sealed under: whoever opens them knows which digest they answer to.
#[must_use]
pub fn sealed_under(digest: KeyedDigest) -> Digest {
    sha256_parts(&[b"standing-parameters\0", digest.as_bytes()])
}

/// The run that an occurrence of a schedule starts, computed from charter facts alone: nobody chooses it,
/// and whoever reads the audit log finds the same. `entry` is the digest of the `standing.set` entry.
#[must_use]
pub fn scheduled_run(entry: Digest, occurrence: UnixTime) -> RunId {
    let at = occurrence.0.to_be_bytes();
    crate::writ::run_id(sha256_parts(&[b"standing-run\0", entry.as_bytes(), &at]))
}

/// The run that a delivery starts. Keyed by the run's key, since the id of a delivery may be a bare digest
/// of its body.
#[must_use]
pub fn delivered_run(entry: Digest, delivery: DeliveryId, key: &RunKey) -> RunId {
    let named = [entry.as_bytes().as_slice(), delivery.as_bytes()].concat();
    let keyed = key.digest(RunDatum::Delivery, &named);
    crate::writ::run_id(Digest::from_bytes(*keyed.as_bytes()))
}

#[cfg(test)]
mod tests;
