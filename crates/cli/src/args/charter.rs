//! What can be said about the charter as a whole: `writ charter`, `root`, `witness`, `runners`, `group`,
//! `suspend`, `restore`.

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use clap::Subcommand;
use writ_model::{AutomationName, ConnectionName, Digest, GroupName, RunnerId, WorkspaceName};

/// `writ charter`.
#[derive(Debug, Subcommand)]
pub(crate) enum CharterCommand {
    /// List the entries, verified from the trust anchor.
    Log,
    /// Show what an entry changes and who signed it.
    Show {
        /// The entry's number.
        seq: u64,
    },
    /// Write every entry to a file, one a line: enough for anybody to verify it.
    Export {
        /// The file.
        file: PathBuf,
    },
    /// Verify exported entries, offline, from the tenant's trust anchor.
    Verify {
        /// The file.
        file: PathBuf,
        /// The tenant; this folder's unless given.
        #[arg(long)]
        tenant: Option<writ_model::TenantId>,
    },
    /// Sign a proposed change: with root keys, on a machine without network if need be, or as a second
    /// signer with this login. Says what is signed.
    Sign {
        /// The proposal, as another command wrote it.
        file: PathBuf,
        /// A root key: PKCS#8 in a file. Without one, this login signs.
        #[arg(long = "root-key")]
        root_keys: Vec<PathBuf>,
    },
    /// Hand entries to gateways, whose jails fold them without the control plane: those of a file (one signed
    /// proposal, or an export), or those that the control plane shows and the gateway lacks.
    Push {
        /// The file.
        file: Option<PathBuf>,
    },
    /// Say what changed between two states of the charter, by noun.
    Diff {
        /// The earlier: an entry's number, a head's digest, or an export.
        from: CharterPoint,
        /// The later; the charter as it is now unless given.
        to: Option<CharterPoint>,
    },
    /// Have a signed proposal appended.
    Submit {
        /// The proposal.
        file: PathBuf,
    },
}

/// A state of the charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CharterPoint {
    /// After the entry of this number.
    Seq(u64),
    /// After the entry of this digest.
    Head(Digest),
    /// After the last entry of an export.
    File(PathBuf),
}

impl FromStr for CharterPoint {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest = text.parse().map(Self::Head);
        let named = text.parse().map(Self::Seq).ok().or_else(|| digest.ok());
        Ok(named.unwrap_or_else(|| Self::File(text.into())))
    }
}

/// What root keys sign: with keys at hand, or as a proposal for keys that are elsewhere.
#[derive(Debug, clap::Args)]
pub(crate) struct RootSigning {
    /// A root key: PKCS#8 in a file. As many as the tenant's threshold.
    #[arg(long = "root-key", required_unless_present = "propose")]
    pub(crate) root_keys: Vec<PathBuf>,
    /// Write the change to this file instead, for `writ charter sign` on machines without network.
    #[arg(long, conflicts_with = "root_keys", value_name = "FILE")]
    pub(crate) propose: Option<PathBuf>,
}

/// `writ root`.
#[derive(Debug, Subcommand)]
pub(crate) enum RootCommand {
    /// Replace the root keys: the keys before sign.
    Rotate {
        /// A new public key: a JWK in a file.
        #[arg(long = "new", required = true)]
        keys: Vec<PathBuf>,
        /// How many of them sign a root-class change.
        #[arg(long, default_value_t = 1)]
        threshold: u8,
        /// How it is signed.
        #[command(flatten)]
        signing: RootSigning,
    },
    /// Make a root key: PKCS#8 into a file of yours alone, its public JWK on standard output.
    New {
        /// The file to make.
        file: PathBuf,
    },
    /// List the root keys and their threshold.
    List,
}

/// `writ witness`.
#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Name the runners whose jails are witnesses.
    Set {
        /// A runner.
        #[arg(long = "runner", required = true)]
        runners: Vec<RunnerId>,
        /// How many of them cosign a change.
        #[arg(long, default_value_t = 1)]
        threshold: u8,
        /// Seconds that a runner goes on without a word from a person or another witness that names its newest
        /// entry of the charter: one hour to 90 days; 7 days unless given.
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(3600..=7_776_000))]
        max_staleness: Option<u32>,
        /// How it is signed.
        #[command(flatten)]
        signing: RootSigning,
    },
    /// List the witnesses.
    List,
}

/// `writ runners`.
#[derive(Debug, Subcommand)]
pub(crate) enum RunnersCommand {
    /// Enroll a runner by the request that `writ runner --enroll` wrote on its machine.
    Enroll {
        /// The enrollment request.
        file: PathBuf,
        /// A root key that signs it instead of you: where the witness is lost, nobody else can.
        #[arg(long = "root-key")]
        root_keys: Vec<PathBuf>,
        /// Write the change to this file instead, for root keys that sign elsewhere.
        #[arg(long, conflicts_with = "root_keys", value_name = "FILE")]
        propose: Option<PathBuf>,
    },
    /// End a runner's enrollment for good.
    Retire {
        /// The runner.
        runner: RunnerId,
    },
    /// List the runners.
    List,
}

/// `writ group`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make or replace a group of people; without subjects it is gone.
    Set {
        /// Its name.
        name: GroupName,
        /// The subject of a member at the issuer.
        #[arg(long = "subject")]
        subjects: Vec<String>,
        /// The issuer; the tenant's only one unless given.
        #[arg(long)]
        issuer: Option<String>,
    },
    /// List groups and who is in them.
    List,
}

/// `writ suspend` and `writ restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct SuspendArgs {
    /// Whom or what.
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// The user's issuer; the tenant's only one unless given.
    #[arg(long, requires = "user")]
    pub(crate) issuer: Option<String>,
    /// A root key, which a runner's suspension takes: PKCS#8 in a file.
    #[arg(long = "root-key")]
    pub(crate) root_keys: Vec<PathBuf>,
}

/// One subject.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SubjectArgs {
    /// A person, by subject, with every key of theirs.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// One key, by its thumbprint (`writ whoami` prints one's own).
    #[arg(long)]
    pub(crate) key: Option<Digest>,
    /// A connection.
    #[arg(long)]
    pub(crate) connection: Option<ConnectionName>,
    /// An automation.
    #[arg(long)]
    pub(crate) automation: Option<AutomationName>,
    /// A workspace.
    #[arg(long)]
    pub(crate) workspace: Option<WorkspaceName>,
    /// A runner; root keys sign it.
    #[arg(long)]
    pub(crate) runner: Option<RunnerId>,
    /// The whole tenant.
    #[arg(long)]
    pub(crate) tenant: bool,
}
