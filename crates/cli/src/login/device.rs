//! A login with a browser on another device (RFC 8628), for machines without one.
//!
//! Invariants: the nonce that commits to the key goes with the device authorization request, and a provider
//! that does not put it into the ID token vouches for nothing (`login`); what the provider wants shown is
//! shown without what a terminal would obey.
//!
//! Whoever is talked into confirming a code logs somebody else in (RFC 8628 §5.4). That is why the charter
//! names a client id of its own for this flow, and why its logins sign no charter changes.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use url::Url;
use zeroize::Zeroizing;

use super::{
    Request,
    provider::{Provider, Tokens, check_secure, refusal},
};
use crate::{failure::Failure, output};

/// How long a person may take, however long the provider would wait.
const PATIENCE_S: u64 = 15 * 60;
/// RFC 8628 §3.2: the interval where the provider names none.
const INTERVAL_S: u64 = 5;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

#[derive(Deserialize)]
struct Authorization {
    device_code: Zeroizing<String>,
    user_code: String,
    verification_uri: Url,
    expires_in: u64,
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Shows where to go with which code, and waits until somebody did.
pub(super) async fn authorize(provider: &Provider, request: &Request) -> Result<Tokens, Failure> {
    let asked = begin(provider, request).await?;
    let visible = |c: &char| c.is_ascii_graphic() || *c == ' ';
    let user_code: String = asked.user_code.chars().filter(visible).take(64).collect();
    output::say("on any device, open this address and enter the code:");
    output::say(asked.verification_uri.as_str());
    output::say(format!("code: {user_code}"));
    let until = Instant::now() + Duration::from_secs(asked.expires_in.min(PATIENCE_S));
    let mut interval_s = asked.interval.unwrap_or(INTERVAL_S).clamp(1, 60);
    while Instant::now() < until {
        sleep(Duration::from_secs(interval_s)).await;
        let form = [
            ("grant_type", GRANT),
            ("device_code", &asked.device_code),
            ("client_id", provider.issuer.client_id.as_str()),
        ];
        let (status, body) = provider.post(&form).await?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body)
                .map_err(|_| Failure::new("login", "the identity provider sent no ID token"));
        }
        let error = serde_json::from_slice(&body).map(|refused: Refused| refused.error);
        match error.as_deref() {
            Ok("authorization_pending") => {}
            Ok("slow_down") => interval_s = interval_s.saturating_add(5),
            _ => return Err(Failure::new("login", refusal(status, &body))),
        }
    }
    Err(Failure::new("login", "nobody confirmed the code in time"))
}

/// RFC 8628 §3.1, with OpenID Connect's `nonce`.
async fn begin(provider: &Provider, request: &Request) -> Result<Authorization, Failure> {
    let endpoint = provider.device_endpoint().ok_or_else(|| {
        Failure::new("login", "the identity provider offers no device flow")
            .with_remedy("log in with a browser here: `writ login`")
    })?;
    check_secure(&endpoint)?;
    let scope = provider.scope();
    let max_age = request.max_age.map(|max_age| max_age.to_string());
    let mut form = vec![
        ("client_id", provider.issuer.client_id.as_str()),
        ("scope", scope.as_str()),
        ("nonce", request.nonce.as_str()),
    ];
    form.extend(request.acr_values.as_deref().map(|values| ("acr_values", values)));
    form.extend(max_age.as_deref().map(|max_age| ("max_age", max_age)));
    let (status, body) = provider.post_to(endpoint, &form).await?;
    if status != StatusCode::OK {
        return Err(Failure::new("login", refusal(status, &body)));
    }
    let asked: Authorization = serde_json::from_slice(&body)
        .map_err(|_| Failure::new("login", "the identity provider's answer is malformed"))?;
    check_secure(&asked.verification_uri)?;
    Ok(asked)
}
