//! A world of real executables: a `writ dev` in a folder of its own, driven by the command line.
//!
//! Everything that is started is ended when the world is dropped, by process id.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    github_stand_in::SLACK_TOKEN,
    identity_provider::{IdentityProvider, log_in_by},
};

/// How long `writ dev` may take to be ready.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// A tenant with its processes.
pub struct World {
    /// The folder; `.writ` is in it.
    pub folder: PathBuf,
    writ: PathBuf,
    dev: Option<Child>,
    keep: bool,
    verbose: bool,
    environment: Vec<(String, String)>,
}

/// The folder of the built executables: `WRIT_BIN_DIR`, or beside the running test.
///
/// # Errors
///
/// They were not built; `cargo build --bins` does.
pub fn executables() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("WRIT_BIN_DIR") {
        return Ok(folder.into());
    }
    let own = std::env::current_exe()?;
    let found = own.ancestors().find(|folder| folder.join("writ-jail").exists());
    found.map(Path::to_path_buf).context("no `writ-jail` above the test; run `cargo build --bins`")
}

/// The folder of parts from package registries.
///
/// # Errors
///
/// `WRIT_PARTS` is not set.
pub fn parts() -> Result<PathBuf> {
    let parts = std::env::var_os("WRIT_PARTS");
    Ok(parts.context("WRIT_PARTS is not set; run the tests through `cargo xtask test`")?.into())
}

/// The root of the sources.
#[must_use]
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

