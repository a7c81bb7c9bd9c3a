//! `cargo xtask bench`: what things cost, beside what this machine can do at all.
//!
//! Whole processes, real executables, a warm-up before each row; medians of several rounds where a row
//! is short. Nothing here passes or fails: it is read. Words name what is measured; none, everything.
//!
//! Read next: `runs` (whole runs, of `writ dev` and of an installation with TLS), `processes` (what they
//! spend), `kill_switch`.

#![expect(clippy::indexing_slicing, reason = "medians of lists that were just filled")]

use std::{
    fs::{self, OpenOptions},
    hint::black_box,
    io::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use writ_evidence::{
    charter::{Binding, Change, Scope, UnverifiedEntry},
    issuer::{FetchedKeys, TokenKeys},
    writ::VerifiedWrit,
};
use writ_model::{Grantee, Principal, Role};
use writ_policy::{Policies, Right};
use writ_testkit::{
    keys::{new_issuer_key, new_key},
    long_charter::LongCharter,
    tenant::{Anybody, ISSUER, NOON, Tenant},
};

mod kill_switch;
mod processes;
mod runs;

/// What can be measured alone, in the order of the table.
const GROUPS: [&str; 5] = ["primitives", "authority", "kill-switch", "dev", "tls"];

#[tokio::main]
async fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let unknown = wanted.iter().find(|word| !GROUPS.contains(&word.as_str()));
    ensure!(
        unknown.is_none(),
        "what is measured: {}; all of it if none is named",
        GROUPS.join(", ")
    );
    let measured = |group| wanted.is_empty() || wanted.iter().any(|word| word == group);
    say("| what | cost |\n| --- | --- |");
    if measured("primitives") {
        limits(&std::env::temp_dir())?;
        verification()?;
        decisions()?;
    }
    if measured("authority") {
        starting()?;
        folding()?;
    }
    if measured("kill-switch") {
        kill_switch::both_ways().await?;
    }
    if measured("dev") {
        runs::dev().await?;
    }
    if measured("tls") {
        runs::tls().await?;
    }
    Ok(())
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

/// Entries of a charter that a runner folds which has never seen it.
const ENTRIES: u32 = 100_000;

/// Folds a long charter, an entry at a time: signatures, rights, and what each changes.
fn folding() -> Result<()> {
    let policies = Policies::built_in()?;
    let mut tenant = Tenant::found()?;
    let login = tenant.log_in("owner", NOON)?;
    let mut state = tenant.state.clone();
    let mut spent = Duration::ZERO;
    for number in 0..ENTRIES {
        // Each person's role is given and taken back, so that the length alone grows.
        let binding = binding(&format!("person-{}", number / 2));
        let change = if number % 2 == 0 {
            Change::BindingAdd(binding)
        } else {
            Change::BindingRemove(binding)
        };
        let candidate = tenant.candidate(&login, change, NOON)?;
        tenant.admit(candidate, NOON, &Anybody)?;
        let Some(entry) = tenant.entries.pop() else { continue };
        let began = Instant::now();
        state.append(&entry, &policies)?;
        spent += began.elapsed();
    }
    ensure!(state.head() == tenant.state.head(), "the fold differs");
    row(&format!("charter entry folded, the mean of {ENTRIES}"), spent / ENTRIES);
    say(&format!("| charter of {ENTRIES} entries folded | {:.1} s |", spent.as_secs_f64()));
    Ok(())
}

/// Starts the real runner with its jail over as long a charter, twice: folding it, and from what the jail wrote down.
fn starting() -> Result<()> {
    let long = LongCharter::make("bench-long-charter", ENTRIES)?;
    for (what, folded_before) in [("for the first time", false), ("with a snapshot", true)] {
        let started = long.start()?;
        ensure!(started.snapshot.is_some() == folded_before, "{started:?}");
        let cost = started.after.as_secs_f64();
        say(&format!("| runner and jail start with {ENTRIES} entries, {what} | {cost:.2} s |"));
    }
    Ok(())
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
