//! What a jail stops at for good: a fork by root keys, a restored state, a copy of itself. And what looks like it and is not.
//!
//! A jail that has stopped is of no use to the other attacks, so that each of these has a tenant of its own.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use serde_json::Value;
use writ_api::{RunnerTask, RunnerTasks};
use writ_evidence::{
    charter::{Change, UnverifiedEntry, WitnessQuorum, sign_root},
    key::{Algorithm, SigningKey},
};
use writ_testkit::{
    identity_provider::free_port,
    part::{Part, address, runner_words},
    relay::Relay,
    world::World,
};

use crate::{
    append::Next,
    charter::workspace,
    history::served,
    setting::{Setting, copy_folder},
    table::{Attack, Evidence, Shown, Theme},
};

const FORK: &str =
    "DESIGN §3.3: two root-class changes at one number are a fork, and everything stops";
const RESTORED: &str = "DESIGN §7: a jail that is shown a later receipt of its own key stops";
/// How long something may take.
const PATIENCE: Duration = Duration::from_secs(30);

const GREETS: &str = "document: {dsl: '1.0.1', namespace: lab, name: greets, version: '1.0.0'}
do:
  - greet: {set: {said: hello}}
";

pub(crate) fn theme() -> Theme {
    let attacks = [forks(), restores()].into_iter().flatten().collect();
    Theme { title: "Forks, restores and clones", attacks }
}

fn forks() -> Vec<Attack> {
    vec![
        Attack {
            id: "fork-by-root-keys",
            source: FORK,
            what: "Root keys have signed two changes of one number; a runner that has folded one is given the other.",
            code: "jail-frozen",
            rule: "a jail that is shown both stops for good, and its last statement names them",
            evidence: Evidence::Verify,
            run: |setting| {
                let own = Own::start(setting, "forked")?;
                let twin = own.twin()?;
                own.relay.give(vec![RunnerTask::Charter { entries: vec![twin] }]);
                own.frozen()
            },
        },
        Attack {
            id: "fork-after-a-restart",
            source: FORK,
            what: "Root keys have signed two changes of one number; a runner that has lost its copy is served the other one.",
            code: "jail-frozen",
            rule: "what root keys signed is remembered in the jail's own state, whatever it is shown later",
            evidence: Evidence::Verify,
            run: |setting| {
                let mut own = Own::start(setting, "forked-later")?;
                let (twin, number) = (own.twin()?, own.chain()?.len() - 1);
                own.relay.plot(served(move |entries| {
                    let first = entries.first().and_then(|entry| entry.body().ok());
                    let first = first.map_or(0, |body| body.seq);
                    let at =
                        usize::try_from(first).ok().and_then(|first| number.checked_sub(first));
                    if let Some(entry) = at.and_then(|at| entries.get_mut(at)) {
                        *entry = twin.clone();
                    }
                }));
                own.restart(|folder| Ok(fs::remove_file(folder.join("runner/charter.jsonl"))?))?;
                own.frozen()
            },
        },
        Attack {
            id: "fork-too-few-keys",
            source: FORK,
            what: "One of two root keys has signed another change of a number; the runner is given it, to stop its jail.",
            code: "charter-not-next",
            rule: "a fork takes as many root signatures as a change: nobody else stops a jail",
            evidence: Evidence::Log,
            run: |setting| {
                let next = Next::of(setting)?;
                let (one, other) = (&setting.roots[0], &setting.roots[1]);
                let entry = next.rooted(staleness(setting, 5000), &[one, other])?;
                let twin = next.rooted(staleness(setting, 6000), &[one, one])?;
                setting.append(&entry)?;
                harmless(setting, twin)
            },
        },
        Attack {
            id: "fork-late-candidate",
            source: FORK,
            what: "Root keys have signed a change that lost its number to a person's; the runner is given it, to stop its jail.",
            code: "charter-not-next",
            rule: "one change by root keys is no fork",
            evidence: Evidence::Log,
            run: |setting| {
                let next = Next::of(setting)?;
                let roots = [&setting.roots[0], &setting.roots[1]];
                let late = next.rooted(staleness(setting, 6000), &roots)?;
                let entry = next.signed(&setting.login("owner")?, workspace("earlier")?)?;
                let (body, path) = (serde_json::json!({ "entry": entry }), "/charter");
                let ask = crate::http::Ask::post(setting.tenant_path(path), body);
                let (status, said) = setting.ask(&ask)?;
                ensure!(status == 200, "{said}");
                setting.caught_up()?;
                harmless(setting, late)
            },
        },
    ]
}

