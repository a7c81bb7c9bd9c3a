//! What is asked of an identity provider: discovery, the authorization URL, tokens.
//!
//! OpenID Connect Discovery §4, RFC 6749 §4.1 and §6. Follows no redirect and uses no proxy from the
//! environment. HTTPS, or plain HTTP on loopback (RFC 8252 §8.3 speaks of redirects; a provider on
//! loopback is for development and tests).

use reqwest::{Client, StatusCode, redirect::Policy};
use serde::Deserialize;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{Request, discovery_url};
use crate::{
    failure::{EXIT_UNREACHABLE, Failure},
    place::LoginIssuer,
};

/// Longest answer of a provider, in bytes.
const ANSWER_MAX: usize = 256 * 1024;

/// The parts of a discovery document that a login needs (OpenID Connect Discovery §3).
#[derive(Deserialize)]
pub(crate) struct Discovery {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) jwks_uri: Url,
    /// RFC 8628 §4.
    device_authorization_endpoint: Option<Url>,
    #[serde(default)]
    pub(crate) scopes_supported: Vec<String>,
    #[serde(default)]
    pub(crate) id_token_signing_alg_values_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// An identity provider and how this command is known to it.
pub(super) struct Provider {
    http: Client,
    pub(super) issuer: LoginIssuer,
    discovery: Discovery,
}

/// What a code is exchanged for.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) id_token: String,
    #[serde(default)]
    pub(super) refresh_token: Option<Zeroizing<String>>,
}

/// What a refresh brings: some providers send no ID token with it.
#[derive(Deserialize)]
pub(super) struct Refreshed {
    pub(super) id_token: Option<String>,
    #[serde(default)]
    pub(super) refresh_token: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Fetches an issuer's discovery document and checks that it is that issuer's.
pub(crate) async fn discover(http: &Client, issuer: &LoginIssuer) -> Result<Discovery, Failure> {
    let url: Url = discovery_url(issuer)
        .parse()
        .map_err(|_| Failure::new("login", "the issuer's identifier is not a URL"))?;
    check_secure(&url)?;
    let body = get(http, url).await?;
    let discovery: Discovery = serde_json::from_slice(&body)
        .map_err(|_| Failure::new("login", "the issuer's discovery document is malformed"))?;
    if discovery.issuer != issuer.iss {
        return Err(Failure::new("login", "the identity provider names another issuer")
            .with_remedy("spell the issuer exactly as its discovery document does"));
    }
    for url in [&discovery.authorization_endpoint, &discovery.token_endpoint, &discovery.jwks_uri] {
        check_secure(url)?;
    }
    Ok(discovery)
}

/// Gets a public document of an issuer's.
pub(crate) async fn get(http: &Client, url: Url) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let answer = http.get(url).send().await.map_err(|error| unreachable(&error))?;
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(Failure::new("login", format!("the issuer answered {status}")));
    }
    body(answer).await
}

