//! A typed client: signs each request, refuses redirects and proxies, reads problems.
//!
//! One connection pool per [`Client`]; one [`Credential`] says whose requests they are.
//! Answers are bounded by what the contract can send.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use writ_evidence::{
    idc::UnverifiedIdc,
    key::SigningKey,
    proof::{self, ProofClaims},
};
use writ_model::{RunnerId, UnixTime};

use crate::{IDC_HEADER, PROOF_HEADER, Problem, RUNNER_HEADER};

/// Longest answer that a client reads, in bytes: a page of the audit log, an output, a charter.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// Whose requests they are.
pub enum Caller {
    /// A person's, with the credential that the key belongs to.
    Person(Box<UnverifiedIdc>),
    /// An enrolled runner's.
    Runner(RunnerId),
}

/// A key and whose it is.
pub struct Credential {
    /// Whose.
    pub caller: Caller,
    /// The key that signs request proofs.
    pub key: SigningKey,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other side answered with a problem.
    #[error(transparent)]
    Problem(Problem),
    /// The other side could not be reached, or the answer broke off.
    #[error("cannot reach `{url}`")]
    Unreachable {
        /// Origin and path.
        url: String,
        /// The transport's reason.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is not what the contract says.
    #[error("answer of `{url}` is not what the contract says")]
    Contract {
        /// Origin and path.
        url: String,
    },
    /// The request could not be signed.
    #[error("cannot sign a request proof")]
    Signing,
}

impl CallError {
    /// The stable code of this failure.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Problem(problem) => &problem.code,
            Self::Unreachable { .. } => "unreachable",
            Self::Contract { .. } => "contract",
            Self::Signing => "signing",
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Plain HTTP would leave the host.
    #[error("`{origin}` is neither https nor on loopback")]
    Plaintext {
        /// The origin.
        origin: String,
    },
    /// The CA's certificate is not PEM.
    #[error("the CA's certificate is not PEM")]
    Ca(#[source] reqwest::Error),
    /// The TLS back end could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] reqwest::Error),
}

fn check_secure(origin: &str) -> Result<(), ClientError> {
    let refused = || ClientError::Plaintext { origin: origin.to_owned() };
    let url: url::Url = origin.parse().map_err(|_| refused())?;
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && loopback) {
        return Ok(());
    }
    Err(refused())
}

/// A client of one origin.
pub struct Client {
    http: reqwest::Client,
    origin: String,
    credential: Credential,
}

impl Client {
    /// Makes a client of `origin`, such as `https://writ.example:7410`. Its certificate is checked by
    /// the machine's roots and by those of `ca`, PEM, if given.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn new(
        origin: &str,
        credential: Credential,
        ca: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        check_secure(origin)?;
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_mins(1));
        let certificates =
            ca.map(reqwest::Certificate::from_pem_bundle).transpose().map_err(ClientError::Ca)?;
        for certificate in certificates.unwrap_or_default() {
            builder = builder.add_root_certificate(certificate);
        }
        let http = builder.build().map_err(ClientError::Tls)?;
        Ok(Self { http, origin: origin.trim_end_matches('/').to_owned(), credential })
    }

    /// The origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// `GET` `path`, which starts with a slash and may have a query.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, CallError> {
        let answer = self.send(Method::GET, path, |request| request).await?;
        self.parse(path, &answer)
    }

    /// `GET` `path` and take the answer's text as it is.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn get_text(&self, path: &str) -> Result<String, CallError> {
        let answer = self.send(Method::GET, path, |request| request).await?;
        String::from_utf8(answer).map_err(|_| self.contract(path))
    }

    /// `POST` `body` to `path`.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn post<B: Serialize + Sync, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<A, CallError> {
        let answer = self.send(Method::POST, path, |request| request.json(body)).await?;
        self.parse(path, &answer)
    }

    /// `POST` `body` to `path`, to be answered by 204.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn post_only<B: Serialize + Sync>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<(), CallError> {
        self.send(Method::POST, path, |request| request.json(body)).await.map(drop)
    }

    /// `PUT` `body` to `path`, to be answered by 204.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn put<B: Serialize + Sync>(&self, path: &str, body: &B) -> Result<(), CallError> {
        self.send(Method::PUT, path, |request| request.json(body)).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        with_body: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Vec<u8>, CallError> {
        let url = format!("{}{path}", self.origin);
        let unreachable = |source: reqwest::Error| CallError::Unreachable {
            url: self.without_query(path),
            source: source.without_url(),
        };
        let request = self.http.request(method.clone(), &url);
        let request = self.authenticate(request, &method, path)?;
        let mut answer = with_body(request).send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_MAX {
                return Err(self.contract(path));
            }
        }
        if status.is_success() {
            return Ok(bytes);
        }
        Err(self.problem(path, status, &bytes))
    }

    fn authenticate(
        &self,
        request: RequestBuilder,
        method: &Method,
        path: &str,
    ) -> Result<RequestBuilder, CallError> {
        let mut id = [0; 24];
        let random = SystemRandom::new();
        random.fill(&mut id).map_err(|_| CallError::Signing)?;
        let (ath, header, value) = match &self.credential.caller {
            Caller::Person(idc) => {
                let json = serde_json::to_vec(idc).map_err(|_| CallError::Signing)?;
                (Some(idc.digest()), IDC_HEADER, URL_SAFE_NO_PAD.encode(json))
            }
            Caller::Runner(runner) => (None, RUNNER_HEADER, runner.to_string()),
        };
        let claims = ProofClaims {
            htm: method.to_string(),
            htu: self.without_query(path),
            iat: now(),
            jti: URL_SAFE_NO_PAD.encode(id),
            ath,
        };
        let proof =
            proof::sign(&claims, &self.credential.key, &random).map_err(|_| CallError::Signing)?;
        Ok(request.header(PROOF_HEADER, proof).header(header, value))
    }

    fn parse<A: DeserializeOwned>(&self, path: &str, answer: &[u8]) -> Result<A, CallError> {
        serde_json::from_slice(answer).map_err(|_| self.contract(path))
    }

    fn problem(&self, path: &str, status: StatusCode, bytes: &[u8]) -> CallError {
        match serde_json::from_slice(bytes) {
            Ok(problem) => CallError::Problem(problem),
            Err(_) => CallError::Problem(Problem::new(
                status.as_u16(),
                "http-status",
                format!("`{}` answered {status}", self.without_query(path)),
            )),
        }
    }

    fn contract(&self, path: &str) -> CallError {
        CallError::Contract { url: self.without_query(path) }
    }

    fn without_query(&self, path: &str) -> String {
        format!("{}{}", self.origin, path.split('?').next().unwrap_or_default())
    }
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(since.as_secs())
}
