//! Who is calling: a person by credential and proof, a runner by its enrolled link key.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use axum::{
    extract::Request,
    http::{HeaderMap, Method, Uri},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use writ_api::{IDC_HEADER, PROOF_HEADER, Problem, RUNNER_HEADER};
use writ_evidence::{
    charter::CharterState,
    idc::{UnverifiedIdc, VerifiedIdc},
    issuer::TokenKeys,
    json,
    key::PublicKey,
    proof::{ExpectedRequest, VerifiedProof},
};
use writ_model::{Digest, RunnerId, UnixTime, limits::CLOCK_SKEW_S};

use super::{App, problem_of};
use crate::{clock, tenant::Tenant};

/// Proofs seen in the last two minutes. When full, requests are refused (fail closed).
#[derive(Default)]
pub(crate) struct ProofWindow(BTreeMap<String, UnixTime>);

/// Most proofs remembered at once.
const WINDOW_MAX: usize = 100_000;

impl ProofWindow {
    fn admit(&mut self, proof: &VerifiedProof, now: UnixTime) -> Result<(), Problem> {
        if self.0.len() >= WINDOW_MAX {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.len() >= WINDOW_MAX {
            return Err(Problem::new(503, "proof-window-full", "too many requests"));
        }
        let until = proof.iat().plus(2 * CLOCK_SKEW_S);
        match self.0.insert(proof.jti().to_owned(), until) {
            Some(_) => {
                Err(Problem::new(401, "proof-replayed", "the request proof was used before"))
            }
            None => Ok(()),
        }
    }
}

/// A request's head: what a proof is made over.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// The head of a request.
pub(super) fn head_of(request: &Request) -> Head<'_> {
    Head { method: request.method(), uri: request.uri(), headers: request.headers() }
}

impl App {
    /// The tenant of a path; unknown and malformed ones are the same to the caller.
    pub(crate) fn tenant(&self, ten: &str) -> Result<Arc<Tenant>, Problem> {
        let found = ten.parse().ok().and_then(|ten| self.tenants.get(&ten));
        found
            .cloned()
            .ok_or_else(|| Problem::new(404, "tenant-unknown", "there is no such tenant here"))
    }

    /// Authenticates a person.
    pub(crate) async fn person(
        &self,
        tenant: &Tenant,
        head: &Head<'_>,
    ) -> Result<VerifiedIdc, Problem> {
        let now = clock::now();
        let unverified = idc_header(head.headers)?;
        self.learn_keys(tenant, &unverified).await;
        let (charter, fetched) = (tenant.charter(), tenant.issuer_keys.fetched());
        let keys = TokenKeys::Fetched(&fetched);
        let idc = charter.verify_idc(&unverified, keys, now).map_err(|error| {
            problem_of(401, error.code(), &error).with_remedy("log in with `writ login`")
        })?;
        charter.check_signer(&idc).map_err(|error| problem_of(403, "suspended", &error))?;
        self.check_proof(tenant, head, idc.key(), Some(idc.digest()))?;
        tenant.sessions.check(&unverified)?;
        check_holds_a_role(&charter, &idc)?;
        tenant.sessions.see(&tenant.store, &unverified, &idc, now);
        Ok(idc)
    }

    /// Makes sure that the keys which a credential names were asked for.
    pub(crate) async fn learn_keys(&self, tenant: &Tenant, idc: &UnverifiedIdc) {
        let charter = tenant.charter();
        tenant.issuer_keys.learn(charter.issuers(), idc, &self.issuer_cidrs).await;
    }

    /// Authenticates an enrolled runner.
    pub(crate) fn runner(&self, tenant: &Tenant, head: &Head<'_>) -> Result<RunnerId, Problem> {
        let missing = || Problem::new(401, "not-enrolled", "the charter enrolls no such runner");
        let id: RunnerId =
            text_header(head.headers, RUNNER_HEADER)?.parse().map_err(|_| missing())?;
        let charter = tenant.charter();
        let enrolled = charter.runner(id).ok_or_else(missing)?;
        self.check_proof(tenant, head, &enrolled.link_key, None)?;
        Ok(id)
    }

    fn check_proof(
        &self,
        tenant: &Tenant,
        head: &Head<'_>,
        key: &PublicKey,
        idc: Option<Digest>,
    ) -> Result<(), Problem> {
        let now = clock::now();
        let proof = text_header(head.headers, PROOF_HEADER)?;
        let url = format!("{}{}", self.public_url.trim_end_matches('/'), head.uri.path());
        let expected = ExpectedRequest { method: head.method.as_str(), url: &url, idc };
        let proof = VerifiedProof::verify(proof, key, expected, now)
            .map_err(|error| problem_of(401, error.code(), &error))?;
        let mut window = tenant.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        window.admit(&proof, now)
    }
}

/// Refuses whoever holds no role in the tenant: to them nothing in it is there.
pub(crate) fn check_holds_a_role(charter: &CharterState, idc: &VerifiedIdc) -> Result<(), Problem> {
    if charter.bindings_of(idc.actor()).next().is_some() {
        return Ok(());
    }
    let cause = format!("{} holds no role in this tenant", idc.principal());
    Err(Problem::new(403, "policy-denied", cause))
}

fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Problem> {
    headers.get(name).and_then(|value| value.to_str().ok()).ok_or_else(|| {
        Problem::new(401, "not-authenticated", format!("header `{name}` is missing"))
            .with_remedy("log in with `writ login`")
    })
}

fn idc_header(headers: &HeaderMap) -> Result<UnverifiedIdc, Problem> {
    let malformed = || Problem::new(401, "not-authenticated", "the credential header is malformed");
    let bytes =
        URL_SAFE_NO_PAD.decode(text_header(headers, IDC_HEADER)?).map_err(|_| malformed())?;
    json::parse_as(&bytes).map_err(|_| malformed())
}
