//! Every start: the four parts as processes, started again when they end.
//!
//! Each part's process id stands in `run/<part>.pid`, for whoever wants to end one.

use std::{fs, path::Path, process::Stdio, time::Duration};

use tokio::{
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
};

use crate::{failure::Failure, output, place::Place};

/// How long before a part that ended is started again.
const RESTART: Duration = Duration::from_millis(200);
/// How long the parts may take to answer after a start, in tenths of a second.
const PATIENCE: u32 = 300;

/// The parts, while they run.
pub(super) struct Parts {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Parts {
    /// Asks every part to end, and waits for it.
    pub(super) async fn end(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts everything and waits until it answers.
pub(super) async fn start(place: &Place, isolation: Option<&str>) -> Result<Parts, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::because("executable", "cannot tell where `writ` is", &error))?;
    let run = place.folder.join("run");
    fs::create_dir_all(&run)
        .map_err(|error| Failure::because("dev", "cannot make the `run` folder", &error))?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for (name, arguments) in parts(place, isolation) {
        let mut command = Command::new(&own);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let pid = run.join(format!("{name}.pid"));
        tasks.spawn(supervise(name, command, pid, stopped.clone()));
    }
    let parts = Parts { stop, tasks };
    let settings = &place.settings;
    for origin in [&settings.issuer_url, &settings.server_url, &settings.gateway_url] {
        if !answers(origin).await {
            parts.end().await;
            return Err(Failure::new("dev", format!("`{origin}` does not answer; see above")));
        }
    }
    Ok(parts)
}

/// Settings of secret managers beside `local:`; read if they are there when the parts start.
const SECRET_MANAGERS: &str = "secret-managers.json";

/// Each part with the arguments that this same executable is started with.
fn parts(place: &Place, isolation: Option<&str>) -> [(&'static str, Vec<String>); 4] {
    let folder = |name: &str| place.folder.join(name).display().to_string();
    let settings = &place.settings;
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let tenant = settings.tenant.to_string();
    let idp = [
        ("--data", folder("idp")),
        ("--listen", address(&settings.issuer_url)),
        ("--issuer", settings.issuer_url.clone()),
    ];
    let server = [
        ("--data", folder("server")),
        ("--listen", address(&settings.server_url)),
        ("--public-url", settings.server_url.clone()),
        // Another provider on this machine may be tried out; nothing else is in reach.
        ("--issuer-cidr", "127.0.0.1/32".to_owned()),
    ];
    let gateway = [
        ("--tenant", tenant.clone()),
        ("--listen", address(&settings.gateway_url)),
        ("--public-url", settings.gateway_url.clone()),
        ("--link-listen", address(&settings.link_url)),
        ("--link-url", settings.link_url.clone()),
    ];
    let mut runner = vec![
        ("--tenant", tenant),
        ("--data", folder("runner")),
        ("--server-url", settings.server_url.clone()),
        ("--gateway-url", settings.link_url.clone()),
        ("--vault", folder("vault")),
        ("--vault-key", folder("vault.key")),
        ("--jail-state", folder("jail")),
    ];
    let managers = place.folder.join(SECRET_MANAGERS);
    if managers.exists() {
        runner.push(("--secret-managers", managers.display().to_string()));
    }
    runner.extend(isolation.map(|isolation| ("--isolation", isolation.to_owned())));
    [
        ("idp", words("dev-idp", &idp)),
        ("server", words("server", &server)),
        ("gateway", words("gateway", &gateway)),
        ("runner", words("runner", &runner)),
    ]
}

fn words(command: &str, options: &[(&str, String)]) -> Vec<String> {
    let mut words = vec![command.to_owned()];
    for (name, value) in options {
        words.extend([(*name).to_owned(), value.clone()]);
    }
    words
}

/// Keeps one part running until asked to end.
async fn supervise(
    name: &'static str,
    mut command: Command,
    pid_file: std::path::PathBuf,
    mut stop: watch::Receiver<bool>,
) {
    while !stopped(&stop) {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                output::say(format!("cannot start {name}: {error}"));
                tokio::time::sleep(RESTART).await;
                continue;
            }
        };
        write_pid(&pid_file, &child);
        tokio::select! {
            ended = child.wait() => {
                let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                output::say(format!("{name} ended ({how}); starting it again"));
                tokio::time::sleep(RESTART).await;
            }
            // A sender that is gone asks to end, too.
            _ = async { stop.wait_for(|stop| *stop).await.map(drop) } => {
                end(&mut child, patience(name)).await;
                return;
            }
        }
    }
}

fn stopped(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow()
}

fn write_pid(path: &Path, child: &Child) {
    let pid = child.id().map(|pid| pid.to_string()).unwrap_or_default();
    // For people and tests only.
    let _ = fs::write(path, pid);
}

/// How long a part has to end: a runner lets the steps end that are under way.
fn patience(name: &str) -> Duration {
    Duration::from_secs(if name == "runner" { 45 } else { 5 })
}

/// Asks a process to end, and insists after a while.
async fn end(child: &mut Child, patience: Duration) {
    if let Some(pid) = child.id() {
        // There is no safe way in the standard library to send another signal than SIGKILL.
        let _ = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await;
    }
    if tokio::time::timeout(patience, child.wait()).await.is_err() {
        // It is reaped when dropped.
        let _ = child.kill().await;
    }
}

async fn answers(origin: &str) -> bool {
    let Ok(http) = reqwest::Client::builder().no_proxy().build() else { return false };
    let url = format!("{origin}/healthz");
    for _ in 0..PATIENCE {
        if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}
