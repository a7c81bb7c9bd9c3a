//! The identity credential: does this key belong to a person the customer's own IdP knows?
//!
//! In: an ID token and a commitment, the charter's issuers, and `now`. Out: [`VerifiedIdc`].
//! The ID token's `nonce` commits to a key (`OpenPubkey`'s construction, DESIGN §3.1), so an
//! unmodified OpenID provider vouches for it. A workload, whose platform lets it choose the audience of
//! its token but no nonce, commits in `aud`.
//!
//! Invariants:
//! * signing keys come from the issuer's own record in the charter, never from the token;
//! * *fresh* means `now < min(exp, iat + the issuer's maximum)`, with 60 s for clocks;
//! * a principal is `(iss, sub)`, never an e-mail address;
//! * a workload holds no groups, and its token is never refreshed: it asks for another;
//! * a service account's key counts by the charter alone, until the day that the charter says.
//!
//! A refreshed ID token extends a login; it never moves one to another key, person or client.
//!
//! Not here: fetching keys, reading one token's claims (`token`), which workload it is (`issuer`).

mod token;

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use writ_model::{Actor, Digest, Login, Principal, UnixTime, limits::CLOCK_SKEW_S};

use self::token::{Entry, Expected, IdToken};
use crate::{
    charter::ServiceAccount,
    digest::{sha256, sha256_parts},
    issuer::{Issuer, LoginTooWeak, Requirement, Shown, TokenKeys},
    jws::{JwsError, ObjectType, UnverifiedJws},
    key::{KeyError, PublicKey},
    writ::Operation,
};

/// What stands before the commitment in a workload's `aud`.
const AUDIENCE_PREFIX: &str = "writ:";

/// How a key was bound to an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdcMode {
    /// The commitment stands in the ID token's `nonce`.
    Nonce,
    /// The commitment stands in the token's `aud`, and alone there: [`audience_for`].
    Workload,
    /// No token vouches for the key: the charter enrolls it for a service account. `id_token` is empty.
    Key,
}

impl IdcMode {
    /// The mode, as written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nonce => "nonce",
            Self::Workload => "workload",
            Self::Key => "key",
        }
    }
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
    /// A claim that the issuer's record pins is missing or another: the token is another customer's.
    #[error("a claim of the ID token is not the one that the charter pins for its issuer")]
    Pinned,
    /// The token's audience is not the one that commits to this key, or not the only one.
    #[error("token's one audience does not commit to this key")]
    WorkloadAudience,
    /// The issuer's record lists no workload that the token's claims are of.
    #[error("the charter lists no workload with the claims of this token")]
    UnknownWorkload,
    /// The ID token's nonce does not commit to this key.
    #[error("ID token's nonce does not commit to this key")]
    Nonce,
    /// The charter enrolls the key for no service account.
    #[error("the charter enrolls this key for no service account")]
    UnknownServiceAccount,
    /// The keys of the service account count no more; somebody enrolls them again.
    #[error("the service account's keys count no more; enroll them again")]
    ServiceAccountEnded,
    /// Only a login or a workload has a token, and it has one.
    #[error("the credential of a service account holds no token, and that of others one")]
    TokenForm,
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
            Self::Audience | Self::WorkloadAudience => "idc-audience",
            Self::UnknownWorkload => "idc-workload",
            Self::Pinned => "idc-pinned-claim",
            Self::UnknownServiceAccount | Self::ServiceAccountEnded => "idc-service-account",
            Self::TokenForm => "idc-token-form",
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
///     let digest = other.digest();
///     writ_evidence::idc::VerifiedIdc { digest, ..other }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedIdc {
    digest: Digest,
    principal: Principal,
    groups: BTreeSet<String>,
    key: PublicKey,
    rights: Rights,
    shown: Shown,
    verified_at: UnixTime,
    fresh_until: UnixTime,
}

/// What the issuer's record lets a credential sign.
#[derive(Debug, Clone)]
struct Rights {
    through: String,
    is_workload: bool,
    operations: Vec<Operation>,
    requires: Vec<Requirement>,
}

