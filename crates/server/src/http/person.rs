//! Routes that persons call.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use writ_api::{
    AppendEntry, Appended, ApprovalList, AuditPage, CharterPage, Content, Problem, RunList,
    RunOrder, RunStatus, SessionList, StartRunOrder, StartedRun, TestConnectionOrder, TestStatus,
};
use writ_evidence::digest::sha256;
use writ_model::{Digest, RunId, limits::BUNDLE_MAX};
use writ_policy::Right;

use super::{App, Asked, Body, Failure, auth::head_of};
use crate::{
    clock,
    flow::{self, denied_problem, no_such_run, stored},
    tenant::Tenant,
};

/// Where a page starts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    from: u64,
}

/// `GET /charter`: for everybody who holds a role.
pub(super) async fn charter(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    Asked(page): Asked<From>,
    request: Request,
) -> Result<Json<CharterPage>, Failure> {
    let tenant = app.tenant(&ten)?;
    app.person(&tenant, &head_of(&request)).await?;
    let entries = tenant.store.entries(page.from).map_err(stored)?;
    Ok(Json(CharterPage { entries, seq: tenant.charter().seq() }))
}

/// `POST /charter`: the writ in the body says who.
pub(super) async fn append(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    Body(body): Body<AppendEntry>,
) -> Result<Json<Appended>, Failure> {
    let tenant = app.tenant(&ten)?;
    for idc in body.entry.credentials() {
        app.learn_keys(&tenant, idc).await;
    }
    Ok(Json(flow::append_entry(&tenant, &body).await?))
}

