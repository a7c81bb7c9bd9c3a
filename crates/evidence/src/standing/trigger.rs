//! What fires a standing writ: a schedule, or a webhook whose sender is verified.
//!
//! A [`WebhookTrigger`] can't be made without a verifier, nor a verifier without a secret's
//! reference or a public key:
//!
//! ```compile_fail,E0063
//! use writ_evidence::standing::WebhookTrigger;
//! fn open(path: writ_model::WebhookPath) -> WebhookTrigger { WebhookTrigger { path } }
//! ```
//!
//! What each scheme signs, and what takes the place of what it does not sign:
//!
//! | scheme | signed | id | age |
//! | --- | --- | --- | --- |
//! | `github` | body | digest of the body | none: remembered for a window |
//! | `slack` | timestamp, body | digest of the body | from the timestamp |
//! | `stripe` | timestamp, body | digest of the body | from the timestamp |
//! | `standard-webhooks` | id, timestamp, body | the signed id | from the timestamp |
//! | `ed25519` | body, or timestamp and body | digest of the body | from the timestamp, or a window |
//!
//! SECURITY: GitHub's `X-GitHub-Delivery` is not under its signature. Whoever captured one delivery
//! could give it a new id, so the body's digest is what counts. Where no timestamp is signed, a
//! captured delivery verifies again once its window has passed and until the secret is changed.
//!
//! Not here: verifying (the jail's cell).

use std::fmt;

use serde::{Deserialize, Serialize};
use writ_model::{SecretRef, WebhookPath};
use writ_schedule::{MissedRuns, Schedule};

use super::{REMEMBER_S, STANDING_LIFETIME_S};
use crate::key::{Algorithm, PublicKey};

/// Most secrets or keys at once: the one that is, the one that comes, and room for a mistake.
const VERIFIERS_MAX: usize = 4;
/// Longest age of a delivery, in seconds.
const AGE_MOST_S: u32 = 3600;
/// Longest header name.
const HEADER_MAX: usize = 64;

/// A part of a trigger is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct InvalidTrigger {
    /// What it must be.
    pub expected: &'static str,
}

/// What fires a standing writ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Trigger {
    /// A schedule.
    Schedule {
        /// When.
        schedule: Schedule,
        /// What happens to occurrences that nothing could fire.
        missed_runs: MissedRuns,
    },
    /// A webhook.
    Webhook(WebhookTrigger),
}

/// A webhook: where it arrives, and how its sender is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTrigger {
    /// The last part of its address.
    pub path: WebhookPath,
    /// How a delivery is verified.
    pub verifier: WebhookVerifier,
}

/// How deliveries are signed, and by what they are verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "kebab-case", deny_unknown_fields)]
pub enum WebhookVerifier {
    /// GitHub: `X-Hub-Signature-256`, HMAC-SHA-256 of the body.
    Github {
        /// Secrets, any of which verifies.
        secrets: Secrets,
        /// How long a delivery is remembered.
        #[serde(rename = "remember_s")]
        remember: Remembered,
    },
    /// Slack: `X-Slack-Signature` over `v0:timestamp:body`.
    Slack {
        /// Secrets, any of which verifies.
        secrets: Secrets,
        /// Oldest delivery that is taken.
        #[serde(rename = "max_age_s")]
        max_age: MaxAge,
    },
    /// Stripe and who signs alike: one header `t=…,v1=…` over `timestamp.body`.
    Stripe {
        /// The header: `stripe-signature` for Stripe.
        header: HeaderName,
        /// Secrets, any of which verifies.
        secrets: Secrets,
        /// Oldest delivery that is taken.
        #[serde(rename = "max_age_s")]
        max_age: MaxAge,
    },
    /// Standard Webhooks: `v1` by secrets, `v1a` by public keys.
    StandardWebhooks {
        /// What verifies.
        by: StandardVerifier,
        /// What the three headers begin with.
        prefix: StandardPrefix,
        /// Oldest delivery that is taken.
        #[serde(rename = "max_age_s")]
        max_age: MaxAge,
    },
    /// Ed25519 over the body, or over a timestamp's text and the body, as Discord does.
    Ed25519 {
        /// Public keys, any of which verifies; no secret.
        keys: VerifyingKeys,
        /// The header that the signature stands in.
        header: HeaderName,
        /// How it is written there.
        encoding: SignatureEncoding,
        /// How an old delivery is known.
        freshness: Freshness,
    },
}

impl WebhookVerifier {
    /// The secrets that a cell resolves to verify a delivery; none where public keys do.
    #[must_use]
    pub fn secrets(&self) -> &[SecretRef] {
        match self {
            Self::Github { secrets, .. }
            | Self::Slack { secrets, .. }
            | Self::Stripe { secrets, .. }
            | Self::StandardWebhooks { by: StandardVerifier::Secrets(secrets), .. } => &secrets.0,
            Self::StandardWebhooks { by: StandardVerifier::Keys(_), .. } | Self::Ed25519 { .. } => {
                &[]
            }
        }
    }
}

