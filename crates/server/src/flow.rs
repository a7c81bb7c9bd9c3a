//! What happens to an order on its way through the control plane.
//!
//! `Authenticated → Permit → relayed`, a function each; the next stage takes what only the stage
//! before it makes. The control plane decides early only to give a quick, friendly *no*: what it
//! relays, the jail decides again (DESIGN §4).

mod approval;
mod entries;
mod sessions;
mod test_connection;

use std::time::Duration;

use writ_api::{
    AppendEntry, Appended, CandidateVerdict, Problem, RunOrder, RunPhase, RunStatus, RunnerReport,
    StartRunOrder, StartedRun, StatusReport,
};
use writ_evidence::{
    audit::{DecisionNote, WritRecord},
    charter::UnverifiedEntry,
    checkpoint,
    digest::sha256,
    idc::{UnverifiedIdc, VerifiedIdc},
    issuer::TokenKeys,
    statement::{Says, VerifiedStatement},
    writ::{Order, VerifiedWrit},
};
use writ_model::{RunId, RunnerId, UnixTime, limits::CLOCK_SKEW_S};
use writ_policy::{Denied, Right};

use crate::{
    clock,
    http::{check_holds_a_role, problem_of},
    store::{NewRun, StoreError},
    tenant::Tenant,
};

pub(crate) use approval::{approve_run, inbox};
pub(crate) use sessions::{list_sessions, revoke_session};
pub(crate) use test_connection::{test_connection, test_status};

/// How long a client waits for the witness.
const WITNESS_PATIENCE: Duration = Duration::from_secs(15);

/// A writ whose signature, credential and time were verified.
pub(crate) struct Authenticated {
    idc: VerifiedIdc,
    writ: VerifiedWrit,
}

/// Verifies who signed an order, by a session that was not revoked.
fn authenticate(
    tenant: &Tenant,
    writ: &str,
    idc: &UnverifiedIdc,
    now: UnixTime,
) -> Result<Authenticated, Problem> {
    let authenticated = authenticate_any(tenant, writ, idc, now)?;
    tenant.sessions.check(idc)?;
    Ok(authenticated)
}

/// Verifies who signed an order, by a revoked session perhaps.
fn authenticate_any(
    tenant: &Tenant,
    writ: &str,
    credential: &UnverifiedIdc,
    now: UnixTime,
) -> Result<Authenticated, Problem> {
    let charter = tenant.charter();
    let fetched = tenant.issuer_keys.fetched();
    let idc = charter
        .verify_idc(credential, TokenKeys::Fetched(&fetched), now)
        .map_err(|error| problem_of(401, error.code(), &error))?;
    charter.check_signer(&idc).map_err(|error| problem_of(403, "suspended", &error))?;
    let writ = VerifiedWrit::verify(writ, &idc, tenant.id(), now)
        .map_err(|error| problem_of(403, error.code(), &error))?;
    if !charter.knows_head(writ.claims().charter) {
        return Err(Problem::new(409, "writ-charter-head", "the writ's charter head is unknown"));
    }
    tenant.sessions.see(&tenant.store, credential, &idc, now);
    Ok(Authenticated { idc, writ })
}

/// Takes an order to start a run: authenticate, decide, keep for the runner.
pub(crate) fn start_run(tenant: &Tenant, order: &StartRunOrder) -> Result<StartedRun, Problem> {
    let now = clock::now();
    let authenticated = authenticate(tenant, &order.writ, &order.idc, now)?;
    let decided = decide_start(tenant, &authenticated);
    let note = note(&authenticated, decided.as_ref().err(), now);
    if let Err(problem) = decided {
        let record = WritRecord { writ: order.writ.clone(), idc: order.idc.clone() };
        tenant.store.put_denied(&record, &note).map_err(stored)?;
        tenant.work.notify_waiters();
        return Err(problem);
    }
    let run = relay_start(tenant, &authenticated, order, &note)?;
    tracing::info!(run.id = %run, principal = %authenticated.idc.principal(), "run ordered");
    tenant.work.notify_waiters();
    Ok(StartedRun { run })
}

