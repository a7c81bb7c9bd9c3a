//! What all attacks share: a real tenant with people, runs and a history, whose control plane is now the
//! attacker's.
//!
//! An honest `writ dev` founds the tenant and works for a while. Then it ends; its database is copied; the real
//! server serves the copy behind a relay that the attacker commands; identity provider, gateway, runner and jail
//! start anew, as they are.
//!
//! Invariant: `expected` counts what the service was asked by runs that people ordered, and nothing else.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use writ_evidence::{
    key::{Algorithm, SigningKey},
    writ::Order,
};
use writ_model::RunId;
use writ_testkit::{
    github_stand_in::{GithubStandIn, SLACK_TOKEN},
    hostile::Forger,
    identity_provider::free_port,
    keys::Login,
    needle,
    part::{Part, address},
    relay::Relay,
    world::{World, sources},
};

/// The credential of the connection to GitHub.
pub(crate) const TOKEN: &str = "github_pat_canary_attacks_0123456789abcdef";
/// Stands in inputs.
pub(crate) const IN_INPUT: &str = "canary in an input: 7c1f&42/x";
/// Stands in outputs alone: code makes it.
pub(crate) const IN_OUTPUT: &str = "canary in an output: d34d&42/x";
/// Stands in what approvers are shown.
pub(crate) const IN_PAYLOAD: &str = "canary in a payload: 9f2c&42/x";

/// Requests to the service that one main job makes: a repository, an issue, a message.
const OF_MAIN_JOB: u32 = 3;
/// How long something may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The attacked tenant.
pub(crate) struct Setting {
    pub(crate) relay: Relay,
    /// The real server over the stolen database.
    server: Part,
    pub(crate) runner: Option<Part>,
    _gateway: Part,
    _idp: Part,
    pub(crate) github: GithubStandIn,
    /// Its folder is removed when dropped: after whatever writes there has ended.
    pub(crate) world: World,
    pub(crate) forger: Forger,
    /// The two root keys, both of which sign.
    pub(crate) roots: Vec<SigningKey>,
    expected: u32,
    runtime: Runtime,
}

impl Setting {
    /// Founds the tenant, lets it work, and hands its control plane over.
    pub(crate) fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let github = runtime.block_on(GithubStandIn::start(TOKEN))?;
        let mut world = World::start("attacks")?;
        found(&world, &github.address().to_string())?;
        let roots = two_roots(&world)?;
        world.run_main_job(&input())?;
        // Chosen while the ports of `writ dev` are taken, so that it is none of them.
        let upstream: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        world.stop_dev()?;

