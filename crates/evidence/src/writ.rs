//! A writ: a signed order for one thing (DESIGN §3.2).
//!
//! In: a compact JWS, the signer's verified credential, the tenant and `now`. Out:
//! [`VerifiedWrit`], whose [`Order`] holds the claims of its operation and no others.
//!
//! Invariants:
//! * a claim that the operation does not take is refused, as is one that it lacks;
//! * `exp − iat` is at most 300 s; both are checked against `now`, ±60 s;
//! * tenant, issuer, subject and credential are those of the verified signer.
//!
//! Not here: whether the `jti` was used (the jail's state), whether the `charter` head is an
//! ancestor (`charter`), whether the signer may (`policy`).

mod wire;

use aws_lc_rs::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use writ_model::{
    AutomationName, ConnectionName, Digest, KeyedDigest, PinnedAction, PinnedConnection, Principal,
    RunId, RunnerGroupId, StepId, TenantId, UnixTime,
    limits::{CLOCK_SKEW_S, WRIT_LIFETIME_S},
};

use self::wire::WireClaims;
use crate::{
    approval::ApprovalDecision,
    idc::VerifiedIdc,
    issuer::LoginTooWeak,
    jws::{self, HeaderExtra, JwsError, ObjectType, UnverifiedJws},
    key::{SigningError, SigningKey},
};

/// What a writ orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    /// Start a run of a published automation.
    #[serde(rename = "run.start")]
    RunStart,
    /// Say what to do with a suspended run.
    #[serde(rename = "run.resume")]
    RunResume,
    /// End a run before its end.
    #[serde(rename = "run.cancel")]
    RunCancel,
    /// Answer what a run asks people to approve.
    #[serde(rename = "run.approve")]
    RunApprove,
    /// Have a connection's credential read and its hosts reached, and nothing sent.
    #[serde(rename = "connection.test")]
    ConnectionTest,
    /// End a login before its time.
    #[serde(rename = "session.revoke")]
    SessionRevoke,
    /// Append a change to the charter.
    #[serde(rename = "charter.append")]
    CharterAppend,
}

impl Operation {
    /// Every operation: what a login of the command line may sign for.
    pub const ALL: [Self; 7] = [
        Self::RunStart,
        Self::RunResume,
        Self::RunCancel,
        Self::RunApprove,
        Self::ConnectionTest,
        Self::SessionRevoke,
        Self::CharterAppend,
    ];
}

/// One of `authorization_details` (RFC 9396): a connection and the actions through it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionGrant {
    /// Always `writ_connection`.
    #[serde(rename = "type")]
    pub kind: ConnectionGrantType,
    /// The connection, pinned to its definition.
    pub connection: PinnedConnection,
    /// The actions, pinned to their packs.
    pub actions: Vec<PinnedAction>,
}

/// The `type` of a [`ConnectionGrant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConnectionGrantType {
    /// A connection and the actions through it.
    #[serde(rename = "writ_connection")]
    WritConnection,
}

/// What becomes of a step that may or may not have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResumeDecision {
    /// Do it again: the signer knows that it did not happen, or that twice is harmless.
    Retry,
    /// Let it fail: the automation's own `catch` may handle it.
    Fail,
}

/// The claims every writ has, and those of its operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WritClaims {
    /// The tenant.
    pub ten: TenantId,
    /// The signer.
    pub principal: Principal,
    /// The digest of the signer's credential.
    pub idc: Digest,
    /// Unique id, 16 to 64 characters of base64url.
    pub jti: String,
    /// When it was signed.
    pub iat: UnixTime,
    /// When it ends.
    pub exp: UnixTime,
    /// The charter head that the signer saw.
    pub charter: Digest,
    /// What is ordered.
    pub order: Order,
}

/// What a writ orders, with that operation's claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// `run.start`.
    RunStart {
        /// The runner group.
        aud: RunnerGroupId,
        /// The automation.
        res: AutomationName,
        /// The closed bundle.
        cnt: Digest,
        /// The input, keyed by the run key.
        inp: KeyedDigest,
        /// Connections and actions, within the footprint.
        authorization_details: Vec<ConnectionGrant>,
        /// Why, for the record.
        reason: Option<String>,
    },
    /// `run.resume`.
    RunResume {
        /// The runner group.
        aud: RunnerGroupId,
        /// The run.
        res: RunId,
        /// The step in doubt.
        step: StepId,
        /// Which attempt of it.
        attempt: u32,
        /// What to do.
        decision: ResumeDecision,
    },
    /// `run.cancel`.
    RunCancel {
        /// The runner group.
        aud: RunnerGroupId,
        /// The run.
        res: RunId,
    },
    /// `run.approve`.
    RunApprove {
        /// The runner group.
        aud: RunnerGroupId,
        /// The run.
        res: RunId,
        /// The step that asks.
        step: StepId,
        /// Which attempt of it.
        attempt: u32,
        /// What was shown, keyed by the salt that was shown with it ([`crate::approval`]).
        payload: KeyedDigest,
        /// What the signer says to it.
        decision: ApprovalDecision,
    },
    /// `connection.test`.
    ConnectionTest {
        /// The runner group.
        aud: RunnerGroupId,
        /// The connection, as the charter defines it when the jail judges.
        res: ConnectionName,
    },
    /// `session.revoke`.
    SessionRevoke {
        /// The runner group.
        aud: RunnerGroupId,
        /// The session: the digest of its credential.
        res: Digest,
    },
    /// `charter.append`.
    CharterAppend {
        /// Digest of the entry's body.
        cnt: Digest,
    },
}