/// A client that goes where it is told and nowhere else.
pub(crate) fn http_client(ca: Option<&[u8]>) -> Result<Client, Failure> {
    let failed = |error: reqwest::Error| Failure::because("http", "cannot set up HTTP", &error);
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(std::time::Duration::from_secs(30));
    let certificates = ca.map(reqwest::Certificate::from_pem_bundle).transpose().map_err(failed)?;
    for certificate in certificates.unwrap_or_default() {
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(failed)
}

impl Provider {
    pub(super) async fn discover(issuer: &LoginIssuer, ca: Option<&[u8]>) -> Result<Self, Failure> {
        let http = http_client(ca)?;
        let discovery = discover(&http, issuer).await?;
        Ok(Self { http, issuer: issuer.clone(), discovery })
    }

    pub(super) const fn http(&self) -> &Client {
        &self.http
    }

    /// RFC 6749 §4.1.1, with RFC 7636 and OpenID Connect's `nonce`.
    pub(super) fn authorization_url(&self, request: &Request, redirect_uri: &str) -> Url {
        let mut url = self.discovery.authorization_endpoint.clone();
        let scope = self.scope();
        {
            let mut query = url.query_pairs_mut();
            if self.is_refreshable() {
                // OpenID Connect Core §11: without it, no refresh token.
                query.append_pair("prompt", "consent");
            }
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &self.issuer.client_id)
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("scope", &scope)
                .append_pair("state", &request.state)
                .append_pair("nonce", &request.nonce)
                .append_pair("code_challenge", &request.challenge())
                .append_pair("code_challenge_method", "S256");
            if let Some(acr_values) = &request.acr_values {
                query.append_pair("acr_values", acr_values);
            }
            if let Some(max_age) = request.max_age {
                query.append_pair("max_age", &max_age.to_string());
            }
        }
        url
    }

    /// Whether it says that it gives refresh tokens to whoever asks with `offline_access`.
    fn is_refreshable(&self) -> bool {
        self.discovery.scopes_supported.iter().any(|scope| scope == "offline_access")
    }

    /// What is asked for: an ID token, what brings groups into it, and what extends it.
    pub(super) fn scope(&self) -> String {
        let more = self.issuer.scopes.iter().map(String::as_str);
        let offline = self.is_refreshable().then_some("offline_access");
        ["openid"].into_iter().chain(more).chain(offline).collect::<Vec<_>>().join(" ")
    }

    /// Where a login on another device begins, if the provider has that.
    pub(super) fn device_endpoint(&self) -> Option<Url> {
        self.discovery.device_authorization_endpoint.clone()
    }

    /// The code in a redirect, if it answers this very request of ours.
    pub(super) fn code_in(&self, redirect: &Url, request: &Request) -> Result<String, Failure> {
        let refused = |cause: String| Failure::new("login", cause);
        let parameter = |name: &str| {
            let mut named = redirect.query_pairs().filter(|(key, _)| key == name);
            let first = named.next().map(|(_, value)| value.into_owned());
            if named.next().is_some() { None } else { first }
        };
        if parameter("state").as_deref() != Some(&request.state) {
            let cause = "the identity provider's answer is to another request";
            return Err(refused(cause.to_owned()));
        }
        let iss = parameter("iss");
        let wanted = self.discovery.authorization_response_iss_parameter_supported;
        if iss.as_ref().is_some_and(|iss| *iss != self.issuer.iss) || (wanted && iss.is_none()) {
            return Err(refused("the answer comes from another issuer".to_owned()));
        }
        if let Some(error) = parameter("error") {
            return Err(refused(format!("the identity provider refused: {}", token(&error))));
        }
        parameter("code").ok_or_else(|| refused("the identity provider sent no code".to_owned()))
    }

    /// RFC 6749 §4.1.3.
    pub(super) async fn redeem(
        &self,
        code: &str,
        request: &Request,
        redirect_uri: &str,
    ) -> Result<Tokens, Failure> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("client_id", &self.issuer.client_id),
            ("code_verifier", &request.verifier),
        ];
        let (status, body) = self.post(&form).await?;
        if status != StatusCode::OK {
            return Err(Failure::new("login", refusal(status, &body)));
        }
        serde_json::from_slice(&body)
            .map_err(|_| Failure::new("login", "the identity provider sent no ID token"))
    }

    /// RFC 6749 §6; `None` if the provider no longer takes the refresh token.
    pub(super) async fn refresh(&self, token: &str) -> Result<Option<Refreshed>, Failure> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", &self.issuer.client_id),
        ];
        let (status, body) = self.post(&form).await?;
        if status != StatusCode::OK {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&body).ok())
    }

    /// Asks the token endpoint.
    pub(super) async fn post(
        &self,
        form: &[(&str, &str)],
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), Failure> {
        self.post_to(self.discovery.token_endpoint.clone(), form).await
    }

    /// Asks one of the provider's endpoints.
    pub(super) async fn post_to(
        &self,
        endpoint: Url,
        form: &[(&str, &str)],
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), Failure> {
        let answer = self.http.post(endpoint).form(form).send().await;
        let answer = answer.map_err(|error| unreachable(&error))?;
        Ok((answer.status(), body(answer).await?))
    }
}

/// What a refusal of the token endpoint says, in the characters that RFC 6749 §5.2 allows.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> String {
    let said = serde_json::from_slice::<Refused>(body).map(|refused| token(&refused.error));
    match said {
        Ok(error) => format!("the identity provider answered {status}: {error}"),
        Err(_) => format!("the identity provider answered {status}"),
    }
}

fn token(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "_-. ".contains(*c)).take(100).collect()
}

pub(super) async fn body(mut answer: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX {
            return Err(Failure::new("login", "the identity provider's answer is too long"));
        }
    }
    Ok(body)
}

pub(super) fn unreachable(error: &reqwest::Error) -> Failure {
    // A URL of the token endpoint may hold nothing secret, but nothing is gained by repeating it.
    let cause = if error.is_timeout() { "it did not answer in time" } else { "no connection" };
    Failure::new("login", format!("cannot reach the identity provider: {cause}"))
        .with_exit(EXIT_UNREACHABLE)
}

pub(super) fn check_secure(url: &Url) -> Result<(), Failure> {
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && loopback) {
        return Ok(());
    }
    Err(Failure::new("login", "an identity provider is asked over HTTPS only")
        .with_remedy("plain HTTP is for providers on loopback"))
}
