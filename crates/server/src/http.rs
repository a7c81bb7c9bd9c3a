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
    extract::{
        DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request, rejection::JsonRejection,
        rejection::QueryRejection,
    },
    http::{StatusCode, header, request},
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
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_route)
        .layer(DefaultBodyLimit::max(LINK_MESSAGE_MAX))
        .with_state(app)
}

async fn no_such_route() -> Failure {
    Failure(route_unknown())
}

fn route_unknown() -> Problem {
    Problem::new(404, "route-unknown", "nothing is served at this address, or not so")
}

/// A body of the form that its route takes. What it is instead is not repeated.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T> FromRequest<S> for Body<T>
where
    Json<T>: FromRequest<S, Rejection = JsonRejection>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body = Json::<T>::from_request(request, state).await.map_err(|rejection| {
            let status = rejection.status().as_u16();
            Problem::new(status, "body", "the body is not what this route takes")
        });
        let Json(body) = body?;
        Ok(Self(body))
    }
}

/// A query of the form that its route takes.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T> FromRequestParts<S> for Asked<T>
where
    Query<T>: FromRequestParts<S, Rejection = QueryRejection>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(query) = query.map_err(|_| route_unknown())?;
        Ok(Self(query))
    }
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
        ServerOperation::ListSessions => on(method, person::sessions),
        ServerOperation::RevokeSession => on(method, person::revoke_session),
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
