//! HMAC-SHA-256 under any of several secrets, compared in constant time.
//!
//! Invariant: every secret is tried against every signature; nothing ends early, so time tells
//! neither which secret nor how much of a signature was right. A secret of fewer than
//! [`SECRET_MIN`] bytes is refused: an empty one would let anybody sign.

use aws_lc_rs::{constant_time, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::WebhookError;

/// Shortest secret, in bytes, as for every credential.
const SECRET_MIN: usize = 8;
/// What a secret of Standard Webhooks begins with; without it, the text is base64 all the same.
const WHSEC: &[u8] = b"whsec_";

/// The keys that a trigger's secrets make.
pub(super) struct SecretKeys(Vec<hmac::Key>);

impl SecretKeys {
    /// Of secrets that are used byte for byte.
    pub(super) fn raw(secrets: &[&[u8]]) -> Result<Self, WebhookError> {
        if secrets.is_empty() {
            return Err(WebhookError::Secret);
        }
        secrets.iter().map(|secret| key(secret)).collect::<Result<_, _>>().map(Self)
    }

    /// Of Standard Webhooks' secrets: `whsec_` and base64.
    pub(super) fn whsec(secrets: &[&[u8]]) -> Result<Self, WebhookError> {
        if secrets.is_empty() {
            return Err(WebhookError::Secret);
        }
        let decoded = secrets.iter().map(|secret| {
            let text = secret.strip_prefix(WHSEC).unwrap_or(secret);
            let bytes = STANDARD.decode(text).map_err(|_| WebhookError::Secret)?;
            key(&Zeroizing::new(bytes))
        });
        decoded.collect::<Result<_, _>>().map(Self)
    }

    /// Whether any signature is any secret's over the parts, one after the other.
    pub(super) fn verify(
        &self,
        parts: &[&[u8]],
        signatures: &[Vec<u8>],
    ) -> Result<(), WebhookError> {
        let mut verified = false;
        for key in &self.0 {
            let mut context = hmac::Context::with_key(key);
            for part in parts {
                context.update(part);
            }
            let tag = context.sign();
            for signature in signatures {
                verified |= constant_time::verify_slices_are_equal(tag.as_ref(), signature).is_ok();
            }
        }
        if verified { Ok(()) } else { Err(WebhookError::Signature) }
    }
}

fn key(secret: &[u8]) -> Result<hmac::Key, WebhookError> {
    if secret.len() < SECRET_MIN {
        return Err(WebhookError::Secret);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
}

/// Base64 (RFC 4648 §4), padded.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Hexadecimal of either case.
pub(super) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
