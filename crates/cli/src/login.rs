//! Logs in: a fresh key, a commitment to it in `nonce`, an authorization code with PKCE.
//!
//! RFC 6749 §4.1, RFC 7636, RFC 8252 (loopback redirect), OpenID Connect Core §3.1; the commitment is
//! `OpenPubkey`'s (DESIGN §3.1). Read: `provider` (what is asked of the identity provider), `browser`
//! (how its answer comes back), `device` (a browser elsewhere), `workload` (no person at all), `unattended`
//! (the development identity provider).
//!
//! Invariants: the key never leaves this machine, or the SSH agent; a code is taken only for this very request; an answer
//! by another issuer than was asked is refused (RFC 9207).
//!
//! Not here: verifying the ID token. The control plane and the jail do that with the issuer's keys;
//! this command has nothing to gain by believing itself.

mod browser;
mod device;
mod provider;
mod unattended;
mod workload;

use std::path::Path;

use aws_lc_rs::{
    rand::{SecureRandom as _, SystemRandom},
    signature::Ed25519KeyPair,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use writ_evidence::{
    digest::sha256,
    idc::{IdcMode, UnverifiedIdc, audience_for, nonce_for},
    issuer::{IssuerKey, parse_jwks},
    jws::{self, HeaderExtra, ObjectType, UnverifiedJws},
    key::SigningKey,
};
use writ_model::ServiceAccountName;
use zeroize::Zeroizing;

use self::provider::{Provider, Tokens};
use crate::{
    args::LoginArgs,
    failure::Failure,
    place::{LoginIssuer, Place},
    session::{KeyHolder, Refresh, Session},
    ssh_agent,
};

/// A request on its way: what the answer is checked against.
struct Request {
    state: String,
    nonce: String,
    verifier: Zeroizing<String>,
    /// `acr_values` (OpenID Connect Core §3.1.2.1), if any is asked for.
    acr_values: Option<String>,
    /// `max_age`, in seconds (the same section).
    max_age: Option<u64>,
}

impl Request {
    fn new(nonce: String, args: &LoginArgs) -> Result<Self, Failure> {
        Ok(Self {
            state: random_text()?,
            nonce,
            verifier: Zeroizing::new(random_text()?),
            acr_values: (!args.acr.is_empty()).then(|| args.acr.join(" ")),
            max_age: args.max_age,
        })
    }

    /// RFC 7636 §4.2, method `S256`.
    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha256(self.verifier.as_bytes()).as_bytes())
    }
}

/// Logs in at an issuer of the folder's tenant, or as the workload that this is.
pub(crate) async fn log_in(place: &Place, args: &LoginArgs) -> Result<Session, Failure> {
    if let Some(account) = &args.service_account {
        return key_of(account, args);
    }
    let ca = place.ca()?;
    if args.github_actions || args.token_command.is_some() {
        return log_in_as_workload(ca.as_deref(), args).await;
    }
    let mut issuer = place.issuer(args.issuer.as_deref())?;
    if args.device {
        issuer.client_id = device_client(&issuer, args)?;
    }
    let unattended = place.is_development(&issuer) && !args.device;
    let secret = unattended.then(|| place.idp_secret());
    let logged_in = log_in_at(&issuer, ca.as_deref(), args, secret.as_deref()).await;
    if secret.is_some() {
        return logged_in.map_err(|failure| failure.or_remedy("is `writ dev` running?"));
    }
    logged_in
}

/// Logs in at an issuer: with a browser here or elsewhere, or unattended by the development
/// provider's secret.
pub(crate) async fn log_in_at(
    issuer: &LoginIssuer,
    ca: Option<&[u8]>,
    args: &LoginArgs,
    secret: Option<&Path>,
) -> Result<Session, Failure> {
    let (holder, cic) = committed(args)?;
    let request = Request::new(nonce_for(&cic), args)?;
    let provider = Provider::discover(issuer, ca).await?;
    let tokens = match secret {
        Some(secret) => unattended::authorize(&provider, &request, secret, &args.subject).await?,
        None if args.device => device::authorize(&provider, &request).await?,
        None => browser::authorize(&provider, &request, args).await?,
    };
    check_nonce(&tokens, &request)?;
    let (iss, client_id) = (issuer.iss.clone(), Some(issuer.client_id.clone()));
    let refresh = tokens.refresh_token.map(|token| Refresh { iss, client_id, token });
    let idc =
        UnverifiedIdc { mode: IdcMode::Nonce, id_token: tokens.id_token, cic, refreshed: None };
    Ok(Session::new(idc, holder, refresh))
}

