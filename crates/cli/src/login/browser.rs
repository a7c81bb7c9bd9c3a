//! A login in the person's browser; the answer comes to a listener on loopback (RFC 8252 §7.3).
//!
//! Invariants: the listener is bound before the browser opens, takes one answer to this very
//! request, and is gone after it or after [`PATIENCE`]; its page says nothing that came with the answer.

use std::{net::Ipv4Addr, process::Stdio, time::Duration};

use axum::{
    Router,
    extract::{OriginalUri, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::mpsc};
use url::Url;

use super::{
    Request,
    provider::{Provider, Tokens},
};
use crate::{args::LoginArgs, failure::Failure, output};

/// How long a person may take.
const PATIENCE: Duration = Duration::from_mins(5);
const PAGE: &str = "<!doctype html><meta charset=utf-8><title>Writ</title>\
<p>Writ has the answer. This page can be closed.";

/// Opens the browser, waits for the answer, redeems the code.
pub(super) async fn authorize(
    provider: &Provider,
    request: &Request,
    args: &LoginArgs,
) -> Result<Tokens, Failure> {
    let port = args.callback_port.unwrap_or(provider.issuer.callback_port);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        Failure::because("login", "cannot listen on loopback for the answer", &error)
            .with_remedy("end what uses the port, or name another with --callback-port")
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::because("login", "cannot tell the listener's port", &error))?;
    let redirect_uri = format!("http://127.0.0.1:{}/callback", address.port());
    let url = provider.authorization_url(request, &redirect_uri);
    output::say("log in with your browser at:");
    output::say(url.as_str());
    if !args.no_browser {
        open(&url);
    }
    let code = answer(listener, &redirect_uri, provider, request).await?;
    provider.redeem(&code, request, &redirect_uri).await
}

async fn answer(
    listener: TcpListener,
    redirect_uri: &str,
    provider: &Provider,
    request: &Request,
) -> Result<String, Failure> {
    let (sender, mut answers) = mpsc::channel::<Url>(8);
    let base: Url = redirect_uri
        .parse()
        .map_err(|_| Failure::new("login", "the redirect address is malformed"))?;
    let routes = Router::new().route("/callback", get(callback)).with_state((base, sender));
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let redirect = answers.recv().await?;
            match provider.code_in(&redirect, request) {
                // Another program on this machine may call here: its calls are passed over.
                Err(_) if !is_ours(&redirect, request) => {}
                verdict => return Some(verdict),
            }
        }
    });
    let waited = waited.await;
    // The page is on its way; a moment later nothing listens.
    tokio::time::sleep(Duration::from_millis(100)).await;
    serving.abort();
    match waited {
        Ok(Some(verdict)) => verdict,
        Ok(None) => Err(Failure::new("login", "the listener for the answer has ended")),
        Err(_) => Err(Failure::new("login", "nobody logged in within five minutes")),
    }
}

fn is_ours(redirect: &Url, request: &Request) -> bool {
    redirect.query_pairs().any(|(name, value)| name == "state" && value == request.state.as_str())
}

async fn callback(
    State((base, answers)): State<(Url, mpsc::Sender<Url>)>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let mut redirect = base;
    redirect.set_query(uri.query());
    if answers.try_send(redirect).is_err() {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE).into_response()
}

/// Opens the browser, if the machine has the usual command for it; the address is shown anyway.
fn open(url: &Url) {
    let command = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Command::new(command)
        .arg(url.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if quiet.is_err() {
        output::say("(no browser could be opened here: open the address yourself)");
    }
}
