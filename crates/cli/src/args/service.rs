//! What can be said to the services: control plane, gateway, runner, development identity provider.

use std::path::PathBuf;

use writ_model::{Cidr, TenantId};

/// How a service listens: with TLS, or in plaintext on loopback.
#[derive(Debug, clap::Args)]
pub(crate) struct TransportArgs {
    /// PEM of the certificate, followed by those of its issuers.
    #[arg(long, requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// PEM of the certificate's private key; mode 0600.
    #[arg(long, requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Listen in plaintext off loopback, because a proxy of yours ends TLS.
    #[arg(long, conflicts_with = "tls_certificate")]
    pub(crate) behind_proxy: bool,
}

/// `writ config`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether a file configures services, and which; nothing is started.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print a file with every key in it, each with what it says.
    Example,
}

/// `writ server`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// Take options that are not given here from this file (`writ config example`).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the tenants' databases.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Address to listen on.
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
    /// The origin that clients use.
    #[arg(long)]
    pub(crate) public_url: String,
    /// How it listens.
    #[command(flatten)]
    pub(crate) transport: TransportArgs,
    /// An otherwise refused address range in which identity providers may be asked for their keys.
    #[arg(long = "issuer-cidr")]
    pub(crate) issuer_cidrs: Vec<Cidr>,
}

/// `writ gateway`.
#[derive(Debug, clap::Args)]
pub(crate) struct GatewayArgs {
    /// Take options that are not given here from this file (`writ config example`).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to start from, as `writ init` wrote it: tenant and origins.
    #[arg(long)]
    pub(crate) join: Option<PathBuf>,
    /// The tenant: the trust anchor.
    #[arg(long, required_unless_present = "join", conflicts_with = "join")]
    pub(crate) tenant: Option<TenantId>,
    /// Address for readers.
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
    /// The origin that readers use.
    #[arg(long, required_unless_present = "join", conflicts_with = "join")]
    pub(crate) public_url: Option<String>,
    /// Address for the runner.
    #[arg(long)]
    pub(crate) link_listen: std::net::SocketAddr,
    /// The origin that the runner uses.
    #[arg(long, required_unless_present = "join", conflicts_with = "join")]
    pub(crate) link_url: Option<String>,
    /// How it listens.
    #[command(flatten)]
    pub(crate) transport: TransportArgs,
}

/// `writ runner`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunnerArgs {
    /// Take options that are not given here from this file (`writ config example`).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Make the keys, write the enrollment request to this file, and end.
    #[arg(long, conflicts_with_all = ["join", "tenant"])]
    pub(crate) enroll: Option<PathBuf>,
    /// Enroll under another id and with other keys: for a runner whose jail's state is lost or has stopped.
    #[arg(long, requires = "enroll")]
    pub(crate) anew: bool,
    /// What to start from, as `writ init` wrote it: tenant, head and origins.
    #[arg(long)]
    pub(crate) join: Option<PathBuf>,
    /// The tenant: the trust anchor.
    #[arg(long, required_unless_present_any = ["join", "enroll"], conflicts_with = "join")]
    pub(crate) tenant: Option<TenantId>,
    /// Folder of its keys and journal.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// The control plane's origin.
    #[arg(long, required_unless_present_any = ["join", "enroll"], conflicts_with = "join")]
    pub(crate) server_url: Option<String>,
    /// The gateway's link origin.
    #[arg(long)]
    pub(crate) gateway_url: Option<String>,
    /// The socket of a jail that a service manager starts as a user of its own.
    #[arg(long, requires = "jail_user")]
    pub(crate) jail_socket: Option<PathBuf>,
    /// The user that must answer at the jail's socket, by number or by name.
    #[arg(long, requires = "jail_socket")]
    pub(crate) jail_user: Option<String>,
    /// The `local:` vault, if this process starts the jail.
    #[arg(long, required_unless_present = "jail_socket", conflicts_with = "jail_socket")]
    pub(crate) vault: Option<PathBuf>,
    /// The vault's key file, if this process starts the jail.
    #[arg(long, required_unless_present = "jail_socket", conflicts_with = "jail_socket")]
    pub(crate) vault_key: Option<PathBuf>,
    /// Secret managers beside `local:`: a JSON file, as the documentation shows it.
    #[arg(long, conflicts_with = "jail_socket")]
    pub(crate) secret_managers: Option<PathBuf>,
    /// Folder of the jail's own state, if this process starts the jail.
    #[arg(long, required_unless_present = "jail_socket", conflicts_with = "jail_socket")]
    pub(crate) jail_state: Option<PathBuf>,
    /// Start although this machine can't confine everything; for development.
    #[arg(long, value_parser = ["degraded"], conflicts_with = "jail_socket")]
    pub(crate) isolation: Option<String>,
}

/// The development identity provider.
#[derive(Debug, clap::Args)]
pub(crate) struct DevIdpArgs {
    /// Folder of its key and its login secret.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Address to listen on; loopback only.
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
    /// Its issuer identifier.
    #[arg(long)]
    pub(crate) issuer: String,
}
