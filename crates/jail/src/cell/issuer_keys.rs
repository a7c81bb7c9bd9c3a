//! Fetches an issuer's JWK set: from the host that the charter names, over the cell's own TLS.
//!
//! In: the endpoint. Out: the keys that can verify ID tokens, or a code. No credential is involved,
//! and neither the runner nor the control plane has a say in what the keys are (DESIGN §3.1).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::RootCertStore;
use writ_confine::Channel;
use writ_evidence::issuer::parse_jwks;
use writ_jail_link::IssuerKeysOrder;

use super::{Failed, egress, exchange};

/// Longest JWK set, in bytes.
const JWKS_MAX: usize = 256 * 1024;

/// Fetches and reads the set.
pub(super) fn fetch(
    order: &IssuerKeysOrder,
    broker: &Channel,
    roots: Arc<RootCertStore>,
) -> Result<serde_json::Value, Failed> {
    let endpoint = &order.endpoint;
    let deadline = Instant::now() + Duration::from_secs(u64::from(order.timeout_s));
    let socket = egress::connect(broker, &endpoint.host, &endpoint.allow_cidrs, deadline)?;
    let document = exchange::Document {
        host: &endpoint.host,
        target: &endpoint.path,
        longest: JWKS_MAX,
        deadline,
    };
    let body = exchange::get(socket, &document, roots)?;
    let unusable = Failed::new("issuer-keys-unusable");
    let keys = parse_jwks(&body).map_err(|_| unusable)?;
    serde_json::to_value(keys).map_err(|_| unusable)
}
