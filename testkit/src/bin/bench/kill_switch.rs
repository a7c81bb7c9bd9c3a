//! The kill switch: from the signature of a suspension to the last request that the service sees.
//!
//! Four runs call the service in a loop, as fast as they are let. A suspension of their automation is signed and goes to
//! the gateway (by push) or to the control plane (by poll: the runner's held request is answered). The service notes when
//! each request arrives; it and whoever signs share one clock. A request that was permitted before the jail folded the
//! suspension may arrive after it: its cell is on its way. That time is in the row.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::rand::SystemRandom;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use writ_api::{
    AppendEntry, Appended, Caller, CharterPage, Client, Credential, PushEntries, Pushed,
};
use writ_evidence::{
    charter::{Change, EntryBody, Subject, UnverifiedEntry},
    digest::sha256,
    writ::{self, Order, WritClaims},
};
use writ_model::Digest;
use writ_testkit::{
    github_stand_in::GithubStandIn,
    hostile::{Forger, principal},
    keys::{Login, now, random},
    load::Load,
    world::World,
};

use crate::say;

const TOKEN: &str = "github_pat_bench_0123456789abcdefghijklmn";
/// Runs that call the service side by side.
const RUNS: usize = 4;
/// Nothing has arrived for so long: nothing more comes.
const QUIET: Duration = Duration::from_millis(700);

const LOOP: &str = "document: {dsl: '1.0.1', namespace: secops, name: loop, version: '1.0.0'}
do:
  - again:
      for: {each: turn, in: '${ .turns }'}
      do:
        - get: {call: 'github.repositories.get:1.0.0@default', with: {connection: github, owner: o, repo: r}}
";

/// Which way a suspension goes.
#[derive(Clone, Copy)]
enum Way {
    Push,
    Poll,
}

/// Both ways, sixty times each; `ROUNDS` in the environment says otherwise.
pub(crate) async fn both_ways() -> Result<()> {
    let rounds = std::env::var("ROUNDS").ok().and_then(|count| count.parse().ok()).unwrap_or(60);
    let github = GithubStandIn::start(TOKEN).await?;
    let world = tokio::task::block_in_place(|| -> Result<_> {
        let world = World::start("bench-kill-switch")?;
        world.prepare_main_job(&github.address().to_string(), TOKEN)?;
        let path = world.folder.join("loop.yaml");
        fs::write(&path, LOOP)?;
        world.writ(&["automation", "publish", &path.to_string_lossy()])?;
        Ok(world)
    })?;
    let mut switch = Switch::of(&world).await?;
    for (way, name) in [(Way::Push, "push to the gateway"), (Way::Poll, "the control plane")] {
        let (mut stopped, mut answered) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let (last, answer) = switch.round(&world, &github, way, round).await?;
            stopped.push(last);
            answered.push(answer);
        }
        let (stopped, answered) = (shares(stopped), shares(answered));
        say(&format!(
            "| kill switch by {name}, {RUNS} runs in a loop | last request {:.0} ms after the signature (p50), {:.0} \
             ms (p99 of {rounds}); answered after {:.0} ms, {:.0} ms |",
            stopped.0, stopped.1, answered.0, answered.1,
        ));
    }
    Ok(())
}

