//! How strong a login has to be before it signs for an operation.
//!
//! In: a client's requirements in the charter and what a login's tokens showed: `acr`, `amr`,
//! `auth_time` (OpenID Connect Core §2). Out: whether an operation may be signed, or what is missing.
//!
//! Invariants: every requirement that names the operation holds, not one of them; a claim that a token
//! does not hold meets no requirement.
//!
//! Not here: which operations a client may sign at all (`idc`), asking a provider for more (`writ login`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use writ_model::{UnixTime, limits::CLOCK_SKEW_S};

use crate::writ::Operation;

/// What a login must have shown before it signs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The operations that this is asked for; every one of the client's if none is listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// Authentication context classes, of which the login has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr: Vec<String>,
    /// Authentication methods (RFC 8176), all of which the login used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr_all: Vec<String>,
    /// Authentication methods, of which the login used one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr_any: Vec<String>,
    /// Seconds since `auth_time`, when the provider last saw the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_auth_age_s: Option<u64>,
}

/// Why a login may not sign for an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginTooWeak {
    /// The client id or the workload is not listed for the operation.
    #[error("this login may not sign for this operation")]
    Operation,
    /// `acr` is missing or none of those asked for.
    #[error("this operation asks for a login with `acr` {0}; log in again with `writ login --acr`")]
    Acr(String),
    /// A method that is asked for is not in `amr`.
    #[error("this operation asks for a login with `amr` {0}; log in again with that method")]
    Amr(String),
    /// The provider last saw the person too long ago, or does not say when.
    #[error(
        "this operation asks for a login at most {0} s old; log in again with `writ login --max-age {0}`"
    )]
    AuthAge(u64),
}

impl LoginTooWeak {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Operation => "writ-client",
            Self::Acr(_) => "idc-acr",
            Self::Amr(_) => "idc-amr",
            Self::AuthAge(_) => "idc-auth-age",
        }
    }
}

/// What a login's tokens showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) acr: Option<String>,
    pub(crate) amr: BTreeSet<String>,
    pub(crate) auth_time: Option<UnixTime>,
}

impl Shown {
    /// Reads what the newest token shows; of what it leaves out, what the first one did: they are of
    /// one login.
    pub(crate) fn read(first: &Map<String, Value>, newest: &Map<String, Value>) -> Self {
        let claim = |name: &str| newest.get(name).or_else(|| first.get(name));
        let amr = claim("amr").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        Self {
            acr: claim("acr").and_then(Value::as_str).map(str::to_owned),
            amr: amr.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            auth_time: claim("auth_time").and_then(Value::as_u64).map(UnixTime),
        }
    }
}

impl Requirement {
    /// The requirement as it is of a client that may sign these operations alone; `None` if it is asked
    /// of none of them.
    #[must_use]
    pub fn among(&self, operations: &[Operation]) -> Option<Self> {
        let kept = |operation: &&Operation| operations.contains(operation);
        let named: Vec<Operation> = self.operations.iter().filter(kept).copied().collect();
        let asked = self.operations.is_empty() || !named.is_empty();
        asked.then(|| Self { operations: named, ..self.clone() })
    }

    fn is_for(&self, operation: Operation) -> bool {
        self.operations.is_empty() || self.operations.contains(&operation)
    }

    /// Whether it is met at `now`, if it is asked for `operation` at all.
    pub(crate) fn check(
        &self,
        operation: Operation,
        shown: &Shown,
        now: UnixTime,
    ) -> Result<(), LoginTooWeak> {
        if !self.is_for(operation) {
            return Ok(());
        }
        let acr = |one: &String| shown.acr.as_ref() == Some(one);
        if !self.acr.is_empty() && !self.acr.iter().any(acr) {
            return Err(LoginTooWeak::Acr(listed(&self.acr, " or ")));
        }
        let used = |method: &String| shown.amr.contains(method);
        if !self.amr_all.iter().all(used) {
            return Err(LoginTooWeak::Amr(listed(&self.amr_all, " and ")));
        }
        if !self.amr_any.is_empty() && !self.amr_any.iter().any(used) {
            return Err(LoginTooWeak::Amr(listed(&self.amr_any, " or ")));
        }
        let Some(max_s) = self.max_auth_age_s else { return Ok(()) };
        let until = |at: UnixTime| at.plus(max_s).plus(CLOCK_SKEW_S);
        if shown.auth_time.is_none_or(|at| now >= until(at) || at > now.plus(CLOCK_SKEW_S)) {
            return Err(LoginTooWeak::AuthAge(max_s));
        }
        Ok(())
    }

    /// Whether the requirement is one that can be meant: of a client that may sign `operations`.
    pub(super) fn check_form(&self, operations: &[Operation]) -> Result<(), &'static str> {
        if !self.operations.iter().all(|operation| operations.contains(operation)) {
            return Err("a requirement names an operation that its client may not sign");
        }
        let mut listed = self.acr.iter().chain(&self.amr_all).chain(&self.amr_any).peekable();
        if listed.peek().is_none() && self.max_auth_age_s.is_none() {
            return Err("a requirement asks for something");
        }
        let form = |text: &String| {
            (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        // A space would end a value where `acr_values` lists them (OpenID Connect Core §3.1.2.1).
        if listed.all(form) { Ok(()) } else { Err("`acr` and `amr` values are of visible ASCII") }
    }
}

fn listed(values: &[String], between: &str) -> String {
    values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(between)
}
