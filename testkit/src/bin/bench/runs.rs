//! Whole runs: how many a second, how long each, one at a time and 32 at a time.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use writ_testkit::{
    github_stand_in::{GithubStandIn, SLACK_TOKEN},
    installation::Installation,
    load::{Load, Measured},
    openbao::OpenBao,
    world::{World, sources},
};

use crate::{processes, row, say};

const TOKEN: &str = "github_pat_bench_0123456789abcdefghijklmn";

const SETS: &str = "document: {dsl: '1.0.1', namespace: secops, name: sets, version: '1.0.0'}
do:
  - a: {set: {n: '${ .n + 1 }'}}
  - b: {set: {n: '${ .n + 1 }'}}
  - c: {set: {n: '${ .n + 1 }'}}
";
const LANGUAGES: [(&str, &str); 3] =
    [("bash", "echo {}"), ("javascript", "console.log('{}')"), ("python", "print('{}')")];
const CALL: &str = "document: {dsl: '1.0.1', namespace: secops, name: call, version: '1.0.0'}
do:
  - a: {call: 'github.repositories.get:1.0.0@default', with: {connection: github, owner: o, repo: r}}
";

/// `writ dev`: plaintext on loopback, secrets in the `local:` vault, then in OpenBao.
pub(crate) async fn dev() -> Result<()> {
    let github = GithubStandIn::start(TOKEN).await?;
    let bao = OpenBao::start().await?;
    bao.put("secret", "github", &json!({ "token": TOKEN })).await?;
    let (role_id, wrapped) = bao.role("bench", &["secret/data/github"]).await?;
    let port = bao.port;
    let world = tokio::task::block_in_place(|| {
        World::start_with("bench", |folder| {
            let file = folder.join("secret-id");
            fs::write(&file, json!({ "wrapping_token": wrapped }).to_string())?;
            let settings = json!({ "vault": {
                "host": { "host": "127.0.0.1", "port": port, "plaintext": true },
                "allow_cidrs": ["127.0.0.1/32"], "mounts": [{ "path": "secret", "kv": 2 }],
                "auth": { "method": "approle", "role_id": role_id, "secret_id_file": file },
            } });
            Ok(fs::write(folder.join("secret-managers.json"), settings.to_string())?)
        })
    })?;
    let address = github.address().to_string();
    tokio::task::block_in_place(|| {
        world.prepare_main_job(&address, TOKEN)?;
        prepare(&world)
    })?;
    let pid = world.dev_pid().context("`writ dev` is not running")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    say(&format!(
        "| idle memory of `writ dev` (proportional set size) | {} MiB |",
        processes::memory(&[pid])?
    ));
    let measured = Ordering::of(&world, vec![pid]).await?;
    let input = fs::read_to_string(sources().join("examples/leaked-secret/input.json"))?;
    let sets = measured.rows(("three `set`", "secops/sets", r#"{"n":1}"#), 1000).await?;
    for (language, _) in LANGUAGES {
        let name = format!("one step of {language}");
        let step = measured.rows((&name, &format!("secops/{language}"), "{}"), 100).await?;
        let start = less(step, sets, Duration::ZERO);
        row(&format!("sandbox start, {language}: the run less a `set` run"), start);
    }
    let call = measured.rows(("one call, `local:`", "secops/call", "{}"), 200).await?;
    measured.rows(("main job, `local:`", "secops/leaked-secret", &input), 96).await?;
    let direct = direct(&address).await?;
    row("the same call without Writ (loopback, new connection)", direct);
    row("jail and cell a call: the run less a `set` run less that call", less(call, sets, direct));
    tokio::task::block_in_place(|| -> Result<()> {
        world.connect("github", &address, "vault:secret/github#token")?;
        let job = sources().join("examples/leaked-secret/automation.yaml");
        world.writ(&["automation", "publish", &job.to_string_lossy()])?;
        publish(&world, "call", CALL)
    })?;
    let measured = Ordering::of(&world, vec![pid]).await?;
    measured.rows(("one call, OpenBao with AppRole", "secops/call", "{}"), 100).await?;
    let name = "main job, GitHub's token from OpenBao with AppRole";
    measured.rows((name, "secops/leaked-secret", &input), 96).await?;
    Ok(())
}

/// An installation as `writ init` founds it, on loopback: every hop between person, control plane, gateway and
/// runner has TLS 1.3; the call to the stand-in has none.
pub(crate) async fn tls() -> Result<()> {
    let github = GithubStandIn::start(TOKEN).await?;
    let installation = Installation::found("bench-tls").await?;
    let world = &installation.world;
    tokio::task::block_in_place(|| {
        world.prepare_main_job_as_owner(&github.address().to_string(), TOKEN)?;
        publish(world, "sets", SETS)
    })?;
    let input = fs::read_to_string(sources().join("examples/leaked-secret/input.json"))?;
    let measured = Ordering::of(world, installation.pids()).await?;
    let name = "three `set`, TLS 1.3 between the parts";
    measured.rows((name, "secops/sets", r#"{"n":1}"#), 1000).await?;
    let name = "main job, `local:`, TLS 1.3 between the parts, its calls in plaintext";
    measured.rows((name, "secops/leaked-secret", &input), 96).await?;
    Ok(())
}

/// Who orders runs, and the processes that run them.
struct Ordering {
    load: Arc<Load>,
    pids: Vec<u32>,
}

impl Ordering {
    /// The default session of a world, and the processes that it is served by.
    async fn of(world: &World, pids: Vec<u32>) -> Result<Self> {
        Ok(Self { load: Arc::new(Load::of(world).await?), pids })
    }

    /// One row at a time and 32 at a time; returns the first.
    async fn rows(
        &self,
        (name, automation, input): (&str, &str, &str),
        runs: usize,
    ) -> Result<Measured> {
        self.load.measure(automation, input, (runs / 10, 1)).await?;
        let alone = self.row((name, automation, input), (runs, 1)).await?;
        self.row((name, automation, input), (runs * 3, 32)).await?;
        Ok(alone)
    }

    async fn row(
        &self,
        (name, automation, input): (&str, &str, &str),
        (runs, at_once): (usize, usize),
    ) -> Result<Measured> {
        let before = processes::processor_time(&self.pids);
        let measured = self.load.measure(automation, input, (runs, at_once)).await?;
        let count = u32::try_from(runs / at_once * at_once)?;
        let spent = processes::processor_time(&self.pids).saturating_sub(before) / count;
        let Measured { per_second, p50, p99 } = measured;
        say(&format!(
            "| {name}, {at_once} at once | {per_second:.0} runs/s, p50 {:.1} ms, p99 {:.1} ms, {:.1} ms of \
             processor time a run |",
            p50.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3,
            spent.as_secs_f64() * 1e3,
        ));
        Ok(measured)
    }
}

fn less(run: Measured, baseline: Measured, more: Duration) -> Duration {
    run.p50.saturating_sub(baseline.p50).saturating_sub(more)
}

fn prepare(world: &World) -> Result<()> {
    let paths = ["local:github/*", "local:slack/*", "vault:secret/*"];
    let mut words = vec!["workspace", "set", "secops"];
    for path in paths {
        words.extend(["--secret-path", path]);
    }
    world.writ(&words)?;
    world.try_writ(&["secret", "put", "local:slack/token"], SLACK_TOKEN.as_bytes())?;
    for (name, document) in [("sets", SETS), ("call", CALL)] {
        publish(world, name, document)?;
    }
    for (language, code) in LANGUAGES {
        let document = format!(
            "document: {{dsl: '1.0.1', namespace: secops, name: {language}, version: '1.0.0'}}
do:
  - a: {{run: {{script: {{language: {language}, code: \"{code}\"}}}}}}
"
        );
        publish(world, language, &document)?;
    }
    Ok(())
}

fn publish(world: &World, name: &str, document: &str) -> Result<()> {
    let path = world.folder.join(format!("{name}.yaml"));
    fs::write(&path, document)?;
    world.writ(&["automation", "publish", &path.to_string_lossy()]).map(drop)
}

async fn direct(address: &str) -> Result<Duration> {
    let url = format!("http://{address}/repos/o/r");
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        http.get(&url).bearer_auth(TOKEN).send().await?.bytes().await?;
        took.push(began.elapsed());
    }
    took.sort();
    Ok(took[took.len() / 2])
}
