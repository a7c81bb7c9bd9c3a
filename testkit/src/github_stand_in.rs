//! A stand-in for GitHub and, on the same port, for Slack: the few routes that the packs call, on
//! loopback, in memory.
//!
//! It checks the token, answers in GitHub's shapes, counts what it is asked, and misbehaves on
//! request: rate limits, echoes of the credential, redirects. It says in every answer's `Server`
//! header what it is.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// What it calls itself.
pub const SERVER: &str = "github-stand-in";

/// The one bot token that the stand-in for Slack takes.
pub const SLACK_TOKEN: &str = "xoxb-canary-0123456789-abcdefghijkl";

/// How it is to misbehave.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// This many requests are answered 429 with `Retry-After: 1` before any other.
    pub rate_limited: u32,
    /// The credential stands in the answer's texts, raw and as base64.
    pub echo: bool,
    /// Every request is redirected here.
    pub redirect_to: Option<String>,
    /// Repositories are public until they are made private.
    pub public: bool,
    /// This many requests are answered with this status before any other.
    pub failing: Option<(u32, u16)>,
    /// Milliseconds that creating an issue takes, before and after it is created.
    pub slow_ms: u64,
}

#[derive(Debug, Default)]
struct Memory {
    script: Script,
    requests: BTreeMap<String, u32>,
    last: Option<std::time::Instant>,
    issues: Vec<Value>,
    messages: Vec<Value>,
    authorizations: Vec<String>,
}

/// The stand-in, while it serves.
pub struct GithubStandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    token: String,
    memory: Mutex<Memory>,
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GithubStandIn {
    /// Serves on a free port of loopback, and takes this token only.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn start(token: &str) -> Result<Self> {
        Self::start_at(std::net::Ipv4Addr::LOCALHOST.into(), token).await
    }

    /// Serves on a free port of an address of a network namespace that a test made.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn start_at(ip: std::net::IpAddr, token: &str) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { token: token.to_owned(), memory: Mutex::new(Memory::default()) });
        let routes = Router::new()
            .route("/repos/{owner}/{repo}", get(repository).patch(update_repository))
            .route("/repos/{owner}/{repo}/issues", get(list_issues).post(create_issue))
            .route("/api/chat.postMessage", post(post_message))
            .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It serves until it is dropped.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, shared, serving })
    }

    /// Where it serves.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets how it is to misbehave from now on.
    pub fn script(&self, script: Script) {
        self.shared.memory().script = script;
    }

    /// The issues that were created, oldest first.
    #[must_use]
    pub fn issues(&self) -> Vec<Value> {
        self.shared.memory().issues.clone()
    }

    /// The messages that were posted to Slack, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        self.shared.memory().messages.clone()
    }

    /// How often a route was asked, such as `GET /repos/o/r`.
    #[must_use]
    pub fn requests(&self, route: &str) -> u32 {
        self.shared.memory().requests.get(route).copied().unwrap_or(0)
    }

    /// When it was last asked anything.
    #[must_use]
    pub fn last_request(&self) -> Option<std::time::Instant> {
        self.shared.memory().last
    }

    /// How often it was asked anything.
    #[must_use]
    pub fn all_requests(&self) -> u32 {
        self.shared.memory().requests.values().sum()
    }
}

impl Drop for GithubStandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Counts, rate-limits, redirects, and checks the token, as GitHub would before anything else.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let route = format!("{} {}", request.method(), request.uri().path());
    let authorization = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let (limited, redirect) = {
        let mut memory = shared.memory();
        *memory.requests.entry(route).or_default() += 1;
        memory.last = Some(std::time::Instant::now());
        memory.authorizations.push(authorization.clone());
        let limited = memory.script.rate_limited > 0;
        memory.script.rate_limited = memory.script.rate_limited.saturating_sub(1);
        (limited, memory.script.redirect_to.clone())
    };
    let failing = {
        let mut memory = shared.memory();
        let failing = memory.script.failing.filter(|(times, _)| *times > 0);
        memory.script.failing = failing.map(|(times, status)| (times - 1, status));
        failing.and_then(|(_, status)| StatusCode::from_u16(status).ok())
    };
    let mut response = if let Some(status) = failing {
        (status, Json(json!({ "message": "canary in an error page" }))).into_response()
    } else if limited {
        let body = Json(json!({ "message": "API rate limit exceeded" }));
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], body).into_response()
    } else if let Some(location) = redirect {
        (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
    } else if request.uri().path().starts_with("/api/") {
        // Slack answers for itself, always with 200.
        next.run(request).await
    } else if authorization != format!("Bearer {}", shared.token) {
        let body = Json(json!({ "message": "Bad credentials" }));
        (StatusCode::UNAUTHORIZED, body).into_response()
    } else {
        next.run(request).await
    };
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static(SERVER));
    response
}