impl World {
    /// Makes a folder and starts `writ dev` in it.
    ///
    /// # Errors
    ///
    /// It did not become ready.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_with(name, |_| Ok(()))
    }

    /// Starts `writ dev` with everything logged and with core dumps allowed, for a hunt.
    ///
    /// # Errors
    ///
    /// It did not become ready.
    pub fn start_verbose(name: &str) -> Result<Self> {
        Self::make(name, true, &[], |_| Ok(()))
    }

    /// As [`Self::start_with`], with these variables in the environment of `writ dev`.
    ///
    /// # Errors
    ///
    /// It did not become ready.
    pub fn start_in(
        name: &str,
        environment: &[(&str, &str)],
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        Self::make(name, false, environment, prepare)
    }

    /// Makes a folder, lets `prepare` put files into its `.writ` before anything starts, and starts
    /// `writ dev` in it. A folder that is there before `writ dev` is taken as it is.
    ///
    /// # Errors
    ///
    /// It did not become ready.
    pub fn start_with(name: &str, prepare: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        Self::make(name, false, &[], prepare)
    }

    /// Makes an empty folder and starts nothing, for an installation whose parts somebody else starts.
    ///
    /// # Errors
    ///
    /// The folder can't be made, or nothing was built.
    pub fn without_dev(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("writ-{name}-{}", std::process::id()));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let writ = executables()?.join("writ");
        let (keep, verbose, environment) = (false, false, Vec::new());
        Ok(Self { folder, writ, dev: None, keep, verbose, environment })
    }

    fn make(
        name: &str,
        verbose: bool,
        environment: &[(&str, &str)],
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let mut world = Self::without_dev(name)?;
        fs::create_dir_all(world.folder.join(".writ"))?;
        prepare(&world.folder.join(".writ"))?;
        world.verbose = verbose;
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        world.environment = environment.collect();
        world.start_dev()?;
        Ok(world)
    }

    /// Starts `writ dev` and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It did not become ready.
    pub fn start_dev(&mut self) -> Result<()> {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.folder.join("dev.log"))?;
        let before = log.metadata()?.len();
        let mut command = Command::new("sh");
        // The shell is replaced: the process id is that of `writ dev`.
        let limit = if self.verbose { "ulimit -c unlimited; " } else { "" };
        command.arg("-c").arg(format!("{limit}exec \"$0\" dev")).arg(&self.writ);
        if self.verbose {
            command.env("WRIT_LOG", "trace");
        }
        command.envs(self.environment.clone());
        let child = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.writ.display()))?;
        self.dev = Some(child);
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let log = fs::read(self.folder.join("dev.log"))?;
            let new = log.get(usize::try_from(before)?..).unwrap_or_default();
            if String::from_utf8_lossy(new).contains("writ dev is ready") {
                return Ok(());
            }
            let ended = self.dev.as_mut().is_some_and(|dev| !matches!(dev.try_wait(), Ok(None)));
            if ended || Instant::now() > deadline {
                bail!("`writ dev` is not ready:\n{}", String::from_utf8_lossy(new));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends `writ dev` and everything that it started.
    ///
    /// # Errors
    ///
    /// It could not be waited for.
    pub fn stop_dev(&mut self) -> Result<()> {
        if let Some(mut dev) = self.dev.take() {
            Command::new("kill").arg("-TERM").arg(dev.id().to_string()).status()?;
            dev.wait()?;
        }
        Ok(())
    }

    /// The process id of a part, such as `runner`.
    ///
    /// # Errors
    ///
    /// It is not running.
    pub fn pid(&self, part: &str) -> Result<u32> {
        let path = self.folder.join(".writ/run").join(format!("{part}.pid"));
        Ok(fs::read_to_string(path)?.trim().parse()?)
    }

    /// `kill -9` of a part, which `writ dev` then starts again.
    ///
    /// # Errors
    ///
    /// It is not running.
    pub fn kill(&self, part: &str) -> Result<()> {
        Command::new("kill").arg("-9").arg(self.pid(part)?.to_string()).status()?;
        Ok(())
    }

    /// `kill -9` of a process that this world's parts started.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn kill_pid(&self, pid: u32) -> Result<()> {
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).output()?;
        ensure!(killed.status.success(), "process {pid} is gone");
        Ok(())
    }

    /// A process of the jail's: `launcher-a`, `launcher-b`, `jail` (launcher A's oldest child) or a
    /// `cell` (any younger one).
    #[must_use]
    pub fn jail_process(&self, which: &str) -> Option<u32> {
        let launchers = children(self.pid("runner").ok()?);
        let launcher = |name: &str| {
            launchers.iter().copied().find(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0).any(|word| word == name.as_bytes())
            })
        };
        match which {
            "jail" => children(launcher("launcher-a")?).first().copied(),
            "cell" => children(launcher("launcher-a")?).get(1).copied(),
            name => launcher(name),
        }
    }

    /// A setting of the folder's, as `writ dev` or `writ join` wrote it.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn setting(&self, name: &str) -> Result<String> {
        let settings = self.settings()?;
        let value = settings.get(name).and_then(toml::Value::as_str);
        Ok(value.with_context(|| format!("no setting `{name}`"))?.to_owned())
    }

    /// Certificates of the private CA that the folder's settings name, as PEM.
    ///
    /// # Errors
    ///
    /// They can't be read.
    pub fn private_ca(&self) -> Result<Option<Vec<u8>>> {
        let settings = self.settings()?;
        let file = settings.get("ca_file").and_then(toml::Value::as_str);
        Ok(file.map(|file| fs::read(self.folder.join(".writ").join(file))).transpose()?)
    }

    fn settings(&self) -> Result<toml::Table> {
        let file = |name: &str| self.folder.join(".writ").join(name);
        let joined = file("tenant.toml");
        let path = if joined.exists() { joined } else { file("dev.toml") };
        Ok(fs::read_to_string(path)?.parse()?)
    }

    /// Runs `writ` with these words, whatever comes of it.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn try_writ(&self, words: &[&str], stdin: &[u8]) -> Result<Output> {
        self.try_writ_with(words, stdin, &[])
    }

    /// As [`Self::try_writ`], with variables in its environment.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn try_writ_with(
        &self,
        words: &[&str],
        stdin: &[u8],
        variables: &[(&str, &str)],
    ) -> Result<Output> {
        let mut child = Command::new(&self.writ)
            .args(words)
            .envs(variables.iter().copied())
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            // A command that reads nothing closes the pipe.
            let _ = pipe.write_all(stdin);
        }
        Ok(child.wait_with_output()?)
    }

    /// Runs `writ`, which must succeed; returns its stdout.
    ///
    /// # Errors
    ///
    /// It failed; the error holds what it said.
    pub fn writ(&self, words: &[&str]) -> Result<String> {
        let output = self.try_writ(words, b"")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "writ {}: {}\n{said}", words.join(" "), output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs `writ`, which must be refused; returns what it said.
    ///
    /// # Errors
    ///
    /// It succeeded.
    pub fn refused(&self, words: &[&str]) -> Result<String> {
        let output = self.try_writ(words, b"")?;
        ensure!(!output.status.success(), "writ {} succeeded", words.join(" "));
        Ok(String::from_utf8(output.stderr)?)
    }

    /// Logs the owner in, makes workspace, secret and connection, and publishes the main job.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn prepare_main_job(&self, github: &str, token: &str) -> Result<()> {
        self.writ(&["login"])?;
        self.prepare_main_job_as_owner(github, token)
    }

    /// As [`Self::prepare_main_job`], for an owner who is logged in.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn prepare_main_job_as_owner(&self, github: &str, token: &str) -> Result<()> {
        let paths = ["--secret-path", "local:github/*", "--secret-path", "local:slack/*"];
        self.writ(&[&["workspace", "set", "secops"], &paths[..]].concat())?;
        for (service, token) in [("github", token), ("slack", SLACK_TOKEN)] {
            let reference = format!("local:{service}/token");
            let put = self.try_writ(&["secret", "put", &reference], token.as_bytes())?;
            ensure!(put.status.success(), "secret put failed");
            self.connect(service, github, &reference)?;
        }
        let document = sources().join("examples/leaked-secret/automation.yaml");
        self.writ(&["automation", "publish", &document.to_string_lossy()])?;
        Ok(())
    }

    /// Has root keys sign that an identity provider is believed.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn believe(&self, provider: &IdentityProvider, more: &[&str]) -> Result<()> {
        let port = provider.callback_port.to_string();
        let mut words = vec!["issuer", "set", &provider.iss, "--client-id", "writ"];
        words.extend(["--root-key", ".writ/root.key", "--allow-cidr", "127.0.0.1/32"]);
        words.extend(["--callback-port", &port]);
        if let Some(scope) = provider.groups_scope {
            words.extend(["--scope", scope, "--groups-claim", "groups"]);
        }
        words.extend(more);
        self.writ(&words).map(drop)
    }

    /// Logs in at a provider with a browser, as session `name`; returns the subject.
    ///
    /// # Errors
    ///
    /// The provider or `writ login` refuses.
    pub async fn log_in_at(&self, provider: &IdentityProvider, name: &str) -> Result<String> {
        self.log_in_with(provider, name, &["--no-browser"], &[]).await
    }

    /// As [`Self::log_in_at`], with more words and variables; a code that is shown is entered.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn log_in_with(
        &self,
        provider: &IdentityProvider,
        name: &str,
        words: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<String> {
        let mut command = Command::new(&self.writ);
        command
            .args(["login", "--session", name, "--issuer", &provider.iss])
            .args(words)
            .envs(variables.iter().copied())
            .current_dir(&self.folder);
        let rest = log_in_by(command, words.contains(&"--device"), name).await?;
        let marker = format!("logged in as {}#", provider.iss);
        let subject = rest.split_once(&marker).and_then(|(_, rest)| rest.split_once(' '));
        Ok(subject.with_context(|| format!("no subject in: {rest}"))?.0.to_owned())
    }

    /// Makes the connection `secops/<name>` to a host on loopback, with a bearer token kept there.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn connect(&self, name: &str, host: &str, reference: &str) -> Result<()> {
        let name = format!("secops/{name}");
        let loopback = ["--plaintext", "--allow-cidr", "127.0.0.1/32"];
        let words = ["connection", "set", &name, "--host", host, "--secret", reference];
        self.writ(&[&words[..], &loopback[..]].concat()).map(drop)
    }

    /// Starts the main job with this input, waits, and returns its output.
    ///
    /// # Errors
    ///
    /// It did not complete.
    pub fn run_main_job(&self, input: &Value) -> Result<Value> {
        let words = ["run", "start", "secops/leaked-secret", "--input", "-", "--wait"];
        let output = self.try_writ(&words, input.to_string().as_bytes())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the run did not complete: {said}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Everything that every part has logged.
    ///
    /// # Errors
    ///
    /// The log can't be read.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join("dev.log"))?)
    }

    /// Leaves processes and folder when the world is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// The executable `writ`.
    #[must_use]
    pub fn executable(&self) -> &Path {
        &self.writ
    }

    /// The process id of `writ dev`.
    #[must_use]
    pub fn dev_pid(&self) -> Option<u32> {
        self.dev.as_ref().map(Child::id)
    }
}

/// The children of a process, oldest first.
fn children(parent: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let mut pids: Vec<u32> =
        listed.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

impl Drop for World {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // Nothing more can be done about what does not end.
        let _ = self.stop_dev();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