fn decide_start(tenant: &Tenant, authenticated: &Authenticated) -> Result<(), Problem> {
    let charter = tenant.charter();
    check_holds_a_role(&charter, &authenticated.idc)?;
    let Order::RunStart { aud, res, cnt, authorization_details, .. } =
        &authenticated.writ.claims().order
    else {
        return Err(Problem::new(400, "writ-operation", "the writ does not start a run"));
    };
    if !charter.runners().any(|runner| runner.group == *aud) {
        return Err(Problem::new(404, "writ-audience", "there is no such runner group"));
    }
    let published = charter.automation(res).ok_or_else(|| {
        Problem::new(404, "automation-unknown", format!("no automation `{res}` is published"))
            .with_remedy("publish it with `writ automation publish`")
    })?;
    if published.automation.bundle != *cnt {
        return Err(Problem::new(409, "bundle-not-published", "another bundle is published"));
    }
    tenant
        .policies
        .decide_run_start(&charter, authenticated.idc.actor(), published, authorization_details)
        .map(drop)
        .map_err(|denied| denied_problem(&denied))
}

fn relay_start(
    tenant: &Tenant,
    authenticated: &Authenticated,
    order: &StartRunOrder,
    note: &DecisionNote,
) -> Result<RunId, Problem> {
    let claims = authenticated.writ.claims();
    let Order::RunStart { res, .. } = &claims.order else {
        return Err(Problem::new(400, "writ-operation", "the writ does not start a run"));
    };
    let new = NewRun {
        run: authenticated.writ.run_id(),
        writ: authenticated.writ.digest(),
        jti: &claims.jti,
        until: claims.exp.plus(2 * CLOCK_SKEW_S),
        automation: res,
        principal: authenticated.idc.principal(),
        order,
    };
    tenant.store.put_run(&new, note).map_err(stored)?;
    Ok(new.run)
}

/// Takes an order to resume a suspended run.
pub(crate) fn resume_run(tenant: &Tenant, run: RunId, order: &RunOrder) -> Result<(), Problem> {
    let now = clock::now();
    let authenticated = authenticate(tenant, &order.writ, &order.idc, now)?;
    if !matches!(&authenticated.writ.claims().order, Order::RunResume { res, .. } if *res == run) {
        return Err(Problem::new(400, "writ-run", "the writ does not resume this run"));
    }
    if decided_about(tenant, run, &authenticated)? != RunPhase::Suspended {
        return Err(Problem::new(409, "run-not-suspended", "the run is not suspended"));
    }
    relay_about(tenant, run, order, &authenticated, now)
}

/// Takes an order to cancel a run.
pub(crate) fn cancel_run(tenant: &Tenant, run: RunId, order: &RunOrder) -> Result<(), Problem> {
    let now = clock::now();
    let authenticated = authenticate(tenant, &order.writ, &order.idc, now)?;
    if !matches!(&authenticated.writ.claims().order, Order::RunCancel { res, .. } if *res == run) {
        return Err(Problem::new(400, "writ-run", "the writ does not cancel this run"));
    }
    match decided_about(tenant, run, &authenticated)? {
        RunPhase::Running | RunPhase::Suspended => {
            relay_about(tenant, run, order, &authenticated, now)
        }
        RunPhase::Ordered => {
            Err(Problem::new(409, "run-not-started", "no runner has taken the run")
                .with_remedy("try again in a moment"))
        }
        RunPhase::Completed | RunPhase::Faulted | RunPhase::Refused => {
            Err(Problem::new(409, "run-ended", "the run has ended"))
        }
    }
}

