//! The services: control plane, gateway, runner; and the doctor.

use std::{fs, future::Future};

use tokio::{
    net::TcpListener,
    process::Command,
    signal::unix::{SignalKind, signal},
};
use writ_model::{IsolationMode, IsolationReport};

use super::Context;
use crate::{
    args::{GatewayArgs, RunnerArgs, ServerArgs},
    failure::Failure,
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

pub(super) async fn server(args: ServerArgs) -> Result<(), Failure> {
    let listener = listen(args.listen).await?;
    let ServerArgs { data, public_url, issuer_cidrs, listen: address } = args;
    let config = writ_server::Config { data, public_url, issuer_cidrs };
    tracing::info!(%address, "control plane serves");
    writ_server::serve(config, listener, stopped()?)
        .await
        .map_err(|error| Failure::because("server", "the control plane ended", &error))
}

pub(super) async fn gateway(args: GatewayArgs) -> Result<(), Failure> {
    let public = listen(args.listen).await?;
    let link = listen(args.link_listen).await?;
    let config = writ_gateway::Config {
        ten: args.tenant,
        link_url: args.link_url,
        public_url: args.public_url,
    };
    tracing::info!(address = %args.listen, "gateway serves");
    writ_gateway::serve(config, public, link, stopped()?)
        .await
        .map_err(|error| Failure::because("gateway", "the gateway ended", &error))
}

pub(super) async fn runner(args: RunnerArgs) -> Result<(), Failure> {
    let degraded = args.isolation.is_some();
    if degraded {
        output::say("DEGRADED ISOLATION: for development only, and written in every receipt");
    }
    let launch = writ_runner::Launch {
        executable: jail_executable()?,
        state: args.jail_state.join("state"),
        vault: args.vault,
        vault_key: args.vault_key,
        degraded,
    };
    fs::create_dir_all(&args.jail_state)
        .map_err(|error| Failure::because("jail", "cannot make the jail's folder", &error))?;
    let config = writ_runner::Config {
        data: args.data,
        ten: args.tenant,
        server_url: args.server_url,
        gateway_url: args.gateway_url,
        launch,
    };
    writ_runner::serve(config, stopped()?)
        .await
        .map_err(|error| Failure::because("runner", "the runner ended", &error))
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
