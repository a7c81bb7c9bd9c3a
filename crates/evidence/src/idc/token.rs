//! One ID token: who it is about, for whom, until when (OpenID Connect Core §2, §3.1.3.7).
//!
//! In: a compact JWS, the charter's issuers and how to check the signature. Out: its claims.
//! Not here: what binds a key to it, and what one token may follow another (`idc`).

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use writ_model::{Principal, UnixTime, limits::CLOCK_SKEW_S};

use super::IdcError;
use crate::{
    issuer::{Issuer, IssuerClient, TokenKeys, Workload},
    jws::UnverifiedJws,
};

/// Longest name of a person or a group, in bytes.
const NAME_MAX: usize = 255;
/// Most groups read from a token; a person in more is refused rather than cut short.
const GROUPS_MAX: usize = 1000;

/// For whom a token has to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected<'a> {
    /// A client id of the issuer's record.
    Client,
    /// This audience alone, which commits to a key.
    Commitment(&'a str),
}

/// The entry of the issuer's record that a token is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry<'i> {
    /// A client id, through which a person logged in.
    Client(&'i IssuerClient),
    /// A workload.
    Workload(&'i Workload),
}

/// What an ID token says.
#[derive(Debug)]
pub(super) struct IdToken<'i> {
    pub(super) issuer: &'i Issuer,
    pub(super) entry: Entry<'i>,
    pub(super) principal: Principal,
    pub(super) groups: BTreeSet<String>,
    pub(super) iat: UnixTime,
    nbf: UnixTime,
    exp: UnixTime,
    pub(super) claims: Map<String, Value>,
}

impl<'i> IdToken<'i> {
    /// Verifies signature and audience.
    pub(super) fn verify(
        compact: &str,
        expected: Expected<'_>,
        (issuers, keys): (&'i [Issuer], TokenKeys<'_>),
    ) -> Result<Self, IdcError> {
        let token = UnverifiedJws::parse(compact).map_err(IdcError::IdToken)?;
        let peeked: Map<String, Value> = token.peek().map_err(IdcError::IdToken)?;
        let iss = peeked.get("iss").and_then(Value::as_str).ok_or(IdcError::Claims("iss"))?;
        let issuer =
            issuers.iter().find(|issuer| issuer.iss == iss).ok_or(IdcError::UnknownIssuer)?;
        let kid = token.kid().unwrap_or_default().to_owned();
        let verified = match issuer.candidates(&kid, keys) {
            None => token.witnessed_id_token(&issuer.algorithms),
            Some(candidates) => {
                let mut candidates = candidates.peekable();
                if candidates.peek().is_none() {
                    return Err(IdcError::UnknownKey);
                }
                token.verify_id_token(candidates, &issuer.algorithms)
            }
        };
        let claims = verified.and_then(|verified| verified.claims()).map_err(IdcError::IdToken)?;
        Self::read(issuer, expected, claims)
    }

    fn read(
        issuer: &'i Issuer,
        expected: Expected<'_>,
        claims: Map<String, Value>,
    ) -> Result<Self, IdcError> {
        let time = |name: &'static str| {
            claims.get(name).and_then(Value::as_u64).map(UnixTime).ok_or(IdcError::Claims(name))
        };
        let subject = claims
            .get(&issuer.subject_claim)
            .and_then(Value::as_str)
            .filter(|subject| !subject.is_empty() && subject.len() <= NAME_MAX)
            .ok_or(IdcError::Claims("the subject claim"))?;
        let pinned = |(name, value): (&String, &String)| {
            claims.get(name).and_then(Value::as_str) == Some(value)
        };
        if !issuer.pinned_claims.iter().all(pinned) {
            return Err(IdcError::Pinned);
        }
        let (entry, groups) = match expected {
            Expected::Client => {
                let client = audience(&claims, issuer).ok_or(IdcError::Audience)?;
                (Entry::Client(client), groups(&claims, issuer)?)
            }
            Expected::Commitment(audience) => {
                (Entry::Workload(workload(&claims, issuer, audience)?), BTreeSet::new())
            }
        };
        let nbf = if claims.contains_key("nbf") { time("nbf")? } else { UnixTime(0) };
        Ok(Self {
            issuer,
            entry,
            principal: Principal { iss: issuer.iss.clone(), sub: subject.to_owned() },
            groups,
            iat: time("iat")?,
            nbf,
            exp: time("exp")?,
            claims,
        })
    }

    /// A claim's text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// Until when the token is fresh: `min(exp, iat + the issuer's maximum)` (DESIGN §3.1).
    pub(super) fn fresh_until(&self) -> UnixTime {
        self.exp.min(self.iat.plus(self.issuer.max_age_s))
    }

    /// Refuses a token from the future.
    pub(super) fn check_begun(&self, now: UnixTime) -> Result<(), IdcError> {
        let begun = self.iat.max(self.nbf) <= now.plus(CLOCK_SKEW_S);
        if begun { Ok(()) } else { Err(IdcError::Future) }
    }

    /// Whether `later` may extend a login that began with this token: the same `iss`, `sub`, `aud`
    /// and `azp`, and either the same nonce, or none and the same `sid` or `auth_time`.
    pub(super) fn is_extended_by(&self, later: &IdToken<'_>) -> bool {
        let same = |name: &str| self.claims.get(name) == later.claims.get(name);
        let present = |name: &str| later.claims.get(name).is_some_and(|value| !value.is_null());
        let linked = if present("nonce") {
            same("nonce")
        } else {
            (present("sid") && same("sid")) || (present("auth_time") && same("auth_time"))
        };
        ["iss", "sub", "aud", "azp"].into_iter().all(same)
            && self.principal == later.principal
            && later.iat >= self.iat
            && linked
    }
}

/// The client id that the token is for: its one audience, or its authorized party among several.
fn audience<'i>(claims: &Map<String, Value>, issuer: &'i Issuer) -> Option<&'i IssuerClient> {
    let azp = match claims.get("azp") {
        None => None,
        Some(azp) => Some(azp.as_str()?),
    };
    let list: Vec<&str> = match claims.get("aud")? {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let named = match (list.as_slice(), azp) {
        ([only], None) => *only,
        (list, Some(azp)) if list.contains(&azp) => azp,
        _ => return None,
    };
    issuer.clients.iter().find(|client| client.client_id == named)
}

/// The workload that the token is of, if its one audience commits to the key.
fn workload<'i>(
    claims: &Map<String, Value>,
    issuer: &'i Issuer,
    audience: &str,
) -> Result<&'i Workload, IdcError> {
    let only = match claims.get("aud") {
        Some(Value::Array(list)) if list.len() == 1 => list.first(),
        other => other,
    };
    if only.and_then(Value::as_str) != Some(audience) {
        return Err(IdcError::WorkloadAudience);
    }
    let mut named = issuer.workloads.iter().filter(|workload| workload.is_named_by(claims));
    named.next().ok_or(IdcError::UnknownWorkload)
}

/// The groups of the claim that the charter names; none if it names none.
fn groups(claims: &Map<String, Value>, issuer: &Issuer) -> Result<BTreeSet<String>, IdcError> {
    let Some(name) = &issuer.groups_claim else { return Ok(BTreeSet::new()) };
    let refused = || IdcError::Claims("the groups claim");
    let listed = match claims.get(name) {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(Value::Array(listed)) if listed.len() <= GROUPS_MAX => listed,
        Some(_) => return Err(refused()),
    };
    listed
        .iter()
        .map(|group| match group.as_str() {
            Some(group) if !group.is_empty() && group.len() <= NAME_MAX => Ok(group.to_owned()),
            _ => Err(refused()),
        })
        .collect()
}