/// What verifies a Standard Webhooks delivery. One kind only: otherwise whoever holds the public
/// part of one could choose the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StandardVerifier {
    /// `v1`: secrets, each `whsec_` and base64.
    Secrets(Secrets),
    /// `v1a`: Ed25519 public keys.
    Keys(VerifyingKeys),
}

/// What the headers of Standard Webhooks begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StandardPrefix {
    /// `webhook-id`, as the specification has it.
    Webhook,
    /// `svix-id`, from before the specification.
    Svix,
}

/// How a signature's 64 bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureEncoding {
    /// Hexadecimal.
    Hex,
    /// Base64 (RFC 4648 §4), padded.
    Base64,
}

/// How an old delivery is known that has been seen before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Freshness {
    /// By a timestamp, whose text is signed in front of the body.
    Timestamp {
        /// The header that it stands in.
        header: HeaderName,
        /// Oldest delivery that is taken.
        #[serde(rename = "max_age_s")]
        max_age: MaxAge,
    },
    /// By remembering deliveries.
    Window {
        /// How long.
        #[serde(rename = "remember_s")]
        remember: Remembered,
    },
}

/// One to four references to secrets, any of which verifies: two while one replaces the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<SecretRef>", into = "Vec<SecretRef>")]
pub struct Secrets(Vec<SecretRef>);

impl TryFrom<Vec<SecretRef>> for Secrets {
    type Error = InvalidTrigger;

    fn try_from(secrets: Vec<SecretRef>) -> Result<Self, InvalidTrigger> {
        if (1..=VERIFIERS_MAX).contains(&secrets.len()) {
            return Ok(Self(secrets));
        }
        Err(InvalidTrigger { expected: "one to four secret references" })
    }
}

impl From<Secrets> for Vec<SecretRef> {
    fn from(secrets: Secrets) -> Self {
        secrets.0
    }
}

/// One to four Ed25519 public keys, any of which verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PublicKey>", into = "Vec<PublicKey>")]
pub struct VerifyingKeys(Vec<PublicKey>);

impl VerifyingKeys {
    /// Whether any of the keys verifies `signature` over `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.iter().any(|key| key.verifies(message, signature))
    }
}

impl TryFrom<Vec<PublicKey>> for VerifyingKeys {
    type Error = InvalidTrigger;

    fn try_from(keys: Vec<PublicKey>) -> Result<Self, InvalidTrigger> {
        let ed25519 = keys.iter().all(|key| key.algorithm() == Algorithm::EdDsa);
        if ed25519 && (1..=VERIFIERS_MAX).contains(&keys.len()) {
            return Ok(Self(keys));
        }
        Err(InvalidTrigger { expected: "one to four Ed25519 public keys" })
    }
}

impl From<VerifyingKeys> for Vec<PublicKey> {
    fn from(keys: VerifyingKeys) -> Self {
        keys.0
    }
}

/// The age past which a delivery is refused, in seconds: up to an hour; senders advise 300.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct MaxAge(u32);

impl MaxAge {
    /// In seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 as u64
    }
}

impl TryFrom<u32> for MaxAge {
    type Error = InvalidTrigger;

    fn try_from(seconds: u32) -> Result<Self, InvalidTrigger> {
        if (1..=AGE_MOST_S).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(InvalidTrigger { expected: "an age of 1 to 3600 seconds" })
    }
}

impl From<MaxAge> for u32 {
    fn from(age: MaxAge) -> Self {
        age.0
    }
}

/// How long a delivery without a timestamp is remembered, in seconds: 3 to 90 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Remembered(u32);

impl Remembered {
    /// In seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 as u64
    }
}

impl TryFrom<u32> for Remembered {
    type Error = InvalidTrigger;

    fn try_from(seconds: u32) -> Result<Self, InvalidTrigger> {
        if (REMEMBER_S..=STANDING_LIFETIME_S).contains(&u64::from(seconds)) {
            return Ok(Self(seconds));
        }
        Err(InvalidTrigger { expected: "a window of 3 to 90 days, in seconds" })
    }
}

impl From<Remembered> for u32 {
    fn from(window: Remembered) -> Self {
        window.0
    }
}

/// The name of an HTTP header, in lower case.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(String);

impl HeaderName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderName {
    type Error = InvalidTrigger;

    fn try_from(name: String) -> Result<Self, InvalidTrigger> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        if (1..=HEADER_MAX).contains(&name.len()) && name.bytes().all(plain) {
            return Ok(Self(name));
        }
        Err(InvalidTrigger { expected: "a header's name in lower case, such as `x-signature`" })
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.0
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
