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
    routing::{MethodFilter, MethodRouter, on},
};
use writ_api::{PROBLEM_TYPE, Problem, ServerOperation, Verb};
use writ_model::{Cidr, TenantId, limits::LINK_MESSAGE_MAX};

pub(crate) use auth::{ProofWindow, check_holds_a_role};

use crate::tenant::Tenant;

/// What every route reaches.
pub(crate) struct App {
    pub(crate) tenants: BTreeMap<TenantId, Arc<Tenant>>,
    pub(crate) public_url: String,
    pub(crate) issuer_cidrs: Vec<Cidr>,
}

/// Every route there is: one for each operation.
pub(crate) fn routes(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for operation in ServerOperation::ALL {
        router = router.route(operation.path(), served(*operation));
    }
    router.layer(DefaultBodyLimit::max(LINK_MESSAGE_MAX)).with_state(app)
}

fn served(operation: ServerOperation) -> MethodRouter<Arc<App>> {
    let method = match operation.verb() {
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Put => MethodFilter::PUT,
    };
    match operation {
        ServerOperation::Health => on(method, || async { "ok" }),
        ServerOperation::ReadCharter => on(method, person::charter),
        ServerOperation::AppendCharter => on(method, person::append),
        ServerOperation::PutContent => on(method, person::put_content),
        ServerOperation::ListRuns => on(method, person::runs),
        ServerOperation::StartRun => on(method, person::start),
        ServerOperation::ReadRun => on(method, person::run),
        ServerOperation::ResumeRun => on(method, person::resume),
        ServerOperation::CancelRun => on(method, person::cancel),
        ServerOperation::ApproveRun => on(method, person::approve),
        ServerOperation::ListApprovals => on(method, person::approvals),
        ServerOperation::TestConnection => on(method, person::test_connection),
        ServerOperation::ReadConnectionTest => on(method, person::connection_test),
        ServerOperation::ReadAudit => on(method, person::audit),
        ServerOperation::RunnerTake => on(method, runner::take),
        ServerOperation::RunnerReport => on(method, runner::report),
        ServerOperation::RunnerContent => on(method, runner::content),
    }
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
