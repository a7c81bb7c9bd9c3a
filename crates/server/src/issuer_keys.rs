//! Signing keys of identity providers, for the control plane's own quick *no*.
//!
//! The jail fetches for itself and believes nothing from here. In: a credential and the charter's
//! issuers. Out: keys in memory, by issuer.
//!
//! Invariants: an issuer is asked at most once in [`PATIENCE`]; only addresses that are public, or that
//! this server's operator allows, are asked (a tenant's charter says where its keys are, and must
//! not make this server reach into its own network); no redirect, no proxy, bounded size and time.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use writ_evidence::{
    idc::UnverifiedIdc,
    issuer::{FetchedKeys, Issuer, IssuerKey, JwksEndpoint, parse_jwks},
};
use writ_model::{Cidr, address_allowed};

/// Between two questions to one issuer.
const PATIENCE: Duration = Duration::from_secs(15);
/// After which keys are fetched again although every `kid` is known.
const REFETCH_AFTER: Duration = Duration::from_hours(1);
/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest JWK set, in bytes.
const JWKS_MAX: usize = 256 * 1024;

/// What is known of one tenant's issuers.
#[derive(Default)]
pub(crate) struct IssuerKeys {
    fetched: RwLock<Arc<FetchedKeys>>,
    asked: Mutex<BTreeMap<String, Asked>>,
}

#[derive(Clone, Copy)]
struct Asked {
    at: Instant,
    learned: Option<Instant>,
}

/// Why keys were not fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the host resolves to no address that this server may reach")]
    Address,
    #[error("the issuer could not be asked")]
    Http(#[source] reqwest::Error),
    #[error("the issuer answered {0}")]
    Status(u16),
    #[error("the issuer's key set is too long or holds no usable key")]
    Unusable,
}

impl IssuerKeys {
    /// The keys as they are now.
    pub(crate) fn fetched(&self) -> Arc<FetchedKeys> {
        Arc::clone(&self.fetched.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fetches what a credential needs, if it is not known.
    pub(crate) async fn learn(&self, issuers: &[Issuer], idc: &UnverifiedIdc, allowed: &[Cidr]) {
        let Some((issuer, endpoint)) = self.to_ask(issuers, idc) else { return };
        match fetch(endpoint, allowed).await {
            Ok(keys) => self.replace(&issuer.iss, keys),
            Err(error) => {
                let error = super::http::problem_of(502, "issuer-keys", &error).detail;
                tracing::warn!(issuer = issuer.iss, error, "issuer's keys not fetched");
            }
        }
    }

    fn to_ask<'a>(
        &self,
        issuers: &'a [Issuer],
        idc: &UnverifiedIdc,
    ) -> Option<(&'a Issuer, &'a JwksEndpoint)> {
        let (iss, kids) = idc.asks_for()?;
        let issuer = issuers.iter().find(|issuer| issuer.iss == iss)?;
        let endpoint = issuer.jwks.as_ref()?;
        let known = kids.iter().all(|kid| issuer.knows(kid, &self.fetched()));
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let before = asked.get(&iss).copied();
        let learned = before.and_then(|asked| asked.learned);
        let stale = learned.is_some_and(|learned| now - learned > REFETCH_AFTER);
        let patient = before.is_none_or(|asked| now - asked.at >= PATIENCE);
        if (known && !stale) || !patient {
            return None;
        }
        asked.insert(iss, Asked { at: now, learned });
        Some((issuer, endpoint))
    }

    fn replace(&self, iss: &str, keys: Vec<IssuerKey>) {
        let mut next = (*self.fetched()).clone();
        next.replace(iss, keys);
        *self.fetched.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = asked.get_mut(iss) {
            asked.learned = Some(Instant::now());
        }
    }
}

async fn fetch(endpoint: &JwksEndpoint, allowed: &[Cidr]) -> Result<Vec<IssuerKey>, FetchError> {
    let host = &endpoint.host;
    let found = tokio::net::lookup_host((host.host.as_str(), host.port));
    let addresses: Vec<SocketAddr> = found
        .await
        .map_err(|_| FetchError::Address)?
        .filter(|address| address_allowed(address.ip(), allowed))
        .collect();
    if addresses.is_empty() {
        return Err(FetchError::Address);
    }
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .resolve_to_addrs(&host.host, &addresses)
        .build()
        .map_err(FetchError::Http)?;
    let scheme = if host.plaintext { "http" } else { "https" };
    let name = if host.host.contains(':') { format!("[{}]", host.host) } else { host.host.clone() };
    let url = format!("{scheme}://{name}:{}{}", host.port, endpoint.path);
    let mut answer = client.get(url).send().await.map_err(FetchError::Http)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status(answer.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(FetchError::Http)? {
        body.extend_from_slice(&chunk);
        if body.len() > JWKS_MAX {
            return Err(FetchError::Unusable);
        }
    }
    parse_jwks(&body).map_err(|_| FetchError::Unusable)
}