/// A run that the signer may see. What may not be seen is not there.
fn seen_run(
    tenant: &Tenant,
    run: RunId,
    authenticated: &Authenticated,
) -> Result<RunStatus, Problem> {
    let charter = tenant.charter();
    check_holds_a_role(&charter, &authenticated.idc)?;
    let known = tenant.store.run(run).map_err(stored)?.ok_or_else(no_such_run)?;
    let view = Right::RunView(&known.automation);
    tenant.policies.decide(&charter, authenticated.idc.actor(), view).map_err(|_| no_such_run())?;
    Ok(known)
}

/// Whether the signer may say how a run goes on; where it is.
fn decided_about(
    tenant: &Tenant,
    run: RunId,
    authenticated: &Authenticated,
) -> Result<RunPhase, Problem> {
    let known = seen_run(tenant, run, authenticated)?;
    let right = Right::RunResume(&known.automation);
    tenant
        .policies
        .decide(&tenant.charter(), authenticated.idc.actor(), right)
        .map_err(|denied| denied_problem(&denied))?;
    Ok(known.phase)
}

/// Keeps an order about a run until its runner has carried it out.
fn relay_about(
    tenant: &Tenant,
    run: RunId,
    order: &RunOrder,
    authenticated: &Authenticated,
    now: UnixTime,
) -> Result<(), Problem> {
    let claims = authenticated.writ.claims();
    let used = (claims.jti.as_str(), claims.exp.plus(2 * CLOCK_SKEW_S));
    let note = note(authenticated, None, now);
    let key = (run, authenticated.writ.digest());
    tenant.store.put_resume(key, used, order, &note).map_err(stored)?;
    tenant.work.notify_waiters();
    Ok(())
}

/// Takes a charter candidate: judge early, let the witness judge, append what it cosigned.
pub(crate) async fn append_entry(
    tenant: &Tenant,
    append: &AppendEntry,
) -> Result<Appended, Problem> {
    let now = clock::now();
    let digest = append.entry.digest();
    let UnverifiedEntry::Writ { cosignatures, .. } = &append.entry else {
        return append_root_entry(tenant, &append.entry).await;
    };
    if !cosignatures.is_empty() {
        // It became an entry elsewhere, at a gateway.
        return entries::append_complete(tenant, &append.entry);
    }
    let _one_at_a_time = tenant.appending.lock().await;
    if tenant.store.candidate().map_err(stored)?.is_some() {
        let cause = "another change waits for the witness";
        return Err(Problem::new(409, "charter-busy", cause).with_remedy("try again in a moment"));
    }
    tenant
        .charter()
        .admit(&append.entry, &tenant.issuer_keys.fetched(), now, &*tenant.policies)
        .map_err(|error| problem_of(403, error.code(), &error))?;
    append.entry.credentials().try_for_each(|idc| tenant.sessions.check(idc))?;
    tenant.store.put_candidate(&append.entry).map_err(stored)?;
    let verdict = tenant.verdicts.expect(digest);
    tenant.work.notify_waiters();
    match tokio::time::timeout(WITNESS_PATIENCE, verdict).await {
        Ok(Ok(CandidateVerdict::Cosigned(_))) => {
            let charter = tenant.charter();
            Ok(Appended { seq: charter.seq(), head: charter.head() })
        }
        Ok(Ok(CandidateVerdict::Refused { code, reason })) => Err(Problem::new(403, &code, reason)),
        Ok(Err(_)) | Err(_) => Err(Problem::new(503, "witness-away", "the witness did not answer")
            .with_remedy("start the runner; the change is kept and takes effect when it answers")),
    }
}

/// Appends what root keys signed: it stands on them alone, whatever waits for the witness.
async fn append_root_entry(tenant: &Tenant, entry: &UnverifiedEntry) -> Result<Appended, Problem> {
    let _one_at_a_time = tenant.appending.lock().await;
    entries::append_complete(tenant, entry)
}

