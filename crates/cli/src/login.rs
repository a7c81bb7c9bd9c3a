//! Logs in: a fresh key, a commitment to it in `nonce`, an authorization code with PKCE.
//!
//! RFC 6749 §4.1, RFC 7636, OpenID Connect Core §3.1; the commitment is `OpenPubkey`'s
//! (DESIGN §3.1). The development identity provider logs in unattended by a secret that only this
//! machine's user can read; a browser is not involved.
//!
//! Not here: verifying the ID token. The control plane and the jail do that with the keys that the
//! charter pins; this command has nothing to gain by believing itself.

use std::fs;

use aws_lc_rs::{
    rand::{SecureRandom as _, SystemRandom},
    signature::Ed25519KeyPair,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use url::Url;
use writ_evidence::{
    digest::sha256,
    idc::{IdcMode, UnverifiedIdc, nonce_for},
    jws::{self, HeaderExtra, ObjectType},
    key::{Algorithm, SigningKey},
};
use zeroize::Zeroizing;

use crate::{dev::LOGIN_SECRET_HEADER, failure::Failure, place::Place, session::Session};

/// Where the identity provider sends the code. Nothing listens: the answer is read directly.
const REDIRECT: &str = "http://127.0.0.1/callback";

/// The parts of a discovery document that a login needs (OpenID Connect Discovery §3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

/// Logs in as `subject`.
pub(crate) async fn log_in(place: &Place, subject: &str) -> Result<Session, Failure> {
    let random = SystemRandom::new();
    let document = Ed25519KeyPair::generate_pkcs8(&random)
        .map_err(|_| Failure::new("random", "the random source failed"))?;
    let pkcs8 = Zeroizing::new(document.as_ref().to_vec());
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8)
        .map_err(|error| Failure::because("key", "cannot use the new key", &error))?;
    let cic = commitment(&key, &random)?;
    let id_token = authorize(place, subject, &nonce_for(&cic)).await?;
    let idc = UnverifiedIdc { mode: IdcMode::Nonce, id_token, cic };
    Ok(Session::new(idc, pkcs8))
}

fn commitment(key: &SigningKey, random: &SystemRandom) -> Result<String, Failure> {
    let extra = HeaderExtra {
        jwk: Some(key.public().clone()),
        rz: Some(random_text()?),
        ..HeaderExtra::default()
    };
    jws::sign(key, random, ObjectType::Cic, extra, b"")
        .map_err(|error| Failure::because("key", "cannot sign the commitment", &error))
}

/// 256 random bits as base64url.
pub(crate) fn random_text() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::new("random", "the random source failed"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The code flow; returns the ID token.
async fn authorize(place: &Place, subject: &str, nonce: &str) -> Result<String, Failure> {
    let failed = |error: reqwest::Error| {
        Failure::because("login", "cannot reach the identity provider", &error.without_url())
            .with_remedy("is `writ dev` running?")
    };
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(failed)?;
    let issuer = &place.settings.issuer_url;
    let well_known = format!("{issuer}/.well-known/openid-configuration");
    let discovery: Discovery =
        http.get(well_known).send().await.map_err(failed)?.json().await.map_err(failed)?;
    if &discovery.issuer != issuer {
        return Err(Failure::new("login", "the identity provider names another issuer"));
    }
    let (verifier, state) = (random_text()?, random_text()?);
    let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()).as_bytes());
    let mut url = discovery.authorization_endpoint;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &place.settings.client_id)
        .append_pair("redirect_uri", REDIRECT)
        .append_pair("scope", "openid")
        .append_pair("state", &state)
        .append_pair("nonce", nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("login_hint", subject);
    let secret = Zeroizing::new(fs::read_to_string(place.idp_secret()).map_err(|error| {
        Failure::because("login", "cannot read the login secret of `writ dev`", &error)
            .with_remedy("log in as the user who runs `writ dev`")
    })?);
    let answer =
        http.get(url).header(LOGIN_SECRET_HEADER, secret.trim()).send().await.map_err(failed)?;
    let code = code_of(&answer, &state)?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("client_id", &place.settings.client_id),
        ("code_verifier", &verifier),
    ];
    let answer = http.post(discovery.token_endpoint).form(&form).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        let status = answer.status();
        return Err(Failure::new("login", format!("the identity provider answered {status}")));
    }
    let answer: TokenAnswer = answer.json().await.map_err(failed)?;
    Ok(answer.id_token)
}

/// The code in the redirect, if it answers this very request.
fn code_of(answer: &reqwest::Response, state: &str) -> Result<String, Failure> {
    let refused = |cause: String| Failure::new("login", cause);
    let location = answer
        .headers()
        .get(reqwest::header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| Url::parse(location).ok())
        .ok_or_else(|| refused(format!("the identity provider answered {}", answer.status())))?;
    let parameter = |name: &str| {
        location.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    if let Some(error) = parameter("error") {
        return Err(refused(format!("the identity provider refused: {error}")));
    }
    if parameter("state").as_deref() != Some(state) {
        return Err(refused("the identity provider's answer is to another request".to_owned()));
    }
    parameter("code").ok_or_else(|| refused("the identity provider sent no code".to_owned()))
}
