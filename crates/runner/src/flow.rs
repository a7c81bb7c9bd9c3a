//! What happens to a task that the control plane gives, from top to bottom.
//!
//! `take → charter | send charter | shown | cosign | checkpoint | attestations | start | resume | cancel | approve | test`. The runner opens what was sealed to
//! it and hands everything to the jail; it starts what the jail accepted and reports the rest.
//!
//! Invariants:
//! * a run is journalled before its acceptance is reported, so none is lost;
//! * a jail that has stopped is given nothing more: its statements are delivered, and its runs stay where they are;
//! * tasks are done one after another; runs go on side by side in the engine, and tests of
//!   connections beside them (`test_connection`).

use std::{sync::Arc, time::Duration};

use writ_api::{
    CandidateVerdict, RunPhase, RunnerReport, RunnerTask, RunnerTasks, StatusReport, Take,
};
use writ_engine::{Refusal, StartRun};
use writ_evidence::{
    charter::UnverifiedEntry,
    digest::sha256,
    idc::UnverifiedIdc,
    jws::UnverifiedJws,
    seal::{self, Sealed},
    writ::{ResumeDecision, run_id},
};
use writ_jail_link::{
    JailReply, JailRequest, OpenRun, Refused, ReopenRun, ResumeRun, RevokeSession, RunKeyText,
};
use writ_model::{AutomationName, Digest, RunId, StepId};

use crate::{
    approvals, charter,
    jail_client::JailError,
    push, report, test_connection,
    wiring::{Parts, RunnerError},
};

/// How long to wait after the control plane could not be reached.
const RETRY: Duration = Duration::from_secs(2);
/// What a jail says of a run that another jail accepted.
const FOREIGN: &str = "acceptance-foreign";
/// How often it is said that the jail has stopped.
const SAY_AGAIN: Duration = Duration::from_mins(1);

/// How long to wait after a page of entries that the control plane lacked.
const PAGE_PAUSE: Duration = Duration::from_millis(500);

/// Brings the jail up to the charter, then takes up every open run.
pub(crate) async fn take_up(parts: &Arc<Parts>) -> Result<(), RunnerError> {
    charter::take_up(parts).await?;
    if parts.jail.describe().await?.stopped.is_some() {
        // Its statements are delivered; every run stays where it is.
        return Ok(());
    }
    parts
        .engine
        .recover(async |open| {
            let reopen = ReopenRun {
                acceptance: open.acceptance.clone(),
                run_key: RunKeyText::from(&open.run_key),
            };
            match parts.jail.ask(JailRequest::ReopenRun(Box::new(reopen))).await {
                Ok(_) => Ok(()),
                // Its jail is gone: this runner was restored, or enrolled anew.
                Err(JailError::Refused(refused)) if refused.code == FOREIGN => {
                    Err(Refusal::Held { code: refused.code, reason: refused.reason })
                }
                // A charter that is behind is on its way: that is no word about the run.
                Err(JailError::Refused(refused)) if refused.code != "charter-behind" => {
                    Err(Refusal::Refused { code: refused.code, reason: refused.reason })
                }
                Err(_) => Err(Refusal::Unavailable),
            }
        })
        .await?;
    Ok(())
}