fn staleness(setting: &Setting, seconds: u32) -> Change {
    let witnesses = [setting.forger.runner().id].into_iter().collect();
    Change::WitnessSet(WitnessQuorum { witnesses, threshold: 1, max_staleness_s: Some(seconds) })
}

/// The runner is given an entry that is refused, and its jail goes on.
fn harmless(setting: &mut Setting, entry: UnverifiedEntry) -> Result<Shown> {
    let shown = setting.logged(vec![RunnerTask::Charter { entries: vec![entry] }])?;
    setting.main_job()?;
    Ok(shown)
}

fn restores() -> Vec<Attack> {
    vec![
        Attack {
            id: "jail-restored",
            source: RESTORED,
            what: "A jail's state is put back to what it was before its last run.",
            code: "jail-outdated",
            rule: "a jail that is shown a later statement by its own key stops for good",
            evidence: Evidence::Log,
            run: |setting| {
                let mut own = Own::start(setting, "restored")?;
                own.restart(backup)?;
                own.run()?;
                own.restart(restore)?;
                own.says("jail-outdated")?;
                // No restart takes it back.
                own.restart(|_| Ok(()))?;
                own.says("jail-outdated")
            },
        },
        Attack {
            id: "jail-restored-in-secret",
            source: RESTORED,
            what: "The same, and the control plane keeps the later statements to itself.",
            code: "jail-outdated",
            rule: "an entry with a cosignature by its own key that a jail does not remember stops it, too",
            evidence: Evidence::Log,
            run: |setting| {
                let mut own = Own::start(setting, "restored-in-secret")?;
                own.restart(backup)?;
                own.world.writ(&["workspace", "set", "later"])?;
                own.relay.plot(|asked, answer| {
                    if asked.path.ends_with("/runner/take")
                        && let Ok(mut given) = serde_json::from_slice::<RunnerTasks>(&answer.body)
                    {
                        given.tasks.retain(|task| !matches!(task, RunnerTask::Shown { .. }));
                        answer.body = serde_json::to_vec(&given).unwrap_or_default();
                    }
                });
                own.restart(restore)?;
                own.says("jail-outdated")
            },
        },
        Attack {
            id: "jail-cloned",
            source: RESTORED,
            what: "A copy of runner and jail is started elsewhere, while they go on.",
            code: "jail-outdated",
            rule: "of two jails with one key, the one that is shown what the other has signed stops",
            evidence: Evidence::Log,
            run: |setting| {
                let mut own = Own::start(setting, "cloned")?;
                let copy = own.world.folder.join("copy");
                own.restart(|folder| copy_folder(folder, &copy))?;
                own.run()?;
                let mut words = runner_words(&own.world, &copy);
                words.extend(["--tenant".to_owned(), own.world.setting("tenant")?]);
                words.extend(["--server-url".to_owned(), own.world.setting("server_url")?]);
                let clone = Part::start(&own.world, "clone", &words)?;
                let shown = said(|| clone.log(), 0, "jail-outdated")?;
                // The one that it was copied from goes on.
                own.run()?;
                Ok(shown)
            },
        },
    ]
}

fn backup(folder: &Path) -> Result<()> {
    Ok(fs::copy(folder.join("jail/state"), folder.join("state.backup")).map(drop)?)
}

fn restore(folder: &Path) -> Result<()> {
    Ok(fs::copy(folder.join("state.backup"), folder.join("jail/state")).map(drop)?)
}

/// A tenant of its own, whose control plane is real and behind a relay.
struct Own {
    relay: Relay,
    runner: Option<Part>,
    /// Identity provider, control plane and gateway.
    _parts: [Part; 3],
    /// Its folder is removed when dropped: after whatever writes there has ended.
    world: World,
    /// What the runner had logged before its last start.
    before: usize,
}

impl Own {
    fn start(setting: &Setting, name: &str) -> Result<Self> {
        let mut world = World::start(name)?;
        world.writ(&["login"])?;
        world.writ(&["workspace", "set", "lab"])?;
        let document = world.folder.join("greets.yaml");
        fs::write(&document, GREETS)?;
        world.writ(&["automation", "publish", &document.to_string_lossy()])?;
        let upstream: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        world.stop_dev()?;
        let idp = Part::identity_provider(&world)?;
        let server = Part::server(&world, &world.folder.join(".writ/server"), upstream)?;
        let listen = address(&world.setting("server_url")?)?;
        let relay = setting.block_on(Relay::start(listen, upstream))?;
        let gateway = Part::gateway(&world)?;
        let (runner, before) = (None, 0);
        let parts = [idp, server, gateway];
        let mut own = Self { relay, runner, _parts: parts, world, before };
        own.restart(|_| Ok(()))?;
        Ok(own)
    }

