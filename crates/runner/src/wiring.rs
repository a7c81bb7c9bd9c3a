//! What exists in a runner: keys → launchers → jail → charter → engine → links. No logic.

use std::{io, path::PathBuf, process::Child, sync::Arc};

use tokio::sync::Notify;
use writ_api::{Caller, Client, Credential};
use writ_engine::Engine;
use writ_evidence::{charter::RunnerEnrollment, seal::SealingPrivateKey};
use writ_jail_link::JailRequest;
use writ_model::{Digest, IsolationReport, TenantId};
use writ_policy::Policies;

use crate::{
    approvals::Approvals,
    broker,
    charter_cache::{CharterCache, CharterCacheError},
    content::ContentCache,
    flow, gateway_link,
    identity::{Identity, IdentityError},
    jail_client::{JailClient, JailError},
    perform::Steps,
    processes::{Launch, LaunchError, Launched, launch, launch_jail},
    push::LastCosigned,
    report,
    sandbox_client::SandboxClient,
    standing::{self, StandingSecret},
    test_connection,
};

/// How a runner is set up.
pub struct Config {
    /// Folder of its keys, journal and caches.
    pub data: PathBuf,
    /// The tenant that it serves: the trust anchor.
    pub ten: TenantId,
    /// A charter head that its join file named: number and digest. The jail decides nothing before it
    /// was shown a charter that holds it.
    pub head: Option<(u64, Digest)>,
    /// The control plane's origin.
    pub server_url: String,
    /// The gateway's link origin, if there is a gateway.
    pub gateway_url: Option<String>,
    /// PEM of a private CA that server and gateway may be certified by.
    pub ca: Option<Vec<u8>>,
    /// The launchers, and where the jail is.
    pub launch: Launch,
}

/// Why a runner does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The data folder can't be made.
    #[error("cannot use the runner's data folder `{}`", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Its keys can't be used.
    #[error("the runner has no usable keys")]
    Identity(#[from] IdentityError),
    /// The launchers were not started.
    #[error("the launchers were not started")]
    Launch(#[from] LaunchError),
    /// The jail refused or ended.
    #[error("the jail is not usable")]
    Jail(#[from] JailError),
    /// A runner is to be enrolled anew, and its jail has joined a tenant.
    #[error(
        "the jail has joined a tenant: move its `state` file away first, or leave `--anew` out"
    )]
    JailInUse,
    /// The charter can't be kept.
    #[error("the charter is not usable")]
    Charter(#[from] CharterCacheError),
    /// The journal can't be used.
    #[error("the engine does not start")]
    Engine(#[from] writ_engine::EngineError),
    /// The HTTP client can't be set up.
    #[error("cannot set up the HTTP client")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The built-in policies are not valid.
    #[error("the built-in policies are not valid")]
    Policies(#[source] writ_policy::PolicyError),
}

impl RunnerError {
    /// The stable code of this failure.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Engine(error) => error.code(),
            Self::Jail(error) => error.code(),
            Self::Charter(error) => error.code(),
            _ => "runner",
        }
    }
}

/// Everything that the runner's stages reach.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    pub(crate) sealing_key: SealingPrivateKey,
    pub(crate) ten: TenantId,
    pub(crate) server: Arc<Client>,
    pub(crate) jail: Arc<JailClient>,
    pub(crate) charter: Arc<CharterCache>,
    pub(crate) content: Arc<ContentCache>,
    pub(crate) engine: Engine<Steps>,
    /// Wakes the reporter.
    pub(crate) news: Arc<Notify>,
    /// What open runs ask people to approve.
    pub(crate) approvals: Arc<Approvals>,
    /// Reports that belong to no run: verdicts and checkpoints, kept in memory since the control
    /// plane asks for them again.
    pub(crate) outbox: report::Outbox,
    pub(crate) testing: test_connection::Testing,
    /// Held while entries are folded: the control plane and the gateway may bring some at once.
    pub(crate) folding: tokio::sync::Mutex<()>,
    pub(crate) last_cosigned: LastCosigned,
    pub(crate) standing_secret: StandingSecret,
}

/// How long steps that are under way have to end once the runner is told to: longer than a call may
/// take. A service manager should wait longer than this before it kills.
const GRACE: std::time::Duration = std::time::Duration::from_secs(40);

fn data_folder(config: &Config) -> Result<(), RunnerError> {
    std::fs::create_dir_all(config.data.join("content"))
        .map_err(|source| RunnerError::Data { path: config.data.clone(), source })
}

/// Asks the jail who it is, for a charter that is to enroll this runner; `anew`, with another id and other keys.
///
/// # Errors
///
/// [`RunnerError`].
pub async fn enrollment(
    data: &std::path::Path,
    jail: &Launch,
    anew: bool,
) -> Result<RunnerEnrollment, RunnerError> {
    std::fs::create_dir_all(data)
        .map_err(|source| RunnerError::Data { path: data.to_owned(), source })?;
    let mut identity = Identity::load_or_create(&data.join("runner-keys.json"))?;
    let (channel, _cells, child) = tokio::task::block_in_place(|| launch_jail(jail))?;
    let client = JailClient::new(channel);
    let described = client.describe().await;
    client.hang_up();
    if let Some(mut child) = child {
        tokio::task::block_in_place(|| child.wait())
            .map_err(|source| LaunchError::Spawn { path: jail.executable.clone(), source })?;
    }
    let described = described?;
    if anew {
        // The keys of a runner that works are not thrown away.
        if described.ten.is_some() {
            return Err(RunnerError::JailInUse);
        }
        identity.renew()?;
    }
    Ok(identity.enrollment(described.jail_key)?)
}

