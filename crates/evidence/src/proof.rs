//! Proof of possession for one HTTP request, DPoP style (RFC 9449 §4).
//!
//! `ath` is the digest of the identity credential, so that a stolen ID token alone reads nothing;
//! a runner's proof, made with its enrolled link key, has none.
//!
//! In: the proof, the request's method and URL, the one key it may be made with, and `now`. Out:
//! [`VerifiedProof`], whose `jti` the caller refuses to see twice.
//! Not here: remembering `jti` (the receiving process).

use aws_lc_rs::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use writ_model::{Digest, UnixTime, limits::CLOCK_SKEW_S};

use crate::{
    jws::{self, HeaderExtra, JwsError, ObjectType, UnverifiedJws},
    key::{PublicKey, SigningError, SigningKey},
};

/// A proof's claims (RFC 9449 §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofClaims {
    /// HTTP method.
    pub htm: String,
    /// Request URL without query and fragment.
    pub htu: String,
    /// When it was made.
    pub iat: UnixTime,
    /// Unique id, 16 to 64 characters.
    pub jti: String,
    /// Digest of the identity credential; absent in a runner's proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ath: Option<Digest>,
}

/// Why a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Form, type, algorithm or signature.
    #[error("request proof is refused")]
    Jws(#[source] JwsError),
    /// Its `jwk` is not the key that the caller's identity is bound to.
    #[error("request proof was made with another key")]
    OtherKey,
    /// It is for another method, URL or credential.
    #[error("request proof is for another request")]
    OtherRequest,
    /// It is not from the last 60 s.
    #[error("request proof is too old or from the future")]
    Stale,
}

impl ProofError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Jws(_) => "proof-signature",
            Self::OtherKey => "proof-key",
            Self::OtherRequest => "proof-request",
            Self::Stale => "proof-stale",
        }
    }
}

/// What a proof must be for.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedRequest<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Request URL without query and fragment.
    pub url: &'a str,
    /// Digest of the identity credential, if the request is a person's.
    pub idc: Option<Digest>,
}

/// A proof that was made with the expected key for the expected request.
#[derive(Debug, Clone)]
pub struct VerifiedProof {
    jti: String,
    iat: UnixTime,
}

impl VerifiedProof {
    /// Verifies a proof.
    ///
    /// # Errors
    ///
    /// [`ProofError`].
    ///
    /// # Spec
    ///
    /// RFC 9449 §4.3, checks 1 to 12 less `nonce`.
    pub fn verify(
        compact: &str,
        key: &PublicKey,
        expected: ExpectedRequest<'_>,
        now: UnixTime,
    ) -> Result<Self, ProofError> {
        let unverified = UnverifiedJws::parse(compact).map_err(ProofError::Jws)?;
        let named = unverified.jwk().and_then(|jwk| PublicKey::from_jwk(jwk).ok());
        if named.as_ref() != Some(key) {
            return Err(ProofError::OtherKey);
        }
        let claims: ProofClaims = unverified
            .verify(ObjectType::Dpop, key)
            .and_then(|verified| verified.claims())
            .map_err(ProofError::Jws)?;
        let same = claims.htm == expected.method
            && claims.htu == expected.url
            && claims.ath == expected.idc
            && (16..=64).contains(&claims.jti.len());
        if !same {
            return Err(ProofError::OtherRequest);
        }
        if claims.iat > now.plus(CLOCK_SKEW_S) || now > claims.iat.plus(CLOCK_SKEW_S) {
            return Err(ProofError::Stale);
        }
        Ok(Self { jti: claims.jti, iat: claims.iat })
    }

    /// Unique id: remember it for 120 s and refuse it a second time.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// When it was made.
    #[must_use]
    pub const fn iat(&self) -> UnixTime {
        self.iat
    }
}

/// Makes a proof.
///
/// # Errors
///
/// [`SigningError`]: the random source failed.
pub fn sign(
    claims: &ProofClaims,
    key: &SigningKey,
    random: &dyn SecureRandom,
) -> Result<String, SigningError> {
    let extra = HeaderExtra { jwk: Some(key.public().clone()), ..HeaderExtra::default() };
    let payload = serde_json::to_vec(claims).map_err(|_| SigningError)?;
    jws::sign(key, random, ObjectType::Dpop, extra, &payload)
}
