//! A hostile control plane: it relays what it likes, to a real runner with a real jail.
//!
//! It takes over a world whose `writ dev` has ended: it listens where the control plane did, and
//! starts the runner alone. With [`Forger`] it makes orders out of real keys and real logins, each
//! wrong in one way.

use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::rand::SystemRandom;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use writ_api::{Content, ContentKind, RunnerReport, RunnerReports, RunnerTask, RunnerTasks};
use writ_evidence::{
    charter::{Change, EntryBody, Genesis, RunnerEnrollment, UnverifiedEntry},
    digest::{RunDatum, RunKey, sha256},
    idc::{IdcMode, UnverifiedIdc},
    jws::UnverifiedJws,
    key::{Algorithm, SigningKey},
    seal::{self, Sealed},
    statement::{Says, Statement},
    writ::{self, ConnectionGrant, Order, WritClaims, run_id},
};
use writ_model::{
    AutomationName, Digest, Principal, RunId, RunnerGroupId, ServiceAccountName, TenantId,
};
use zeroize::Zeroizing;

use crate::{
    keys::{Login, now, random, vouch},
    world::World,
};

/// The service account that credentials of mode `key` are of, which name nobody.
pub const SERVICE_ACCOUNT: &str = "importer";

/// How long a refusal may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Memory {
    tasks: Vec<RunnerTask>,
    reports: Vec<RunnerReport>,
    content: BTreeMap<String, Content>,
}

type Shared = Arc<Mutex<Memory>>;

/// The hostile control plane and the runner that it serves.
pub struct Hostile {
    memory: Shared,
    serving: JoinHandle<()>,
    runner: Child,
}

