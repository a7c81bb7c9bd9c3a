//! Verifies a webhook delivery: who sent it, when, and which one it is.
//!
//! In: the trigger's verifier, the bytes of each secret it refers to, the delivery as it arrived
//! (headers and raw body), `now`. Out: [`VerifiedDelivery`], which only verification makes, or a
//! typed refusal. Pure: no clock, no socket; the bytes are verified before anybody parses them.
//!
//! Invariants:
//! * every comparison of a secret's signature takes the same time whatever it compares; each secret
//!   is tried, and the refusal does not say which failed;
//! * a header that a scheme reads stands there exactly once, whatever its case;
//! * what verifies is remembered for longer than it would verify (`evidence::standing::Deliveries`);
//! * no refusal quotes a secret, a body or a header's value.
//!
//! What each scheme signs, and what stands for what it does not, is in `evidence::standing::Trigger`.
//! Not here: which delivery was seen before; resolving secrets; serving the address.
//!
//! ```compile_fail,E0451
//! use writ_evidence::standing::DeliveryId;
//! use writ_jail::cell::webhook::VerifiedDelivery;
//! let at = writ_model::UnixTime(0);
//! let id = DeliveryId::from_body(b"forged");
//! let forged = VerifiedDelivery { id, at: None, remember_until: at };
//! ```

mod headers;
mod signature;

use writ_evidence::standing::{
    DeliveryId, Freshness, MaxAge, Occurrence, REMEMBER_S, Remembered, SignatureEncoding,
    StandardPrefix, StandardVerifier, VerifyingKeys, WebhookVerifier,
};
use writ_model::{
    UnixTime,
    limits::{CLOCK_SKEW_S, RUN_INPUT_MAX},
};

use self::{
    headers::Headers,
    signature::{SecretKeys, decode_base64, decode_hex},
};

/// Most signatures that a header may list.
const SIGNATURES_MAX: usize = 16;

/// A delivery as it arrived.
#[derive(Clone, Copy)]
pub struct UnverifiedDelivery<'a> {
    /// Header names and values, in order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// A delivery whose sender was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedDelivery {
    id: DeliveryId,
    at: Option<UnixTime>,
    remember_until: UnixTime,
}

impl VerifiedDelivery {
    /// What it is told from others by.
    #[must_use]
    pub const fn id(&self) -> DeliveryId {
        self.id
    }

    /// When its sender says that it was sent; absent where no time is signed.
    #[must_use]
    pub const fn at(&self) -> Option<UnixTime> {
        self.at
    }

    /// Until when it must be remembered.
    #[must_use]
    pub const fn remember_until(&self) -> UnixTime {
        self.remember_until
    }

    /// What a standing writ's counter is asked to admit.
    #[must_use]
    pub const fn occurrence(&self) -> Occurrence {
        Occurrence::Delivered { id: self.id, remember_until: self.remember_until }
    }
}

/// Why a delivery is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// A header that the scheme needs is not there.
    #[error("the webhook has no header `{header}`")]
    HeaderMissing {
        /// Its name.
        header: String,
    },
    /// A header that is read once stands there several times.
    #[error("the webhook has header `{header}` more than once")]
    HeaderRepeated {
        /// Its name.
        header: String,
    },
    /// A header is not of the scheme's form.
    #[error("header `{header}` of the webhook is not of its scheme's form")]
    HeaderMalformed {
        /// Its name.
        header: String,
    },
    /// No secret or key verifies it.
    #[error("the webhook's signature is not by any secret or key of its trigger")]
    Signature,
    /// It was sent too long ago.
    #[error("the webhook was sent more than {max_age_s} s ago")]
    TooOld {
        /// The trigger's limit.
        max_age_s: u64,
    },
    /// It claims to be from the future.
    #[error("the webhook is from the future: compare the clocks")]
    FromTheFuture,
    /// Its body is larger than a run's input may be.
    #[error("the webhook's body is larger than {RUN_INPUT_MAX} bytes")]
    TooLarge,
    /// No secret was given where the scheme needs one, or one is too short or not of its form.
    #[error("a secret of the webhook's trigger is absent, too short or not of its scheme's form")]
    Secret,
}

impl WebhookError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::HeaderMissing { .. } => "webhook-header-missing",
            Self::HeaderRepeated { .. } => "webhook-header-repeated",
            Self::HeaderMalformed { .. } => "webhook-header-malformed",
            Self::Signature => "webhook-signature",
            Self::TooOld { .. } => "webhook-too-old",
            Self::FromTheFuture => "webhook-from-the-future",
            Self::TooLarge => "webhook-too-large",
            Self::Secret => "webhook-secret",
        }
    }
}

