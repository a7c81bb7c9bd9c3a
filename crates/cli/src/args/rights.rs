//! What can be said about what bounds and extends rights: `writ role`, `policy`, `elevation`, `service-account`,
//! and the entitlements of `writ connection`.

use std::path::PathBuf;

use clap::Subcommand;
use writ_evidence::writ::Operation;
use writ_model::{ConnectionName, PolicyName, Role, RoleName, ServiceAccountName, WorkspaceName};

use super::tenant::operation;

/// `writ role`.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Make or replace a role; bindings write it `custom/NAME`.
    Set {
        /// Its name.
        name: RoleName,
        /// A right that it holds, as `docs/roles.md` spells it, such as `run.start`.
        #[arg(long = "right", required = true)]
        rights: Vec<String>,
    },
    /// Take a role away: bindings to it then give nothing.
    Remove {
        /// Its name.
        name: RoleName,
    },
    /// List the tenant's own roles and what each holds.
    List,
}

/// `writ policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Set a guardrail: Cedar policies that forbid, whatever roles permit.
    Set {
        /// Its name.
        name: PolicyName,
        /// A file of `forbid` policies, at most 4096 bytes; they are checked before anything is signed.
        file: PathBuf,
    },
    /// Take a guardrail away.
    Remove {
        /// Its name.
        name: PolicyName,
    },
    /// List guardrails, with what they say.
    List,
}

/// `writ elevation`.
#[derive(Debug, Subcommand)]
pub(crate) enum ElevationCommand {
    /// Give somebody else a role for a while. `writ binding remove` ends it early.
    Grant(ElevationArgs),
    /// List elevations that last.
    List,
}

/// One elevation.
#[derive(Debug, clap::Args)]
pub(crate) struct ElevationArgs {
    /// The subject at the identity provider.
    #[arg(long)]
    pub(crate) subject: String,
    /// The issuer; the tenant's only one unless given.
    #[arg(long)]
    pub(crate) issuer: Option<String>,
    /// The role.
    #[arg(long)]
    pub(crate) role: Role,
    /// The workspace; the whole tenant unless given.
    #[arg(long)]
    pub(crate) workspace: Option<WorkspaceName>,
    /// Minutes that it lasts, a day at most.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=1440))]
    pub(crate) minutes: u16,
}

/// `writ service-account`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceAccountCommand {
    /// Make or replace a service account: keys that stand for it without any identity provider.
    Set {
        /// Its name.
        name: ServiceAccountName,
        /// A file with a public key as JWK, as `writ login --service-account` prints it; give several while one
        /// replaces another.
        #[arg(long = "key", required = true, value_name = "FILE")]
        keys: Vec<PathBuf>,
        /// What its keys may sign for, such as `run.start`.
        #[arg(long = "operation", required = true, value_parser = operation)]
        operations: Vec<Operation>,
        /// Days for which the keys count; then somebody enrolls them again.
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=365))]
        days: u16,
    },
    /// Take a service account away: its keys count no more.
    Remove {
        /// Its name.
        name: ServiceAccountName,
    },
    /// List service accounts.
    List,
}

/// `writ connection entitle`.
#[derive(Debug, clap::Args)]
pub(crate) struct EntitleArgs {
    /// The connection, `workspace/name`.
    pub(crate) name: ConnectionName,
    /// JSON: a list of `{"principal": {"iss", "sub"}, "actions": […]}`. Whoever is not in it may nothing.
    #[arg(required_unless_present = "lift", conflicts_with = "lift")]
    pub(crate) file: Option<PathBuf>,
    /// Lift the bound: roles alone decide again.
    #[arg(long)]
    pub(crate) lift: bool,
}
