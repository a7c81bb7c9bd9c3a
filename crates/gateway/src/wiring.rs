//! What exists in a gateway: two listeners, one for readers, one for the runner. No logic.

use std::{io, sync::Arc};

use writ_api::Listening;
use writ_model::TenantId;
use writ_policy::Policies;

use crate::{flow::Reads, http};

/// How a gateway is set up.
pub struct Config {
    /// The tenant that it serves: the trust anchor.
    pub ten: TenantId,
    /// The origin under which runners reach the link; their proofs name it.
    pub link_url: String,
    /// The origin under which readers reach outputs; their proofs name it, the jail checks it.
    pub public_url: String,
}

/// Why a gateway does not serve.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The built-in policies are not valid.
    #[error("the built-in policies are not valid")]
    Policies(#[source] writ_policy::PolicyError),
    /// Serving failed.
    #[error("cannot serve")]
    Serve(#[source] io::Error),
}

/// Serves readers on `public` and the runner on `link` until `stop` resolves.
///
/// # Errors
///
/// [`GatewayError`].
pub async fn serve(
    config: Config,
    public: Listening,
    link: Listening,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), GatewayError> {
    let policies = Policies::built_in().map_err(GatewayError::Policies)?;
    let reads = Arc::new(Reads::new(config.ten, policies));
    let public_routes = http::public_routes(Arc::clone(&reads), config.public_url);
    let link_routes = http::link_routes(reads, config.link_url);
    let (tell, told) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        stop.await;
        tell.send_replace(true);
    });
    let stopped = |mut told: tokio::sync::watch::Receiver<bool>| async move {
        // A sender that is gone has stopped, too.
        let _ = told.wait_for(|told| *told).await;
    };
    let public = axum::serve(public, public_routes).with_graceful_shutdown(stopped(told.clone()));
    let link = axum::serve(link, link_routes).with_graceful_shutdown(stopped(told));
    tokio::try_join!(async { public.await }, async { link.await })
        .map(drop)
        .map_err(GatewayError::Serve)
}
