//! What runner, jail and cell say to each other when a standing writ fires.
//!
//! Nothing here is believed: the jail counts for itself, and a cell verifies a delivery.

use serde::{Deserialize, Serialize};
use writ_evidence::standing::{DeliveryId, WebhookVerifier};
use writ_model::{RunId, SecretRef, StandingName, UnixTime};

use crate::RunKeyText;

/// A standing writ has fired: may its run start?
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenStanding {
    /// Which.
    pub standing: StandingName,
    /// What fired it.
    pub fired: Fired,
    /// The closed bundle's exact bytes.
    pub bundle: String,
    /// The run key, which the runner drew.
    pub run_key: RunKeyText,
    /// The input's exact bytes: the fixed parameters, or the delivery's body.
    pub input: String,
    /// The key that fixed parameters are digested with; absent where the delivery brings them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_key: Option<RunKeyText>,
}

/// What fired a standing writ.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Fired {
    /// Its schedule, at this instant of it.
    Scheduled(UnixTime),
    /// A webhook.
    Delivered(Delivery),
}

/// A webhook's delivery as it arrived; run data, so that it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Header names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte, as base64url.
    pub body: String,
}

/// An occurrence that a schedule owes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DueStanding {
    /// Which standing writ.
    pub standing: StandingName,
    /// The instant of its schedule.
    pub at: UnixTime,
}

/// A run that a standing writ has started and that is not closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingRun {
    /// The run.
    pub run: RunId,
    /// Which standing writ.
    pub standing: StandingName,
    /// The instant of its schedule; absent if a delivery started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<UnixTime>,
    /// When the jail accepted it.
    pub accepted_at: UnixTime,
}

/// One delivery to verify with one secret at most: a cell opens one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookOrder {
    /// How deliveries are signed, from the charter.
    pub verifier: WebhookVerifier,
    /// Which of its secrets to try; absent where public keys verify.
    pub secret: Option<SecretRef>,
    /// The delivery.
    pub delivery: Delivery,
    /// The jail's clock.
    pub now: UnixTime,
    /// Seconds until the cell gives up.
    pub timeout_s: u32,
}

/// What a cell says of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum DeliveryVerdict {
    /// Its sender is the one that the verifier names.
    Verified {
        /// Which delivery it is.
        id: DeliveryId,
        /// Until when it must be remembered.
        remember_until: UnixTime,
    },
    /// It is not believed.
    Refused {
        /// Stable code.
        code: String,
        /// The rule; never a header's value.
        reason: String,
    },
}