        let stolen = world.folder.join("stolen");
        copy_folder(&world.folder.join(".writ/server"), &stolen)?;
        let idp = Part::identity_provider(&world)?;
        let server = Part::server(&world, &stolen, upstream)?;
        let listen = address(&world.setting("server_url")?)?;
        let relay = runtime.block_on(Relay::start(listen, upstream))?;
        let gateway = Part::gateway(&world)?;
        let runner = Part::runner(&world)?;
        let forger = Forger::for_automation(&world, Some("secops/leaked-secret"))?;
        let mut setting = Self {
            runtime,
            world,
            github,
            relay,
            server,
            runner: Some(runner),
            _gateway: gateway,
            _idp: idp,
            forger,
            roots,
            expected: OF_MAIN_JOB,
        };
        setting.check_nothing_unordered()?;
        // The honest relay works: what follows is refused for what is wrong with it.
        setting.main_job()?;
        crate::approvals::control(&mut setting)?;
        Ok(setting)
    }

    /// Runs something to its end.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The control plane is honest again, and the runner runs.
    pub(crate) fn behave(&mut self) {
        self.relay.behave();
    }

    /// The service was asked what people ordered, and nothing else.
    pub(crate) fn check_nothing_unordered(&self) -> Result<()> {
        let asked = self.github.all_requests();
        ensure!(
            asked == self.expected,
            "the service was asked {asked} times, {} of them ordered",
            self.expected
        );
        Ok(())
    }

    /// Counts what a run that people ordered asks the service.
    pub(crate) const fn ordered(&mut self, requests: u32) {
        self.expected += requests;
    }

    /// A run that a person orders, to its end.
    pub(crate) fn main_job(&mut self) -> Result<Value> {
        let group = self.forger.group().to_string();
        let words = ["--runner-group", &group, "run", "start", "secops/leaked-secret"];
        let words = [&words[..], &["--input", "-", "--wait"]].concat();
        let output = self.world.try_writ(&words, input().to_string().as_bytes())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "a run that was ordered did not complete: {said}");
        self.ordered(OF_MAIN_JOB);
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Orders a run as the owner; it goes on by itself.
    pub(crate) fn begin(&self, automation: &str, input: &Value) -> Result<RunId> {
        let group = self.forger.group().to_string();
        let words = ["--runner-group", &group, "run", "start", automation, "--input", "-"];
        let output = self.world.try_writ(&words, input.to_string().as_bytes())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{automation} was not ordered: {said}");
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    /// What the control plane says of a run, as the owner sees it.
    pub(crate) fn status(&self, run: RunId) -> Result<Value> {
        let run = run.to_string();
        Ok(serde_json::from_str(&self.world.writ(&["--json", "runs", "show", &run])?)?)
    }

    /// Waits until a run's status is so.
    pub(crate) fn until(&self, run: RunId, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status(run)?;
            if is(&status) {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "{run} stays {status}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A login of somebody's whom the identity provider vouches for.
    pub(crate) fn login(&self, who: &str) -> Result<Login> {
        self.forger.log_in(who, |_| ())
    }

    /// An order by somebody, right in every way.
    pub(crate) fn about(&self, login: &Login, order: Order) -> Result<String> {
        self.forger.about(login, order)
    }

    /// Ends the runner, lets `change` do something to its files, and starts it again.
    pub(crate) fn restart_runner(
        &mut self,
        change: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        self.stop_runner();
        change(&self.world.folder.join(".writ"))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let takes = self.relay.takes();
            let mut runner = Part::runner(&self.world)?;
            while runner.lives() && self.relay.takes() == takes && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
            if runner.lives() {
                self.runner = Some(runner);
                return Ok(());
            }
            // The jail of before still holds its state; as under a service manager, it is tried again.
            thread::sleep(Duration::from_millis(100));
        }
        bail!("the runner does not start: {}", self.world.log()?)
    }

    /// Ends the runner; its launchers and its jail end with it.
    pub(crate) fn stop_runner(&mut self) {
        self.runner = None;
        thread::sleep(Duration::from_millis(300));
    }

    /// What the runner has logged so far.
    pub(crate) fn runner_log(&self) -> Result<String> {
        self.runner.as_ref().context("there is no runner")?.log()
    }

    /// No canary stands in anything that the control plane was sent or has kept, in whatever spelling, and not in
    /// what any part has logged.
    pub(crate) fn hunt(&self) -> Result<()> {
        let received = self.relay.received();
        ensure!(received.len() > 100_000, "the control plane was sent next to nothing");
        let mut places = vec![("what it was sent".to_owned(), received)];
        for path in files(&self.world.folder.join("stolen"))? {
            places.push((path.display().to_string(), fs::read(&path)?));
        }
        for log in ["runner.log", "server.log", "gateway.log", "idp.log", "dev.log"] {
            places.push((log.to_owned(), fs::read(self.world.folder.join(log))?));
        }
        for canary in [TOKEN, SLACK_TOKEN, IN_INPUT, IN_OUTPUT, IN_PAYLOAD] {
            for (place, bytes) in &places {
                let found = needle::found_in(bytes, canary);
                ensure!(found.is_none(), "`{canary}` stands in {place}, {found:?}");
            }
        }
        Ok(())
    }

    /// Every part that should run does.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        ensure!(self.server.lives(), "the server has ended");
        ensure!(self.runner.as_mut().is_some_and(Part::lives), "the runner has ended");
        Ok(())
    }
}

