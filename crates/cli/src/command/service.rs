//! The services: control plane, gateway, runner; and the doctor.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
};

use tokio::{
    net::TcpListener,
    process::Command,
    signal::unix::{SignalKind, signal},
};
use writ_api::{Listening, TlsFiles, Transport};
use writ_model::{IsolationMode, IsolationReport};
use writ_runner::{JailFiles, JailPlace};

use super::Context;
use crate::{
    args::{ConfigCommand, GatewayArgs, RunnerArgs, ServerArgs, TransportArgs},
    config_file,
    failure::Failure,
    join_file::{self, JoinFile},
    output,
    place::jail_executable,
};

/// Resolves when the process is asked to end.
pub(crate) fn stopped() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let failed = |error| Failure::because("signals", "cannot listen for signals", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Listens on an address.
pub(crate) async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::because("listen", &format!("cannot listen on {address}"), &error))
}

/// Listens on an address as the arguments say.
async fn on(args: &TransportArgs, address: std::net::SocketAddr) -> Result<Listening, Failure> {
    let transport = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => {
            Transport::Tls(TlsFiles { certificate: certificate.clone(), key: key.clone() })
        }
        _ if args.behind_proxy => Transport::BehindProxy,
        _ => Transport::Loopback,
    };
    transport.listen(listen(address).await?).map_err(|error| {
        Failure::because("listen", "cannot serve", &error)
            .with_remedy("give --tls-certificate and --tls-key; plaintext is for loopback")
    })
}

pub(super) async fn server(args: ServerArgs) -> Result<(), Failure> {
    let ServerArgs { config, data, public_url, issuer_cidrs, transport, listen: address } = args;
    tell(config.as_deref());
    let listener = on(&transport, address).await?;
    let config = writ_server::Config { data, public_url, issuer_cidrs };
    tracing::info!(%address, "control plane serves");
    writ_server::serve(config, listener, stopped()?)
        .await
        .map_err(|error| Failure::because(error.code(), "the control plane ended", &error))
}

pub(super) async fn gateway(args: GatewayArgs) -> Result<(), Failure> {
    tell(args.config.as_deref());
    let public = on(&args.transport, args.listen).await?;
    let link = on(&args.transport, args.link_listen).await?;
    let (ten, link_url, public_url) = match &args.join {
        Some(path) => {
            let join: JoinFile = join_file::read(path)?;
            (join.ten, join.link_url, join.gateway_url)
        }
        None => (
            args.tenant.ok_or_else(|| missing("--tenant"))?,
            args.link_url.ok_or_else(|| missing("--link-url"))?,
            args.public_url.ok_or_else(|| missing("--public-url"))?,
        ),
    };
    let config = writ_gateway::Config { ten, link_url, public_url };
    tracing::info!(address = %args.listen, "gateway serves");
    writ_gateway::serve(config, public, link, stopped()?)
        .await
        .map_err(|error| Failure::because("gateway", "the gateway ended", &error))
}

pub(super) async fn runner(args: RunnerArgs) -> Result<(), Failure> {
    tell(args.config.as_deref());
    let degraded = args.isolation.is_some();
    if degraded {
        output::say("DEGRADED ISOLATION: for development only, and written in every receipt");
    }
    let launch =
        writ_runner::Launch { executable: jail_executable()?, jail: jail_place(&args)?, degraded };
    if let Some(path) = &args.enroll {
        return enroll(path, &args.data, &launch, args.anew).await;
    }
    let config = match &args.join {
        Some(path) => {
            let join: JoinFile = join_file::read(path)?;
            writ_runner::Config {
                data: args.data,
                ten: join.ten,
                head: Some((join.head.seq, join.head.digest)),
                server_url: join.server_url,
                gateway_url: Some(join.link_url),
                ca: join.ca.map(String::into_bytes),
                launch,
            }
        }
        None => writ_runner::Config {
            data: args.data,
            ten: args.tenant.ok_or_else(|| missing("--tenant"))?,
            head: None,
            server_url: args.server_url.ok_or_else(|| missing("--server-url"))?,
            gateway_url: args.gateway_url,
            ca: None,
            launch,
        },
    };
    writ_runner::serve(config, stopped()?)
        .await
        .map_err(|error| Failure::because(error.code(), "the runner ended", &error))
}

/// Where the jail is: behind a socket, or in files of this process's user.
fn jail_place(args: &RunnerArgs) -> Result<JailPlace, Failure> {
    if let Some(path) = &args.jail_socket {
        let user = args.jail_user.as_deref().ok_or_else(|| missing("--jail-user"))?;
        let user = writ_confine::uid_of(user)
            .map_err(|error| Failure::because("jail-user", "who is the jail's user?", &error))?;
        return Ok(JailPlace::Socket { path: path.clone(), user });
    }
    let given = |option: &Option<PathBuf>, name| option.clone().ok_or_else(|| missing(name));
    let folder = given(&args.jail_state, "--jail-state")?;
    fs::create_dir_all(&folder)
        .map_err(|error| Failure::because("jail", "cannot make the jail's folder", &error))?;
    Ok(JailPlace::Spawned(JailFiles {
        state: folder.join("state"),
        vault: given(&args.vault, "--vault")?,
        vault_key: given(&args.vault_key, "--vault-key")?,
        secret_managers: args.secret_managers.clone(),
    }))
}

/// Makes the keys of runner and jail and writes what the charter is asked to enroll.
async fn enroll(
    path: &Path,
    data: &Path,
    launch: &writ_runner::Launch,
    anew: bool,
) -> Result<(), Failure> {
    let request = writ_runner::enrollment(data, launch, anew).await.map_err(|error| {
        Failure::because("jail", "the jail did not start", &error)
            .with_remedy("run `writ doctor` for what is missing")
    })?;
    join_file::write(path, &request)?;
    output::say(format!("runner {}: next, `writ init --enrollment …` with this file", request.id));
    output::line(request.jail_key.thumbprint().to_string())
}

/// Says where the options are from.
fn tell(config: Option<&Path>) {
    if let Some(file) = config {
        tracing::info!(file = %file.display(), "configured");
    }
}

pub(super) fn config(context: &Context, command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check { file } => {
            let services = config_file::checked(&file)?;
            if context.json {
                return output::json(&services);
            }
            output::line(format!("configures {}", services.join(", ")))
        }
        ConfigCommand::Example => output::line(config_file::example()),
    }
}

fn missing(option: &str) -> Failure {
    Failure::new("usage", format!("`{option}` is missing"))
}

/// Asks `writ-jail`, which is single-threaded and so can try everything out.
pub(super) async fn doctor(context: &Context) -> Result<(), Failure> {
    let examined = Command::new(jail_executable()?)
        .arg("doctor")
        .output()
        .await
        .map_err(|error| Failure::because("jail", "cannot start `writ-jail`", &error))?;
    let report: IsolationReport = serde_json::from_slice(&examined.stdout).map_err(|_| {
        let cause = String::from_utf8_lossy(&examined.stderr).trim().to_owned();
        Failure::new("doctor", format!("`writ-jail` could not examine this machine: {cause}"))
    })?;
    if context.json {
        output::json(&report)?;
    } else {
        output::line(report.to_string())?;
    }
    if report.mode == IsolationMode::Full {
        return Ok(());
    }
    Err(Failure::new("isolation", "this machine cannot confine a jail fully")
        .with_remedy("mend what the report above calls missing"))
}
