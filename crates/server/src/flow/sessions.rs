//! Sessions on their way: looked at by whose they are and by who may revoke them, and revoked: `authenticate →
//! decide → keep`. A revoked one is refused here at once, and by each jail from when it has heard of it.

use writ_api::{Problem, RunOrder, SessionList};
use writ_evidence::{audit::WritRecord, idc::VerifiedIdc, writ::Order};
use writ_model::{Digest, RunnerGroupId, limits::CLOCK_SKEW_S};
use writ_policy::Right;

use super::{Authenticated, authenticate_any, note, stored};
use crate::{clock, http::check_holds_a_role, store::NewRevoke, tenant::Tenant};

fn unknown() -> Problem {
    Problem::new(404, "session-unknown", "there is no such session, or you may not see it")
}

/// The caller's sessions, or everybody's if the caller may revoke everybody's.
pub(crate) fn list_sessions(tenant: &Tenant, caller: &VerifiedIdc) -> Result<SessionList, Problem> {
    let all = tenant.policies.decide(&tenant.charter(), caller.actor(), Right::SessionRevoke);
    let of = if all.is_ok() { None } else { Some(caller.principal()) };
    Ok(SessionList { sessions: tenant.store.sessions(of).map_err(stored)? })
}

/// Takes an order to revoke a session.
pub(crate) fn revoke_session(tenant: &Tenant, order: &RunOrder) -> Result<(), Problem> {
    let now = clock::now();
    let authenticated = authenticate_any(tenant, &order.writ, &order.idc, now)?;
    let own = authenticated.idc.digest();
    let (group, session) = decide(tenant, &authenticated)?;
    if session != own {
        // A session that was revoked may tell the other runner groups so, and nothing else.
        tenant.sessions.check(&order.idc)?;
    }
    let claims = authenticated.writ.claims();
    let record = WritRecord { writ: order.writ.clone(), idc: order.idc.clone() };
    let new = NewRevoke {
        writ: authenticated.writ.digest(),
        jti: &claims.jti,
        until: claims.exp.plus(2 * CLOCK_SKEW_S),
        group,
        session,
        record: &record,
    };
    tenant.store.put_revoke(&new, &note(&authenticated, None, now)).map_err(stored)?;
    tenant.sessions.revoke(&tenant.store).map_err(stored)?;
    tracing::info!(session = %session, principal = %authenticated.idc.principal(), "session revoked");
    tenant.work.notify_waiters();
    Ok(())
}

/// Whether the signer may: their own session, or the right. What they may not see is not there.
fn decide(
    tenant: &Tenant,
    authenticated: &Authenticated,
) -> Result<(RunnerGroupId, Digest), Problem> {
    let charter = tenant.charter();
    check_holds_a_role(&charter, &authenticated.idc)?;
    let Order::SessionRevoke { aud, res } = &authenticated.writ.claims().order else {
        return Err(Problem::new(400, "writ-operation", "the writ does not revoke a session"));
    };
    if !charter.runners().any(|runner| runner.group == *aud) {
        return Err(Problem::new(404, "writ-audience", "there is no such runner group"));
    }
    let of = tenant.store.session_of(*res).map_err(stored)?.ok_or_else(unknown)?;
    if of != *authenticated.idc.principal() {
        tenant
            .policies
            .decide(&charter, authenticated.idc.actor(), Right::SessionRevoke)
            .map_err(|_| unknown())?;
    }
    Ok((*aud, *res))
}
