//! What exists in a control plane: data folder → tenants → routes → listener. No logic.

use std::{io, path::PathBuf, sync::Arc};

use writ_api::Listening;
use writ_evidence::charter::{FoldError, UnverifiedEntry};
use writ_model::{Cidr, TenantId};
use writ_policy::Policies;

use crate::{
    http::{self, App},
    store::StoreError,
    tenant::{OpenError, Tenant},
};

/// How a control plane is set up.
pub struct Config {
    /// Folder of the tenants' databases, one file each.
    pub data: PathBuf,
    /// The origin that clients use, such as `http://127.0.0.1:7410`; request proofs name it.
    pub public_url: String,
    /// Otherwise refused address ranges in which identity providers may be asked for their keys.
    pub issuer_cidrs: Vec<Cidr>,
}

/// Why a control plane does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder can't be read.
    #[error("cannot read the data folder `{}`", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A tenant's database can't be opened.
    #[error("cannot open the tenant database `{}`", path.display())]
    Tenant {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// Entry 0 is not one.
    #[error("charter entry 0 is refused")]
    Genesis(#[source] FoldError),
    /// The new tenant could not be stored.
    #[error("cannot store the tenant")]
    Store(#[source] StoreError),
    /// The built-in policies are not valid.
    #[error("the built-in policies are not valid")]
    Policies(#[source] writ_policy::PolicyError),
    /// Serving failed.
    #[error("cannot serve")]
    Serve(#[source] io::Error),
}

impl ServeError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Tenant { source: OpenError::Store(StoreError::Schema(error)), .. }
            | Self::Store(StoreError::Schema(error)) => error.code(),
            _ => "server",
        }
    }
}

/// Makes a tenant's database from its charter entry 0; the same again is harmless.
///
/// # Errors
///
/// [`ServeError`]: entry 0 is refused, or the file can't be written.
pub fn found_tenant(config: &Config, entry: &UnverifiedEntry) -> Result<TenantId, ServeError> {
    std::fs::create_dir_all(&config.data)
        .map_err(|source| ServeError::Data { path: config.data.clone(), source })?;
    let ten = TenantId(entry.digest());
    writ_evidence::charter::CharterState::found(entry, ten).map_err(ServeError::Genesis)?;
    let name = ten.to_string().replace("sha256:", "");
    let path = config.data.join(format!("{name}.db"));
    crate::store::Store::open(&path)
        .and_then(|store| store.found(entry, crate::clock::now()))
        .map_err(ServeError::Store)?;
    Ok(ten)
}

/// Serves every tenant of the data folder until `stop` resolves.
///
/// # Errors
///
/// [`ServeError`].
pub async fn serve(
    config: Config,
    listener: Listening,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let policies = Arc::new(Policies::built_in().map_err(ServeError::Policies)?);
    let mut tenants = std::collections::BTreeMap::new();
    for path in databases(&config.data)? {
        let tenant = Tenant::open(&path, Arc::clone(&policies))
            .map_err(|source| ServeError::Tenant { path, source })?;
        tracing::info!(tenant.id = %tenant.id(), "serving tenant");
        tenants.insert(tenant.id(), Arc::new(tenant));
    }
    let Config { public_url, issuer_cidrs, .. } = config;
    let app = Arc::new(App { tenants, public_url, issuer_cidrs });
    axum::serve(listener, http::routes(app))
        .with_graceful_shutdown(stop)
        .await
        .map_err(ServeError::Serve)
}

fn databases(data: &std::path::Path) -> Result<Vec<PathBuf>, ServeError> {
    let failed = |source| ServeError::Data { path: data.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(data).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "db") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
