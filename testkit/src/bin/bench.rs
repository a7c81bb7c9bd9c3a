//! `cargo xtask bench`: what things cost, beside what this machine can do at all.
//!
//! Whole processes, real executables, a warm-up before each row; medians of several rounds where a row
//! is short. Nothing here passes or fails: it is read.

#![expect(clippy::indexing_slicing, reason = "medians of lists that were just filled")]

use std::{
    fs::{self, OpenOptions},
    hint::black_box,
    io::Write as _,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use writ_evidence::{
    charter::{Binding, Change, Scope, UnverifiedEntry},
    issuer::{FetchedKeys, TokenKeys},
    writ::VerifiedWrit,
};
use writ_model::{Grantee, Principal, Role};
use writ_policy::{Policies, Right};
use writ_testkit::{
    github_stand_in::{GithubStandIn, SLACK_TOKEN},
    keys::{new_issuer_key, new_key},
    load::{Load, Measured},
    openbao::OpenBao,
    tenant::{Anybody, ISSUER, NOON, Tenant},
    world::{World, sources},
};

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

#[tokio::main]
async fn main() -> Result<()> {
    say("| what | cost |\n| --- | --- |");
    let folder = std::env::temp_dir();
    limits(&folder)?;
    verification()?;
    decisions()?;
    whole().await
}

fn say(line: &str) {
    // Whoever closed the pipe has read enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn row(what: &str, cost: Duration) {
    say(&format!("| {what} | {:.1} µs |", cost.as_secs_f64() * 1e6));
}

/// The median of nine rounds, each so often, after one to warm up.
fn median(often: u32, mut work: impl FnMut()) -> Duration {
    let mut rounds = Vec::new();
    for round in 0..10 {
        let began = Instant::now();
        for _ in 0..often {
            work();
        }
        if round > 0 {
            rounds.push(began.elapsed() / often);
        }
    }
    rounds.sort();
    rounds[rounds.len() / 2]
}

/// What the machine can do: the floor under every other row.
fn limits(folder: &std::path::Path) -> Result<()> {
    let (ed25519, p256) = (new_key()?, new_issuer_key()?);
    let random = aws_lc_rs::rand::SystemRandom::new();
    let message = [7; 600];
    for (name, key) in [("Ed25519", &ed25519), ("ES256", &p256)] {
        let signature = key.sign(&random, &message)?;
        let verify = || assert!(black_box(key.public()).verifies(&message, &signature));
        row(&format!("machine: {name} verification"), median(300, verify));
    }
    let path = folder.join(format!("writ-bench-{}", std::process::id()));
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut sync = || file.write_all(&message).and_then(|()| file.sync_data());
    row("machine: append 600 bytes, fdatasync", median(50, || drop(black_box(sync()))));
    fs::remove_file(&path)?;
    let spawn = || drop(Command::new("/bin/true").status());
    row("machine: fork, exec, wait (`true`)", median(20, spawn));
    Ok(())
}

fn verification() -> Result<()> {
    let tenant = Tenant::found()?;
    let login = tenant.log_in("owner", NOON)?;
    let binding = binding("ann");
    let entry = tenant.candidate(&login, Change::BindingAdd(binding), NOON)?;
    let UnverifiedEntry::Writ { writ, idc, .. } = &entry else { return Ok(()) };
    let (issuers, keys) = (tenant.state.issuers(), FetchedKeys::default());
    let identity = || idc.verify(issuers, TokenKeys::Fetched(&keys), NOON);
    let verified = identity()?;
    let ten = tenant.state.ten();
    let order = || VerifiedWrit::verify(writ, &verified, ten, NOON);
    order()?;
    row("writ, identity cached (one Ed25519 verification)", median(300, || drop(order())));
    let cold = || drop(identity().map(|idc| VerifiedWrit::verify(writ, &idc, ten, NOON)));
    row("writ, identity cold (one ES256, two Ed25519 verifications)", median(300, cold));
    Ok(())
}

fn binding(subject: &str) -> Binding {
    let principal = Principal { iss: ISSUER.to_owned(), sub: subject.to_owned() };
    Binding { principal: Grantee::Principal(principal), role: Role::Builder, scope: Scope::Tenant }
}

fn decisions() -> Result<()> {
    let policies = Policies::built_in()?;
    let name = "secops/leaked-secret".parse()?;
    let ann = Principal { iss: ISSUER.to_owned(), sub: "ann".to_owned() };
    for bindings in [10, 10_000] {
        let mut tenant = Tenant::found()?;
        tenant.change("owner", Change::BindingAdd(binding("ann")), &Anybody)?;
        for number in 1..bindings {
            let change = Change::BindingAdd(binding(&format!("person-{number}")));
            tenant.change("owner", change, &Anybody)?;
        }
        policies.decide(&tenant.state, &ann, Right::RunStart(&name))?;
        let decide = || drop(policies.decide(&tenant.state, &ann, Right::RunStart(&name)));
        row(&format!("Cedar decision, {bindings} bindings"), median(200, decide));
    }
    Ok(())
}

async fn whole() -> Result<()> {
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
    tokio::task::block_in_place(|| prepare(&world, &address))?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    say(&format!(
        "| idle memory of `writ dev` (proportional set size) | {} MiB |",
        memory(&world)?
    ));
    let load = Arc::new(Load::of(&world).await?);
    let input = fs::read_to_string(sources().join("examples/leaked-secret/input.json"))?;
    let sets = rows(&world, &load, ("three `set`", "secops/sets", r#"{"n":1}"#), 1000).await?;
    for (language, _) in LANGUAGES {
        let name = format!("one step of {language}");
        let step = rows(&world, &load, (&name, &format!("secops/{language}"), "{}"), 100).await?;
        let start = less(step, sets, Duration::ZERO);
        row(&format!("sandbox start, {language}: the run less a `set` run"), start);
    }
    let call = rows(&world, &load, ("one call, `local:`", "secops/call", "{}"), 200).await?;
    rows(&world, &load, ("main job, `local:`", "secops/leaked-secret", &input), 96).await?;
    let direct = direct(&address).await?;
    row("the same call without Writ (loopback, new connection)", direct);
    row("jail and cell a call: the run less a `set` run less that call", less(call, sets, direct));
    tokio::task::block_in_place(|| -> Result<()> {
        world.connect("github", &address, "vault:secret/github#token")?;
        let job = sources().join("examples/leaked-secret/automation.yaml");
        world.writ(&["automation", "publish", &job.to_string_lossy()])?;
        publish(&world, "call", CALL)
    })?;
    let load = Arc::new(Load::of(&world).await?);
    rows(&world, &load, ("one call, OpenBao with AppRole", "secops/call", "{}"), 100).await?;
    let name = "main job, GitHub's token from OpenBao with AppRole";
    rows(&world, &load, (name, "secops/leaked-secret", &input), 96).await?;
    Ok(())
}

fn less(run: Measured, baseline: Measured, more: Duration) -> Duration {
    run.p50.saturating_sub(baseline.p50).saturating_sub(more)
}

/// One row at a time and 32 at a time; returns the first.
async fn rows(
    world: &World,
    load: &Arc<Load>,
    (name, automation, input): (&str, &str, &str),
    runs: usize,
) -> Result<Measured> {
    load.measure(automation, input, (runs / 10, 1)).await?;
    let alone = measured(world, load, (name, automation, input), (runs, 1)).await?;
    measured(world, load, (name, automation, input), (runs * 3, 32)).await?;
    Ok(alone)
}

async fn measured(
    world: &World,
    load: &Arc<Load>,
    (name, automation, input): (&str, &str, &str),
    (runs, at_once): (usize, usize),
) -> Result<Measured> {
    let before = processor_time(world)?;
    let measured = load.measure(automation, input, (runs, at_once)).await?;
    let count = u32::try_from(runs / at_once * at_once)?;
    let spent = processor_time(world)?.saturating_sub(before) / count;
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

fn prepare(world: &World, address: &str) -> Result<()> {
    world.prepare_main_job(address, TOKEN)?;
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

/// Every process of a world: `writ dev` and all below it.
fn processes(world: &World) -> Result<Vec<u32>> {
    let mut found = vec![world.dev_pid().context("`writ dev` is not running")?];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        // Each thread has children of its own.
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        next += 1;
    }
    Ok(found)
}

/// What they and those that they have waited for have spent, in user and kernel.
fn processor_time(world: &World) -> Result<Duration> {
    let mut ticks = 0;
    for pid in processes(world)? {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let fields: Vec<u64> = after.split(' ').skip(11).take(4).flat_map(str::parse).collect();
        ticks += fields.iter().sum::<u64>();
    }
    // Linux counts in hundredths of a second here, whatever the kernel's own clock.
    Ok(Duration::from_millis(ticks * 10))
}

fn memory(world: &World) -> Result<u64> {
    let mut kilobytes = 0;
    for pid in processes(world)? {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
        kilobytes += line.split_whitespace().nth(1).map_or(Ok(0), str::parse)?;
    }
    Ok(kilobytes / 1024)
}
