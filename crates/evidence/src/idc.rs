//! The identity credential: does this key belong to a person the customer's own IdP knows?
//!
//! In: an ID token and a commitment, the charter's issuers, and `now`. Out: [`VerifiedIdc`].
//! The ID token's `nonce` commits to a key (`OpenPubkey`'s construction, DESIGN §3.1), so an
//! unmodified OpenID provider vouches for it.
//!
//! Invariants:
//! * signing keys come from the issuer's own record in the charter, never from the token;
//! * *fresh* means `now < min(exp, iat + the issuer's maximum)`, with 60 s for clocks;
//! * a principal is `(iss, sub)`, never an e-mail address.
//!
//! Not here: fetching keys, refreshed tokens, `workload` mode.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use writ_model::{Digest, Principal, UnixTime, limits::CLOCK_SKEW_S};

use crate::{
    digest::{sha256, sha256_parts},
    jws::{JwsError, ObjectType, UnverifiedJws},
    key::{KeyError, PublicKey},
    writ::Operation,
};

/// An OpenID provider that the charter trusts to say who a person is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The issuer identifier, exactly as its ID tokens spell it (OpenID Connect Core §2).
    pub iss: String,
    /// Pinned signing keys, each with the `kid` it is looked up by.
    pub keys: Vec<IssuerKey>,
    /// The client ids of Writ's surfaces at this issuer, with what each may sign for.
    pub clients: Vec<IssuerClient>,
    /// Seconds after `iat` for which a token is fresh, however late its `exp`.
    pub max_age_s: u64,
}

/// A pinned signing key of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerKey {
    /// The `kid` in its tokens' headers.
    pub kid: String,
    /// The key.
    pub jwk: PublicKey,
}

/// A client id at an issuer, and the operations that its logins may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerClient {
    /// The client id: the `aud` of its ID tokens.
    pub client_id: String,
    /// What a key bound through it may sign.
    pub operations: Vec<Operation>,
}

/// How a key was bound to an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdcMode {
    /// The commitment stands in the ID token's `nonce`.
    Nonce,
}

/// An identity credential as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnverifiedIdc {
    /// How the key was bound.
    pub mode: IdcMode,
    /// The ID token, compact JWS.
    pub id_token: String,
    /// The commitment, compact JWS.
    pub cic: String,
}

/// Why an identity credential is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdcError {
    /// The commitment does not verify by its own key.
    #[error("key commitment is refused")]
    Commitment(#[source] JwsError),
    /// The commitment's key is not one that Writ takes.
    #[error("committed key is refused")]
    Key(#[source] KeyError),
    /// The commitment is not what its form asks for: empty payload, 32 random bytes.
    #[error("key commitment has no 256 random bits or a payload that is not empty")]
    CommitmentForm,
    /// The charter names no such issuer.
    #[error("the charter names no such issuer")]
    UnknownIssuer,
    /// The issuer's record holds no key of this `kid`.
    #[error("the issuer has no such signing key")]
    UnknownKey,
    /// The ID token does not verify.
    #[error("ID token is refused")]
    IdToken(#[source] JwsError),
    /// The ID token is for another audience, or for several with no `azp` of ours.
    #[error("ID token is for another audience")]
    Audience,
    /// The ID token's nonce does not commit to this key.
    #[error("ID token's nonce does not commit to this key")]
    Nonce,
    /// The ID token is no longer fresh; log in again.
    #[error("ID token is not fresh")]
    Stale,
    /// The ID token is from the future; a clock is wrong.
    #[error("ID token is from the future")]
    Future,
}

impl IdcError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Commitment(_) | Self::Key(_) | Self::CommitmentForm => "idc-commitment",
            Self::UnknownIssuer => "idc-issuer",
            Self::UnknownKey => "idc-issuer-key",
            Self::IdToken(_) => "idc-signature",
            Self::Audience => "idc-audience",
            Self::Nonce => "idc-nonce",
            Self::Stale => "idc-stale",
            Self::Future => "idc-future",
        }
    }
}

#[derive(Deserialize)]
struct IdTokenClaims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: u64,
    iat: u64,
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// A key that an issuer vouched for. Only verification makes one.
///
/// ```compile_fail,E0451
/// fn forge(other: writ_evidence::idc::VerifiedIdc) -> writ_evidence::idc::VerifiedIdc {
///     writ_evidence::idc::VerifiedIdc { client_id: "another".to_owned(), ..other }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedIdc {
    digest: Digest,
    principal: Principal,
    key: PublicKey,
    client_id: String,
    operations: Vec<Operation>,
    fresh_until: UnixTime,
}