/// `PUT /content/{digest}`: for everybody who holds a role; a digest carries no right.
pub(super) async fn put_content(
    State(app): State<Arc<App>>,
    Path((ten, digest)): Path<(String, String)>,
    request: Request,
) -> Result<StatusCode, Failure> {
    let tenant = app.tenant(&ten)?;
    app.person(&tenant, &head_of(&request)).await?;
    let malformed = || Problem::new(400, "content", "the body is no content of this digest");
    let bytes =
        axum::body::to_bytes(request.into_body(), 3 * BUNDLE_MAX).await.map_err(|_| malformed())?;
    let content: Content = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
    let digest: Digest = digest.parse().map_err(|_| malformed())?;
    if sha256(content.text.as_bytes()) != digest || content.text.len() > BUNDLE_MAX {
        return Err(malformed().into());
    }
    tenant.store.put_content(digest, &content).map_err(stored)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /runs`: the writ in the body says who.
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    Body(body): Body<StartRunOrder>,
) -> Result<(StatusCode, Json<StartedRun>), Failure> {
    let tenant = app.tenant(&ten)?;
    app.learn_keys(&tenant, &body.idc).await;
    Ok((StatusCode::ACCEPTED, Json(flow::start_run(&tenant, &body)?)))
}

/// `POST /runs/{run}/resume`: the writ in the body says who.
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Path(of): Path<(String, String)>,
    Body(body): Body<RunOrder>,
) -> Result<StatusCode, Failure> {
    let (tenant, run) = ordered(&app, of, &body).await?;
    flow::resume_run(&tenant, run, &body)?;
    Ok(StatusCode::ACCEPTED)
}

/// `POST /runs/{run}/cancel`: the writ in the body says who.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Path(of): Path<(String, String)>,
    Body(body): Body<RunOrder>,
) -> Result<StatusCode, Failure> {
    let (tenant, run) = ordered(&app, of, &body).await?;
    flow::cancel_run(&tenant, run, &body)?;
    Ok(StatusCode::ACCEPTED)
}

/// `POST /runs/{run}/approve`: the writ in the body says who.
pub(super) async fn approve(
    State(app): State<Arc<App>>,
    Path(of): Path<(String, String)>,
    Body(body): Body<RunOrder>,
) -> Result<StatusCode, Failure> {
    let (tenant, run) = ordered(&app, of, &body).await?;
    flow::approve_run(&tenant, run, &body)?;
    Ok(StatusCode::ACCEPTED)
}

/// `GET /approvals`: those that wait for the caller.
pub(super) async fn approvals(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    request: Request,
) -> Result<Json<ApprovalList>, Failure> {
    let tenant = app.tenant(&ten)?;
    let idc = app.person(&tenant, &head_of(&request)).await?;
    let approvals = flow::inbox(&tenant, &idc, clock::now())?;
    Ok(Json(ApprovalList { approvals }))
}

/// Which run an order is about, once the keys of its signer's issuer are known.
async fn ordered(
    app: &App,
    (ten, run): (String, String),
    order: &RunOrder,
) -> Result<(Arc<Tenant>, RunId), Failure> {
    let tenant = app.tenant(&ten)?;
    let run: RunId = run.parse().map_err(|_| no_such_run())?;
    app.learn_keys(&tenant, &order.idc).await;
    Ok((tenant, run))
}

/// `POST /connections/test`: the writ in the body says who.
pub(super) async fn test_connection(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    Body(body): Body<TestConnectionOrder>,
) -> Result<StatusCode, Failure> {
    let tenant = app.tenant(&ten)?;
    app.learn_keys(&tenant, &body.idc).await;
    flow::test_connection(&tenant, &body)?;
    Ok(StatusCode::ACCEPTED)
}

/// `GET /connections/tests/{writ}`: what may not be seen is not there.
pub(super) async fn connection_test(
    State(app): State<Arc<App>>,
    Path((ten, writ)): Path<(String, String)>,
    request: Request,
) -> Result<Json<TestStatus>, Failure> {
    let tenant = app.tenant(&ten)?;
    let idc = app.person(&tenant, &head_of(&request)).await?;
    let malformed = |_| Problem::new(400, "test-unknown", "a test is named by its writ's digest");
    let writ: Digest = writ.parse().map_err(malformed)?;
    Ok(Json(flow::test_status(&tenant, idc.actor(), writ)?))
}

/// `GET /sessions`: the caller's own, or everybody's for who may revoke them.
pub(super) async fn sessions(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    request: Request,
) -> Result<Json<SessionList>, Failure> {
    let tenant = app.tenant(&ten)?;
    let idc = app.person(&tenant, &head_of(&request)).await?;
    Ok(Json(flow::list_sessions(&tenant, &idc)?))
}

/// `POST /sessions/revoke`: the writ in the body says who.
pub(super) async fn revoke_session(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    Body(body): Body<RunOrder>,
) -> Result<StatusCode, Failure> {
    let tenant = app.tenant(&ten)?;
    app.learn_keys(&tenant, &body.idc).await;
    flow::revoke_session(&tenant, &body)?;
    Ok(StatusCode::ACCEPTED)
}

/// `GET /runs`: those that the caller may see.
pub(super) async fn runs(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    request: Request,
) -> Result<Json<RunList>, Failure> {
    let tenant = app.tenant(&ten)?;
    let idc = app.person(&tenant, &head_of(&request)).await?;
    let charter = tenant.charter();
    let mut runs = tenant.store.runs().map_err(stored)?;
    runs.retain(|run| {
        let right = Right::RunView(&run.automation);
        tenant.policies.decide(&charter, idc.actor(), right).is_ok()
    });
    Ok(Json(RunList { runs }))
}

/// `GET /runs/{run}`: what may not be seen is not there.
pub(super) async fn run(
    State(app): State<Arc<App>>,
    Path((ten, run)): Path<(String, String)>,
    request: Request,
) -> Result<Json<RunStatus>, Failure> {
    let tenant = app.tenant(&ten)?;
    let idc = app.person(&tenant, &head_of(&request)).await?;
    let run: RunId = run.parse().map_err(|_| no_such_run())?;
    let status = tenant.store.run(run).map_err(stored)?.ok_or_else(no_such_run)?;
    let right = Right::RunView(&status.automation);
    tenant.policies.decide(&tenant.charter(), idc.actor(), right).map_err(|_| no_such_run())?;
    Ok(Json(status))
}

/// `GET /audit`: records and checkpoints, for auditors.
pub(super) async fn audit(
    State(app): State<Arc<App>>,
    Path(ten): Path<String>,
    Asked(page): Asked<From>,
    request: Request,
) -> Result<Json<AuditPage>, Failure> {
    let tenant = app.tenant(&ten)?;
    let idc = app.person(&tenant, &head_of(&request)).await?;
    tenant
        .policies
        .decide(&tenant.charter(), idc.actor(), Right::AuditRead)
        .map_err(|denied| denied_problem(&denied))?;
    Ok(Json(AuditPage {
        records: tenant.store.audit_page(page.from).map_err(stored)?,
        checkpoints: tenant.store.checkpoints_after(page.from).map_err(stored)?,
        size: tenant.store.audit_size().map_err(stored)?,
    }))
}
