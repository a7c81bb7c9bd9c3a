//! What can be said about logging in: `writ login`, `writ sessions`.

use clap::Subcommand;
use writ_model::{Digest, ServiceAccountName};

/// `writ login`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct LoginArgs {
    /// The issuer to log in at; the folder's first unless given.
    #[arg(long)]
    pub(crate) issuer: Option<String>,
    /// Who to log in as, at the development identity provider only.
    #[arg(long = "as", default_value = "owner", value_name = "SUBJECT")]
    pub(crate) subject: String,
    /// Only print the address; open no browser.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// The loopback port that the provider sends its answer to, where it knows one exact redirect.
    #[arg(long)]
    pub(crate) callback_port: Option<u16>,
    /// An authentication context class to ask the provider for, where the charter asks for one.
    #[arg(long)]
    pub(crate) acr: Vec<String>,
    /// Ask the provider to see the person again if it last did longer ago than this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_age: Option<u64>,
    /// Log in with a browser on another device (RFC 8628). Such a login signs no charter changes.
    #[arg(long, group = "how")]
    pub(crate) device: bool,
    /// The client id of the device flow, if the folder does not know it.
    #[arg(long, requires = "device")]
    pub(crate) client_id: Option<String>,
    /// Log in as the GitHub Actions job that this runs in.
    #[arg(long, group = "how")]
    pub(crate) github_actions: bool,
    /// Log in as a workload: a shell command that prints a token for the audience in `WRIT_AUDIENCE`.
    #[arg(long, group = "how", value_name = "COMMAND")]
    pub(crate) token_command: Option<String>,
    /// Make the key of a service account, and print it as JWK: `writ service-account set` enrolls it.
    #[arg(long, group = "how", value_name = "NAME")]
    pub(crate) service_account: Option<ServiceAccountName>,
    /// Sign with an Ed25519 key of the SSH agent instead of a new key in a file; its comment or
    /// fingerprint, if the agent holds several.
    #[arg(long, value_name = "KEY", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) ssh_agent: Option<String>,
}

impl LoginArgs {
    /// A login at the development identity provider.
    pub(crate) fn development(subject: &str) -> Self {
        Self { subject: subject.to_owned(), no_browser: true, ..Self::default() }
    }
}

/// `writ sessions`.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List sessions as the control plane has seen them: yours; with the right to revoke them, everybody's.
    List,
    /// End a session before its time: with every runner, and at the control plane. What runs already goes on (`writ
    /// suspend` stops that).
    Revoke {
        /// The session: the digest of its credential, as `list` and `writ whoami` print it.
        digest: Digest,
    },
    /// List the logins that this folder keeps, and where their keys are.
    Here,
}

/// `writ logout`.
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    /// Only forget it here; whoever has copied its key can go on using it for as long as the login lives.
    #[arg(long)]
    pub(crate) local: bool,
}