impl UnverifiedIdc {
    /// What names this credential: the digest of `mode.id_token.cic`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mode = self.mode.as_str().as_bytes();
        sha256_parts(&[mode, b".", self.id_token.as_bytes(), b".", self.cic.as_bytes()])
    }

    /// What the issuer vouched for: the digest of the commitment's protected part.
    ///
    /// SECURITY: whoever holds the key can sign the commitment again, and so make a credential of another digest out of
    /// the same login. What is revoked is known by this as well.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        sha256(self.cic.split('.').next().unwrap_or_default().as_bytes())
    }

    /// Whose login this is, also when it is no longer fresh: verified as of when its first token was issued.
    ///
    /// # Errors
    ///
    /// [`IdcError`], as of [`Self::verify`]; `TokenForm` of a service account, whose key is no login: the charter
    /// ends it.
    pub fn verify_as_issued(
        &self,
        issuers: &[Issuer],
        keys: TokenKeys<'_>,
    ) -> Result<VerifiedIdc, IdcError> {
        #[derive(Deserialize)]
        struct Peeked {
            iat: UnixTime,
        }
        if self.mode == IdcMode::Key {
            return Err(IdcError::TokenForm);
        }
        let issued: Peeked = UnverifiedJws::parse(&self.id_token)
            .and_then(|token| token.peek())
            .map_err(IdcError::IdToken)?;
        Self { refreshed: None, ..self.clone() }.verify(issuers, keys, issued.iat)
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
        let first = self.verify_first(&commitment, (issuers, keys))?;
        first.check_begun(now)?;
        let refreshed = match (&self.refreshed, self.mode) {
            (None, _) => None,
            (Some(compact), IdcMode::Nonce) => {
                Some(IdToken::verify(compact, Expected::Client, (issuers, keys))?)
            }
            (Some(_), IdcMode::Workload | IdcMode::Key) => return Err(IdcError::Refreshed),
        };
        if refreshed.as_ref().is_some_and(|later| !first.is_extended_by(later)) {
            return Err(IdcError::Refreshed);
        }
        let session_until = first.iat.plus(first.issuer.session_max_s);
        let shown = Shown::read(&first.claims, &refreshed.as_ref().unwrap_or(&first).claims);
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
            rights: Rights::of(newest.entry),
            shown,
            verified_at: now,
        })
    }

    /// Verifies the credential of a service account at `now` against those of a charter.
    ///
    /// # Errors
    ///
    /// [`IdcError`]: `UnknownServiceAccount`, `ServiceAccountEnded`, or the commitment is refused.
    pub(crate) fn verify_key<'a>(
        &self,
        mut accounts: impl Iterator<Item = &'a ServiceAccount>,
        now: UnixTime,
    ) -> Result<VerifiedIdc, IdcError> {
        if self.mode != IdcMode::Key || !self.id_token.is_empty() || self.refreshed.is_some() {
            return Err(IdcError::TokenForm);
        }
        let (key, _) = self.verify_commitment()?;
        let account = accounts
            .find(|account| account.keys.contains(&key))
            .ok_or(IdcError::UnknownServiceAccount)?;
        if now >= account.until {
            return Err(IdcError::ServiceAccountEnded);
        }
        Ok(VerifiedIdc {
            digest: self.digest(),
            fresh_until: account.until,
            principal: account.principal(),
            groups: BTreeSet::new(),
            key,
            rights: Rights {
                through: account.name.to_string(),
                is_workload: true,
                operations: account.operations.iter().copied().collect(),
                requires: Vec::new(),
            },
            shown: Shown::default(),
            verified_at: now,
        })
    }

    /// The first token, whose issuer thereby vouches for the key that `commitment` commits to.
    fn verify_first<'i>(
        &self,
        commitment: &str,
        believed: (&'i [Issuer], TokenKeys<'_>),
    ) -> Result<IdToken<'i>, IdcError> {
        match self.mode {
            IdcMode::Nonce => {
                let token = IdToken::verify(&self.id_token, Expected::Client, believed)?;
                if token.text("nonce") != Some(commitment) {
                    return Err(IdcError::Nonce);
                }
                Ok(token)
            }
            IdcMode::Workload => {
                let audience = format!("{AUDIENCE_PREFIX}{commitment}");
                IdToken::verify(&self.id_token, Expected::Commitment(&audience), believed)
            }
            IdcMode::Key => Err(IdcError::TokenForm),
        }
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

/// The `aud` that commits to a workload's key: `writ:` and what [`nonce_for`] says.
///
/// `OpenPubkey` puts the bare commitment there for GitHub Actions (`providers/github_actions.go`, commit type
/// `AUD_CLAIM`). The prefix makes it a URI as RFC 7519 §2 asks of what holds a colon, which a platform's own
/// policy can allow by its beginning, and which no service that verifies tokens takes for its own name.
#[must_use]
pub fn audience_for(cic: &str) -> String {
    format!("{AUDIENCE_PREFIX}{}", nonce_for(cic))
}

impl Rights {
    fn of(entry: Entry<'_>) -> Self {
        match entry {
            Entry::Client(client) => Self {
                through: client.client_id.clone(),
                is_workload: false,
                operations: client.operations.clone(),
                requires: client.requires.clone(),
            },
            Entry::Workload(workload) => Self {
                through: workload.name.clone(),
                is_workload: true,
                operations: workload.operations.clone(),
                requires: Vec::new(),
            },
        }
    }
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
    pub fn actor(&self) -> Actor<'_> {
        let login = Login {
            at: self.verified_at,
            through: &self.rights.through,
            is_workload: self.rights.is_workload,
            acr: self.shown.acr.as_deref(),
            amr: &self.shown.amr,
            auth_time: self.shown.auth_time,
        };
        Actor {
            principal: &self.principal,
            groups: Some(&self.groups),
            at: Some(self.verified_at),
            login: Some(login),
        }
    }

    /// The key that the issuer vouched for.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The client id that the login went through, or the name of the workload or service account in the charter.
    #[must_use]
    pub fn through(&self) -> &str {
        &self.rights.through
    }

    /// Whether it is a workload's or a service account's: nobody sat there, so it approves nothing.
    #[must_use]
    pub const fn is_workload(&self) -> bool {
        self.rights.is_workload
    }

    /// Whether the login may sign for `operation`: its entry in the charter is listed for it, and the login is as
    /// strong as the charter asks.
    ///
    /// # Errors
    ///
    /// [`LoginTooWeak`]. Remedy: its text says how to log in again.
    pub fn may_sign(&self, operation: Operation) -> Result<(), LoginTooWeak> {
        if !self.rights.operations.contains(&operation) {
            return Err(LoginTooWeak::Operation);
        }
        let met = |asked: &Requirement| asked.check(operation, &self.shown, self.verified_at);
        self.rights.requires.iter().try_for_each(met)
    }

    /// Until when the login is fresh.
    #[must_use]
    pub const fn fresh_until(&self) -> UnixTime {
        self.fresh_until
    }
}
