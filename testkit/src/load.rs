//! A client in this process that orders runs as fast as it is let: for measuring, with a real login's key.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use writ_api::{
    Caller, CharterPage, Client, Credential, RunPhase, RunStatus, SealedInput, StartRunOrder,
    StartedRun,
};
use writ_evidence::{
    charter::CharterState,
    digest::{RunDatum, RunKey, sha256},
    idc::UnverifiedIdc,
    key::{Algorithm, SigningKey},
    seal,
    writ::{self, Order, WritClaims},
};
use writ_model::{AutomationName, Principal, RunId, TenantId};
use writ_policy::Policies;
use zeroize::Zeroizing;

use crate::{keys::now, world::World};

/// A login that orders runs.
pub struct Load {
    server: Client,
    key: SigningKey,
    idc: UnverifiedIdc,
    principal: Principal,
    charter: CharterState,
    ten: TenantId,
}

/// What a number of runs took.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Completed runs a second.
    pub per_second: f64,
    /// Half of the runs took at most this.
    pub p50: Duration,
    /// 99 of 100 took at most this.
    pub p99: Duration,
}

impl Load {
    /// Takes the default session of a world, and its charter as it is now.
    ///
    /// # Errors
    ///
    /// Nobody is logged in, or the charter does not fold.
    pub async fn of(world: &World) -> Result<Self> {
        let session = fs::read(world.folder.join(".writ/sessions/default.json"))?;
        let session: Value = serde_json::from_slice(&session)?;
        let pkcs8 = URL_SAFE_NO_PAD.decode(session["key"].as_str().context("no key")?)?;
        let key = || SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8);
        let idc: UnverifiedIdc = serde_json::from_value(session["idc"].clone())?;
        let caller = Caller::Person(Box::new(idc.clone()));
        let credential = Credential { caller, key: key()? };
        let ca = world.private_ca()?;
        let server = Client::new(&world.setting("server_url")?, credential, ca.as_deref())?;
        let ten: TenantId = world.setting("tenant")?.parse()?;
        let charter = fold(&server, ten).await?;
        let iss = world.setting("issuer_url")?;
        let principal = Principal { iss, sub: "owner".to_owned() };
        Ok(Self { server, key: key()?, idc, principal, charter, ten })
    }

    /// Orders a run and waits until it has completed.
    ///
    /// # Errors
    ///
    /// It was refused, or did not complete.
    pub async fn run(&self, automation: &AutomationName, input: &str) -> Result<Duration> {
        let began = Instant::now();
        let run = self.start(automation, input).await?;
        self.completed(run).await?;
        Ok(began.elapsed())
    }

    /// Orders a run.
    ///
    /// # Errors
    ///
    /// It was refused.
    pub async fn start(&self, automation: &AutomationName, input: &str) -> Result<RunId> {
        let order = self.order(automation, input)?;
        let path = format!("/v1/tenants/{}/runs", self.ten);
        let started: StartedRun = self.server.post(&path, &order).await?;
        Ok(started.run)
    }

    fn order(&self, automation: &AutomationName, input: &str) -> Result<StartRunOrder> {
        let random = SystemRandom::new();
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut())?;
        let jti = URL_SAFE_NO_PAD.encode(bytes.as_ref());
        random.fill(bytes.as_mut())?;
        let run_key = RunKey::from_bytes(bytes);
        let published = self.charter.automation(automation).context("not published")?;
        let runner = self.charter.runners().next().context("no runner")?;
        let iat = now();
        let claims = WritClaims {
            ten: self.ten,
            principal: self.principal.clone(),
            idc: self.idc.digest(),
            jti,
            iat,
            exp: iat.plus(120),
            charter: self.charter.head(),
            order: Order::RunStart {
                aud: runner.group,
                res: automation.clone(),
                cnt: published.automation.bundle,
                inp: run_key.digest(RunDatum::Input, input.as_bytes()),
                authorization_details: published.automation.footprint.connections.clone(),
                reason: None,
            },
        };
        let writ = writ::sign(&claims, &self.key, &random)?;
        let digest = sha256(writ.as_bytes());
        let sealed =
            seal::seal(&runner.sealing_key, digest, (&run_key, input.as_bytes()), &random)?;
        let sealed = vec![SealedInput { runner: runner.id, sealed }];
        Ok(StartRunOrder { writ, idc: self.idc.clone(), sealed })
    }

    async fn completed(&self, run: RunId) -> Result<()> {
        let path = format!("/v1/tenants/{}/runs/{run}", self.ten);
        loop {
            let status: RunStatus = self.server.get(&path).await?;
            match status.phase {
                RunPhase::Completed => return Ok(()),
                RunPhase::Ordered | RunPhase::Running => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                phase => bail!("{run} is {phase:?}: {:?}", status.code),
            }
        }
    }

    /// Runs an automation so often, so many at a time.
    ///
    /// # Errors
    ///
    /// A run did not complete.
    pub async fn measure(
        self: &Arc<Self>,
        automation: &str,
        input: &str,
        (runs, at_once): (usize, usize),
    ) -> Result<Measured> {
        let automation: AutomationName = automation.parse()?;
        let began = Instant::now();
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..at_once {
            let (load, automation, input) =
                (Arc::clone(self), automation.clone(), input.to_owned());
            workers.spawn(async move {
                let mut took = Vec::new();
                for _ in 0..runs / at_once {
                    took.push(load.run(&automation, &input).await?);
                }
                anyhow::Ok(took)
            });
        }
        let mut took = Vec::new();
        while let Some(one) = workers.join_next().await {
            took.extend(one??);
        }
        let elapsed = began.elapsed().as_secs_f64();
        took.sort();
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        #[expect(clippy::cast_precision_loss, reason = "some thousand runs")]
        let per_second = took.len() as f64 / elapsed;
        Ok(Measured { per_second, p50: at(50), p99: at(99) })
    }
}

async fn fold(server: &Client, ten: TenantId) -> Result<CharterState> {
    let policies = Policies::built_in()?;
    let mut state: Option<CharterState> = None;
    loop {
        let from = state.as_ref().map_or(0, |state| state.seq() + 1);
        let page: CharterPage =
            server.get(&format!("/v1/tenants/{ten}/charter?from={from}")).await?;
        if page.entries.is_empty() {
            return state.context("no charter");
        }
        for entry in &page.entries {
            match &mut state {
                None => state = Some(CharterState::found(entry, ten)?),
                Some(state) => state.append(entry, &policies)?,
            }
        }
    }
}