/// Takes what a runner has to say, in order.
pub(crate) fn report(
    tenant: &Tenant,
    runner: RunnerId,
    reports: Vec<RunnerReport>,
) -> Result<(), Problem> {
    for report in reports {
        match report {
            RunnerReport::Charter { entries } => entries::take_entries(tenant, &entries),
            RunnerReport::Candidate { digest, verdict } => {
                take_verdict(tenant, runner, digest, verdict)?;
            }
            RunnerReport::Checkpoint { checkpoint } => {
                take_checkpoint(tenant, runner, &checkpoint)?;
            }
            RunnerReport::Statement { statement } => take_statement(tenant, runner, &statement)?,
            RunnerReport::Status(status) => {
                tenant.store.move_run(&status, clock::now()).map_err(stored)?;
            }
            RunnerReport::TestDone { writ, refused } => {
                tenant.store.test_done(writ, refused).map_err(stored)?;
            }
            RunnerReport::ResumeDone { writ, refused } => {
                if let Some((code, reason)) = refused {
                    tracing::warn!(code, reason, "resume refused by the jail");
                }
                tenant.store.resume_done(writ).map_err(stored)?;
                tenant.store.revoke_done(writ).map_err(stored)?;
            }
        }
    }
    tenant.work.notify_waiters();
    Ok(())
}

/// Takes a witness's answer: the candidate is an entry once as many have cosigned as must, and dropped
/// once too few are left who could.
fn take_verdict(
    tenant: &Tenant,
    witness: RunnerId,
    digest: writ_model::Digest,
    verdict: CandidateVerdict,
) -> Result<(), Problem> {
    let Some(mut candidate) = tenant.store.candidate().map_err(stored)? else { return Ok(()) };
    let charter = tenant.charter();
    if candidate.digest() != digest || !charter.is_witness(witness) {
        return Ok(());
    }
    let answers = tenant.verdicts.take(digest, witness, verdict.clone());
    let made: Vec<String> = answers
        .iter()
        .filter_map(|answer| match answer {
            CandidateVerdict::Cosigned(cosignature) => Some(cosignature.clone()),
            CandidateVerdict::Refused { .. } => None,
        })
        .collect();
    let needed = usize::from(charter.witnesses().threshold);
    let refused = answers.len().saturating_sub(made.len());
    let could = charter.runners().filter(|runner| charter.is_witness(runner.id)).count();
    if made.len() >= needed {
        if let UnverifiedEntry::Writ { cosignatures, .. } = &mut candidate {
            *cosignatures = made;
        }
        tenant
            .append(&candidate)
            .map_err(|error| problem_of(400, "charter-cosignature", &error))?;
        tenant.verdicts.tell(digest, verdict);
    } else if could.saturating_sub(refused) < needed {
        tenant.store.drop_candidate(digest).map_err(stored)?;
        tenant.verdicts.tell(digest, verdict);
    }
    Ok(())
}

fn take_checkpoint(tenant: &Tenant, runner: RunnerId, compact: &str) -> Result<(), Problem> {
    let charter = tenant.charter();
    let enrolled = charter.runner(runner).ok_or_else(not_enrolled)?;
    // Others' would count for nothing with whoever verifies the log, and stand in a witness's place. One that was
    // a witness when it signed is told that all is well: it would say the same for ever, and nothing else.
    if !charter.is_witness(runner) {
        tracing::warn!(code = "not-witness", runner.id = %runner, "checkpoint passed over");
        return Ok(());
    }
    let claims = checkpoint::verify(compact, &enrolled.jail_key)
        .map_err(|error| problem_of(400, "checkpoint", &error))?;
    tenant.attestations.take(runner, &claims, compact);
    tenant.store.put_checkpoint(claims.size, compact).map_err(stored)
}

