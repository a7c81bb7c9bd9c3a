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

use aws_lc_rs::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use writ_model::{
    AutomationName, ConnectionName, Digest, KeyedDigest, PinnedAction, PinnedConnection, Principal,
    RunId, RunnerGroupId, StepId, TenantId, UnixTime,
    limits::{CLOCK_SKEW_S, WRIT_LIFETIME_S},
};

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
    /// Append a change to the charter.
    #[serde(rename = "charter.append")]
    CharterAppend,
}

impl Operation {
    /// Every operation: what a login of the command line may sign for.
    pub const ALL: [Self; 6] = [
        Self::RunStart,
        Self::RunResume,
        Self::RunCancel,
        Self::RunApprove,
        Self::ConnectionTest,
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

/// The claims as they are written; every operation's claims side by side.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireClaims {
    ver: u8,
    ten: TenantId,
    iss: String,
    sub: String,
    idc: Digest,
    jti: String,
    iat: UnixTime,
    exp: UnixTime,
    charter: Digest,
    op: Operation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<RunnerGroupId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    res: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cnt: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inp: Option<KeyedDigest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorization_details: Option<Vec<ConnectionGrant>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<StepId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<KeyedDigest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<WireDecision>,
}

/// The `decision` of either operation that has one.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum WireDecision {
    Resume(ResumeDecision),
    Approval(ApprovalDecision),
}

impl WireClaims {
    /// The claims of the operation; `None` if one is missing or there is one too many.
    fn into_claims(mut self) -> Option<WritClaims> {
        let order = self.take_order()?;
        let nothing_left = self.aud.is_none()
            && self.res.is_none()
            && self.cnt.is_none()
            && self.inp.is_none()
            && self.authorization_details.is_none()
            && self.reason.is_none()
            && self.step.is_none()
            && self.attempt.is_none()
            && self.payload.is_none()
            && self.decision.is_none();
        let jti_form = (16..=64).contains(&self.jti.len())
            && self.jti.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if self.ver != 1 || !nothing_left || !jti_form {
            return None;
        }
        Some(WritClaims {
            ten: self.ten,
            principal: Principal { iss: self.iss, sub: self.sub },
            idc: self.idc,
            jti: self.jti,
            iat: self.iat,
            exp: self.exp,
            charter: self.charter,
            order,
        })
    }

    fn take_order(&mut self) -> Option<Order> {
        Some(match self.op {
            Operation::RunStart => Order::RunStart {
                aud: self.aud.take()?,
                res: self.res.take()?.parse().ok()?,
                cnt: self.cnt.take()?,
                inp: self.inp.take()?,
                authorization_details: self.authorization_details.take()?,
                reason: self.reason.take(),
            },
            Operation::RunResume => Order::RunResume {
                aud: self.aud.take()?,
                res: self.res.take()?.parse().ok()?,
                step: self.step.take()?,
                attempt: self.attempt.take()?,
                decision: match self.decision.take()? {
                    WireDecision::Resume(decision) => decision,
                    WireDecision::Approval(_) => return None,
                },
            },
            Operation::RunCancel => {
                Order::RunCancel { aud: self.aud.take()?, res: self.res.take()?.parse().ok()? }
            }
            Operation::RunApprove => Order::RunApprove {
                aud: self.aud.take()?,
                res: self.res.take()?.parse().ok()?,
                step: self.step.take()?,
                attempt: self.attempt.take()?,
                payload: self.payload.take()?,
                decision: match self.decision.take()? {
                    WireDecision::Approval(decision) => decision,
                    WireDecision::Resume(_) => return None,
                },
            },
            Operation::ConnectionTest => {
                Order::ConnectionTest { aud: self.aud.take()?, res: self.res.take()?.parse().ok()? }
            }
            Operation::CharterAppend => Order::CharterAppend { cnt: self.cnt.take()? },
        })
    }

    fn from_claims(claims: &WritClaims) -> Self {
        let mut wire = Self {
            ver: 1,
            ten: claims.ten,
            iss: claims.principal.iss.clone(),
            sub: claims.principal.sub.clone(),
            idc: claims.idc,
            jti: claims.jti.clone(),
            iat: claims.iat,
            exp: claims.exp,
            charter: claims.charter,
            op: claims.order.operation(),
            aud: None,
            res: None,
            cnt: None,
            inp: None,
            authorization_details: None,
            reason: None,
            step: None,
            attempt: None,
            payload: None,
            decision: None,
        };
        wire.put_order(&claims.order);
        wire
    }

    fn put_order(&mut self, order: &Order) {
        match order {
            Order::RunStart { aud, res, cnt, inp, authorization_details, reason } => {
                self.aud = Some(*aud);
                self.res = Some(res.to_string());
                self.cnt = Some(*cnt);
                self.inp = Some(*inp);
                self.authorization_details = Some(authorization_details.clone());
                self.reason.clone_from(reason);
            }
            Order::RunResume { aud, res, step, attempt, decision } => {
                self.aud = Some(*aud);
                self.res = Some(res.to_string());
                self.step = Some(step.clone());
                self.attempt = Some(*attempt);
                self.decision = Some(WireDecision::Resume(*decision));
            }
            Order::RunCancel { aud, res } => {
                self.aud = Some(*aud);
                self.res = Some(res.to_string());
            }
            Order::RunApprove { aud, res, step, attempt, payload, decision } => {
                self.aud = Some(*aud);
                self.res = Some(res.to_string());
                self.step = Some(step.clone());
                self.attempt = Some(*attempt);
                self.payload = Some(*payload);
                self.decision = Some(WireDecision::Approval(*decision));
            }
            Order::ConnectionTest { aud, res } => {
                self.aud = Some(*aud);
                self.res = Some(res.to_string());
            }
            Order::CharterAppend { cnt } => self.cnt = Some(*cnt),
        }
    }
}

#[cfg(test)]
mod tests;
