//! Requests made by hand, to the control plane and to the gateway, with or without a proof.

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use writ_api::{IDC_HEADER, PROOF_HEADER, RUNNER_HEADER};
use writ_evidence::{
    key::SigningKey,
    proof::{self, ProofClaims},
};
use writ_model::{Digest, RunId, RunnerId, UnixTime};
use writ_testkit::keys::{Login, now, random};

use crate::{
    setting::Setting,
    table::{Evidence, Shown},
};

/// One request.
pub(crate) struct Ask {
    method: &'static str,
    /// A setting's name: `server_url`, `gateway_url`, `link_url`.
    origin: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

impl Ask {
    /// A `GET` at the control plane.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        let (method, origin, path) = ("GET", "server_url", path.into());
        Self { method, origin, path, headers: Vec::new(), body: None }
    }

    /// A `POST` at the control plane.
    pub(crate) fn post(path: impl Into<String>, body: impl Into<Value>) -> Self {
        let body = Some(body.into().to_string().into_bytes());
        Self { method: "POST", body, ..Self::get(path) }
    }

    /// A `PUT` at the control plane.
    pub(crate) fn put(path: impl Into<String>, body: impl Into<Value>) -> Self {
        Self { method: "PUT", ..Self::post(path, body) }
    }

    /// The output of a run at the gateway.
    pub(crate) fn output(run: RunId) -> Self {
        Self { origin: "gateway_url", ..Self::get(format!("/v1/runs/{run}/output")) }
    }

    /// A delivery at a webhook's address, with what stands in GitHub's signature header.
    pub(crate) fn webhook(path: &str, body: &str, signature: Option<&str>) -> Self {
        let ask = Self::get(format!("/hooks/{path}"));
        let headers =
            signature.into_iter().map(|text| ("x-hub-signature-256", text.to_owned())).collect();
        Self { method: "POST", origin: "gateway_url", headers, ..ask.body(body.into()) }
    }

    /// At another origin.
    pub(crate) const fn at(mut self, origin: &'static str) -> Self {
        self.origin = origin;
        self
    }

    /// With another body.
    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    /// With a person's credential and the proof that belongs to the request.
    pub(crate) fn by(self, setting: &Setting, login: &Login) -> Result<Self> {
        let proof = self.proof(setting, login)?;
        self.with(login, &proof)
    }

    /// With a person's credential and this proof.
    pub(crate) fn with(mut self, login: &Login, proof: &Proof) -> Result<Self> {
        let idc = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&login.idc)?);
        self.headers.push((IDC_HEADER, idc));
        self.headers.push((PROOF_HEADER, proof.sign(&login.key)?));
        Ok(self)
    }

    /// With a runner's name and a proof by any key.
    pub(crate) fn by_runner(
        mut self,
        setting: &Setting,
        runner: RunnerId,
        key: &SigningKey,
    ) -> Result<Self> {
        let htu = format!("{}{}", setting.world.setting(self.origin)?, self.path);
        let mut proof = Proof::new(self.method, htu, Digest::from_bytes([0; 32]))?;
        proof.0.ath = None;
        self.headers.push((RUNNER_HEADER, runner.to_string()));
        self.headers.push((PROOF_HEADER, proof.sign(key)?));
        Ok(self)
    }

    /// The proof that belongs to the request.
    pub(crate) fn proof(&self, setting: &Setting, login: &Login) -> Result<Proof> {
        let path = self.path.split('?').next().unwrap_or_default();
        let htu = format!("{}{path}", setting.world.setting(self.origin)?);
        Proof::new(self.method, htu, login.idc.digest())
    }
}

/// A proof of possession, to be made wrong.
pub(crate) struct Proof(pub(crate) ProofClaims);

impl Proof {
    fn new(method: &str, htu: String, ath: Digest) -> Result<Self> {
        let jti = URL_SAFE_NO_PAD.encode(random()?);
        Ok(Self(ProofClaims { htm: method.to_owned(), htu, iat: now(), jti, ath: Some(ath) }))
    }

    /// Made so many seconds ago.
    pub(crate) const fn aged(mut self, seconds: u64) -> Self {
        self.0.iat = UnixTime(self.0.iat.0 - seconds);
        self
    }

    fn sign(&self, key: &SigningKey) -> Result<String> {
        Ok(proof::sign(&self.0, key, &SystemRandom::new())?)
    }
}

impl Setting {
    /// A path below the tenant.
    pub(crate) fn tenant_path(&self, rest: &str) -> String {
        format!("/v1/tenants/{}{rest}", self.forger.ten())
    }

    /// Sends a request; its status, and its body if that is JSON.
    pub(crate) fn ask(&self, ask: &Ask) -> Result<(u16, Value)> {
        let url = format!("{}{}", self.world.setting(ask.origin)?, ask.path);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut request = http.request(ask.method.parse()?, url);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = &ask.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        self.block_on(async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let body = answer.bytes().await?;
            Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
        })
    }

    /// Sends a request that must be refused; with which code.
    pub(crate) fn refused_with(&self, ask: &Ask) -> Result<Shown> {
        let (status, said) = self.ask(ask)?;
        ensure!(status >= 400, "the attack succeeded: {status} {said}");
        let code = said["code"].as_str().with_context(|| format!("{status} without a code"))?;
        Ok(Shown::refused(code, Evidence::Answer))
    }
}