fn lock(memory: &Shared) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hostile {
    /// Takes over a world whose `writ dev` has ended.
    ///
    /// # Errors
    ///
    /// The port is taken, or the runner does not start.
    pub async fn take_over(world: &World) -> Result<Self> {
        let memory = Shared::default();
        let url = world.setting("server_url")?;
        let listener = TcpListener::bind(url.trim_start_matches("http://")).await?;
        let routes = Router::new()
            .route("/v1/tenants/{ten}/runner/take", post(take))
            .route("/v1/tenants/{ten}/runner/report", post(report))
            .route("/v1/tenants/{ten}/runner/content/{digest}", get(content))
            .with_state(Arc::clone(&memory));
        let serving = tokio::spawn(async move {
            // It serves until it is dropped.
            let _ = axum::serve(listener, routes).await;
        });
        let runner = start_runner(world)?;
        Ok(Self { memory, serving, runner })
    }

    /// Serves content; returns its digest.
    #[must_use]
    pub fn serve_content(&self, text: &str) -> Digest {
        let digest = sha256(text.as_bytes());
        let content = Content { kind: ContentKind::Bundle, text: text.to_owned() };
        lock(&self.memory).content.insert(digest.to_string(), content);
        digest
    }

    /// Gives the runner an order, and waits for what it says of the run.
    ///
    /// # Errors
    ///
    /// It said nothing.
    pub async fn order(&self, order: ForgedOrder) -> Result<(String, Option<String>)> {
        let run = run_id(sha256(order.writ.as_bytes()));
        let ForgedOrder { writ, idc, sealed } = order;
        lock(&self.memory).tasks.push(RunnerTask::Start { writ, idc, sealed });
        self.outcome(run).await
    }

    /// Gives the runner an answer to what a run asks; returns the code that it is refused with.
    ///
    /// # Errors
    ///
    /// Nothing was said.
    pub async fn approve(
        &self,
        run: RunId,
        writ: String,
        idc: UnverifiedIdc,
    ) -> Result<Option<String>> {
        let digest = sha256(writ.as_bytes());
        self.refusal_of(digest, RunnerTask::Approve { run, writ, idc }).await
    }

    /// Gives the runner an order to test a connection; the code that it was refused with, if it was.
    ///
    /// # Errors
    ///
    /// It said nothing.
    pub async fn test_connection(&self, order: &ForgedOrder) -> Result<Option<String>> {
        let digest = sha256(order.writ.as_bytes());
        let (writ, idc) = (order.writ.clone(), order.idc.clone());
        self.refusal_of(digest, RunnerTask::TestConnection { writ, idc }).await
    }

    /// Gives the runner a task about a writ, and waits for what it says of that.
    async fn refusal_of(&self, digest: Digest, task: RunnerTask) -> Result<Option<String>> {
        let about = |report: &RunnerReport| match report {
            RunnerReport::ResumeDone { writ, refused }
            | RunnerReport::TestDone { writ, refused }
                if *writ == digest =>
            {
                Some(refused.as_ref().map(|(code, _)| code.clone()))
            }
            _ => None,
        };
        lock(&self.memory).reports.retain(|report| about(report).is_none());
        lock(&self.memory).tasks.push(task);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let said = lock(&self.memory).reports.iter().find_map(about);
            if let Some(said) = said {
                lock(&self.memory).tasks.clear();
                return Ok(said);
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        bail!("the runner said nothing of {digest}")
    }

    /// How many receipts of tests the jail has made.
    #[must_use]
    pub fn tests(&self) -> usize {
        let memory = lock(&self.memory);
        let says = memory.reports.iter().filter_map(|report| match report {
            RunnerReport::Statement { statement } => UnverifiedJws::parse(statement).ok(),
            _ => None,
        });
        let statements = says.filter_map(|jws| jws.peek::<Statement>().ok());
        statements.filter(|statement| matches!(statement.says, Says::Tested(_))).count()
    }

    /// Waits for the last word on a run: its phase, and its code.
    ///
    /// # Errors
    ///
    /// Nothing was said.
    pub async fn outcome(&self, run: RunId) -> Result<(String, Option<String>)> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let said = lock(&self.memory).reports.iter().rev().find_map(|report| match report {
                RunnerReport::Status(status) if status.run == run && status.phase.is_final() => {
                    Some((format!("{:?}", status.phase), status.code.clone()))
                }
                _ => None,
            });
            if let Some(said) = said {
                lock(&self.memory).tasks.clear();
                return Ok(said);
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        bail!("the runner said nothing of {run}")
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.serving.abort();
        // One that has ended needs reaping only.
        let _ = self.runner.kill();
        let _ = self.runner.wait();
    }
}

fn start_runner(world: &World) -> Result<Child> {
    let folder = |name: &str| world.folder.join(".writ").join(name);
    let log =
        fs::OpenOptions::new().create(true).append(true).open(world.folder.join("dev.log"))?;
    Command::new(crate::world::executables()?.join("writ"))
        .args(["runner", "--tenant", &world.setting("tenant")?])
        .args(["--server-url", &world.setting("server_url")?])
        .args(["--data".as_ref(), folder("runner").as_os_str()])
        .args(["--vault".as_ref(), folder("vault").as_os_str()])
        .args(["--vault-key".as_ref(), folder("vault.key").as_os_str()])
        .args(["--jail-state".as_ref(), folder("jail").as_os_str()])
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .context("cannot start the runner")
}

async fn take(State(memory): State<Shared>) -> Json<RunnerTasks> {
    for _ in 0..100 {
        let tasks = lock(&memory).tasks.clone();
        if !tasks.is_empty() {
            return Json(RunnerTasks { tasks });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Json(RunnerTasks { tasks: Vec::new() })
}

async fn report(State(memory): State<Shared>, Json(body): Json<RunnerReports>) -> StatusCode {
    lock(&memory).reports.extend(body.reports);
    StatusCode::NO_CONTENT
}

async fn content(
    State(memory): State<Shared>,
    Path((_, digest)): Path<(String, String)>,
) -> Result<Json<Content>, StatusCode> {
    lock(&memory).content.get(&digest).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// An order as the control plane relays it.
#[derive(Clone)]
pub struct ForgedOrder {
    /// The compact writ.
    pub writ: String,
    /// The credential.
    pub idc: UnverifiedIdc,
    /// The sealed input.
    pub sealed: Sealed,
}

/// Real keys and real facts of a world, to make orders from.
pub struct Forger {
    ten: TenantId,
    head: Digest,
    runner: RunnerEnrollment,
    issuer: String,
    issuer_key: SigningKey,
    automation: AutomationName,
    /// The bundle that the charter publishes, and the grants of its footprint.
    pub bundle: Digest,
    /// What the footprint allows.
    pub grants: Vec<ConnectionGrant>,
}

/// What an order says; each field can be made wrong.
pub struct Draft {
    /// The writ's claims.
    pub claims: WritClaims,
    /// The input that is sealed, right or wrong.
    pub input: String,
    key: RunKey,
}

impl Forger {
    /// Reads a world's files: the charter that the runner keeps, the identity provider's key.
    ///
    /// # Errors
    ///
    /// A file is missing or malformed.
    pub fn of(world: &World) -> Result<Self> {
        Self::for_automation(world, None)
    }

    /// As [`Self::of`], for what is published under this name; the main job's name is given to whatever was
    /// published last if there is none.
    ///
    /// # Errors
    ///
    /// As there, or nothing is published under the name.
    pub fn for_automation(world: &World, name: Option<&str>) -> Result<Self> {
        let folder = world.folder.join(".writ");
        let text = fs::read_to_string(folder.join("runner/charter.jsonl"))?;
        let entries: Vec<UnverifiedEntry> =
            text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let genesis = genesis(entries.first().context("the charter is empty")?)?;
        let mut published = None;
        for entry in &entries {
            let EntryBody { change, .. } = entry.body()?;
            if let Change::AutomationPublish(automation) = change
                && name.is_none_or(|name| automation.name.to_string() == name)
            {
                published = Some(automation);
            }
        }
        let published = published.context("nothing is published")?;
        let issuer_key = fs::read(folder.join("idp/signing-key"))?;
        Ok(Self {
            ten: world.setting("tenant")?.parse()?,
            head: entries.last().context("the charter is empty")?.digest(),
            runner: genesis.runner,
            issuer: world.setting("issuer_url")?,
            issuer_key: SigningKey::from_pkcs8(Algorithm::Es256, &issuer_key)?,
            automation: name.unwrap_or("secops/leaked-secret").parse()?,
            bundle: published.bundle,
            grants: published.footprint.connections,
        })
    }

    /// A login as the identity provider would vouch for it, changed by `change`.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn log_in(&self, subject: &str, change: impl FnOnce(&mut Value)) -> Result<Login> {
        self.log_in_with(subject, &self.issuer_key, change)
    }

    /// A login vouched for by another key.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn log_in_with(
        &self,
        subject: &str,
        issuer_key: &SigningKey,
        change: impl FnOnce(&mut Value),
    ) -> Result<Login> {
        let iat = now();
        vouch(issuer_key, &self.issuer_key, |nonce| {
            let mut claims = json!({
                "iss": self.issuer, "sub": subject, "aud": "writ-cli", "nonce": nonce,
                "iat": iat, "exp": iat.plus(3600),
            });
            change(&mut claims);
            claims
        })
    }

    /// A right order for the main job, to be made wrong.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn draft(&self, login: &Login, input: &Value) -> Result<Draft> {
        let key = RunKey::from_bytes(Zeroizing::new(random()?));
        let input = input.to_string();
        let iat = now();
        let claims = WritClaims {
            ten: self.ten,
            principal: principal(&login.idc)?,
            idc: login.idc.digest(),
            jti: URL_SAFE_NO_PAD.encode(random()?),
            iat,
            exp: iat.plus(120),
            charter: self.head,
            order: Order::RunStart {
                aud: self.runner.group,
                res: self.automation.clone(),
                cnt: self.bundle,
                inp: key.digest(RunDatum::Input, input.as_bytes()),
                authorization_details: self.grants.clone(),
                reason: None,
            },
        };
        Ok(Draft { claims, input, key })
    }

    /// Signs a draft and seals its input.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn sign(&self, draft: &Draft, login: &Login) -> Result<ForgedOrder> {
        let random = SystemRandom::new();
        let writ = writ::sign(&draft.claims, &login.key, &random)?;
        let content = (&draft.key, draft.input.as_bytes());
        let digest = sha256(writ.as_bytes());
        let sealed = seal::seal(&self.runner.sealing_key, digest, content, &random)?;
        Ok(ForgedOrder { writ, idc: login.idc.clone(), sealed })
    }

    /// The tenant.
    #[must_use]
    pub const fn ten(&self) -> TenantId {
        self.ten
    }

    /// The charter head that orders name.
    #[must_use]
    pub const fn head(&self) -> Digest {
        self.head
    }

    /// The issuer's identifier, and its key.
    #[must_use]
    pub fn issuer(&self) -> (&str, &SigningKey) {
        (&self.issuer, &self.issuer_key)
    }

    /// The runner as the charter enrolls it.
    #[must_use]
    pub const fn runner(&self) -> &RunnerEnrollment {
        &self.runner
    }

    /// The runner's group.
    #[must_use]
    pub const fn group(&self) -> RunnerGroupId {
        self.runner.group
    }

    /// Signs an order about a run that is under way.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn about(&self, login: &Login, order: Order) -> Result<String> {
        let iat = now();
        let claims = WritClaims {
            ten: self.ten,
            principal: principal(&login.idc)?,
            idc: login.idc.digest(),
            jti: URL_SAFE_NO_PAD.encode(random()?),
            iat,
            exp: iat.plus(120),
            charter: self.head,
            order,
        };
        Ok(writ::sign(&claims, &login.key, &SystemRandom::new())?)
    }

    /// Seals a draft's input again, for whatever writ is relayed now.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn seal_again(&self, draft: &Draft, order: &mut ForgedOrder) -> Result<()> {
        let content = (&draft.key, draft.input.as_bytes());
        let digest = sha256(order.writ.as_bytes());
        order.sealed = seal::seal(&self.runner.sealing_key, digest, content, &SystemRandom::new())?;
        Ok(())
    }
}

fn genesis(entry: &UnverifiedEntry) -> Result<Genesis> {
    match entry.body()?.change {
        Change::Genesis(genesis) => Ok(genesis),
        _ => bail!("entry 0 is no genesis"),
    }
}

/// Who a credential is for, as its token says.
///
/// # Errors
///
/// The token is none.
pub fn principal(idc: &UnverifiedIdc) -> Result<Principal> {
    #[derive(Deserialize)]
    struct Claims {
        iss: String,
        sub: String,
    }
    if idc.mode == IdcMode::Key {
        let account: ServiceAccountName = SERVICE_ACCOUNT.parse()?;
        return Ok(Principal::from(&account));
    }
    let claims: Claims = UnverifiedJws::parse(&idc.id_token)?.peek()?;
    Ok(Principal { iss: claims.iss, sub: claims.sub })
}
