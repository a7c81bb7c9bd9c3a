//! A writ's claims as they are written: every operation's side by side, and which operation takes which.
//!
//! Invariant: a claim that the operation does not take, or that it lacks, makes the whole refused.

use serde::{Deserialize, Serialize};
use writ_model::{Digest, KeyedDigest, Principal, RunnerGroupId, StepId, TenantId, UnixTime};

use super::{ConnectionGrant, Operation, Order, ResumeDecision, WritClaims};
use crate::approval::ApprovalDecision;

/// The claims as they are written; every operation's claims side by side.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireClaims {
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
    pub(super) fn into_claims(mut self) -> Option<WritClaims> {
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
            Operation::SessionRevoke => {
                Order::SessionRevoke { aud: self.aud.take()?, res: self.res.take()?.parse().ok()? }
            }
            Operation::CharterAppend => Order::CharterAppend { cnt: self.cnt.take()? },
        })
    }

    pub(super) fn from_claims(claims: &WritClaims) -> Self {
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
            Order::SessionRevoke { aud, res } => {
                self.aud = Some(*aud);
                self.res = Some(res.to_string());
            }
            Order::CharterAppend { cnt } => self.cnt = Some(*cnt),
        }
    }
}
