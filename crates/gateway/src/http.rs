//! Routes of the gateway: the second origin for readers and webhooks, the link for the runner.
//!
//! The second origin never serves HTML: JSON with `nosniff` and a sandboxing policy, so that no
//! content can borrow anybody's key (DESIGN §2).

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};
use writ_api::{
    GatewayHeard, GatewayHello, GatewayOperation, GatewayReply, GatewayTake, IDC_HEADER,
    LinkOperation, PROBLEM_TYPE, PROOF_HEADER, Problem, PushEntries, RUNNER_HEADER, ReadWhat, Verb,
};
use writ_evidence::{idc::UnverifiedIdc, json, proof::ExpectedRequest};
use writ_model::{
    RunId, RunnerId, WebhookPath,
    limits::{CHARTER_PUSH_MAX, LINK_MESSAGE_MAX, RUN_INPUT_MAX},
};

use crate::flow::{Asked, AskedCharter, Delivered, Reads};

/// How long the body of a webhook, or of a push, may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Most bytes of a webhook's headers.
const WEBHOOK_HEADERS_MAX: usize = 16 * 1024;

struct Origin {
    reads: Arc<Reads>,
    url: String,
}

/// What readers reach: a route for each operation.
pub(crate) fn public_routes(reads: Arc<Reads>, url: String) -> Router {
    let mut router = Router::new();
    for operation in GatewayOperation::ALL {
        let method = filter(operation.verb());
        let served = match operation {
            GatewayOperation::Health => on(method, || async { "ok" }),
            GatewayOperation::ReadOutput => on(method, output),
            GatewayOperation::ReadApproval => on(method, approval),
            GatewayOperation::ReadCharter => on(method, charter),
            GatewayOperation::PushCharter => on(method, push),
            GatewayOperation::TakeWebhook => on(method, webhook),
        };
        router = router.route(operation.path(), served);
    }
    router.with_state(Arc::new(Origin { reads, url }))
}

/// What the runner reaches: a route for each operation.
pub(crate) fn link_routes(reads: Arc<Reads>, url: String) -> Router {
    let mut router = Router::new();
    for operation in LinkOperation::ALL {
        let method = filter(operation.verb());
        let served = match operation {
            LinkOperation::Hello => on(method, hello),
            LinkOperation::Take => on(method, take),
            LinkOperation::Reply => on(method, reply),
        };
        router = router.route(operation.path(), served);
    }
    router
        .layer(DefaultBodyLimit::max(LINK_MESSAGE_MAX))
        .with_state(Arc::new(Origin { reads, url }))
}

const fn filter(verb: Verb) -> MethodFilter {
    match verb {
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Put => MethodFilter::PUT,
    }
}

struct Failure(Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        harden(&mut response, PROBLEM_TYPE);
        response
    }
}

fn harden(response: &mut Response, content_type: &'static str) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// `GET /v1/runs/{run}/output`.
async fn output(
    State(origin): State<Arc<Origin>>,
    Path(run): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    answer(&origin, &run, &headers, ReadWhat::Output).await
}

/// `GET /v1/runs/{run}/approval`.
async fn approval(
    State(origin): State<Arc<Origin>>,
    Path(run): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    answer(&origin, &run, &headers, ReadWhat::Approval).await
}

/// Asks the runner: nothing is verified here; the jail does it.
async fn answer(
    origin: &Origin,
    run: &str,
    headers: &HeaderMap,
    what: ReadWhat,
) -> Result<Response, Failure> {
    let run: RunId = run.parse().map_err(|_| {
        Problem::new(404, "run-unknown", "there is no such run, or you may not see it")
    })?;
    let part = match what {
        ReadWhat::Output => "output",
        ReadWhat::Approval => "approval",
    };
    let asked = Asked {
        run,
        what,
        idc: credential(headers)?,
        proof: text(headers, PROOF_HEADER)?.to_owned(),
        method: "GET".to_owned(),
        url: format!("{}/v1/runs/{run}/{part}", origin.url.trim_end_matches('/')),
    };
    answered(origin.reads.ask(asked).await)
}

/// Whose request it is, as the header says; nothing of it is verified here.
fn credential(headers: &HeaderMap) -> Result<UnverifiedIdc, Problem> {
    let malformed = || Problem::new(401, "not-authenticated", "the credential header is malformed");
    let idc = URL_SAFE_NO_PAD.decode(text(headers, IDC_HEADER)?).map_err(|_| malformed())?;
    json::parse_as(&idc).map_err(|_| malformed())
}

/// Where a page of the charter starts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    from: u64,
}

/// `GET /v1/charter?from=<seq>`: asks the runner; the jail says who may.
async fn charter(
    State(origin): State<Arc<Origin>>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let malformed =
        |_| Problem::new(404, "route-unknown", "nothing is served at this address, or not so");
    let Query(Page { from }) = page.map_err(malformed)?;
    let asked = AskedCharter {
        from,
        idc: credential(&headers)?,
        proof: text(&headers, PROOF_HEADER)?.to_owned(),
        url: format!("{}/v1/charter", origin.url.trim_end_matches('/')),
    };
    answered(origin.reads.ask_charter(asked).await)
}

