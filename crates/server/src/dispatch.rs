//! What there is to do for a runner, and who waits for a witness's verdict.
//!
//! Nothing is dispatched from memory alone: tasks are computed from the store at each request, so
//! a crash on either side loses none.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;
use writ_api::{CandidateVerdict, RunnerTask, Take};
use writ_evidence::{jws::UnverifiedJws, merkle, writ::Operation};
use writ_model::{Digest, RunnerId};

use crate::{store::StoreError, tenant::Tenant};

/// How long a runner's request is held while there is nothing to do.
const HOLD: Duration = Duration::from_secs(20);

/// Those who wait for a verdict over a candidate.
#[derive(Default)]
pub(crate) struct Verdicts(Mutex<BTreeMap<Digest, oneshot::Sender<CandidateVerdict>>>);

impl Verdicts {
    /// Waits for the verdict over a candidate.
    pub(crate) fn expect(&self, digest: Digest) -> oneshot::Receiver<CandidateVerdict> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, sender);
        receiver
    }

    /// Hands a verdict to whoever waits for it.
    pub(crate) fn tell(&self, digest: Digest, verdict: CandidateVerdict) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
        if let Some(sender) = waiting {
            // The waiter may have given up; the candidate was dealt with either way.
            let _ = sender.send(verdict);
        }
    }
}

/// Tasks for a runner, at once or after at most 20 s.
pub(crate) async fn take(
    tenant: &Tenant,
    runner: RunnerId,
    take: &Take,
) -> Result<Vec<RunnerTask>, StoreError> {
    let deadline = tokio::time::Instant::now() + HOLD;
    loop {
        let woken = tenant.work.notified();
        let tasks = due(tenant, runner, take)?;
        if !tasks.is_empty() {
            return Ok(tasks);
        }
        if tokio::time::timeout_at(deadline, woken).await.is_err() {
            return Ok(Vec::new());
        }
    }
}

/// What is due, in the order in which it should be done: the charter first, since everything
/// else is judged under it.
fn due(tenant: &Tenant, runner: RunnerId, take: &Take) -> Result<Vec<RunnerTask>, StoreError> {
    let charter = tenant.charter();
    let mut tasks = Vec::new();
    if take.charter_seq.is_none_or(|seq| seq < charter.seq()) {
        let entries = tenant.store.entries(take.charter_seq.map_or(0, |seq| seq + 1))?;
        tasks.push(RunnerTask::Charter { entries });
        return Ok(tasks);
    }
    if charter.witness() == runner
        && let Some(candidate) = tenant.store.candidate()?
    {
        tasks.push(RunnerTask::Cosign { candidate: Box::new(candidate) });
    }
    for pending in tenant.store.pending_starts()? {
        let sealed = pending.order.sealed.into_iter().find(|sealed| sealed.runner == runner);
        if let Some(sealed) = sealed {
            let (writ, idc) = (pending.order.writ, pending.order.idc);
            tasks.push(RunnerTask::Start { writ, idc, sealed: sealed.sealed });
        }
    }
    for pending in tenant.store.pending_resumes()? {
        let (writ, idc) = (pending.order.writ, pending.order.idc);
        let run = pending.run;
        // The writ was verified when it was taken; which of the two it is, it says itself.
        tasks.push(match operation(&writ) {
            Some(Operation::RunCancel) => RunnerTask::Cancel { run, writ, idc },
            _ => RunnerTask::Resume { run, writ, idc },
        });
    }
    if let Some(own) = charter.runner(runner) {
        for (digest, order) in tenant.store.pending_tests(own.group)? {
            // A test takes as long as its hosts do; its runner goes on taking tasks meanwhile.
            if !take.testing.contains(&digest) {
                let (writ, idc) = (order.writ, order.idc);
                tasks.push(RunnerTask::TestConnection { writ, idc });
            }
        }
    }
    if tasks.is_empty() && charter.witness() == runner {
        tasks.extend(checkpoint(tenant, take.checkpoint_size)?);
    }
    Ok(tasks)
}

fn operation(writ: &str) -> Option<Operation> {
    #[derive(serde::Deserialize)]
    struct Peeked {
        op: Operation,
    }
    let peeked: Peeked = UnverifiedJws::parse(writ).ok()?.peek().ok()?;
    Some(peeked.op)
}

/// A tree for the witness to sign, if records were added since the last.
fn checkpoint(tenant: &Tenant, signed: u64) -> Result<Option<RunnerTask>, StoreError> {
    if tenant.store.audit_size()? == tenant.store.checkpoint_size()? {
        return Ok(None);
    }
    let leaves = tenant.store.leaves()?;
    let old = usize::try_from(signed).map_err(|_| StoreError::Row)?;
    let consistency = if old == 0 {
        Vec::new()
    } else {
        merkle::consistency_proof(&leaves, old).ok_or(StoreError::Row)?
    };
    Ok(Some(RunnerTask::Checkpoint {
        size: leaves.len() as u64,
        root: merkle::root(&leaves),
        consistency,
    }))
}