/// Verifies a delivery. `secrets` are the bytes of those that the verifier refers to; where only
/// public keys verify, they are ignored.
///
/// # Errors
///
/// [`WebhookError`]: see each variant. `TooOld` and `FromTheFuture` are said of genuine ones only.
///
/// # Spec
///
/// GitHub, "Validating webhook deliveries"; Slack, "Verifying requests from Slack"; Stripe, "Verify
/// webhook signatures manually"; Standard Webhooks 1.0; Discord, "Interactions: security".
pub fn verify(
    verifier: &WebhookVerifier,
    secrets: &[&[u8]],
    delivery: &UnverifiedDelivery<'_>,
    now: UnixTime,
) -> Result<VerifiedDelivery, WebhookError> {
    if delivery.body.len() > RUN_INPUT_MAX {
        return Err(WebhookError::TooLarge);
    }
    let arrived = Arrived { headers: Headers::new(delivery.headers), body: delivery.body, now };
    match verifier {
        WebhookVerifier::Github { remember, .. } => {
            arrived.github(&SecretKeys::raw(secrets)?)?;
            Ok(arrived.remembered(*remember))
        }
        WebhookVerifier::Slack { max_age, .. } => {
            let sent = arrived.slack(&SecretKeys::raw(secrets)?)?;
            arrived.dated(arrived.body_id(), sent, *max_age)
        }
        WebhookVerifier::Stripe { header, max_age, .. } => {
            let sent = arrived.stripe(header.as_str(), &SecretKeys::raw(secrets)?)?;
            arrived.dated(arrived.body_id(), sent, *max_age)
        }
        WebhookVerifier::StandardWebhooks { by, prefix, max_age } => {
            let (id, sent) = arrived.standard(by, *prefix, secrets)?;
            arrived.dated(id, sent, *max_age)
        }
        WebhookVerifier::Ed25519 { keys, header, encoding, freshness } => {
            let signature = arrived.signature(header.as_str(), *encoding)?;
            arrived.ed25519(keys, &signature, freshness)
        }
    }
}

/// A delivery with its headers looked up, at an instant.
struct Arrived<'a> {
    headers: Headers<'a>,
    body: &'a [u8],
    now: UnixTime,
}