impl UnverifiedIdc {
    /// What names this credential: the digest of `mode.id_token.cic`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let IdcMode::Nonce = self.mode;
        sha256_parts(&[b"nonce.", self.id_token.as_bytes(), b".", self.cic.as_bytes()])
    }

    /// Verifies the credential at `now` against the issuers of a charter.
    ///
    /// # Errors
    ///
    /// [`IdcError`]. Remedy for `Stale`: log in again. All others: the credential is not usable.
    ///
    /// # Spec
    ///
    /// OpenID Connect Core §3.1.3.7 (ID token validation), `OpenPubkey` (nonce commitment).
    pub fn verify(&self, issuers: &[Issuer], now: UnixTime) -> Result<VerifiedIdc, IdcError> {
        let (key, commitment) = self.verify_commitment()?;
        let token = UnverifiedJws::parse(&self.id_token).map_err(IdcError::IdToken)?;
        let peeked: IdTokenClaims = token.peek().map_err(IdcError::IdToken)?;
        let issuer = issuers
            .iter()
            .find(|issuer| issuer.iss == peeked.iss)
            .ok_or(IdcError::UnknownIssuer)?;
        let kid = token.kid().unwrap_or_default();
        let pinned =
            issuer.keys.iter().find(|pinned| pinned.kid == kid).ok_or(IdcError::UnknownKey)?;
        let claims: IdTokenClaims = token
            .verify(ObjectType::IdToken, &pinned.jwk)
            .and_then(|verified| verified.claims())
            .map_err(IdcError::IdToken)?;
        let client = audience(&claims, issuer).ok_or(IdcError::Audience)?;
        if claims.nonce.as_deref() != Some(commitment.as_str()) {
            return Err(IdcError::Nonce);
        }
        let fresh_until = fresh_until(&claims, issuer, now)?;
        Ok(VerifiedIdc {
            digest: self.digest(),
            principal: Principal { iss: claims.iss, sub: claims.sub },
            key,
            client_id: client.client_id.clone(),
            operations: client.operations.clone(),
            fresh_until,
        })
    }

    /// The committed key, and the nonce that commits to it.
    fn verify_commitment(&self) -> Result<(PublicKey, String), IdcError> {
        let cic = UnverifiedJws::parse(&self.cic).map_err(IdcError::Commitment)?;
        let jwk = cic.jwk().ok_or(IdcError::CommitmentForm)?;
        let key = PublicKey::from_jwk(jwk).map_err(IdcError::Key)?;
        let random = cic.rz().and_then(|rz| URL_SAFE_NO_PAD.decode(rz).ok());
        if random.is_none_or(|random| random.len() != 32) {
            return Err(IdcError::CommitmentForm);
        }
        let nonce = nonce_for(cic.protected());
        let verified = cic.verify(ObjectType::Cic, &key).map_err(IdcError::Commitment)?;
        if !verified.payload().is_empty() {
            return Err(IdcError::CommitmentForm);
        }
        Ok((key, nonce))
    }
}

/// The `nonce` that commits to a key: base64url of SHA-256 of the commitment's protected part.
#[must_use]
pub fn nonce_for(cic: &str) -> String {
    let protected = cic.split('.').next().unwrap_or_default();
    URL_SAFE_NO_PAD.encode(sha256(protected.as_bytes()).as_bytes())
}

fn audience<'a>(claims: &IdTokenClaims, issuer: &'a Issuer) -> Option<&'a IssuerClient> {
    let named = match (&claims.aud, &claims.azp) {
        (Audience::One(aud), None) => aud,
        (Audience::One(aud), Some(azp)) if aud == azp => aud,
        (Audience::Many(list), Some(azp)) if list.contains(azp) => azp,
        (Audience::Many(list), None) => match list.as_slice() {
            [only] => only,
            _ => return None,
        },
        _ => return None,
    };
    issuer.clients.iter().find(|client| &client.client_id == named)
}

fn fresh_until(
    claims: &IdTokenClaims,
    issuer: &Issuer,
    now: UnixTime,
) -> Result<UnixTime, IdcError> {
    if UnixTime(claims.iat) > now.plus(CLOCK_SKEW_S) {
        return Err(IdcError::Future);
    }
    let until = UnixTime(claims.exp).min(UnixTime(claims.iat).plus(issuer.max_age_s));
    if now >= until.plus(CLOCK_SKEW_S) {
        return Err(IdcError::Stale);
    }
    Ok(until)
}

impl VerifiedIdc {
    /// What names the credential.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The person or workload.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The key that the issuer vouched for.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The client id that the login went through.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Whether the login's client may sign for `operation`.
    #[must_use]
    pub fn may_sign(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
    }

    /// Until when the login is fresh.
    #[must_use]
    pub const fn fresh_until(&self) -> UnixTime {
        self.fresh_until
    }
}
