//! Everything that can be said to `writ`.

mod charter;
mod login;
mod rights;
mod service;
mod standing;
mod tenant;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub(crate) use charter::{
    CharterCommand, CharterPoint, GroupCommand, RootCommand, RootSigning, RunnersCommand,
    SuspendArgs, WitnessCommand,
};
pub(crate) use login::{LoginArgs, LogoutArgs, SessionsCommand};
pub(crate) use rights::{
    ElevationArgs, ElevationCommand, EntitleArgs, PolicyCommand, RoleCommand, ServiceAccountCommand,
};
pub(crate) use service::{
    ConfigCommand, DevIdpArgs, GatewayArgs, RunnerArgs, ServerArgs, TransportArgs,
};
pub(crate) use standing::{Missed, Scheme, StandingCommand, StandingSetArgs};
pub(crate) use tenant::{InitArgs, IssuerArgs, IssuerCommand, IssuerSetArgs, TenantCommand};
use writ_model::{
    AutomationName, Cidr, ConnectionName, Digest, GroupName, PackName, Role, RunId, RunnerGroupId,
    SecretRef, TenantId, WorkspaceName,
};

/// Security automation that asks for minimal trust.
///
/// Start with `writ dev` in an empty folder; it says what to do next.
#[derive(Debug, Parser)]
#[command(name = "writ", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Print data as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The login to act with, by the name it was given at `writ login`.
    #[arg(long, global = true, env = "WRIT_SESSION", default_value = "default")]
    pub(crate) session: String,
    /// The runner group that orders are for; the tenant's only one unless given (`writ runners list`).
    #[arg(long, global = true, env = "WRIT_RUNNER_GROUP")]
    pub(crate) runner_group: Option<RunnerGroupId>,
    /// Without the control plane: read the charter from the gateway and hand changes to it. The control plane is told
    /// afterwards, and by the runner. For an outage, or a control plane that holds things back.
    #[arg(long, global = true)]
    pub(crate) push: bool,
    /// A gateway's second origin, for `--push` and `writ charter push`; the folder's unless given. As many as are
    /// told, the one of a witness first.
    #[arg(long = "gateway", global = true, value_name = "URL")]
    pub(crate) gateways: Vec<String>,
    /// How log lines are written to standard error; `WRIT_LOG` says which (`info`, `writ_runner=debug`).
    #[arg(long, global = true, env = "WRIT_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const EXIT_CODES: &str = "Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 the run \
faulted or was refused; 4 not logged in; 5 something could not be reached.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: control plane, gateway, runner, identity provider.
    Dev(DevArgs),
    /// Found a tenant: root keys, first issuer, entry 0, and what each machine is given.
    Init(Box<InitArgs>),
    /// Take an invitation: this folder then belongs to its tenant.
    Join {
        /// `invitation.json`, as `writ init` wrote it.
        invitation: PathBuf,
    },
    /// Tenants of a control plane.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Log in: make a key and let the identity provider vouch for it.
    Login(LoginArgs),
    /// Forget the login and its key, and revoke its session where it still counts.
    Logout(LogoutArgs),
    /// Say who is logged in, and until when.
    Whoami,
    /// Sessions: logins that count until they end, or are revoked.
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Identity providers that the tenant believes.
    #[command(subcommand)]
    Issuer(IssuerCommand),
    /// Root keys: what only they may sign is signed off line if need be.
    #[command(subcommand)]
    Root(RootCommand),
    /// Witnesses: whose jails see changes fresh.
    #[command(subcommand)]
    Witness(WitnessCommand),
    /// Runners: what the charter enrolls.
    #[command(subcommand)]
    Runners(RunnersCommand),
    /// Groups of people that the charter lists.
    #[command(subcommand)]
    Group(GroupCommand),
    /// The kill switch: stop somebody or something, now.
    Suspend(Box<SuspendArgs>),
    /// Take a suspension back.
    Restore(Box<SuspendArgs>),
    /// Workspaces: where rights are granted.
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
    /// Bindings: who holds which role where.
    #[command(subcommand)]
    Binding(BindingCommand),
    /// Roles of the tenant's own, beside the built-in ones.
    #[command(subcommand)]
    Role(RoleCommand),
    /// Guardrails: what is forbidden, or takes approval, whatever roles permit.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Elevations: a role for a while.
    #[command(subcommand)]
    Elevation(ElevationCommand),
    /// Service accounts: keys that stand for something that has no identity provider.
    #[command(subcommand)]
    ServiceAccount(ServiceAccountCommand),
    /// Connections: where a credential may go. Never the credential.
    #[command(subcommand)]
    Connection(ConnectionCommand),
    /// Secrets in the `local:` vault of this machine.
    Secret(SecretArgs),
    /// Action packs: what services can be asked.
    #[command(subcommand)]
    Pack(PackCommand),
    /// Automations: Serverless Workflow documents.
    #[command(subcommand)]
    Automation(AutomationCommand),
    /// Start a run, or say how a suspended one goes on.
    #[command(subcommand)]
    Run(RunCommand),
    /// Look at runs.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Standing writs: what a schedule or a webhook starts, within bounds, until a date.
    #[command(subcommand)]
    Standing(StandingCommand),
    /// See what waits for you, or answer what a run asks.
    Approve(ApproveArgs),
    /// The charter: everything that grants authority, signed.
    #[command(subcommand)]
    Charter(CharterCommand),
    /// The audit log, and the proof that it is whole.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Configuration files of the services.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Say what a code means and what to do about it; without a code, list all of them.
    Explain {
        /// The code, as `error[CODE]` prints it.
        code: Option<String>,
    },
    /// Say what this machine can confine, and how to mend what it can't.
    Doctor,
    /// Run the control plane.
    Server(ServerArgs),
    /// Run the gateway.
    Gateway(GatewayArgs),
    /// Run the runner, with its jail.
    Runner(RunnerArgs),
    /// Run the development identity provider.
    #[command(hide = true)]
    DevIdp(DevIdpArgs),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether the command serves rather than answers.
    pub(crate) const fn is_service(&self) -> bool {
        matches!(self, Self::Server(_) | Self::Gateway(_) | Self::Runner(_) | Self::DevIdp(_))
    }
}