    /// Ends the runner, lets `change` do something to its files, and starts it again.
    fn restart(&mut self, change: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.before =
            self.runner.as_ref().map_or(Ok(0), |runner| runner.log().map(|log| log.len()))?;
        self.runner = None;
        thread::sleep(Duration::from_millis(300));
        change(&self.world.folder.join(".writ"))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let mut runner = Part::runner(&self.world)?;
            while runner.lives() && Instant::now() < deadline {
                let log = runner.log()?;
                if log.get(self.before..).unwrap_or_default().contains("jail started") {
                    self.runner = Some(runner);
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(20));
            }
            // The jail of before still holds its state; as under a service manager, it is tried again.
            thread::sleep(Duration::from_millis(100));
        }
        bail!("the runner does not start")
    }

    /// A run that the owner orders, to its end.
    fn run(&self) -> Result<()> {
        self.world.writ(&["run", "start", "lab/greets", "--wait"]).map(drop)
    }

    /// Waits until the runner's log says a code since its last start.
    fn says(&self, code: &str) -> Result<Shown> {
        let runner = self.runner.as_ref().context("there is no runner")?;
        said(|| runner.log(), self.before, code)
    }

    /// The charter as the runner has it.
    fn chain(&self) -> Result<Vec<UnverifiedEntry>> {
        let text = fs::read_to_string(self.world.folder.join(".writ/runner/charter.jsonl"))?;
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// Has root keys make a change, which the runner folds; the other one that they have signed for its number.
    fn twin(&self) -> Result<UnverifiedEntry> {
        let runners: Value =
            serde_json::from_str(&self.world.writ(&["--json", "runners", "list"])?)?;
        let runner = runners[0]["id"].as_str().context("no runner")?;
        let before = self.chain()?.len();
        let words = ["witness", "set", "--runner", runner, "--max-staleness", "7200"];
        self.world.writ(&[&words[..], &["--root-key", ".writ/root.key"]].concat())?;
        let deadline = Instant::now() + PATIENCE;
        while self.chain()?.len() == before {
            ensure!(Instant::now() < deadline, "the runner was not given the change");
            thread::sleep(Duration::from_millis(20));
        }
        // Its jail folds it within the same moment.
        thread::sleep(Duration::from_millis(300));
        let chain = self.chain()?;
        let one = chain.last().context("no charter")?;
        let body = one.body_text().replacen("7200", "7300", 1);
        ensure!(body != one.body_text(), "it is the same change");
        let root = fs::read(self.world.folder.join(".writ/root.key"))?;
        let root = SigningKey::from_pkcs8(Algorithm::EdDsa, &root)?;
        let signatures = vec![sign_root(&body, &root, &SystemRandom::new())?];
        Ok(UnverifiedEntry::Roots { body, signatures })
    }

    /// Waits until the jail has stopped and the log says at what.
    fn frozen(mut self) -> Result<Shown> {
        self.says("jail-frozen")?;
        self.relay.behave();
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.world.writ(&["audit", "export", "audit"])?;
            let verified = self.world.writ(&["audit", "verify", "audit"])?;
            if verified.contains("FORK") && verified.contains("signatures included") {
                break;
            }
            if Instant::now() > deadline {
                let log = self.runner.as_ref().map(Part::log).transpose()?.unwrap_or_default();
                bail!("`writ audit verify` says nothing of it: {verified}\n{log}");
            }
            thread::sleep(Duration::from_millis(200));
        }
        self.restart(|_| Ok(()))?;
        let shown = self.says("jail-frozen")?;
        Ok(Shown { evidence: Evidence::Verify, ..shown })
    }
}

/// Waits until a log says a code after so many bytes.
fn said(log: impl Fn() -> Result<String>, from: usize, code: &str) -> Result<Shown> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let log = log()?;
        let new = log.get(from..).unwrap_or_default();
        if new.lines().any(|line| line.contains("code=") && line.contains(code)) {
            return Ok(Shown::refused(code, Evidence::Log));
        }
        thread::sleep(Duration::from_millis(20));
    }
    let log = log()?;
    bail!("`{code}` is not in the log: {}", log.get(from..).unwrap_or_default())
}