/// Runs until `stop` resolves, or the jail or a launcher ends.
///
/// # Errors
///
/// [`RunnerError`]: what could not be started, or that the jail has ended.
pub async fn serve(
    config: Config,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), RunnerError> {
    data_folder(&config)?;
    let Launched { jail, cells, sandboxes, mut children } =
        tokio::task::block_in_place(|| launch(&config.launch))?;
    broker::serve(cells);
    let parts = build(&config, jail, sandboxes).await?;
    let parts = Arc::new(parts);
    flow::take_up(&parts).await?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(flow::serve(Arc::clone(&parts)));
    tasks.spawn(report::serve(Arc::clone(&parts)));
    tasks.spawn(standing::serve(Arc::clone(&parts)));
    if let Some(url) = &config.gateway_url {
        let link = Arc::new(client(url, &parts.identity, config.ca.as_deref())?);
        tasks.spawn(gateway_link::serve(Arc::clone(&parts), link));
    }
    let gone = Arc::clone(&parts.jail);
    let ended = tokio::select! {
        () = stop => {
            drain(&parts).await;
            Ok(())
        }
        () = gone.gone() => Err(JailError::Gone.into()),
        () = launcher_ended(&mut children) => Err(LaunchError::Ended.into()),
    };
    tasks.shutdown().await;
    end(&mut children);
    ended
}

/// Lets the steps end that were begun, so that the next start has nothing to ask about.
async fn drain(parts: &Parts) {
    tracing::info!("ends once the steps that are under way have ended");
    if !parts.engine.drain(GRACE).await {
        tracing::warn!(
            grace_s = GRACE.as_secs(),
            "ends with steps under way; they may be asked about"
        );
    }
}

async fn build(
    config: &Config,
    jail: writ_confine::Channel,
    sandboxes: writ_confine::Channel,
) -> Result<Parts, RunnerError> {
    let identity = Identity::load_or_create(&config.data.join("runner-keys.json"))?;
    let jail = Arc::new(JailClient::new(jail));
    let described = jail.describe().await?;
    let snapshots = described.snapshots;
    let IsolationReport { mode, uid_shared, .. } = described.isolation;
    tracing::info!(isolation = %mode, uid_shared, "jail started");
    jail.ask(JailRequest::Join { ten: config.ten, head: config.head }).await?;
    let server = Arc::new(client(&config.server_url, &identity, config.ca.as_deref())?);
    let policies = Policies::built_in().map_err(RunnerError::Policies)?;
    let charter =
        CharterCache::open(&config.data.join("charter.jsonl"), config.ten, policies, &snapshots)?;
    let charter = Arc::new(charter);
    let content =
        Arc::new(ContentCache::new(config.data.join("content"), Arc::clone(&server), config.ten));
    let news = Arc::new(Notify::new());
    let approvals = Arc::new(Approvals::default());
    let steps = Steps {
        jail: Arc::clone(&jail),
        charter: Arc::clone(&charter),
        content: Arc::clone(&content),
        sandbox: Arc::new(SandboxClient::new(sandboxes)),
        news: Arc::clone(&news),
        approvals: Arc::clone(&approvals),
    };
    let standing_secret = StandingSecret::new(&*identity.storage_key()?);
    let engine =
        Engine::open(&config.data.join("journal.db"), identity.storage_key()?, Arc::new(steps))?;
    Ok(Parts {
        sealing_key: identity.sealing_key()?,
        identity,
        ten: config.ten,
        server,
        jail,
        charter,
        content,
        engine,
        news,
        approvals,
        outbox: report::Outbox::default(),
        testing: test_connection::Testing::default(),
        folding: tokio::sync::Mutex::new(()),
        last_cosigned: LastCosigned::new(config.data.join("cosigned.json")),
        standing_secret,
    })
}

fn client(origin: &str, identity: &Identity, ca: Option<&[u8]>) -> Result<Client, RunnerError> {
    let credential =
        Credential { caller: Caller::Runner(identity.id()), key: identity.link_key()? };
    Client::new(origin, credential, ca).map_err(|error| RunnerError::Http(error.into()))
}

/// Resolves when a launcher has ended: without it nothing can be started, so the runner starts anew.
async fn launcher_ended(children: &mut [Child]) {
    const LOOK: std::time::Duration = std::time::Duration::from_millis(100);
    while children.iter_mut().all(|child| matches!(child.try_wait(), Ok(None))) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends the launchers; they take what they started with them.
fn end(children: &mut [Child]) {
    for child in children {
        // One that has ended already needs no killing, only reaping.
        let _ = child.kill();
        let _ = child.wait();
    }
}
