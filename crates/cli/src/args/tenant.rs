//! What can be said about tenants and whom they believe: `writ init`, `writ tenant`, `writ issuer`.

use std::path::PathBuf;

use clap::Subcommand;
use writ_evidence::writ::Operation;
use writ_model::Cidr;

use super::RootSigning;

/// `writ issuer`.
#[derive(Debug, Subcommand)]
pub(crate) enum IssuerCommand {
    /// Make or replace an identity provider of the tenant; root keys sign it.
    Set(Box<IssuerSetArgs>),
    /// List the tenant's identity providers.
    List,
}

/// `writ issuer set`.
#[derive(Debug, clap::Args)]
pub(crate) struct IssuerSetArgs {
    /// The issuer.
    #[command(flatten)]
    pub(crate) issuer: IssuerArgs,
    /// How it is signed.
    #[command(flatten)]
    pub(crate) signing: RootSigning,
    /// A workload that it vouches for: JSON of `name`, `claims` and `operations` in a file. An issuer of
    /// workloads alone has no client id.
    #[arg(long = "workload", value_name = "FILE")]
    pub(crate) workloads: Vec<PathBuf>,
}

/// An identity provider, as it is asked and believed.
#[derive(Debug, clap::Args)]
pub(crate) struct IssuerArgs {
    /// The issuer identifier, exactly as its discovery document spells it.
    pub(crate) issuer: String,
    /// The client id of this command at it: a public client with code flow, PKCE and a loopback redirect.
    #[arg(long)]
    pub(crate) client_id: Option<String>,
    /// Its client id of the device flow, if logins with a browser elsewhere are allowed. They sign no
    /// charter changes.
    #[arg(long)]
    pub(crate) device_client_id: Option<String>,
    /// An algorithm that its ID tokens may be signed with; those it supports and Writ takes unless given.
    #[arg(long = "algorithm")]
    pub(crate) algorithms: Vec<String>,
    /// The claim that names a person.
    #[arg(long, default_value = "sub")]
    pub(crate) subject_claim: String,
    /// The claim that lists a person's groups, if bindings to groups are to count.
    #[arg(long)]
    pub(crate) groups_claim: Option<String>,
    /// A claim that every ID token of it holds with exactly this text, `NAME=VALUE`: whose token it is where
    /// it serves many customers, such as Google's `hd` or Entra's `tid`.
    #[arg(long = "pin-claim", value_name = "NAME=VALUE", value_parser = named)]
    pub(crate) pinned_claims: Vec<(String, String)>,
    /// An authentication context class (`acr`), of which a login has one before it signs.
    #[arg(long = "require-acr", value_name = "ACR")]
    pub(crate) require_acr: Vec<String>,
    /// An authentication method (`amr`, RFC 8176) that a login used before it signs; all of those named.
    #[arg(long = "require-amr", value_name = "AMR")]
    pub(crate) require_amr: Vec<String>,
    /// Seconds since the provider last saw the person, for a login to sign.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) require_auth_age: Option<u64>,
    /// An operation that `--require-acr`, `--require-amr` and `--require-auth-age` are for, such as
    /// `charter.append`; every operation unless given.
    #[arg(long = "require-for", value_name = "OPERATION", value_parser = operation)]
    pub(crate) require_for: Vec<Operation>,
    /// A scope to ask for at login beside `openid`.
    #[arg(long = "scope")]
    pub(crate) scopes: Vec<String>,
    /// The loopback port for its answer, if it knows one exact redirect.
    #[arg(long, default_value_t = 0)]
    pub(crate) callback_port: u16,
    /// An otherwise refused address range from which its keys may be fetched.
    #[arg(long = "allow-cidr")]
    pub(crate) allow_cidrs: Vec<Cidr>,
    /// Sign its keys as they are now, instead of where they are served: for a runner that can't
    /// reach it. When the issuer rotates them, root keys sign again.
    #[arg(long)]
    pub(crate) pin_keys: bool,
    /// Sign the keys of a JWK set in a file, and ask the issuer nothing: for one that only its own network
    /// reaches, such as a Kubernetes API server.
    #[arg(long, value_name = "FILE", conflicts_with = "pin_keys", requires = "algorithms")]
    pub(crate) keys_file: Option<PathBuf>,
}

/// `writ init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The first identity provider.
    #[command(flatten)]
    pub(crate) issuer: IssuerArgs,
    /// The enrollment request that `writ runner --enroll` wrote on the runner's machine.
    #[arg(long)]
    pub(crate) enrollment: PathBuf,
    /// The control plane's origin, as runners and people reach it.
    #[arg(long)]
    pub(crate) server_url: String,
    /// The gateway's origin, as people reach it.
    #[arg(long)]
    pub(crate) gateway_url: String,
    /// The gateway's origin, as the runner reaches it.
    #[arg(long)]
    pub(crate) link_url: String,
    /// An owner's subject at the issuer; unless given, whoever logs in now is the first owner.
    #[arg(long = "owner")]
    pub(crate) owners: Vec<String>,
    /// How many root keys to make.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) roots: u8,
    /// How many of them sign a root-class change.
    #[arg(long, default_value_t = 1)]
    pub(crate) threshold: u8,
    /// PEM of a private CA that servers and the issuer may be certified by.
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
    /// Only print the address of the login; open no browser.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// The folder to make.
    #[arg(long, default_value = "writ-init")]
    pub(crate) out: PathBuf,
}

/// `writ tenant`.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Make a tenant's database from charter entry 0, on the control plane's machine.
    Found {
        /// Folder of the tenants' databases.
        #[arg(long)]
        data: PathBuf,
        /// `entry-0.json`, as `writ init` wrote it.
        entry: PathBuf,
    },
}

/// `NAME=VALUE`.
fn named(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("it has the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// An operation, as writs spell it.
pub(super) fn operation(text: &str) -> Result<Operation, &'static str> {
    let spelled = serde_json::Value::from(text);
    serde_json::from_value(spelled).map_err(|_| "it is not an operation that a writ orders")
}
