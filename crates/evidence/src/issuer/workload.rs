//! Which workloads an issuer's record names: CI jobs and service accounts, by claims.
//!
//! In: a verified token's claims. Out: the entry whose every claim the token holds, if there is one.
//!
//! Invariants: values are compared whole and as text; there are no patterns, because whoever names a
//! branch or a repository would then name a subject. An entry without claims can't stand in a charter.
//!
//! Not here: what binds a key to the token (`idc`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::writ::Operation;

/// A workload that may sign: a CI job, a Kubernetes service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// What it is called, for people.
    pub name: String,
    /// The claims that its tokens hold with exactly this text: `sub`, or what names it for good, such as
    /// GitHub's `repository_id` with `ref` and `job_workflow_ref`. A name that begins with `/` is a JSON
    /// Pointer (RFC 6901) to a member further inside, such as `/kubernetes.io/serviceaccount/uid`.
    pub claims: BTreeMap<String, String>,
    /// What it may sign.
    pub operations: Vec<Operation>,
}

impl Workload {
    /// Whether a token with these claims is this workload's.
    pub(crate) fn is_named_by(&self, claims: &Map<String, Value>) -> bool {
        let held = |(name, value): (&String, &String)| {
            claim(claims, name).and_then(Value::as_str) == Some(value)
        };
        !self.claims.is_empty() && self.claims.iter().all(held)
    }
}

/// A claim, or a member inside one.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let mut tokens = pointer.split('/').map(|token| token.replace("~1", "/").replace("~0", "~"));
    let outermost = claims.get(&tokens.next()?)?;
    tokens.try_fold(outermost, |value, token| value.as_object()?.get(&token))
}