/// `writ dev`.
#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {
    /// Where everything is kept; found upwards by every other command.
    #[arg(long, default_value = ".writ")]
    pub(crate) folder: PathBuf,
    /// Start although this machine can't confine everything. Said at every start and written in
    /// every receipt; never for real credentials.
    #[arg(long, value_parser = ["degraded"])]
    pub(crate) isolation: Option<String>,
}

/// `writ workspace`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// Make or replace a workspace.
    Set {
        /// Its name.
        name: WorkspaceName,
        /// A secret reference that its connections may name, such as `local:github/*`.
        #[arg(long = "secret-path")]
        secret_paths: Vec<String>,
    },
    /// List workspaces.
    List,
}

/// `writ binding`.
#[derive(Debug, Subcommand)]
pub(crate) enum BindingCommand {
    /// Give somebody a role.
    Add(BindingArgs),
    /// Take a role away.
    Remove(BindingArgs),
    /// List who holds which role where.
    List,
}

/// One binding.
#[derive(Debug, clap::Args)]
pub(crate) struct BindingArgs {
    /// The subject at the identity provider.
    #[arg(long, required_unless_present_any = ["group", "charter_group"], conflicts_with = "group")]
    pub(crate) subject: Option<String>,
    /// A group, as the issuer's ID tokens name it: everybody in it, while their token says so.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// A group that the charter lists, as `writ group set` made it.
    #[arg(long, conflicts_with_all = ["subject", "group"])]
    pub(crate) charter_group: Option<GroupName>,
    /// The issuer; the tenant's only one unless given.
    #[arg(long)]
    pub(crate) issuer: Option<String>,
    /// The role.
    #[arg(long)]
    pub(crate) role: Role,
    /// The workspace; the whole tenant unless given.
    #[arg(long)]
    pub(crate) workspace: Option<WorkspaceName>,
}

/// `writ connection`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionCommand {
    /// Make or replace a connection.
    Set(Box<ConnectionArgs>),
    /// List connections.
    List,
    /// Say what people may do in the service itself: nobody does more of it through Writ.
    Entitle(EntitleArgs),
    /// Have the runner read the credential and reach the hosts, as a run would. Nothing is sent to them.
    Test {
        /// The connection, `workspace/name`.
        name: ConnectionName,
        /// How long to wait for the runner, in seconds.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
        timeout: u64,
    },
}

/// One connection.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectionArgs {
    /// Its name, `workspace/name`.
    pub(crate) name: ConnectionName,
    /// A host that may receive the credential, `host` or `host:port`; 443 unless given.
    #[arg(long = "host", required = true)]
    pub(crate) hosts: Vec<String>,
    /// Where the credential is kept, such as `local:github/token`.
    #[arg(long)]
    pub(crate) secret: SecretRef,
    /// Where the credential goes: `bearer`, `basic` or `header`.
    #[arg(long, default_value = "bearer", value_parser = ["bearer", "basic", "header"])]
    pub(crate) kind: String,
    /// The user-id of `basic`; the secret is the password.
    #[arg(long, required_if_eq("kind", "basic"))]
    pub(crate) username: Option<String>,
    /// The name of the header of `header`, such as `X-Api-Key`.
    #[arg(long, required_if_eq("kind", "header"))]
    pub(crate) header: Option<String>,
    /// What stands before the credential in that header.
    #[arg(long, default_value = "")]
    pub(crate) header_prefix: String,
    /// HTTP without TLS, for stand-ins on this machine.
    #[arg(long)]
    pub(crate) plaintext: bool,
    /// An otherwise refused address range that the hosts may resolve to.
    #[arg(long = "allow-cidr")]
    pub(crate) allow_cidrs: Vec<Cidr>,
}