/// The input of the main job, with a canary in it.
pub(crate) fn input() -> Value {
    let text = include_str!("../../../examples/leaked-secret/input.json");
    let mut input: Value = serde_json::from_str(text).unwrap_or_default();
    input["alert"]["html_url"] = json!(IN_INPUT);
    input
}

/// Posts to Slack once as many have approved as must.
fn asks(name: &str, quorum: u8, timeout: &str) -> String {
    format!(
        "document: {{dsl: '1.0.1', namespace: secops, name: {name}, version: '1.0.0'}}
do:
  - ask:
      timeout: {{after: {timeout}}}
      listen:
        to:
          one:
            with:
              type: dev.writ.approval.v1
              data:
                message: Go on?
                payload: '${{ {{ticket: .ticket}} }}'
                quorum: {quorum}
  - post:
      call: slack.chat.post-message:1.0.0@default
      with: {{connection: slack, channel: '#security-alerts', text: approved}}
"
    )
}

/// Reads an input and makes an output, both with canaries in them.
const ECHO: &str = "document: {dsl: '1.0.1', namespace: secops, name: echo, version: '1.0.0'}
do:
  - make:
      run:
        script:
          language: python
          code: |
            import json, sys
            json.load(sys.stdin)
            print(json.dumps({'said': ' '.join(['canary', 'in', 'an', 'output:', 'd34d&42/x'])}))
          arguments: ${ . }
";

/// Waits for longer than any test.
const WAITS: &str = "document: {dsl: '1.0.1', namespace: secops, name: waits, version: '1.0.0'}
do:
  - wait: {wait: {seconds: 3600}}
";

fn found(world: &World, github: &str) -> Result<()> {
    world.prepare_main_job(github, TOKEN)?;
    world.writ(&["workspace", "set", "lab", "--secret-path", "local:lab/*"])?;
    let people = [
        ("bob", "approver", None),
        ("eve", "viewer", Some("secops")),
        ("dan", "builder", Some("lab")),
        ("ada", "administrator", Some("lab")),
        ("cyd", "owner", None),
    ];
    for (who, role, workspace) in people {
        world.writ(&["--session", who, "login", "--as", who])?;
        let bind = ["binding", "add", "--subject", who, "--role", role];
        let within = workspace.map(|name| ["--workspace", name]);
        world.writ(&[&bind[..], within.as_ref().map_or(&[], |words| &words[..])].concat())?;
    }
    let documents = [
        ("tell", asks("tell", 2, "PT1H")),
        ("tell-one", asks("tell-one", 1, "PT1H")),
        ("brief", asks("brief", 1, "PT2S")),
        ("echo", ECHO.to_owned()),
        ("waits", WAITS.to_owned()),
    ];
    for (name, text) in documents {
        let file = world.folder.join(format!("{name}.yaml"));
        fs::write(&file, text)?;
        world.writ(&["automation", "publish", &file.to_string_lossy()])?;
    }
    Ok(())
}

/// From now on two root keys sign together.
fn two_roots(world: &World) -> Result<Vec<SigningKey>> {
    let mut rotate = vec!["root".to_owned(), "rotate".to_owned()];
    let mut roots = Vec::new();
    for name in ["first", "second"] {
        let (key, public) = (format!("{name}.key"), format!("{name}.jwk"));
        let jwk = world.writ(&["root", "new", &key])?;
        fs::write(world.folder.join(&public), jwk)?;
        rotate.extend(["--new".to_owned(), public]);
        let pkcs8 = fs::read(world.folder.join(&key))?;
        roots.push(SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8)?);
    }
    rotate.extend(["--threshold", "2", "--root-key", ".writ/root.key"].map(str::to_owned));
    world.writ(&rotate.iter().map(String::as_str).collect::<Vec<_>>())?;
    ensure!(sources().join("packs/slack.json").exists(), "the sources are not here");
    Ok(roots)
}

/// Copies a folder and what is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for path in files(from)? {
        let target = to.join(path.strip_prefix(from)?);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(&path, target)?;
    }
    Ok(())
}

/// Every file below a folder.
fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut open = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
