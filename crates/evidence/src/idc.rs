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
//! A refreshed ID token extends a login; it never moves one to another key, person or client.
//!
//! Not here: fetching keys, reading one token's claims (`token`), `workload` mode.

mod token;

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use writ_model::{Actor, Digest, Principal, UnixTime, limits::CLOCK_SKEW_S};

use self::token::IdToken;
use crate::{
    digest::{sha256, sha256_parts},
    issuer::{Issuer, TokenKeys},
    jws::{JwsError, ObjectType, UnverifiedJws},
    key::{KeyError, PublicKey},
    writ::Operation,
};

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
    /// The newest ID token of the same login, if it was refreshed. It names nothing: the digest is
    /// that of the first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed: Option<String>,
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
    /// A claim is missing or of another form.
    #[error("{0} in the ID token is missing or malformed")]
    Claims(&'static str),
    /// The refreshed ID token is not of the same login.
    #[error("refreshed ID token is of another login")]
    Refreshed,
    /// The session is older than the issuer's record allows; log in again.
    #[error("session has lived too long")]
    SessionAge,
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
            Self::Claims(_) => "idc-claims",
            Self::Refreshed => "idc-refreshed",
            Self::SessionAge => "idc-session-age",
            Self::Stale => "idc-stale",
            Self::Future => "idc-future",
        }
    }
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
    groups: BTreeSet<String>,
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

    /// The issuer and the keys' ids that this credential names, unverified: what to fetch.
    #[must_use]
    pub fn asks_for(&self) -> Option<(String, Vec<String>)> {
        #[derive(Deserialize)]
        struct Peeked {
            iss: String,
        }
        let tokens = [Some(&self.id_token), self.refreshed.as_ref()];
        let parsed: Vec<UnverifiedJws<'_>> = tokens
            .into_iter()
            .flatten()
            .map(|token| UnverifiedJws::parse(token).ok())
            .collect::<Option<_>>()?;
        let peeked: Peeked = parsed.first()?.peek().ok()?;
        let kids = parsed.iter().map(|token| token.kid().unwrap_or_default().to_owned()).collect();
        Some((peeked.iss, kids))
    }

    /// Verifies the credential at `now` against the issuers of a charter.
    ///
    /// # Errors
    ///
    /// [`IdcError`]. Remedy for `Stale` and `SessionAge`: log in again; for `UnknownKey`: fetch the
    /// issuer's keys. All others: the credential is not usable.
    ///
    /// # Spec
    ///
    /// OpenID Connect Core §3.1.3.7 (ID token validation), §12.2 (refreshed tokens), `OpenPubkey`
    /// (nonce commitment).
    pub fn verify(
        &self,
        issuers: &[Issuer],
        keys: TokenKeys<'_>,
        now: UnixTime,
    ) -> Result<VerifiedIdc, IdcError> {
        let (key, commitment) = self.verify_commitment()?;
        let first = IdToken::verify(&self.id_token, issuers, keys)?;
        if first.text("nonce") != Some(commitment.as_str()) {
            return Err(IdcError::Nonce);
        }
        first.check_begun(now)?;
        let refreshed = match &self.refreshed {
            None => None,
            Some(compact) => Some(IdToken::verify(compact, issuers, keys)?),
        };
        if refreshed.as_ref().is_some_and(|later| !first.is_extended_by(later)) {
            return Err(IdcError::Refreshed);
        }
        let session_until = first.iat.plus(first.issuer.session_max_s);
        let newest = refreshed.unwrap_or(first);
        newest.check_begun(now)?;
        if now >= newest.fresh_until().plus(CLOCK_SKEW_S) {
            return Err(IdcError::Stale);
        }
        if now >= session_until.plus(CLOCK_SKEW_S) {
            return Err(IdcError::SessionAge);
        }
        Ok(VerifiedIdc {
            digest: self.digest(),
            fresh_until: newest.fresh_until().min(session_until),
            principal: newest.principal,
            groups: newest.groups,
            key,
            client_id: newest.client.client_id.clone(),
            operations: newest.client.operations.clone(),
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

    /// The groups that the newest token lists in the claim that the charter names.
    #[must_use]
    pub const fn groups(&self) -> &BTreeSet<String> {
        &self.groups
    }

    /// The person with their groups: who asks, for a policy.
    #[must_use]
    pub const fn actor(&self) -> Actor<'_> {
        Actor { principal: &self.principal, groups: Some(&self.groups) }
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