impl Arrived<'_> {
    fn body_id(&self) -> DeliveryId {
        DeliveryId::from_body(self.body)
    }

    /// Where no time is signed, the window stands for the age.
    fn remembered(&self, window: Remembered) -> VerifiedDelivery {
        let remember_until = self.now.plus(window.seconds());
        VerifiedDelivery { id: self.body_id(), at: None, remember_until }
    }

    /// Judges the age of a genuine delivery.
    fn dated(
        &self,
        id: DeliveryId,
        sent: UnixTime,
        max_age: MaxAge,
    ) -> Result<VerifiedDelivery, WebhookError> {
        let max_age_s = max_age.seconds();
        if sent > self.now.plus(CLOCK_SKEW_S) {
            return Err(WebhookError::FromTheFuture);
        }
        if self.now.since(sent) > max_age_s {
            return Err(WebhookError::TooOld { max_age_s });
        }
        let remember_until = sent.plus(max_age_s).plus(REMEMBER_S);
        Ok(VerifiedDelivery { id, at: Some(sent), remember_until })
    }

    fn github(&self, keys: &SecretKeys) -> Result<(), WebhookError> {
        const HEADER: &str = "x-hub-signature-256";
        let value = self.headers.one(HEADER)?;
        let signature = value.strip_prefix("sha256=").and_then(decode_hex);
        keys.verify(&[self.body], &[signature.ok_or_else(|| malformed(HEADER))?])
    }

    fn slack(&self, keys: &SecretKeys) -> Result<UnixTime, WebhookError> {
        const HEADER: &str = "x-slack-signature";
        let (text, sent) = self.headers.timestamp("x-slack-request-timestamp")?;
        let value = self.headers.one(HEADER)?;
        let signature = value.strip_prefix("v0=").and_then(decode_hex);
        let signature = signature.ok_or_else(|| malformed(HEADER))?;
        keys.verify(&[b"v0:", text.as_bytes(), b":", self.body], &[signature])?;
        Ok(sent)
    }

    /// One header holds the time and every signature; those of other versions are passed over.
    fn stripe(&self, header: &str, keys: &SecretKeys) -> Result<UnixTime, WebhookError> {
        let (mut times, mut signatures) = (Vec::new(), Vec::new());
        for part in self.headers.one(header)?.split(',') {
            match part.trim_matches(' ').split_once('=') {
                Some(("t", text)) => times.push(text),
                Some(("v1", text)) => {
                    signatures.push(decode_hex(text).ok_or_else(|| malformed(header))?);
                }
                Some(_) => {}
                None => return Err(malformed(header)),
            }
        }
        let [text] = times.as_slice() else { return Err(malformed(header)) };
        let sent = headers::seconds(text).ok_or_else(|| malformed(header))?;
        if signatures.is_empty() || signatures.len() > SIGNATURES_MAX {
            return Err(malformed(header));
        }
        keys.verify(&[text.as_bytes(), b".", self.body], &signatures)?;
        Ok(sent)
    }

    fn standard(
        &self,
        by: &StandardVerifier,
        prefix: StandardPrefix,
        secrets: &[&[u8]],
    ) -> Result<(DeliveryId, UnixTime), WebhookError> {
        let [id_header, time_header, signature_header] = match prefix {
            StandardPrefix::Webhook => ["webhook-id", "webhook-timestamp", "webhook-signature"],
            StandardPrefix::Svix => ["svix-id", "svix-timestamp", "svix-signature"],
        };
        let id = self.headers.one(id_header)?;
        // SECURITY: with a full stop in the id, another id and time could be read out of the same
        // signed bytes.
        if id.contains('.') {
            return Err(malformed(id_header));
        }
        let (text, sent) = self.headers.timestamp(time_header)?;
        let version = match by {
            StandardVerifier::Secrets(_) => "v1",
            StandardVerifier::Keys(_) => "v1a",
        };
        let signatures = listed(self.headers.one(signature_header)?, version)
            .ok_or_else(|| malformed(signature_header))?;
        let signed: [&[u8]; 5] = [id.as_bytes(), b".", text.as_bytes(), b".", self.body];
        match by {
            StandardVerifier::Secrets(_) => {
                SecretKeys::whsec(secrets)?.verify(&signed, &signatures)?;
            }
            StandardVerifier::Keys(keys) => {
                let signed = signed.concat();
                if !signatures.iter().any(|signature| keys.verify(&signed, signature)) {
                    return Err(WebhookError::Signature);
                }
            }
        }
        Ok((DeliveryId::from_signed_id(id), sent))
    }

    fn signature(
        &self,
        header: &str,
        encoding: SignatureEncoding,
    ) -> Result<Vec<u8>, WebhookError> {
        let value = self.headers.one(header)?;
        let signature = match encoding {
            SignatureEncoding::Hex => decode_hex(value),
            SignatureEncoding::Base64 => decode_base64(value),
        };
        signature.ok_or_else(|| malformed(header))
    }

    fn ed25519(
        &self,
        keys: &VerifyingKeys,
        signature: &[u8],
        freshness: &Freshness,
    ) -> Result<VerifiedDelivery, WebhookError> {
        match freshness {
            Freshness::Window { remember } => {
                if !keys.verify(self.body, signature) {
                    return Err(WebhookError::Signature);
                }
                Ok(self.remembered(*remember))
            }
            Freshness::Timestamp { header, max_age } => {
                let (text, sent) = self.headers.timestamp(header.as_str())?;
                // Nothing parts time and body here, but a digit moved from one to the other makes
                // the time ten times another, which its age refuses.
                if !keys.verify(&[text.as_bytes(), self.body].concat(), signature) {
                    return Err(WebhookError::Signature);
                }
                self.dated(self.body_id(), sent, *max_age)
            }
        }
    }
}

/// The signatures of one version in a list `v1,… v1a,…`; none if it is not such a list.
fn listed(list: &str, version: &str) -> Option<Vec<Vec<u8>>> {
    let mut signatures = Vec::new();
    let mut count = 0;
    for part in list.split(' ') {
        let (name, text) = part.split_once(',')?;
        count += 1;
        if name == version {
            signatures.push(decode_base64(text)?);
        }
    }
    (count <= SIGNATURES_MAX).then_some(signatures)
}

fn malformed(header: &str) -> WebhookError {
    WebhookError::HeaderMalformed { header: header.to_owned() }
}

#[cfg(test)]
mod tests;
