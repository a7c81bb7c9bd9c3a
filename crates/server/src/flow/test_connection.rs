//! A test of a connection on its way through the control plane: `authenticate → decide → keep`, and what
//! came of it. The outcome is a statement of the jail's, which whoever asked verifies.

use writ_api::{Problem, TestConnectionOrder, TestStatus};
use writ_evidence::{
    audit::WritRecord,
    statement::{Says, VerifiedStatement},
    writ::Order,
};
use writ_model::{ConnectionName, Digest, RunnerGroupId, limits::CLOCK_SKEW_S};
use writ_policy::Right;

use super::{Authenticated, authenticate, denied_problem, note, stored};
use crate::{clock, store::NewTest, tenant::Tenant};

/// Takes an order to test a connection.
pub(crate) fn test_connection(tenant: &Tenant, order: &TestConnectionOrder) -> Result<(), Problem> {
    let now = clock::now();
    let authenticated = authenticate(tenant, &order.writ, &order.idc, now)?;
    let decided = decide(tenant, &authenticated);
    let note = note(&authenticated, decided.as_ref().err(), now);
    let record = WritRecord { writ: order.writ.clone(), idc: order.idc.clone() };
    let (group, connection) = match decided {
        Ok(decided) => decided,
        Err(problem) => {
            tenant.store.put_denied(&record, &note).map_err(stored)?;
            tenant.work.notify_waiters();
            return Err(problem);
        }
    };
    let claims = authenticated.writ.claims();
    let new = NewTest {
        writ: authenticated.writ.digest(),
        jti: &claims.jti,
        until: claims.exp.plus(2 * CLOCK_SKEW_S),
        group,
        connection: &connection,
        record: &record,
    };
    tenant.store.put_test(&new, &note).map_err(stored)?;
    let principal = authenticated.idc.principal();
    tracing::info!(connection.name = %connection, %principal, "connection test ordered");
    tenant.work.notify_waiters();
    Ok(())
}

fn decide(
    tenant: &Tenant,
    authenticated: &Authenticated,
) -> Result<(RunnerGroupId, ConnectionName), Problem> {
    let charter = tenant.charter();
    let Order::ConnectionTest { aud, res } = &authenticated.writ.claims().order else {
        return Err(Problem::new(400, "writ-operation", "the writ does not test a connection"));
    };
    if !charter.runners().any(|runner| runner.group == *aud) {
        return Err(Problem::new(404, "writ-audience", "there is no such runner group"));
    }
    tenant
        .policies
        .decide_connection_test(&charter, authenticated.idc.actor(), res)
        .map_err(|denied| denied_problem(&denied))?;
    Ok((*aud, res.clone()))
}

/// What came of a test, for whoever may use the connection; for others there is none.
pub(crate) fn test_status(
    tenant: &Tenant,
    actor: writ_model::Actor<'_>,
    writ: Digest,
) -> Result<TestStatus, Problem> {
    let unknown =
        || Problem::new(404, "test-unknown", "there is no such test, or you may not see it");
    let status = tenant.store.test(writ).map_err(stored)?.ok_or_else(unknown)?;
    let right = Right::ConnectionUse(&status.connection);
    tenant.policies.decide(&tenant.charter(), actor, right).map_err(|_| unknown())?;
    Ok(status)
}

/// Keeps the statement that a test was answered with.
pub(super) fn take_answer(
    tenant: &Tenant,
    verified: &VerifiedStatement,
    compact: &str,
) -> Result<(), Problem> {
    let writ = match &verified.statement().says {
        Says::Tested(tested) => tested.writ,
        Says::Refusal(refusal) => match refusal.writ {
            Some(writ) => writ,
            None => return Ok(()),
        },
        Says::Acceptance(_) | Says::Receipt(_) | Says::Forked(_) | Says::Revoked(_) => {
            return Ok(());
        }
    };
    tenant.store.answer_test(writ, compact).map_err(stored)
}
