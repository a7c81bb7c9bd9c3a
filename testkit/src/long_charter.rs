//! A real runner and its jail over a charter of many entries, with no control plane: how long they take to start.
//!
//! In: how many entries. Out: what each start says of itself. The tenant is made here: keys of ours are its witness,
//! and the real jail is a runner that it enrolls.
//!
//! Invariants: what is started is ended before a start returns; the folder goes with the value.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use writ_evidence::charter::{Binding, Change, RunnerEnrollment, Scope};
use writ_model::{Grantee, Principal, Role};

use crate::{
    part::{Part, runner_words},
    tenant::{Anybody, ISSUER, NOON, Tenant},
    world::World,
};

/// How long a start may take.
const WITHIN: Duration = Duration::from_mins(5);

/// A runner's folder with a charter in it.
pub struct LongCharter {
    world: World,
    words: Vec<String>,
}

/// What a start was like.
#[derive(Debug, Clone, Copy)]
pub struct Started {
    /// From the process's start until runner and jail have the charter.
    pub after: Duration,
    /// The newest entry that they have.
    pub seq: u64,
    /// The newest entry that the jail took up from its own snapshot.
    pub snapshot: Option<u64>,
}

impl LongCharter {
    /// Makes the keys of runner and jail, and a charter of so many entries, three or more.
    ///
    /// # Errors
    ///
    /// A command failed, or nothing was built.
    pub fn make(name: &str, entries: u32) -> Result<Self> {
        let world = World::without_dev(name)?;
        let mut words = runner_words(&world, &world.folder);
        let enroll = [&words[..], &["--enroll".to_owned(), "enrollment.json".to_owned()]].concat();
        world.writ(&enroll.iter().map(String::as_str).collect::<Vec<_>>())?;
        let enrolled = fs::read(world.folder.join("enrollment.json"))?;
        let enrolled: RunnerEnrollment = serde_json::from_slice(&enrolled)?;
        let mut tenant = Tenant::found()?;
        tenant.change("owner", Change::RunnerEnroll(Box::new(enrolled)), &Anybody)?;
        let login = tenant.log_in("owner", NOON)?;
        let mut file = BufWriter::new(File::create(world.folder.join("runner/charter.jsonl"))?);
        for number in 0..entries {
            if tenant.entries.is_empty() {
                let candidate = tenant.candidate(&login, change(number), NOON)?;
                tenant.admit(candidate, NOON, &Anybody)?;
            }
            serde_json::to_writer(&mut file, &tenant.entries.remove(0))?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
        words.extend(["--tenant".to_owned(), tenant.state.ten().to_string()]);
        words.extend(["--server-url".to_owned(), "http://127.0.0.1:9".to_owned()]);
        Ok(Self { world, words })
    }

    /// A file of the runner's.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.world.folder.join("runner").join(name)
    }

    /// What the runner has said in all of its starts.
    ///
    /// # Errors
    ///
    /// Its log can't be read.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.world.folder.join("runner.log"))?)
    }

    /// Starts runner and jail, waits until they have the charter, and ends them.
    ///
    /// # Errors
    ///
    /// They do not get there.
    pub fn start(&self) -> Result<Started> {
        let before = self.log().map_or(0, |log| log.len());
        let began = Instant::now();
        let mut runner = Part::start(&self.world, "runner", &self.words)?;
        loop {
            let log = runner.log()?;
            let said = log.get(before..).unwrap_or_default();
            if let Some(line) = said.lines().find(|line| line.contains("charter taken up")) {
                let after = began.elapsed();
                let number = |name: &str| line.split_once(name).map(|(_, rest)| digits(rest));
                let seq = number("charter.seq=").context("no number")?.parse()?;
                let snapshot = number("charter.snapshot=").map(str::parse).transpose()?;
                return Ok(Started { after, seq, snapshot });
            }
            ensure!(runner.lives() && began.elapsed() < WITHIN, "it does not start: {said}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Each person's role is given and taken back, so that the length alone grows.
fn change(number: u32) -> Change {
    let sub = format!("person-{}", number / 2);
    let principal = Grantee::Principal(Principal { iss: ISSUER.to_owned(), sub });
    let binding = Binding { principal, role: Role::Builder, scope: Scope::Tenant };
    if number.is_multiple_of(2) {
        Change::BindingAdd(binding)
    } else {
        Change::BindingRemove(binding)
    }
}

fn digits(text: &str) -> &str {
    text.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default()
}