/// `writ secret`.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: SecretCommand,
    /// The vault; that of `writ dev` unless given.
    #[arg(long, global = true, requires = "vault_key")]
    pub(crate) vault: Option<PathBuf>,
    /// The vault's key file; made the first time.
    #[arg(long, global = true, requires = "vault")]
    pub(crate) vault_key: Option<PathBuf>,
}

/// What to do with a secret.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Keep a secret, read from stdin.
    Put {
        /// Its reference, such as `local:github/token`.
        reference: SecretRef,
    },
    /// Remove a secret.
    Remove {
        /// Its reference.
        reference: SecretRef,
    },
    /// List references; values are never shown.
    List,
}

/// `writ pack`.
#[derive(Debug, Subcommand)]
pub(crate) enum PackCommand {
    /// Acknowledge a pack: its actions may then be published and called.
    Acknowledge {
        /// The pack's file.
        file: PathBuf,
    },
    /// Take an acknowledgement back: no action of the pack begins after it.
    Withdraw {
        /// The pack.
        name: PackName,
        /// The version that was acknowledged.
        version: String,
    },
    /// List acknowledged packs.
    List,
}

/// `writ automation`.
#[derive(Debug, Subcommand)]
pub(crate) enum AutomationCommand {
    /// Check a document and print what it would touch.
    Check {
        /// The document.
        file: PathBuf,
    },
    /// Publish a document with its footprint.
    Publish {
        /// The document.
        file: PathBuf,
    },
    /// List published automations.
    List,
}

/// `writ run`.
#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// Start a run of a published automation.
    Start {
        /// The automation, `workspace/name`.
        automation: AutomationName,
        /// The input: a file of JSON, or `-` for stdin; `{}` unless given.
        #[arg(long)]
        input: Option<PathBuf>,
        /// Why, for the record.
        #[arg(long)]
        reason: Option<String>,
        /// Wait for the end and print the output.
        #[arg(long)]
        wait: bool,
    },
    /// End a run before its end. A call that is under way is not broken off.
    Cancel {
        /// The run.
        run: RunId,
    },
    /// Say what becomes of a step that may or may not have happened.
    Resume {
        /// The suspended run.
        run: RunId,
        /// Do it again: it did not happen, or twice is harmless.
        #[arg(long, conflicts_with = "fail", required_unless_present = "fail")]
        retry: bool,
        /// Let it fail; the automation may catch that.
        #[arg(long)]
        fail: bool,
        /// Wait for the end and print the output.
        #[arg(long)]
        wait: bool,
    },
}

/// `writ runs`.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List runs, newest first.
    List,
    /// Show a run and its receipts.
    Show {
        /// The run.
        run: RunId,
    },
    /// Print a run's output, from the gateway.
    Output {
        /// The run.
        run: RunId,
    },
}

/// `writ approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    /// The run to answer; what waits for you is listed unless given.
    pub(crate) run: Option<RunId>,
    /// Answer only if the run asks at this step, such as `/do/1/ask#0`.
    #[arg(long, requires = "run")]
    pub(crate) step: Option<String>,
    /// Reject it; one is enough.
    #[arg(long, requires = "run")]
    pub(crate) reject: bool,
    /// Sign without being asked once more.
    #[arg(long, requires = "run")]
    pub(crate) yes: bool,
}

/// `writ audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Fetch the whole log into a folder.
    Export {
        /// The folder; made if it is not there.
        folder: PathBuf,
    },
    /// Verify an exported log, offline. Names the first bad record.
    Verify {
        /// The folder.
        folder: PathBuf,
        /// What the log is compared with.
        #[command(flatten)]
        with: VerifyArgs,
    },
}

/// What whoever verifies a log brings along.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The tenant, the trust anchor; this folder's unless given.
    #[arg(long)]
    pub(crate) tenant: Option<TenantId>,
    /// A charter head that somebody has seen (`writ charter log` lists them): the log must hold it.
    #[arg(long = "charter-head", value_name = "DIGEST")]
    pub(crate) charter_heads: Vec<Digest>,
    /// Checkpoints of witnesses from another export of this log, one a line: it must be the same log.
    #[arg(long = "checkpoints", value_name = "FILE")]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// Name each statement that a jail made so long after a charter entry which it had not been shown.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) behind: u64,
}
