//! Routes that runners call, with their enrolled link key.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::de::DeserializeOwned;
use writ_api::{Content, Problem, RunnerReports, RunnerTasks, Take};
use writ_model::{Digest, RunnerId, limits::LINK_MESSAGE_MAX};

use super::{App, Failure, auth::head_of};
use crate::{dispatch, flow, tenant::Tenant};

/// Authenticates, then reads the body.
async fn authenticated<B: DeserializeOwned>(
    app: &App,
    tenant: &Tenant,
    request: Request,
) -> Result<(RunnerId, B), Problem> {
    let runner = app.runner(tenant, &head_of(&request))?;
    let malformed = || Problem::new(400, "body", "the body is not what this route takes");
    let bytes = axum::body::to_bytes(request.into_body(), LINK_MESSAGE_MAX)
        .await
        .map_err(|_| malformed())?;
    Ok((runner, serde_json::from_slice(&bytes).map_err(|_| malformed())?))
}

/// `POST /runner/take`.
pub(super) async fn take(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    request: Request,
) -> Result<Json<RunnerTasks>, Failure> {
    let tenant = app.tenant(&ten)?;
    let (runner, take): (_, Take) = authenticated(&app, &tenant, request).await?;
    let tasks = dispatch::take(&tenant, runner, &take).await.map_err(flow::stored)?;
    Ok(Json(RunnerTasks { tasks }))
}

/// `POST /runner/report`.
pub(super) async fn report(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    request: Request,
) -> Result<StatusCode, Failure> {
    let tenant = app.tenant(&ten)?;
    let (runner, body): (_, RunnerReports) = authenticated(&app, &tenant, request).await?;
    flow::report(&tenant, runner, body.reports)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /runner/content/{digest}`.
pub(super) async fn content(
    State(app): State<Arc<App>>,
    Path((ten, digest)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Content>, Failure> {
    let tenant = app.tenant(&ten)?;
    app.runner(&tenant, &head_of(&request))?;
    let unknown = || Problem::new(404, "content-unknown", "there is no such content");
    let digest: Digest = digest.parse().map_err(|_| unknown())?;
    let content = tenant.store.content(digest).map_err(flow::stored)?.ok_or_else(unknown)?;
    Ok(Json(content))
}