impl Order {
    /// The operation.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::RunStart { .. } => Operation::RunStart,
            Self::RunResume { .. } => Operation::RunResume,
            Self::RunCancel { .. } => Operation::RunCancel,
            Self::RunApprove { .. } => Operation::RunApprove,
            Self::ConnectionTest { .. } => Operation::ConnectionTest,
            Self::SessionRevoke { .. } => Operation::SessionRevoke,
            Self::CharterAppend { .. } => Operation::CharterAppend,
        }
    }
}

/// Why a writ is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WritError {
    /// Form, type, algorithm or signature.
    #[error("writ is refused")]
    Jws(#[source] JwsError),
    /// Claims are missing, unknown, or of another operation.
    #[error("writ's claims are not those of its operation")]
    Claims,
    /// The writ is for another tenant.
    #[error("writ is for another tenant")]
    Tenant,
    /// Issuer, subject or credential is not the signer's.
    #[error("writ names another signer than its credential")]
    Signer,
    /// It has expired; sign a new one.
    #[error("writ has expired")]
    Expired,
    /// It is from the future, or lives longer than 300 s.
    #[error("writ's lifetime is refused: it is from the future or longer than 300 s")]
    Lifetime,
    /// The login may not sign for this operation, or is not strong enough to.
    #[error("{0}")]
    Login(LoginTooWeak),
}

impl WritError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Jws(_) => "writ-signature",
            Self::Claims => "writ-claims",
            Self::Tenant => "writ-tenant",
            Self::Signer => "writ-signer",
            Self::Expired => "writ-expired",
            Self::Lifetime => "writ-lifetime",
            Self::Login(error) => error.code(),
        }
    }
}

/// A writ that its signer's key signed, for this tenant, in its time. Only verification makes one.
///
/// ```compile_fail,E0451
/// fn forge(other: writ_evidence::writ::VerifiedWrit) -> writ_evidence::writ::VerifiedWrit {
///     let digest = other.digest();
///     writ_evidence::writ::VerifiedWrit { digest, ..other }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedWrit {
    digest: Digest,
    claims: WritClaims,
}

impl VerifiedWrit {
    /// Verifies a compact writ by its signer's credential.
    ///
    /// # Errors
    ///
    /// [`WritError`]: see each variant.
    pub fn verify(
        compact: &str,
        idc: &VerifiedIdc,
        ten: TenantId,
        now: UnixTime,
    ) -> Result<Self, WritError> {
        let unverified = UnverifiedJws::parse(compact).map_err(WritError::Jws)?;
        if unverified.kid() != Some(idc.digest().to_string().as_str()) {
            return Err(WritError::Signer);
        }
        let verified = unverified.verify(ObjectType::Writ, idc.key()).map_err(WritError::Jws)?;
        let wire: WireClaims = verified.claims().map_err(WritError::Jws)?;
        let claims = wire.into_claims().ok_or(WritError::Claims)?;
        check_binding(&claims, idc, ten)?;
        check_time(&claims, now)?;
        Ok(Self { digest: verified.digest(), claims })
    }

    /// What names the writ: SHA-256 of its compact form.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Its claims.
    #[must_use]
    pub const fn claims(&self) -> &WritClaims {
        &self.claims
    }

    /// The run that a `run.start` starts: the first 128 bits of the writ's digest, so nobody who
    /// relays it chooses.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        run_id(self.digest)
    }
}

/// The run that the writ of this digest starts.
#[must_use]
pub fn run_id(writ: Digest) -> RunId {
    let bits =
        writ.as_bytes().iter().take(16).fold(0, |bits, byte| (bits << 8) | u128::from(*byte));
    RunId::from_bits(bits)
}

fn check_binding(claims: &WritClaims, idc: &VerifiedIdc, ten: TenantId) -> Result<(), WritError> {
    if claims.ten != ten {
        return Err(WritError::Tenant);
    }
    if &claims.principal != idc.principal() || claims.idc != idc.digest() {
        return Err(WritError::Signer);
    }
    idc.may_sign(claims.order.operation()).map_err(WritError::Login)
}

fn check_time(claims: &WritClaims, now: UnixTime) -> Result<(), WritError> {
    let ordered = claims.iat < claims.exp && claims.exp.since(claims.iat) <= WRIT_LIFETIME_S;
    if !ordered || claims.iat > now.plus(CLOCK_SKEW_S) {
        return Err(WritError::Lifetime);
    }
    if now >= claims.exp.plus(CLOCK_SKEW_S) {
        return Err(WritError::Expired);
    }
    Ok(())
}

/// Signs a writ.
///
/// # Errors
///
/// [`SigningError`]: the random source failed.
pub fn sign(
    claims: &WritClaims,
    key: &SigningKey,
    random: &dyn SecureRandom,
) -> Result<String, SigningError> {
    let payload = serde_json::to_vec(&WireClaims::from_claims(claims)).map_err(|_| SigningError)?;
    let extra = HeaderExtra { kid: Some(claims.idc.to_string()), ..HeaderExtra::default() };
    jws::sign(key, random, ObjectType::Writ, extra, &payload)
}

#[cfg(test)]
mod tests;