fn take_statement(tenant: &Tenant, runner: RunnerId, compact: &str) -> Result<(), Problem> {
    let charter = tenant.charter();
    let enrolled = charter.runner(runner).ok_or_else(not_enrolled)?;
    let verified = VerifiedStatement::verify(compact, &enrolled.jail_key, tenant.id())
        .map_err(|error| problem_of(400, "statement", &error))?;
    let jail = enrolled.jail_key.thumbprint();
    let newest = tenant.store.newest_statement(jail).map_err(stored)?;
    let seq = verified.statement().seq;
    if seq > newest + 1 {
        return Err(Problem::new(409, "statement-gap", format!("expected number {}", newest + 1)));
    }
    // What was kept of the same number, or of the one before, which the statement names.
    let before = if seq > newest { newest } else { seq };
    let kept = tenant.store.statement(jail, before).map_err(stored)?;
    let goes_on = match &kept {
        Some(kept) if seq > newest => verified.statement().prev == Some(sha256(kept.as_bytes())),
        Some(kept) => kept == compact,
        None => verified.statement().prev.is_none(),
    };
    if !goes_on {
        let code = "statement-conflict";
        tracing::error!(code, runner.id = %runner, seq, "two jails sign with one key");
        let cause = format!("another statement {before} of this jail is kept");
        return Err(Problem { statement: kept, ..Problem::new(409, code, cause) });
    }
    if seq <= newest {
        return Ok(());
    }
    if !charter.knows_head(verified.statement().charter) {
        // In the log it would stand before the entry that it names; its runner sends that first.
        let cause = "the jail has folded entries that were pushed to it and are not known here yet";
        return Err(Problem::new(409, "statement-ahead", cause));
    }
    tenant.store.put_statement(jail, &verified, compact).map_err(stored)?;
    test_connection::take_answer(tenant, &verified, compact)?;
    match &verified.statement().says {
        Says::Acceptance(acceptance) => {
            tracing::info!(run.id = %acceptance.run, "run accepted by the jail");
            let at = verified.statement().at;
            tenant.store.put_standing_run(acceptance, at).map_err(stored)?;
            let status = StatusReport {
                run: acceptance.run,
                phase: RunPhase::Running,
                code: None,
                reason: None,
                step: None,
                attempt: None,
            };
            tenant.store.move_run(&status, clock::now()).map_err(stored)
        }
        Says::Refusal(refusal) => {
            tracing::info!(code = refusal.code, reason = refusal.reason, "refused by the jail");
            Ok(())
        }
        Says::Forked(forked) => {
            let seq = forked.fork.seq;
            let code = "jail-frozen";
            tracing::error!(code, runner.id = %runner, seq, "root keys signed two changes of one number");
            Ok(())
        }
        Says::Receipt(_) | Says::Tested(_) | Says::Revoked(_) => Ok(()),
    }
}

fn note(authenticated: &Authenticated, denied: Option<&Problem>, at: UnixTime) -> DecisionNote {
    DecisionNote {
        writ: authenticated.writ.digest(),
        relayed: denied.is_none(),
        code: denied.map(|problem| problem.code.clone()),
        reason: denied.map_or_else(|| "permitted".to_owned(), |problem| problem.detail.clone()),
        at,
    }
}

pub(crate) fn denied_problem(denied: &Denied) -> Problem {
    Problem::new(403, denied.code, denied.reason.clone())
}

pub(crate) fn no_such_run() -> Problem {
    Problem::new(404, "run-unknown", "there is no such run, or you may not see it")
}

fn not_enrolled() -> Problem {
    Problem::new(401, "not-enrolled", "the charter enrolls no such runner")
}

#[expect(clippy::needless_pass_by_value, reason = "a `map_err` adapter")]
pub(crate) fn stored(error: StoreError) -> Problem {
    if matches!(error, StoreError::Replayed) {
        return Problem::new(409, "writ-replayed", "the writ was used before")
            .with_remedy("sign a new one");
    }
    tracing::error!(error = %error, "the tenant's store failed");
    Problem::new(500, "store", "the control plane's store failed")
        .with_remedy("see the server's log")
}
