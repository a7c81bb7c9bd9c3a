//! Routes of the control plane, and how each caller is authenticated.
//!
//! Every route names its tenant, authenticates its caller and asks `policy` before it answers.
//! What a caller may not see is answered as if it were not there.

mod auth;
mod person;
mod runner;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use writ_api::{PROBLEM_TYPE, Problem};
use writ_model::{Cidr, TenantId, limits::LINK_MESSAGE_MAX};

pub(crate) use auth::ProofWindow;

use crate::tenant::Tenant;

/// What every route reaches.
pub(crate) struct App {
    pub(crate) tenants: BTreeMap<TenantId, Arc<Tenant>>,
    pub(crate) public_url: String,
    pub(crate) issuer_cidrs: Vec<Cidr>,
}

/// Every route there is.
pub(crate) fn routes(app: Arc<App>) -> Router {
    let tenant = Router::new()
        .route("/charter", get(person::charter).post(person::append))
        .route("/content/{digest}", put(person::put_content))
        .route("/runs", get(person::runs).post(person::start))
        .route("/runs/{run}", get(person::run))
        .route("/runs/{run}/resume", post(person::resume))
        .route("/runs/{run}/cancel", post(person::cancel))
        .route("/runs/{run}/approve", post(person::approve))
        .route("/approvals", get(person::approvals))
        .route("/connections/test", post(person::test_connection))
        .route("/connections/tests/{writ}", get(person::connection_test))
        .route("/audit", get(person::audit))
        .route("/runner/take", post(runner::take))
        .route("/runner/report", post(runner::report))
        .route("/runner/content/{digest}", get(runner::content));
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .nest("/v1/tenants/{ten}", tenant)
        .layer(DefaultBodyLimit::max(LINK_MESSAGE_MAX))
        .with_state(app)
}

/// A problem as a response.
pub(crate) struct Failure(pub(crate) Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, PROBLEM_TYPE)], Json(self.0)).into_response()
    }
}

/// An error with its sources as a problem.
pub(crate) fn problem_of(status: u16, code: &str, error: &dyn std::error::Error) -> Problem {
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        detail.push_str(": ");
        detail.push_str(&inner.to_string());
        source = inner.source();
    }
    Problem::new(status, code, detail)
}
