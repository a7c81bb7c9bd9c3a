//! A cell's verification of a webhook: one secret is opened, one delivery is looked at, a verdict leaves.
//!
//! Not here: what each scheme signs (`webhook`), which delivery was seen before (the jail).

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use writ_jail_link::{DeliveryVerdict, WebhookOrder};

use super::{
    Failed,
    credential::{self, Network},
    webhook::{UnverifiedDelivery, verify},
};
use crate::{secret_memory::SecretBytes, vault::Sources};

/// Verifies one delivery.
pub(super) fn serve(
    order: &WebhookOrder,
    broker: &writ_confine::Channel,
    sources: Sources,
    roots: &std::sync::Arc<rustls::RootCertStore>,
) -> Result<DeliveryVerdict, Failed> {
    let deadline = Instant::now() + Duration::from_secs(u64::from(order.timeout_s));
    let network = Network { broker, roots: std::sync::Arc::clone(roots), deadline };
    let malformed = || Failed::new("cell-malformed");
    let body = URL_SAFE_NO_PAD.decode(&order.delivery.body).map_err(|_| malformed())?;
    let headers: Vec<(&str, &[u8])> = order
        .delivery
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let secret = match &order.secret {
        None => {
            drop(sources);
            None
        }
        Some(reference) => Some(credential::resolve_any(reference, sources, &network)?.credential),
    };
    let secrets: Vec<&[u8]> = secret.iter().map(SecretBytes::expose).collect();
    let delivery = UnverifiedDelivery { headers: &headers, body: &body };
    Ok(match verify(&order.verifier, &secrets, &delivery, order.now) {
        Ok(verified) => DeliveryVerdict::Verified {
            id: verified.id(),
            remember_until: verified.remember_until(),
        },
        Err(error) => {
            DeliveryVerdict::Refused { code: error.code().to_owned(), reason: error.to_string() }
        }
    })
}