fn echoed(shared: &Shared, headers: &HeaderMap, otherwise: &str) -> String {
    if !shared.memory().script.echo {
        return otherwise.to_owned();
    }
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    format!("{token} {}", STANDARD.encode(token))
}

async fn repository(
    State(shared): State<Arc<Shared>>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
) -> Json<Value> {
    let public = shared.memory().script.public;
    Json(json!({
        "id": 1, "name": repo, "full_name": format!("{owner}/{repo}"), "private": !public,
        "visibility": if public { "public" } else { "private" }, "archived": false, "disabled": false, "fork": false,
        "default_branch": echoed(&shared, &headers, "main"),
        "html_url": format!("https://github.com/{owner}/{repo}"),
        "open_issues_count": 0, "stargazers_count": 0, "pushed_at": "2026-11-20T09:00:00Z",
        "owner": { "login": owner }, "undeclared": "this never leaves the cell",
    }))
}

async fn update_repository(
    State(shared): State<Arc<Shared>>,
    path: Path<(String, String)>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Json<Value> {
    if let Some(private) = asked["private"].as_bool() {
        shared.memory().script.public = !private;
    }
    repository(State(shared), path, headers).await
}

async fn list_issues(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(Value::Array(shared.memory().issues.clone()))
}

async fn create_issue(
    State(shared): State<Arc<Shared>>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Response {
    let slow = std::time::Duration::from_millis(shared.memory().script.slow_ms);
    tokio::time::sleep(slow).await;
    let Some(title) = asked["title"].as_str() else {
        let body = Json(json!({ "message": "Validation Failed" }));
        return (StatusCode::UNPROCESSABLE_ENTITY, body).into_response();
    };
    let shown = echoed(&shared, &headers, title);
    let issue = {
        let mut memory = shared.memory();
        let number = memory.issues.len() + 1;
        let issue = json!({
            "id": 1000 + number, "number": number, "state": "open", "title": shown,
            "body": asked["body"], "labels": asked["labels"],
            "html_url": format!("https://github.com/{owner}/{repo}/issues/{number}"),
        });
        memory.issues.push(issue.clone());
        issue
    };
    tokio::time::sleep(slow).await;
    (StatusCode::CREATED, Json(issue)).into_response()
}

/// `chat.postMessage`, as strict as Slack's documentation: 200 with a verdict, whatever happens.
async fn post_message(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Json<Value> {
    let refused = |error: &str| Json(json!({ "ok": false, "error": error }));
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorization != Some(&format!("Bearer {SLACK_TOKEN}")) {
        return refused("invalid_auth");
    }
    let known = ["channel", "text", "thread_ts", "unfurl_links", "unfurl_media"];
    let members = asked.as_object();
    if members.is_none_or(|members| members.keys().any(|name| !known.contains(&name.as_str()))) {
        return refused("invalid_arguments");
    }
    let (Some(channel), Some(text)) = (asked["channel"].as_str(), asked["text"].as_str()) else {
        return refused("no_text");
    };
    if channel == "#nowhere" {
        return refused("channel_not_found");
    }
    let text = echoed(&shared, &headers, text);
    let mut memory = shared.memory();
    memory.messages.push(asked.clone());
    let ts = format!("1764000000.{:06}", memory.messages.len());
    Json(json!({ "ok": true, "channel": "C0123456789", "ts": ts, "message": { "text": text } }))
}