/// Half and 99 of 100 in milliseconds.
fn shares(mut took: Vec<Duration>) -> (f64, f64) {
    took.sort();
    let at = |share: usize| {
        let last = took.len().saturating_sub(1);
        took.get((last * share).div_ceil(100)).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    (at(50), at(99))
}

/// Whoever throws it.
struct Switch {
    forger: Forger,
    owner: Login,
    server: Client,
    gateway: Client,
    ten: String,
    next: u64,
    head: Digest,
}

impl Switch {
    async fn of(world: &World) -> Result<Self> {
        let mut forger = Forger::for_automation(world, Some("secops/loop"));
        // The runner is told of what was published a moment after its publisher.
        while forger.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            forger = Forger::for_automation(world, Some("secops/loop"));
        }
        let forger = forger?;
        let owner = forger.log_in("owner", |_| ())?;
        let client = |setting: &str| -> Result<Client> {
            let login = forger.log_in("owner", |_| ())?;
            let caller = Caller::Person(Box::new(login.idc));
            let credential = Credential { caller, key: login.key };
            Ok(Client::new(&world.setting(setting)?, credential, None)?)
        };
        let (server, gateway) = (client("server_url")?, client("gateway_url")?);
        let page: CharterPage = gateway.get("/v1/charter?from=0").await?;
        let head = page.entries.last().context("no charter")?.digest();
        let ten = world.setting("tenant")?;
        Ok(Self { forger, owner, server, gateway, ten, next: page.seq + 1, head })
    }

    /// Starts runs, throws the switch, and waits until nothing more arrives; how long after the signature the last
    /// request came, and the answer. Then the suspension is taken back.
    async fn round(
        &mut self,
        world: &World,
        github: &GithubStandIn,
        way: Way,
        round: u32,
    ) -> Result<(Duration, Duration)> {
        self.caught_up().await?;
        let load = Load::of(world).await?;
        let before = github.all_requests();
        let turns: Vec<u32> = (0..2000).collect();
        let input = serde_json::json!({ "turns": turns }).to_string();
        for _ in 0..RUNS {
            load.start(&"secops/loop".parse()?, &input).await?;
        }
        while github.all_requests() < before + 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Anywhere between two actions.
        tokio::time::sleep(Duration::from_millis(u64::from(round * 37 % 101))).await;
        let automation = Subject::Automation("secops/loop".parse()?);
        let entry = self.signed(Change::SubjectSuspend(automation.clone()))?;
        let signed = Instant::now();
        self.hand_over(entry, way).await?;
        let answered = signed.elapsed();
        let last = loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let last = github.last_request().context("nothing was ever asked")?;
            if last.elapsed() > QUIET && signed.elapsed() > QUIET {
                break last;
            }
            if signed.elapsed() > Duration::from_secs(30) {
                bail!("the runs go on");
            }
        };
        let restore = self.signed(Change::SubjectRestore(automation))?;
        self.hand_over(restore, Way::Push).await?;
        Ok((last.saturating_duration_since(signed), answered))
    }

    fn signed(&self, change: Change) -> Result<UnverifiedEntry> {
        let body = EntryBody { seq: self.next, prev: Some(self.head), change };
        let body = serde_json::to_string(&body)?;
        let iat = now();
        let claims = WritClaims {
            ten: self.forger.ten(),
            principal: principal(&self.owner.idc)?,
            idc: self.owner.idc.digest(),
            jti: URL_SAFE_NO_PAD.encode(random()?),
            iat,
            exp: iat.plus(120),
            charter: self.head,
            order: Order::CharterAppend { cnt: sha256(body.as_bytes()) },
        };
        let writ = writ::sign(&claims, &self.owner.key, &SystemRandom::new())?;
        let (idc, others, cosignatures) = (self.owner.idc.clone(), Vec::new(), Vec::new());
        Ok(UnverifiedEntry::Writ { body, writ, idc, others, cosignatures })
    }

    async fn hand_over(&mut self, entry: UnverifiedEntry, way: Way) -> Result<()> {
        let (seq, head) = match way {
            Way::Push => {
                let pushed = PushEntries { entries: vec![entry] };
                match self.gateway.post("/v1/charter", &pushed).await? {
                    Pushed::Folded { seq, head, .. } => (seq, head),
                    Pushed::Cosigned { .. } => bail!("one witness is not enough here"),
                }
            }
            Way::Poll => {
                self.caught_up().await?;
                let path = format!("/v1/tenants/{}/charter", self.ten);
                let appended: Appended = self.server.post(&path, &AppendEntry { entry }).await?;
                (appended.seq, appended.head)
            }
        };
        (self.next, self.head) = (seq + 1, head);
        Ok(())
    }

    /// The control plane has what was pushed before.
    async fn caught_up(&self) -> Result<()> {
        let path = format!("/v1/tenants/{}/charter?from={}", self.ten, self.next);
        loop {
            let page: CharterPage = self.server.get(&path).await?;
            if page.seq + 1 >= self.next {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
