//! Approvals on their way through the control plane: an answer to relay, and what waits for whom.
//!
//! Everything here is read from the jail's own statements, which were verified when they came: the
//! control plane can't make a run ask, and knows nothing of what is asked about.

use writ_api::{AskedApproval, Problem, RunOrder, asked_in};
use writ_evidence::{idc::VerifiedIdc, writ::Order};
use writ_model::{RunId, UnixTime};

use super::{authenticate, denied_problem, relay_about, seen_run, stored};
use crate::{clock, tenant::Tenant};

/// Takes an answer to what a run asks people to approve.
pub(crate) fn approve_run(tenant: &Tenant, run: RunId, order: &RunOrder) -> Result<(), Problem> {
    let now = clock::now();
    let authenticated = authenticate(tenant, &order.writ, &order.idc, now)?;
    let Order::RunApprove { res, step, attempt, .. } = &authenticated.writ.claims().order else {
        return Err(Problem::new(400, "writ-operation", "the writ does not approve anything"));
    };
    if *res != run {
        return Err(Problem::new(400, "writ-run", "the writ is for another run"));
    }
    let known = seen_run(tenant, run, &authenticated)?;
    let asked = asked_in(&known.statements)
        .into_iter()
        .find(|known| known.asked.step == *step && known.asked.attempt == *attempt)
        .ok_or_else(|| {
            Problem::new(409, "approval-unknown", "the run asks for no such approval")
        })?;
    let (requester, automation) = (&asked.asked.requester, &asked.asked.automation);
    tenant
        .policies
        .decide_approval(&tenant.charter(), &authenticated.idc, requester, automation)
        .map_err(|denied| denied_problem(&denied))?;
    if !asked.is_open(now) {
        return Err(Problem::new(409, "approval-settled", "the approval is settled, or too late"));
    }
    relay_about(tenant, run, order, &authenticated, now)
}

/// What waits for this person: what they may answer and have not.
pub(crate) fn inbox(
    tenant: &Tenant,
    login: &VerifiedIdc,
    now: UnixTime,
) -> Result<Vec<AskedApproval>, Problem> {
    let charter = tenant.charter();
    let mut waiting = Vec::new();
    for run in tenant.store.open_runs().map_err(stored)? {
        let Some(known) = tenant.store.run(run).map_err(stored)? else { continue };
        waiting.extend(asked_in(&known.statements).into_iter().filter(|known| {
            let (requester, automation) = (&known.asked.requester, &known.asked.automation);
            let answered =
                known.answers.iter().any(|answer| answer.principal == *login.principal());
            known.is_open(now)
                && !answered
                && tenant.policies.decide_approval(&charter, login, requester, automation).is_ok()
        }));
    }
    waiting.sort_by_key(|known| known.asked.deadline);
    Ok(waiting)
}