/// `POST /v1/charter`: only form and size are looked at; the jail judges the entries.
async fn push(
    State(origin): State<Arc<Origin>>,
    body: axum::body::Body,
) -> Result<Response, Failure> {
    let body = tokio::time::timeout(BODY_WITHIN, axum::body::to_bytes(body, CHARTER_PUSH_MAX))
        .await
        .map_err(|_| Problem::new(408, "push-too-slow", "the entries do not arrive"))?;
    let body = body.map_err(|_| {
        let cause = format!("the entries are larger than {CHARTER_PUSH_MAX} bytes");
        Problem::new(413, "push-too-large", cause)
    })?;
    let malformed = || Problem::new(400, "body", "the body is not what this route takes");
    let pushed: PushEntries = serde_json::from_slice(&body).map_err(|_| malformed())?;
    if pushed.entries.is_empty() {
        return Err(malformed().into());
    }
    answered(origin.reads.push(pushed).await)
}

/// The runner's answer, which is JSON.
fn answered(answer: Result<String, Problem>) -> Result<Response, Failure> {
    let mut response = answer?.into_response();
    harden(&mut response, "application/json");
    Ok(response)
}

/// `POST /hooks/{path}`: passed to the runner as it is; the jail's cell verifies who sent it.
async fn webhook(
    State(origin): State<Arc<Origin>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Failure> {
    let path: WebhookPath = path.parse().map_err(|_| {
        Problem::new(404, "webhook-unknown", "no standing writ takes webhooks at this address")
    })?;
    let body = axum::body::to_bytes(body, RUN_INPUT_MAX);
    let body = tokio::time::timeout(BODY_WITHIN, body)
        .await
        .map_err(|_| Problem::new(408, "webhook-too-slow", "the webhook's body does not arrive"))?;
    let body = body.map_err(|_| {
        let cause = format!("the webhook's body is larger than {RUN_INPUT_MAX} bytes");
        Problem::new(413, "webhook-too-large", cause)
    })?;
    let delivered = Delivered { path, headers: delivered_headers(&headers)?, body: body.to_vec() };
    let taken = origin.reads.deliver(delivered).await?;
    let mut response = (StatusCode::ACCEPTED, taken).into_response();
    harden(&mut response, "application/json");
    Ok(response)
}

/// The headers as they arrived, each of them: a scheme's own that stands there twice must be seen twice.
fn delivered_headers(headers: &HeaderMap) -> Result<Vec<(String, String)>, Problem> {
    let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if length > WEBHOOK_HEADERS_MAX {
        let cause = format!("the headers are larger than {WEBHOOK_HEADERS_MAX} bytes");
        return Err(Problem::new(431, "webhook-too-large", cause));
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Problem> {
    headers.get(name).and_then(|value| value.to_str().ok()).ok_or_else(|| {
        Problem::new(401, "not-authenticated", format!("header `{name}` is missing"))
            .with_remedy("log in with `writ login`")
    })
}

/// `POST /link/hello`: the runner's key is in the charter that it brings.
async fn hello(
    State(origin): State<Arc<Origin>>,
    request: Request,
) -> Result<Json<GatewayHeard>, Failure> {
    let (parts, body) = request.into_parts();
    let hello: GatewayHello = read(body).await?;
    let next = origin.reads.hello(&hello).map_err(|error| {
        Problem::new(403, error.code(), format!("the charter does not fold: {error}"))
    })?;
    authenticate(&origin, &parts.headers, "/link/hello")?;
    Ok(Json(GatewayHeard { next }))
}

/// `POST /link/take`.
async fn take(
    State(origin): State<Arc<Origin>>,
    headers: HeaderMap,
) -> Result<Json<GatewayTake>, Failure> {
    authenticate(&origin, &headers, "/link/take")?;
    Ok(Json(origin.reads.take().await))
}

/// `POST /link/reply`.
async fn reply(State(origin): State<Arc<Origin>>, request: Request) -> Result<StatusCode, Failure> {
    let (parts, body) = request.into_parts();
    authenticate(&origin, &parts.headers, "/link/reply")?;
    let reply: GatewayReply = read(body).await?;
    origin.reads.reply(reply);
    Ok(StatusCode::NO_CONTENT)
}

async fn read<B: DeserializeOwned>(body: axum::body::Body) -> Result<B, Problem> {
    let malformed = || Problem::new(400, "body", "the body is not what this route takes");
    let bytes = axum::body::to_bytes(body, LINK_MESSAGE_MAX).await.map_err(|_| malformed())?;
    serde_json::from_slice(&bytes).map_err(|_| malformed())
}

fn authenticate(origin: &Origin, headers: &HeaderMap, path: &str) -> Result<(), Problem> {
    let unknown = || Problem::new(401, "not-enrolled", "the charter enrolls no such runner");
    let runner: RunnerId = text(headers, RUNNER_HEADER)?.parse().map_err(|_| unknown())?;
    let key = origin.reads.link_key(runner).ok_or_else(unknown)?;
    let url = format!("{}{path}", origin.url.trim_end_matches('/'));
    let expected = ExpectedRequest { method: "POST", url: &url, idc: None };
    origin.reads.admit(text(headers, PROOF_HEADER)?, &key, expected)
}