/// Takes tasks and does them, for ever.
pub(crate) async fn serve(parts: Arc<Parts>) {
    let route = format!("/v1/tenants/{}/runner/take", parts.ten);
    loop {
        let Ok(described) = parts.jail.describe().await else { return };
        if let Some(Refused { code, reason, .. }) = described.stopped {
            tracing::error!(
                code,
                reason,
                "the jail has stopped: nothing runs, and nothing is witnessed"
            );
            tokio::time::sleep(SAY_AGAIN).await;
            continue;
        }
        let take = Take {
            charter_seq: parts.charter.state().map(|state| state.seq()),
            checkpoint_size: described.checkpoint_size,
            attested_at: described.attested_at,
            statements: Some(described.statements),
            testing: parts.testing.writs(),
        };
        match parts.server.post::<_, RunnerTasks>(&route, &take).await {
            Ok(RunnerTasks { tasks }) => {
                for task in tasks {
                    handle(&parts, task).await;
                }
                parts.news.notify_one();
                parts.outbox.delivered().await;
            }
            Err(error) => {
                tracing::warn!(code = error.code(), "the control plane does not answer");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn handle(parts: &Arc<Parts>, task: RunnerTask) {
    match task {
        RunnerTask::Charter { entries } => charter::fold(parts, entries).await,
        RunnerTask::Shown { statement } => report::show(parts, statement).await,
        RunnerTask::SendCharter { after } => {
            push::send_charter(parts, after);
            // One that takes none of it is not asked again and again.
            tokio::time::sleep(PAGE_PAUSE).await;
        }
        RunnerTask::Cosign { candidate } => cosign(parts, *candidate).await,
        RunnerTask::Checkpoint { size, root, consistency } => {
            sign_tree(parts, size, root, consistency).await;
        }
        RunnerTask::Attestations { checkpoints } => attest(parts, checkpoints).await,
        RunnerTask::Start { writ, idc, sealed } => start(parts, writ, idc, &sealed).await,
        RunnerTask::TestConnection { writ, idc } => test_connection::begin(parts, writ, idc),
        RunnerTask::Resume { run, writ, idc } => resume(parts, run, writ, idc).await,
        RunnerTask::Cancel { run, writ, idc } => cancel(parts, run, writ, idc).await,
        RunnerTask::RevokeSession { writ, idc, session } => {
            revoke_session(parts, RevokeSession { writ, idc, session: Some(*session) }).await;
        }
        RunnerTask::Approve { run, writ, idc } => approvals::answer(parts, run, writ, idc).await,
    }
}

async fn cosign(parts: &Parts, candidate: UnverifiedEntry) {
    let digest = candidate.digest();
    let asked = JailRequest::Cosign { candidate: Box::new(candidate.clone()) };
    let verdict = match parts.jail.ask(asked).await {
        Ok(JailReply::Cosigned { cosignature }) => {
            push::keep_cosigned(parts, &candidate, &cosignature);
            CandidateVerdict::Cosigned(cosignature)
        }
        Err(JailError::Refused(Refused { code, reason, .. })) => {
            CandidateVerdict::Refused { code, reason }
        }
        Ok(_) | Err(_) => return,
    };
    parts.outbox.put(RunnerReport::Candidate { digest, verdict });
}

async fn sign_tree(parts: &Parts, size: u64, root: Digest, consistency: Vec<Digest>) {
    match parts.jail.ask(JailRequest::Checkpoint { size, root, consistency }).await {
        Ok(JailReply::Checkpoint { checkpoint }) => {
            parts.outbox.put(RunnerReport::Checkpoint { checkpoint });
        }
        Ok(_) => {}
        Err(error) => {
            let code = error.code();
            tracing::error!(code, error = %error, "the jail does not sign the audit log's tree");
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn attest(parts: &Parts, checkpoints: Vec<String>) {
    if let Err(error) = parts.jail.ask(JailRequest::Attest { checkpoints }).await {
        tracing::warn!(error = %error, "the jail takes no word of other witnesses");
    }
}

/// A run: open what was sealed, let the jail accept, journal, go.
async fn start(parts: &Arc<Parts>, writ: String, idc: UnverifiedIdc, sealed: &Sealed) {
    let run = run_id(sha256(writ.as_bytes()));
    if parts.engine.status(run).is_some() {
        parts.engine.report_again(run).await;
        return;
    }
    match try_start(parts, run, writ, idc, sealed).await {
        Ok(()) => tracing::info!(run.id = %run, "run accepted"),
        Err(StartFailure::Refused { code, reason }) => {
            tracing::info!(run.id = %run, code, reason, "run refused");
            parts.outbox.put(RunnerReport::Status(StatusReport {
                run,
                phase: RunPhase::Refused,
                code: Some(code),
                reason: Some(reason),
                step: None,
                attempt: None,
            }));
        }
        Err(StartFailure::Later) => tokio::time::sleep(RETRY).await,
    }
}

/// Why a run was not started.
enum StartFailure {
    /// It never will be.
    Refused { code: String, reason: String },
    /// Something is away; the task comes again.
    Later,
}

impl From<JailError> for StartFailure {
    fn from(error: JailError) -> Self {
        match error {
            // The charter is on its way; the task comes again after it.
            JailError::Refused(refused) if refused.code == "charter-behind" => {
                tracing::warn!(code = refused.code, "the jail decides nothing yet");
                Self::Later
            }
            JailError::Refused(refused) => {
                Self::Refused { code: refused.code, reason: refused.reason }
            }
            JailError::TooLong => {
                refused("order-too-long", "the order is longer than the link allows")
            }
            JailError::Gone | JailError::Unexpected | JailError::Stopped(_) => Self::Later,
        }
    }
}

fn refused(code: &str, reason: &str) -> StartFailure {
    StartFailure::Refused { code: code.to_owned(), reason: reason.to_owned() }
}

async fn try_start(
    parts: &Arc<Parts>,
    run: RunId,
    writ: String,
    idc: UnverifiedIdc,
    sealed: &Sealed,
) -> Result<(), StartFailure> {
    let peeked =
        Peeked::of(&writ).ok_or_else(|| refused("writ-claims", "the writ has no claims"))?;
    let content =
        seal::open(&parts.sealing_key, sha256(writ.as_bytes()), sealed).map_err(|_| {
            refused("sealed-input", "the input is not sealed to this runner for this writ")
        })?;
    let input = String::from_utf8(content.input.to_vec())
        .map_err(|_| refused("input-not-text", "the input is not UTF-8"))?;
    let bundle = parts.content.get(peeked.cnt).await.ok_or(StartFailure::Later)?;
    let open = OpenRun {
        writ,
        idc,
        bundle: bundle.clone(),
        run_key: RunKeyText::from(&content.run_key),
        input: input.clone(),
    };
    let JailReply::Opened { acceptance, .. } =
        parts.jail.ask(JailRequest::OpenRun(Box::new(open))).await?
    else {
        return Err(StartFailure::Later);
    };
    let start = StartRun {
        id: run,
        workspace: peeked.res.workspace().clone(),
        automation: peeked.res,
        acceptance,
        bundle: bundle.into_bytes(),
        run_key: content.run_key,
        input,
    };
    parts.engine.start(start).await.map_err(|error| {
        tracing::error!(run.id = %run, error = %error, "the engine does not start the run");
        StartFailure::Later
    })
}

/// What the runner reads of a writ to find its content. The jail believes none of it.
#[derive(serde::Deserialize)]
struct Peeked {
    cnt: Digest,
    res: AutomationName,
}

impl Peeked {
    fn of(writ: &str) -> Option<Self> {
        UnverifiedJws::parse(writ).ok()?.peek().ok()
    }
}

/// What the runner reads of a `run.resume` writ, after the jail has verified it.
#[derive(serde::Deserialize)]
struct PeekedResume {
    step: StepId,
    attempt: u32,
    decision: ResumeDecision,
}

/// The jail verifies; from then on nothing of the run begins, and the engine ends it.
async fn cancel(parts: &Arc<Parts>, run: RunId, writ: String, idc: UnverifiedIdc) {
    let digest = sha256(writ.as_bytes());
    let asked = JailRequest::CancelRun(Box::new(ResumeRun { run, writ, idc }));
    let refused = match parts.jail.statement(asked).await {
        Ok(_) => {
            parts.engine.cancel(run);
            None
        }
        Err(JailError::Refused(refused)) => Some((refused.code, refused.reason)),
        Err(_) => return,
    };
    parts.news.notify_one();
    parts.outbox.put(RunnerReport::ResumeDone { writ: digest, refused });
}

/// The jail verifies and remembers; nothing here knows of sessions.
async fn revoke_session(parts: &Parts, revoke: RevokeSession) {
    let digest = sha256(revoke.writ.as_bytes());
    let refused = match parts.jail.statement(JailRequest::RevokeSession(Box::new(revoke))).await {
        Ok(_) => None,
        Err(JailError::Refused(refused)) => Some((refused.code, refused.reason)),
        Err(_) => return,
    };
    parts.news.notify_one();
    parts.outbox.put(RunnerReport::ResumeDone { writ: digest, refused });
}

async fn resume(parts: &Arc<Parts>, run: RunId, writ: String, idc: UnverifiedIdc) {
    let digest = sha256(writ.as_bytes());
    let peeked: Option<PeekedResume> =
        UnverifiedJws::parse(&writ).ok().and_then(|jws| jws.peek().ok());
    let asked = JailRequest::ResumeRun(Box::new(ResumeRun { run, writ, idc }));
    let refused = match parts.jail.statement(asked).await {
        Ok(_) => match peeked {
            Some(PeekedResume { step, attempt, decision }) => parts
                .engine
                .resume(run, &step, attempt, decision)
                .await
                .err()
                .map(|error| ("resume".to_owned(), error.to_string())),
            None => Some(("writ-claims".to_owned(), "the writ has no claims".to_owned())),
        },
        Err(JailError::Refused(refused)) => Some((refused.code, refused.reason)),
        Err(_) => return,
    };
    parts.outbox.put(RunnerReport::ResumeDone { writ: digest, refused });
}
