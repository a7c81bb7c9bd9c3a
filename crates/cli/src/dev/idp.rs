//! The development identity provider: a small OpenID provider for one machine.
//!
//! Authorization code with PKCE, ES256, echoes `nonce`, listens on loopback only. It logs in
//! whoever knows a secret that only this machine's user can read, as whatever subject they name:
//! it exists so that `writ dev` needs no other server, and vouches for nobody.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};
use writ_evidence::{
    digest::sha256,
    issuer::IssuerKey,
    jws::{self, HeaderExtra, ObjectType},
    key::{Algorithm, SigningKey},
};
use writ_model::UnixTime;
use zeroize::Zeroizing;

use super::found::write_secret;
use crate::{
    args::DevIdpArgs,
    command::{listen, stopped},
    failure::Failure,
    login::random_text,
    tenant::now,
};

/// Header that carries the login secret.
pub(crate) const LOGIN_SECRET_HEADER: &str = "writ-dev-login";
/// How long a code may be redeemed, in seconds.
const CODE_AGE_S: u64 = 60;
/// How long an ID token says that it lives, in seconds.
const TOKEN_AGE_S: u64 = 3600;

struct Provider {
    issuer: String,
    key: SigningKey,
    kid: String,
    secret: Zeroizing<String>,
    codes: Mutex<BTreeMap<String, Code>>,
}

/// What a code stands for until it is redeemed.
struct Code {
    client_id: String,
    redirect_uri: String,
    nonce: String,
    challenge: String,
    subject: String,
    until: UnixTime,
}

/// Makes the signing key and the login secret; returns the key for the charter to pin.
pub(super) fn create_keys(folder: &Path) -> Result<IssuerKey, Failure> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| Failure::new("random", "cannot make the identity provider's key"))?;
    write_secret(&folder.join("signing-key"), document.as_ref())?;
    write_secret(&folder.join("login-secret"), random_text()?.as_bytes())?;
    let key = load_key(folder)?;
    Ok(IssuerKey { kid: kid(&key), jwk: key.public().clone().into() })
}

fn load_key(folder: &Path) -> Result<SigningKey, Failure> {
    let pkcs8 = Zeroizing::new(fs::read(folder.join("signing-key")).map_err(|error| {
        Failure::because("idp", "cannot read the identity provider's key", &error)
    })?);
    SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8)
        .map_err(|error| Failure::because("idp", "cannot use the identity provider's key", &error))
}

fn kid(key: &SigningKey) -> String {
    key.public().thumbprint().to_string()
}

/// Serves until asked to end.
pub(super) async fn serve(args: DevIdpArgs) -> Result<(), Failure> {
    if !args.listen.ip().is_loopback() {
        return Err(Failure::new("idp", "the development identity provider is for loopback only"));
    }
    let key = load_key(&args.data)?;
    let secret = fs::read_to_string(args.data.join("login-secret"))
        .map_err(|error| Failure::because("idp", "cannot read the login secret", &error))?;
    let provider = Provider {
        issuer: args.issuer,
        kid: kid(&key),
        key,
        secret: Zeroizing::new(secret),
        codes: Mutex::default(),
    };
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .with_state(Arc::new(provider));
    let listener = listen(args.listen).await?;
    axum::serve(listener, routes)
        .with_graceful_shutdown(stopped()?)
        .await
        .map_err(|error| Failure::because("idp", "the identity provider ended", &error))
}

async fn discovery(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
    }))
}

async fn jwks(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let mut jwk = provider.key.public().to_jwk();
    if let Some(members) = jwk.as_object_mut() {
        members.insert("kid".to_owned(), json!(provider.kid));
        members.insert("use".to_owned(), json!("sig"));
        members.insert("alg".to_owned(), json!("ES256"));
    }
    Json(json!({ "keys": [jwk] }))
}

#[derive(Deserialize)]
struct Authorize {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
    login_hint: String,
}

/// RFC 6749 §4.1.1, RFC 7636 §4.3, unattended.
async fn authorize(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Query(asked): Query<Authorize>,
) -> Response {
    let secret = headers.get(LOGIN_SECRET_HEADER).map(header::HeaderValue::as_bytes);
    if secret.is_none_or(|secret| sha256(secret) != sha256(provider.secret.as_bytes())) {
        return (StatusCode::UNAUTHORIZED, "the login secret is missing or wrong").into_response();
    }
    // A native client's redirect is on loopback, on whatever port (RFC 8252 §7.3).
    let loopback = url::Url::parse(&asked.redirect_uri)
        .is_ok_and(|url| url.scheme() == "http" && url.host_str() == Some("127.0.0.1"));
    let understood = asked.response_type == "code" && asked.code_challenge_method == "S256";
    let (Ok(code), true, true) = (random_text(), loopback, understood) else {
        return (StatusCode::BAD_REQUEST, "invalid_request").into_response();
    };
    let Ok(mut location) = url::Url::parse(&asked.redirect_uri) else {
        return (StatusCode::BAD_REQUEST, "invalid_request").into_response();
    };
    location
        .query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", &asked.state)
        .append_pair("iss", &provider.issuer);
    let granted = Code {
        client_id: asked.client_id,
        redirect_uri: asked.redirect_uri,
        nonce: asked.nonce,
        challenge: asked.code_challenge,
        subject: asked.login_hint,
        until: now().plus(CODE_AGE_S),
    };
    let mut codes = provider.codes.lock().unwrap_or_else(PoisonError::into_inner);
    codes.retain(|_, code| code.until > now());
    codes.insert(code, granted);
    (StatusCode::FOUND, [(header::LOCATION, location.to_string())]).into_response()
}

#[derive(Deserialize)]
struct Redeem {
    grant_type: String,
    code: String,
    redirect_uri: String,
    client_id: String,
    code_verifier: String,
}

/// RFC 6749 §4.1.3, RFC 7636 §4.6: a code is redeemed once, by whoever asked for it.
async fn token(
    State(provider): State<Arc<Provider>>,
    Form(asked): Form<Redeem>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let refused = || (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })));
    let code = provider
        .codes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&asked.code)
        .ok_or_else(refused)?;
    let challenge = URL_SAFE_NO_PAD.encode(sha256(asked.code_verifier.as_bytes()).as_bytes());
    let same = asked.grant_type == "authorization_code"
        && code.until > now()
        && code.redirect_uri == asked.redirect_uri
        && code.client_id == asked.client_id
        && code.challenge == challenge;
    if !same {
        return Err(refused());
    }
    let iat = now();
    let claims = json!({
        "iss": provider.issuer, "sub": code.subject, "aud": code.client_id, "nonce": code.nonce,
        "iat": iat, "exp": iat.plus(TOKEN_AGE_S), "auth_time": iat,
    });
    let extra = HeaderExtra { kid: Some(provider.kid.clone()), ..HeaderExtra::default() };
    let payload = claims.to_string();
    let id_token = jws::sign(
        &provider.key,
        &SystemRandom::new(),
        ObjectType::IdToken,
        extra,
        payload.as_bytes(),
    )
    .map_err(|_| refused())?;
    Ok(Json(json!({ "token_type": "Bearer", "expires_in": TOKEN_AGE_S, "id_token": id_token })))
}