/// A token of the workload's platform, whose audience commits to the key.
async fn log_in_as_workload(ca: Option<&[u8]>, args: &LoginArgs) -> Result<Session, Failure> {
    let (holder, cic) = committed(args)?;
    let audience = audience_for(&cic);
    let id_token = match &args.token_command {
        Some(command) => workload::command(&audience, command).await?,
        None => workload::github_actions(&audience, ca).await?,
    };
    let idc = UnverifiedIdc { mode: IdcMode::Workload, id_token, cic, refreshed: None };
    Ok(Session::new(idc, holder, None))
}

/// A key that no token vouches for: it counts once the charter enrolls it for the account.
fn key_of(account: &ServiceAccountName, args: &LoginArgs) -> Result<Session, Failure> {
    let (holder, cic) = committed(args)?;
    let idc = UnverifiedIdc { mode: IdcMode::Key, id_token: String::new(), cic, refreshed: None };
    let mut session = Session::new(idc, holder, None);
    session.service_account = Some(account.clone());
    Ok(session)
}

/// The login's key, a new one or one of the SSH agent's, and the commitment to it.
fn committed(args: &LoginArgs) -> Result<(KeyHolder, String), Failure> {
    let random = SystemRandom::new();
    let holder = if let Some(named) = &args.ssh_agent {
        KeyHolder::SshAgent(ssh_agent::choose(named)?)
    } else {
        let document = Ed25519KeyPair::generate_pkcs8(&random)
            .map_err(|_| Failure::new("random", "the random source failed"))?;
        KeyHolder::File(Zeroizing::new(document.as_ref().to_vec()))
    };
    let cic = commitment(&holder.key()?, &random)?;
    Ok((holder, cic))
}

/// The client id of the device flow, which is never the one that signs everything.
fn device_client(issuer: &LoginIssuer, args: &LoginArgs) -> Result<String, Failure> {
    args.client_id.clone().or_else(|| issuer.device_client_id.clone()).ok_or_else(|| {
        Failure::new("login", "no client id of the device flow is known for this issuer")
            .with_remedy("name the one that the charter lists for it with --client-id")
    })
}

/// Refreshes a login whose newest token is about to end, if the provider lets it (DESIGN §3.1).
/// Whatever it can't do is left to `writ login`: the old token says for itself that it is stale.
pub(crate) async fn refresh(place: &Place, session: &mut Session) -> Result<bool, Failure> {
    let Some(refresh) = session.refresh.take() else { return Ok(false) };
    let mut issuer = place.issuer(Some(&refresh.iss))?;
    if let Some(client_id) = &refresh.client_id {
        issuer.client_id.clone_from(client_id);
    }
    let provider = Provider::discover(&issuer, place.ca()?.as_deref()).await?;
    let Some(tokens) = provider.refresh(&refresh.token).await? else { return Ok(true) };
    let token = tokens.refresh_token.unwrap_or_else(|| refresh.token.clone());
    session.refresh = Some(Refresh { token, ..refresh });
    if let Some(id_token) = tokens.id_token {
        session.idc.refreshed = Some(id_token);
    }
    Ok(true)
}

/// A provider that does not echo the nonce can't vouch for a key; better said here than by a jail.
fn check_nonce(tokens: &Tokens, request: &Request) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct Claims {
        nonce: Option<String>,
    }
    let claims: Claims = UnverifiedJws::parse(&tokens.id_token)
        .and_then(|token| token.peek())
        .map_err(|error| Failure::because("login", "the ID token is malformed", &error))?;
    if claims.nonce.as_deref() == Some(&request.nonce) {
        return Ok(());
    }
    Err(Failure::new("login", "the identity provider did not put our nonce into the ID token")
        .with_remedy("use the code flow of OpenID Connect; some providers forget the nonce in the device flow"))
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

/// What an issuer says of itself, as far as the charter is to know it.
pub(crate) struct Discovered {
    http: reqwest::Client,
    pub(crate) jwks_uri: url::Url,
    pub(crate) algorithms: Vec<String>,
}

impl Discovered {
    /// The issuer's keys as they are now.
    pub(crate) async fn keys(&self) -> Result<Vec<IssuerKey>, Failure> {
        let document = provider::get(&self.http, self.jwks_uri.clone()).await?;
        parse_jwks(&document).map_err(|error| Failure::because("issuer", "no keys", &error))
    }
}

/// Asks an issuer about itself.
pub(crate) async fn discover(
    issuer: &LoginIssuer,
    ca: Option<&[u8]>,
) -> Result<Discovered, Failure> {
    let http = provider::http_client(ca)?;
    let found = provider::discover(&http, issuer).await?;
    Ok(Discovered {
        http,
        jwks_uri: found.jwks_uri,
        algorithms: found.id_token_signing_alg_values_supported,
    })
}

/// Where an issuer's discovery document is (OpenID Connect Discovery §4).
fn discovery_url(issuer: &LoginIssuer) -> String {
    format!("{}/.well-known/openid-configuration", issuer.iss.trim_end_matches('/'))
}
